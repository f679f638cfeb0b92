"""The rows of a table on their way into load packages, in batches.

Rows that are gone are marked deleted, or removed. If there is a history, `<table>_history`, each row that is loaded is
a version there, appended and never changed: it ends where the next version of the same row begins, which the view
`<table>_versions` computes. Versions are merged by row and beginning, so that a package can be loaded twice, or in part
and then again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..schema.arrow_tables import Table
from ..schema.columns import DELETED_AT, IS_DELETED, ROW_HASH, SYNCED_AT, VALID_FROM, VERSION
from ..schema.records import Rows
from ..schema.tables import child_table_of, history_table_of
from ..warehouse.sql import as_utc, organization_filter, read_by_key
from .rejections import Rejections

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

BATCH_ROWS = 5_000
"""Rows of one Arrow table."""
_DELETE_BATCH = 500
"""Rows that are read from the destination and marked deleted at a time."""

Tables = Iterator[tuple[str, pa.Table]]
"""Arrow tables, each with its table's name."""


class Batcher:
    """The rows of one table on their way into one load package after the other.

    Args:
        table: Turns them into Arrow tables.
        rejections: Takes the rows that cannot be converted.

    Attributes:
        table: The same.
        unclosed: Key to last version of rows that the table lacks, though they have not ended: they may come back as
            they were. Those that come are taken out. None to keep no history.
        lists: Child table to parent's key to the length of its list in the destination.
    """

    def __init__(self, table: Table, rejections: Rejections) -> None:
        self.table = table
        self._rejections = rejections
        self.unclosed: dict[str, str] | None = None
        self.lists: dict[str, dict[str, int]] = {}
        self._buffer: list[Rows] = []
        self._keys: set[str] = set()

    def forget(self) -> None:
        """Drop the rows in the buffer."""
        self._buffer, self._keys = [], set()

    def give(self, rows: Rows) -> Tables:
        """Put the rows of a page into the package, one batch at a time."""
        if not self._keys.isdisjoint(rows.keys):
            yield from self.flush()  # A table has each key once; of several tables the later counts.
        self._buffer.append(rows)
        self._keys.update(rows.keys)
        if len(self._keys) >= BATCH_ROWS:
            yield from self.flush()

    def flush(self) -> Tables:
        """The rows that are still in the buffer, with their children and versions."""
        pages, self._buffer, self._keys = [page for page in self._buffer if len(page)], [], set()
        if not pages:
            return
        for name, table in self._convert(pages):
            yield name, table
            if name == self.table.endpoint.table:
                yield from self._versions(table, deleted=False)

    def delete(
        self, pipeline: SupportsPipeline, keys: Sequence[str], now: datetime, hard: bool, past: bool = False
    ) -> Tables:
        """Tables that mark rows deleted, or remove them, with their children. The history gets a version that says so.

        Args:
            pipeline: The pipeline that loads the table; the columns of the rows are read from its destination.
            keys: Keys of the rows.
            now: When they were found to be gone.
            hard: Remove them: dlt deletes a row that has `_deleted_at`, see the hints of the resource.
            past: They are marked or removed already, and only the history does not say so.
        """
        yield from self.flush()  # the rows that were read before must not follow their deletion
        for start in range(0, len(keys), _DELETE_BATCH):
            yield from self._delete(pipeline, keys[start : start + _DELETE_BATCH], now, hard, past)

    def _delete(self, pipeline: SupportsPipeline, keys: Sequence[str], now: datetime, hard: bool, past: bool) -> Tables:
        table, endpoint, own = self.table, self.table.endpoint, organization_filter(self.table.organization_id)
        rows = read_by_key(pipeline, endpoint.table, endpoint.row_key, keys, own)
        if past:
            if lost := sorted({*keys} - {str(row[endpoint.row_key]) for row in rows}):  # Removed without a version.
                found = read_by_key(pipeline, history_table_of(endpoint).name, endpoint.row_key, lost, own)
                found.sort(key=lambda row: as_utc(row[VALID_FROM]))
                rows += {row[endpoint.row_key]: row for row in found}.values()
            yield from self._versions(_marked_deleted(table.schema, rows, now), deleted=True)
            return
        if hard:
            ids = [str(row[endpoint.row_key]) for row in rows]
            emptied = Rows(ids, ids, [{} for _ in ids], now)
            yield from (one for one in table.arrow([emptied], self.lists) if one[0] != endpoint.table)
        else:
            for child in endpoint.children:
                found = read_by_key(pipeline, child.table, child.parent_key, keys, own)
                if found:
                    yield child.table, _marked_deleted(child_table_of(endpoint, child).schema, found, now)
        marked = _marked_deleted(table.schema, rows, now)
        yield endpoint.table, marked
        yield from self._versions(marked, deleted=True)

    def _versions(self, rows: pa.Table, deleted: bool) -> Tables:
        """The versions that rows of the table begin, or end; none if no history is kept."""
        if self.unclosed is None or not len(rows):
            return
        stored = history_table_of(self.table.endpoint)
        if self.unclosed and not deleted:
            pairs = zip(rows[self.table.endpoint.row_key].to_pylist(), rows[ROW_HASH].to_pylist(), strict=True)
            rows = rows.filter([self.unclosed.pop(key, None) != mark for key, mark in pairs])
        marks = rows[ROW_HASH]
        made = {
            IS_DELETED: pa.repeat(pa.scalar(deleted), len(rows)),
            VERSION: pc.binary_join_element_wise(marks, "deleted", ":") if deleted else marks,
            VALID_FROM: rows[SYNCED_AT],
        }
        columns = [made[name] if name in made else rows[name] for name in stored.schema.names]
        yield stored.name, pa.Table.from_arrays(columns, schema=stored.schema)

    def _convert(self, pages: Sequence[Rows]) -> list[tuple[str, pa.Table]]:
        """The Arrow tables of these rows. A row that cannot be converted is rejected; it takes no other row with it."""
        try:
            made = self.table.arrow(pages, self.lists)
        except Exception as error:
            if len(pages) > 1 or len(pages[0]) > 1:
                halves = _halves(pages)
                return self._convert(halves[0]) + self._convert(halves[1])
            (row,) = pages
            # The text of the error may hold the value, and so a customer's data.
            reason = f"the record cannot be converted ({type(error).__name__})"
            logger.warning("a row of %s cannot be loaded: %s", self.table.endpoint.table, reason)
            self._rejections.add(row.keys[0], row.hashes[0], row.records[0], row.read_at, reason)
            return []
        for page in pages:
            self._rejections.resolve(page.keys, page.read_at)
        return made


def _halves(pages: Sequence[Rows]) -> tuple[Sequence[Rows], Sequence[Rows]]:
    """Two halves of some pages, or of the rows of one page."""
    if len(pages) > 1:
        return pages[: len(pages) // 2], pages[len(pages) // 2 :]
    every = range(len(pages[0]))
    middle = len(every) // 2
    return [pages[0].at(every[:middle])], [pages[0].at(every[middle:])]


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
