"""API records to Arrow tables on a fixed schema: keys, hashes, rows and child rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, chain, repeat
from typing import Any, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..endpoints import ORGANIZATION, Child, Column, Endpoint, FieldPath
from .coerce import TIMESTAMP, convert, json_array
from .json_text import dumps
from .layout import Layout, Values
from .records import UNKEYED, Identified, Record, Rows
from .tables import child_table_of, own_table

_ORGANIZATION = Column(ORGANIZATION, "text", (FieldPath("organizationId"), FieldPath(ORGANIZATION)))
"""Where a record may name its organization, if its table has no column for it."""


class Table:
    """Turns the records of one endpoint into Arrow tables.

    Args:
        endpoint: What the records are.
        organization_id: Whose they are, where the table holds those of several organizations.

    Attributes:
        schema: Arrow schema of the table itself.
        unread: Column to the number of values that did not fit it and left it null. They are in `extra`. A column of a
            child table has the name of its table before it.
    """

    def __init__(self, endpoint: Endpoint, organization_id: str | None = None) -> None:
        self.endpoint = endpoint
        self.organization_id = organization_id if endpoint.by_organization else None
        self.schema = own_table(endpoint).schema
        self.unread: Counter[str] = Counter()
        self._layout = Layout(endpoint.columns, [child.places for child in endpoint.children])
        self._child_layouts = {child.table: Layout(child.columns) for child in endpoint.children}
        # Every row's hash covers the columns, so that unchanged rows get the columns of a later version.
        columns = hashlib.blake2b(repr((endpoint.columns, endpoint.children)).encode(), digest_size=16).digest()
        self._digest = hashlib.blake2b(digest_size=8, key=columns)
        self._fixed = {} if self.organization_id is None else {ORGANIZATION: self.organization_id}
        self._key_columns = [column for name in endpoint.key if (column := endpoint.find_column(name))]

    def identify(self, records: Sequence[Record]) -> Identified:
        """The keys and the hashes of the records of a page.

        Args:
            records: Records of one page.
        """
        found = Identified()
        start = self._digest.copy
        for position, record in enumerate(records):
            try:
                text = dumps(record)
            except TypeError:
                found.failed[position] = "the record is nested too deeply, or holds NaN or Infinity"
                found.hashes.append("")
                continue
            digest = start()
            digest.update(text)
            found.hashes.append(digest.hexdigest())
            found.size += len(text)
        keys, equal = self.keys(records), Counter[str]()
        for position, key in enumerate(keys) if None in keys else ():
            if key is None:
                hash_ = found.hashes[position]
                equal[hash_] += 1
                keys[position] = f"{UNKEYED}{hash_}:{equal[hash_]}"
        found.keys = cast("list[str]", keys)
        return found

    def keys(self, records: Sequence[Record]) -> list[str | None]:
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
        found = Values(records).pick(column.places)[0] or [None] * len(records)
        array, misfits = convert(found, column.type)
        values: list[Any] = array.to_pylist()
        if len(self._key_columns) > 1:
            for i in misfits:
                with suppress(TypeError):  # It has no JSON, and so its record cannot be loaded.
                    values[i] = dumps(found[i]).decode() if values[i] is None else values[i]
        return values

    def child_counts(self, records: Sequence[Record]) -> dict[str, list[int]]:
        """Child table to the number of its rows that each record has."""
        lists = self._layout.lists(Values(records))
        return {
            child.table: [len(one or ()) for one in found or repeat(None, len(records))]
            for child, found in zip(self.endpoint.children, lists, strict=True)
        }

    def organizations(self, records: Sequence[Record]) -> set[str]:
        """The organizations that the records name, whatever the column holds; empty if they name none.

        Args:
            records: Records of one answer.
        """
        column = self.endpoint.find_column(ORGANIZATION) or _ORGANIZATION
        found = Values(records).pick(column.places)[0] or ()
        return {str(one) for one in found if type(one) in (str, int) and one != ""}

    def arrow(
        self, pages: Sequence[Rows], lists: dict[str, dict[str, int]] | None = None
    ) -> list[tuple[str, pa.Table]]:
        """Arrow tables of some rows, each with its table's name; their `_dlt_load_id` is still null.

        Args:
            pages: The rows of some pages; a key must not repeat.
            lists: Child table to parent's key to the length of its list in the destination; is kept up to date. Entries
                that a list has lost are removed. None where nothing is known of the destination.
        """
        records = list(chain.from_iterable(page.records for page in pages))
        keys = list(chain.from_iterable(page.keys for page in pages))
        hashes = list(chain.from_iterable(page.hashes for page in pages))
        read_at = pa.concat_arrays([pa.repeat(pa.scalar(page.read_at, TIMESTAMP), len(page)) for page in pages])
        unread: Counter[str] = Counter()
        arrays, entries, rests = self._layout.read(records, unread, self._fixed)
        key_array = pa.array(keys, pa.string())
        if len(self.endpoint.key) > 1:
            arrays.insert(0, key_array)
        deleted_at, load_id = pa.nulls(len(keys), TIMESTAMP), pa.nulls(len(keys), pa.string())
        arrays += [json_array(rests), pa.array(hashes, pa.string()), read_at, deleted_at, load_id]
        made = [(self.endpoint.table, pa.Table.from_arrays(arrays, schema=self.schema))]
        lists = {} if lists is None else lists
        lengths: dict[str, dict[str, int]] = {}
        for child, found in zip(self.endpoint.children, entries, strict=True):
            own = [one or [] for one in found or repeat(None, len(keys))]
            lengths[child.table] = dict(zip(keys, map(len, own), strict=True))
            before = lists.get(child.table, {})
            counts = [max(count, before.get(key, 0)) for key, count in lengths[child.table].items()]
            if any(counts):
                parents = pa.record_batch([key_array, read_at], names=["key", "read_at"])
                made.append((child.table, self._child_table(child, own, counts, parents, unread)))
        # Only now, because a row that cannot be converted raises an error.
        self.unread.update(unread)
        for table, known in lengths.items():
            lists.setdefault(table, {}).update(known)
        return made

    def _child_table(
        self,
        child: Child,
        lists: Sequence[list[Any]],
        counts: Sequence[int],
        parents: pa.RecordBatch,
        unread: Counter[str],
    ) -> pa.Table:
        """The rows of a child table: of each parent as many as `counts` says. Those behind its list are removed."""
        offsets = pa.array([0, *accumulate(counts)], pa.int32())
        entries = list(chain.from_iterable(lists))
        total = offsets[-1].as_py()
        places = pc.list_parent_indices(pa.ListArray.from_arrays(offsets, pa.nulls(total)))
        positions = pc.subtract(pa.array(range(total), pa.int64()), offsets.cast(pa.int64()).take(places))
        marks = pa.nulls(total, pa.bool_())
        if len(entries) < total:
            padded = map(lambda one, count: [*one, *repeat(None, count - len(one))], lists, counts)
            entries = list(chain.from_iterable(padded))
            gone = pc.greater_equal(positions, pa.array(map(len, lists), pa.int64()).take(places))
            marks = pc.if_else(gone, gone, marks)
        records = entries
        if set(map(type, entries)) != {dict}:
            records = [one if isinstance(one, dict) else {} for one in entries]
        lost: Counter[str] = Counter()
        arrays, _, rests = self._child_layouts[child.table].read(records, lost)
        unread.update({f"{child.table}.{name}": count for name, count in lost.items()})
        if records is not entries:
            odd = (None if one is None or isinstance(one, dict) else {"value": one} for one in entries)
            rests = [one or rest for one, rest in zip(odd, rests, strict=True)]
        owner = [pa.array([self.organization_id] * total, pa.string())] if self.organization_id is not None else []
        arrays = [*owner, parents["key"].take(places), positions, *arrays]
        read_at = parents["read_at"].take(places)
        arrays += [json_array(rests), read_at, pa.nulls(total, TIMESTAMP), marks, pa.nulls(total, pa.string())]
        return pa.Table.from_arrays(arrays, schema=child_table_of(self.endpoint, child).schema)


def _plain_texts(records: Sequence[Record], column: Column) -> list[str | None] | None:
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
