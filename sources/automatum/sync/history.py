"""Every version of every row: `<table>_history`.

A version begins when its row was read, and ends where the next version of the same row begins. A package that has a new
version also has the end of the version before. Both are merged by row and beginning, so that a package can be loaded
twice, or in part and then again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..schema.arrow_tables import Table
from ..schema.arrow_types import TIMESTAMP
from ..schema.columns import (
    DELETED_AT,
    DLT_LOAD_ID,
    IS_DELETED,
    ROW_HASH,
    SYNCED_AT,
    VALID_FROM,
    VALID_TO,
    VERSION,
)
from ..schema.tables import history_table_of
from ..schema.tombstones import from_destination
from ..warehouse.sql import read_rows_by_key
from ..warehouse.values import as_utc

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_INSTANT = timedelta(microseconds=1)


class History:
    """Turns rows of a table into versions.

    Args:
        table: Whose rows.
        pipeline: Its destination is asked for the versions that end; None if there is none.
        empty: The history has no versions yet.

    Attributes:
        name: Name of its table.
        schema: Arrow schema of its table.
    """

    def __init__(self, table: Table, pipeline: SupportsPipeline | None, empty: bool) -> None:
        stored = history_table_of(table.endpoint)
        self.name, self.schema = stored.name, stored.schema
        self._key = table.endpoint.row_key
        self._organization_id = table.organization_id
        self._pipeline = pipeline
        self._empty = empty
        self._written: set[str] = set()

    def versions(self, rows: pa.Table, deleted: bool) -> pa.Table | None:
        """The versions that these rows begin, and those that they end; None if they change nothing.

        Args:
            rows: Rows of the table, each key at most once.
            deleted: The rows are gone.
        """
        keys = rows[self._key].to_pylist()
        running = self._running(keys)
        marks = [f"{hash_}:deleted" if deleted else hash_ for hash_ in rows[ROW_HASH].to_pylist()]
        begins: list[datetime] = []
        changed: list[bool] = []
        ended: list[dict[str, Any]] = []
        for key, mark, at in zip(keys, marks, rows[SYNCED_AT].to_pylist(), strict=True):
            last = running.get(key)
            changed.append(last is None or last[VERSION] != mark)
            # If the clock was set back, a version must still begin after the version before.
            begins.append(at if last is None else max(at, as_utc(last[VALID_FROM]) + _INSTANT))
            if last is not None and changed[-1]:
                ended.append({**last, VALID_TO: begins[-1]})
        kept = rows.drop_columns([DELETED_AT, DLT_LOAD_ID])
        for name, values in (
            (IS_DELETED, pa.array([deleted] * len(rows), pa.bool_())),
            (VERSION, pa.array(marks, pa.string())),
            (VALID_FROM, pa.array(begins, TIMESTAMP)),
            (VALID_TO, pa.nulls(len(rows), TIMESTAMP)),
            (DLT_LOAD_ID, pa.nulls(len(rows), pa.string())),
        ):
            kept = kept.append_column(self.schema.field(name), values)
        self._written.update(keys)
        begun = kept.filter(pa.array(changed)).cast(self.schema)
        made = pa.concat_tables([from_destination(self.schema, ended), begun])
        return made if made.num_rows else None

    def open_versions(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """The open versions of keys that this run has written nothing of, as the destination returns them."""
        return list(self._running([key for key in keys if key not in self._written]).values())

    def _running(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The open version of each key. If the history was empty, only keys that this run has written are queried."""
        asked = [key for key in keys if key in self._written] if self._empty else list(keys)
        if self._pipeline is None or not asked:
            return {}
        found = read_rows_by_key(self._pipeline, self.name, self._key, asked, self._organization_id)
        return {row[self._key]: row for row in found if row[VALID_TO] is None}
