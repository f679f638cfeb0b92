"""API records: their values by path, and their columns as Arrow arrays.

A batch is converted column by column, by Arrow where every value is as expected, value by value where a value is not.
Nothing is dropped (I8): keys that the endpoint does not name, and values that do not fit their column exactly, are left
for the JSON column `extra`, at the path that they have in the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from ..endpoints import Column
from .coerce import ARROW_TYPES, convert
from .json_text import column_text

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One record on its way to the destination.

    Attributes:
        key: What identifies it in its table.
        hash: 64 bits over its content, as 16 hexadecimal digits; differs when anything in the record differs.
        record: The record as the API sent it.
        read_at: When its page arrived.
        existed: True if the destination may already hold a row of this key.
    """

    key: str
    hash: str
    record: Record
    read_at: datetime
    existed: bool = True


def dig(record: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record


def json_array(rests: Sequence[Any]) -> pa.Array:
    """A JSON column; what is empty is null."""
    return pa.array([column_text(rest) if rest else None for rest in rests], pa.string())


def without(record: Record, paths: Iterable[str]) -> Record:
    """A copy of a record without the values at these dotted paths."""
    for path in paths:
        step, _, rest = path.partition(".")
        if step not in record:
            continue
        inside = record[step]
        record = {name: value for name, value in record.items() if name != step}
        if rest:
            record[step] = without(inside, (rest,)) if isinstance(inside, dict) else inside
    return record


def with_value(record: Record, path: str, value: Any) -> Record:
    """A copy of a record with this value at a dotted path."""
    step, _, rest = path.partition(".")
    if not rest:
        return {**record, step: value}
    inside = record.get(step)
    return {**record, step: with_value(inside if isinstance(inside, dict) else {}, rest, value)}


def pick(records: Sequence[Record], column: Column) -> tuple[list[Any], list[str]]:
    """The column's value in each record, and the path at which it was found."""
    if len(column.places) == 1 and "." not in (path := column.places[0].path) and column.places[0].vendor is None:
        return [record.get(path) for record in records], [path] * len(records)
    values: list[Any] = []
    paths: list[str] = []
    for record in records:
        found, at = None, column.places[0].path
        for place in column.places:
            if place.vendor is not None and place.vendor != dig(record, place.vendor_at):
                continue
            value = dig(record, place.path) if "." in place.path else record.get(place.path)
            if value is not None:
                found, at = value, place.path
                break
        values.append(found)
        paths.append(at)
    return values, paths


class Paths:
    """The paths in a record that a table takes values from.

    Args:
        columns: Columns of the table.
        lists: Paths of the lists that become child tables.
    """

    def __init__(self, columns: Sequence[Column], lists: Iterable[str] = ()) -> None:
        self._named = {place.path for column in columns for place in column.places}
        paths = [path.split(".") for path in (*self._named, *lists)]
        self._objects = {".".join(path[:length]) for path in paths for length in range(1, len(path))}

    def rest(self, record: Record, taken: set[str], above: str = "") -> Record | None:
        """What is left of a record without what was taken, and without nulls at the places that columns name.

        An object that holds none of the paths is left as it is, however deep it is.
        """
        rest: Record = {}
        for key, value in record.items():
            path = above + key
            if (path in taken or (value is None and path in self._named)) and "." not in key:
                continue
            if path in self._objects and isinstance(value, dict) and value:
                inside = self.rest(value, taken, path + ".")
                if inside is not None:
                    rest[key] = inside
            else:
                rest[key] = value
        return rest or None


def arrays_of(
    records: Sequence[Record],
    columns: Sequence[Column],
    paths: Paths,
    taken: list[set[str]],
    unread: Counter[str],
    fixed: Mapping[str, str] | None = None,
) -> tuple[list[pa.Array], list[Record | None]]:
    """The columns as arrays, and of each record what no column took.

    `taken` are paths that were used already; `fixed` are columns that hold one value, whatever the records say. In
    `unread`, the values are counted that leave their column null.
    """
    arrays: list[pa.Array] = []
    for column in columns:
        values, places = pick(records, column)
        array, misfits = convert(values, column.type, column.formats)
        if fixed and column.name in fixed:
            misfits = frozenset(i for i, value in enumerate(values) if value != fixed[column.name])
            array = pa.array([fixed[column.name]] * len(records), ARROW_TYPES[column.type])
        arrays.append(array)
        if lost := sum(not array[i].is_valid for i in misfits):
            unread[column.name] += lost
        for i, path in enumerate(places):
            if i not in misfits:
                taken[i].add(path)
    return arrays, [paths.rest(record, taken[i]) for i, record in enumerate(records)]
