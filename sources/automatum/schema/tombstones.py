"""Rows that are read from the destination, to be written again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from .columns import DELETED_AT, SYNCED_AT


def from_destination(schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of the destination as they are.

    Args:
        schema: Schema of their table.
        rows: Rows as the destination returned them, by lower-case column name; a column that it lacks is null.
    """
    arrays = [pa.array([_fitting(row.get(one.name), one.type) for row in rows], one.type) for one in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def marked_deleted(schema: pa.Schema, rows: Sequence[dict[str, Any]], at: datetime) -> pa.Table:
    """Rows of the destination, marked deleted.

    Args:
        schema: Schema of their table.
        rows: Rows as the destination returned them.
        at: When they were found to be gone.
    """
    return from_destination(schema, [{**row, DELETED_AT: at, SYNCED_AT: at} for row in rows])


def _fitting(value: Any, type_: pa.DataType) -> Any:
    """A value of the destination as Arrow takes it: some destinations return JSON columns parsed."""
    if pa.types.is_string(type_) and isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return value
