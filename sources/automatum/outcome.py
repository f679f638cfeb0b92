"""Bounds of a load package, and what came of a table."""

from __future__ import annotations

from dataclasses import dataclass, field

from .account import Counts, Verdict
from .errors import AutomatumError, MoreToDo

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
class Outcome:
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
