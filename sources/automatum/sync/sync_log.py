"""What is written down about a sweep: one row when it has its verdict, one a page while it has not.

Page records are loaded with the rows of their pages, in the same package, and only when a sweep outlives its chunk;
they are what a later run, on whatever machine, goes on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from ..endpoints import ORGANIZATION
from ..schema.arrow_tables import EXTRA, SYNCED_AT, dumps
from .results import Counts, PageRecord

_STAMP = pa.timestamp("us", tz="UTC")

SWEEPS_SCHEMA = pa.schema(
    [
        pa.field("sweep_id", pa.string(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("started_at", _STAMP),
        pa.field("finished_at", _STAMP),
        pa.field("pages", pa.int64()),
        pa.field("requests", pa.int64()),
        pa.field("announced", pa.int64()),
        pa.field("distinct_keys", pa.int64()),
        pa.field("inserted", pa.int64()),
        pa.field("updated", pa.int64()),
        pa.field("deleted", pa.int64()),
        pa.field("unchanged", pa.int64()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("load_id", pa.string()),
        pa.field(EXTRA, pa.string()),
        pa.field(SYNCED_AT, _STAMP, nullable=False),
    ]
)

PAGES_SCHEMA = pa.schema(
    [
        pa.field("sweep_id", pa.string(), nullable=False),
        pa.field("page", pa.int64(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("keys", pa.string()),
        pa.field("total", pa.int64()),
        pa.field("read_at", _STAMP),
        pa.field("load_id", pa.string()),
        pa.field("state", pa.string()),
        pa.field("started_at", _STAMP),
        pa.field("requests", pa.int64()),
        pa.field(EXTRA, pa.string()),
        pa.field(SYNCED_AT, _STAMP, nullable=False),
    ]
)


def sweep_row(
    *,
    sweep_id: str,
    table: str,
    started_at: datetime,
    finished_at: datetime,
    pages: int,
    requests: int,
    announced: int | None,
    distinct: int,
    counts: Counts,
    verdict: str,
    reason: str,
    facts: dict[str, Any],
    load_id: str,
    organization_id: str | None = None,
) -> pa.Table:
    """The row of a sweep that has its verdict. `facts` are for the next one to read."""
    values = [
        sweep_id, table, started_at, finished_at, pages, requests, announced, distinct,
        counts.inserted, counts.updated, counts.deleted, counts.unchanged,
        verdict, reason or None, load_id, dumps(facts).decode() if facts else None, finished_at,
    ]  # fmt: skip
    arrays = [pa.array([value], one.type) for value, one in zip(values, SWEEPS_SCHEMA, strict=True)]
    return _owned(pa.Table.from_arrays(arrays, schema=SWEEPS_SCHEMA), organization_id)


def page_rows(
    *,
    sweep_id: str,
    table: str,
    started_at: datetime,
    requests: int,
    records: Sequence[PageRecord],
    state: dict[str, Any],
    facts: dict[str, Any],
    load_id: str,
    organization_id: str | None = None,
) -> pa.Table:
    """The rows of pages whose sweep goes on in another chunk; the latest of them carries what the sweep knows."""
    last = max(range(len(records)), key=lambda i: records[i].read_at)
    count = len(records)
    columns: list[list[Any]] = [
        [sweep_id] * count,
        [one.page for one in records],
        [table] * count,
        [dumps(one.keys).decode() for one in records],
        [one.total for one in records],
        [one.read_at for one in records],
        [load_id] * count,
        [dumps(state).decode() if i == last else None for i in range(count)],
        [started_at] * count,
        [requests] * count,
        [dumps(facts).decode()] * count,
        [one.read_at for one in records],
    ]
    arrays = [pa.array(values, one.type) for values, one in zip(columns, PAGES_SCHEMA, strict=True)]
    return _owned(pa.Table.from_arrays(arrays, schema=PAGES_SCHEMA), organization_id)


def _owned(table: pa.Table, organization_id: str | None) -> pa.Table:
    """With the column `organization_id` in front, where the tables hold several organizations."""
    if organization_id is None:
        return table
    owner = pa.array([organization_id] * len(table), pa.string())
    return table.add_column(0, pa.field(ORGANIZATION, pa.string(), nullable=False), owner)
