"""A batch of API records, column by column.

Values are read path by path, and Arrow converts each column at once. Only a column with an unexpected value is
converted value by value. Nothing is dropped (I8): keys that the endpoint does not name, and values that do not fit
their column exactly, are left for the JSON column `extra`, at the path that they have in the record. Which keys these
are depends on the names in a record alone, unless a value is where no column took it. So it is worked out once for each
set of names, and value by value only for the other records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import pyarrow as pa

from ..endpoints import Column
from .arrow_types import ARROW_TYPES
from .coerce import convert
from .records import Record

_MOST_SHAPES = 1000
"""Sets of names whose rest is remembered. Records whose names are ids would fill the memory."""

Left = Mapping[int, Collection[str]]
"""Position of a record to the paths at which it has a value, or a null in place of a list, that nothing took."""


class Batch:
    """Records of one batch.

    Args:
        records: The records.

    Attributes:
        records: The same.
        shapes: The sets of names that records have, in their order.
        taken: Path to the positions of the records whose value there was taken; None for all that have a value there.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.taken: dict[str, set[int] | None] = {}
        self.shapes = set(map(tuple, records))
        self._names = set(chain.from_iterable(self.shapes))
        self._values: dict[str, list[Any] | None] = {}

    def __len__(self) -> int:
        return len(self.records)

    def values(self, path: str) -> list[Any] | None:
        """The values at a dotted path; None if no record has one."""
        if path not in self._values:
            objects, name = self._inside(path)
            found = [one.get(name) for one in objects]
            self._values[path] = found if any(value is not None for value in found) else None
        return self._values[path]

    def nulls(self, path: str) -> list[int]:
        """Positions of the records with a null at a dotted path."""
        objects, name = self._inside(path)
        return [i for i, one in enumerate(objects) if name in one and one[name] is None]

    def _inside(self, path: str) -> tuple[Sequence[Record], str]:
        """Of each record, the object at a path without its last name, and that name; no objects if none has it."""
        above, _, name = path.rpartition(".")
        if not above:
            return self.records if name in self._names else (), name
        return [one if isinstance(one, dict) else {} for one in self.values(above) or ()], name

    def pick(self, column: Column) -> tuple[list[Any] | None, list[tuple[str, list[int] | None]]]:
        """The column's values.

        Args:
            column: The column.

        Returns:
            A value for each record, or None if none has one. The paths at which they were found, each with the
            positions of the records; None for all that have a value there.
        """
        picked: list[Any] | None = None
        found: list[tuple[str, list[int] | None]] = []
        for place in column.places:
            values = self.values(place.path)
            if values is None:
                continue
            if place.vendor is not None:
                vendors = self.values(place.vendor_at) or [None] * len(self)
                values = [
                    value if vendor == place.vendor else None for value, vendor in zip(values, vendors, strict=True)
                ]
            if picked is None and place.vendor is None:
                picked = values
                found.append((place.path, None))
            else:
                before = picked or [None] * len(self)
                rows = [i for i, value in enumerate(values) if value is not None and before[i] is None]
                if not rows:
                    continue
                picked = list(before)
                for i in rows:
                    picked[i] = values[i]
                found.append((place.path, rows))
            if None not in picked:
                break
        return picked, found

    def lists(self, places: Sequence[str]) -> list[list[Any]]:
        """The lists of a child table, and an empty one for a record without a list; they count as taken.

        Args:
            places: Dotted paths at which a list may be found; the first that holds a list wins.
        """
        found: list[list[Any] | None] = [None] * len(self)
        for path in places:
            values = self.values(path) or ()
            rows = [i for i, value in enumerate(values) if found[i] is None and isinstance(value, list)]
            for i in rows:
                found[i] = values[i]
            self.take(path, rows)
        return [[] if one is None else one for one in found]

    def take(self, path: str, rows: Collection[int] | None, misfits: frozenset[int] = frozenset()) -> None:
        """Note that values were taken.

        Args:
            path: Where.
            rows: Positions of the records; None for all that have a value there.
            misfits: Positions of the records whose value was not taken.
        """
        known = self.taken.setdefault(path, set())
        if known is None:
            return
        if rows is None and not misfits:
            self.taken[path] = None
        else:
            known.update((set(range(len(self))) if rows is None else set(rows)) - misfits)

    def left(self, names: Collection[str], lists: Collection[str]) -> Left:
        """The paths at which nothing took the value of a record.

        Args:
            names: Paths at which columns look for values. A null there is nothing to keep.
            lists: Paths at which child tables look for lists.
        """
        left: dict[int, set[str]] = {}
        for path in {*names, *lists}:
            taken = self.taken.get(path, set())
            if taken is None:
                continue
            rows = [i for i, value in enumerate(self.values(path) or ()) if value is not None and i not in taken]
            for i in rows if path in names else [*rows, *self.nulls(path)]:
                left.setdefault(i, set()).add(path)
        return left


