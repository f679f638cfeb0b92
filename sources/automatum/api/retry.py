"""The retry policy of one request: how often, for how long, and what a 429 does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import QuotaExhausted
from .http import (
    LONGEST_THROTTLE,
    HttpResponse,
    logger,
)
from .rate_limit import RateLimiter

MOST_THROTTLES = 10
"""Answers 429 in a row after which a run ends; it can be taken up later."""
DEFAULT_THROTTLE = 60.0
"""Seconds to wait on a 429 that names none: the vendor's own default (`api/authentication`)."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 30.0


class RetryPolicy:
    """How often and for how long one request is tried.

    Args:
        clock: Time.
        limiter: Where a wait that the server orders is entered, for all to keep.
        budget: Bounds of the run.
        attempts: Failed attempts after which to give up.
        deadline: Seconds after which to give up; waits for quota do not count.
        rng: Source of jitter.
    """

    def __init__(
        self, clock: Clock, limiter: RateLimiter, budget: Budget, attempts: int, deadline: float, rng: random.Random
    ) -> None:
        self._clock, self._limiter, self._budget = clock, limiter, budget
        self._attempts = attempts
        self._deadline = clock.monotonic() + deadline
        self._rng = rng
        self.failures = 0
        self._throttles = 0

    def left(self) -> float:
        """Seconds until the deadline; at least 1, so that a last attempt has a chance."""
        return max(1.0, self._deadline - self._clock.monotonic())

    @contextmanager
    def excuse(self) -> Iterator[None]:
        """Time spent inside does not count."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self._deadline += self._clock.monotonic() - started

    def failed(self, what: str, asked: float | None = None) -> bool:
        """An attempt failed: wait for the next, or return False if there is to be none.

        Args:
            what: What failed and how, for the log.
            asked: Seconds that the server asks to wait.
        """
        self._throttles = 0
        self.failures += 1
        pause = max(self._backoff(self.failures), asked or 0.0)
        if self.failures >= self._attempts or self._clock.monotonic() + pause >= self._deadline:
            return False
        logger.warning("%s; attempt %d of %d in %.1f s", what, self.failures + 1, self._attempts, pause)
        self._budget.pause(pause)
        return True

    def throttled(self, what: str, reply: HttpResponse) -> None:
        """A 429: enter the wait into the quota, where the next attempt meets it.

        Args:
            what: Method and path.
            reply: The answer.

        Raises:
            QuotaExhausted: It was one too many in a row.
        """
        self._throttles += 1
        asked = reply.retry_after()
        wait = DEFAULT_THROTTLE * 2 ** (self._throttles - 1) if asked is None else asked
        wait = min(LONGEST_THROTTLE, max(wait, self._backoff(self._throttles)))
        wait += min(3.0, 0.05 * wait) * self._rng.random()
        self._limiter.block(wait, f"{what} answered 429: {reply.detail}", headers=reply.headers)
        logger.warning("%s answered 429: %s; no request for %.1f s", what, reply.detail, wait)
        if self._throttles >= MOST_THROTTLES:
            resume_at = self._clock.time() + wait
            raise QuotaExhausted(
                f"{what} answered 429 {self._throttles} times in a row: {reply.detail}.",
                f"Run again after {instant(resume_at)}. If no other program uses the application, lower "
                "sources.automatum.application_limits.",
                resume_at,
            )

    def _backoff(self, count: int) -> float:
        return min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** (count - 1)) * self._rng.uniform(0.5, 1.0)
