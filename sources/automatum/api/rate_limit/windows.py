"""The windows of the rate limits: what counts in them, what the server says of them, and when they allow the next
request (I4).

The vendor does not document whether its windows are fixed or sliding, nor at which moment of a request it counts. So
the log is sliding and assumes the latest possible moment: a pending request counts as sent now, and a request with a
response counts from the time of the response. The server has counted it by then. At most N entries younger than W
seconds in this log therefore mean at most N requests that the server counts in any W seconds, whatever the latency.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .state import LimiterState

ORGANIZATION_HOLD = 60.0
"""Seconds for which the headers about the organization apply, because no header reports the reset of its window."""
LATE = 5.0
"""Seconds by which a reset may be past: the server's clock has whole seconds, and the response took time."""
_COUNT = re.compile(r"\s*([0-9]{1,9})\s*(?:,.*)?", re.ASCII)
"""A count. A gateway that adds a header of the same name makes a list, of which the API's own is the first."""
_PREFIXES = {"application": "X-RateLimit-", "organization": "X-RateLimit-Organization-"}
_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


@dataclass
class Lane:
    """One rate limit, or its part that is not reserved, in the forecast of a wait.

    Attributes:
        limit: Requests.
        span: Seconds for which a request counts.
        expiries: Times at which earlier requests stop counting, ascending.
        reason: Reason of a wait for it.
    """

    limit: int
    span: float
    expiries: list[float] = field(default_factory=list)
    reason: str = ""

    def free_at(self) -> float:
        """Time at which it allows the next request; 0 for any time."""
        position = len(self.expiries) - self.limit
        return self.expiries[position] if position >= 0 else 0.0


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

    def __str__(self) -> str:
        """Name for messages."""
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"

    def unreserved(self, share: float, state: LimiterState) -> int:
        """Requests outside the share that is reserved for metering, which is none of a limit below ten.

        The share is that of the lower limit, the configured or the announced one: a tenth of a limit that was set far
        too high would be more than the server ever leaves.
        """
        return self.limit - int(share * min(self.limit, state.announced.get(self.key, self.limit)))

    def used(self, state: LimiterState, at: float) -> int:
        """The number of requests that count; those of other programs, too."""
        since = at - self.span
        used = len(state.log) - bisect_right(state.log, since)
        if state.others:
            used += sum(count for expiry, count in state.others.get(self.key, ()) if expiry > at)
        if state.pending:
            used += sum(time > since for time in state.pending_since(at))
        return used

    def lane(self, state: LimiterState, now: float, limit: int) -> Lane:
        """What counts, for a forecast; `limit`: that of the window, or of the part that is not reserved."""
        since = now - self.span
        times = [*state.log[bisect_right(state.log, since) :], *state.pending_since(now)]
        expiries = [time + self.span for time in times if time > since]
        for expiry, count in state.others.get(self.key, ()):
            expiries += [expiry] * count if expiry > now else []
        but = f", but for {self.limit - limit} kept for metering" if limit < self.limit else ""
        return Lane(limit, self.span, sorted(expiries), f"quota of the {self} is used up{but}")


def full_lanes(windows: Sequence[Window], state: LimiterState, now: float, count: int, share: float) -> list[Lane]:
    """The limits that do not allow so many requests at once if they leave a share of each window free.

    The log is read only for them.
    """
    return [
        window.lane(state, now, window.unreserved(share, state))
        for window in windows
        if window.used(state, now) + count > window.unreserved(share, state)
    ]


@dataclass(frozen=True, slots=True)
class Reported:
    """What a response says about one rate limit. None: it does not say.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        left: Requests left.
        resets: Seconds until the window is reset.
    """

    scope: str
    limit: int | None
    left: int
    resets: float | None


def read_headers(headers: Mapping[str, str], reference: float) -> list[Reported]:
    """What the headers of a response say about the rate limits, for each limit of which it says how much is left.

    `reference` is the date of the response in epoch seconds: the reset is a time of the server's clock, not of ours.
    """
    return [
        Reported(
            scope, _count(headers.get(f"{prefix}Limit")), left, _seconds_until(headers.get(f"{prefix}Reset"), reference)
        )
        for scope, prefix in _PREFIXES.items()
        if (left := _count(headers.get(f"{prefix}Remaining"))) is not None
    ]


