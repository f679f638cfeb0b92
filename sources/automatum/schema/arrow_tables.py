"""API records to Arrow tables on a fixed schema: keys, hashes, rows and child rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

import orjson
import pyarrow as pa

from ..endpoints import ORGANIZATION, VENDOR, Column, ColumnType, Endpoint, FieldPath
from .arrow_types import TIMESTAMP
from .batch import Batch, Leftovers, arrays_of
from .child_tables import ChildLists, child_table, entries_of
from .coerce import convert, json_array, moments
from .json_text import canonical_json, column_text, dumps
from .records import UNKEYED, Identified, Record, Row, pick, without
from .tables import own_table

_ORGANIZATION = Column(ORGANIZATION, "text", (FieldPath("organizationId"), FieldPath(ORGANIZATION)))
"""Where a record may name its organization, if its table has no column for it."""


class Table:
    """Turns the records of one endpoint into Arrow tables.

    Args:
        endpoint: What the records are.
        organization_id: Whose they are, where the table holds those of several organizations.

    Attributes:
        children: The child tables, with the types that the destination has.
        schema: Arrow schema of the table itself.
        unread: Column to the number of values that did not fit it and left it null. They are in `extra`. A column of a
            child table has the name of its table before it.
    """

    def __init__(self, endpoint: Endpoint, organization_id: str | None = None) -> None:
        self.endpoint = endpoint
        self.organization_id = organization_id if endpoint.by_organization else None
        self._leftovers = Leftovers(endpoint.columns, (path for child in endpoint.children for path in child.places))
        self._leftovers_of_children = {child.table: Leftovers(child.columns) for child in endpoint.children}
        self.unread: Counter[str] = Counter()
        self.children = endpoint.children
        self._columns = endpoint.columns
        self._digest = _keyed_digest(endpoint)
        self.schema = own_table(endpoint).schema
        self._fixed = {} if self.organization_id is None else {ORGANIZATION: self.organization_id}
        self._key_columns = [_named(endpoint.columns, name) for name in endpoint.key]

    def store_as(self, types: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, str]]:
        """Convert values to the types that the destination has, because it cannot change the type of a column.

        The hash covers these types. So each row is loaded again once the destination has the other type.

        Args:
            types: This table, and child tables, to column to the type that is stored; columns that do not exist yet are
                not in it.

        Returns:
            Column, with its table before it, to its type here and its type in the destination, where they differ.
        """
        known: dict[str, ColumnType] = {name: name for name in get_args(ColumnType)}
        differ: dict[str, tuple[str, str]] = {}

        def stored(table: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
            have = {name: known[type_] for name, type_ in types.get(table, {}).items() if type_ in known}
            found = tuple(replace(one, type=have.get(one.name, one.type)) for one in columns)
            pairs = zip(columns, found, strict=True)
            differ.update({f"{table}.{one.name}": (one.type, new.type) for one, new in pairs if one.type != new.type})
            return found

        self._columns = stored(self.endpoint.table, self.endpoint.columns)
        self.children = tuple(
            replace(child, columns=stored(child.table, child.columns)) for child in self.endpoint.children
        )
        self._digest, self.schema = _keyed_digest(self.stored), own_table(self.stored).schema
        return differ

    @property
    def stored(self) -> Endpoint:
        """The endpoint with the types that the destination has."""
        return replace(self.endpoint, columns=self._columns, children=self.children)

    def identify(self, records: Sequence[Record]) -> Identified:
        """The keys and the hashes of the records of a page.

        Args:
            records: Records of one page.
        """
        found = Identified()
        start = self._digest.copy
        for position, record in enumerate(records):
            try:
                text = canonical_json(record)
            except TypeError:
                found.failed[position] = "the record is nested too deeply, or holds NaN or Infinity"
                found.hashes.append("")
                continue
            digest = start()
            digest.update(text)
            found.hashes.append(digest.hexdigest())
            found.size += len(text)
        equal: Counter[str] = Counter()
        for key, hash_ in zip(self.keys(records), found.hashes, strict=True):
            if key is None:
                equal[hash_] += 1
                key = f"{UNKEYED}{hash_}:{equal[hash_]}"
            found.keys.append(key)
        return found

    def keys(self, records: Sequence[Record]) -> Sequence[str | None]:
        """What identifies each record; None where its key is missing.

        Args:
            records: Records of one page.
        """
        if len(self._key_columns) == 1 and (texts := _plain_texts(records, self._key_columns[0])) is not None:
            return texts
        columns = [self._key_values(records, column) for column in self._key_columns]
        if len(columns) == 1:
            return [None if value is None or value == "" else str(value) for value in columns[0]]
        return [
            None if all(value is None for value in values) else orjson.dumps(values, default=str).decode()
            for values in zip(*columns, strict=True)
        ]

    def _key_values(self, records: Sequence[Record], column: Column) -> list[Any]:
        """The column's values. Of several that make a key, one that has no value of the column's type is its JSON."""
        found = pick(records, column)[0]
        array, misfits = convert(found, column.type, column.formats)
        values: list[Any] = array.to_pylist()
        if len(self._key_columns) > 1:
            for i in misfits:
                values[i] = column_text(found[i]) if values[i] is None else values[i]
        return values

    def count_children(self, record: Record) -> int:
        """Number of rows that the record has in all child tables together."""
        return sum(len(entries_of(record, child)[1]) for child in self.endpoint.children)

    def hash(self, record: Record) -> str:
        """16 hexadecimal digits that differ when anything in the record differs, but for what the endpoint ignores."""
        return self.hashes([record])[0][0]

    def hashes(self, records: Sequence[Record]) -> list[tuple[str, int]]:
        """The hash of each record, and the number of bytes of the record as JSON."""
        made: list[tuple[str, int]] = []
        start, volatile = self._digest.copy, self.endpoint.volatile
        for record in records:
            text = dumps(record)
            digest = start()
            digest.update(dumps(without(record, volatile)) if volatile else text)
            made.append((digest.hexdigest(), len(text)))
        return made

    def column(self, name: str) -> Column:
        """The column with this name."""
        return _named(self.endpoint.columns, name)

    def updated_at(self, records: Sequence[Record]) -> list[datetime | None]:
        """When each record was last changed, as it says itself."""
        column = self.column("updated_at")
        moments: list[datetime | None] = convert(pick(records, column)[0], column.type, column.formats)[0].to_pylist()
        return moments

    def organizations(self, records: Sequence[Record]) -> set[str]:
        """The organizations that the records name, whatever the column holds; empty if they name none.

        Args:
            records: Records of one answer.
        """
        column = self.endpoint.find_column(ORGANIZATION) or _ORGANIZATION
        return {str(one) for one in pick(records, column)[0] if type(one) in (str, int) and one != ""}

    def arrow(self, rows: Sequence[Row], lists: ChildLists) -> Iterator[tuple[str, pa.Table]]:
        """Arrow tables of these rows, each with its table's name; their `_dlt_load_id` is still null.

        Args:
            rows: The rows; a key must not repeat.
            lists: The child lists in the destination.
        """
        batch = Batch([row.record for row in rows])
        children = {child: batch.lists(child.places) for child in self.children}
        arrays = arrays_of(batch, self._columns, self.unread, self._fixed)
        if len(self.endpoint.key) > 1:
            arrays.insert(0, pa.array([row.key for row in rows], pa.string()))
        arrays += [
            json_array(self._leftovers.of(batch)),
            pa.array([row.hash for row in rows], pa.string()),
            moments([row.read_at for row in rows]),
            pa.nulls(len(rows), TIMESTAMP),
            pa.nulls(len(rows), pa.string()),
        ]
        yield self.endpoint.table, pa.Table.from_arrays(arrays, schema=self.schema)
        for child, lists_of in children.items():
            unread: Counter[str] = Counter()
            leftovers = self._leftovers_of_children[child.table]
            table = child_table(self.endpoint, child, rows, lists_of, lists, self.organization_id, unread, leftovers)
            self.unread.update({f"{child.table}.{name}": count for name, count in unread.items()})
            if table.num_rows:
                yield child.table, table


def _plain_texts(records: Sequence[Record], column: Column) -> list[str] | None:
    """The column's values, if each is a text that is not empty; None if a value has to be looked at by itself."""
    place = column.places[0]
    if column.type != "text" or place.vendor is not None or "." in place.path:
        return None
    found: list[Any] = [record.get(place.path) for record in records]
    try:
        # Joined, because that looks at all values at once. Half an emoji is not ASCII.
        is_ascii = "".join(found).isascii()
    except TypeError:
        return None
    return found if is_ascii and all(found) else None


