"""The limits that a run sets itself: requests, time, and a signal to stop. `api.rate_limit` has the vendor's limits."""

from __future__ import annotations

import threading

from .clock import Clock
from .errors import BudgetSpent
from .text import plural

SLICE = 1.0
"""Seconds; the longest sleep before a wait checks for a signal to stop."""
_RUN_AGAIN = "Run again; it goes on from here."


class Budget:
    """What one run may spend. Thread-safe, because dlt reads resources in threads after `source.parallelize()`.

    Args:
        clock: Time.
        max_requests: API requests that the run may send, retries included, token requests excluded; None for no limit.
        max_seconds: Seconds from now; None for no deadline.
        stop: Set this event to end the run, such as on a signal.

    Attributes:
        requests: API requests sent so far, retries included.
        token_requests: Token requests sent so far, retries included.
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
        self.requests = 0
        self.token_requests = 0

    @property
    def remaining_requests(self) -> int | None:
        """API requests that may still be sent; None without a limit."""
        return None if self._max_requests is None else max(0, self._max_requests - self.requests)

    @property
    def over(self) -> bool:
        """Whether the run was told to stop, or its time is over."""
        return (self._stop is not None and self._stop.is_set()) or self.remaining_seconds() == 0

    def check(self) -> None:
        """Raise `BudgetSpent` if the run was told to stop or its time is over."""
        if self._stop is not None and self._stop.is_set():
            raise BudgetSpent("The run was told to stop.", _RUN_AGAIN)
        if self.over:
            raise BudgetSpent(f"The run's time of {self._max_seconds:g} seconds is over.", _RUN_AGAIN)

    def check_request(self) -> None:
        """Raise `BudgetSpent` if no further API request may be sent. Counts nothing."""
        self.check()
        if self.remaining_requests == 0:
            raise BudgetSpent(f"The run's budget of {plural(self._max_requests or 0, 'request')} is spent.", _RUN_AGAIN)

    def charge_request(self) -> None:
        """Count an API request before it is sent; raise `BudgetSpent` instead if it exceeds the limit."""
        with self._lock:
            self.check_request()
            self.requests += 1

    def charge_token_request(self) -> None:
        """Count a token request before it is sent. Token requests have no limit: there are a few a day."""
        self.check()
        with self._lock:
            self.token_requests += 1

    def remaining_seconds(self) -> float | None:
        """Seconds until the deadline, 0 after it; None without a deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep for some seconds, in slices. A stop or the deadline ends the sleep with `BudgetSpent`."""
        end = self._clock.monotonic() + seconds
        self.check()
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(wait_slice(left, self))
            self.check()


def wait_slice(wait: float, budget: Budget) -> float:
    """Seconds to sleep before a wait of this length checks the budget again.

    At least a millisecond: a clock with a large reading does not move by 1e-12 s, and the wait would never end.
    """
    left = budget.remaining_seconds()
    return max(0.001, min(wait, SLICE, wait if left is None else left))
