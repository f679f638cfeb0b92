"""Rows that are generated on demand: 300,000 of them take a few arrays of memory, not 300,000 dictionaries."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from array import array
from typing import Any

from .ids import Ids
from .randomness import seeded_random

Record = dict[str, Any]


class GeneratedRows(ABC):
    """The generated rows of one table. Arrays hold the fields for sorting and filters; the rest is generated per row.

    Rows are in the order of their creation, so that the default order needs no sort.

    Args:
        prefix: Id prefix.
        seed: Seed of the rows.
        organization_id: Owner of the rows.
        now: Seconds since 1970; all timestamps are before it.
    """

    table_number: int
    """Separates the random numbers of this table from those of the others."""

    vendors: tuple[str, ...] = ("aws", "azure")
    statuses: tuple[str, ...]

    def __init__(self, prefix: str, seed: int, organization_id: str, now: float) -> None:
        self.ids = Ids(prefix, seed)
        self.seed, self.organization_id, self.now = seed, organization_id, now
        self.created, self.updated = array("d"), array("d")
        self.vendor, self.status = array("B"), array("B")
        self._rng = seeded_random(f"{prefix}rows{seed}")

    def __len__(self) -> int:
        """Number of generated rows, including deleted rows."""
        return len(self.created)

    def vendor_at(self, index: int) -> str:
        """Marketplace of a row."""
        return self.vendors[self.vendor[index]]

    def status_at(self, index: int) -> str:
        """Status of a row."""
        return self.statuses[self.status[index]]

    def customer_at(self, index: int) -> str | None:
        """Customer id of a row, None where the table has none."""
        return None

    def rng(self, index: int) -> random.Random:
        """The random generator of a row."""
        return seeded_random((abs(self.seed) << 40) + (self.table_number << 36) + index)

    @abstractmethod
    def add(self, moment: float) -> int:
        """Generate a row, created at `moment`; returns its index."""

    @abstractmethod
    def record(self, index: int) -> Record:
        """The row as the API returns it."""
