"""A list of the API: generated rows in server order, and the changes made to them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..config import Order
from .generated_rows import GeneratedRows, Record
from .randomness import seeded_random
from .timestamps import format_timestamp, parse_timestamp

Key = tuple[float, str]


class _Sorting(NamedTuple):
    by_created: bool
    """By `createdAt`; else by `updatedAt`."""

    sign: int


_SORTED: dict[Order, _Sorting | None] = {
    "created_asc": _Sorting(True, 1),
    "created_desc": _Sorting(True, -1),
    "updated_asc": _Sorting(False, 1),
    "updated_desc": _Sorting(False, -1),
    "random": None,
}


class Table:
    """The rows of a list, in server order.

    Args:
        rows: Generated rows.
        order: Server order.
        seed: Seed of the order `random`.
    """

    def __init__(self, rows: GeneratedRows, order: Order, seed: int) -> None:
        self.rows = rows
        self._sorting = _SORTED[order]
        self._overrides: dict[str, Record] = {}
        self._deleted: set[str] = set()
        self._filter_cache: dict[tuple[tuple[str, str], ...], list[str]] = {}
        self._by_customer: dict[str, list[str]] | None = None
        self._ids = [rows.ids.at(index) for index in range(len(rows))]
        if self._sorting is None:
            seeded_random(f"order{seed}").shuffle(self._ids)
        elif order != "created_asc":  # Rows are generated in this order.
            by_created, sign = self._sorting
            stamps = rows.created if by_created else rows.updated
            self._ids = [id_ for _, id_ in sorted(zip((sign * stamp for stamp in stamps), self._ids, strict=True))]

    def __len__(self) -> int:
        """Number of rows in the list."""
        return len(self._ids)

    def ids(self) -> list[str]:
        """All ids, in server order."""
        return list(self._ids)

    def get(self, id_: str) -> Record | None:
        """The row with this id, None if it does not exist or is deleted."""
        if id_ in self._overrides:
            return dict(self._overrides[id_])
        index = self._generated_index(id_)
        return None if index is None else self.rows.record(index)

    def page(self, page: int, limit: int, filters: Mapping[str, str]) -> tuple[list[Record], int]:
        """The rows of a page, and the number of rows that match the filters."""
        ids = self._filtered(filters) if filters else self._ids
        rows = [self.get(id_) for id_ in ids[(page - 1) * limit : page * limit]]
        return [row for row in rows if row is not None], len(ids)

    def of_customer(self, customer_id: str) -> list[Record]:
        """The rows of a customer, in server order."""
        if self._by_customer is None:
            self._by_customer = {}
            for id_ in self._ids:
                self._by_customer.setdefault(self._filter_value(id_, "customerId"), []).append(id_)
        rows = [self.get(id_) for id_ in self._by_customer.get(customer_id, ())]
        return [row for row in rows if row is not None]

    def insert_generated(self, now: float) -> Record:
        """Insert a generated row, created at `now`, and return it."""
        id_ = self.rows.ids.at(self.rows.add(now))
        self._insert_in_order(id_)
        row = self.get(id_)
        assert row is not None
        return row

    def put(self, record: Record) -> None:
        """Insert the record, or replace the row with its `id`."""
        id_ = str(record["id"])
        # In the order `random` a row keeps its position when it changes.
        keeps_position = self._sorting is None and id_ in self
        if id_ in self and not keeps_position:
            self._remove(id_)
        self._deleted.discard(id_)
        self._overrides[id_] = record
        if keeps_position:
            self._clear_caches()
        else:
            self._insert_in_order(id_)

    def change(self, id_: str, fields: Mapping[str, object], now: float | None) -> Record:
        """Set fields of a row. `updatedAt` becomes `now`, unless the fields contain it or `now` is None.

        Raises:
            KeyError: There is no such row.
        """
        row = self.get(id_)
        if row is None:
            raise KeyError(id_)
        stamp = {} if now is None else {"updatedAt": format_timestamp(now)}
        record = {**row, **stamp, **fields}
        self.put(record)
        return record

    def delete(self, id_: str) -> None:
        """Delete a row.

        Raises:
            KeyError: There is no such row.
        """
        if id_ not in self:
            raise KeyError(id_)
        self._remove(id_)
        self._overrides.pop(id_, None)
        self._deleted.add(id_)

    def __contains__(self, id_: str) -> bool:
        """Whether the row is in the list."""
        return id_ in self._overrides or self._generated_index(id_) is not None

    def _generated_index(self, id_: str) -> int | None:
        index = self.rows.ids.index(id_)
        return index if index is not None and index < len(self.rows) and id_ not in self._deleted else None

    def _insert_in_order(self, id_: str) -> None:
        if self._sorting is None:
            self._ids.append(id_)
        else:
            insort(self._ids, id_, key=self._key(self._sorting))
        self._clear_caches()

    def _remove(self, id_: str) -> None:
        if self._sorting is None:
            position = self._ids.index(id_)
        else:
            key = self._key(self._sorting)
            position = bisect_left(self._ids, key(id_), key=key)
        del self._ids[position]
        self._clear_caches()

    def _clear_caches(self) -> None:
        self._filter_cache.clear()
        self._by_customer = None

    def _key(self, sorting: _Sorting) -> Callable[[str], Key]:
        by_created, sign = sorting
        name, stamps = ("createdAt", self.rows.created) if by_created else ("updatedAt", self.rows.updated)

        def key(id_: str) -> Key:
            override = self._overrides.get(id_)
            if override is not None:
                return sign * parse_timestamp(override.get(name)), id_
            index = self.rows.ids.index(id_)
            assert index is not None
            return sign * stamps[index], id_

        return key

    def _filter_value(self, id_: str, name: str) -> str:
        override = self._overrides.get(id_)
        if override is not None:
            return str(override.get(name))
        index = self.rows.ids.index(id_)
        assert index is not None
        if name == "status":
            return self.rows.status_at(index)
        if name == "vendor":
            return self.rows.vendor_at(index)
        return str(self.rows.customer_at(index))

    def _matches(self, id_: str, name: str, value: str) -> bool:
        if name != "search":
            return self._filter_value(id_, name) == value
        record, wanted = self.get(id_) or {}, value.casefold()
        details = record.get("details") or {}
        texts = (
            record.get("companyName"),
            record.get("email"),
            details.get("company", {}).get("name"),
            details.get("contact", {}).get("email"),
        )
        return any(isinstance(text, str) and wanted in text.casefold() for text in texts)

    def _filtered(self, filters: Mapping[str, str]) -> list[str]:
        # A search of 300,000 rows takes a second, and all pages of a list have the same filters.
        key = tuple(sorted(filters.items()))
        if key not in self._filter_cache:
            ids = self._ids
            for name, value in key:
                ids = [id_ for id_ in ids if self._matches(id_, name, value)]
            self._filter_cache[key] = ids
        return self._filter_cache[key]
