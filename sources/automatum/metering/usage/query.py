"""The query that casts rows of texts exactly, says why a row cannot be billed, and sums the others to lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ...core.clock import Clock, utc
from ..model import Grain
from ..rules import ANY, PRICE_WHOLE, rules_of
from .columns import COLUMNS, REQUIRED, UNUSABLE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCALE = 12
"""Decimals of units and prices in the query: the most that a rule allows. With more, a text is refused, not rounded."""
WHOLE = 20
"""Digits before the decimal point; six fewer than the sum has, so that a million rows do not overflow it."""
NUMBER = rf"[+-]?(?:[0-9]+\.?|[0-9]*\.[0-9]{{1,{SCALE}}}0*)"
"""A number that the cast to a decimal does not round. One with too many digits before the point is null."""
TIME = (
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}(?:[T ]+([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r" *(Z|UTC|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?"
)
"""A moment or a day, in upper case. Without a zone it is UTC. The cast refuses days that do not exist."""
KEY = ("vendor", "listing_id", "customer_id", "dimension", "entitlement_id")
"""Columns that, with the start, tell one line from another. A row without an entitlement has ''."""
MOST_ROWS = 10
"""Rows that a refusal names."""
_KEYS = ", ".join(KEY)
_TEXTS = ("title", "description", "per")
_LONGEST = 60
_NOT_A_NUMBER = (
    f"is not a plain number: write it with a decimal point, without separators or an exponent, with at most {WHOLE} "
    f"digits before and {SCALE} after the point"
)
_NOT_A_DATE = "is not a date; write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"


def plain(number: str) -> str:
    """SQL of the text of a decimal without zeros at its end."""
    return f"rtrim(rtrim({number}::VARCHAR, '0'), '.')"


def _shown(name: str) -> str:
    quote = "chr(39)"
    return f"concat({quote}, {name}[:{_LONGEST}], CASE WHEN length({name}) > {_LONGEST} THEN '...' ELSE {quote} END)"


def _unusable(name: str) -> str:
    return f"starts_with({name}, chr({ord(UNUSABLE)}))"


def _moment(name: str) -> str:
    """SQL of a text as a moment in UTC; null if it is none. Nanoseconds are cut off, so that no hour is rounded up."""
    text = rf"regexp_replace(upper({name}), '(\.[0-9]{{6}})[0-9]+', '\1')"
    read = f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"
    return f"CASE WHEN regexp_full_match(upper({name}), '{TIME}') THEN {read} END"


def _exact(name: str) -> str:
    exact = f"TRY_CAST({name} AS DECIMAL({WHOLE + SCALE}, {SCALE}))"
    return f"CASE WHEN regexp_full_match({name}, '{NUMBER}') THEN {exact} END AS exact_{name}"


def _problem(name: str) -> str:
    """SQL of why a row's text cannot be used; null if it can."""
    missing = f"WHEN {name} IS NULL THEN '{name} is missing'" if name in REQUIRED else ""
    number = (
        f"""WHEN exact_{name} IS NULL THEN concat('{name}: ', {_shown(name)}, ' {_NOT_A_NUMBER}')
        WHEN exact_{name} < 0 THEN concat('{name}: ', {_shown(name)}, ' is negative')"""
        if COLUMNS[name] == "amount"
        else ""
    )
    return f"CASE {missing} WHEN {_unusable(name)} THEN concat('{name}: ', substr({name}, 2)) {number} END"


