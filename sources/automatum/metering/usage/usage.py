"""Usage as lines: what a push is about, whatever the ledger holds.

Columns: `customer_id`, `listing_id`, `vendor`, `dimension`, `units`, `price`, and `usage_at` (a moment or, by the day,
a UTC date); optional `entitlement_id`, `title`, `description`, `per`. Other columns are ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.clock import Clock
from ...core.text import plural, printable
from ..model import UNKNOWN_CURRENCY, Grain, Line, Refusal, format_decimal
from ..rules import known_vendors, rules_of
from .columns import UNUSABLE
from .eligibility import add_eligible
from .query import KEY, MOST_ROWS, connect, plain, sum_rows
from .readers import as_path, read_tables
from .sql import SQL

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
    from duckdb import DuckDBPyConnection

_ZERO = Decimal(0)
_NO_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Time in the digest of a usage without lines."""
_FETCHED = 1_000
_MOST_REASONS = 3
_LONGEST = 60
_KEYS = ", ".join(KEY)
_PRICE = plain("summed.price")
_REFUSED = f"""SELECT start, {_KEYS}, arg_min(shown, row), arg_min(reason, row, {MOST_ROWS}), count(DISTINCT reason),
        min(row, {MOST_ROWS}), count(*)
    FROM (SELECT * REPLACE (CASE WHEN whole THEN start END AS start), CASE WHEN NOT whole THEN shown END AS text
        FROM refused)
    GROUP BY start, {_KEYS}, text ORDER BY min(row)"""
_LINES = f"""WITH of_customer AS (
        -- A row whose key cannot be read may be a part of any line of its customer.
        SELECT customer_id, min(row, {MOST_ROWS}) AS rows, count(*) AS number
        FROM refused WHERE NOT whole GROUP BY customer_id
    ), unnamed AS (
        -- Without an entitlement, it may be a part of a line with one.
        SELECT start, vendor, listing_id, customer_id, dimension, min(row, {MOST_ROWS}) AS rows, count(*) AS number
        FROM refused WHERE whole AND entitlement_id = '' GROUP BY ALL
    )
    SELECT start, vendor, listing_id, customer_id, dimension, {plain("units")}, {_PRICE}, title, description, per,
        summed.rows, nullif(entitlement_id, ''), NULL, 0, coalesce(currency, '{UNKNOWN_CURRENCY}'),
        coalesce(numbers, [first]),
        list_sort(list_concat(of_customer.rows, unnamed.rows)),
        coalesce(of_customer.number, 0) + coalesce(unnamed.number, 0), coalesce(problem, wrong, CASE
            WHEN units <> 0 AND len(eligible.prices) > 0 AND NOT list_contains(eligible.prices, {_PRICE})
            THEN concat('price: ', {_PRICE}, ' is not that of the entitlement, which is ',
                array_to_string(eligible.prices, ' or ')) END)
    FROM summed JOIN eligible USING ({_KEYS}) LEFT JOIN numbers USING (start, {_KEYS})
    LEFT JOIN of_customer USING (customer_id)
    LEFT JOIN unnamed USING (start, vendor, listing_id, customer_id, dimension)
    WHERE day = start::DATE ORDER BY start, {_KEYS}"""


@dataclass(frozen=True)
class Usage:
    """The lines of a usage, and what cannot be sent of it.

    Attributes:
        lines: Sums of closed hours or days, in order of start, vendor, listing, customer, dimension, entitlement.
        refusals: Rows that are not sent: a refusal for each line or, where its key cannot be read, for each content. A
            line is refused whole if one of its rows is, or a refused row may be a part of it.
        open_rows: Number of rows of hours and days that are not over.
        rows: Number of all rows.
        zeros: Sums of zero that the marketplace does not take.
        unknown_vendors: Marketplaces without rules in `rules`.
        missing: Synced tables that are missing or empty, so that nothing was checked against them.
        source: Name of the usage.
    """

    lines: tuple[Line, ...]
    refusals: tuple[Refusal, ...]
    open_rows: int
    rows: int
    zeros: tuple[Line, ...]
    unknown_vendors: tuple[str, ...]
    missing: tuple[str, ...]
    source: str

    @cached_property
    def digest(self) -> str:
        """End of the last hour or day, number of lines, and a hash of their ids, units and prices.

        The same lines have the same digest, whatever the time, the ledger, or the order of the rows.
        """
        prints = sorted(f"{line.id} {format_decimal(line.units)} {format_decimal(line.price)}" for line in self.lines)
        until = max((line.ends_at for line in self.lines), default=_NO_TIME)
        return f"{until:%Y%m%dT%HZ}-{len(prints)}-{hashlib.sha256(chr(10).join(prints).encode()).hexdigest()[:16]}"

    def until(self, moment: datetime) -> Usage:
        """The usage without the lines that end after a moment, which count as open.

        Args:
            moment: Aware.
        """
        lines, zeros = (tuple(line for line in found if line.ends_at <= moment) for found in (self.lines, self.zeros))
        left = sum(line.rows for line in self.lines) - sum(line.rows for line in lines)
        return replace(self, lines=lines, zeros=zeros, open_rows=self.open_rows + left)


def source_name(usage: Any) -> str:
    """Name of a usage, by which the ledger tells two sources of a line apart.

    Returns:
        The absolute path of a file, the name of a table, a hash of a query, or `memory`.
    """
    if (path := as_path(usage)) is not None:
        return str(path.absolute())
    if not isinstance(usage, str):
        return "memory"
    if usage[: len(SQL)].lower() == SQL:
        return SQL + hashlib.sha256(usage[len(SQL) :].strip().encode()).hexdigest()[:12]
    return usage.strip()


