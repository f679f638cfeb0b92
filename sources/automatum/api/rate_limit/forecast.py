"""Simulates a series of requests under the rate limits, to forecast when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_STEPS = 50_000
"""Number of requests at which the simulation of a schedule ends."""


@dataclass
class Lane:
    """One rate limit in the simulation.

    Attributes:
        limit: Requests.
        span: Seconds for which a request counts.
        expiries: Times at which earlier requests stop counting, ascending.
    """

    limit: int
    span: float
    expiries: list[float] = field(default_factory=list)

    def free_at(self) -> float:
        """Time at which it allows the next request; 0 for any time."""
        position = len(self.expiries) - self.limit
        return self.expiries[position] if position >= 0 else 0.0

    def add(self, answered_at: float) -> None:
        """Add a request whose response arrives at this time."""
        self.expiries.append(answered_at + self.span)


def finish(lanes: Sequence[Lane], start: float, count: int, each: float) -> float:
    """Time of the last response if requests are sent one after the other.

    Args:
        lanes: The rate limits; the requests are added to them.
        start: Time from which requests may be sent.
        count: Number of requests.
        each: Seconds that a response takes.
    """
    at = start
    for _ in range(count):
        at = max([at, *(lane.free_at() for lane in lanes)]) + each
        for lane in lanes:
            lane.add(at)
    return at


def keeps_up(lanes: Sequence[Lane], count: int, each: float, every: float) -> bool:
    """Whether each run of a schedule ends before the next run starts.

    Args:
        lanes: The rate limits, without earlier requests.
        count: Requests of one run.
        each: Seconds that a response takes.
        every: Seconds between the starts of two runs.
    """
    longest = max((lane.span for lane in lanes), default=0.0)
    # Enough runs to fill the longest window.
    runs = min(int(longest / every) + 3, max(2, MOST_STEPS // max(1, count)))
    if any(count * lane.span > lane.limit * every for lane in lanes):
        return False
    return all(finish(lanes, number * every, count, each) <= (number + 1) * every for number in range(runs))
