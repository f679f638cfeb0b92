"""What happens in the destination to rows that are gone: they are marked deleted, or they are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from ..schema.columns import DELETED_AT, SYNCED_AT, VALID_FROM
from ..schema.records import Rows
from ..schema.tables import child_table_of
from ..warehouse.sql import as_utc, read_rows_by_key
from .batcher import Batcher, Tables

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def delete_rows(
    pipeline: SupportsPipeline, batcher: Batcher, keys: Sequence[str], now: datetime, hard: bool, past: bool = False
) -> Tables:
    """Tables that mark rows deleted, or remove them, with their children. The history gets a version that says so.

    Args:
        pipeline: The pipeline that loads the table; the columns of the rows are read from its destination.
        batcher: The load package of the table.
        keys: Keys of the rows.
        now: When they were found to be gone.
        hard: Remove them: dlt deletes a row that has `_deleted_at`, see the hints of the resource.
        past: They are marked or removed already, and only the history does not say so.
    """
    table, history = batcher.table, batcher.history
    endpoint = table.endpoint
    rows = read_rows_by_key(pipeline, endpoint.table, endpoint.row_key, keys, table.organization_id)
    if past:
        pass
    elif hard:
        ids = [str(row[endpoint.row_key]) for row in rows]
        emptied = Rows(ids, ids, [{} for _ in ids], now)
        yield from (one for one in table.arrow([emptied], batcher.lists) if one[0] != endpoint.table)
    else:
        for child in endpoint.children:
            found = read_rows_by_key(pipeline, child.table, child.parent_key, keys, table.organization_id)
            if found:
                yield child.table, _marked_deleted(child_table_of(endpoint, child).schema, found, now)
    if not past:
        yield endpoint.table, _marked_deleted(table.schema, rows, now)
    if history is None:
        return
    if lost := sorted({*keys} - {str(row[endpoint.row_key]) for row in rows}):  # Removed while no history was kept.
        found = read_rows_by_key(pipeline, history.name, endpoint.row_key, lost, table.organization_id)
        found.sort(key=lambda row: as_utc(row[VALID_FROM]))
        rows += {row[endpoint.row_key]: row for row in found}.values()
    if rows:
        yield history.name, history.versions(_marked_deleted(table.schema, rows, now), deleted=True)


def _marked_deleted(schema: pa.Schema, rows: Sequence[Mapping[str, Any]], at: datetime) -> pa.Table:
    """Rows as the destination returned them, marked deleted; a column that it lacks is null."""
    marks = {DELETED_AT: at, SYNCED_AT: at}
    made = [{one.name: _fitting(row.get(one.name), one.type) for one in schema} | marks for row in rows]
    return pa.Table.from_pylist(made, schema=schema)


def _fitting(value: Any, type_: pa.DataType) -> Any:
    """A value as Arrow takes it. Some destinations return JSON parsed, and drivers a time beyond Python's as text."""
    if isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return None if isinstance(value, str) and pa.types.is_temporal(type_) else value
