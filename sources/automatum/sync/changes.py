"""Change detection: which rows of a list are new to the destination, or have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from ..core.clock import utc
from ..schema.arrow_tables import Table
from ..schema.records import Record, Row
from .rejections import Rejections, is_unkeyed
from .results import DELETED, Counts, KnownRows

NOT_WANTED = "not wanted"
"""Takes the place of the hash of a row that the selection leaves out."""


class Changes:
    """Compares the rows of pages with the destination.

    Args:
        table: Keys and hashes of its records.
        known: What the destination holds. Each row that is met is removed: what is left was not listed.
        wanted: Tells which rows are to be loaded; the others count as seen all the same. None to load all.
        rejections: Takes the records that have no key. They count as listed.

    Attributes:
        seen: Key to hash of each row that was met.
        shared: Keys with which a reading has met records that differ.
    """

    def __init__(
        self, table: Table, known: KnownRows, wanted: Callable[[Record], bool] | None, rejections: Rejections
    ) -> None:
        self.seen: dict[str, str] = {}
        self.shared: set[str] = set()
        self._table, self._known, self._wanted, self._rejections = table, known, wanted, rejections

    @property
    def absent(self) -> str:
        """Hash of a row that an earlier run met and that is not in the destination."""
        return DELETED if self._wanted is None else NOT_WANTED

    def take(
        self, keys: Sequence[str], records: Sequence[Record], read_at: datetime, counts: Counts, again: bool = False
    ) -> list[Row]:
        """Rows to be loaded, each key at most once.

        Args:
            keys: Keys of the records.
            records: Records of one page.
            read_at: When it was read.
            counts: Counts the rows.
            again: The page was read before.
        """
        rows: dict[str, Row] = {}
        for key, record, (hash_, size) in zip(keys, records, self._table.hashes(records), strict=True):
            if is_unkeyed(key):
                changed, existed = False, False
                self._rejections.add_unkeyed(self._table, key, hash_, record, read_at)
            elif self._wanted and not self._wanted(record):
                self._known.hashes.pop(key, None)
                changed, existed = False, True
            elif key in self.seen:
                changed, existed = self.seen[key] != hash_, True
                counts.updated += changed
                if changed and not again:
                    self.shared.add(key)
            else:
                changed, existed = self._first_seen(key, hash_, record, counts)
            self.seen[key] = hash_
            if changed:
                rows[key] = Row(key, hash_, record, read_at, existed, size)
        return list(rows.values())

    def take_one(self, key: str, record: Record, read_at: float, counts: Counts) -> Row | None:
        """Take a live row that was met outside the list; returns it if it has to be loaded."""
        ((hash_, size),) = self._table.hashes([record])
        changed, existed = self._first_seen(key, hash_, record, counts) if key not in self.seen else (False, True)
        self.seen[key] = hash_
        return Row(key, hash_, record, utc(read_at), existed, size) if changed else None

    def _first_seen(self, key: str, hash_: str, record: Record, counts: Counts) -> tuple[bool, bool]:
        """Whether the row has to be loaded, and whether the destination may have it already."""
        known = self._known.hashes.pop(key, None)
        children = self._known.children
        if known == hash_ and (children is None or children.get(key, 0) == self._table.count_children(record)):
            counts.unchanged += 1
            return False, True
        if known is None or known == DELETED:
            counts.inserted += 1
            return True, known is not None or not self._known.readable
        counts.updated += 1
        return True, True