def _seconds_until(text: str | None, reference: float) -> float | None:
    """Seconds until a reset in epoch seconds; None if it is past or further away than a day."""
    try:
        ahead = float((text or "").partition(",")[0]) - reference
    except ValueError:
        return None
    return max(0.0, ahead) if -LATE <= ahead <= 86400.0 else None


def _count(text: str | None) -> int | None:
    """A count below a billion, or None."""
    match = _COUNT.fullmatch(text or "")
    return int(match[1]) if match else None


def apply_report(windows: Sequence[Window], state: LimiterState, at: float, report: Reported) -> None:
    """Apply what a response that came at a time says is left of a rate limit, if that is less than this side counts.

    The difference are requests of other programs, or a lower limit than the configured one. They count until the
    reported reset. Without one they count as if sent now; those of the organization for a minute only, because
    every response reports them again.
    """
    window = _window_of(windows, report)
    if window is None:
        return
    if report.limit is not None:
        state.announced[window.key] = report.limit
    holds = window.span
    if report.resets is not None:
        holds = min(holds, report.resets + max(1.0, window.span - window.seconds))
    elif report.scope == "organization":
        holds = min(holds, ORGANIZATION_HOLD)
    foreign = window.limit - window.used(state, at) - report.left
    if foreign > 0:
        state.others[window.key] = sorted([*state.others.get(window.key, ()), (at + holds, foreign)])
    if report.left == 0 and (report.resets is not None or report.scope == "organization"):
        state.block(at + holds, f"the API says that the quota of the {window} is used up")


def _window_of(windows: Sequence[Window], report: Reported) -> Window | None:
    """The window with this limit; or else the shortest in which the reset can be; without a reset the longest."""
    windows = sorted((one for one in windows if one.scope == report.scope), key=lambda one: one.seconds)
    if report.resets is not None:
        windows = [one for one in windows if report.resets <= 1.05 * one.seconds] or windows[-1:]
    exact = [one for one in windows if one.limit == report.limit]
    return next(iter(exact or (windows[-1:] if report.resets is None else windows)), None)


def finish(lanes: Sequence[Lane], start: float, count: int, each: float) -> float:
    """Time of the last response if requests are sent one after the other, and each response takes `each` seconds.

    The requests are added to the rate limits.
    """
    if not lanes:
        return start + count * each
    at = start
    for _ in range(count):
        at = max(at, *(lane.free_at() for lane in lanes)) + each
        for lane in lanes:
            lane.expiries.append(at + lane.span)
    return at


def finish_together(
    applications: Sequence[tuple[float, Sequence[Lane]]],
    organization: tuple[float, Sequence[Lane]],
    count: int,
    each: float,
) -> float:
    """As `finish`, from 0, if each request is sent by the application that may send the soonest.

    Args:
        applications: Of each, the seconds for which it is blocked, and its rate limits.
        organization: The same of the organization, which counts the requests of all.
        count: Requests.
        each: Seconds of each.
    """
    at, common = organization
    # Of those that are free equally long, the one with the fewest requests is next.
    order = [
        (max([start, *(lane.free_at() for lane in lanes)]), 0, position)
        for position, (start, lanes) in enumerate(applications)
    ]
    heapq.heapify(order)
    for _ in range(count):
        free, sent, position = order[0]
        at = max([at, free, *(lane.free_at() for lane in common)]) + each
        lanes = applications[position][1]
        for lane in (*lanes, *common):
            lane.expiries.append(at + lane.span)
        heapq.heapreplace(order, (max([free, *(lane.free_at() for lane in lanes)]), sent + 1, position))
    return at


def keeps_up(lanes: Sequence[Lane], count: int, each: float, every: float) -> bool:
    """Whether each run of so many requests ends before the next run starts, `every` seconds after it.

    Requests that are spread evenly over the time between two starts keep up if, in each window, the one that takes the
    place of another is answered in time. Those that are sent as early as they may are never answered later than these.
    """
    return count * each <= every and all(count * (lane.span + each) <= lane.limit * every for lane in lanes)
