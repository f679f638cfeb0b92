"""The windows of the rate limits, and whether they allow one more request (I4).

The vendor does not document whether its windows are fixed or sliding, nor at which moment of a request it counts. So
the log is sliding and assumes the latest possible moment: a pending request counts as sent now, and a request with a
response counts from the time of the response. The server has counted it by then. At most N entries younger than W
seconds in this log therefore mean at most N requests that the server counts in any W seconds, whatever the latency.
"""

from __future__ import annotations

import heapq
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ...config.limits import Limits
from .forecast import Lane, finish
from .headers import Reported
from .state import LimiterState, Waiter

IN_FLIGHT = 60.0
"""Seconds, twice the default timeout, for which a request without a recorded response (a crash) counts as sent now."""
STALE = 3.0
"""Seconds after which a caller that no longer polls leaves the queue: three times the interval of the polls."""
ORGANIZATION_HOLD = 60.0
"""Seconds for which the headers about the organization apply, because no header reports the reset of its window."""
_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}

Entries = Iterator[tuple[float, int]]
"""Times at which requests stop counting in a window, ascending, and the number of requests for each."""


@dataclass(frozen=True)
class Window:
    """A rate limit: a number of requests in a number of seconds.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        seconds: Length of the window.
    """

    scope: str
    limit: int
    seconds: float

    @cached_property
    def key(self) -> str:
        """Name in the state, independent of the limit."""
        return f"{self.scope} {self.seconds:g}"

    @cached_property
    def span(self) -> float:
        """Seconds for which a request counts: the length of the window plus a guard.

        The guard covers differences between the two clocks. NTP slews a clock by 0.05 % at most, which is 1.8 s an
        hour; 5 ms cover the resolution of a coarse clock. `benchmarks/guards.py` measures smaller and larger guards.
        """
        return self.seconds + min(2.0, max(0.005, 0.005 * self.seconds))

    def unreserved(self, share: float) -> int:
        """Requests outside the share that is reserved for metering; at least one."""
        return max(1, self.limit - math.ceil(share * self.limit)) if share else self.limit

    def __str__(self) -> str:
        """Name for messages."""
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"


class Wait(NamedTuple):
    """No request is allowed yet.

    Attributes:
        seconds: Seconds until it could be allowed.
        reason: Reason of the wait, for messages.
    """

    seconds: float
    reason: str


