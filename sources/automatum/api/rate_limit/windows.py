"""The vendor's windows, and whether they allow one more request (I4).

The vendor does not say whether its windows are fixed or sliding, nor when within a request it counts. So the log is
sliding, and an entry is as young as it can possibly be: while a request is in flight it counts as sent now; when its
answer is here, it gets the time of the answer. The server counted it no later than that, so at most N entries younger
than W here means at most N counted there within any stretch of W, fixed window or sliding, whatever the latency.
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
"""Seconds; twice the default request timeout. A ticket that nobody settles (a crash) counts as sent until then."""
STALE = 3.0
"""Seconds after which a waiter that has not asked again has died: three times the pause between two questions."""
REMEMBERED = 24
"""Longest windows (a day, of the vendor's) for which it is remembered that the server does not take bursts."""
ORGANIZATION_HOLD = 60.0
"""Seconds for which what an answer says about the organization is believed: no header tells when its window resets."""
_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}

Entries = list[tuple[float, int]]
"""When requests stop counting in a window, ascending, and how many do so then."""


@dataclass(frozen=True)
class Window:
    """So many requests in so many seconds.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        seconds: Length.
    """

    scope: str
    limit: int
    seconds: float

    @property
    def key(self) -> str:
        """What it is called in a tally, whatever its limit."""
        return f"{self.scope} {self.seconds:g}"

    @property
    def span(self) -> float:
        """Seconds for which an entry counts: the window and a guard.

        The guard covers what the reasoning above takes for granted: that both clocks tick alike and finely. NTP slews
        a clock by 0.05 % at most, 1.8 s an hour; 5 ms keep short windows off the tick of a coarse clock. What less
        would do, and what more would cost, is shown by `benchmarks/guards.py`.
        """
        return self.seconds + min(2.0, max(0.005, 0.005 * self.seconds))

    def capped(self, limit: int | None) -> Window:
        """The same with a lower limit."""
        return self if limit is None or limit >= self.limit else Window(self.scope, limit, self.seconds)

    def even(self) -> Window:
        """A window that spreads this one's requests evenly.

        With one request in every W / (N - 1) also those servers never count more than N that estimate a sliding window
        from the counts of two fixed ones, or that let a bucket run dry: both refuse bursts that the limit allows.
        """
        return Window(self.scope, 1, self.seconds / (self.limit - 1) if self.limit > 1 else 2 * self.seconds)

    def unreserved(self, share: float) -> int:
        """Requests that others than metering may send; at least one."""
        return max(1, self.limit - math.ceil(share * self.limit)) if share else self.limit

    def __str__(self) -> str:
        """Its name for people."""
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"


