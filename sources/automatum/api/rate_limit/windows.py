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
from typing import Any

from ...config.limits import Limits
from .forecast import Lane, finish, keeps_up
from .headers import Reported
from .server_limit import GUESS_HOLD, ServerLimit
from .server_limits import applied_limits, forget, learn, learn_from_refusal
from .state import LimiterState, Waiter

IN_FLIGHT = 60.0
"""Seconds, twice the default timeout, for which a request without a recorded response (a crash) counts as sent now."""
STALE = 3.0
"""Seconds after which a caller that no longer polls leaves the queue: three times the interval of the polls."""
BURST_MEMORY = 24
"""Lengths of the longest window (for the vendor's, a day) for which requests are spread after a refused burst."""
ORGANIZATION_HOLD = 60.0
"""Seconds for which the headers about the organization apply, because no header reports the reset of its window."""
LONGEST_KNOWN = 3600.0
"""Seconds; a reset of a longer window is not waited for at once, because the vendor documents no such window."""
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

    @property
    def memory(self) -> float:
        """Seconds for which what the server said or refused is remembered."""
        return BURST_MEMORY * self._longest

    def refresh(self, state: LimiterState, now: float) -> None:
        """Drop expired requests and limits from the state, before any other method reads it."""
        state.longest = max(state.longest, self._longest)
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
        windows += [Window(key[0], limit, key[1]) for key, limit in limits.items() if key[1] <= self._longest]
        if smooth:
            shortest = sorted(windows[: len(self.application)], key=lambda window: window.seconds)
            windows += [window.even() for window in shortest[:smooth]]
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
        if count <= 0:
            return 0.0
        start = max(now, state.blocked_until)
        counted = [(window, window.limit, True) for window in self.active(state, now)]
        if share:
            counted += [(window, window.unreserved(share), False) for window, _, _ in counted]
        if all(self._used(state, window, now, reserved) + count <= limit for window, limit, reserved in counted):
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
                    "used": self._used(state, window, now, reserved=True),
                    "reserved": window.limit - window.unreserved(share),
                    "free_in": max(block, self._wait_for_window(state, window, now, window.limit, 1, reserved=True)),
                }
            )
        return rows

    def configured(self, scope: str) -> dict[float, int]:
        """Length to limit of the configured windows of a scope."""
        return {window.seconds: window.limit for window in self._configured if window.scope == scope}

    def apply_report(self, state: LimiterState, now: float, wall: float, one: Reported) -> None:
        """Apply what a response says about a rate limit: its limit, and fewer requests left than this side counted.

        The difference are requests of other programs. They count from now on, or until the reported reset. Without a
        reset, the organization's count for a short time only, because every response reports them again. So do those
        in a window that is a guess, and twice as long each time that no request is left.

        Args:
            state: The refreshed state.
            now: Time of the state.
            wall: Epoch seconds.
            one: The report.
        """
        configured = self.configured(one.scope)
        if not configured:
            return
        learned = learn(state, now, wall, one, configured, self.memory)
        if one.left is None:
            return
        length = learned.seconds if learned else self._length_of(one.resets, configured)
        window = Window(one.scope, learned.limit if learned else configured.get(length, 1), length)
        if learned and state.blocked_until <= now:
            learned.holds = learned.holds + 1 if one.left == 0 else 0
        expires_in, doubtful = self._expiry(one, window, learned)
        self._count_others(state, now, window, one.left, expires_in)
        if one.left == 0 and (one.resets is not None or one.scope == "organization" or doubtful):
            self.block(state, now + expires_in, f"the API says that the quota of the {window} is used up")

    def _expiry(self, one: Reported, window: Window, learned: ServerLimit | None) -> tuple[float, bool]:
        """Seconds for which a report applies, and whether that rests on a guess."""
        if one.resets is None and one.scope == "organization":
            return min(ORGANIZATION_HOLD, window.span), False
        if one.resets is None:
            expires_in = window.span
            doubtful = not (learned and learned.certain) or window.seconds not in self.configured(one.scope)
        else:
            expires_in = min(window.span, one.resets + max(1.0, window.span - window.seconds))
            doubtful = window.seconds > max(self._longest, LONGEST_KNOWN)
        hold = GUESS_HOLD * 2.0 ** min(20, max(0, learned.holds - 1 if learned else 0))
        return (min(expires_in, hold) if doubtful else expires_in), doubtful

    def _length_of(self, resets: float | None, configured: dict[float, int]) -> float:
        """Length of the window of a report without a limit: the shortest that the reset allows, or the longest."""
        possible = [length for length in configured if resets is None or resets <= 1.05 * length]
        return max(configured) if resets is None or not possible else min(possible)

    def _count_others(self, state: LimiterState, now: float, window: Window, left: int, expires_in: float) -> None:
        configured = self.configured(window.scope).get(window.seconds)
        if configured is None:
            return
        window = Window(window.scope, min(window.limit, configured), window.seconds)
        used = self._used(state, window, now, reserved=True)
        foreign = window.limit - used - left
        if foreign > 0:
            state.others[window.key] = sorted([*state.others.get(window.key, ()), (now + expires_in, foreign)])
            state.changed = True

    def explain_refusal(self, state: LimiterState, now: float, wall: float, retry_after: float | None) -> None:
        """Learn from a 429 although no window was exhausted: a lower limit, or that the server refuses bursts.

        A 429 during a block has no effect: its request was sent before the block.

        Args:
            state: The refreshed state.
            now: Time of the state.
            wall: Epoch seconds.
            retry_after: Seconds that the 429 asks to wait; None if it names no time.
        """
        if state.blocked_until > now:
            return
        if retry_after is None or not learn_from_refusal(
            state, now, wall, retry_after, self.configured("application"), self.memory
        ):
            self.smooth_bursts(state, now)

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
            state.smooth_until, state.changed = now + self.memory, True

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
        surplus = self._used(state, window, now, reserved) + places - limit
        if surplus <= 0:
            return 0.0
        last = now
        for expiry, count in self._entries(state, window, now, reserved):
            surplus, last = surplus - count, expiry
            if surplus <= 0:
                return expiry - now
        # The queue is longer than the limit, so whole windows pass first.
        return window.span * math.ceil(surplus / limit) + last - now

    def _used(self, state: LimiterState, window: Window, now: float, reserved: bool) -> int:
        """The number of requests that count in a window. It does not read the log."""
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
