"""The vendor's quota, counted on this side before a request is sent (I4).

The vendor does not say whether its windows are fixed or sliding, nor when within a request it counts. So the log is
sliding, and an entry is as young as it can possibly be: while a request is in flight it counts as sent now; when its
answer is here, it gets the time of the answer. The server counted it no later than that, so at most N entries younger
than W here means at most N counted there within any stretch of W, fixed window or sliding, whatever the latency.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Protocol

from .budget import Budget, slice_of
from .clock import Clock
from .errors import QuotaExhausted
from .settings import Limits

logger = logging.getLogger("automatum")

IN_FLIGHT = 60.0
"""Seconds; twice the default request timeout. A ticket that nobody settles (a crash) counts as sent until then."""
ORGANIZATION_HOLD = 60.0
"""Seconds for which what an answer says about the organization is believed: no header tells when its window resets."""
_WORTH_SAYING = 1.0
_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request.

    Attributes:
        number: Identifies it within its quota.
        acquired: Reading of the quota's clock when it was given.
    """

    number: int
    acquired: float


class Quota(Protocol):
    """A count of requests, kept in one place by all that share the OAuth application."""

    on_wait: Callable[[float, str], None] | None

    def acquire(self, max_wait: float | None, budget: Budget) -> Ticket:
        """Wait until all windows allow one more request, and charge it.

        Args:
            max_wait: Seconds that this may take; None for as long as it takes.
            budget: Bounds of the run; a stop ends the wait.

        Raises:
            QuotaExhausted: It would take longer than that, or longer than the run has.
            BudgetSpent: The run has been told to stop.
        """

    def settle(self, ticket: Ticket) -> None:
        """The answer is here, or will never be: from now on the request ages."""

    def release(self, ticket: Ticket) -> None:
        """The request was not sent after all. Only for requests of which no byte has left."""

    def observe(self, headers: Mapping[str, str], server_date: float | None) -> None:
        """Learn from an answer; it can only lower what is believed to be left.

        Args:
            headers: The answer's headers.
            server_date: Its `Date`, in epoch seconds.
        """

    def hold(self, seconds: float, reason: str) -> None:
        """Let nobody send for this long, such as after a 429."""

    def wait_for(self, count: int) -> float:
        """Seconds until that many further requests could have been sent, answers taking no time."""

    def state(self) -> list[dict[str, Any]]:
        """For each window: `window` (name), `limit`, `seconds`, `used`, `free_in` (seconds until there is room)."""


@dataclass
class _Window:
    scope: str
    limit: int
    seconds: float
    configured: int = 0
    leaves: deque[float] = field(default_factory=deque)
    """When each settled entry stops counting, ascending."""

    def __post_init__(self) -> None:
        self.configured = self.limit

    @property
    def name(self) -> str:
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"

    @property
    def span(self) -> float:
        """Seconds for which an entry counts: the window and a guard.

        The guard covers what the reasoning above takes for granted: that both clocks tick alike and finely. Half a
        percent is far above a clock's drift (0.05 % at worst, while NTP slews it); 5 ms keep short windows off the
        tick of a coarse clock; beyond 0.5 s it would only cost throughput, as drift over an hour stays below that.
        """
        return self.seconds + min(0.5, max(0.005, 0.005 * self.seconds))

    def expire(self, now: float) -> None:
        while self.leaves and self.leaves[0] <= now:
            self.leaves.popleft()


