"""Rows that say that a row is gone, and the versions that history keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from .endpoints import Endpoint
from .records import DELETED_AT, ROW_HASH, SYNCED_AT

VERSION = "_version"
IS_DELETED = "deleted"


def marked_deleted(schema: pa.Schema, rows: Sequence[dict[str, Any]], at: datetime) -> pa.Table:
    """Rows of the destination as they are, marked deleted.

    Args:
        schema: Schema of their table.
        rows: Rows as the destination gave them, by lower-case column name.
        at: When they were found to be gone.
    """
    arrays = []
    for one in schema:
        if one.name in (DELETED_AT, SYNCED_AT):
            arrays.append(pa.array([at] * len(rows), one.type))
        else:
            arrays.append(pa.array([_fitting(row.get(one.name), one.type) for row in rows], one.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _fitting(value: Any, type_: pa.DataType) -> Any:
    """A value of the destination as Arrow wants it: JSON columns come parsed from some, and times without zone."""
    if pa.types.is_string(type_) and isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return value


def history_table(endpoint: Endpoint) -> str:
    """Name of the table that keeps every version."""
    return f"{endpoint.table}_history"


def versions(table: pa.Table, deleted: bool) -> pa.Table:
    """Rows of a table as versions: what identifies a version is the content, and whether it is a deletion."""
    version = pc.binary_join_element_wise(table[ROW_HASH], ":deleted", "") if deleted else table[ROW_HASH]
    kept = table.drop_columns([DELETED_AT])
    kept = kept.append_column(pa.field(IS_DELETED, pa.bool_(), nullable=False), pa.array([deleted] * len(table)))
    return kept.append_column(pa.field(VERSION, pa.string(), nullable=False), version)
