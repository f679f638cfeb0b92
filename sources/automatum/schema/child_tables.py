"""Tables made of lists inside each record: their schema, their rows, and the entries that a list has lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..endpoints import ORGANIZATION, Child
from .coerce import ARROW_TYPES, TIMESTAMP
from .columns import DELETED_AT, EXTRA, POSITION, REMOVED, SYNCED_AT
from .records import Paths, Record, Row, arrays_of, dig, json_array


class ChildLists:
    """How many entries each list has in the destination, so that a shorter list removes those that it has lost.

    Args:
        stored: Child table to parent's key to the number of its children in the destination. None where a merge
            replaces whole lists: then only the lists in the same load package count.
        removes: The destination can remove rows; else lost entries are marked deleted.
    """

    def __init__(self, stored: dict[str, dict[str, int]] | None = None, removes: bool = True) -> None:
        self.removes = removes
        self._replaces_lists = stored is None
        self._lengths: dict[str, dict[str, int]] = defaultdict(dict, stored or {})

    def start_package(self) -> None:
        """Begin the next load package."""
        if self._replaces_lists:
            self._lengths.clear()

    def lengths_of(self, rows: Sequence[Row]) -> dict[str, dict[str, int | None]]:
        """The lengths of these parents' lists, for `restore`; None for a list that is not known."""
        return {table: {row.key: known.get(row.key) for row in rows} for table, known in self._lengths.items()}

    def restore(self, lengths: dict[str, dict[str, int | None]]) -> None:
        """Take back what `replace` has changed since `lengths_of`."""
        for table, known in self._lengths.items():
            if table not in lengths:
                known.clear()  # It had no list.
            for key, length in lengths.get(table, {}).items():
                if length is None:
                    known.pop(key, None)
                else:
                    known[key] = length

    def replace(self, child: Child, row: Row, length: int) -> int:
        """Set the length of a parent's list; returns the length before."""
        lengths = self._lengths[child.table]
        # A merge replaces a list only if the package has an entry of it. So a parent that is in the destination and has
        # no entries needs an entry that says so.
        unknown = 1 if self._replaces_lists and row.existed else 0
        before, lengths[row.key] = lengths.get(row.key, unknown), length
        return before


def child_schema(child: Child, by_organization: bool = False) -> pa.Schema:
    """Arrow schema of a child table."""
    return pa.schema(
        [
            *([pa.field(ORGANIZATION, pa.string(), nullable=False)] if by_organization else []),
            pa.field(child.parent_key, pa.string(), nullable=False),
            pa.field(POSITION, pa.int64(), nullable=False),
            *(pa.field(column.name, ARROW_TYPES[column.type]) for column in child.columns),
            pa.field(EXTRA, pa.string()),
            pa.field(SYNCED_AT, TIMESTAMP, nullable=False),
            pa.field(DELETED_AT, TIMESTAMP),
            pa.field(REMOVED, pa.bool_()),
        ]
    )


def entries_of(record: Record, child: Child) -> tuple[str | None, list[Any]]:
    """The entries of a list inside a record, and the path at which the list was found."""
    for path in child.places:
        value = dig(record, path)
        if isinstance(value, list):
            return path, value
    return None, []


def child_table(
    child: Child,
    rows: Sequence[Row],
    lists: Sequence[list[Any]],
    stored: ChildLists,
    organization_id: str | None,
    unread: Counter[str],
) -> pa.Table:
    """The Arrow table of a child table.

    Args:
        child: The child table.
        rows: The parents.
        lists: The entries of each parent.
        stored: What the destination has; is brought up to date.
        organization_id: Whose rows, where the table holds those of several organizations.
        unread: Column to the number of values that leave it null; is added to.
    """
    parents: list[Row] = []
    positions: list[int] = []
    entries: list[Any] = []
    removed: list[bool] = []
    for row, values in zip(rows, lists, strict=True):
        count = max(len(values), stored.replace(child, row, len(values)))
        parents += [row] * count
        positions += range(count)
        entries += values + [None] * (count - len(values))
        removed += [False] * len(values) + [True] * (count - len(values))
    records = [entry if isinstance(entry, dict) else {} for entry in entries]
    arrays, rests = arrays_of(records, child.columns, Paths(child.columns), [set() for _ in records], unread)
    for i, entry in enumerate(entries):
        if entry is not None and not isinstance(entry, dict):
            rests[i] = {"value": entry}
    marks = [row.read_at if gone and not stored.removes else None for row, gone in zip(parents, removed, strict=True)]
    owner = [pa.array([organization_id] * len(parents), pa.string())] if organization_id is not None else []
    return pa.Table.from_arrays(
        [
            *owner,
            pa.array([row.key for row in parents], pa.string()),
            pa.array(positions, pa.int64()),
            *arrays,
            json_array(rests),
            pa.array([row.read_at for row in parents], TIMESTAMP),
            pa.array(marks, TIMESTAMP),
            pa.array([True if gone and stored.removes else None for gone in removed], pa.bool_()),
        ],
        schema=child_schema(child, organization_id is not None),
    )
