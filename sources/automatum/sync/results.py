"""Bounds of a load package, and what came of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ..core.errors import AutomatumError, MoreToDo

Verdict = Literal["complete", "incomplete", "more_to_do"]
DELETED = "deleted"
"""In place of a hash: the destination holds the row as deleted."""
FULL = "full"
"""Marks a sweep that read the whole list and proved it."""
ORDERED = "ordered"
"""Marks a sweep whose pages all came newest first."""
PARTIAL = "partial"
"""Marks a sweep that was after some of the rows, or some of the days."""


@dataclass
class Counts:
    """What became of the rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass
class KnownRows:
    """What the destination holds of a table, by key.

    Attributes:
        hashes: Key to row hash, or to `deleted` for a row that is marked so. Empty if nothing is known.
        readable: False if the destination could not be read: then any row may exist there already.
        why: Why it could not.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    readable: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class PageRecord:
    """That a page was read, and what was on it.

    Attributes:
        page: Its number, from 1.
        keys: The keys of its rows, in the server's order.
        total: The total that it announced.
        read_at: When it arrived.
    """

    page: int
    keys: list[str]
    total: int | None
    read_at: datetime


WORTH_LOADING = 5.0
"""Seconds of waiting for the quota in which a load package can be loaded as well."""


@dataclass
class Chunk:
    """Bounds of one load package; None for no bound.

    Attributes:
        max_rows: Rows after which it ends, so that memory stays flat.
        ends_at: Reading of the monotonic clock at which it ends.
        rows: Rows that it holds.
        pages: Pages that it was read from.
    """

    max_rows: int | None = None
    ends_at: float | None = None
    rows: int = 0
    pages: int = 0

    @property
    def bounded(self) -> bool:
        """Whether another chunk can follow."""
        return self.max_rows is not None or self.ends_at is not None

    def full(self, now: float) -> bool:
        """Whether it takes no further page."""
        return (self.max_rows is not None and self.rows >= self.max_rows) or (
            self.ends_at is not None and now >= self.ends_at
        )

    def to_load_before(self, wait: float, longest: float) -> bool:
        """Whether it is better loaded before a wait than after it: what was paid for must not be lost meanwhile.

        Args:
            wait: Seconds until the next page can be asked for.
            longest: Seconds that pages without new rows may stay unloaded.
        """
        return self.bounded and self.pages > 0 and wait > (WORTH_LOADING if self.rows else longest)


@dataclass
class TableResult:
    """What came of a table.

    Attributes:
        verdict: None while nothing was read.
        reason: Why it is incomplete, or what was seen on the way.
        requests: API requests spent on it, retries included.
        pages: Pages read; one per request of a report.
        announced: Number of rows that the API announced; None if it announces none.
        distinct: Distinct keys seen.
        counts: What became of the rows.
        skipped: Why it did not run; empty if it ran.
        stopped: The bound at which it was cut short.
        error: What ended it.
        settled: True if an earlier run of the same sync had finished it.
        resumed: True if it went on where an earlier run had stopped.
    """

    verdict: Verdict | None = None
    reason: str = ""
    requests: int = 0
    pages: int = 0
    announced: int | None = None
    distinct: int = 0
    counts: Counts = field(default_factory=Counts)
    skipped: str = ""
    stopped: MoreToDo | None = None
    error: AutomatumError | None = None
    settled: bool = False
    resumed: bool = False
