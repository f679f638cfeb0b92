"""What happens in the destination to rows that are gone: they are marked deleted, or they are removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ..schema.child_tables import child_schema
from ..schema.records import Row
from ..schema.tombstones import marked_deleted
from ..warehouse.sql import read_rows_by_key
from .batcher import Batcher, Tables

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
        key = endpoint.key[0]
        emptied = [Row(str(row[endpoint.row_key]), "", {key: row[endpoint.row_key]}, now) for row in rows]
        yield from batcher.children(emptied)
    else:
        for child in endpoint.children:
            found = read_rows_by_key(pipeline, child.table, child.parent_key, keys, table.organization_id)
            if found:
                yield child.table, marked_deleted(child_schema(child, endpoint.by_organization), found, now)
    marked = batcher.stamped(marked_deleted(table.schema, rows, now))
    yield endpoint.table, marked
    if history and (versions := history.versions(marked, deleted=True)):
        yield history.name, versions
