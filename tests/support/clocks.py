"""Time for tests: nothing here ever waits."""

import heapq
import itertools
import threading


class FakeClock:
    """A clock that moves only when somebody sleeps, at once, or when told to.

    Attributes:
        sleeps: Seconds of each sleep, in order.
    """

    def __init__(self, epoch=1_700_000_000.0, monotonic=1_000.0):
        self._offset = epoch - monotonic
        self._now = monotonic
        self._timers = []
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self.sleeps = []

    def time(self):
        with self._lock:
            return self._now + self._offset

    def monotonic(self):
        with self._lock:
            return self._now

    def sleep(self, seconds):
        with self._lock:
            self.sleeps.append(seconds)
        self.advance(seconds)

    @property
    def slept(self):
        """Seconds slept in all."""
        return sum(self.sleeps)

    def advance(self, seconds):
        """Let time pass; what was asked for by `call_at` meanwhile happens at its time."""
        with self._lock:
            end = self._now + max(0.0, seconds)
            while self._timers and self._timers[0][0] <= end:
                self._now, _, callback = heapq.heappop(self._timers)
                callback()
            self._now = end

    def call_at(self, moment, callback):
        """Call back when the monotonic reading reaches this moment."""
        with self._lock:
            heapq.heappush(self._timers, (max(moment, self._now), next(self._numbers), callback))

    def set_wall(self, seconds):
        """Set the machine's clock forwards or backwards."""
        with self._lock:
            self._offset += seconds
