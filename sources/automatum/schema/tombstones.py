"""Rows that are read from the destination, to be written again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from .coerce import convert
from .columns import DELETED_AT, EXTRA, SYNCED_AT
from .json_text import column_text


def from_destination(schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of the destination as they are.

    Args:
        schema: Schema of their table.
        rows: Rows as the destination returned them, by lower-case column name; a column that it lacks is null.
    """
    fitting = [_fitting_row(row, schema) for row in rows]
    arrays = [pa.array([row[one.name] for row in fitting], one.type) for one in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def marked_deleted(schema: pa.Schema, rows: Sequence[dict[str, Any]], at: datetime) -> pa.Table:
    """Rows of the destination, marked deleted.

    Args:
        schema: Schema of their table.
        rows: Rows as the destination returned them.
        at: When they were found to be gone.
    """
    return from_destination(schema, [{**row, DELETED_AT: at, SYNCED_AT: at} for row in rows])


def _fitting_row(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """A row as Arrow takes it.

    Some destinations return JSON columns parsed. Earlier versions loaded dates outside of the years 1 to 9999, which
    drivers return as text: such a value goes to `extra`.
    """
    fitting: dict[str, Any] = {}
    misfits: dict[str, str] = {}
    for one in schema:
        value = row.get(one.name)
        if pa.types.is_string(one.type) and isinstance(value, (dict, list)):
            value = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        elif pa.types.is_temporal(one.type) and isinstance(value, str):
            array, unfit = convert([value], "date" if pa.types.is_date(one.type) else "timestamp")
            if unfit:
                misfits[one.name] = value
            value = None if unfit else array[0].as_py()
        fitting[one.name] = value
    if misfits and EXTRA in fitting:
        added, before = column_text(misfits), fitting[EXTRA]
        # Joined as text: a parser could lose digits of what is there.
        fitting[EXTRA] = f"{before.rstrip()[:-1]},{added[1:]}" if before else added
    return fitting
