"""Usage as lines: what a push is about, whatever the ledger holds.

Columns: `customer_id`, `listing_id`, `vendor`, `dimension`, `units`, `price`, and `usage_at` (a moment) or `usage_date`
(a UTC day); optional `entitlement_id`, `title`, `description`, `per`. Other columns are ignored.
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
from ...endpoints import CUSTOMERS, ENTITLEMENTS
from ..model import UNKNOWN_CURRENCY, Grain, Line, Refusal, format_decimal
from ..rules import known_vendors, price_problem, rules_of
from .columns import TIMES, UNUSABLE, checked_mapping
from .eligibility import add_eligible
from .query import connect, plain, sum_rows
from .readers import as_path, read_tables
from .refusals import Refusals, about_line, row_problems
from .sql import SQL

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
    from duckdb import DuckDBPyConnection

_ZERO = Decimal(0)
_NO_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Time in the digest of a usage without lines."""
_FETCHED = 10_000
_KEY = "vendor, listing_id, customer_id, dimension, entitlement_id"
_KEY_OF_LINE = ("vendor", "listing_id", "customer_id", "dimension")
_ASKED = f"CREATE TABLE asked AS SELECT DISTINCT {_KEY}, start::DATE AS day FROM summed"
_UNCHECKED = """CREATE TABLE eligible AS
    SELECT *, NULL::VARCHAR AS wrong, NULL::VARCHAR AS currency, NULL::VARCHAR[] AS prices FROM asked"""
_REFUSED = "SELECT row, start, refused FROM checked WHERE refused IS NOT NULL ORDER BY row"
_PRICE = plain("summed.price")
_LINES = f"""SELECT start, vendor, listing_id, customer_id, dimension, {plain("units")}, {_PRICE},
        title, description, per, rows, nullif(entitlement_id, ''), NULL, 0, coalesce(currency, '{UNKNOWN_CURRENCY}'),
        some_rows, summed.prices, CASE WHEN entitlement_id = '' THEN named_row END, coalesce(wrong, CASE
            WHEN units <> 0 AND len(eligible.prices) > 0 AND NOT list_contains(eligible.prices, {_PRICE})
            THEN concat('price: ', {_PRICE}, ' is not that of the entitlement, which is ',
                array_to_string(eligible.prices, ' or ')) END)
    FROM summed JOIN eligible USING ({_KEY}) WHERE day = start::DATE ORDER BY start, {_KEY}"""


@dataclass(frozen=True)
class Usage:
    """The lines of a usage, and what cannot be sent of it.

    Attributes:
        lines: Sums of closed hours or days, in order of start, vendor, listing, customer, dimension, entitlement. Sums
            of zero that the marketplace does not take are left out.
        refusals: Rows that are not sent: a refusal for each line or, where its key cannot be read, for each content.
        held: Id of a line to why it must not be sent: a row of it was refused, or may be a part of it; its customer,
            entitlement or price is wrong.
        open_rows: Number of rows of hours and days that are not over.
        rows: Number of all rows.
        zeros: Sums of zero that were left out.
        unknown_vendors: Marketplaces without rules in `rules`.
        missing: Synced tables that are missing or empty, so that nothing was checked against them.
        source: Name of the usage.
    """

    lines: tuple[Line, ...]
    refusals: tuple[Refusal, ...]
    held: Mapping[str, Refusal]
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
        ids = {line.id for line in lines}
        held = {line_id: refusal for line_id, refusal in self.held.items() if line_id in ids}
        return replace(self, lines=lines, held=held, zeros=zeros, open_rows=self.open_rows + left)


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
        tables = read_tables(usage, pipeline, checked_mapping(mapping), clock)
        rows, open_rows = sum_rows(connection, tables, grain, until, now, clock)
        connection.execute(_ASKED)
        missing: tuple[str, ...] = () if unchecked else (CUSTOMERS.table, ENTITLEMENTS.table)
        if pipeline is None or unchecked:
            connection.execute(_UNCHECKED)
        else:
            missing = add_eligible(connection, pipeline, organization_id, now)
        refusals = Refusals()
        _add_refused_rows(connection, refusals, source, grain)
        lines, held, zeros = _read_lines(connection, refusals, grain)
    unknown = tuple(sorted({line.vendor for line in lines} - known_vendors()))
    return Usage(tuple(lines), refusals.all(), held, open_rows, rows, tuple(zeros), unknown, missing, source)


