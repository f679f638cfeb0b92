"""One rate limit: a number of requests in a number of seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

_PERIODS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


@dataclass(frozen=True)
class Window:
    """A rate limit: a number of requests in a number of seconds.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        seconds: Length of the window.
    """

    scope: str
    limit: int
    seconds: float

    @cached_property
    def key(self) -> str:
        """Name in the state, independent of the limit."""
        return f"{self.scope} {self.seconds:g}"

    @cached_property
    def span(self) -> float:
        """Seconds for which a request counts: the length of the window plus a guard.

        The guard covers differences between the two clocks. NTP slews a clock by 0.05 % at most, which is 1.8 s an
        hour; 5 ms cover the resolution of a coarse clock. `benchmarks/guards.py` measures smaller and larger guards.
        """
        return self.seconds + min(2.0, max(0.005, 0.005 * self.seconds))

    def capped(self, limit: int | None) -> Window:
        """This window with a limit that the server reported, if it is lower."""
        return self if limit is None or limit >= self.limit else Window(self.scope, limit, self.seconds)

    def even(self) -> Window:
        """A window that spreads the requests of this one evenly: one request in every W / (N - 1) seconds.

        At that rate no server counts more than N, even if it estimates a sliding window from two fixed windows, or uses
        a token bucket. Both refuse bursts that the limit allows.
        """
        return Window(self.scope, 1, self.seconds / (self.limit - 1) if self.limit > 1 else 2 * self.seconds)

    def unreserved(self, share: float) -> int:
        """Requests outside the share that is reserved for metering; at least one."""
        return max(1, self.limit - math.ceil(share * self.limit)) if share else self.limit

    def __str__(self) -> str:
        """Name for messages."""
        period = _PERIODS.get(self.seconds, f"{self.seconds:g} seconds")
        return f"{self.scope}: {self.limit} requests per {period}"
