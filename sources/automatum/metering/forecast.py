"""Forecasts a push: how long the rate limits make it take, and what becomes too late before it can be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..api.rate_limit.windows import Lane, finish
from .model import Line
from .payloads import Body
from .rules import last_moment

Limits = Sequence[tuple[int, float]]
"""Rate limits: requests and seconds."""
SECONDS_EACH = 1.0
"""Assumed duration of a call."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a push that starts now sends, and how long it takes if nobody else uses the rate limit.

    Attributes:
        bodies: The requests, in order; a token not counted.
        seconds: Seconds until the last answer.
        too_late: Lines whose deadline passes before they can be sent.
    """

    bodies: Sequence[Body] = ()
    seconds: float = 0.0
    too_late: list[Line] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        """The lines, in the order of the requests."""
        return [line for body in self.bodies for line in body.lines]


def forecast(bodies: Sequence[Body], limits: Limits, now: datetime, late_ok: bool) -> Forecast:
    """Forecast when bodies are sent.

    Args:
        bodies: In the order in which they are sent.
        limits: Rate limits: requests and seconds.
        now: The current time, aware.
        late_ok: Whether late lines are sent up to their documented deadline.
    """
    lanes = [Lane(limit, span) for limit, span in limits]
    # The token is the first request.
    done = finish(lanes, 0.0, 1, SECONDS_EACH)
    too_late: list[Line] = []
    for body in bodies:
        answered = finish(lanes, done, 1, SECONDS_EACH)
        if now + timedelta(seconds=answered - SECONDS_EACH) >= last_moment(body.lines[0], late_ok):
            too_late += body.lines
        done = answered
    return Forecast(bodies, done, too_late)
