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
from typing import Any, NamedTuple

from ...config.limits import Limits
from .forecast import Lane, finish, keeps_up
from .learning import applied_limits, forget
from .state import LimiterState, Waiter
from .window import Window

IN_FLIGHT = 60.0
"""Seconds, twice the default timeout, for which a request without a recorded response (a crash) counts as sent now."""
STALE = 3.0
"""Seconds after which a caller that no longer polls leaves the queue: three times the interval of the polls."""
BURST_MEMORY = 24
"""Lengths of the longest window (for the vendor's, a day) for which requests are spread after a refused burst."""

Entries = Iterator[tuple[float, int]]
"""Times at which requests stop counting in a window, ascending, and the number of requests for each."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request.

    Attributes:
        number: Identifies the request in the state.
    """

    number: int


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
        application: The windows of the OAuth application.
        in_flight: See above.
        longest: Seconds for which a request counts in the longest window.
    """

    def __init__(self, application: Limits, organization: Limits, in_flight: float) -> None:
        self.application = tuple(Window("application", *limit) for limit in application)
        self.in_flight = in_flight
        self._configured = (*self.application, *(Window("organization", *limit) for limit in organization))
        self.longest = max((window.span for window in self._configured), default=0.0)

    @property
    def memory(self) -> float:
        """Seconds for which what the server said or refused is remembered."""
        return BURST_MEMORY * self.longest

    def refresh(self, state: LimiterState, now: float) -> None:
        """Drop expired requests and limits from the state, before any other method reads it."""
        state.longest = max(state.longest, self.longest)
        state.prune(now, self.in_flight)
        forget(state, now, self.memory)

    def active(self, state: LimiterState, now: float) -> list[Window]:
        """The windows that apply now.

        They are the configured ones with lower limits of the server, its windows of other lengths, and even ones after
        a refused burst.
        """
        smooth = state.smooth if now < state.smooth_until else 0
        if not state.server_limits and not smooth:
            return [*self._configured]
        limits = applied_limits(state, now)
        windows = [window.capped(limits.pop((window.scope, window.seconds), None)) for window in self._configured]
        # The log does not reach further back than the longest window.
        windows += [Window(key[0], limit, key[1]) for key, limit in limits.items() if key[1] <= self.longest]
        if smooth:
            shortest = sorted(windows[: len(self.application)], key=lambda window: window.seconds)
            windows += [window.even() for window in shortest[:smooth]]
        return windows

    def ask(self, state: LimiterState, now: float, name: str, from_reserve: bool, share: float) -> Ticket | Wait:
        """Allow a request, or add the caller to the queue.

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
        return Ticket(state.add_request(now, from_reserve))

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
        counted = [(window, window.limit, True) for window in self.active(state, now)]
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

    def keep_up(self, state: LimiterState, now: float, count: int, share: float, each: float, every: float) -> bool:
        """Whether each run of a schedule ends before the next run starts.

        Args:
            state: State with the limits that the server reported.
            now: Time of the state.
            count: Requests of one run.
            share: The share that is reserved for metering.
            each: Seconds that a response takes.
            every: Seconds between the starts of two runs.
        """
        lanes = [Lane(window.unreserved(share), window.span) for window in self.active(state, now)]
        return keeps_up(lanes, count, each, every)

    def usage(self, state: LimiterState, now: float, share: float) -> list[dict[str, Any]]:
        """For each window: `window`, `scope`, `limit`, `seconds`, `used`, `reserved`, `free_in` (seconds)."""
        block = max(0.0, state.blocked_until - now)
        rows = []
        for window in self.active(state, now)[: len(self._configured)]:
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

    def configured(self, scope: str) -> dict[float, int]:
        """Length to limit of the configured windows of a scope."""
        return {window.seconds: window.limit for window in self._configured if window.scope == scope}

    def _wait_time(
        self, state: LimiterState, now: float, from_reserve: bool, share: float, ahead: list[Waiter]
    ) -> tuple[float, str]:
        """Seconds until the windows allow one more request after the queue ahead, and the reason of the wait."""
        wait, reason = state.blocked_until - now, state.block_reason
        places = 1 + len(ahead)
        general_places = 1 + sum(not one.from_reserve for one in ahead)
        for window in self.active(state, now):
            until, but = self._wait_for_window(state, window, now, window.limit, places, True), ""
            if share and not from_reserve:
                kept = window.unreserved(share)
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
