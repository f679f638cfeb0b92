"""Records to columns: the same code for the rows of a table, and for the entries of a list inside its records.

Values are read path by path, and Arrow converts each column of a batch at once. Only a column with an unexpected value
is converted value by value. Nothing is dropped (I8): keys that no column names, and values that do not fit their column
exactly, are left for the JSON column `extra`, at the path that they have in the record. A null is nothing to keep.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from operator import is_not, itemgetter
from typing import Any

import pyarrow as pa

from ..endpoints import Column, FieldPath
from .coerce import convert
from .records import Record

Found = list[tuple[str, list[int] | None]]
"""Paths at which values were found, each with the positions of the records; None for all that have a value there."""
_EMPTY: Record = {}


class Values:
    """The values of a batch of records, by path.

    Args:
        records: The records.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self._memo: dict[str, list[Any] | None] = {}
        self._taken: dict[str, set[int] | None] = defaultdict(set)

    @cached_property
    def _names(self) -> set[str]:
        return set().union(*self.records)

    def at(self, path: str) -> list[Any] | None:
        """The values at a dotted path; None if no record has one."""
        if path not in self._memo:
            above, _, name = path.rpartition(".")
            objects: Iterable[Record] = self.records
            if above:
                objects = [one if isinstance(one, dict) else _EMPTY for one in self.at(above) or ()]
            try:
                found = list(map(itemgetter(name), objects))
            except KeyError:
                found = [one.get(name) for one in objects] if above or name in self._names else []
            self._memo[path] = found if any(map(is_not, found, repeat(None))) else None
        return self._memo[path]

    def pick(self, places: Iterable[FieldPath], *, lists: bool = False) -> tuple[list[Any] | None, Found]:
        """The value of each record at the first of some places that has one.

        Args:
            places: The places.
            lists: Only a list counts as a value.

        Returns:
            A value for each record, or None if none has one, and where they were found.
        """
        picked: list[Any] | None = None
        found: Found = []
        for place in places:
            values = self.at(place.path)
            if values is None:
                continue
            if picked and None not in picked:
                break
            if place.vendor is not None:
                vendors = self.at(place.vendor_at) or repeat(None)
                values = [one if vendor == place.vendor else None for one, vendor in zip(values, vendors, strict=False)]
            if lists:
                values = [one if isinstance(one, list) else None for one in values]
            if picked is None and place.vendor is None and not lists:
                picked = values
                found.append((place.path, None))
            else:
                before = picked or [None] * len(values)
                if rows := [i for i, one in enumerate(values) if one is not None and before[i] is None]:
                    picked = [new if old is None else old for old, new in zip(before, values, strict=True)]
                    found.append((place.path, rows))
        return picked, found

    def take(self, found: Found, misfits: frozenset[int] = frozenset()) -> None:
        """Note that values were taken, but for those of some records."""
        for path, rows in found:
            if rows is None and not misfits:
                self._taken[path] = None
            elif (taken := self._taken[path]) is not None:
                taken.update(set(range(len(self.records)) if rows is None else rows) - misfits)

    def untaken(self, path: str) -> list[tuple[int, Any]]:
        """The values at a path that nothing took, each with the position of its record."""
        taken: set[int] | None = self._taken.get(path, set())
        if taken is None:
            return []
        return [(i, one) for i, one in enumerate(self.at(path) or ()) if one is not None and i not in taken]


class Layout:
    """Where the values of a table are in its records.

    Args:
        columns: Columns of the table.
        lists: Child tables: the places of each one's list.
    """

    def __init__(self, columns: Sequence[Column], lists: Sequence[Sequence[str]] = ()) -> None:
        self._columns = columns
        self._lists = [[FieldPath(path) for path in places] for places in lists]
        places = [*(column.places for column in columns), *self._lists]
        self._paths = frozenset(place.path for found in places for place in found)
        steps = [path.split(".") for path in self._paths]
        self._objects = frozenset(".".join(path[:length]) for path in steps for length in range(1, len(path)))

    def read(
        self, records: Sequence[Record], unread: Counter[str], fixed: Mapping[str, str] | None = None
    ) -> tuple[list[pa.Array], list[list[Any] | None], list[Record | None]]:
        """The columns of a batch.

        Args:
            records: The records.
            unread: Column to the number of values that leave it null; is added to.
            fixed: Columns that hold one value, whatever the records say.

        Returns:
            An array for each column, for each child table the list of each record, and what is left of each record.
        """
        values = Values(records)
        lists = self.lists(values)
        arrays: list[pa.Array] = []
        for column in self._columns:
            picked, found = values.pick(column.places)
            array, misfits = convert(picked or [None] * len(records), column.type)
            if fixed and column.name in fixed:
                misfits = frozenset(i for i, one in enumerate(picked or ()) if one != fixed[column.name])
                array = pa.array([fixed[column.name]] * len(records), array.type)
            if lost := sum(not array[i].is_valid for i in misfits):
                unread[column.name] += lost
            values.take(found, misfits)
            arrays.append(array)
        rests = self.unnamed(records)
        for path in self._paths:
            for i, one in values.untaken(path):
                self._put(rests, i, path, one)
        return arrays, lists, rests

    def lists(self, values: Values) -> list[list[Any] | None]:
        """For each child table the list of each record; None if no record has one."""
        lists: list[list[Any] | None] = []
        for places in self._lists:
            picked, found = values.pick(places, lists=True)
            values.take(found)
            lists.append(picked)
        return lists

    def unnamed(self, objects: Sequence[Record], above: str = "") -> list[Record | None]:
        """What objects have at no path of the table; None for nothing."""
        names: set[str] = set().union(*objects)
        inside = {name for name in names if "." not in name and above + name in self._objects}
        kept = {name for name in names if "." in name or above + name not in self._paths} - inside
        rests: list[Record | None] = [None] * len(objects)
        if kept:
            rests = [_some(one, kept) for one in objects]
        for name in inside:
            values = [one.get(name) for one in objects]
            path = above + name
            deeper = self.unnamed([one if isinstance(one, dict) else _EMPTY for one in values], path + ".")
            for i, (value, rest) in enumerate(zip(values, deeper, strict=True)):
                # An object above a path goes with the last of its values, unless it was empty.
                whole = value is not None and (value == _EMPTY or not isinstance(value, dict))
                if rest or (whole and path not in self._paths):
                    rests[i] = {**(rests[i] or _EMPTY), name: rest or value}
        return rests

    def _put(self, rests: list[Record | None], i: int, path: str, value: Any) -> None:
        """Add a value to what is left of a record."""
        if path in self._objects and isinstance(value, dict) and value:
            return  # What it holds is at other paths, or left already.
        *above, name = path.split(".")
        rest = rests[i] = rests[i] or {}
        for step in above:
            rest = rest.setdefault(step, {})
        rest[name] = value


def _some(record: Record, names: Collection[str]) -> Record | None:
    return {name: value for name, value in record.items() if name in names} or None