def _keyed_digest(endpoint: Endpoint) -> Any:
    """A digest that covers the columns, to be copied for each row."""
    return hashlib.blake2b(digest_size=8, key=_salt(endpoint))


def _salt(endpoint: Endpoint) -> bytes:
    """A digest of the columns. Every row's hash covers it, so that unchanged rows get the columns of a later version.

    The hashes are in destinations, so the text keeps the class name `Place` that `FieldPath` had at first, and has what
    later versions added to columns only where it is configured.
    """
    layout = repr((endpoint.columns, endpoint.children)).replace("FieldPath(", "Place(")
    lists = (endpoint.columns, *(child.columns for child in endpoint.children))
    formats = [(i, one.name, one.formats) for i, columns in enumerate(lists) for one in columns if one.formats]
    places = {place.vendor_at for columns in lists for one in columns for place in one.places if place.vendor}
    if formats or places - {VENDOR}:
        layout += repr((formats, sorted(places)))
    return hashlib.blake2b(layout.encode(), digest_size=16).digest()


def _named(columns: Iterable[Column], name: str) -> Column:
    return next(column for column in columns if column.name == name)


def fit_columns(table: pa.Table, stored: pa.Schema | None) -> pa.Table:
    """Rows with the columns of a table in the destination, in its order. Columns that they lack are null.

    Args:
        table: The rows. Columns that the table in the destination lacks come last.
        stored: The columns of the table in the destination; None to leave the rows as they are.
    """
    if stored is None:
        return table
    missing = [field for field in stored if field.name not in table.column_names]
    for field in missing:
        table = table.append_column(field.with_nullable(True), pa.nulls(len(table), field.type))
    return table.select(list(dict.fromkeys([*stored.names, *table.column_names])))