def _fetch(connection: DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(query)
    while batch := cursor.fetchmany(_FETCHED):
        yield from batch


def _add_refused_rows(connection: DuckDBPyConnection, refusals: Refusals, source: str, grain: Grain) -> None:
    """Collect the rows that were refused one by one, with what can be read of their keys."""
    for row, start, texts in _fetch(connection, _REFUSED):
        reason = "; ".join(row_problems(texts, start is not None, grain)) or "cannot be read"
        about = {name: texts[name] for name in _KEY.split(", ") if texts[name] and texts[name][0] != UNUSABLE}
        shown = {name: texts[name] for name in ("units", "price", *TIMES)} | {"row": texts["broken"]}
        about |= {name: printable(text.replace(UNUSABLE, ""))[:60] for name, text in shown.items() if text}
        entitlement = about.get("entitlement_id")
        if start is not None and all(name in about for name in _KEY_OF_LINE) and entitlement == texts["entitlement_id"]:
            starts_at = start.replace(tzinfo=timezone.utc)
            vendor, listing, customer, dimension = (about[name] for name in _KEY_OF_LINE)
            empty = Line(vendor, listing, customer, dimension, grain, starts_at, _ZERO, _ZERO)
            subject = replace(empty, entitlement_id=entitlement).id
            about["starts_at"] = starts_at.isoformat()
        else:
            subject = hashlib.sha256("\x1f".join((source, *about, *about.values())).encode()).hexdigest()[:32]
        refusals.add(subject, (row,), 1, reason, about)


def _read_lines(
    connection: DuckDBPyConnection, refusals: Refusals, grain: Grain
) -> tuple[list[Line], dict[str, Refusal], list[Line]]:
    """The lines of the rows that are in order, why some of them must not be sent, and the zeros that are left out."""
    lines, held, zeros = list[Line](), dict[str, Refusal](), list[Line]()
    for start, *fields, some_rows, prices, named, problem in _fetch(connection, _LINES):
        key, amounts = fields[:4], (Decimal(fields[4]), Decimal(fields[5]))
        line = Line(*(*key, grain, start.replace(tzinfo=timezone.utc), *amounts, *fields[6:]))
        wrong = _wrong_sum(line, prices, named)
        if not wrong and not line.units and rules_of(line.vendor).zero == "skip":
            zeros.append(line)
            continue
        if reason := wrong or problem:
            refusals.add(line.id, some_rows, line.rows, reason, about_line(line))
        if not wrong:
            lines.append(line)
            if refusal := refusals.of(line):
                held[line.id] = refusal
    return lines, held, zeros


def _wrong_sum(line: Line, prices: str | None, named_row: int | None) -> str | None:
    """Why rows that are in order one by one make no line."""
    rules = rules_of(line.vendor)
    if named_row is not None:
        what = f"for the same dimension and {line.grain}"
        return f"entitlement_id: is missing here, and given in row {named_row}, {what}"
    if len(line.dimension) > rules.key_length:
        return f"dimension: has more than {rules.key_length} characters"
    units, price = rules.units_problem(line.units), price_problem(line.price)
    if prices is None and units is None and price is None:
        return None
    when = f"{line.starts_at:%Y-%m-%d}" if line.grain == "day" else f"{line.starts_at:%Y-%m-%d %H:%M} UTC"
    under = f" under {line.entitlement_id}" if line.entitlement_id else ""
    what = f"{line.dimension} of {line.customer_id}{under} on {when}"
    if prices is not None:
        return f"price: {prices}, for {what}"
    if price is not None:
        return f"price: {price}, for {what}"
    return f"units: the sum of {plural(line.rows, 'row')} for {what}: {units}"
