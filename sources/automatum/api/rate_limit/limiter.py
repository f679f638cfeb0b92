"""Permission to send, asked for before each request."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count as numbers
from typing import Any
from uuid import uuid4

from ...config.settings import Limits
from ...core.budget import Budget, wait_slice
from ...core.clock import Clock, instant
from ...core.errors import AutomatumError, QuotaExhausted
from .headers import exhausted, read_headers
from .state import LimiterState
from .stores import MemoryStore, Store, T
from .windows import IN_FLIGHT, Windows

logger = logging.getLogger("automatum")

NO_WAIT = 1.0
"""Seconds that even a run that must not wait may wait: less than that is not worth coming back for."""
_WORTH_SAYING = 1.0
_WORTH_SAYING_AGAIN = 5.0
"""Seconds by which an end must move for a wait to be told anew: it moves a little as answers to others come in."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request.

    Attributes:
        number: Identifies it within its quota.
    """

    number: int


class RateLimiter:
    """The vendor's quota, counted on this side before a request is sent. Safe to share between threads.

    Args:
        application: Windows of the OAuth application: pairs of requests and seconds.
        organization: Windows of the organization.
        clock: Time.
        store: Where the tally lives; None for this process alone.
        in_flight: Seconds after which a ticket that was not settled begins to age.

    Attributes:
        on_wait: Called with seconds and reason when a wait of more than a second begins, for progress displays.
        reserve: Share of each window that only metering may spend.
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
        """Wait until all windows allow one more request, and charge it.

        Who waits stands in a queue with all others that share the quota; those who may spend the reserve stand first.

        Args:
            max_wait: Seconds that this may take; None for as long as it takes.
            budget: Bounds of the run; a stop ends the wait.
            from_reserve: Whether the request may spend what is kept for metering.

        Raises:
            QuotaExhausted: It would take longer than that, or longer than the run has.
            BudgetSpent: The run has been told to stop.
            QuotaUnreachable: The server that keeps the quota does not answer.
        """
        name = f"{self._own}-{os.getpid()}-{next(self._names)}"
        started, queued = self._clock.monotonic(), False
        announced = ("", -math.inf)
        try:
            while True:
                budget.check()
                number, wait, reason = self._on_tally(
                    lambda tally, now: self._windows.ask(tally, now, name, from_reserve, self.reserve)
                )
                if number:
                    queued = False
                    return Ticket(number)
                queued = True
                now = self._clock.monotonic()
                self._refuse_long_wait(wait, now - started, reason, max_wait, budget)
                if wait > _WORTH_SAYING and (reason != announced[0] or now + wait > announced[1] + _WORTH_SAYING_AGAIN):
                    announced = (reason, now + wait)
                    self._announce(wait, reason)
                self._clock.sleep(wait_slice(wait, budget))
        finally:
            if queued:
                self._quietly(lambda tally, now: self._leave(tally, name))

    def record_response(self, ticket: Ticket) -> None:
        """The answer is here, or will never be: from now on the request ages."""
        self._quietly(lambda tally, now: tally.record_response(ticket.number, now))

    def release(self, ticket: Ticket) -> None:
        """The request was not sent after all. Only for requests of which no byte has left."""

        def work(tally: LimiterState, now: float) -> None:
            tally.changed |= tally.flying.pop(ticket.number, None) is not None

        self._quietly(work)

    def block(self, seconds: float, reason: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Let nobody send for this long, such as after a 429.

        Args:
            seconds: How long.
            reason: Why.
            headers: Of the 429, if it is one. Unless they say that a bucket is empty, it came although every window
                had room: then the server does not take bursts, and requests are spread for a while.
        """
        if not math.isfinite(seconds) or seconds <= 0:
            return

        def work(tally: LimiterState, now: float) -> None:
            if headers is not None and not exhausted(headers):
                self._windows.spread(tally, now)
            self._windows.close(tally, now + seconds, reason)

        self._quietly(work)

    def observe(self, headers: Mapping[str, str], server_date: float | None) -> None:
        """Learn from an answer; it can only lower what is believed to be left.

        Args:
            headers: The answer's headers.
            server_date: Its `Date`, in epoch seconds.
        """
        reference = self._clock.time() if server_date is None else server_date
        said = read_headers(headers, reference, (self._windows.application, self._windows.organization))

        def work(tally: LimiterState, now: float) -> None:
            for one in said:
                self._windows.learn(tally, now, one.window, one.limit, one.left, one.resets)

        if said:
            self._quietly(work)

    def wait_for(self, count: int, each: float = 0.0) -> float:
        """Seconds until that many further requests, one after the other, have their answers.

        Args:
            count: Requests.
            each: Seconds that an answer takes.
        """
        return self._on_tally(lambda tally, now: self._windows.forecast(tally, now, count, self.reserve, each))

    def keeps_up(self, count: int, each: float, every: float) -> bool:
        """Whether a run of so many requests, started again and again, has an end before the next begins.

        Args:
            count: Requests of one run.
            each: Seconds that an answer takes.
            every: Seconds from start to start.
        """
        return self._on_tally(lambda tally, now: self._windows.keep_up(tally, now, count, self.reserve, each, every))

    def window_usage(self) -> list[dict[str, Any]]:
        """For each window: `window` (name), `scope`, `limit`, `seconds`, `used`, `reserved` and `free_in` (seconds)."""
        return self._on_tally(lambda tally, now: self._windows.usage(tally, now, self.reserve))

    def close(self) -> None:
        """Let go of files and connections."""
        self._store.close()

    def _on_tally(self, work: Callable[[LimiterState, float], T]) -> T:
        def up_to_date(tally: LimiterState, now: float) -> T:
            self._windows.take_up(tally, now)
            return work(tally, now)

        return self._store.change(up_to_date)

    def _quietly(self, work: Callable[[LimiterState, float], None]) -> None:
        """What must not fail, as an answer that was paid for is at hand: without it, too much is counted at worst."""
        try:
            self._on_tally(work)
        except AutomatumError as error:
            logger.warning("%s", error)

    def _leave(self, tally: LimiterState, name: str) -> None:
        tally.changed |= tally.waiting.pop(name, None) is not None

    def _refuse_long_wait(
        self, wait: float, waited: float, reason: str, max_wait: float | None, budget: Budget
    ) -> None:
        left = budget.remaining_seconds()
        if max_wait is not None and waited + wait > max_wait:
            bound = "this run must not wait" if max_wait <= NO_WAIT else f"this run may wait {max_wait:g} s"
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
