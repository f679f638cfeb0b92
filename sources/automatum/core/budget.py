"""The run's own bounds: requests, time, and being told to stop. The vendor's bounds are in `quota`."""

from __future__ import annotations

import threading

from .clock import Clock
from .errors import BudgetSpent

SLICE = 1.0
"""Seconds; the longest sleep after which a wait looks whether it has been told to stop."""
_AGAIN = "Run again; it goes on from here."


class Budget:
    """What one run may spend. Safe to share between threads.

    Args:
        clock: Time.
        max_requests: API requests that may be sent, retries included, token requests not; None for any number.
        max_seconds: Seconds from now; None for no deadline.
        stop: Set when the run has been told to end, such as by a signal.
    """

    def __init__(
        self,
        clock: Clock,
        max_requests: int | None = None,
        max_seconds: float | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._clock = clock
        self._max_requests = max_requests
        self._max_seconds = max_seconds
        self._deadline = None if max_seconds is None else clock.monotonic() + max_seconds
        self._stop = stop
        self._lock = threading.Lock()
        self._requests = 0
        self._token_requests = 0

    @property
    def requests(self) -> int:
        """API requests sent so far, retries included."""
        return self._requests

    @property
    def token_requests(self) -> int:
        """Token requests sent so far, retries included."""
        return self._token_requests

    def check(self) -> None:
        """Raise `BudgetSpent` when the run has been told to stop or its time is over."""
        if self._stop is not None and self._stop.is_set():
            raise BudgetSpent("The run was told to stop.", _AGAIN)
        left = self.remaining_seconds()
        if left is not None and left <= 0:
            raise BudgetSpent(f"The run's time of {self._max_seconds:g} seconds is over.", _AGAIN)

    def check_request(self) -> None:
        """Raise `BudgetSpent` when no further API request may be sent; count none."""
        self.check()
        with self._lock:
            self._refuse_one_too_many()

    def charge_request(self) -> None:
        """Count an API request that is about to be sent; raise `BudgetSpent` instead if it would be one too many."""
        self.check()
        with self._lock:
            self._refuse_one_too_many()
            self._requests += 1

    def charge_token_request(self) -> None:
        """Count a token request that is about to be sent; these have no bound of their own, being a handful a day."""
        self.check()
        with self._lock:
            self._token_requests += 1

    def remaining_seconds(self) -> float | None:
        """Seconds until the deadline, 0 when it is over; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep, in slices, so that a stop or the deadline ends it with `BudgetSpent`.

        Args:
            seconds: How long.
        """
        end = self._clock.monotonic() + seconds
        self.check()
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(wait_slice(left, self))
            self.check()

    def _refuse_one_too_many(self) -> None:
        if self._max_requests is not None and self._requests >= self._max_requests:
            raise BudgetSpent(f"The run's budget of {self._max_requests} requests is spent.", _AGAIN)


def wait_slice(wait: float, budget: Budget) -> float:
    """Seconds to sleep before looking again at a wait of this length.

    Never so short that a clock would not move: a remainder of 1e-12 s added to a large reading is the same reading.
    """
    left = budget.remaining_seconds()
    return max(0.001, min(wait, SLICE, wait if left is None else left))
