"""Rate limits: a minute and an hour for each application, and for each organization (`api/authentication`)."""

from __future__ import annotations

import math
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from .config import Limits, SandboxConfig, WindowKind
from .responses import ApiResponse, failure

MINUTE, HOUR = 60.0, 3600.0


@dataclass
class Window:
    """The requests of an application or organization in one window.

    Attributes:
        times: Seconds since 1970 of the requests in the window.
    """

    times: deque[float] = field(default_factory=deque)

    def drop_old(self, now: float, length: float, kind: WindowKind) -> None:
        """Remove the requests before the window."""
        start = now - now % length if kind == "fixed" else now - length
        # A request exactly one window ago no longer counts in a sliding window, but opens a fixed one.
        while self.times and (self.times[0] < start or (kind == "sliding" and self.times[0] == start)):
            self.times.popleft()

    def reset(self, now: float, length: float, kind: WindowKind) -> float:
        """When the window admits the next request, seconds since 1970."""
        if kind == "fixed":
            return now - now % length + length
        return (self.times[0] if self.times else now) + length


class RateLimiter:
    """Counts requests and refuses those over the limits.

    Args:
        lock: Lock of the sandbox.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._windows: dict[tuple[str, float], Window] = {}

    def clear(self) -> None:
        """Reset all windows."""
        with self._lock:
            self._windows.clear()

    def used(self, owner: str, length: float) -> int:
        """Requests counted for an application or organization id in its window of 60 or 3,600 s, before scaling."""
        window = self._windows.get((owner, length))
        return len(window.times) if window else 0

    def admit(
        self, owners: tuple[str, str], limits: Limits, config: SandboxConfig, now: float
    ) -> ApiResponse | dict[str, str]:
        """Count a request of an application and its organization.

        Returns:
            The rate limit headers of its response, or the 429 that refuses it.
        """
        app, organization = owners
        caps = {
            (app, MINUTE): limits.app_minute,
            (app, HOUR): limits.app_hour,
            (organization, MINUTE): limits.organization_minute,
            (organization, HOUR): limits.organization_hour,
        }
        scale, kind = config.window_scale, config.window_kind
        windows = {key: self._windows.setdefault(key, Window()) for key in caps}
        for key, window in windows.items():
            window.drop_old(now, key[1] * scale, kind)
        full = [key for key, cap in caps.items() if len(windows[key].times) >= cap]
        if not full or config.count_rejected:
            for window in windows.values():
                window.times.append(now)
        hour = windows[app, HOUR]
        headers = {
            "X-RateLimit-Limit": str(limits.app_hour),
            "X-RateLimit-Remaining": str(max(limits.app_hour - len(hour.times), 0)),
            "X-RateLimit-Reset": str(math.ceil(hour.reset(now, HOUR * scale, kind))),
            "X-RateLimit-Organization-Limit": str(limits.organization_hour),
            "X-RateLimit-Organization-Remaining": str(
                max(limits.organization_hour - len(windows[organization, HOUR].times), 0)
            ),
        }
        shown = headers if config.limit_headers else {}
        if not full:
            return shown
        delay = max(windows[key].reset(now, key[1] * scale, kind) for key in full) - now
        return _too_many_requests(delay, shown, config, now)


def _too_many_requests(delay: float, headers: dict[str, str], config: SandboxConfig, now: float) -> ApiResponse:
    refusal = failure(429, "Rate limit exceeded")
    refusal.headers.update(headers)
    whole = max(math.ceil(delay), 1)
    if config.delay_place in ("body", "both"):
        refusal.payload["retryAfter"] = whole
    if config.delay_place in ("header", "both"):
        shown = {"seconds": str(whole), "decimal": f"{delay:.3f}", "date": formatdate(now + whole, usegmt=True)}
        refusal.headers["Retry-After"] = shown[config.delay_format]
    return refusal
