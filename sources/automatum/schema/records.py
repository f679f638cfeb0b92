"""API records, and their values by path."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..endpoints import Column

Record = dict[str, Any]
UNKEYED = "\x00"
"""Begins the id of a record without a key among the keys of a sweep. No key holds it: `api.exact_json` replaces it."""


def is_unkeyed(id_: str) -> bool:
    """Whether this is the id of a record without a key."""
    return id_.startswith(UNKEYED)


def count_unkeyed(ids: Collection[str]) -> int:
    """Number of ids of records without a key. Their ids come before all keys, so nearly always the first one tells."""
    return sum(map(is_unkeyed, ids)) if is_unkeyed(min(ids, default="")) else 0


@dataclass
class Identified:
    """What tells the records of one page apart.

    Attributes:
        keys: Key of each record; for a record without one, `UNKEYED` with its hash and its place among equal records.
        hashes: Hash of each record: 64 bits as 16 hexadecimal digits; empty for a record that cannot be read.
        size: Bytes of all records as JSON.
        failed: Position of a record that cannot be loaded to the reason.
    """

    keys: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    size: int = 0
    failed: dict[int, str] = field(default_factory=dict)


@dataclass
class Rows:
    """The new and the changed rows of one page, on their way to the destination.

    Attributes:
        keys: Key of each row; a key does not repeat.
        hashes: Hash of each row; differs when anything in its record differs.
        records: The records as the API sent them.
        read_at: When the page arrived.
        size: Bytes of the records as JSON.
    """

    keys: list[str]
    hashes: list[str]
    records: list[Record]
    read_at: datetime
    size: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, places: Sequence[int]) -> Rows:
        """The rows at some places, in that order; their size is estimated."""
        return Rows(
            [self.keys[i] for i in places],
            [self.hashes[i] for i in places],
            [self.records[i] for i in places],
            self.read_at,
            self.size * len(places) // max(len(self), 1),
        )


def dig(record: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record


def with_value(record: Record, path: str, value: Any) -> Record:
    """A copy of a record with this value at a dotted path."""
    step, _, rest = path.partition(".")
    if not rest:
        return {**record, step: value}
    inside = record.get(step)
    return {**record, step: with_value(inside if isinstance(inside, dict) else {}, rest, value)}


def pick(record: Record, column: Column) -> tuple[Any, str]:
    """The column's value in a record, and the path where it was found; see `layout.Values` for many records."""
    for place in column.places:
        if place.vendor is None or place.vendor == dig(record, place.vendor_at):
            value = dig(record, place.path)
            if value is not None:
                return value, place.path
    return None, column.places[0].path
