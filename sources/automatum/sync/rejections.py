"""Records that cannot be loaded: the table `_automatum_rejected`.

A record without a key is in no table, so it is named here, with the reason and a hash, until the API lists it no longer
or lists it well. Its values are not stored: they may be personal data, and the names of its fields are enough to find
it.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pyarrow as pa

from ..core.text import printable
from ..endpoints import ORGANIZATION
from ..schema.arrow_tables import Table
from ..schema.columns import SYNCED_AT
from ..schema.log_tables import REJECTED
from ..schema.records import UNKEYED, Record, is_unkeyed
from ..schema.tables import owned

_HASH = "hash:"
_LONGEST = 500
_MANY = 10
"""So many records without a key are not a fault of single records."""


@dataclass(frozen=True)
class Rejection:
    """A record that was not loaded.

    Attributes:
        id: Identifies it in its table: its key, or its hash and its place among equal records of its page.
        key: Its key; None if it has none.
        row_hash: Hash of its content.
        reason: Why it was not loaded.
        fields: Names of its fields, without their values.
        rejected_at: When it was first read.
        resolved_at: When a sync no longer found it, or loaded it.
    """

    id: str
    key: str | None
    row_hash: str
    reason: str
    fields: str
    rejected_at: datetime
    resolved_at: datetime | None = None


class Rejections:
    """The rejections of one table: those that are stored, and those of this sync.

    Args:
        table: The table.

    Attributes:
        open: Rejections that are not resolved, by id.
        failed: Ids of the records of this sync that have a key and could not be loaded.
    """

    def __init__(self, table: Table) -> None:
        self.open: dict[str, Rejection] = {}
        self.failed: set[str] = set()
        self._table = table
        self._new: dict[str, Rejection] = {}
        self._unkeyed = False

    def key_hint(self, rejected: int) -> str:
        """The setting that is probably wrong, if many records have no key; else an empty text.

        Args:
            rejected: Number of records that were not loaded.
        """
        if rejected < _MANY or not self._unkeyed:
            return ""
        endpoint = self._table.endpoint
        key = ", ".join(endpoint.key)
        return (
            f". They lack the key ({key}). Set key below [sources.automatum.endpoints.{endpoint.table}] to columns "
            "that identify them, or columns to where these are found; the column fields has the names in the records"
        )

    def add(self, id_: str, row_hash: str, record: Record, at: datetime, reason: str = "") -> None:
        """Note a record that is not loaded; one that is stored with the same content is not stored again.

        Args:
            id_: Its key, or what stands for it (`identify`).
            row_hash: Hash of its content.
            record: The record.
            at: When it was read.
            reason: Why it is not loaded; empty if it has no key.
        """
        key = None if is_unkeyed(id_) else id_
        if key is None:
            self._unkeyed, reason = True, f"the record has no {'/'.join(self._table.endpoint.key)}"
        else:
            self.failed.add(id_)
        known = self.open.get(id_)
        if known is None or known.row_hash != row_hash:
            fields, reason = (printable(text)[:_LONGEST] for text in (", ".join(sorted(record)), reason))
            self._new[id_] = self.open[id_] = Rejection(id_, key, row_hash, reason, fields, at)

    def resolve(self, ids: Collection[str], at: datetime) -> None:
        """Mark rejections resolved: their records were loaded, or are not listed any more."""
        for id_ in ids:
            if id_ in self.open:
                self._new[id_] = replace(self.open.pop(id_), resolved_at=at)

    def resolve_all_but(self, listed: Container[str], at: datetime) -> None:
        """Mark the rejections resolved whose records a proven sweep did not list.

        Args:
            listed: What the sweep listed.
            at: The present.
        """
        self.resolve([id_ for id_ in self.open if id_ not in listed], at)

    def take(self, at: datetime) -> pa.Table | None:
        """The rows that are new since the last call; None if there are none."""
        rows, self._new = list(self._new.values()), {}
        if not rows:
            return None
        owner = self._table.organization_id
        stored = REJECTED if owner is None else owned(REJECTED)
        own = {"table_name": self._table.endpoint.table, ORGANIZATION: owner, SYNCED_AT: at}
        made = [{**asdict(one), **own, "rejection_id": one.id.replace(UNKEYED, _HASH, 1)} for one in rows]
        return pa.Table.from_pylist(made, schema=stored.schema)


def internal_id(id_: str, key: str | None) -> str:
    """An id of the table as a sweep has it.

    Args:
        id_: The id.
        key: The key of the record; None if it has none.
    """
    return id_ if key is not None else UNKEYED + id_.removeprefix(_HASH)
