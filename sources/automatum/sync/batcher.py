"""The rows of a table on their way into load packages: in batches, and each row once a package where it matters."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa

from ..schema.arrow_tables import Table
from ..schema.child_tables import ChildLists
from ..schema.records import Row, Rows
from .history import History
from .rejections import Rejections, reject

logger = logging.getLogger("automatum")

BATCH_ROWS = 5_000
"""Rows of one Arrow table."""

Tables = Iterator[tuple[str, pa.Table]]
"""Arrow tables, each with its table's name."""


class Batcher:
    """The rows of one table on their way into one load package after the other.

    Args:
        table: Turns them into Arrow tables.
        rejections: Takes the rows that cannot be converted.

    Attributes:
        table: The same.
        history: Keeps their versions; None to keep none.
        lists: The child lists in the destination.
        once: A package takes each key once even without a history: destinations that upsert need that.
    """

    def __init__(self, table: Table, rejections: Rejections | None = None) -> None:
        self.table = table
        self._rejections = rejections or Rejections()
        self.history: History | None = None
        self.lists = ChildLists()
        self.once = False
        self._buffer: dict[str, Row] = {}
        self._given: set[str] = set()
        self._waiting: dict[str, Row] = {}

    @property
    def waiting(self) -> bool:
        """Whether rows wait for the next package."""
        return bool(self._waiting)

    def start(self) -> None:
        """Begin the next package, with the rows that waited for it."""
        self.lists.start_package()
        self._given.clear()
        self._buffer, self._waiting = self._waiting, {}

    def forget(self) -> None:
        """Drop the rows that wait, and all others: there is no next package."""
        self._buffer, self._waiting, self._given = {}, {}, set()

    def give(self, rows: Rows | list[Row]) -> Tables:
        """Put rows into the package, one batch at a time."""
        if isinstance(rows, Rows):
            every = zip(rows.keys, rows.hashes, rows.records, strict=True)
            rows = [Row(key, hash_, record, rows.read_at) for key, hash_, record in every]
        for row in rows:
            if row.key in self._given and row.key not in self._buffer:
                # History takes one version a package, and so does a destination that upserts; the second waits.
                self._waiting[row.key] = row
            else:
                self._buffer[row.key] = row
        if len(self._buffer) >= BATCH_ROWS:
            yield from self.flush()

    def flush(self) -> Tables:
        """The rows that are still in the buffer, with their children and versions."""
        rows, self._buffer = list(self._buffer.values()), {}
        if not rows:
            return
        if self.history or self.once:
            self._given.update(row.key for row in rows)
        for name, table in self._convert(rows):
            yield name, table
            own = self.history and name == self.table.endpoint.table
            versions = self.history.versions(table, deleted=False) if self.history and own else None
            if self.history and versions:
                yield self.history.name, versions

    def _convert(self, rows: Sequence[Row]) -> list[tuple[str, pa.Table]]:
        """The Arrow tables of these rows. A row that cannot be converted is rejected; it takes no other row with it."""
        lengths = self.lists.lengths_of(rows)
        try:
            made = list(self.table.arrow(rows, self.lists))
        except Exception as error:
            self.lists.restore(lengths)
            if len(rows) > 1:
                middle = len(rows) // 2
                return self._convert(rows[:middle]) + self._convert(rows[middle:])
            (row,) = rows
            # The text of the error may hold the value, and so a customer's data.
            reason = f"the record cannot be converted ({type(error).__name__})"
            logger.warning("a row of %s cannot be loaded: %s", self.table.endpoint.table, reason)
            self._rejections.add(reject(row.key, row.key, row.hash, row.record, reason, row.read_at))
            return []
        self._rejections.resolve([row.key for row in rows], max(row.read_at for row in rows))
        return made

    def children(self, rows: Sequence[Row]) -> Tables:
        """The child tables of these rows alone."""
        own = self.table.endpoint.table
        yield from (one for one in self.table.arrow(rows, self.lists) if one[0] != own)
