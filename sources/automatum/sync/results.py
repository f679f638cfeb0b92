"""Bounds of a load package, and the result of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..core.errors import AutomatumError, MoreToDo

DELETED = "deleted"
"""Takes the place of the row hash of a row that is marked deleted in the destination."""
LOAD_AGAIN = ""
"""Takes the place of the row hash of a row that has to be loaded again."""


class Verdict(str, Enum):
    """What a sweep, a table or a whole sync came to. The value is stored, printed and put into JSON."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    MORE_TO_DO = "more_to_do"
    FAILED = "failed"
    """In `_automatum_sweeps` only: an error ended the sweep. A later run may resume it."""
    SKIPPED = "skipped"
    """In `_automatum_sweeps` only: the API does not know the report."""

    __str__ = str.__str__


@dataclass
class Counts:
    """Numbers of rows by what changed."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass
class KnownRows:
    """The rows of a table that are in the destination.

    Attributes:
        hashes: Key to row hash, or to `DELETED` or `LOAD_AGAIN`. Empty if nothing is known.
        children: Child table to key of the parent to the number of its live rows; None if they are not compared.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    children: dict[str, dict[str, int]] | None = None

    def is_deleted(self, key: str) -> bool:
        """Whether a row is marked deleted, or not there."""
        return self.hashes.get(key, DELETED) == DELETED

    @property
    def live(self) -> list[str]:
        """Keys of the rows that are not marked deleted."""
        return [key for key, row_hash in self.hashes.items() if row_hash != DELETED]


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page that was read.

    Attributes:
        page: Number of the page, from 1.
        keys: Keys of its rows, in the server's order.
        total: Number of rows that the page announced for the whole list.
        read_at: When the page was read.
    """

    page: int
    keys: Sequence[str]
    total: int | None
    read_at: datetime


WORTH_LOADING = 5.0
"""Seconds of waiting for the rate limit from which a load package is loaded before the wait."""
CHUNK_ROWS = 250_000
"""Rows in one load package. Each load has a cost of its own; `CHUNK_BYTES` bounds the memory."""
CHUNK_SECONDS = 60.0
"""Age of a load package at which it is loaded: a kill costs a minute of requests at most."""
CHUNK_BYTES = 32_000_000
"""Bytes of rows, as JSON, in one load package: 300 rows of 100 kB, or 100,000 of 320 bytes."""
BATCH_BYTES = 8_000_000
"""Bytes of rows, as JSON, in one Arrow table."""


@dataclass
class Chunk:
    """Bounds and size of one load package.

    Attributes:
        max_rows: Rows after which the chunk ends, which bounds memory. None for no bound.
        ends_at: Reading of the monotonic clock at which the chunk ends. None for no bound.
        max_bytes: Bytes of the rows as JSON after which the chunk ends: few wide rows need as much memory as many
            narrow ones. None for no bound.
        limit: The bound that dlt's `add_limit` sets, in words. Then no chunk follows.
        max_pages: Pages after which the chunk ends. None for no bound.
        rows: Rows in the chunk.
        pages: Pages that the rows were read from.
    """

    max_rows: int | None = None
    ends_at: float | None = None
    rows: int = 0
    pages: int = 0
    max_bytes: int | None = None
    bytes: int = 0
    limit: str = ""
    max_pages: int | None = None

    @classmethod
    def begin(cls, now: float) -> Chunk:
        """A chunk of a sync, after which others can follow.

        Args:
            now: Reading of the monotonic clock.
        """
        return cls(CHUNK_ROWS, now + CHUNK_SECONDS, max_bytes=CHUNK_BYTES)

    @property
    def bounded(self) -> bool:
        """Whether another chunk can follow."""
        return not self.limit and (self.max_rows is not None or self.ends_at is not None)

    def full(self, now: float) -> bool:
        """Whether the chunk takes no further page."""
        return (
            (self.max_rows is not None and self.rows >= self.max_rows)
            or (self.max_pages is not None and self.pages >= self.max_pages)
            or (self.max_bytes is not None and self.bytes >= self.max_bytes)
            or (self.ends_at is not None and now >= self.ends_at)
        )

    def to_load_before(self, wait: float) -> bool:
        """Whether to load the chunk before a wait, so that a kill during the wait loses no page.

        Args:
            wait: Seconds until the next page can be requested.
        """
        return self.bounded and self.pages > 0 and wait > (WORTH_LOADING if self.rows else CHUNK_SECONDS)


@dataclass
class TableResult:
    """The result of syncing a table.

    Attributes:
        verdict: None until the table is read, or cut short.
        reason: Why the table is incomplete, or what is worth knowing about it.
        requests: API requests for the table, retries included.
        pages: Pages read. For a report, the number of requests.
        announced: Number of rows that the API announced. None if it announced none.
        distinct: Distinct keys read.
        counts: Numbers of rows by what changed.
        rejected: Number of records that could not be loaded.
        waiting: Number of rows that are not listed any more and that a later sync decides about.
        unread: Column to the number of values that it could not read, in the rows that were loaded. They are in
            `extra`, and the column is null.
        skipped: Why the table was skipped. Empty if it was not.
        stopped: The bound that cut the sync of the table short.
        error: The error that ended the sync of the table.
        finished_earlier: Whether an earlier run of the same sync has finished the table.
        read_by: The settings that it was read by then (`SweepFacts.settings`).
    """

    verdict: Verdict | None = None
    reason: str = ""
    requests: int = 0
    pages: int = 0
    announced: int | None = None
    distinct: int = 0
    counts: Counts = field(default_factory=Counts)
    rejected: int = 0
    waiting: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    skipped: str = ""
    stopped: MoreToDo | None = None
    error: AutomatumError | None = None
    finished_earlier: bool = False
    read_by: str = ""
