"""Time, injected everywhere, so that no test has to wait for it."""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What the connector asks of time."""

    def time(self) -> float:
        """Seconds since the epoch; may step when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for ages and waits."""

    def sleep(self, seconds: float) -> None:
        """Wait; may return early when the run is told to stop (the caller looks at its `Budget`)."""


class SystemClock:
    """The machine's clock; a wait ends at once when `stop` is set.

    Args:
        stop: Set by whoever wants the run to end, such as a signal's receiver.
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


def instant(epoch: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the second, rounded up."""
    return datetime.fromtimestamp(math.ceil(epoch), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