class Leftovers:
    """What columns and child tables leave of a record.

    Args:
        columns: Columns of the table.
        lists: Paths of the lists that become child tables.
    """

    def __init__(self, columns: Sequence[Column], lists: Iterable[str] = ()) -> None:
        self.names = frozenset(place.path for column in columns for place in column.places)
        self.lists = frozenset(lists)
        paths = [path.split(".") for path in self.names | self.lists]
        self._objects = {".".join(path[:length]) for path in paths for length in range(1, len(path))}
        self._shapes: dict[tuple[str, tuple[str, ...]], tuple[list[str], list[str]]] = {}

    def of(self, batch: Batch) -> Iterator[Record | None]:
        """What is left of each record of a batch, after its columns were taken; None for nothing."""
        left = batch.left(self.names, self.lists)
        if not left and not any(any(self._split(names, "")) for names in batch.shapes):
            yield from repeat(None, len(batch))
            return
        # One at a time: many new objects at once make Python look for garbage among all records.
        for i, record in enumerate(batch.records):
            yield self.rest(record, left[i]) if i in left else self._rest(record, "")

    def rest(self, record: Record, left: Collection[str], above: str = "") -> Record | None:
        """What is left of one record, without nulls at the places that columns name; None for nothing.

        An object that holds none of the paths is left as it is, however deep it is.

        Args:
            record: The record, or an object inside it.
            left: Paths at which nothing took the value.
            above: Path of the object, with a point after it.
        """
        rest: Record = {}
        for name, value in record.items():
            path = above + name
            if "." in name:
                rest[name] = value  # No path leads there.
            elif (path in self.names and (value is None or path not in left)) or (
                path in self.lists and path not in left
            ):
                continue
            elif path in self._objects and isinstance(value, dict) and value:
                if (inside := self.rest(value, left, path + ".")) is not None:
                    rest[name] = inside
            else:
                rest[name] = value
        return rest or None

    def _rest(self, record: Record, above: str) -> Record | None:
        """The same for a record in which each value was taken that could be."""
        kept, objects = self._split(tuple(record), above)
        rest = {name: record[name] for name in kept}
        for name in objects:
            value = record[name]
            if not isinstance(value, dict) or not value:
                rest[name] = value
            elif (inside := self._rest(value, f"{above}{name}.")) is not None:
                rest[name] = inside
        return rest or None

    def _split(self, names: tuple[str, ...], above: str) -> tuple[list[str], list[str]]:
        """The names whose values are left as they are, and those of objects that may hold a path."""
        shape = (above, names)
        if shape not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            free = [name for name in names if "." in name or above + name not in self.names | self.lists]
            objects = [name for name in free if "." not in name and above + name in self._objects]
            self._shapes[shape] = [name for name in free if name not in objects], objects
        return self._shapes[shape]


def arrays_of(
    batch: Batch,
    columns: Sequence[Column],
    unread: Counter[str],
    fixed: Mapping[str, str] | None = None,
) -> list[pa.Array]:
    """The columns of a batch as arrays; what fits its column counts as taken.

    Args:
        batch: The batch.
        columns: The columns.
        unread: Column to the number of values that leave it null; is added to.
        fixed: Columns that hold one value, whatever the records say.
    """
    arrays: list[pa.Array] = []
    for column in columns:
        values, found = batch.pick(column)
        misfits: frozenset[int] = frozenset()
        if values is None:
            array = pa.nulls(len(batch), ARROW_TYPES[column.type])
        else:
            array, misfits = convert(values, column.type, column.formats)
        if fixed and column.name in fixed:
            misfits = frozenset(i for i, value in enumerate(values or ()) if value != fixed[column.name])
            array = pa.array([fixed[column.name]] * len(batch), ARROW_TYPES[column.type])
        arrays.append(array)
        if lost := sum(not array[i].is_valid for i in misfits):
            unread[column.name] += lost
        for path, rows in found:
            batch.take(path, rows, misfits)
    return arrays
