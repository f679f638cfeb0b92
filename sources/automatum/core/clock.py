"""Time. Every module gets its clock as an argument, so no test waits for real time."""

from __future__ import annotations

import math
import re
import threading
import time
from datetime import datetime, timezone
from typing import Protocol

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")


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


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as `90s`, `30min`, `26h` or `2d`; None if it is none, or of no length."""
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) * _UNITS[found[2]] or None if found else None


def format_age(seconds: float) -> str:
    """A time span in its largest unit, such as `3 h`; two days and more in days."""
    unit = next((unit for unit, least in (("d", 2 * 86400), ("h", 3600), ("min", 60)) if seconds >= least), "s")
    return f"{max(0, int(seconds // _UNITS[unit]))} {unit}"


def format_duration(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
