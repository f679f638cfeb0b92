"""Time. Every module gets its clock as an argument, so no test waits for real time."""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """The time functions that the connector uses."""

    def time(self) -> float:
        """Seconds since the epoch. They jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    def sleep(self, seconds: float) -> None:
        """Wait. It may return early when the run is told to stop; the caller checks its `Budget`."""


class SystemClock:
    """The machine's clock.

    Args:
        stop: Set this event to end a sleep at once.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def time(self) -> float:
        """See `Clock.time`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        if seconds > 0:
            self._stop.wait(seconds)


def utc(seconds: float) -> datetime:
    """Epoch seconds as a UTC datetime."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def instant(seconds: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, rounded up to a whole second."""
    return utc(math.ceil(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
