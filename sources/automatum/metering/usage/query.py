"""The query that casts rows of texts exactly, finds those that cannot be billed, and sums the others to lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ...core.clock import Clock, utc
from ..model import Grain
from .columns import COLUMNS, REQUIRED, UNUSABLE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCALE = 12
"""Decimals of units and prices in the query: the most that a rule allows. With more, a text is refused, not rounded."""
WHOLE = 38 - SCALE
NUMBER = rf"[+-]?(?:[0-9]+\.?|[0-9]*\.[0-9]{{1,{SCALE}}}0*)"
"""A number that the cast to a decimal does not round. One with too many digits before the point is null."""
TIME = (
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}(?:[T ]+([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r" *(Z|UTC|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?"
)
"""A moment or a day, in upper case. Without a zone it is UTC. The cast refuses days that do not exist."""
_TEXTS = ("title", "description", "per")
_KEY = "start, vendor, listing_id, customer_id, dimension, entitlement_id"


def plain(number: str) -> str:
    """SQL of the text of a decimal without zeros at its end."""
    return f"rtrim(rtrim({number}::VARCHAR, '0'), '.')"


def _moment(name: str) -> str:
    """SQL of a text as a moment in UTC; null if it is none. Nanoseconds are cut off, so that no hour is rounded up."""
    text = rf"regexp_replace(upper({name}), '(\.[0-9]{{6}})[0-9]+', '\1')"
    read = f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"
    return f"CASE WHEN regexp_full_match(upper({name}), '{TIME}') THEN {read} END"


def _exact(name: str) -> str:
    exact = f"TRY_CAST({name} AS DECIMAL(38, {SCALE}))"
    return f"CASE WHEN regexp_full_match({name}, '{NUMBER}') THEN {exact} END AS exact_{name}"


def _usable(name: str) -> str:
    return f"coalesce(NOT starts_with({name}, chr({ord(UNUSABLE)})), {str(name not in REQUIRED).lower()})"


_CREATE = f"""
CREATE TABLE checked (row BIGINT, start TIMESTAMP, vendor VARCHAR, listing_id VARCHAR, customer_id VARCHAR,
    dimension VARCHAR, entitlement_id VARCHAR, units DECIMAL(38, {SCALE}), price DECIMAL(38, {SCALE}), title VARCHAR,
    description VARCHAR, per VARCHAR, refused STRUCT(broken VARCHAR, used VARCHAR, dated VARCHAR,
    {", ".join(f"{name} VARCHAR" for name in COLUMNS)}))
"""
_CLEAN = r"nullif(trim(regexp_replace({0}, '[\x00-\x08\x0b-\x1f\x7f-\x{{9f}}]', ' ', 'g')), '')"
_INSERT = f"""
INSERT INTO checked
WITH texts AS (
    SELECT row, broken, {", ".join(f"nullif({name}, '') AS {name}" for name in COLUMNS if name != "vendor")},
        nullif(lower(vendor), '') AS vendor
    FROM batch
), read AS (
    SELECT *, {_moment("usage_at")} AS used, {_moment("usage_date")} AS dated, {_exact("units")}, {_exact("price")}
    FROM texts
), timed AS (
    SELECT *, coalesce(used, dated) AS moment, coalesce(moment <= $now AND ($grain = 'day' OR length(usage_at) > 10)
        AND (usage_at IS NULL OR used IS NOT NULL) AND (usage_date IS NULL OR dated = moment::DATE), false) AS in_time
    FROM read
), judged AS (
    SELECT *, broken IS NULL AND in_time AND coalesce(exact_units >= 0 AND exact_price >= 0, false)
        AND {" AND ".join(_usable(name) for name, kind in COLUMNS.items() if kind in ("id", "text"))} AS fine
    FROM timed
)
SELECT row, CASE WHEN in_time THEN date_trunc($grain, moment) END, vendor, listing_id, customer_id, dimension,
    coalesce(entitlement_id, ''), exact_units, exact_price, {", ".join(map(_CLEAN.format, _TEXTS))},
    CASE WHEN NOT fine
        THEN struct_pack(broken, used := used::VARCHAR, dated := dated::VARCHAR, {", ".join(COLUMNS)}) END
FROM judged
"""
_SUMMED = f"""
CREATE TABLE summed AS
WITH by_key AS (
    SELECT {_KEY}, min(price) AS price, max(price) AS highest, sum(units) AS units,
        count(*) AS rows, min(row) AS first, min(row, 10) AS some_rows,
        {", ".join(f"arg_min({name}, row) FILTER ({name} IS NOT NULL) AS {name}" for name in _TEXTS)}
    FROM checked WHERE refused IS NULL AND start + {{length}} <= $until GROUP BY {_KEY}
), by_price AS (
    SELECT {_KEY}, checked.price, min(row) AS first
    FROM checked SEMI JOIN (SELECT {_KEY} FROM by_key WHERE price <> highest) USING ({_KEY})
    WHERE refused IS NULL GROUP BY {_KEY}, checked.price
), several AS (
    SELECT {_KEY}, string_agg(concat({plain("price")}, ' in row ', first), ' and ' ORDER BY first) AS prices
    FROM by_price GROUP BY {_KEY}
)
SELECT by_key.*, prices, min(first) FILTER (entitlement_id <> '')
    OVER (PARTITION BY start, vendor, listing_id, customer_id, dimension) AS named_row
FROM by_key LEFT JOIN several USING ({_KEY})
"""
_COUNTS = """
SELECT count(*), count(refused), count(*) FILTER (refused IS NULL AND start + {length} > $until),
    (SELECT coalesce(sum(rows), 0) FROM summed)
FROM checked
"""


def connect() -> DuckDBPyConnection:
    """A connection to an empty database in memory that reaches nothing else. Moments without a zone are UTC."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET enable_external_access = false; SET TimeZone = 'UTC'")
    return connection


def sum_rows(
    connection: DuckDBPyConnection,
    tables: Iterable[pa.Table],
    grain: Grain,
    until: datetime,
    now: datetime,
    clock: Clock,
) -> tuple[int, int]:
    """Make the tables `checked`, which has each row, with its texts if it is refused, and `summed`, which has lines.

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
    length = "INTERVAL 1 HOUR" if grain == "hour" else "INTERVAL 1 DAY"
    connection.execute(_SUMMED.format(length=length), {"until": _naive(until)})
    counts = connection.execute(_COUNTS.format(length=length), {"until": _naive(until)}).fetchall()[0]
    rows, refused, open_rows, summed = map(int, counts)
    if rows != refused + open_rows + summed:
        raise ArithmeticError(f"Of {rows} rows of usage, {refused} are refused, {open_rows} open, and {summed} summed.")
    return rows, open_rows


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