class MemoryQuota:
    """The quota of one process. Safe to share between threads.

    Args:
        application: Windows of the OAuth application: pairs of requests and seconds.
        organization: Windows of the organization.
        clock: Time; readings are monotonic, so that setting the machine's clock changes nothing.
        in_flight: Seconds after which a ticket that was not settled begins to age.

    Attributes:
        on_wait: Called with seconds and reason when a wait of more than a second begins, for progress displays.
    """

    def __init__(self, application: Limits, organization: Limits, clock: Clock, in_flight: float = IN_FLIGHT) -> None:
        self.on_wait: Callable[[float, str], None] | None = None
        self._clock = clock
        self._in_flight = in_flight
        self._application = [_Window("application", *limit) for limit in application]
        self._organization = [_Window("organization", *limit) for limit in organization]
        self._windows = [*self._application, *self._organization]
        self._flying: dict[int, float] = {}
        self._numbers = 0
        self._gate = -math.inf
        self._gate_reason = ""
        self._lock = threading.Lock()

    def acquire(self, max_wait: float | None, budget: Budget) -> Ticket:
        """See `Quota.acquire`."""
        started = self._clock.monotonic()
        announced = ("", -math.inf)
        while True:
            budget.check()
            with self._lock:
                now = self._clock.monotonic()
                wait, reason = self._blocked(now)
                if wait <= 0:
                    self._numbers += 1
                    self._flying[self._numbers] = now
                    return Ticket(self._numbers, now)
            self._refuse_long_wait(wait, now - started, reason, max_wait, budget)
            if wait > _WORTH_SAYING and (reason != announced[0] or now + wait > announced[1] + _WORTH_SAYING):
                announced = (reason, now + wait)
                self._announce(wait, reason)
            self._clock.sleep(slice_of(wait, budget))

    def settle(self, ticket: Ticket) -> None:
        """See `Quota.settle`."""
        with self._lock:
            if self._flying.pop(ticket.number, None) is None:
                return
            now = self._clock.monotonic()
            for window in self._windows:
                insort(window.leaves, now + window.span)

    def release(self, ticket: Ticket) -> None:
        """See `Quota.release`."""
        with self._lock:
            self._flying.pop(ticket.number, None)

    def hold(self, seconds: float, reason: str) -> None:
        """See `Quota.hold`."""
        if math.isfinite(seconds) and seconds > 0:
            with self._lock:
                self._close_gate(self._clock.monotonic() + seconds, reason)

    def observe(self, headers: Mapping[str, str], server_date: float | None) -> None:
        """See `Quota.observe`. Headers are those of `api/authentication`; missing or absurd ones are passed over."""
        reference = self._clock.time() if server_date is None else server_date
        with self._lock:
            now = self._clock.monotonic()
            for scope, windows in (("", self._application), ("Organization-", self._organization)):
                if not windows:
                    continue
                limit = _whole(headers.get(f"X-RateLimit-{scope}Limit"))
                left = _whole(headers.get(f"X-RateLimit-{scope}Remaining"))
                resets_in = None if scope else _ahead(headers.get("X-RateLimit-Reset"), reference)
                window = _concerned(windows, limit, resets_in)
                if resets_in is not None and resets_in > 2 * window.seconds:
                    resets_in = None
                if limit:
                    window.limit = min(window.configured, limit)
                if left is not None:
                    self._lower(window, left, resets_in, now)

    def wait_for(self, count: int) -> float:
        """See `Quota.wait_for`."""
        with self._lock:
            now = self._clock.monotonic()
            logs = [(window, self._entries(window, now)) for window in self._windows]
            sent = max(now, self._gate)
        held = [len(entries) for _, entries in logs]
        for turn in range(count):
            for (window, entries), before in zip(logs, held, strict=True):
                place = before + turn - window.limit
                if place >= 0:
                    sent = max(sent, entries[place])
            for window, entries in logs:
                entries.append(sent + window.span)
        return sent - now if count > 0 else 0.0

    def state(self) -> list[dict[str, Any]]:
        """See `Quota.state`."""
        with self._lock:
            now = self._clock.monotonic()
            gate = max(0.0, self._gate - now)
            return [
                {
                    "window": window.name,
                    "limit": window.limit,
                    "seconds": window.seconds,
                    "used": len(self._entries(window, now)),
                    "free_in": max(gate, self._room_in(window, now)),
                }
                for window in self._windows
            ]

    def _flights(self, window: _Window, now: float) -> list[float]:
        """When the unsettled tickets stop counting, at the earliest."""
        return [min(now, acquired + self._in_flight) + window.span for acquired in self._flying.values()]

    def _entries(self, window: _Window, now: float) -> list[float]:
        window.expire(now)
        return sorted([*window.leaves, *(leave for leave in self._flights(window, now) if leave > now)])

    def _room_in(self, window: _Window, now: float) -> float:
        window.expire(now)
        flights = sorted(leave for leave in self._flights(window, now) if leave > now)
        surplus = len(window.leaves) + len(flights) - window.limit
        if surplus < 0:
            return 0.0
        return next(islice(heapq.merge(window.leaves, flights), surplus, None)) - now

    def _blocked(self, now: float) -> tuple[float, str]:
        """Seconds until one more request is allowed, and what stands in its way."""
        longest = max((window.span for window in self._windows), default=0.0)
        for number in [one for one, acquired in self._flying.items() if acquired + self._in_flight + longest <= now]:
            del self._flying[number]
        wait, reason = self._gate - now, self._gate_reason
        for window in self._windows:
            until = self._room_in(window, now)
            if until > max(0.0, wait):
                wait, reason = until, f"quota of the {window.name} is used up"
        return wait, reason

    def _lower(self, window: _Window, left: int, resets_in: float | None, now: float) -> None:
        """Believe an answer that says less is left than we thought: others use the same quota.

        What others used is entered as if it happened now, unless the answer tells when the server forgets it. What is
        said of the organization is believed for a while only, as every answer says it anew.
        """
        if window.scope == "organization":
            forgotten = min(ORGANIZATION_HOLD, window.seconds)
        else:
            forgotten = min(window.span, math.inf if resets_in is None else resets_in + window.span - window.seconds)
        unknown = window.limit - len(self._entries(window, now)) - left
        for _ in range(unknown):
            insort(window.leaves, now + forgotten)
        if left == 0 and (resets_in is not None or window.scope == "organization"):
            gate = ORGANIZATION_HOLD if resets_in is None else resets_in + window.span - window.seconds
            self._close_gate(now + gate, f"the API says that the quota of the {window.name} is used up")

    def _close_gate(self, until: float, reason: str) -> None:
        if until > self._gate:
            self._gate, self._gate_reason = until, reason

    def _refuse_long_wait(
        self, wait: float, waited: float, reason: str, max_wait: float | None, budget: Budget
    ) -> None:
        left = budget.remaining_seconds()
        if max_wait is not None and waited + wait > max_wait:
            bound = f"this run may wait {max_wait:g} s"
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


def instant(epoch: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the second, rounded up."""
    return datetime.fromtimestamp(math.ceil(epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole(text: str | None) -> int | None:
    """A count of at most a billion, or None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _ahead(text: str | None, reference: float) -> float | None:
    """Seconds from the answer's date to an epoch in a header; None unless that is a number in the future."""
    try:
        ahead = float(text or "nan") - reference
    except ValueError:
        return None
    return ahead if math.isfinite(ahead) and ahead > 0 else None


def _concerned(windows: Sequence[_Window], limit: int | None, resets_in: float | None) -> _Window:
    """The window that the headers are about: the longest, as in the vendor's samples.

    Unless they name the limit of a shorter one and its reset is no further away than that one is long: an API that
    reports its tightest window must not make us take 50 a minute for 50 an hour.
    """
    longest = max(windows, key=lambda one: one.seconds)
    for window in windows:
        shorter = window.seconds < longest.seconds and window.configured == limit != longest.configured
        if shorter and resets_in is not None and resets_in <= window.seconds:
            return window
    return longest
