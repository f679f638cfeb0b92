"""Actions that run after a number of requests, so that rows change in the middle of a read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any


@dataclass
class _Scheduled:
    remaining: int
    """Matching requests until it runs."""

    path: str
    action: Callable[[], object]


class Schedule:
    """The scheduled actions of a sandbox.

    Args:
        lock: Lock of the sandbox.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._scheduled: list[_Scheduled] = []

    def after(self, requests: int, action: Callable[[], object], *, path: str = "") -> None:
        """Run an action after a number of list or detail requests, before the next request.

        Args:
            requests: Number of API requests from now. Requests refused with 401 or 429 do not count.
            action: Called with the lock held, such as `lambda: sandbox.rows.delete("customers", id_)`.
            path: Count only URL paths with this prefix.
        """
        with self._lock:
            self._scheduled.append(_Scheduled(requests, path, action))

    def count(self, path: str) -> None:
        """Count a request of a URL path, and run the actions that are due."""
        with self._lock:
            for scheduled in [entry for entry in self._scheduled if path.startswith(entry.path)]:
                scheduled.remaining -= 1
                if scheduled.remaining == 0:
                    self._scheduled.remove(scheduled)
                    scheduled.action()

    def clear(self) -> None:
        """Forget all scheduled actions."""
        with self._lock:
            self._scheduled.clear()
