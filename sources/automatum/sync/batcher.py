"""The rows of a table on their way into load packages: in batches, and each row once a package where it matters."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa

from ..schema.arrow_tables import ChildLists, Table
from ..schema.records import Rows
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
        once: A package takes each key once: destinations that upsert need that.
    """

    def __init__(self, table: Table, rejections: Rejections | None = None) -> None:
        self.table = table
        self._rejections = rejections or Rejections()
        self.history: History | None = None
        self.lists = ChildLists()
        self.once = False
        self._buffer: list[Rows] = []
        self._keys: set[str] = set()
        self._given: set[str] = set()
        self._waiting: dict[str, Rows] = {}

    @property
    def waiting(self) -> bool:
        """Whether rows wait for the next package."""
        return bool(self._waiting)

    def start(self) -> None:
        """Begin the next package, with the rows that waited for it."""
        self._buffer, self._keys = list(self._waiting.values()), set(self._waiting)
        self._given, self._waiting = set(self._waiting), {}

    def forget(self) -> None:
        """Drop the rows that wait, and all others: there is no next package."""
        self._waiting = {}
        self.start()

    def give(self, rows: Rows) -> Tables:
        """Put the rows of a page into the package, one batch at a time."""
        if self.once:
            again = [i for i, key in enumerate(rows.keys) if key in self._given]
            self._waiting.update((rows.keys[i], rows.at([i])) for i in again)
            if again:
                rows = rows.at([i for i, key in enumerate(rows.keys) if key not in self._given])
            self._given.update(rows.keys)
        elif not self._keys.isdisjoint(rows.keys):
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
            if self.history and name == self.table.endpoint.table:
                yield self.history.name, self.history.versions(table, deleted=False)

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
            key = row.keys[0]
            self._rejections.add(reject(key, key, row.hashes[0], row.records[0], reason, row.read_at))
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
