"""Checks lines against the synced tables: does the customer exist, with an active entitlement for what was used, at
this price?
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...endpoints import CUSTOMERS, ENTITLEMENTS
from ...schema.columns import DELETED_AT
from ...warehouse.sql import read_column_names, stream_columns
from ...warehouse.sql_client import one_client
from ...warehouse.values import as_utc
from ..model import format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
    from duckdb import DuckDBPyConnection

_DIMENSIONS = ENTITLEMENTS.children[0]
_ENTITLEMENT = (
    "id",
    "customer_id",
    "listing_id",
    "vendor",
    "status",
    "start_date",
    "end_date",
    "expires_at",
    "currency",
)
_KEY = "vendor, listing_id, customer_id, dimension, entitlement_id, day"

_TABLES = """
CREATE TABLE customers (id VARCHAR, vendor VARCHAR, deleted BOOLEAN);
CREATE TABLE entitlements (id VARCHAR, customer_id VARCHAR, listing_id VARCHAR, vendor VARCHAR, status VARCHAR,
    starts DATE, ends DATE, currency VARCHAR);
CREATE TABLE dimensions (entitlement_id VARCHAR, key VARCHAR, price VARCHAR);
"""
# Only a status that is known as active is billed while the term goes on. Usage of a term that is over is billed if it
# is of the days of the term, unless the term never began.
_ELIGIBLE = f"""
CREATE TABLE eligible AS
WITH pairs AS (
    SELECT a.*, e.id, e.vendor AS on_vendor, e.currency, k.keys,
        a.entitlement_id IN ('', e.id) AS named, named AND coalesce(e.vendor = a.vendor, true) AS there,
        CASE WHEN a.day < e.starts THEN concat(e.id, ' begins on ', e.starts)
            WHEN a.day > e.ends THEN concat(e.id, ' ended on ', e.ends)
            WHEN e.status IS NULL OR e.status IN ('active', 'subscribed') THEN NULL
            WHEN e.ends <= $today AND NOT regexp_matches(e.status, 'pending|suspend|pause|draft|not.?started') THEN NULL
            ELSE concat(e.id, ' is ', e.status) END AS inactive,
        there AND inactive IS NULL AS live,
        (SELECT list(DISTINCT d.price ORDER BY d.price) FILTER (d.price IS NOT NULL) FROM dimensions d
            WHERE d.entitlement_id = e.id AND d.key = a.dimension) AS prices
    FROM asked a JOIN entitlements e ON e.customer_id = a.customer_id AND coalesce(e.listing_id = a.listing_id, true)
    LEFT JOIN (SELECT entitlement_id, list(DISTINCT key) AS keys FROM dimensions GROUP BY 1) k
        ON k.entitlement_id = e.id
), found AS (
    SELECT {_KEY}, bool_or(named) AS has_named, bool_or(there) AS has_there, bool_or(live) AS has_live,
        min(on_vendor) FILTER (named) AS other, list(inactive ORDER BY id) FILTER (there)[:5] AS reasons,
        bool_and(keys IS NOT NULL) FILTER (live) AS all_known,
        list_sort(list_distinct(flatten(list(keys) FILTER (live)))) AS keys,
        list(id ORDER BY id) FILTER (live AND list_contains(keys, dimension)) AS offering,
        coalesce(offering, list(id ORDER BY id) FILTER (live AND keys IS NULL)) AS fitting,
        CASE WHEN count(DISTINCT coalesce(currency, '')) FILTER (live) = 1 THEN min(currency) FILTER (live) END
            AS currency,
        list_sort(list_distinct(flatten(list(prices) FILTER (live)))) AS prices
    FROM pairs GROUP BY {_KEY}
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
    THEN concat('dimension: ', a.dimension, ' is not among those of the entitlement: ', array_to_string(keys, ', '))
    WHEN a.entitlement_id = '' AND len(fitting) > 1
    THEN concat('entitlement_id is missing: ', a.customer_id, ' has ', len(fitting), ' active entitlements for ',
        a.listing_id, ' with ', a.dimension, ' (', array_to_string(fitting[:5], ', '), '); name the one that was used')
    END AS wrong
FROM asked a LEFT JOIN found f USING ({_KEY}) LEFT JOIN customers c ON c.id = a.customer_id
"""


def add_eligible(
    connection: DuckDBPyConnection, pipeline: SupportsPipeline, organization_id: str | None, now: datetime
) -> tuple[str, ...]:
    """Make the table `eligible` of the table `asked`, and of the customers and entitlements of the last sync.

    Missing data is not checked: a table that is missing or empty, a column that is always null. The API's field names
    for entitlements are assumptions.

    Args:
        connection: From `query.connect`; its table `asked` has vendor, listing, customer, dimension, entitlement
            ("" for none) and day.
        pipeline: The pipeline that syncs the tables.
        organization_id: Organization of the rows, if the tables contain several organizations.
        now: The current time, aware.

    Returns:
        Tables that are missing or empty, so that nothing was checked against them.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    connection.execute(_TABLES)
    wanted = {customer for (customer,) in connection.execute("SELECT DISTINCT customer_id FROM asked").fetchall()}
    with one_client(pipeline):
        customers = _add_customers(connection, pipeline, organization_id, wanted)
        if not customers and organization_id is not None:
            # If only other organizations are synced, this usage may be for their customers.
            customers = _add_customers(connection, pipeline, None, frozenset())
        entitlements, ids = _add_entitlements(connection, pipeline, organization_id, wanted)
        if ids:
            _add_dimensions(connection, pipeline, organization_id, ids)
    today = now.astimezone(timezone.utc).date()
    known = {"customers": customers, "entitlements": entitlements}
    connection.execute(_ELIGIBLE, {"today": today, "sync": "; run `automatum sync` if it is new", **known})
    return tuple(
        name for table, name in ((customers, CUSTOMERS.table), (entitlements, ENTITLEMENTS.table)) if not table
    )


def _add_customers(
    connection: DuckDBPyConnection, pipeline: SupportsPipeline, organization_id: str | None, wanted: Collection[str]
) -> bool:
    rows = stream_columns(pipeline, CUSTOMERS.table, ("id", "vendor", DELETED_AT), organization_id=organization_id)
    seen, found = False, {}  # Each customer once: a second row would repeat the lines.
    for id_, vendor, deleted_at in rows:
        seen = True
        if id_ in wanted:
            found[id_] = (id_, _lower(vendor), deleted_at is not None)
    _insert(connection, "customers", list(found.values()))
    return seen


def _add_entitlements(
    connection: DuckDBPyConnection, pipeline: SupportsPipeline, organization_id: str | None, wanted: Collection[str]
) -> tuple[bool, set[str]]:
    columns = (*_ENTITLEMENT, DELETED_AT)
    linked, found = False, []
    for id_, customer, listing, vendor, status, start, end, expires, currency, deleted_at in stream_columns(
        pipeline, ENTITLEMENTS.table, columns, organization_id=organization_id
    ):
        linked = linked or bool(customer)
        if customer in wanted and deleted_at is None:
            ends = _day(end) or _day(expires)
            texts = (id_, customer, listing or None, _lower(vendor), _lower(status))
            found.append((*texts, _day(start), ends, currency or None))
    _insert(connection, "entitlements", found)
    return linked, {row[0] for row in found}


def _add_dimensions(
    connection: DuckDBPyConnection, pipeline: SupportsPipeline, organization_id: str | None, ids: Collection[str]
) -> None:
    columns = [_DIMENSIONS.parent_key, "key"]
    if {*columns, "price"} <= read_column_names(pipeline, _DIMENSIONS.table):
        columns.append("price")
    found = []
    for parent, key, *named in stream_columns(pipeline, _DIMENSIONS.table, columns, organization_id=organization_id):
        if key and parent in ids:
            price = named[0] if named else None
            found.append((parent, key, None if price is None else format_decimal(Decimal(str(price)))))
    _insert(connection, "dimensions", found)


def _insert(connection: DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        columns = list(zip(*rows, strict=True))
        batch = pa.table([pa.array(column) for column in columns], names=[f"c{at}" for at in range(len(columns))])
        connection.register("batch", batch)
        connection.execute(f"INSERT INTO {table} FROM batch")
        connection.unregister("batch")


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None


def _day(value: Any) -> date | None:
    return as_utc(value).astimezone(timezone.utc).date() if value else None
