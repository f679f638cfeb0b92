"""How requests will go: when each of a row of them can be sent, under windows that fill as they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_STEPS = 50_000
"""Requests that a look ahead at a schedule goes through at most."""


@dataclass
class Lane:
    """One bound.

    Attributes:
        limit: Requests.
        span: Seconds for which each counts.
        leaves: When those before stop counting, ascending.
    """

    limit: int
    span: float
    leaves: list[float] = field(default_factory=list)
    _before: int = field(init=False)
    _turn: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._before = len(self.leaves)

    def free_at(self) -> float:
        """When it lets the next request through; 0 if at any time."""
        place = self._before + self._turn - self.limit
        return self.leaves[place] if place >= 0 else 0.0

    def send(self, settled: float) -> None:
        """A request whose answer comes then."""
        self.leaves.append(settled + self.span)
        self._turn += 1


def finish(lanes: Sequence[Lane], start: float, count: int, each: float) -> float:
    """When the last of so many requests, sent one after the other, has its answer.

    Args:
        lanes: The bounds; what is sent is entered into them.
        start: When the first may be sent.
        count: Requests.
        each: Seconds that an answer takes.
    """
    at = start
    for _ in range(count):
        at = max([at, *(lane.free_at() for lane in lanes)]) + each
        for lane in lanes:
            lane.send(at)
    return at


def keeps_up(lanes: Sequence[Lane], count: int, each: float, every: float) -> bool:
    """Whether runs of so many requests end before the next is due, time after time.

    Args:
        lanes: The bounds, empty.
        count: Requests of one run.
        each: Seconds that an answer takes.
        every: Seconds from start to start.
    """
    longest = max((lane.span for lane in lanes), default=0.0)
    # Enough runs for the longest window to be as full as it gets.
    runs = min(int(longest / every) + 3, max(2, MOST_STEPS // max(1, count)))
    if any(count * lane.span > lane.limit * every for lane in lanes):
        return False
    return all(finish(lanes, turn * every, count, each) <= (turn + 1) * every for turn in range(runs))
