"""The request log of the sandbox."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
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
    """The latest 200,000 requests, in the order of their responses."""

    def __init__(self) -> None:
        self.entries: deque[LoggedRequest] = deque(maxlen=_MAX_ENTRIES)

    def stats(self) -> dict[str, Any]:
        """Counts: `requests`, `by_path` (ids as `:id`), `by_status`, `rate_limited` (429s), `tokens` (issued)."""
        by_status = Counter(str(entry.status) for entry in self.entries)
        return {
            "requests": len(self.entries),
            "by_path": dict(Counter(_route(entry.path) for entry in self.entries)),
            "by_status": dict(by_status),
            "rate_limited": by_status["429"],
            "tokens": sum(entry.path == "/oauth/token" and entry.status == 200 for entry in self.entries),
        }


def _route(path: str) -> str:
    prefixes = ("cust_", "ent_", "offer_", "app_")
    return "/".join(":id" if part.startswith(prefixes) else part for part in path.split("/"))