_PROBLEMS = ", ".join(_problem(name) for name, kind in COLUMNS.items() if kind != "time")
_CLEAN = r"nullif(trim(regexp_replace({0}, '[\x00-\x08\x0b-\x1f\x7f-\x{{9f}}]', ' ', 'g')), '')"
_OF_KEY = ", ".join(
    f"CASE WHEN NOT {_unusable(name)} THEN {name} END" for name in (*KEY[:-1], "coalesce(entitlement_id, '')")
)
_CREATE = f"""
CREATE TABLE checked (row BIGINT, start TIMESTAMP, {", ".join(f"{name} VARCHAR" for name in KEY)},
    units DECIMAL(38, {SCALE}), price DECIMAL(38, {SCALE}), {", ".join(f"{name} VARCHAR" for name in _TEXTS)},
    refused VARCHAR, shown VARCHAR)
"""
_INSERT = f"""
INSERT INTO checked
WITH texts AS (
    SELECT row, broken, {", ".join(f"nullif({name}, '') AS {name}" for name in COLUMNS if name != "vendor")},
        nullif(lower(vendor), '') AS vendor
    FROM batch
), read AS (
    SELECT *, {_moment("usage_at")} AS moment, {_exact("units")}, {_exact("price")} FROM texts
), timed AS (
    SELECT *, CASE
        WHEN usage_at IS NULL THEN 'usage_at is missing'
        WHEN {_unusable("usage_at")} THEN concat('usage_at: ', substr(usage_at, 2))
        WHEN moment IS NULL THEN concat('usage_at: ', {_shown("usage_at")}, ' {_NOT_A_DATE}')
        WHEN $grain = 'hour' AND length(usage_at) <= 10 THEN 'usage has a date only; use --grain day'
        WHEN moment > $now THEN concat('usage is in the future (', moment, ' UTC)')
        END AS untimely
    FROM read
), judged AS (
    SELECT *, CASE WHEN broken IS NOT NULL THEN split_part(broken, chr(10), 1)
        ELSE nullif(concat_ws('; ', {_PROBLEMS}, untimely), '') END AS refused
    FROM timed
)
SELECT row, CASE WHEN untimely IS NULL THEN date_trunc($grain, moment) END, {_OF_KEY}, exact_units, exact_price,
    {", ".join(map(_CLEAN.format, _TEXTS))}, refused,
    CASE WHEN refused IS NOT NULL THEN coalesce(broken, concat_ws(', ', units, price, usage_at)) END
FROM judged
"""
_RULES = """CREATE TABLE rules (vendor VARCHAR, name VARCHAR, key_length INTEGER, units_most DECIMAL(38, 12),
    units_decimals INTEGER)"""
_SUMMED = f"""
CREATE TABLE summed AS
WITH by_key AS (
    SELECT start, {_KEYS}, min(price) AS price, max(price) AS highest, sum(units) AS units,
        count(*) AS rows, min(row) AS first,
        {", ".join(f"arg_min({name}, row) FILTER ({name} IS NOT NULL) AS {name}" for name in _TEXTS)}
    FROM checked WHERE refused IS NULL AND start + {{length}} <= $until GROUP BY start, {_KEYS}
), mixed AS (
    SELECT start, vendor, listing_id, customer_id, dimension,
        min(first) FILTER (entitlement_id = '') AS unnamed, min(first) FILTER (entitlement_id <> '') AS named
    FROM by_key GROUP BY ALL HAVING unnamed IS NOT NULL AND named IS NOT NULL
)
SELECT by_key.* EXCLUDE highest, CASE
    WHEN named IS NOT NULL
    THEN concat('entitlement_id: is missing in row ', unnamed, ', and given in row ', named,
        ', for the same dimension and {{grain}}')
    WHEN length(dimension) > key_length THEN concat('dimension: has more than ', key_length, ' characters')
    WHEN price <> highest
    THEN concat('price: both ', {plain("price")}, ' and ', {plain("highest")}, ' for one dimension and {{grain}}')
    WHEN price >= 1{"0" * PRICE_WHOLE}
    THEN concat('price: ', {plain("price")}, ' has more than {PRICE_WHOLE} digits before the decimal point')
    WHEN units > units_most
    THEN concat('units: the sum of the {{grain}}, ', {plain("units")}, ', is more than the ', {plain("units_most")},
        ' that ', name, ' takes')
    WHEN length(split_part({plain("units")}, '.', 2)) > units_decimals
    THEN concat('units: the sum of the {{grain}}, ', {plain("units")}, ', has more than ', units_decimals,
        ' digits after the decimal point, and is not rounded')
    END AS problem
FROM by_key JOIN rules USING (vendor)
LEFT JOIN mixed USING (start, vendor, listing_id, customer_id, dimension)
"""
_NUMBERS = f"""
CREATE TABLE numbers AS
SELECT start, {_KEYS}, min(row, {MOST_ROWS}) AS numbers
FROM checked SEMI JOIN (FROM summed WHERE problem IS NOT NULL) USING (start, {_KEYS})
WHERE refused IS NULL GROUP BY start, {_KEYS}
"""
_COUNTS = """
SELECT count(*), count(refused), count(*) FILTER (refused IS NULL AND start + {length} > $until),
    (SELECT coalesce(sum(rows), 0) FROM summed)
FROM checked
"""
_REFUSED = f"""
CREATE TABLE refused AS
SELECT row, start, {_KEYS}, refused AS reason, shown,
    {" AND ".join(f"{name} IS NOT NULL" for name in ("start", *KEY))} AS whole
FROM checked WHERE refused IS NOT NULL
"""


