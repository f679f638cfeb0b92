"""The query that reads rows of texts: casts them exactly, says what is wrong with each, and sums them to lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ...core.clock import Clock, utc
from ..model import Grain
from ..rules import ANY, known_vendors, rules_of
from .columns import ADVICE, COLUMNS, UNUSABLE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SCALE = 12
"""Decimals of units and prices in the query: the most that a rule allows. With more, a text is refused, not rounded."""
_TIME = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]+([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?"
    r" *(?:(?:[Zz]|UTC)|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?$"
)
_PARTS = "['day', 'hour', 'minute', 'second', 'fraction', 'sign', 'zone_hours', 'zone_minutes']"
_PLAIN = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_DIGITS = r"^[+-]?0*([0-9]*)(?:\.([0-9]*?)0*)?$"
_GROUPED = r"[+-]?[0-9]{1,3}([,'' ’_.][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+"


def plain(number: str) -> str:
    """SQL of the text of a decimal without zeros at its end."""
    return f"rtrim(rtrim({number}::VARCHAR, '0'), '.')"


def _shown(name: str) -> str:
    return f"concat('{name}: ''', CASE WHEN length({name}) > 58 THEN {name}[:56] || '...' ELSE {name} || '''' END)"


def _unusable(name: str) -> str:
    """SQL of the first answer about any column: a value that it cannot take says itself why."""
    return f"WHEN starts_with({name}, chr({ord(UNUSABLE)})) THEN concat('{name}: ', substr({name}, 2))"


def _id_problem(name: str) -> str:
    return f"CASE WHEN {name} IS NULL THEN '{name} is missing' {_unusable(name)} END"


def _exact(name: str) -> str:
    return f"""CASE WHEN regexp_full_match({name}, '{_PLAIN}') AND length({name}_digits.whole) <= {38 - _SCALE}
            AND length({name}_digits.fraction) <= {_SCALE} THEN {name}::DECIMAL(38, {_SCALE}) END AS exact_{name}"""


def _amount_problem(name: str, most: str) -> str:
    shown = _shown(name)
    return f"""CASE WHEN {name} IS NULL THEN '{name} is missing'
        {_unusable(name)}
        WHEN NOT regexp_full_match({name}, '{_PLAIN}') THEN concat({shown}, CASE
            WHEN regexp_full_match({name}, '[+-]?[0-9.]+[eE][+-]?[0-9]+')
            THEN ' has an exponent; write it out in plain digits'
            WHEN regexp_full_match({name}, '{_GROUPED}')
            THEN ' is not a number; write it with a decimal point and without separators' ELSE ' is not a number' END)
        WHEN {name}[1] = '-' AND concat({name}_digits.whole, {name}_digits.fraction) <> ''
        THEN concat({shown}, ' is negative')
        WHEN length({name}) > 60 THEN concat({shown}, ' has too many digits')
        WHEN exact_{name} > {most}
        THEN concat('{name}: ', {plain(f"exact_{name}")}, ' is more than the ', {plain(most)}, ' that ', name, ' takes')
        WHEN length({name}_digits.whole) > {name}_whole
        THEN concat('{name}: ', {name}, ' has more than ', {name}_whole, ' digits before the decimal point')
        WHEN length({name}_digits.fraction) > {name}_decimals THEN concat('{name}: ', {name}, ' has more than ',
            {name}_decimals, ' digits after the decimal point, and is not rounded')
        WHEN exact_{name} IS NULL THEN concat({shown}, ' is not a number') END"""


def _moment(parts: str) -> str:
    """SQL of the moment in UTC that the parts of a time mean; null if there is no such day."""
    hour, minute, second = (f"coalesce(nullif({parts}.{name}, ''), '00')" for name in ("hour", "minute", "second"))
    return f"""TRY_CAST(concat({parts}.day, ' ', {hour}, ':', {minute}, ':', {second}, '.',
        rpad({parts}.fraction[:6], 6, '0')) AS TIMESTAMP)
        - to_minutes(coalesce(TRY_CAST({parts}.sign || {parts}.zone_hours AS INT) * 60, 0)
        + coalesce(TRY_CAST({parts}.sign || {parts}.zone_minutes AS INT), 0))"""


def _time_problem(name: str, read: str) -> str:
    shown = _shown(name)
    return f"""CASE {_unusable(name)}
        WHEN {name} IS NULL OR {read} IS NOT NULL THEN NULL
        WHEN {read}_parts.day <> '' THEN concat({shown}, ' is not a date: there is no such day')
        WHEN regexp_full_match({name}, '[0-9]+(\\.[0-9]+)?') THEN concat({shown}, ' is a number, not a date; {ADVICE}')
        ELSE concat({shown}, ' is not a date; {ADVICE}') END"""


_CLEAN = r"nullif(trim(regexp_replace({0}, '[\x00-\x08\x0b-\x1f\x7f-\x{{9f}}]', ' ', 'g')), '') AS {0}"
_IDS = ("vendor", "listing_id", "customer_id", "dimension")
_TEXTS = ("title", "description", "per")
_PROBLEMS = ",\n".join(
    (
        *map(_id_problem, _IDS),
        "CASE WHEN length(dimension) > key_length"
        " THEN concat('dimension: has more than ', key_length, ' characters') END",
        _amount_problem("units", "units_most"),
        _amount_problem("price", f"NULL::DECIMAL(38, {_SCALE})"),
        *(f"CASE {_unusable(name)} END" for name in ("entitlement_id", *_TEXTS)),
        _time_problem("usage_at", "used"),
        _time_problem("usage_date", "dated"),
    )
)
_CHECKED = f"""
CREATE TABLE checked AS
WITH parted AS (
    SELECT u.*, r.*, regexp_extract(units, '{_DIGITS}', ['whole', 'fraction']) AS units_digits,
        regexp_extract(price, '{_DIGITS}', ['whole', 'fraction']) AS price_digits,
        regexp_extract(usage_at, '{_TIME}', {_PARTS}) AS used_parts,
        regexp_extract(usage_date, '{_TIME}', {_PARTS}) AS dated_parts
    FROM usage u JOIN rules r ON r.taker = CASE WHEN u.vendor IN (SELECT taker FROM rules) THEN u.vendor ELSE '*' END
), timed AS (
    SELECT *, {_exact("units")}, {_exact("price")},
        {_moment("used_parts")} AS used_read, {_moment("dated_parts")} AS dated_read,
        CASE WHEN used_read >= DATE '0001-01-01' AND used_read < DATE '9999-12-31' THEN used_read END AS used,
        CASE WHEN dated_read >= DATE '0001-01-01' AND dated_read < DATE '9999-12-31' THEN dated_read END AS dated,
        coalesce(used, dated)::DATE AS day, CASE WHEN used IS NULL THEN 'usage_date' ELSE 'usage_at' END AS named
    FROM parted
), moved AS (
    SELECT *, CASE WHEN used_parts.hour <> '' THEN used END AS moment, date_diff('second', $now, moment) AS ahead
    FROM timed
), judged AS (
    SELECT *, [{_PROBLEMS},
        CASE WHEN dated::TIME <> TIME '00:00' THEN concat({_shown("usage_date")},
            ' has a time of day; a column of moments is called usage_at') END,
        CASE WHEN usage_at IS NULL AND usage_date IS NULL THEN 'usage_at (or usage_date) is missing' END,
        CASE WHEN used::DATE <> dated::DATE
            THEN concat('usage_at lies on ', used::DATE, ' (UTC), usage_date is ', dated::DATE) END,
        CASE WHEN moment > $now + future THEN concat('usage_at is ', CASE
                WHEN ahead >= 172800 THEN concat(ahead // 86400, ' days')
                WHEN ahead >= 3600 THEN concat(ahead // 3600, ' h')
                WHEN ahead >= 60 THEN concat(ahead // 60, ' min') ELSE concat(greatest(ahead, 1), ' s') END,
                ' in the future (', strftime(moment, '%Y-%m-%dT%H:%M:%S+00:00'), ')')
            WHEN day > ($now + future)::DATE THEN concat(named, ' is in the future (', day, ')') END,
        CASE WHEN $grain = 'hour' AND day IS NOT NULL AND moment IS NULL
            THEN concat(named, ': has a date only; use --grain day') END
        ] AS problems
    FROM moved
)
SELECT row, coalesce(split_part(broken, chr(10), 1), nullif(array_to_string(problems, '; '), '')) AS reason, broken,
    {", ".join(f"CASE WHEN problems[{place}] IS NULL THEN {name} END AS {name}" for place, name in enumerate(_IDS, 1))},
    CASE WHEN problems[8] IS NULL THEN coalesce(entitlement_id, '') ELSE '' END AS entitlement_id,
    CASE WHEN problems[8] IS NULL AND ($grain = 'day' OR moment IS NOT NULL)
        THEN date_trunc($grain, coalesce(moment, day::TIMESTAMP)) END::TIMESTAMP AS start,
    day, exact_units, exact_price, units, price, usage_at, usage_date, {", ".join(map(_CLEAN.format, _TEXTS))}
FROM judged
"""
_KEY = "start, vendor, listing_id, customer_id, dimension, entitlement_id"
_SUMMED = f"""
CREATE TABLE summed AS
WITH by_key AS (
    SELECT {_KEY}, min(exact_price) AS price, max(exact_price) AS highest, sum(exact_units) AS units,
        count(*) AS rows, min(row) AS first, min(row, 10) AS some_rows,
        {", ".join(f"arg_min({name}, row) FILTER ({name} IS NOT NULL) AS {name}" for name in _TEXTS)}
    FROM checked WHERE reason IS NULL AND start + {{length}} <= $until GROUP BY {_KEY}
), by_price AS (
    SELECT {_KEY}, exact_price, min(row) AS first
    FROM checked SEMI JOIN (SELECT {_KEY} FROM by_key WHERE price <> highest) USING ({_KEY})
    WHERE reason IS NULL GROUP BY {_KEY}, exact_price
), several AS (
    SELECT {_KEY}, string_agg(concat({plain("exact_price")}, ' in row ', first), ' and ' ORDER BY first) AS prices
    FROM by_price GROUP BY {_KEY}
)
SELECT by_key.*, prices, min(first) FILTER (entitlement_id <> '')
    OVER (PARTITION BY start, vendor, listing_id, customer_id, dimension) AS named_row
FROM by_key LEFT JOIN several USING ({_KEY})
"""
_COUNTS = """
SELECT count(*), count(reason), count(*) FILTER (reason IS NULL AND start + {length} > $until),
    (SELECT coalesce(sum(rows), 0) FROM summed)
FROM checked
"""


def connect() -> DuckDBPyConnection:
    """A connection to an empty database in memory that reaches nothing outside of it."""
    connection = duckdb.connect(":memory:")
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
    """Make the tables `checked`, which has each row, with the reason if it is refused, and `summed`, which has lines.

    Args:
        connection: From `connect`.
        tables: The rows, from `readers`.
        grain: Whether lines stand for hours or for days.
        until: Moment up to which the usage is complete, aware. Later hours and days are open: they are not summed.
        now: Time before the usage was read. Usage that arrives while it is read is not in the future.
        clock: Gives the time after it was read.

    Returns:
        Number of rows, and of those that are in order and of an open hour or day.

    Raises:
        ArithmeticError: A row is neither summed, nor refused, nor open.
    """
    names = ", ".join(f"{name} VARCHAR" for name in COLUMNS)
    connection.execute(f"CREATE TABLE usage (row BIGINT, broken VARCHAR, {names})")
    texts = ", ".join(f"nullif({name}, '')" for name in COLUMNS).replace(
        "nullif(vendor, '')", "nullif(lower(vendor), '')"
    )
    for table in tables:
        connection.register("batch", table)
        connection.execute(f"INSERT INTO usage SELECT row, broken, {texts} FROM batch")
        connection.unregister("batch")
    _add_rules(connection)
    read_by = max(now, utc(clock.time()))
    connection.execute(_CHECKED, {"now": _naive(read_by), "grain": grain})
    length = "INTERVAL 1 HOUR" if grain == "hour" else "INTERVAL 1 DAY"
    connection.execute(_SUMMED.format(length=length), {"until": _naive(until)})
    counts = connection.execute(_COUNTS.format(length=length), {"until": _naive(until)}).fetchall()[0]
    rows, refused, open_rows, summed = map(int, counts)
    if rows != refused + open_rows + summed:
        raise ArithmeticError(f"Of {rows} rows of usage, {refused} are refused, {open_rows} open, and {summed} summed.")
    return rows, open_rows


def _add_rules(connection: DuckDBPyConnection) -> None:
    connection.execute(
        f"CREATE TABLE rules (taker VARCHAR, name VARCHAR, units_most DECIMAL(38, {_SCALE}), units_whole INT, "
        "units_decimals INT, price_whole INT, price_decimals INT, key_length INT, future INTERVAL)"
    )
    for vendor in (*known_vendors(), ANY):
        rules = rules_of(vendor)
        digits = (rules.units_whole, rules.units_decimals, rules.price_whole, rules.price_decimals)
        name = "any marketplace" if vendor == ANY else vendor
        values = (vendor, name, rules.units_most, *digits, rules.key_length, rules.future_tolerance)
        connection.execute(f"INSERT INTO rules VALUES ({', '.join('?' * len(values))})", values)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
