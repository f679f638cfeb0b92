"""The rate limiter. The client asks it for permission before it sends a request."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count as numbers
from typing import Any
from uuid import uuid4

from ...config.limits import Limits
from ...core.budget import Budget, wait_slice
from ...core.clock import Clock, instant
from ...core.errors import AutomatumError, QuotaExhausted
from .headers import read_response
from .learned import learned_rows
from .reports import apply_report, explain_refusal
from .server_limit import GUESS_HOLD
from .state import LimiterState
from .stores import MemoryStore, Store, T
from .windows import IN_FLIGHT, Ticket, Wait, Windows

logger = logging.getLogger("automatum")

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

    def acquire(self, max_wait: float | None, budget: Budget, *, from_reserve: bool = False) -> Ticket:
        """Wait until all windows allow one more request, and count it.

        All processes wait in one queue. Requests that may use the metering reserve go first.

        Args:
            max_wait: Seconds to wait at most; None for no limit.
            budget: Limits of the run; a stop ends the wait.
            from_reserve: Whether the request may use the share that is reserved for metering.

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
                if isinstance(answer, Ticket):
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

    def record_response(self, ticket: Ticket) -> None:
        """Record that the response to a request arrived, or never will. The request ages from now on."""
        self._best_effort(lambda state, now: state.record_response(ticket.number, now))

    def release(self, ticket: Ticket) -> None:
        """Take back a request of which no byte was sent."""

        def work(state: LimiterState, now: float) -> None:
            state.changed |= state.pending.pop(ticket.number, None) is not None

        self._best_effort(work)

    def block(
        self,
        seconds: float,
        reason: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Block all requests for a time, such as after a 429.

        Args:
            seconds: Length of the block.
            reason: Reason, for the message of a wait.
            headers: Headers of the 429, if there was one. If they do not report an exhausted limit, a limit is lower
                than configured, or the server refused a burst that the windows allow (`explain_refusal`).
            body: JSON body of the 429.
            retry_after: Seconds that the 429 asks to wait; None if it names no time.
        """
        if not math.isfinite(seconds) or seconds <= 0:
            return
        wall = self._clock.time()
        refused = headers is not None
        explained = refused and any(one.left == 0 for one in read_response(headers or {}, wall, body))

        def work(state: LimiterState, now: float) -> None:
            if refused and not explained:
                explain_refusal(self._windows, state, now, wall, retry_after)
            state.block(now + seconds, reason)

        self._best_effort(work)

    def observe(
        self,
        headers: Mapping[str, str],
        server_date: float | None,
        refusal: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        ticket: Ticket | None = None,
    ) -> None:
        """Apply what a response says about rate limits. It can only lower the number of requests that are left.

        Args:
            headers: Headers of the response.
            server_date: Its `Date`, in epoch seconds.
            refusal: JSON body of a 429; None for another response.
            retry_after: Seconds that a 429 asks to wait. They replace a reset that is more than a minute away: it may
                be that of another window, or of a whole sliding window.
            ticket: The request whose response it is, to record it in the same change of the state.
        """
        wall = self._clock.time()
        reported = read_response(headers, wall if server_date is None else server_date, refusal)
        if retry_after is not None:
            reported = [
                replace(one, resets=retry_after)
                if one.left in (0, None) and (one.resets is None or one.resets > max(GUESS_HOLD, retry_after))
                else one
                for one in reported
            ]

        def work(state: LimiterState, now: float) -> None:
            if ticket:
                state.record_response(ticket.number, now)
            for one in reported:
                apply_report(self._windows, state, now, wall, one)

        if reported or ticket:
            self._best_effort(work)

    def learned(self) -> list[dict[str, Any]]:
        """The limits of the server: see `learned_rows`."""
        return self._on_state(lambda state, now: learned_rows(state, now, self._windows.configured))

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
        return self._on_state(lambda state, now: self._windows.keep_up(state, now, count, self.reserve, each, every))

    def window_usage(self) -> list[dict[str, Any]]:
        """For each window: `window` (name), `scope`, `limit`, `seconds`, `used`, `reserved` and `free_in` (seconds)."""
        return self._on_state(lambda state, now: self._windows.usage(state, now, self.reserve))

    def has_state(self) -> bool:
        """Whether there may be a stored state. A new file is made by the first request only."""
        return self._store.exists()

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def _on_state(self, work: Callable[[LimiterState, float], T]) -> T:
        def up_to_date(state: LimiterState, now: float) -> T:
            self._windows.refresh(state, now)
            return work(state, now)

        return self._store.change(up_to_date)

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
