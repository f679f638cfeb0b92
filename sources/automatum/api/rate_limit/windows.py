"""The windows of the rate limits, and whether they allow one more request (I4).

The vendor does not document whether its windows are fixed or sliding, nor at which moment of a request it counts. So
the log is sliding and assumes the latest possible moment: a pending request counts as sent now, and a request with a
response counts from the time of the response. The server has counted it by then. At most N entries younger than W
seconds in this log therefore mean at most N requests that the server counts in any W seconds, whatever the latency.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...config.settings import Limits
from .forecast import Lane, finish, keeps_up
from .state import LimiterState, Waiter

IN_FLIGHT = 60.0
"""Seconds, twice the default timeout, for which a request without a recorded response (a crash) counts as sent now."""
STALE = 3.0
"""Seconds after which a caller that no longer polls leaves the queue: three times the interval of the polls."""
BURST_MEMORY = 24
"""Lengths of the longest window (for the vendor's, a day) for which requests are spread after a refused burst."""
ORGANIZATION_HOLD = 60.0
"""Seconds for which the headers about the organization apply, because no header reports the reset of its window."""
_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}

Entries = list[tuple[float, int]]
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

    @property
    def key(self) -> str:
        """Name in the state, independent of the limit."""
        return f"{self.scope} {self.seconds:g}"

    @property
    def span(self) -> float:
        """Seconds for which a request counts: the length of the window plus a guard.

        The guard covers differences between the two clocks. NTP slews a clock by 0.05 % at most, which is 1.8 s an
        hour; 5 ms cover the resolution of a coarse clock. `benchmarks/guards.py` measures smaller and larger guards.
        """
        return self.seconds + min(2.0, max(0.005, 0.005 * self.seconds))

    def capped(self, limit: int | None) -> Window:
        """This window with a limit that the server reported, if it is lower."""
        return self if limit is None or limit >= self.limit else Window(self.scope, limit, self.seconds)

    def even(self) -> Window:
        """A window that spreads the requests of this one evenly: one request in every W / (N - 1) seconds.

        At that rate no server counts more than N, even if it estimates a sliding window from two fixed windows, or uses
        a token bucket. Both refuse bursts that the limit allows.
        """
        return Window(self.scope, 1, self.seconds / (self.limit - 1) if self.limit > 1 else 2 * self.seconds)

    def unreserved(self, share: float) -> int:
        """Requests outside the share that is reserved for metering; at least one."""
        return max(1, self.limit - math.ceil(share * self.limit)) if share else self.limit

    def __str__(self) -> str:
        """Name for messages."""
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"


