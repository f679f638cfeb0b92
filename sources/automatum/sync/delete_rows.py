"""What happens in the destination to rows that are gone: they are marked, or they are removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from ..schema.arrow_tables import LOAD_ID, Row, Table, child_schema
from ..schema.tombstones import marked_deleted
from ..warehouse.sql import read_rows_by_key
from .history import History

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def delete_rows(
    pipeline: SupportsPipeline, table: Table, keys: Sequence[str], now: datetime, *, hard: bool, history: History | None
) -> Iterator[tuple[str, pa.Table]]:
    """Tables that mark rows deleted, or remove them, with their children; the deletion is a version of its own.

    Args:
        pipeline: The pipeline that loads the table; its destination is asked for what the rows hold.
        table: Whose rows.
        keys: Which rows.
        now: When they were found to be gone.
        hard: Remove them. A row with `_deleted_at` is then what makes dlt delete: see the hints of the resource.
        history: Keeps versions; None to keep none.
    """
    endpoint = table.endpoint
    rows = read_rows_by_key(pipeline, endpoint.table, endpoint.row_key, keys, table.organization_id)
    for child in endpoint.children:
        if hard:
            emptied = [
                Row(str(row[endpoint.row_key]), "", {endpoint.key[0]: row[endpoint.row_key]}, now) for row in rows
            ]
            yield from ((name, arrow) for name, arrow in table.arrow(emptied) if name == child.table)
        else:
            found = read_rows_by_key(pipeline, child.table, child.parent_key, keys, table.organization_id)
            if found:
                schema = child_schema(child, endpoint.by_organization)
                yield child.table, marked_deleted(schema, found, now)
    marked = marked_deleted(table.schema, rows, now)
    if endpoint.children:
        marked = marked.set_column(marked.schema.get_field_index(LOAD_ID), LOAD_ID, table.loaded(len(rows)))
    yield endpoint.table, marked
    if history and (versions := history.versions(marked, deleted=True)):
        yield history.name, versions
