"""What happens in the destination to rows that are gone: they are marked deleted, or they are removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..schema.records import Rows
from ..schema.tables import child_table_of
from ..schema.tombstones import marked_deleted
from ..warehouse.sql import read_rows_by_key
from .batcher import BATCH_ROWS, Batcher, Tables

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def delete_rows(
    pipeline: SupportsPipeline, batcher: Batcher, keys: Sequence[str], now: datetime, *, hard: bool
) -> Tables:
    """Tables that mark rows deleted, or remove them, with their children. The history gets a version that says so.

    Args:
        pipeline: The pipeline that loads the table; the columns of the rows are read from its destination.
        batcher: The load package of the table.
        keys: Keys of the rows.
        now: When they were found to be gone.
        hard: Remove them: dlt deletes a row that has `_deleted_at`, see the hints of the resource.
    """
    table, history = batcher.table, batcher.history
    endpoint = table.endpoint
    rows = read_rows_by_key(pipeline, endpoint.table, endpoint.row_key, keys, table.organization_id)
    if hard:
        ids = [str(row[endpoint.row_key]) for row in rows]
        emptied = table.arrow([Rows(ids, ids, [{} for _ in ids], now)], batcher.lists) if ids else []
        yield from (one for one in emptied if one[0] != endpoint.table)
    else:
        for child in endpoint.children:
            found = read_rows_by_key(pipeline, child.table, child.parent_key, keys, table.organization_id)
            if found:
                yield child.table, marked_deleted(child_table_of(endpoint, child).schema, found, now)
    marked = marked_deleted(table.schema, rows, now)
    yield endpoint.table, marked
    if history and (versions := history.versions(marked, deleted=True)):
        yield history.name, versions


def end_versions(pipeline: SupportsPipeline, batcher: Batcher, keys: Sequence[str], now: datetime) -> Tables:
    """Versions that say of rows that they are deleted, for rows that were deleted without one.

    Args:
        pipeline: The pipeline that loads the table; its destination is asked for the rows.
        batcher: The load package of the table, with a history.
        keys: Keys of the rows. Those that this run has loaded are left out.
        now: When it was found out.
    """
    table, history = batcher.table, batcher.history
    key = table.endpoint.row_key
    if history is None:
        return
    for some in _batches(keys):
        rows = {row[key]: row for row in history.open_versions(some)}
        # A row that is marked deleted may have changed since the version that is open.
        found = read_rows_by_key(pipeline, table.endpoint.table, key, list(rows), table.organization_id)
        rows.update({row[key]: row for row in found})
        if rows and (
            versions := history.versions(marked_deleted(table.schema, list(rows.values()), now), deleted=True)
        ):
            yield history.name, versions


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from (keys[start : start + BATCH_ROWS] for start in range(0, len(keys), BATCH_ROWS))