class Windows:
    """All windows of an application, applied to a tally.

    Args:
        application: Windows of the OAuth application: pairs of requests and seconds.
        organization: Windows of the organization.
        in_flight: Seconds after which a ticket that was not settled begins to age.
    """

    def __init__(self, application: Limits, organization: Limits, in_flight: float) -> None:
        self.application = tuple(Window("application", *limit) for limit in application)
        self.organization = tuple(Window("organization", *limit) for limit in organization)
        self.in_flight = in_flight
        self._configured = (*self.application, *self.organization)
        self._longest = max((window.span for window in self._configured), default=0.0)

    def take_up(self, tally: LimiterState, now: float) -> None:
        """Bring a tally up to date before it is looked at."""
        tally.longest = max(tally.longest, self._longest)
        tally.forget(now, self.in_flight)

    def inforce(self, tally: LimiterState, now: float) -> list[Window]:
        """The windows as they are now: with the limits that the server named, spread evenly where it wants that."""
        windows = [window.capped(tally.adopted.get(window.key)) for window in self._configured]
        if tally.smooth and now < tally.smooth_until:
            shortest = sorted(windows[: len(self.application)], key=lambda one: one.seconds)
            windows += [window.even() for window in shortest[: tally.smooth]]
        return windows

    def ask(
        self, tally: LimiterState, now: float, name: str, from_reserve: bool, share: float
    ) -> tuple[int, float, str]:
        """Allow a request, or put whoever asks into the queue.

        Args:
            tally: What has been sent, up to date.
            now: The tally's time.
            name: Who asks; the same name each time.
            from_reserve: Whether it may spend what is kept for metering.
            share: The share that is kept for metering.

        Returns:
            The number of the request; or 0, the seconds until it could be allowed, and what stands in its way.
        """
        for other in [one for one, waiter in tally.waiting.items() if waiter.seen + STALE <= now]:
            del tally.waiting[other]
        own = tally.waiting.get(name) or Waiter(from_reserve, now, now)
        place = (not own.from_reserve, own.since, name)
        ahead = [one for other, one in tally.waiting.items() if (not one.from_reserve, one.since, other) < place]
        wait, reason = self._blocked(tally, now, from_reserve, share, ahead)
        tally.changed = True
        if wait > 0:
            own.seen = now
            tally.waiting[name] = own
            return 0, wait, reason
        tally.waiting.pop(name, None)
        return tally.allow(now, from_reserve), 0.0, ""

    def forecast(self, tally: LimiterState, now: float, count: int, share: float, each: float) -> float:
        """Seconds until so many further requests, one after the other, have their answers.

        Args:
            tally: What has been sent, up to date.
            now: The tally's time.
            count: Requests.
            share: The share that is kept for metering.
            each: Seconds that an answer takes.
        """
        lanes = []
        for window in self.inforce(tally, now):
            everything = _expanded(self._entries(tally, window, now, reserved=True))
            lanes.append(Lane(window.limit, window.span, everything))
            if share:
                general = _expanded(self._entries(tally, window, now, reserved=False))
                lanes.append(Lane(window.unreserved(share), window.span, general))
        start = max(now, tally.gate)
        return finish(lanes, start, count, each) - now if count > 0 else 0.0

    def keep_up(self, tally: LimiterState, now: float, count: int, share: float, each: float, every: float) -> bool:
        """Whether a run of so many requests, started every so many seconds, has an end before the next begins.

        Args:
            tally: For the limits that are in force.
            now: The tally's time.
            count: Requests of one run.
            share: The share that is kept for metering.
            each: Seconds that an answer takes.
            every: Seconds from start to start.
        """
        lanes = [Lane(window.unreserved(share), window.span) for window in self.inforce(tally, now)]
        return keeps_up(lanes, count, each, every)

    def usage(self, tally: LimiterState, now: float, share: float) -> list[dict[str, Any]]:
        """For each window: `window`, `scope`, `limit`, `seconds`, `used`, `reserved`, `free_in` (seconds)."""
        gate = max(0.0, tally.gate - now)
        rows = []
        for window in self.inforce(tally, now)[: len(self._configured)]:
            entries = self._entries(tally, window, now, reserved=True)
            rows.append(
                {
                    "window": str(window),
                    "scope": window.scope,
                    "limit": window.limit,
                    "seconds": window.seconds,
                    "used": sum(count for _, count in entries),
                    "reserved": window.limit - window.unreserved(share),
                    "free_in": max(gate, _room_in(entries, window, window.limit, 1, now)),
                }
            )
        return rows

    def learn(
        self, tally: LimiterState, now: float, window: Window, limit: int | None, left: int | None, resets: float | None
    ) -> None:
        """Believe an answer that says less is left than we thought: others use the same quota.

        What others used is entered as if it happened now, unless the answer tells when the server forgets it. What is
        said of the organization is believed for a while only, as every answer says it anew.

        Args:
            tally: What has been sent, up to date.
            now: The tally's time.
            window: The one that it is about, as configured.
            limit: Its limit, as the server says.
            left: Requests left in it, as the server says.
            resets: Seconds until the server forgets.
        """
        if limit:
            adopted = limit if limit < window.limit else None
            if tally.adopted.get(window.key) != adopted:
                tally.changed = True
                if adopted is None:
                    del tally.adopted[window.key]
                else:
                    tally.adopted[window.key] = adopted
        window = window.capped(tally.adopted.get(window.key))
        if left is None:
            return
        guard = window.span - window.seconds
        if window.scope == "organization":
            forgotten = min(ORGANIZATION_HOLD, window.seconds)
        else:
            forgotten = min(window.span, math.inf if resets is None else resets + guard)
        used = sum(count for _, count in self._entries(tally, window, now, reserved=True))
        unknown = window.limit - used - left
        if unknown > 0:
            tally.others[window.key] = sorted([*tally.others.get(window.key, ()), (now + forgotten, unknown)])
            tally.changed = True
        if left == 0 and (resets is not None or window.scope == "organization"):
            gate = ORGANIZATION_HOLD if resets is None else resets + guard
            self.close(tally, now + gate, f"the API says that the quota of the {window} is used up")

    def close(self, tally: LimiterState, until: float, reason: str) -> None:
        """Let nobody send until then."""
        if until > tally.gate:
            tally.gate, tally.gate_reason, tally.changed = until, reason, True

    def spread(self, tally: LimiterState, now: float) -> None:
        """A 429 came although every window had room: the server refuses bursts. Spend one more window evenly.

        Only if the gate is open: a 429 that comes while it is closed was sent before and says nothing new.
        """
        if tally.gate <= now:
            level = tally.smooth if now < tally.smooth_until else 0
            tally.smooth = min(level + 1, len(self.application))
            tally.smooth_until, tally.changed = now + REMEMBERED * self._longest, True

    def _blocked(
        self, tally: LimiterState, now: float, from_reserve: bool, share: float, ahead: list[Waiter]
    ) -> tuple[float, str]:
        """Seconds until there is room for one more behind those ahead, and what stands in the way."""
        wait, reason = tally.gate - now, tally.gate_reason
        places = 1 + len(ahead)
        general_places = 1 + sum(not one.from_reserve for one in ahead)
        for window in self.inforce(tally, now):
            until = self._until(tally, window, now, window.limit, places, True)
            why = f"quota of the {window} is used up"
            if share and not from_reserve:
                kept = window.unreserved(share)
                below = self._until(tally, window, now, kept, general_places, False)
                if below > until:
                    until, why = (
                        below,
                        f"quota of the {window} is used up, but for {window.limit - kept} kept for metering",
                    )
            if until > max(0.0, wait):
                wait, reason = until, why
        return wait, reason

    def _until(self, tally: LimiterState, window: Window, now: float, limit: int, places: int, reserved: bool) -> float:
        since = now - window.span
        used = len(tally.general) - bisect_right(tally.general, since)
        if reserved:
            used += len(tally.reserved) - bisect_right(tally.reserved, since)
            used += sum(count for leave, count in tally.others.get(window.key, ()) if leave > now)
        used += sum(began > since for began in tally.began(now, self.in_flight, reserved=reserved))
        if used + places <= limit:
            return 0.0
        return _room_in(self._entries(tally, window, now, reserved), window, limit, places, now)

    def _entries(self, tally: LimiterState, window: Window, now: float, reserved: bool) -> Entries:
        """What counts in a window; with what may spend the reserve and what others sent, or without."""
        span, since = window.span, now - window.span
        flights = sorted(one for one in tally.began(now, self.in_flight, reserved=reserved) if one > since)
        logs: list[Iterable[float]] = [tally.general[bisect_right(tally.general, since) :], flights]
        if reserved:
            logs.append(tally.reserved[bisect_right(tally.reserved, since) :])
        times: Iterator[tuple[float, int]] = ((time + span, 1) for time in heapq.merge(*logs))
        others = [entry for entry in tally.others.get(window.key, ()) if entry[0] > now] if reserved else []
        return [*heapq.merge(times, others)]


def _room_in(entries: Entries, window: Window, limit: int, places: int, now: float) -> float:
    """Seconds until so many more requests could have been sent."""
    surplus = sum(count for _, count in entries) + places - limit
    if surplus <= 0:
        return 0.0
    for leave, count in entries:
        surplus -= count
        if surplus <= 0:
            return leave - now
    # More wait than the window holds: whole windows pass before it is this one's turn.
    return window.span * math.ceil(surplus / limit) + (entries[-1][0] - now if entries else 0.0)


def _expanded(entries: Entries) -> list[float]:
    return [leave for leave, count in entries for _ in range(count)]