def connect() -> DuckDBPyConnection:
    """A connection to an empty database in memory that reaches nothing else. Moments without a zone are UTC.

    One thread: a second one takes 40 MB for 100,000 lines.
    """
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    # Where Jupyter has no ipywidgets there is no bar, and DuckDB refuses every setting of it.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    connection.execute("SET enable_external_access = false")
    return connection


def sum_rows(
    connection: DuckDBPyConnection,
    tables: Iterable[pa.Table],
    grain: Grain,
    until: datetime,
    now: datetime,
    clock: Clock,
) -> tuple[int, int]:
    """Make the tables `refused`, which has each refused row with the reason, and `summed`, which has the lines.

    A line with a `problem`, by the rules of its marketplace or because its rows do not agree, must not be sent;
    `numbers` has its first rows.

    A row of `refused` is `whole` if its key and start can be read; what cannot is null.

    Args:
        connection: From `connect`.
        tables: The rows, from `readers`.
        grain: Whether lines stand for hours or for days.
        until: Moment up to which the usage is complete, aware. Later hours and days are open: they are not summed.
        now: Time before the usage was read.
        clock: Gives the time at which rows were read. Usage that arrives meanwhile is not in the future.

    Returns:
        Number of rows, and of those that are in order and of an open hour or day.

    Raises:
        ArithmeticError: A row is neither summed, nor refused, nor open.
    """
    connection.execute(_CREATE)
    for table in tables:
        connection.register("batch", table)
        connection.execute(_INSERT, {"now": _naive(max(now, utc(clock.time()))), "grain": grain})
        connection.unregister("batch")
    connection.execute(_RULES)
    for (vendor,) in connection.execute("SELECT DISTINCT vendor FROM checked WHERE refused IS NULL").fetchall():
        rules = rules_of(vendor)
        name = "any marketplace" if rules.vendor == ANY else vendor
        values = [vendor, name, rules.key_length, rules.units_most, rules.units_decimals]
        connection.execute("INSERT INTO rules VALUES (?, ?, ?, ?, ?)", values)
    length, given = f"INTERVAL 1 {grain}", {"until": _naive(until)}
    connection.execute(_SUMMED.format(length=length, grain=grain), given)
    rows, refused, open_rows, summed = map(int, connection.execute(_COUNTS.format(length=length), given).fetchall()[0])
    if rows != refused + open_rows + summed:
        raise ArithmeticError(f"Of {rows} rows of usage, {refused} are refused, {open_rows} open, and {summed} summed.")
    connection.execute(_REFUSED)
    connection.execute(_NUMBERS)
    connection.execute("DROP TABLE checked")
    return rows, open_rows


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
