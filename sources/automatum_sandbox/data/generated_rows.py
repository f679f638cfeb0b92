"""Rows that are generated on demand: 300,000 of them take a few arrays of memory, not 300,000 dictionaries."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from array import array
from typing import Any

from .ids import Ids
from .sample_data import seeded_random
from .timestamps import DAY

Record = dict[str, Any]
_HISTORY_DAYS = 3 * 365


class GeneratedRows(ABC):
    """The generated rows of one table. Arrays hold the fields for sorting and filters; the rest is generated per row.

    Args:
        prefix: Id prefix.
        seed: Seed of the rows.
        organization_id: Owner of the rows.
        count: Number of rows.
        now: Seconds since 1970; all timestamps are in the three years before it.
    """

    table_number: int
    """Separates the random numbers of this table from those of the others."""

    vendors: tuple[str, ...] = ("aws", "azure", "gcp")
    statuses: tuple[str, ...]
    rare_status = "archived_by_vendor"
    """A status that the vendor does not document; every 50th row has it."""

    def __init__(self, prefix: str, seed: int, organization_id: str, count: int, now: float) -> None:
        self.ids = Ids(prefix, seed)
        self.seed, self.organization_id, self.now = seed, organization_id, now
        self.created, self.updated = array("d"), array("d")
        self.vendor, self.status = array("B"), array("B")
        self._rng = seeded_random(f"{prefix}rows{seed}")
        span = _HISTORY_DAYS * DAY
        start, step = now - span, span / max(count, 1)
        for index in range(count):
            # Created in the order of the index, so that the default order needs no sort.
            created = float(int(start + (index + self._rng.random()) * step))
            age = now - created
            share = self._rng.random()
            updated = created if share < 0.3 else created + float(int(age * (share - 0.3) / 0.7))
            if index % 19 == 4:
                updated = min(updated + 0.125, now)
            self._append(created, updated)

    def __len__(self) -> int:
        """Number of generated rows, including deleted rows."""
        return len(self.created)

    def add(self, moment: float) -> int:
        """Generate a row, created at `moment`; returns its index."""
        self._append(moment, moment)
        return len(self) - 1

    def _append(self, created: float, updated: float) -> None:
        index = len(self.created)
        self.created.append(created)
        self.updated.append(updated)
        self.vendor.append(self._pick_vendor(index))
        self.status.append(self._pick_status(index))

    def _pick_vendor(self, index: int) -> int:
        if index % 50 == 29:
            return 2
        return 0 if self._rng.random() < 0.6 else 1

    def _pick_status(self, index: int) -> int:
        if index % 50 == 17:
            return len(self.statuses)
        # The first statuses are the most frequent.
        return int(len(self.statuses) * self._rng.random() ** 2)

    def vendor_at(self, index: int) -> str:
        """Marketplace of a row."""
        return self.vendors[self.vendor[index]]

    def status_at(self, index: int) -> str:
        """Status of a row."""
        code = self.status[index]
        return self.statuses[code] if code < len(self.statuses) else self.rare_status

    def customer_at(self, index: int) -> str | None:
        """Customer id of a row, None where the table has none."""
        return None

    def rng(self, index: int) -> random.Random:
        """The random generator of a row."""
        return seeded_random((abs(self.seed) << 40) + (self.table_number << 36) + index)

    def timestamp_style(self, index: int) -> int:
        """The style of the row's timestamps, see `format_timestamp`."""
        return 1 + index // 33 % 3 if index % 33 == 5 else 0

    @abstractmethod
    def record(self, index: int) -> Record:
        """The row as the API returns it."""