class Windows:
    """All windows of an OAuth application. The methods apply them to a state.

    Args:
        application: Rate limits of the OAuth application: pairs of requests and seconds.
        organization: Rate limits of the organization.
        in_flight: Seconds after which a request without a recorded response begins to age.
    """

    def __init__(self, application: Limits, organization: Limits, in_flight: float) -> None:
        self.application = tuple(Window("application", *limit) for limit in application)
        self.organization = tuple(Window("organization", *limit) for limit in organization)
        self.in_flight = in_flight
        self._configured = (*self.application, *self.organization)
        self._longest = max((window.span for window in self._configured), default=0.0)

    def refresh(self, state: LimiterState, now: float) -> None:
        """Drop expired requests from the state, before any other method reads it."""
        state.longest = max(state.longest, self._longest)
        state.prune(now, self.in_flight)

    def active(self, state: LimiterState, now: float) -> list[Window]:
        """The windows that apply now: with limits that the server reported, spread evenly after a refused burst."""
        windows = [window.capped(state.server_limits.get(window.key)) for window in self._configured]
        if state.smooth and now < state.smooth_until:
            shortest = sorted(windows[: len(self.application)], key=lambda window: window.seconds)
            windows += [window.even() for window in shortest[: state.smooth]]
        return windows

    def ask(
        self, state: LimiterState, now: float, name: str, from_reserve: bool, share: float
    ) -> tuple[int, float, str]:
        """Allow a request, or add the caller to the queue.

        Args:
            state: The refreshed state.
            now: Time of the state.
            name: Name of the caller, the same for each poll.
            from_reserve: Whether the request may use the share that is reserved for metering.
            share: The share that is reserved for metering.

        Returns:
            The number of the request; or 0, the seconds until it could be allowed, and the reason of the wait.
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
            return 0, wait, reason
        state.waiting.pop(name, None)
        return state.add_request(now, from_reserve), 0.0, ""

    def forecast(self, state: LimiterState, now: float, count: int, share: float, each: float) -> float:
        """Seconds until a number of further requests, one after the other, have their responses.

        Args:
            state: The refreshed state.
            now: Time of the state.
            count: Number of requests.
            share: The share that is reserved for metering.
            each: Seconds that a response takes.
        """
        lanes = []
        for window in self.active(state, now):
            everything = _expanded(self._entries(state, window, now, reserved=True))
            lanes.append(Lane(window.limit, window.span, everything))
            if share:
                general = _expanded(self._entries(state, window, now, reserved=False))
                lanes.append(Lane(window.unreserved(share), window.span, general))
        start = max(now, state.blocked_until)
        return finish(lanes, start, count, each) - now if count > 0 else 0.0

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
            entries = self._entries(state, window, now, reserved=True)
            rows.append(
                {
                    "window": str(window),
                    "scope": window.scope,
                    "limit": window.limit,
                    "seconds": window.seconds,
                    "used": sum(count for _, count in entries),
                    "reserved": window.limit - window.unreserved(share),
                    "free_in": max(block, _wait_until_free(entries, window, window.limit, 1, now)),
                }
            )
        return rows

    def apply_headers(
        self, state: LimiterState, now: float, window: Window, limit: int | None, left: int | None, resets: float | None
    ) -> None:
        """Apply the headers of a response that report fewer requests left than this side counted.

        The difference are requests of other programs. They count from now on, or until the reported reset. The headers
        about the organization apply for a short time only, because every response reports them again.

        Args:
            state: The refreshed state.
            now: Time of the state.
            window: The window that the headers describe, as configured.
            limit: Its limit according to the server.
            left: Requests left in it according to the server.
            resets: Seconds until the server resets it.
        """
        if limit:
            lower = limit if limit < window.limit else None
            if state.server_limits.get(window.key) != lower:
                state.changed = True
                if lower is None:
                    del state.server_limits[window.key]
                else:
                    state.server_limits[window.key] = lower
        window = window.capped(state.server_limits.get(window.key))
        if left is None:
            return
        guard = window.span - window.seconds
        if window.scope == "organization":
            expires_in = min(ORGANIZATION_HOLD, window.seconds)
        else:
            expires_in = min(window.span, math.inf if resets is None else resets + guard)
        used = sum(count for _, count in self._entries(state, window, now, reserved=True))
        foreign = window.limit - used - left
        if foreign > 0:
            state.others[window.key] = sorted([*state.others.get(window.key, ()), (now + expires_in, foreign)])
            state.changed = True
        if left == 0 and (resets is not None or window.scope == "organization"):
            seconds = ORGANIZATION_HOLD if resets is None else resets + guard
            self.block(state, now + seconds, f"the API says that the quota of the {window} is used up")

    def block(self, state: LimiterState, until: float, reason: str) -> None:
        """Block all requests until a time."""
        if until > state.blocked_until:
            state.blocked_until, state.block_reason, state.changed = until, reason, True

    def smooth_bursts(self, state: LimiterState, now: float) -> None:
        """Spread the requests of one more window evenly, after a 429 although no window was exhausted.

        A 429 during a block has no effect: its request was sent before the block.
        """
        if state.blocked_until <= now:
            level = state.smooth if now < state.smooth_until else 0
            state.smooth = min(level + 1, len(self.application))
            state.smooth_until, state.changed = now + BURST_MEMORY * self._longest, True

    def _wait_time(
        self, state: LimiterState, now: float, from_reserve: bool, share: float, ahead: list[Waiter]
    ) -> tuple[float, str]:
        """Seconds until the windows allow one more request after the queue ahead, and the reason of the wait."""
        wait, reason = state.blocked_until - now, state.block_reason
        places = 1 + len(ahead)
        general_places = 1 + sum(not one.from_reserve for one in ahead)
        for window in self.active(state, now):
            until = self._wait_for_window(state, window, now, window.limit, places, True)
            why = f"quota of the {window} is used up"
            if share and not from_reserve:
                kept = window.unreserved(share)
                below = self._wait_for_window(state, window, now, kept, general_places, False)
                if below > until:
                    until = below
                    why = f"quota of the {window} is used up, but for {window.limit - kept} kept for metering"
            if until > max(0.0, wait):
                wait, reason = until, why
        return wait, reason

    def _wait_for_window(
        self, state: LimiterState, window: Window, now: float, limit: int, places: int, reserved: bool
    ) -> float:
        since = now - window.span
        used = len(state.general) - bisect_right(state.general, since)
        if reserved:
            used += len(state.reserved) - bisect_right(state.reserved, since)
            used += sum(count for expiry, count in state.others.get(window.key, ()) if expiry > now)
        used += sum(time > since for time in state.pending_since(now, self.in_flight, reserved=reserved))
        if used + places <= limit:
            return 0.0
        return _wait_until_free(self._entries(state, window, now, reserved), window, limit, places, now)

    def _entries(self, state: LimiterState, window: Window, now: float, reserved: bool) -> Entries:
        """The requests that count in a window. `reserved` includes metering requests and those of other programs."""
        span, since = window.span, now - window.span
        pending = sorted(time for time in state.pending_since(now, self.in_flight, reserved=reserved) if time > since)
        logs: list[Iterable[float]] = [state.general[bisect_right(state.general, since) :], pending]
        if reserved:
            logs.append(state.reserved[bisect_right(state.reserved, since) :])
        times: Iterator[tuple[float, int]] = ((time + span, 1) for time in heapq.merge(*logs))
        others = [entry for entry in state.others.get(window.key, ()) if entry[0] > now] if reserved else []
        return [*heapq.merge(times, others)]


def _wait_until_free(entries: Entries, window: Window, limit: int, places: int, now: float) -> float:
    """Seconds until a window has `places` free requests."""
    surplus = sum(count for _, count in entries) + places - limit
    if surplus <= 0:
        return 0.0
    for expiry, count in entries:
        surplus -= count
        if surplus <= 0:
            return expiry - now
    # The queue is longer than the limit, so whole windows pass first.
    return window.span * math.ceil(surplus / limit) + (entries[-1][0] - now if entries else 0.0)


def _expanded(entries: Entries) -> list[float]:
    return [expiry for expiry, count in entries for _ in range(count)]
