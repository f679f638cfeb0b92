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
_BLANKS = "".join(chr(number) for number in range(0x3001) if chr(number).isspace())
_TIME = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]+([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?"
    r" *(?:(?:[Zz]|UTC)|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?"
)
_PARTS = "['day', 'hour', 'minute', 'second', 'fraction', 'sign', 'zone_hours', 'zone_minutes']"
_PLAIN = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_GROUPED = r"[+-]?[0-9]{1,3}([,'' ’_.][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+"

_MACROS = rf"""
CREATE MACRO said(name, value) AS name || ': ' || substr(value, 2);
CREATE MACRO unusable(value) AS starts_with(value, chr({ord(UNUSABLE)}));
CREATE MACRO shown(value) AS '''' || CASE WHEN length(value) > 58 THEN value[:56] || '...' ELSE value || '''' END;
CREATE MACRO plain(number) AS coalesce(nullif(rtrim(rtrim(number::VARCHAR, '0'), '.'), ''), '0');
CREATE MACRO hidden(value) AS regexp_matches(replace(value, ' ', ''), '[\pC\pZ]');
CREATE MACRO id_problem(name, value) AS CASE
    WHEN unusable(value) THEN said(name, value)
    WHEN hidden(value) THEN name || ': ' || shown(value) || ' has characters that cannot be seen' END;
CREATE MACRO clean(value) AS
    nullif(trim(regexp_replace(value, '[\x00-\x08\x0b-\x1f\x7f-\x{{9f}}]', ' ', 'g'), '{_BLANKS}'), '');
CREATE MACRO whole_digits(value) AS length(ltrim(split_part(value, '.', 1), '+-0'));
CREATE MACRO decimals(value) AS length(rtrim(split_part(value, '.', 2), '0'));
CREATE MACRO exact(value) AS CASE
    WHEN regexp_full_match(value, '{_PLAIN}') AND whole_digits(value) <= {38 - _SCALE} AND decimals(value) <= {_SCALE}
    THEN value::DECIMAL(38, {_SCALE}) END;
CREATE MACRO amount_problem(name, value, most, whole, after, taker) AS CASE
    WHEN value IS NULL THEN name || ' is missing'
    WHEN unusable(value) THEN said(name, value)
    WHEN NOT regexp_full_match(value, '{_PLAIN}') THEN name || ': ' || shown(value) || CASE
        WHEN regexp_full_match(value, '[+-]?[0-9.]+[eE][+-]?[0-9]+') THEN ' has an exponent; write it out in plain digits'
        WHEN regexp_full_match(value, '{_GROUPED}')
        THEN ' is not a number; write it with a decimal point and without separators' ELSE ' is not a number' END
    WHEN value[1] = '-' AND regexp_matches(value, '[1-9]') THEN name || ': ' || shown(value) || ' is negative'
    WHEN length(value) > 60 THEN name || ': ' || shown(value) || ' has too many digits'
    WHEN exact(value) > most THEN name || ': ' || plain(exact(value)) || ' is more than the ' || plain(most) || ' that '
        || taker || ' takes'
    WHEN whole_digits(value) > whole THEN name || ': ' || value || ' has more than ' || whole
        || ' digits before the decimal point'
    WHEN decimals(value) > after THEN name || ': ' || value || ' has more than ' || after
        || ' digits after the decimal point, and is not rounded'
    WHEN exact(value) IS NULL THEN name || ': ' || shown(value) || ' is not a number' END;
CREATE MACRO time_parts(value) AS
    CASE WHEN regexp_full_match(value, '{_TIME}') THEN regexp_extract(value, '{_TIME}', {_PARTS}) END;
CREATE MACRO zone(p) AS coalesce(TRY_CAST(p.sign || p.zone_hours AS INT) * 60
    + TRY_CAST(p.sign || nullif(p.zone_minutes, '') AS INT), TRY_CAST(p.sign || p.zone_hours AS INT) * 60, 0);
CREATE MACRO moment(p) AS CASE WHEN p.hour <> '' THEN TRY_CAST(p.day || ' ' || p.hour || ':' || p.minute || ':'
    || coalesce(nullif(p.second, ''), '00') || '.' || rpad(p.fraction[:6], 6, '0') AS TIMESTAMP)
    - to_minutes(zone(p)) END;
CREATE MACRO time_problem(name, value, read) AS CASE
    WHEN unusable(value) THEN said(name, value)
    WHEN value IS NULL OR read >= DATE '0001-01-01' THEN NULL
    WHEN regexp_full_match(value, '[0-9]+(\.[0-9]+)?') THEN name || ': ' || shown(value) || ' is a number, not a date; {ADVICE}'
    WHEN regexp_full_match(value, '{_TIME}') THEN name || ': ' || shown(value) || ' is not a date: there is no such day'
    ELSE name || ': ' || shown(value) || ' is not a date; {ADVICE}' END;
CREATE MACRO span(seconds) AS CASE WHEN seconds >= 172800 THEN seconds // 86400 || ' days'
    WHEN seconds >= 3600 THEN seconds // 3600 || ' h' WHEN seconds >= 60 THEN seconds // 60 || ' min'
    ELSE greatest(seconds, 1) || ' s' END;
"""

_CHECKED = """
CREATE TABLE checked AS
WITH parted AS (
    SELECT u.*, r.*, time_parts(usage_at) AS at_parts, time_parts(usage_date) AS on_parts
    FROM usage u JOIN rules r ON r.taker = CASE WHEN u.vendor IN (SELECT taker FROM rules) THEN u.vendor ELSE '*' END
), typed AS (
    SELECT *, moment(at_parts) AS at_moment, moment(on_parts) AS on_moment,
        coalesce(at_moment::DATE, CASE WHEN at_parts.hour = '' THEN TRY_CAST(at_parts.day AS DATE) END) AS at_day,
        coalesce(on_moment::DATE, CASE WHEN on_parts.hour = '' THEN TRY_CAST(on_parts.day AS DATE) END) AS on_day,
        coalesce(at_day, on_day) AS day, CASE WHEN at_day IS NULL THEN 'usage_date' ELSE 'usage_at' END AS named,
        at_moment > $now + future AS ahead
    FROM parted
), judged AS (
    SELECT *, [coalesce(id_problem('vendor', vendor), CASE WHEN vendor IS NULL THEN 'vendor is missing' END),
        coalesce(id_problem('listing_id', listing_id), CASE WHEN listing_id IS NULL THEN 'listing_id is missing' END),
        coalesce(id_problem('customer_id', customer_id), CASE WHEN customer_id IS NULL THEN 'customer_id is missing' END),
        coalesce(id_problem('dimension', dimension), CASE WHEN dimension IS NULL THEN 'dimension is missing' END),
        CASE WHEN length(dimension) > key_length THEN 'dimension: has more than ' || key_length || ' characters' END,
        amount_problem('units', units, units_most, units_whole, units_decimals, name),
        amount_problem('price', price, NULL, price_whole, price_decimals, name),
        id_problem('entitlement_id', entitlement_id),
        CASE WHEN unusable(title) THEN said('title', title) END,
        CASE WHEN unusable(description) THEN said('description', description) END,
        CASE WHEN unusable(per) THEN said('per', per) END,
        time_problem('usage_at', usage_at, at_day), time_problem('usage_date', usage_date, on_day),
        CASE WHEN on_moment <> on_day THEN 'usage_date: ' || shown(usage_date)
            || ' has a time of day; a column of moments is called usage_at' END,
        CASE WHEN usage_at IS NULL AND usage_date IS NULL THEN 'usage_at (or usage_date) is missing' END,
        CASE WHEN at_day <> on_day THEN 'usage_at lies on ' || at_day || ' (UTC), usage_date is ' || on_day END,
        CASE WHEN ahead THEN 'usage_at is ' || span(date_diff('second', $now, at_moment)) || ' in the future ('
            || strftime(at_moment, '%Y-%m-%dT%H:%M:%S+00:00') || ')'
            WHEN day > ($now + future)::DATE THEN named || ' is in the future (' || day || ')' END,
        CASE WHEN $grain = 'hour' AND day IS NOT NULL AND at_moment IS NULL
            THEN named || ': has a date only; use --grain day' END
        ] AS problems
    FROM typed
)
SELECT row, coalesce(split_part(broken, chr(10), 1), nullif(array_to_string(problems, '; '), '')) AS reason, broken,
    CASE WHEN problems[1] IS NULL THEN vendor END AS vendor,
    CASE WHEN problems[2] IS NULL THEN listing_id END AS listing_id,
    CASE WHEN problems[3] IS NULL THEN customer_id END AS customer_id,
    CASE WHEN problems[4] IS NULL THEN dimension END AS dimension,
    CASE WHEN problems[8] IS NULL THEN coalesce(entitlement_id, '') ELSE '' END AS entitlement_id,
    CASE WHEN problems[8] IS NULL THEN date_trunc($grain, coalesce(at_moment, CASE WHEN $grain = 'day' THEN day END))
        END::TIMESTAMP AS start,
    day, exact(units) AS exact_units, exact(price) AS exact_price, units, price, usage_at, usage_date,
    clean(title) AS title, clean(description) AS description, clean(per) AS per
FROM judged
"""
_SUMMED = """
CREATE TABLE summed AS
WITH by_price AS (
    SELECT start, vendor, listing_id, customer_id, dimension, entitlement_id, exact_price AS price,
        sum(exact_units) AS units, count(*) AS rows, min(row) AS first, min(row, 10) AS some_rows,
        arg_min(title, row) FILTER (title IS NOT NULL) AS title, min(row) FILTER (title IS NOT NULL) AS title_row,
        arg_min(description, row) FILTER (description IS NOT NULL) AS description,
        min(row) FILTER (description IS NOT NULL) AS description_row,
        arg_min(per, row) FILTER (per IS NOT NULL) AS per, min(row) FILTER (per IS NOT NULL) AS per_row
    FROM checked WHERE reason IS NULL AND start + {length} <= $until GROUP BY ALL
), by_key AS (
    SELECT start, vendor, listing_id, customer_id, dimension, entitlement_id, min(price) AS price, sum(units) AS units,
        sum(rows)::BIGINT AS rows, min(first) AS first, list_sort(flatten(list(some_rows)))[:10] AS some_rows,
        arg_min(title, title_row) AS title, arg_min(description, description_row) AS description,
        arg_min(per, per_row) AS per,
        CASE WHEN count(*) > 1 THEN string_agg(plain(price) || ' in row ' || first, ' and ' ORDER BY first) END AS prices
    FROM by_price GROUP BY ALL
)
SELECT *, min(first) FILTER (entitlement_id <> '')
    OVER (PARTITION BY start, vendor, listing_id, customer_id, dimension) AS named_row
FROM by_key
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
    connection.execute(_MACROS)
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
