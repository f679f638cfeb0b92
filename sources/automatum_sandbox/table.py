"""One list of the API: rows in server order, with the changes made to them since."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

from .config import Order
from .rows import Record, Rows
from .seeded import seeded
from .stamps import read_stamp, write_stamp

Key = tuple[float, str]


class Table:
    """A list with its order.

    Args:
        rows: Generated rows.
        order: Server order.
        seed: Shuffles the order `random`.
    """

    def __init__(self, rows: Rows, order: Order, seed: int) -> None:
        self.rows = rows
        self._order = order
        self._written: dict[str, Record] = {}
        self._gone: set[str] = set()
        self._found: dict[tuple[tuple[str, str], ...], list[str]] = {}
        self._by_customer: dict[str, list[str]] | None = None
        self._ids = [rows.ids.at(index) for index in range(len(rows))]
        if order == "random":
            seeded(f"order{seed}").shuffle(self._ids)
        elif order != "created_asc":
            stamps = rows.created if order.startswith("created") else rows.updated
            sign = -1 if order.endswith("desc") else 1
            self._ids = [id_ for _, id_ in sorted(zip((sign * stamp for stamp in stamps), self._ids, strict=True))]

    def __len__(self) -> int:
        """Number of rows listed now."""
        return len(self._ids)

    def ids(self) -> list[str]:
        """All ids in server order."""
        return list(self._ids)

    def get(self, id_: str) -> Record | None:
        """The row with this id, None if there is none (any more)."""
        if id_ in self._written:
            return dict(self._written[id_])
        index = self._generated(id_)
        return None if index is None else self.rows.record(index)

    def page(self, page: int, limit: int, filters: Mapping[str, str]) -> tuple[list[Record], int]:
        """The rows of a page, and how many rows the filters leave."""
        ids = self._filtered(filters) if filters else self._ids
        rows = [self.get(id_) for id_ in ids[(page - 1) * limit : page * limit]]
        return [row for row in rows if row is not None], len(ids)

    def of_customer(self, customer_id: str) -> list[Record]:
        """The rows of a customer, in server order."""
        if self._by_customer is None:
            self._by_customer = {}
            for id_ in self._ids:
                self._by_customer.setdefault(self._facet(id_, "customerId"), []).append(id_)
        rows = [self.get(id_) for id_ in self._by_customer.get(customer_id, ())]
        return [row for row in rows if row is not None]

    def make(self, now: float) -> Record:
        """A new generated row, created at `now`; it is listed at its place in the order."""
        id_ = self.rows.ids.at(self.rows.add(now))
        self._place(id_)
        found = self.get(id_)
        assert found is not None
        return found

    def put(self, record: Record) -> None:
        """List exactly this record under its `id`, instead of what was there."""
        id_ = str(record["id"])
        # In the stable arbitrary order a row keeps its place when it changes.
        stays = self._order == "random" and id_ in self
        if id_ in self and not stays:
            self._take(id_)
        self._gone.discard(id_)
        self._written[id_] = record
        if stays:
            self._forget_found()
        else:
            self._place(id_)

    def change(self, id_: str, fields: Mapping[str, object], now: float | None) -> Record:
        """Set fields of a row; `updatedAt` becomes `now` unless the fields name it or `now` is None.

        Raises:
            KeyError: There is no such row.
        """
        found = self.get(id_)
        if found is None:
            raise KeyError(id_)
        stamp = {} if now is None else {"updatedAt": write_stamp(now)}
        record = {**found, **stamp, **fields}
        self.put(record)
        return record

    def delete(self, id_: str) -> None:
        """Take a row off the list; its own URL answers 404 from now on.

        Raises:
            KeyError: There is no such row.
        """
        if id_ not in self:
            raise KeyError(id_)
        self._take(id_)
        self._written.pop(id_, None)
        self._gone.add(id_)

    def __contains__(self, id_: str) -> bool:
        """Whether the row is listed."""
        return id_ in self._written or self._generated(id_) is not None

    def _generated(self, id_: str) -> int | None:
        index = self.rows.ids.index(id_)
        return index if index is not None and index < len(self.rows) and id_ not in self._gone else None

    def _place(self, id_: str) -> None:
        if self._order == "random":
            self._ids.append(id_)
        else:
            insort(self._ids, id_, key=self._key)
        self._forget_found()

    def _take(self, id_: str) -> None:
        position = (
            self._ids.index(id_) if self._order == "random" else bisect_left(self._ids, self._key(id_), key=self._key)
        )
        del self._ids[position]
        self._forget_found()

    def _forget_found(self) -> None:
        self._found.clear()
        self._by_customer = None

    def _key(self, id_: str) -> Key:
        sign = -1 if self._order.endswith("desc") else 1
        by_created = self._order.startswith("created")
        written = self._written.get(id_)
        if written is not None:
            return sign * read_stamp(written.get("createdAt" if by_created else "updatedAt")), id_
        index = self.rows.ids.index(id_)
        assert index is not None
        return sign * (self.rows.created if by_created else self.rows.updated)[index], id_

    def _facet(self, id_: str, name: str) -> str:
        written = self._written.get(id_)
        if written is not None:
            return str(written.get(name))
        index = self.rows.ids.index(id_)
        assert index is not None
        if name == "status":
            return self.rows.status_at(index)
        if name == "vendor":
            return self.rows.vendor_at(index)
        return str(self.rows.customer_at(index))

    def _matches(self, id_: str, name: str, value: str) -> bool:
        if name != "search":
            return self._facet(id_, name) == value
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
        # Looking through 300,000 rows takes a second; the pages of one list ask for the same filters again and again.
        key = tuple(sorted(filters.items()))
        if key not in self._found:
            ids = self._ids
            for name, value in key:
                ids = [id_ for id_ in ids if self._matches(id_, name, value)]
            self._found[key] = ids
        return self._found[key]
