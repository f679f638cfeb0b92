"""The rate limiter. The client asks it for permission before it sends a request."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Mapping
from itertools import count as numbers
from pathlib import Path
from typing import Any
from uuid import uuid4

import platformdirs

from ...config.base_url import host_key
from ...config.limits import Limits
from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings
from ...core.budget import Budget, wait_slice
from ...core.clock import Clock, instant
from ...core.errors import AutomatumError, ConfigurationError, QuotaExhausted
from .forecast import Lane, keeps_up
from .headers import read_headers
from .redis import SCHEMES, RedisStore
from .sqlite import SqliteStore
from .state import LimiterState
from .stores import MemoryStore, Store, T
from .windows import IN_FLIGHT, Wait, Windows

logger = logging.getLogger("automatum")

_KEY = "sources.automatum.quota_url"
NO_WAIT = 1.0
"""Seconds that a run with `--no-wait` may wait, because a new run for a shorter wait is not worthwhile."""
_LOG_FROM = 1.0
"""Seconds; the shortest wait that is logged."""
_LOG_AGAIN = 5.0
"""Seconds by which the end of a wait must move to be logged again. It moves a little with each response."""


class RateLimiter:
    """Counts requests before they are sent, so that the API's rate limits are never exceeded. Thread-safe.

    Args:
        application: Rate limits of the OAuth application: pairs of requests and seconds.
        organization: Rate limits of the organization.
        clock: Time.
        store: Keeps the state; None for a state of this process alone.
        in_flight: Seconds after which a request without a recorded response begins to age.

    Attributes:
        on_wait: Called with seconds and reason when a wait of more than a second begins, for progress displays.
        reserve: Share of each window that only metering may use.
    """

    def __init__(
        self,
        application: Limits,
        organization: Limits,
        clock: Clock,
        store: Store | None = None,
        in_flight: float = IN_FLIGHT,
    ) -> None:
        self.on_wait: Callable[[float, str], None] | None = None
        self.reserve = 0.0
        self._clock = clock
        self._store = store or MemoryStore(clock)
        self._windows = Windows(application, organization, in_flight)
        self._names = numbers()
        self._own = uuid4().hex

    def acquire(self, max_wait: float | None, budget: Budget, *, from_reserve: bool = False) -> int:
        """Wait until all windows allow one more request, and count it.

        All processes wait in one queue. Requests that may use the metering reserve go first.

        Args:
            max_wait: Seconds to wait at most; None for no limit.
            budget: Limits of the run; a stop ends the wait.
            from_reserve: Whether the request may use the share that is reserved for metering.

        Returns:
            The number of the request, for `record_response` or `release`.

        Raises:
            QuotaExhausted: The wait would be longer than `max_wait`, or than the run has left.
            BudgetSpent: The run was told to stop.
            QuotaUnreachable: The server that keeps the state does not answer.
        """
        name = f"{self._own}-{os.getpid()}-{next(self._names)}"
        started, queued = self._clock.monotonic(), False
        announced = ("", -math.inf)
        try:
            while True:
                budget.check()
                answer = self._on_state(
                    lambda state, now: self._windows.ask(state, now, name, from_reserve, self.reserve)
                )
                queued = isinstance(answer, Wait)
                if not isinstance(answer, Wait):
                    return answer
                wait, reason = answer
                now = self._clock.monotonic()
                self._refuse_long_wait(wait, now - started, reason, max_wait, budget)
                if wait > _LOG_FROM and (reason != announced[0] or now + wait > announced[1] + _LOG_AGAIN):
                    announced = (reason, now + wait)
                    self._announce(wait, reason)
                self._clock.sleep(wait_slice(wait, budget))
        finally:
            if queued:
                self._best_effort(lambda state, now: self._leave(state, name))

    def record_response(
        self, number: int, headers: Mapping[str, str] | None = None, server_date: float | None = None
    ) -> None:
        """Record that the response to a request arrived, or never will. The request ages from now on.

        Args:
            number: The request.
            headers: Headers of the response. What they say can only lower the number of requests that are left.
            server_date: The response's `Date`, in epoch seconds.
        """
        reported = read_headers(headers or {}, self._clock.time() if server_date is None else server_date)

        def work(state: LimiterState, now: float) -> None:
            if state.record_response(number, now):
                for one in reported:
                    self._windows.apply(state, now, one)

        self._best_effort(work)

    def release(self, number: int) -> None:
        """Take back a request of which no byte was sent."""

        def work(state: LimiterState, now: float) -> None:
            state.changed |= state.pending.pop(number, None) is not None

        self._best_effort(work)

    def block(self, seconds: float, reason: str) -> None:
        """Block all requests for a time, such as after a 429: each request counts in every window.

        Args:
            seconds: Length of the block.
            reason: Reason, for the message of a wait.
        """
        if math.isfinite(seconds) and seconds > 0:
            self._best_effort(lambda state, now: state.block(now + seconds, reason))

    def wait_for(self, count: int, each: float = 0.0) -> float:
        """Forecast the seconds until a number of further requests, one after the other, have their responses.

        Args:
            count: Number of requests.
            each: Seconds that a response takes.
        """
        return self._on_state(lambda state, now: self._windows.forecast(state, now, count, self.reserve, each))

    def keeps_up(self, count: int, each: float, every: float) -> bool:
        """Whether each run of a schedule ends before the next run starts.

        Args:
            count: Requests of one run.
            each: Seconds that a response takes.
            every: Seconds between the starts of two runs.
        """
        lanes = [Lane(window.unreserved(self.reserve), window.span) for window in self._windows.all]
        return keeps_up(lanes, count, each, every)

    def window_usage(self) -> list[dict[str, Any]]:
        """For each window: `window` (name), `scope`, `limit`, `seconds`, `used`, `reserved` and `free_in` (seconds)."""
        return self._on_state(lambda state, now: self._windows.usage(state, now, self.reserve))

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def _on_state(self, work: Callable[[LimiterState, float], T]) -> T:
        def refreshed(state: LimiterState, now: float) -> T:
            self._windows.refresh(state, now)
            return work(state, now)

        return self._store.change(refreshed)

    def _best_effort(self, work: Callable[[LimiterState, float], None]) -> None:
        """Change the state. A failure must not cost a response: it is logged, and a request may count for too long."""
        try:
            self._on_state(work)
        except AutomatumError as error:
            logger.warning("%s", error)

    def _leave(self, state: LimiterState, name: str) -> None:
        state.changed |= state.waiting.pop(name, None) is not None

    def _refuse_long_wait(
        self, wait: float, waited: float, reason: str, max_wait: float | None, budget: Budget
    ) -> None:
        left = budget.remaining_seconds()
        if max_wait is not None and waited + wait > max_wait:
            bound = (
                "this run must not wait" if max_wait <= NO_WAIT else f"this run may wait {max_wait:g} s (--max-wait)"
            )
        elif left is not None and wait > left:
            bound = f"this run has {left:.0f} s left"
        else:
            return
        resume_at = self._clock.time() + wait
        raise QuotaExhausted(
            f"The next request has to wait {math.ceil(wait)} s, and {bound}: {reason}.",
            f"Run again after {instant(resume_at)}; it goes on from here.",
            resume_at,
        )

    def _announce(self, wait: float, reason: str) -> None:
        logger.info("waiting %d s, until %s: %s", math.ceil(wait), instant(self._clock.time() + wait), reason)
        if self.on_wait is not None:
            self.on_wait(wait, reason)


def open_rate_limiter(settings: AutomatumSettings, clock: Clock) -> RateLimiter:
    """Open the rate limiter that all processes of the OAuth application share.

    Args:
        settings: Resolved settings; `quota_url` names the store.
        clock: Time.

    Raises:
        ConfigurationError: `quota_url` is not valid, or names a file on a network file system.
    """
    store = _store(settings, clock)
    # After a crash, a request counts as pending for as long as its response could take.
    return RateLimiter(settings.app_limits(), settings.org_limits(), clock, store, 2 * settings.request_timeout)


def state_name(settings: AutomatumSettings) -> str:
    """Name of the application in the store: a hash of host, path and client id."""
    named = f"{host_key(settings.base_url)}\n{settings.client_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _store(settings: AutomatumSettings, clock: Clock) -> Store:
    url, name = settings.quota_url, state_name(settings)
    if not url:
        path = platformdirs.user_state_path("automatum", appauthor=False) / f"quota-{name}.sqlite"
        try:
            return SqliteStore(path, clock)
        except ConfigurationError as error:
            # The user did not choose this file, so warn and continue.
            logger.warning("%s Until then this process counts its requests alone.", error)
            return MemoryStore(clock)
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryStore(clock)
    if scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        # A file holds the state of one application; Redis has a key for each.
        url = insert_organization(_KEY, url, settings.organization)
        return SqliteStore(Path(url.removeprefix("sqlite:///")), clock)
    if scheme in SCHEMES:
        return RedisStore(url, name, clock)
    raise ConfigurationError(
        _KEY,
        "not the URL of a store for request counts.",
        "Write sqlite:////absolute/path.sqlite, redis://host:6379/0 (rediss:// for TLS) or memory://; leave it out for "
        "a file in your state folder.",
    )
