"""What a load package is given of a table: rows in batches, and no second version of a row that it has."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ..schema.arrow_tables import Row, Table
from .history import History

BATCH_ROWS = 10_000
"""Rows of one Arrow table."""

Tables = Iterator[tuple[str, pa.Table]]
"""Arrow tables, each with its table's name."""


class Batcher:
    """The rows of one table on their way into one load package after the other.

    Args:
        table: Turns them into Arrow tables.

    Attributes:
        history: Keeps their versions; None to keep none.
        once: A package takes each key once, whatever the history: so want destinations that upsert.
    """

    def __init__(self, table: Table) -> None:
        self.history: History | None = None
        self.once = False
        self._table = table
        self._buffer: dict[str, Row] = {}
        self._given: set[str] = set()
        self._waiting: dict[str, Row] = {}

    @property
    def waiting(self) -> bool:
        """Whether rows wait for the next package."""
        return bool(self._waiting)

    def start(self, load_id: str) -> None:
        """Begin the next package, with the rows that waited for it.

        Args:
            load_id: Its id; empty without a pipeline.
        """
        self._table.start_package(load_id)
        self._given.clear()
        self._buffer, self._waiting = self._waiting, {}

    def forget(self) -> None:
        """Let go of the rows that wait, and of all others: there is no next package."""
        self._buffer, self._waiting, self._given = {}, {}, set()

    def give(self, rows: list[Row]) -> Tables:
        """Put rows into the package; a batch at a time."""
        for row in rows:
            if row.key in self._given and row.key not in self._buffer:
                # History takes one version a package, and so does a destination that upserts; the second waits.
                self._waiting[row.key] = row
            else:
                self._buffer[row.key] = row
        if len(self._buffer) >= BATCH_ROWS:
            yield from self.flush()

    def flush(self) -> Tables:
        """The rows that were put in and not given out yet, with their children and versions."""
        rows, self._buffer = list(self._buffer.values()), {}
        if not rows:
            return
        if self.history or self.once:
            self._given.update(row.key for row in rows)
        for name, table in self._table.arrow(rows):
            yield name, table
            own = self.history and name == self._table.endpoint.table
            versions = self.history.versions(table, deleted=False) if self.history and own else None
            if self.history and versions:
                yield self.history.name, versions
