"""Tables made of lists inside each record: their schema, their rows, and the entries that a list has lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..endpoints import Child, Endpoint
from .arrow_types import TIMESTAMP
from .batch import Batch, Leftovers, arrays_of
from .coerce import json_array, moments
from .records import Record, Row, dig
from .tables import child_table_of


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

    def replace(self, child: Child, rows: Sequence[Row], lengths: Sequence[int]) -> list[int]:
        """Set the lengths of these parents' lists; returns the lengths before."""
        known = self._lengths[child.table]
        # A merge replaces a list only if the package has an entry of it. So a parent that is in the destination and has
        # no entries needs an entry that says so.
        before = [known.get(row.key, 1 if self._replaces_lists and row.existed else 0) for row in rows]
        known.update(zip((row.key for row in rows), lengths, strict=True))
        return before


def entries_of(record: Record, child: Child) -> tuple[str | None, list[Any]]:
    """The entries of a list inside a record, and the path at which the list was found."""
    for path in child.places:
        value = dig(record, path) if "." in path else record.get(path)
        if isinstance(value, list):
            return path, value
    return None, []


def child_table(
    endpoint: Endpoint,
    child: Child,
    rows: Sequence[Row],
    lists: Sequence[list[Any]],
    stored: ChildLists,
    organization_id: str | None,
    unread: Counter[str],
    leftovers: Leftovers,
) -> pa.Table:
    """The Arrow table of a child table.

    Args:
        endpoint: Of the parents.
        child: The child table.
        rows: The parents.
        lists: The entries of each parent.
        stored: What the destination has; is brought up to date.
        organization_id: Whose rows, where the table holds those of several organizations.
        unread: Column to the number of values that leave it null; is added to.
        leftovers: What its columns leave of an entry.
    """
    lengths = [len(values) for values in lists]
    counts = list(map(max, lengths, stored.replace(child, rows, lengths)))
    positions = list(chain.from_iterable(map(range, counts)))
    places = list(chain.from_iterable(map(repeat, range(len(rows)), counts)))
    removed = None
    if counts != lengths:
        lists = [values + [None] * (count - len(values)) for values, count in zip(lists, counts, strict=True)]
        over = [position >= lengths[place] for position, place in zip(positions, places, strict=True)]
        removed = pa.array(over, pa.bool_())
    entries = list(chain.from_iterable(lists))
    batch = Batch([entry if isinstance(entry, dict) else {} for entry in entries])
    arrays = arrays_of(batch, child.columns, unread)
    rests = (
        rest if entry is None or isinstance(entry, dict) else {"value": entry}
        for entry, rest in zip(entries, leftovers.of(batch), strict=True)
    )
    parents = pa.array(places, pa.int64())
    read_at = moments([row.read_at for row in rows]).take(parents)
    deleted_at, marks = pa.nulls(len(entries), TIMESTAMP), pa.nulls(len(entries), pa.bool_())
    if removed is not None and stored.removes:
        marks = pc.if_else(removed, removed, marks)
    elif removed is not None:
        deleted_at = pc.if_else(removed, read_at, deleted_at)
    owner = [pa.array([organization_id] * len(entries), pa.string())] if organization_id is not None else []
    return pa.Table.from_arrays(
        [
            *owner,
            pa.array([row.key for row in rows], pa.string()).take(parents),
            pa.array(positions, pa.int64()),
            *arrays,
            json_array(rests),
            read_at,
            deleted_at,
            marks,
            pa.nulls(len(entries), pa.string()),
        ],
        schema=child_table_of(endpoint, child).schema,
    )