class Windows:
    """All windows of an OAuth application. The methods apply them to a state.

    Args:
        application: Rate limits of the OAuth application: pairs of requests and seconds.
        organization: Rate limits of the organization.
        in_flight: Seconds after which a request without a recorded response begins to age.

    Attributes:
        all: The windows.
        in_flight: See above.
        longest: Seconds for which a request counts in the longest window.
    """

    def __init__(self, application: Limits, organization: Limits, in_flight: float) -> None:
        limits = [("application", *limit) for limit in application]
        limits += [("organization", *limit) for limit in organization]
        self.all = tuple(Window(*limit) for limit in limits)
        self.in_flight = in_flight
        self.longest = max((window.span for window in self.all), default=0.0)

    def refresh(self, state: LimiterState, now: float) -> None:
        """Drop expired requests from the state, before any other method reads it."""
        state.longest = max(state.longest, self.longest)
        state.prune(now, self.in_flight)

    def apply(self, state: LimiterState, at: float, report: Reported) -> None:
        """Apply what a response says is left of a rate limit, if that is less than this side counts.

        The difference are requests of other programs, or a lower limit than the configured one. They count until the
        reported reset. Without one they count as if sent now; those of the organization for a minute only, because
        every response reports them again.

        Args:
            state: The state.
            at: Time of the state at which the response came.
            report: The report.
        """
        window = self._window_of(report)
        if window is None:
            return
        holds = window.span
        if report.resets is not None:
            holds = min(holds, report.resets + max(1.0, window.span - window.seconds))
        elif report.scope == "organization":
            holds = min(holds, ORGANIZATION_HOLD)
        foreign = window.limit - self.used(state, window, at, reserved=True) - report.left
        if foreign > 0:
            state.others[window.key] = sorted([*state.others.get(window.key, ()), (at + holds, foreign)])
            state.changed = True
        if report.left == 0 and (report.resets is not None or report.scope == "organization"):
            state.block(at + holds, f"the API says that the quota of the {window} is used up")

    def _window_of(self, report: Reported) -> Window | None:
        """The window with this limit; or else the shortest in which the reset can be; without a reset the longest."""
        windows = sorted((one for one in self.all if one.scope == report.scope), key=lambda one: one.seconds)
        if report.resets is not None:
            windows = [one for one in windows if report.resets <= 1.05 * one.seconds] or windows[-1:]
        exact = [one for one in windows if one.limit == report.limit]
        return next(iter(exact or (windows[-1:] if report.resets is None else windows)), None)

    def ask(self, state: LimiterState, now: float, name: str, from_reserve: bool, share: float) -> int | Wait:
        """Allow a request and return its number, or add the caller to the queue.

        Args:
            state: The refreshed state.
            now: Time of the state.
            name: Name of the caller, the same for each poll.
            from_reserve: Whether the request may use the share that is reserved for metering.
            share: The share that is reserved for metering.
        """
        for other in [key for key, waiter in state.waiting.items() if waiter.seen + STALE <= now]:
            del state.waiting[other]
        own = state.waiting.get(name) or Waiter(from_reserve, now, now)
        rank = (not own.from_reserve, own.since, name)
        ahead = [one for other, one in state.waiting.items() if (not one.from_reserve, one.since, other) < rank]
        wait, reason = self._wait_time(state, now, from_reserve, share, ahead)
        state.changed = True
        if wait > 0:
            own.seen = now
            state.waiting[name] = own
            return Wait(wait, reason)
        state.waiting.pop(name, None)
        return state.add_request(now, from_reserve)

    def forecast(self, state: LimiterState, now: float, count: int, share: float, each: float) -> float:
        """Seconds until a number of further requests, one after the other, have their responses.

        Args:
            state: The refreshed state.
            now: Time of the state.
            count: Number of requests.
            share: The share that is reserved for metering.
            each: Seconds that a response takes.
        """
        if count <= 0:
            return 0.0
        start = max(now, state.blocked_until)
        counted = [(window, window.limit, True) for window in self.all]
        if share:
            counted += [(window, window.unreserved(share), False) for window, _, _ in counted]
        if all(self.used(state, window, now, reserved) + count <= limit for window, limit, reserved in counted):
            # No window is full before the last request, so there is no need to read the log. It is asked for each page.
            return start - now + count * each
        lanes = [
            Lane(limit, window.span, _expanded(self._entries(state, window, now, reserved)))
            for window, limit, reserved in counted
        ]
        return finish(lanes, start, count, each) - now

    def usage(self, state: LimiterState, now: float, share: float) -> list[dict[str, Any]]:
        """For each window: `window`, `scope`, `limit`, `seconds`, `used`, `reserved`, `free_in` (seconds)."""
        block = max(0.0, state.blocked_until - now)
        rows = []
        for window in self.all:
            rows.append(
                {
                    "window": str(window),
                    "scope": window.scope,
                    "limit": window.limit,
                    "seconds": window.seconds,
                    "used": self.used(state, window, now, reserved=True),
                    "reserved": window.limit - window.unreserved(share),
                    "free_in": max(block, self._wait_for_window(state, window, now, window.limit, 1, reserved=True)),
                }
            )
        return rows

    def _wait_time(
        self, state: LimiterState, now: float, from_reserve: bool, share: float, ahead: list[Waiter]
    ) -> tuple[float, str]:
        """Seconds until the windows allow one more request after the queue ahead, and the reason."""
        wait, reason = state.blocked_until - now, state.block_reason
        places = 1 + len(ahead)
        general_places = 1 + sum(not one.from_reserve for one in ahead)
        for window in self.all:
            kept = window.unreserved(share)
            if self.used(state, window, now, True) + places <= kept:
                continue
            until, but = self._wait_for_window(state, window, now, window.limit, places, True), ""
            if share and not from_reserve:
                below = self._wait_for_window(state, window, now, kept, general_places, False)
                if below > until:
                    until, but = below, f", but for {window.limit - kept} kept for metering"
            if until > max(0.0, wait):
                wait, reason = until, f"quota of the {window} is used up{but}"
        return wait, reason

    def _wait_for_window(
        self, state: LimiterState, window: Window, now: float, limit: int, places: int, reserved: bool
    ) -> float:
        """Seconds until a window has `places` free requests."""
        surplus = self.used(state, window, now, reserved) + places - limit
        if surplus <= 0:
            return 0.0
        last = now
        for expiry, count in self._entries(state, window, now, reserved):
            surplus, last = surplus - count, expiry
            if surplus <= 0:
                return expiry - now
        # The queue is longer than the limit, so whole windows pass first.
        return window.span * math.ceil(surplus / limit) + last - now

    def used(self, state: LimiterState, window: Window, now: float, reserved: bool) -> int:
        """The number of requests that count in a window. It does not read the log.

        Args:
            state: The refreshed state.
            window: The window.
            now: Time of the state.
            reserved: Count metering requests and those of other programs, too.
        """
        since = now - window.span
        used = len(state.general) - bisect_right(state.general, since)
        if reserved and state.reserved:
            used += len(state.reserved) - bisect_right(state.reserved, since)
        if reserved and state.others:
            used += sum(count for expiry, count in state.others.get(window.key, ()) if expiry > now)
        if state.pending:
            used += sum(time > since for time in state.pending_since(now, self.in_flight, reserved=reserved))
        return used

    def _entries(self, state: LimiterState, window: Window, now: float, reserved: bool) -> Entries:
        """The requests that count in a window, next to expire first; read from the log one by one.

        `reserved` includes metering requests and those of other programs.
        """
        span, since = window.span, now - window.span
        pending = sorted(time for time in state.pending_since(now, self.in_flight, reserved=reserved) if time > since)
        logs: list[Iterable[float]] = [_after(state.general, since), pending]
        if reserved:
            logs.append(_after(state.reserved, since))
        times: Iterator[tuple[float, int]] = ((time + span, 1) for time in heapq.merge(*logs))
        others = [entry for entry in state.others.get(window.key, ()) if entry[0] > now] if reserved else []
        return heapq.merge(times, others)


def _after(times: array[float], since: float) -> Iterator[float]:
    return (times[place] for place in range(bisect_right(times, since), len(times)))


def _expanded(entries: Entries) -> list[float]:
    return [expiry for expiry, count in entries for _ in range(count)]
