"""API records to Arrow tables on a fixed schema.

A batch is converted column by column, by Arrow where every value is as expected, value by value where one is not.
Nothing is dropped on the way (I8): keys that the endpoint does not name, and values that do not fit their column
exactly, are kept in the JSON column `extra`, at the place where the record had them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from ..endpoints import ORGANIZATION, Child, Column, Endpoint
from .coerce import ARROW_TYPES, convert

EXTRA = "extra"
ROW_HASH = "_row_hash"
SYNCED_AT = "_synced_at"
DELETED_AT = "_deleted_at"
LOAD_ID = "_load_id"
"""Of tables that have children: the load package that brought the row, and should have brought its children too."""
REMOVED = "_removed"
POSITION = "position"

Record = dict[str, Any]

_STAMP = pa.timestamp("us", tz="UTC")


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


def dumps(value: Any) -> bytes:
    """Canonical JSON: sorted keys, exact decimals."""
    return orjson.dumps(value, default=_exactly, option=orjson.OPT_SORT_KEYS)


def _exactly(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(type(value).__name__)


def dig(record: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record


class Table:
    """Turns the records of one endpoint into Arrow tables.

    Args:
        endpoint: What the records are.
        organization_id: Whose they are, where the table holds those of several organizations.
    """

    def __init__(self, endpoint: Endpoint, organization_id: str | None = None) -> None:
        self.endpoint = endpoint
        self.organization_id = organization_id if endpoint.by_organization else None
        self._named = {place.path for column in endpoint.columns for place in column.places}
        self._salt = hashlib.blake2b(_layout(endpoint).encode(), digest_size=16).digest()
        self._key_columns = [_named(endpoint.columns, name) for name in endpoint.key]
        self._emitted: dict[str, int] = {}
        self._places: dict[str, dict[str, int]] | None = None
        self._removes = True
        self._load_id = ""

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the table itself."""
        columns = self.endpoint.columns
        single = self.endpoint.key[0] if len(self.endpoint.key) == 1 else None
        keys = self.endpoint.key_with(single or "")
        fields = [pa.field(one.name, ARROW_TYPES[one.type], nullable=one.name not in keys) for one in columns]
        if single is None:
            fields.insert(0, pa.field(self.endpoint.row_key, pa.string(), nullable=False))
        return pa.schema([*fields, *_SYSTEM, *([_LOADED] if self.endpoint.children else [])])

    def keys(self, records: Sequence[Record]) -> list[str | None]:
        """What identifies each record; None where it has nothing that could.

        Args:
            records: Records of one page.
        """
        columns = [_pick(records, column)[0] for column in self._key_columns]
        arrays = [
            convert(values, column.type)[0].to_pylist()
            for values, column in zip(columns, self._key_columns, strict=True)
        ]
        if len(arrays) == 1:
            return [None if value is None or value == "" else str(value) for value in arrays[0]]
        return [
            None if all(value is None for value in values) else orjson.dumps(values, default=str).decode()
            for values in zip(*arrays, strict=True)
        ]

    def hash(self, record: Record) -> str:
        """16 hexadecimal digits that differ when anything in the record differs."""
        return hashlib.blake2b(dumps(record), digest_size=8, key=self._salt).hexdigest()

    def updated_at(self, records: Sequence[Record]) -> list[datetime | None]:
        """When each record was last changed, by its own word."""
        column = _named(self.endpoint.columns, "updated_at")
        moments: list[datetime | None] = convert(_pick(records, column)[0], column.type)[0].to_pylist()
        return moments

    def foreign(self, records: Sequence[Record]) -> str | None:
        """The organization that a record says it belongs to, if that is another; None if none says so."""
        if self.organization_id is None:
            return None
        named = _pick(records, _named(self.endpoint.columns, ORGANIZATION))[0]
        return next((str(one) for one in named if one not in (None, "", self.organization_id)), None)

    @property
    def _fixed(self) -> dict[str, str]:
        return {} if self.organization_id is None else {ORGANIZATION: self.organization_id}

    def start_package(self, load_id: str = "") -> None:
        """Forget what this package has been given: the next rows go into another load package.

        Args:
            load_id: Its id; empty without a pipeline.
        """
        self._emitted.clear()
        self._load_id = load_id

    def keep_places(self, held: dict[str, dict[str, int]], removes: bool) -> None:
        """Say of each place in a list that is empty now that it is: where a merge does not replace whole lists.

        Args:
            held: Child table to parent's key to the number of its children in the destination.
            removes: The destination can remove rows; else such places are marked deleted.
        """
        self._places = held
        self._removes = removes

    def arrow(self, rows: Sequence[Row]) -> Iterator[tuple[str, pa.Table]]:
        """Arrow tables of these rows, each with its table's name. Keys must not repeat within `rows`.

        Children come first: should whoever takes these stop in between (`add_limit`), the parent is not loaded and
        the next sync brings both; the other way round it would be taken for unchanged.
        """
        records = [row.record for row in rows]
        lists = {child: [_entries(record, child) for record in records] for child in self.endpoint.children}
        taken = [{at for entries in lists.values() if (at := entries[i][0])} for i in range(len(rows))]
        arrays, rests = _columns(records, self.endpoint.columns, self._named, taken, self._fixed)
        if len(self.endpoint.key) > 1:
            arrays.insert(0, pa.array([row.key for row in rows], pa.string()))
        for child, entries in lists.items():
            table = self._child(child, rows, [values for _, values in entries])
            if table.num_rows:
                yield child.table, table
        arrays += _system(rows, rests)
        if self.endpoint.children:
            arrays.append(self.loaded(len(rows)))
        yield self.endpoint.table, pa.Table.from_arrays(arrays, schema=self.schema)

    def loaded(self, count: int) -> pa.Array:
        """The column `_load_id` of so many rows."""
        return pa.array([self._load_id or None] * count, pa.string())

    def _child(self, child: Child, rows: Sequence[Row], lists: list[list[Any]]) -> pa.Table:
        parents: list[Row] = []
        positions: list[int] = []
        entries: list[Any] = []
        removed: list[bool | None] = []
        for row, values in zip(rows, lists, strict=True):
            count = max(len(values), self._places_before(child, row, len(values)))
            parents += [row] * count
            positions += range(count)
            entries += values + [None] * (count - len(values))
            removed += [None] * len(values) + [True] * (count - len(values))
        records = [entry if isinstance(entry, dict) else {} for entry in entries]
        named = {place.path for column in child.columns for place in column.places}
        arrays, rests = _columns(records, child.columns, named, [set() for _ in records])
        for i, entry in enumerate(entries):
            if entry is not None and not isinstance(entry, dict):
                rests[i] = {"value": entry}
        owner = [pa.array([self.organization_id] * len(parents), pa.string())] if self._fixed else []
        return pa.Table.from_arrays(
            [
                *owner,
                pa.array([row.key for row in parents], pa.string()),
                pa.array(positions, pa.int64()),
                *arrays,
                _json(rests),
                pa.array([row.read_at for row in parents], _STAMP),
                pa.array(
                    [
                        row.read_at if gone and not self._removes else None
                        for row, gone in zip(parents, removed, strict=True)
                    ],
                    _STAMP,
                ),
                pa.array(removed if self._removes else [None] * len(removed), pa.bool_()),
            ],
            schema=child_schema(child, self.endpoint.by_organization),
        )

    def _places_before(self, child: Child, row: Row, now: int) -> int:
        """Number of places in a parent's list that have to be spoken of, whatever it holds now."""
        if self._places is not None:
            held = self._places.setdefault(child.table, {})
            before, held[row.key] = held.get(row.key, 0), now
            return before
        # In one package a parent may come twice, its list shorter the second time: say what went. And a parent that was
        # there before and has no entries now must say so too, or its old ones would stay.
        name = f"{child.table}:{row.key}"
        before, self._emitted[name] = self._emitted.get(name, 1 if row.existed else 0), now
        return before