def read_usage(
    usage: Any,
    *,
    pipeline: SupportsPipeline | None,
    grain: Grain,
    until: datetime,
    now: datetime,
    mapping: Mapping[str, str] | None = None,
    source: str | None = None,
    organization_id: str | None = None,
    unchecked: bool = False,
    clock: Clock,
) -> Usage:
    """Read usage, check its rows, and sum them to lines.

    Args:
        usage: See `readers.read_tables`.
        pipeline: Pipeline of the destination: of a table or query that is read, and of the synced tables that the lines
            are checked against.
        grain: Whether lines stand for hours or for days.
        until: Moment up to which the usage is complete, aware. Later hours and days are open.
        now: Time right before, aware.
        mapping: Our column name to the column name in the usage, where they differ. Names match in any case.
        source: Name of the usage; None for `source_name`.
        organization_id: Organization of the rows of the synced tables, if they contain several organizations.
        unchecked: Do not check against the synced tables.
        clock: Time.

    Raises:
        ConfigurationError: The usage does not exist, cannot be read, lacks a column, or is being written.
        DestinationError: The destination cannot be reached, or the connection is lost.
    """
    source = source or source_name(usage)
    with connect() as connection:
        tables = read_tables(usage, pipeline, mapping or {}, clock)
        rows, open_rows = sum_rows(connection, tables, grain, until, now, clock)
        missing = add_eligible(connection, None if unchecked else pipeline, organization_id, now)
        read = [_read_refusal(found, source, grain) for found in _fetch(connection, _REFUSED)]
        refusals = {refusal.subject: refusal for refusal in read}
        lines, zeros = _read_lines(connection, refusals, grain)
    unknown = tuple(sorted({line.vendor for line in lines} - known_vendors()))
    ordered = tuple(sorted(refusals.values(), key=lambda refusal: (refusal.rows, refusal.subject)))
    missing = () if unchecked else missing
    return Usage(tuple(lines), ordered, open_rows, rows, tuple(zeros), unknown, missing, source)


def _fetch(connection: DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(query)
    while batch := cursor.fetchmany(_FETCHED):
        yield from batch


def _read_refusal(found: tuple[Any, ...], source: str, grain: Grain) -> Refusal:
    """The refused rows of one line; or, where their key cannot be read, those with the same texts."""
    start, *key, shown, reasons, different, rows, count = found
    about = {name: text for name, text in zip(KEY, key, strict=True) if text}
    about["row"] = printable(shown.replace(UNUSABLE, ""))[:_LONGEST]
    line_id = None
    if start is not None:
        starts_at = start.replace(tzinfo=timezone.utc)
        vendor, listing, customer, dimension, entitlement = key
        line = Line(vendor, listing, customer, dimension, grain, starts_at, _ZERO, _ZERO)
        line_id = replace(line, entitlement_id=entitlement or None).id
        about["starts_at"] = starts_at.isoformat()
    texts = "\x1f".join((source, *map(str, key), shown))
    subject = line_id or hashlib.sha256(texts.encode()).hexdigest()[:32]
    named = list(dict.fromkeys(reasons))[:_MOST_REASONS]
    more = [f"and {plural(different - len(named), 'further reason')}"] if different > len(named) else []
    reason = printable("; ".join([*named, *more])).replace("\n", "\\n").replace("\t", "\\t")
    return Refusal(subject, tuple(rows), count, reason, line_id, about)


def _read_lines(
    connection: DuckDBPyConnection, refusals: dict[str, Refusal], grain: Grain
) -> tuple[list[Line], list[Line]]:
    """The lines that may be sent, and the zeros that are left out. The other lines are added to the refusals."""
    lines, zeros = list[Line](), list[Line]()
    # Each text, number and time once: they repeat from line to line, and are most of a line's memory.
    texts, numbers, times = dict[str, str](), dict[str, Decimal](), dict[datetime, datetime]()
    for start, *found, numbered, doubtful, doubts, problem in _fetch(connection, _LINES):
        start = times.setdefault(start, start.replace(tzinfo=timezone.utc))
        for at in (4, 5):
            found[at] = numbers.get(found[at]) or numbers.setdefault(found[at], Decimal(found[at]))
        shared: list[Any] = [texts.setdefault(one, one) if isinstance(one, str) else one for one in found]
        line = Line(*[*shared[:4], grain, start, *shared[4:]])
        refusal = refusals.get(line.id)
        if doubts and not refusal and not problem:
            named = ", ".join(map(str, doubtful[:MOST_ROWS])) + (" ..." if doubts > MOST_ROWS else "")
            problem = f"refused in the usage, and possibly a part of it: row {named}; correct the rows first"
        if not line.units and rules_of(line.vendor).zero == "skip":
            zeros.append(line)
        elif refusal:
            # Its other rows are in order, but their sum is not that of the line.
            refusal = replace(refusal, count=refusal.count + line.rows)
            if problem:
                rows = tuple(sorted({*numbered, *refusal.rows})[:MOST_ROWS])
                refusal = replace(refusal, rows=rows, reason=f"{refusal.reason}; {printable(problem)}")
            refusals[line.id] = refusal
        elif problem:
            refusals[line.id] = Refusal(
                line.id, tuple(numbered), line.rows, printable(problem), line.id, about_line(line)
            )
        else:
            lines.append(line)
    return lines, zeros


def about_line(line: Line) -> dict[str, str]:
    """What a refusal says of a line."""
    names = ("customer_id", "listing_id", "vendor", "dimension", "entitlement_id")
    about = {name: getattr(line, name) for name in names if getattr(line, name)}
    amounts = {"units": format_decimal(line.units), "price": format_decimal(line.price)}
    return {**about, "starts_at": line.starts_at.isoformat(), **amounts}
