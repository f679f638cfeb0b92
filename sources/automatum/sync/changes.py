"""Change detection: which rows of a list are new to the destination, or have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from ..core.clock import utc
from ..schema.arrow_tables import Table
from ..schema.records import Record, Row
from .contents import Contents
from .rejections import Rejections, is_unkeyed
from .results import DELETED, LOAD_AGAIN, Counts, KnownRows

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
        seen: Keys of the rows that were met, and ids of records without a key.
        unkeyed: Number of these records.
        shared: Keys with which a reading has met records that differ.
        outside: A row was met that no page had before.
    """

    def __init__(
        self, table: Table, known: KnownRows, wanted: Callable[[Record], bool] | None, rejections: Rejections
    ) -> None:
        self._rows = known.compact()
        self.seen = self._rows.met
        self.unkeyed = 0
        self.shared: set[str] = set()
        self.outside = False
        self._table, self._known, self._wanted, self._rejections = table, known, wanted, rejections

    def take(
        self, keys: Sequence[str], records: Sequence[Record], read_at: datetime, counts: Counts, again: bool = False
    ) -> tuple[list[Row], set[str]]:
        """Compare the rows of a page.

        Args:
            keys: Keys of the records.
            records: Records of one page.
            read_at: When it was read.
            counts: Counts the rows.
            again: The page was read before.

        Returns:
            Rows to be loaded, each key at most once; and the keys that no page had before.
        """
        hashes, wanted = self._table.hashes(records), self._wanted
        found = self._rows.meet(keys, [hash_ for hash_, _ in hashes])
        if not (wanted or any(map(is_unkeyed, keys))):
            # Whole pages of new or unchanged rows, as nearly all pages are, take a third of the time.
            if found.all_new:
                counts.inserted += len(keys)
                every = zip(keys, records, hashes, strict=True)
                existed = not self._known.readable
                new = [Row(key, hash_, record, read_at, existed, size) for key, record, (hash_, size) in every]
                return new, set(keys)
            if found.all_known and self._known.children is None:
                counts.unchanged += len(keys)
                return [], set(keys)
        rows: dict[str, Row] = {}
        fresh: set[str] = set()
        for key, record, (hash_, size), (before, met) in zip(keys, records, hashes, found, strict=True):
            if not met:
                fresh.add(key)
            if is_unkeyed(key):
                changed, existed = False, False
                self.unkeyed += not met
                self._rejections.add_unkeyed(self._table, key, hash_, record, read_at)
            elif wanted and not wanted(record):
                changed, existed = False, True
            elif met:
                changed, existed = before != hash_, True
                counts.updated += changed
                if changed and not again:
                    self.shared.add(key)
            else:
                changed, existed = self._first_seen(key, before, hash_, record, counts)
            if changed:
                rows[key] = Row(key, hash_, record, read_at, existed, size)
        return list(rows.values()), fresh

    def take_one(self, key: str, record: Record, read_at: float, counts: Counts) -> Row | None:
        """Take a live row that was met outside the list; returns it if it has to be loaded."""
        self.outside = True
        ((hash_, size),) = self._table.hashes([record])
        ((before, met),) = self._rows.meet([key], [hash_])
        changed, existed = (False, True) if met else self._first_seen(key, before, hash_, record, counts)
        return Row(key, hash_, record, utc(read_at), existed, size) if changed else None

    def resume(self, listed: Contents) -> bool:
        """Take the rows of pages for met that an earlier run has read.

        Args:
            listed: The pages, with ids in place of the keys of records without one.

        Returns:
            False, and nothing has changed, if one of these rows is not in the destination, or has to be loaded again.
        """
        # A row that is not wanted is on the pages, but not in the destination.
        hashes, absent = self._known.hashes, DELETED if self._wanted is None else NOT_WANTED
        keys = (key for key in listed.every_key() if not is_unkeyed(key))  # A row without a key is in no table.
        if any(hashes.get(key, absent) in (DELETED, LOAD_AGAIN) for key in keys):
            return False
        for key in listed.every_key():
            self.unkeyed += is_unkeyed(key) and key not in self.seen
            self._rows.meet_as_known(key, absent)
        return True

    def _first_seen(self, key: str, known: str | None, hash_: str, record: Record, counts: Counts) -> tuple[bool, bool]:
        """Whether the row has to be loaded, and whether the destination may have it already."""
        children = self._known.children
        if known == hash_ and (children is None or children.get(key)[0] == self._table.count_children(record)):
            counts.unchanged += 1
            return False, True
        if known is None or known == DELETED:
            counts.inserted += 1
            return True, known is not None or not self._known.readable
        counts.updated += 1
        return True, True
