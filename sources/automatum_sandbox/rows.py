"""The rows of a running sandbox, for tests and demos: read them, and change them as a vendor's users would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from .data.generated_rows import Record
from .data.organization import TABLES, Organization, find_organization
from .data.table import Table


class Rows:
    """The rows of all organizations. Without an `organization` (its id), a method is about the first one.

    Args:
        organizations: Organizations by id.
        lock: Lock of the sandbox.
        calendar: The sandbox's time in seconds since 1970.
    """

    def __init__(
        self,
        organizations: Mapping[str, Organization],
        lock: AbstractContextManager[Any],
        calendar: Callable[[], float],
    ) -> None:
        self._organizations, self._lock, self._calendar = organizations, lock, calendar

    def _table(self, table: str, organization: str | None) -> Table:
        if table not in TABLES:
            raise ValueError(f"unknown table {table!r}; known: {', '.join(TABLES)}")
        return find_organization(self._organizations, organization).tables[table]

    def _now(self) -> float:
        return float(int(self._calendar()))

    def ids(self, table: str, organization: str | None = None) -> list[str]:
        """All ids of a table, in server order."""
        with self._lock:
            return self._table(table, organization).ids()

    def get(self, table: str, id_: str, organization: str | None = None) -> Record | None:
        """A row as the API returns it, None if there is none."""
        with self._lock:
            return self._table(table, organization).get(id_)

    def all(self, table: str, organization: str | None = None) -> list[Record]:
        """All rows of a table as the API returns them, in server order."""
        with self._lock:
            rows = self._table(table, organization)
            return rows.page(1, max(len(rows), 1), {})[0]

    def insert(
        self, table: str, record: Mapping[str, Any] | None = None, *, count: int = 1, organization: str | None = None
    ) -> list[str]:
        """Insert generated rows, created now; `record` overrides fields of each. Returns their ids."""
        with self._lock:
            rows, ids = self._table(table, organization), []
            for _ in range(count):
                row = rows.insert_generated(self._now())
                if record:
                    rows.delete(row["id"])
                    row = {**row, **record}
                    rows.put(row)
                ids.append(str(row["id"]))
            return ids

    def put(self, table: str, record: Mapping[str, Any], *, organization: str | None = None) -> None:
        """Insert or replace a row: the API returns exactly this record, which needs an `id`."""
        with self._lock:
            self._table(table, organization).put(dict(record))

    def change(
        self, table: str, id_: str, fields: Mapping[str, Any], *, touch: bool = True, organization: str | None = None
    ) -> Record:
        """Set fields of a row. With `touch=False`, `updatedAt` stays as it was.

        Raises:
            KeyError: There is no such row.
        """
        with self._lock:
            return self._table(table, organization).change(id_, fields, self._now() if touch else None)

    def delete(self, table: str, ids: str | Iterable[str], *, organization: str | None = None) -> None:
        """Delete rows: they leave the list, and their own URLs return 404.

        Raises:
            KeyError: There is no such row.
        """
        with self._lock:
            for id_ in [ids] if isinstance(ids, str) else list(ids):
                self._table(table, organization).delete(id_)

    def restate(self, day: str, vendor: str, fields: Mapping[str, Any], *, organization: str | None = None) -> None:
        """Change the revenue records of a day (`YYYY-MM-DD`) and marketplace."""
        with self._lock:
            find_organization(self._organizations, organization).revenue.restate(day, vendor, dict(fields))
