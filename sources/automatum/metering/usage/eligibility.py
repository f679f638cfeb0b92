"""Checks lines against the synced tables: does the customer exist, with an active entitlement for what was used, at
this price?
"""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from ...endpoints import CUSTOMERS, ENTITLEMENTS
from ...schema.columns import DELETED_AT
from ...warehouse.sql import column_names, organization_filter, read_rows
from ...warehouse.sql_client import one_client
from .columns import Kind, as_text
from .query import KEY, SCALE, plain

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
    from duckdb import DuckDBPyConnection

_DIMENSIONS = ENTITLEMENTS.children[0]
_BATCH = 20_000
_KEY = ", ".join((*KEY, "day"))
_ASKED = f"CREATE TABLE asked AS SELECT DISTINCT {', '.join(KEY)}, start::DATE AS day FROM summed"
_UNCHECKED = """CREATE TABLE eligible AS
    SELECT *, NULL::VARCHAR AS wrong, NULL::VARCHAR AS currency, NULL::VARCHAR[] AS prices FROM asked"""
_TABLES: dict[str, dict[str, Kind]] = {
    CUSTOMERS.table: {"id": "text", "vendor": "text", DELETED_AT: "time"},
    ENTITLEMENTS.table: {
        **dict.fromkeys(("id", "customer_id", "listing_id", "vendor", "status", "currency"), "text"),
        **dict.fromkeys(("start_date", "end_date", "expires_at", DELETED_AT), "time"),
    },
    _DIMENSIONS.table: {_DIMENSIONS.parent_key: "text", "key": "text", "price": "amount"},
}
"""Columns that are read, with the kinds of their values."""
# Only a status that is known as active is billed while the term goes on. Usage of a term that is over is billed if it
# is of the days of the term, unless the term never began.
_ELIGIBLE = f"""
CREATE TABLE eligible AS
WITH own AS (
    -- Each customer once: a second row would repeat the lines.
    SELECT id, min(lower(vendor)) AS vendor, bool_and({DELETED_AT} IS NOT NULL) AS deleted
    FROM {CUSTOMERS.table} GROUP BY id
), entitled AS (
    SELECT id, customer_id, nullif(listing_id, '') AS listing_id, nullif(lower(vendor), '') AS vendor,
        nullif(lower(status), '') AS status, start_date::TIMESTAMP::DATE AS starts,
        coalesce(end_date, expires_at)::TIMESTAMP::DATE AS ends,
        nullif(currency, '') AS currency
    FROM {ENTITLEMENTS.table} WHERE {DELETED_AT} IS NULL
), dimensions AS (
    SELECT {_DIMENSIONS.parent_key} AS entitlement_id, key, {plain(f"TRY_CAST(price AS DECIMAL(38, {SCALE}))")} AS price
    FROM {_DIMENSIONS.table} WHERE key <> ''
), pairs AS (
    SELECT a.*, e.id, e.vendor AS on_vendor, e.currency, d.key, d.price,
        e.id IN (SELECT entitlement_id FROM dimensions) AS listed,
        a.entitlement_id IN ('', e.id) AS named, named AND coalesce(e.vendor = a.vendor, true) AS there,
        CASE WHEN a.day < e.starts THEN concat(e.id, ' begins on ', e.starts)
            WHEN a.day > e.ends THEN concat(e.id, ' ended on ', e.ends)
            WHEN e.status IS NULL OR e.status IN ('active', 'subscribed') THEN NULL
            WHEN e.ends <= $today AND NOT regexp_matches(e.status, 'pending|suspend|pause|draft|not.?started') THEN NULL
            ELSE concat(e.id, ' is ', e.status) END AS inactive,
        there AND inactive IS NULL AS live
    FROM asked a JOIN entitled e ON e.customer_id = a.customer_id AND coalesce(e.listing_id = a.listing_id, true)
    LEFT JOIN dimensions d ON d.entitlement_id = e.id AND d.key = a.dimension
), found AS (
    SELECT {_KEY}, bool_or(named) AS has_named, bool_or(there) AS has_there, bool_or(live) AS has_live,
        min(on_vendor) FILTER (named) AS other, list(inactive ORDER BY id) FILTER (there)[:5] AS reasons,
        bool_and(listed) FILTER (live) AS all_known,
        list(DISTINCT id ORDER BY id) FILTER (live AND key IS NOT NULL) AS offering,
        coalesce(offering, list(DISTINCT id ORDER BY id) FILTER (live AND NOT listed)) AS fitting,
        CASE WHEN count(DISTINCT coalesce(currency, '')) FILTER (live) = 1 THEN min(currency) FILTER (live) END
            AS currency,
        list(DISTINCT price ORDER BY price) FILTER (live AND price IS NOT NULL) AS prices
    FROM pairs GROUP BY {_KEY}
), others AS (
    -- Only of what no entitlement offers: for each line, the keys of its entitlements would take most of the memory.
    SELECT {_KEY}, string_agg(DISTINCT dimensions.key, ', ' ORDER BY dimensions.key) AS keys
    FROM pairs SEMI JOIN (FROM found WHERE all_known AND offering IS NULL) USING ({_KEY})
    JOIN dimensions ON dimensions.entitlement_id = pairs.id WHERE live GROUP BY {_KEY}
)
SELECT a.*, f.currency, f.prices, CASE
    WHEN $customers AND c.id IS NULL
    THEN concat('customer_id: ', a.customer_id, ' is not among the synced customers', $sync)
    WHEN $customers AND c.deleted THEN concat('customer_id: ', a.customer_id, ' was deleted')
    WHEN $customers AND c.vendor <> a.vendor
    THEN concat('vendor: ', a.customer_id, ' is a customer on ', c.vendor, ', not on ', a.vendor)
    WHEN NOT $entitlements THEN NULL
    WHEN has_named IS NULL
    THEN concat('listing_id: ', a.customer_id, ' has no entitlement for ', a.listing_id, $sync)
    WHEN NOT has_named
    THEN concat('entitlement_id: ', a.customer_id, ' has no entitlement ', a.entitlement_id, ' for ', a.listing_id,
        $sync)
    WHEN NOT has_there
    THEN concat('vendor: the entitlement for ', a.listing_id, ' is on ', other, ', not on ', a.vendor)
    WHEN NOT has_live
    THEN concat('listing_id: no entitlement of ', a.customer_id, ' for ', a.listing_id, ' was active on ', a.day, ' (',
        array_to_string(reasons, ', '), ', as of the last sync)')
    WHEN all_known AND offering IS NULL
    THEN concat('dimension: ', a.dimension, ' is not among those of the entitlement: ', keys)
    WHEN a.entitlement_id = '' AND len(fitting) > 1
    THEN concat('entitlement_id is missing: ', a.customer_id, ' has ', len(fitting), ' active entitlements for ',
        a.listing_id, ' with ', a.dimension, ' (', array_to_string(fitting[:5], ', '), '); name the one that was used')
    END AS wrong
FROM asked a LEFT JOIN found f USING ({_KEY}) LEFT JOIN others USING ({_KEY}) LEFT JOIN own c ON c.id = a.customer_id
"""


