"""Time, injected everywhere, so that no test has to wait for it."""

from __future__ import annotations

import threading
import time
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
