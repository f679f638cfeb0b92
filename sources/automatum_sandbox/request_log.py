"""The request log of the sandbox."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

_MAX_ENTRIES = 200_000


@dataclass(frozen=True)
class LoggedRequest:
    """A request and the status of its response.

    Attributes:
        path: URL path without the query.
        query: Query parameters.
        status: HTTP status; 0 if the connection was dropped without a response.
        time: Seconds since 1970 by the sandbox's clock.
        authorization: First 16 hex digits of the SHA-256 of the `Authorization` header, None without the header.
        page: Requested page; None outside `/api/v1/`.
        fault: Kind of the fault that applied to it.
        body: Body text of metering calls, None for other requests.
        app: Client id of the application, None if it is not known.
    """

    method: str
    path: str
    query: dict[str, str]
    status: int
    time: float
    authorization: str | None
    page: int | None
    fault: str | None
    body: str | None
    app: str | None


def fingerprint(authorization: str | None) -> str | None:
    """A short hash of an `Authorization` header: it tells tokens apart and does not reveal them."""
    return None if authorization is None else hashlib.sha256(authorization.encode()).hexdigest()[:16]


class RequestLog:
    """The latest 200,000 requests, in the order of their responses.

    Args:
        lock: Lock of the sandbox.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._entries: deque[LoggedRequest] = deque(maxlen=_MAX_ENTRIES)

    def add(self, entry: LoggedRequest) -> None:
        """Append a request."""
        with self._lock:
            self._entries.append(entry)

    def all(self) -> list[LoggedRequest]:
        """All requests, oldest first."""
        return self.to("")

    def to(self, path: str) -> list[LoggedRequest]:
        """The requests to URL paths with this prefix, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.path.startswith(path)]

    def clear(self) -> None:
        """Empty the log."""
        with self._lock:
            self._entries.clear()

    def stats(self) -> dict[str, Any]:
        """Counts: `requests`, `by_path` (ids as `:id`), `by_status`, `rate_limited` (429s), `tokens` (issued)."""
        entries = self.all()
        by_status = Counter(str(entry.status) for entry in entries)
        return {
            "requests": len(entries),
            "by_path": dict(Counter(_route(entry.path) for entry in entries)),
            "by_status": dict(by_status),
            "rate_limited": by_status["429"],
            "tokens": sum(entry.path == "/oauth/token" and entry.status == 200 for entry in entries),
        }


def _route(path: str) -> str:
    prefixes = ("cust_", "ent_", "offer_", "app_")
    return "/".join(":id" if part.startswith(prefixes) else part for part in path.split("/"))