def add_eligible(
    connection: DuckDBPyConnection, pipeline: SupportsPipeline | None, organization_id: str | None, now: datetime
) -> tuple[str, ...]:
    """Make the table `eligible` of the table `summed`, and of the customers and entitlements of the last sync.

    It has each key and day of `summed`, with what is wrong, the currency and the prices.

    Missing data is not checked: a table that is missing or empty, a column that is always null. The API's field names
    for entitlements are assumptions.

    Args:
        connection: From `query.connect`, after `query.sum_rows`.
        pipeline: The pipeline that syncs the tables; None to check nothing.
        organization_id: Organization of the rows, if the tables contain several organizations.
        now: The current time, aware.

    Returns:
        Tables that are missing or empty, so that nothing was checked against them.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    connection.execute(_ASKED)
    if pipeline is None:
        connection.execute(_UNCHECKED)
        return CUSTOMERS.table, ENTITLEMENTS.table
    with one_client(pipeline):
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(f'{name} VARCHAR' for name in columns)})")
            # A price that the vendor never gave is no column.
            there = [name for name in columns if name != "price" or name in column_names(pipeline, table)]
            rows = read_rows(pipeline, table, there, organization_filter(organization_id))
            while batch := list(islice(rows, _BATCH)):
                texts = [
                    pa.array([as_text(value, columns[name]) for value in values], pa.string())
                    for name, values in zip(there, zip(*batch, strict=True), strict=True)
                ]
                connection.register("batch", pa.Table.from_arrays(texts, names=there))
                connection.execute(f"INSERT INTO {table} BY NAME FROM batch")
        # If only other organizations are synced, this usage may be for their customers.
        others = organization_id is not None and any(read_rows(pipeline, CUSTOMERS.table, ("id",)))
    found = connection.execute(
        f"SELECT EXISTS (FROM {CUSTOMERS.table}), EXISTS (FROM {ENTITLEMENTS.table} WHERE customer_id <> '')"
    ).fetchall()[0]
    known = {"customers": others or found[0], "entitlements": found[1]}
    values = {"today": now.astimezone(timezone.utc).date(), "sync": "; run `automatum sync` if it is new"}
    connection.execute(_ELIGIBLE, {**values, **known})
    return tuple(table for table, checked in zip(_TABLES, known.values(), strict=False) if not checked)
