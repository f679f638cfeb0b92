"""What lists and reports have in common: one table is read step by step, and concluded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, TypeVar

from ..api.pages import Page
from ..api.session import ApiSession
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import NotThere
from ..schema.arrow_tables import Table
from ..schema.records import Rows
from .facts import SweepFacts
from .options import SyncOptions
from .organization_check import OrganizationCheck
from .prior_state import PriorState, Unfinished
from .rejections import Rejections
from .results import PageRecord, TableResult
from .sync_log import SweepLog

Answered = TypeVar("Answered")
_LEEWAY = timedelta(minutes=10)


@dataclass
class Reader(ABC):
    """Reads one table of one kind.

    Attributes:
        table: The table to read.
        session: The API session.
        options: Which days to read, and whether many rows may be deleted.
        prior: What the destination has.
        result: What came of the table; the reader fills it in.
        log: The log of this sweep.
        rejections: Takes the records that cannot be loaded.
        organization: Knows whose rows the dataset has.
        compares: A pipeline loads the rows, so that rows can be found missing.
    """

    table: Table
    session: ApiSession
    options: SyncOptions
    prior: PriorState
    result: TableResult
    log: SweepLog
    rejections: Rejections
    organization: OrganizationCheck
    compares: bool

    def __post_init__(self) -> None:
        self._endpoint, self._settings = self.table.endpoint, self.session.settings
        self._deletes = self.compares and self.prior.known.readable and self._settings.deletes != "ignore"

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether nothing is left to read."""

    @abstractmethod
    def step(self) -> list[Rows]:
        """Make the next request, or decide what to request next; returns rows to load.

        Raises:
            RequestError: From the API; `step` can be called again.
            MoreToDo: The same.
        """

    @property
    def unkeyed(self) -> int:
        """Number of records without a key that the last reading of a list had."""
        return 0

    @abstractmethod
    def conclude(self) -> list[str]:
        """Set verdict and reason of a finished table; returns the keys of its rows that are gone."""

    def settled(self) -> list[str]:
        """Keys of rows that are known to be gone, though a bound of the run ends the reading before its conclusion."""
        return []

    @abstractmethod
    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""

    @abstractmethod
    def not_found(self, error: NotThere) -> None:
        """Set the result of a table whose path the API does not know."""

    @abstractmethod
    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the state after them, for a later run to resume."""

    def _interrupted(self) -> Unfinished | None:
        """The interrupted sweep, if its pages were read by the same settings: by others, they may be wrong."""
        unfinished = self.prior.unfinished
        return unfinished if unfinished and unfinished.settings[:1] == self.log.settings[:1] else None

    def _is_true(self, since: datetime, requests: int) -> bool:
        """Whether what was read since then still is as it was: a verdict speaks of now."""
        return utc(self.session.clock.time()) - since <= longest_sweep(self._settings, requests)

    def _can_read(self, requests: int) -> bool:
        """Whether the bounds of this run allow so many further requests."""
        client, budget = self.session.client, self.session.budget
        left, seconds = budget.remaining_requests, budget.remaining_seconds()
        bounds = [one for one in (seconds, client.tokens.max_wait) if one is not None]
        enough = left is None or left >= requests
        return enough and (not bounds or client.limiter.wait_for(requests, client.seconds_per_request) <= min(bounds))

    def _charged(self, request: Callable[[], Answered]) -> Answered:
        """Count the requests that a call costs, retries included, also when it fails."""
        budget, stats = self.session.budget, self.session.client.stats
        before, sent = budget.requests, len(stats)
        try:
            return request()
        finally:
            self.result.requests += budget.requests - before
            self.result.stats += stats[sent:]

    def _own(self, page: Page) -> Page:
        """The page, if its rows are this organization's: the credentials may be another's."""
        self._charged(lambda: self.organization.check(self.table, page.records))
        return page

    def _unread(self) -> str:
        why = self.prior.known.why
        return f"the destination could not be read, so every row was loaded again ({why})" if why else ""


def longest_sweep(settings: AutomatumSettings, requests: int) -> timedelta:
    """How long a sweep may take, from its first page to its last: as long as it needs under the rate limit.

    Args:
        settings: Has the limits.
        requests: What the sweep costs.

    Returns:
        The time, with a window that others have used up before, and ten minutes.
    """
    longest = max((span * (1 + ceil(requests / limit)) for limit, span in settings.app_limits()), default=0.0)
    return timedelta(seconds=longest) + _LEEWAY