_SYSTEM = (
    pa.field(EXTRA, pa.string()),
    pa.field(ROW_HASH, pa.string(), nullable=False),
    pa.field(SYNCED_AT, _STAMP, nullable=False),
    pa.field(DELETED_AT, _STAMP),
)
_LOADED = pa.field(LOAD_ID, pa.string())


def child_schema(child: Child, by_organization: bool = False) -> pa.Schema:
    """Arrow schema of a child table."""
    return pa.schema(
        [
            *([pa.field(ORGANIZATION, pa.string(), nullable=False)] if by_organization else []),
            pa.field(child.parent_key, pa.string(), nullable=False),
            pa.field(POSITION, pa.int64(), nullable=False),
            *(pa.field(column.name, ARROW_TYPES[column.type]) for column in child.columns),
            pa.field(EXTRA, pa.string()),
            pa.field(SYNCED_AT, _STAMP, nullable=False),
            pa.field(DELETED_AT, _STAMP),
            pa.field(REMOVED, pa.bool_()),
        ]
    )


def _layout(endpoint: Endpoint) -> str:
    """The columns as text. Every row's hash covers it, so that unchanged rows get the columns of a later version.

    The hashes are in destinations, so the text keeps the class name `Place` that `FieldPath` had at first.
    """
    return repr((endpoint.columns, endpoint.children)).replace("FieldPath(", "Place(")


