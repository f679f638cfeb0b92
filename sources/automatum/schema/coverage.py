"""What of the records a table's columns take: columns that stay null, values that do not fit, fields without a column.

Pure functions over records, for `check` and the summary of a sync. They show names and counts, never values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.suggest import nearest
from ..endpoints import Column, ColumnType, Endpoint
from .batch import Leftovers
from .child_tables import entries_of
from .coerce import convert
from .names import normalize_identifier
from .records import Record, pick

_DECIMAL_TEXT = re.compile(r"-?\d{1,20}\.\d{1,9}")
_UNLIKE_TEXT: tuple[ColumnType, ...] = ("date", "timestamp")


@dataclass(frozen=True)
class UnknownField:
    """A field of the records that no column takes. Its values are in the JSON column `extra`.

    Attributes:
        path: Dotted path, such as `plan.tier`.
        type: Type of a column that holds all its values; `list` for a list, which can become a child table.
        count: Number of records that have it, and not as null.
    """

    path: str
    type: ColumnType | str
    count: int


@dataclass(frozen=True)
class Coverage:
    """What of the records the columns of a table take.

    Attributes:
        table: Table name.
        records: Number of records; for a child table, of entries of its lists.
        null_columns: Columns that are null for every record.
        misfits: Column to the number of values that it does not hold as they are. They are in `extra`.
        unknown: Fields that no column takes.
        children: The same for the child tables. One with no records has an empty list, or none, in every record.
    """

    table: str
    records: int
    null_columns: tuple[str, ...] = ()
    misfits: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[UnknownField, ...] = ()
    children: tuple[Coverage, ...] = ()

    def likely_places(self) -> dict[str, str]:
        """For each column that is null throughout: the unknown field that has the most similar name, if one has.

        A field is suggested for one column at most.
        """
        free = {each.path: each for each in self.unknown if each.type != "list"}
        found: dict[str, str] = {}
        for same in (True, False):
            for name in self.null_columns:
                path = None if name in found else _likely(name, free, same)
                if path is not None:
                    found[name] = path
                    del free[path]
        return found


def coverage_of(endpoint: Endpoint, records: Sequence[Record]) -> Coverage:
    """What the columns of an endpoint, and of its child tables, take of records.

    Args:
        endpoint: The endpoint, with overrides applied.
        records: Records as the API sent them.
    """
    lists = [path for child in endpoint.children for path in child.places]
    children = []
    for child in endpoint.children:
        entries = [entry for record in records for entry in entries_of(record, child)[1]]
        objects = [entry if isinstance(entry, dict) else {"value": entry} for entry in entries]
        children.append(_of(child.table, child.columns, objects))
    return _of(endpoint.table, endpoint.columns, records, lists, tuple(children))


def key_candidates(records: Sequence[Record]) -> list[str]:
    """Top-level fields that are a text or a whole number, not null, and different in every record.

    Fields whose name says that they are an id come first.

    Args:
        records: Records of one page or of several.
    """
    if not records:
        return []
    found: list[str] = []
    for name in records[0]:
        values = [record.get(name) for record in records]
        scalar = all(isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" for value in values)
        if scalar and len({str(value) for value in values}) == len(values):
            found.append(name)
    return sorted(found, key=lambda name: (name.strip("_").lower() != "id", not name.lower().endswith("id")))


def _of(
    table: str,
    columns: Sequence[Column],
    records: Sequence[Record],
    lists: Iterable[str] = (),
    children: tuple[Coverage, ...] = (),
) -> Coverage:
    lists = set(lists)
    taken: list[set[str]] = [set(lists) for _ in records]
    null_columns: list[str] = []
    misfits: dict[str, int] = {}
    for column in columns:
        values, paths = pick(records, column)
        unfit = convert(values, column.type, column.formats)[1]
        if all(value is None for value in values):
            null_columns.append(column.name)
        if unfit:
            misfits[column.name] = len(unfit)
        for i, path in enumerate(paths):
            taken[i].add(path)
    leftovers = Leftovers(columns, lists)
    rests = (leftovers.rest(record, leftovers.names - at) for record, at in zip(records, taken, strict=True))
    found: dict[str, list[Any]] = {}
    for rest in rests:
        for path, value in _leaves(rest or {}):
            found.setdefault(path, []).append(value)
    unknown = tuple(UnknownField(path, _type_of(values), len(values)) for path, values in found.items())
    return Coverage(table, len(records), tuple(null_columns), misfits, unknown, children)


def _leaves(record: Record, above: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a record that have a value, with their dotted paths."""
    levels = [(above, iter(record.items()))]
    while levels:
        prefix, entries = levels[-1]
        entry = next(entries, None)
        if entry is None:
            levels.pop()
            continue
        key, value = entry
        if "." in key:
            continue  # No dotted path leads there.
        if isinstance(value, dict) and value:
            levels.append((f"{prefix}{key}.", iter(value.items())))
        elif value is not None:
            yield prefix + key, value


def _type_of(values: Sequence[Any]) -> ColumnType | str:
    if all(isinstance(value, list) for value in values):
        return "list"
    if all(isinstance(value, bool) for value in values):
        return "bool"
    if all(isinstance(value, str) for value in values):
        if all(_DECIMAL_TEXT.fullmatch(value) for value in values):
            return "decimal"
        return next((type_ for type_ in _UNLIKE_TEXT if not convert(values, type_)[1]), "text")
    numbers: tuple[ColumnType, ...] = ("bigint", "decimal")
    if any(isinstance(value, (bool, str)) for value in values):
        return "text"
    return next((type_ for type_ in numbers if not convert(values, type_)[1]), "text")


def _likely(column: str, free: Mapping[str, UnknownField], same: bool) -> str | None:
    """The free path whose name is the column's (same), or is similar to it."""
    names: dict[str, str] = {}
    for path in free:
        for name in (normalize_identifier(path.replace(".", "_")), normalize_identifier(path.rpartition(".")[2])):
            names.setdefault(name, path)
    if same:
        return {name.strip("_"): path for name, path in names.items()}.get(column)
    match = nearest(column, names)
    return names[match] if match else None
