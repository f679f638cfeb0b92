"""What was asked of the sandbox, and what it took in."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 200_000


@dataclass(frozen=True)
class Entry:
    """One request.

    Attributes:
        path: URL path without the query.
        query: Query parameters.
        status: HTTP status; 0 if the connection was dropped without an answer.
        time: Seconds since 1970 by the sandbox's clock.
        authorization: First 16 hex digits of the SHA-256 of the `Authorization` header, None without one.
        page: Page asked for; None where there are no pages.
        fault: Kind of the fault that happened to it.
        body: Body text of metering calls, None for others.
        app: Client id of the application, None where it is not known.
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

    def as_dict(self) -> dict[str, Any]:
        """The entry for the HTTP control plane."""
        return asdict(self)


def fingerprint(authorization: str | None) -> str | None:
    """What is kept of an `Authorization` header: enough to tell tokens apart, not enough to use one."""
    return None if authorization is None else hashlib.sha256(authorization.encode()).hexdigest()[:16]


class Journal:
    """The requests in order of their answers, the latest 200,000."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_KEPT)

    def add(self, entry: Entry) -> None:
        """Write down a request."""
        self.entries.append(entry)

    def stats(self) -> dict[str, Any]:
        """Counts: `requests`, `by_path` (ids as `:id`), `by_status`, `rate_limited` (429s), `tokens` (given out)."""
        by_path: Counter[str] = Counter()
        by_status: Counter[str] = Counter()
        tokens = 0
        for entry in self.entries:
            by_path[_shape(entry.path)] += 1
            by_status[str(entry.status)] += 1
            tokens += entry.path == "/oauth/token" and entry.status == 200
        return {
            "requests": len(self.entries),
            "by_path": dict(by_path),
            "by_status": dict(by_status),
            "rate_limited": by_status["429"],
            "tokens": tokens,
        }


def _shape(path: str) -> str:
    prefixes = ("cust_", "ent_", "offer_", "app_")
    return "/".join(":id" if part.startswith(prefixes) else part for part in path.split("/"))