def _named(columns: Iterable[Column], name: str) -> Column:
    return next(column for column in columns if column.name == name)


def _system(rows: Sequence[Row], rests: list[Record | None]) -> list[pa.Array]:
    return [
        _json(rests),
        pa.array([row.hash for row in rows], pa.string()),
        pa.array([row.read_at for row in rows], _STAMP),
        pa.nulls(len(rows), _STAMP),
    ]


def _json(rests: Sequence[Any]) -> pa.Array:
    return pa.array([dumps(rest).decode() if rest else None for rest in rests], pa.string())


def _entries(record: Record, child: Child) -> tuple[str | None, list[Any]]:
    for path in child.places:
        value = dig(record, path)
        if isinstance(value, list):
            return path, value
    return None, []


def _pick(records: Sequence[Record], column: Column) -> tuple[list[Any], list[str]]:
    """The column's value in each record, and the path at which it was found."""
    if len(column.places) == 1 and "." not in (path := column.places[0].path) and column.places[0].vendor is None:
        return [record.get(path) for record in records], [path] * len(records)
    values: list[Any] = []
    paths: list[str] = []
    for record in records:
        found, at = None, column.places[0].path
        for place in column.places:
            if place.vendor is not None and place.vendor != record.get("vendor"):
                continue
            value = dig(record, place.path) if "." in place.path else record.get(place.path)
            if value is not None:
                found, at = value, place.path
                break
        values.append(found)
        paths.append(at)
    return values, paths


def _columns(
    records: Sequence[Record],
    columns: Sequence[Column],
    named: set[str],
    taken: list[set[str]],
    fixed: Mapping[str, str] | None = None,
) -> tuple[list[pa.Array], list[Record | None]]:
    """The columns as arrays, and of each record what no column took.

    `taken` are paths that were used already; `fixed` are columns that hold one value, whatever the records say.
    """
    arrays: list[pa.Array] = []
    for column in columns:
        values, paths = _pick(records, column)
        array, misfits = convert(values, column.type)
        if fixed and column.name in fixed:
            misfits = frozenset(i for i, value in enumerate(values) if value != fixed[column.name])
            array = pa.array([fixed[column.name]] * len(records), ARROW_TYPES[column.type])
        arrays.append(array)
        for i, path in enumerate(paths):
            if i not in misfits:
                taken[i].add(path)
    return arrays, [_rest(record, named, taken[i]) for i, record in enumerate(records)]


def _rest(record: Record, named: set[str], taken: set[str], above: str = "") -> Record | None:
    """What is left of a record without what was taken, and without nulls at the places that columns name."""
    rest: Record = {}
    for key, value in record.items():
        path = above + key
        if path in taken or (value is None and path in named):
            continue
        if isinstance(value, dict) and value:
            inside = _rest(value, named, taken, path + ".")
            if inside is not None:
                rest[key] = inside
        else:
            rest[key] = value
    return rest or None
