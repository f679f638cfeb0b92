"""Faults: errors and broken connections on request, for tests of retries."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

FaultKind = Literal[
    "status",
    "reset",
    "truncate",
    "html",
    "code",
    "slow",
    "redirect",
    "revoke",
    "lost_answer",
    "error_after",
    "empty_page",
    "short_page",
]
KINDS: tuple[str, ...] = get_args(FaultKind)
PROCESSED = frozenset({"truncate", "slow", "lost_answer", "error_after", "empty_page", "short_page"})
"""Kinds of fault where the request is carried out."""


@dataclass
class Fault:
    """A fault that applies to matching requests.

    It applies after authentication and the rate limits, so the request counts against the limits.

    Attributes:
        kind: What happens. With these kinds the request is not carried out:
            `status`: HTTP `status` with an error body.
            `reset`: the connection is reset (RST) without a response.
            `html`: HTTP 200 with an HTML page.
            `code`: HTTP 200 with `status` as the envelope's code.
            `redirect`: HTTP `status` (3xx, 307 by default) to `location`.
            `revoke`: the application's tokens are revoked, then HTTP 401.
            With these kinds the request is carried out:
            `slow`: the response comes `seconds` later.
            `truncate`: the response ends after half of its body.
            `lost_answer`: the connection is reset instead of a response.
            `error_after`: HTTP `status` with an error body.
            `empty_page`: `data` is empty, `pagination` is as usual.
            `short_page`: the last row of the page is missing.
        path: Prefix of the URL path, such as `/api/v1/customers`; empty for all.
        method: HTTP method; None for all.
        page: Only this page (a request without `page` asks for page 1); None for all.
        after: Number of matching requests that succeed first.
        count: How many times it applies; None for no limit.
        status: HTTP status, or envelope code for `code`.
        seconds: Delay before the response, with any kind.
        location: Target of `redirect`.
        message: Message of the error body; empty for the phrase of the status.
        headers: Further response headers, such as `{"Retry-After": "120"}`.
        seen: Matching requests so far.
        fired: How many times it has applied.
        number: Its number, set by `Faults.add`.
    """

    kind: FaultKind
    path: str = ""
    method: str | None = None
    page: int | None = None
    after: int = 0
    count: int | None = 1
    status: int = 500
    seconds: float = 0.0
    location: str = ""
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for options that do not fit the kind."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.kind == "redirect":
            self.status = self.status if 300 <= self.status < 400 else 307
            if not self.location:
                raise ValueError("a redirect fault needs a location")
        if self.kind == "slow" and self.seconds <= 0:
            raise ValueError("a slow fault needs seconds")

    def _matches(self, method: str, path: str, page: int | None) -> bool:
        return (
            path.startswith(self.path)
            and self.method in (None, method)
            and (self.page is None or self.page == page)
            and (self.count is None or self.fired < self.count)
        )

    def fires(self, method: str, path: str, page: int | None) -> bool:
        """Whether it applies to this request; counts the request if it matches."""
        if not self._matches(method, path, page):
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.fired += 1
        return True


class Faults:
    """The faults of a sandbox, in the order they were added. At most one applies to a request: the first that fires.

    Args:
        lock: Lock of the sandbox.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, kind: FaultKind, path: str = "", **options: Any) -> Fault:
        """Add a fault; the options are the attributes of `Fault`. By default it applies once.

        Raises:
            ValueError: The kind is unknown, or an option does not fit it.
        """
        with self._lock:
            fault = Fault(kind, path, **options)
            fault.number, self._next = self._next, self._next + 1
            self._faults.append(fault)
            return fault

    def all(self) -> list[Fault]:
        """All faults, those that no longer apply too."""
        with self._lock:
            return list(self._faults)

    def clear(self, number: int | None = None) -> None:
        """Remove one fault, or all."""
        with self._lock:
            self._faults = [fault for fault in self._faults if number is not None and fault.number != number]

    def take(self, method: str, path: str, page: int | None) -> Fault | None:
        """The fault that applies to this request."""
        with self._lock:
            return next((fault for fault in self._faults if fault.fires(method, path, page)), None)
