"""One request of the client, and its retry policy: attempts, deadline, backoff, and the wait after a 429."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import ApiUnreachable, QuotaExhausted
from ..core.text import plural
from ..endpoints import API_PREFIX
from .http import MAX_RETRY_AFTER, HttpFailure, HttpResponse, logger
from .rate_limit import RateLimiter

MAX_429 = 10
"""Responses 429 in a row after which the run ends with `QuotaExhausted`."""
DEFAULT_429_WAIT = 60.0
"""Seconds to wait after a 429 that names no time: the vendor's default (`api/authentication`)."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 30.0
_EMPTY_SUCCESS = (201, 202, 204)
"""Statuses of a POST that need no body."""


def do_nothing(*_: object) -> None:
    """Do nothing: the default of a callback."""


class RetryPolicy:
    """Decides whether one request is retried, and waits before the next attempt.

    Args:
        settings: `retry_attempts`: number of failed attempts after which the request fails. `retry_deadline`: seconds
            after which it fails; waits for the rate limit do not count.
        clock: Time.
        limiter: Blocks the requests of all processes after a 429.
        budget: Limits of the run.
        rng: Source of jitter.
    """

    def __init__(
        self, settings: AutomatumSettings, clock: Clock, limiter: RateLimiter, budget: Budget, rng: random.Random
    ) -> None:
        self._clock, self._limiter, self._budget = clock, limiter, budget
        self._attempts, self._base_url = settings.retry_attempts, settings.base_url
        self._deadline = clock.monotonic() + settings.retry_deadline
        self._rng = rng
        self._failures = 0
        self._throttled = 0

    def remaining_seconds(self) -> float:
        """Seconds until the deadline; at least 1, so that a last attempt can succeed."""
        return max(1.0, self._deadline - self._clock.monotonic())

    @contextmanager
    def exclude_time(self) -> Iterator[None]:
        """Exclude the time of the block from the deadline."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self._deadline += self._clock.monotonic() - started

    def wait_after_failure(
        self, method: str, path: str, status: int | None, detail: str, retry_after: float | None = None
    ) -> None:
        """Wait before the next attempt.

        Args:
            method: HTTP method.
            path: Path of the failed request.
            status: Status of the response; None without one.
            detail: The failure.
            retry_after: Seconds that the server asks to wait.

        Raises:
            ApiUnreachable: The attempts or the deadline are over.
        """
        self._throttled = 0
        self._failures += 1
        pause = max(self._backoff(self._failures), retry_after or 0.0)
        if self._failures >= self._attempts or self._clock.monotonic() + pause >= self._deadline:
            hint = f" The server asks to wait {retry_after:.0f} s." if retry_after else ""
            raise ApiUnreachable(
                method,
                path,
                status,
                detail,
                f"Tried {plural(self._failures, 'time')}.{hint} Run again later; check the network, a proxy, and "
                f"sources.automatum.base_url ({self._base_url}).",
            )
        what = f"{method} {path}: {detail if status is None else f'{status} {detail}'}"
        logger.warning("%s; attempt %d of %d in %.1f s", what, self._failures + 1, self._attempts, pause)
        self._budget.pause(pause)

    def record(self, ticket: int, outcome: HttpResponse | HttpFailure | None) -> None:
        """Tell the rate limiter that a response is here or never will be, and what it says about limits.

        The first 429 is believed if it asks for a shorter wait than its reset, which may be an hour away. After the
        next one in a row, the request waits for the reset.

        Args:
            ticket: The request.
            outcome: What came of it; None if it was not sent.
        """
        response = outcome if isinstance(outcome, HttpResponse) else None
        if response and response.status == 429 and not self._throttled and response.named_wait() is not None:
            response = None
        if response:
            self._limiter.record_response(ticket, response.headers, response.date)
        else:
            self._limiter.record_response(ticket)

    def wait_after_429(self, what: str, response: HttpResponse) -> None:
        """Block the rate limiter for the time that a 429 asks for. The next attempt waits there.

        Args:
            what: Method and path.
            response: The 429.

        Raises:
            QuotaExhausted: The API answered 429 too many times in a row.
        """
        self._throttled += 1
        retry_after = response.retry_after()
        wait = DEFAULT_429_WAIT * 2 ** (self._throttled - 1) if retry_after is None else retry_after
        wait = min(MAX_RETRY_AFTER, max(wait, self._backoff(self._throttled)))
        wait += min(3.0, 0.05 * wait) * self._rng.random()
        self._limiter.block(wait, f"{what} answered 429: {response.detail}")
        logger.warning("%s answered 429: %s; no request for %.1f s", what, response.detail, wait)
        if self._throttled >= MAX_429:
            resume_at = self._clock.time() + wait
            raise QuotaExhausted(
                f"{what} answered 429 {self._throttled} times in a row: {response.detail}.",
                f"Run again after {instant(resume_at)}. If no other program uses the application, lower "
                "sources.automatum.application_limits.",
                resume_at,
            )

    def _backoff(self, count: int) -> float:
        return min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** (count - 1)) * self._rng.uniform(0.5, 1.0)


@dataclass
class Call:
    """One request and the state of its attempts."""

    method: str
    path: str
    url: str
    retry: RetryPolicy
    params: Mapping[str, str] | None = None
    payload: bytes | None = None
    scope: str = ""
    attempts: int = 0
    reauthenticated: bool = False
    before: Callable[[], None] = do_nothing
    not_taken: Callable[[], None] = do_nothing
    inspect: Callable[[bytes], None] = do_nothing
    token: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.path}"

    @property
    def below_api(self) -> bool:
        """Whether it is about data or usage, and not about OAuth applications."""
        return self.path.startswith(API_PREFIX)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again after an unknown outcome. A POST of usage could be billed twice."""
        return self.method == "GET"

    def succeeded(self, response: HttpResponse) -> bool:
        """Whether the response is a success. For a POST, 201, 202 and 204 need no body."""
        if self.repeatable:
            return response.usable
        return response.usable or (response.empty and response.http_status in _EMPTY_SUCCESS)
