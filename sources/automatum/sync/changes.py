"""Change detection: which rows of a page are new to the destination, or have changed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime

from ..schema.arrow_tables import Table
from ..schema.records import Identified, Record, Rows, is_unkeyed
from .rejections import Rejections, reject
from .results import DELETED, Counts, KnownRows


class Changes:
    """Compares the rows of pages with the destination.

    Args:
        table: Keys and hashes of its records.
        known: What the destination holds. Hashes of the rows that are loaded are put in.
        counts: Counts the rows.
        rejections: Takes the records that have no key, or cannot be read. They count as listed.

    Attributes:
        listed: Keys of the rows that were met, and ids of records without a key.
        unkeyed: Number of these records.
        counts: What became of the rows.
    """

    def __init__(self, table: Table, known: KnownRows, counts: Counts, rejections: Rejections) -> None:
        self.listed: set[str] = set()
        self.unkeyed = 0
        self._table, self._known, self.counts, self._rejections = table, known, counts, rejections

    def take(self, found: Identified, records: Sequence[Record], read_at: datetime) -> Rows:
        """Compare the rows of a page; returns those that have to be loaded, each key once.

        Args:
            found: Keys and hashes of the records.
            records: Records of one page.
            read_at: When it was read.
        """
        keys, hashes, known = found.keys, found.hashes, self._known.hashes
        before = [known.get(key) for key in keys]
        new = set(keys).difference(self.listed)
        self.listed |= new
        # Nearly all pages have unchanged rows alone, or new ones.
        if not (found.failed or any(map(is_unkeyed, keys))):
            if before == hashes and self._same_lists(keys, records):
                self.counts.unchanged += len(new)
                return Rows([], [], [], read_at)
            if len(new) == len(keys) == before.count(None):
                self.counts.inserted += len(new)
                known.update(zip(keys, hashes, strict=True))
                return Rows(keys, hashes, list(records), read_at, found.size)
        chosen: dict[str, int] = {}
        for i, (key, hash_, was) in enumerate(zip(keys, hashes, before, strict=True)):
            first = key in new
            new.discard(key)
            if is_unkeyed(key) or i in found.failed:
                self._reject(key, hash_, records[i], found.failed.get(i), read_at, first)
                continue
            was = was if first else known.get(key)
            if was == hash_ and (not first or self._same_lists([key], [records[i]])):
                self.counts.unchanged += first
                continue
            if was is None or was == DELETED:
                self.counts.inserted += 1
            else:
                self.counts.updated += 1
            known[key] = hash_
            chosen[key] = i
        places = list(chosen.values())
        size = found.size * len(places) // max(1, len(keys))
        return Rows([keys[i] for i in places], [hashes[i] for i in places], [records[i] for i in places], read_at, size)

    def forget(self) -> None:
        """Take back what `resume` did."""
        self.listed, self.unkeyed = set(), 0

    def missing(self, listed: Container[str]) -> list[str]:
        """Keys of live rows of the destination that were not listed.

        Args:
            listed: Keys of the rows that were.
        """
        return [key for key, hash_ in self._known.hashes.items() if hash_ != DELETED and key not in listed]

    def resume(self, keys: Sequence[str]) -> bool:
        """Take the rows of a page as listed that an earlier run has loaded.

        Args:
            keys: Keys of its rows, or ids of those without a key.

        Returns:
            False if one of the rows is not in the destination, or has to be loaded again.
        """
        known = self._known.hashes
        if not all(is_unkeyed(key) or known.get(key, DELETED) not in (DELETED, "") for key in keys):
            return False
        self.unkeyed += sum(is_unkeyed(key) and key not in self.listed for key in keys)
        self.listed.update(keys)
        return True

    def _same_lists(self, keys: Sequence[str], records: Sequence[Record]) -> bool:
        """Whether the destination has as many child rows of each record as the record has."""
        children = self._known.children
        if children is None:
            return True
        counts = self._table.child_counts(records)
        return all([known.get(key, 0) for key in keys] == counts[table] for table, known in children.items())

    def _reject(self, key: str, hash_: str, record: Record, why: str | None, read_at: datetime, first: bool) -> None:
        if is_unkeyed(key):
            self.unkeyed += first
            self._rejections.add_unkeyed(self._table, key, hash_, record, read_at)
        elif why:
            self._rejections.add(reject(key, key, hash_, record, why, read_at))
