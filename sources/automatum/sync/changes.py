"""Change detection: which rows of a page are new to the destination, or have changed."""

from __future__ import annotations

from collections.abc import Container, Sequence, Set
from datetime import datetime

from ..schema.arrow_tables import Table
from ..schema.records import Identified, Record, Rows, count_unkeyed, is_unkeyed
from .rejections import Rejections
from .results import DELETED, LOAD_AGAIN, Counts, KnownRows


class Changes:
    """Compares the rows of pages with the destination.

    Args:
        table: Keys and hashes of its records.
        known: What the destination holds. Hashes of the rows that are loaded are put in.
        counts: Counts the rows.
        rejections: Takes the records that have no key, or cannot be read. They count as listed.

    Attributes:
        counts: What became of the rows.
    """

    def __init__(self, table: Table, known: KnownRows, counts: Counts, rejections: Rejections) -> None:
        self.counts = counts
        self._table, self._known, self._rejections = table, known, rejections

    def take(self, found: Identified, records: Sequence[Record], read_at: datetime, seen: Set[str] | None) -> Rows:
        """Compare the rows of a page; returns those that have to be loaded, each key once.

        Args:
            found: Keys and hashes of the records.
            records: Records of one page.
            read_at: When it was read.
            seen: Keys that were read before; None if all were.
        """
        keys, hashes, known = found.keys, found.hashes, self._known.hashes
        before = [known.get(key) for key in keys]
        new = set() if seen is None else set(keys).difference(seen)
        # Nearly all pages have unchanged rows alone, or new ones.
        if not (found.failed or count_unkeyed(keys)):
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
                self._rejections.add(key, hash_, records[i], read_at, found.failed.get(i, ""))
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
        return Rows(keys, hashes, list(records), read_at, found.size).at(list(chosen.values()))

    def missing(self, listed: Container[str]) -> list[str]:
        """Keys of live rows of the destination that were not listed.

        Args:
            listed: Keys of the rows that were.
        """
        return [key for key, hash_ in self._known.hashes.items() if hash_ != DELETED and key not in listed]

    def are_loaded(self, keys: Sequence[str]) -> bool:
        """Whether the destination has the rows of a page that an earlier run has read, and none has to be loaded again.

        Args:
            keys: Their keys, or ids of records without a key. Those that were rejected then are rejected now.
        """
        known, rejected = self._known.hashes, self._rejections
        lacking = [key for key in keys if known.get(key, DELETED) in (DELETED, LOAD_AGAIN) and not is_unkeyed(key)]
        if loaded := all(key in rejected.open for key in lacking):
            rejected.failed.update(lacking)
        return loaded

    def _same_lists(self, keys: Sequence[str], records: Sequence[Record]) -> bool:
        """Whether the destination has as many child rows of each record as the record has."""
        children = self._known.children
        if children is None:
            return True
        counts = self._table.child_counts(records)
        return all([known.get(key, 0) for key in keys] == counts[table] for table, known in children.items())
