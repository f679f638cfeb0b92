"""Sends a request until there is a response that counts. It is the only layer that retries."""

from __future__ import annotations

import copy
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import ApiUnreachable, AutomatumError, QuotaExhausted
from ..core.redaction import Secret
from ..core.text import plural
from .connections import Connections
from .http import MAX_RETRY_AFTER, ApiResponse, HttpFailure, logger, redirect_error, send
from .rate_limit import LONG_WAIT, RateLimiter, wait_logger

ATTEMPTS = 6
"""Attempts after which a failing request is given up: with the pauses between them about 12 seconds."""
DEADLINE = 4
"""A failing request is given up after this many times `request_timeout`, so that slow answers are tried again, too."""
MAX_429 = 10
"""Responses 429 in a row after which the run ends with `QuotaExhausted`."""
DEFAULT_429_WAIT = 60.0
"""Seconds to wait after a 429 that names no time: the vendor's default (`api/authentication`)."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 30.0
_EMPTY_SUCCESS = (201, 202, 204)
"""Statuses of a POST that need no body."""
_TOO_LARGE = (
    "A page of 100 rows has about 100 kB. If this is a report, set sources.automatum.report_window_days, so that each "
    "answer holds fewer days."
)


def do_nothing(*_: object) -> None:
    """Do nothing: the default of a callback."""


@dataclass
class Call:
    """One request, and the state of its attempts.

    Attributes:
        method: HTTP method.
        path: Path below the host.
        acquire: Called before each attempt: waits for the rate limit, sets `token`, `headers` and `payload`, and
            returns the number of the request for the rate limiter.
        limiter: The rate limiter of the application that sends the attempt; None for that of the sender.
        renew: Called after a 401, and each other status of `renewed_after`. The call is sent again unless it raises.
        refusal: The error for another status that no retry can change.
        repeatable: Whether it may be sent again after an unknown outcome. A POST of usage could be billed twice.
        stoppable: Whether the attempt ends when the run is told to stop.
        not_taken: Called right after an attempt that the server certainly did not accept, before any wait.
        inspect: Called with the bytes of each response, before they are parsed.
        stats: Counts the attempts; None to leave them out.
    """

    method: str
    path: str
    acquire: Callable[[Call], int]
    renew: Callable[[Call, ApiResponse], None]
    refusal: Callable[[Call, ApiResponse], AutomatumError]
    params: Mapping[str, str] | None = None
    payload: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: Secret | None = None
    limiter: RateLimiter | None = None
    repeatable: bool = True
    stoppable: bool = True
    renewed_after: tuple[int, ...] = (401,)
    not_taken: Callable[[], None] = do_nothing
    inspect: Callable[[bytes], None] = do_nothing
    durations: deque[float] | None = None
    deadline: float = 0.0
    attempts: int = 0
    failures: int = 0
    throttled: int = 0

    @property
    def name(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.path}"

    def succeeded(self, response: ApiResponse) -> bool:
        """Whether the response is a success. For a POST of usage, 201, 202 and 204 need no body."""
        empty = not self.repeatable and response.empty and response.http_status in _EMPTY_SUCCESS
        return response.usable or empty


class Sender:
    """Sends requests, within `ATTEMPTS` and `DEADLINE` of each. Thread-safe.

    Waits for the rate limit do not count towards the deadline. After a request that was given up, further ones have one
    attempt until one succeeds: a server that is down is waited for once a run, not once a table.

    Args:
        settings: Resolved settings.
        clock: Time.
        limiter: Counts the requests against the API's rate limits.
        budget: Limits of the run.
        connections: Connections; None for new ones.
        rng: Source of jitter; None for a new one.
    """

    def __init__(
        self,
        settings: AutomatumSettings,
        clock: Clock,
        limiter: RateLimiter,
        budget: Budget,
        connections: Connections | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings, self.clock, self.limiter, self.budget = settings, clock, limiter, budget
        self._connections = connections or Connections()
        self._rng = rng or random.Random()  # noqa: S311  jitter, not secrecy
        self._down = threading.Event()

    def beside(self, settings: AutomatumSettings, limiter: RateLimiter) -> Sender:
        """A sender with another application's credentials and rate limits, on the same connections to the server."""
        other = copy.copy(self)
        other.settings, other.limiter = settings, limiter
        return other

    def run(self, call: Call) -> ApiResponse:
        """Send a request until it succeeds, is refused, or its attempts or its deadline are over.

        Raises:
            ApiUnreachable: No usable response within attempts and deadline, or the outcome of a request that must not
                be repeated is not known.
            QuotaExhausted: The API answered 429 too many times in a row.
            AutomatumError: What `acquire`, `renew` and `refusal` of the call raise or return.
        """
        call.deadline = self.clock.monotonic() + DEADLINE * self.settings.request_timeout
        while True:
            outcome = self._attempt(call)
            if isinstance(outcome, ApiResponse) and call.succeeded(outcome):
                self._down.clear()
                return outcome
            self._retry_or_raise(call, outcome)

    @contextmanager
    def _exclude_time(self, call: Call) -> Iterator[None]:
        started = self.clock.monotonic()
        try:
            yield
        finally:
            call.deadline += self.clock.monotonic() - started

    def _attempt(self, call: Call) -> ApiResponse | HttpFailure:
        with self._exclude_time(call):
            ticket = call.acquire(call)
        started, timeout = self.clock.monotonic(), self.settings.request_timeout
        connections, within = self._connections, max(1.0, call.deadline - started)
        if not call.repeatable:
            # On a kept connection, a server that closed it before the request looks the same as a server that broke off
            # after accepting the request.
            connections, within = connections.fresh(), DEADLINE * timeout
        response: ApiResponse | None = None
        try:
            outcome = send(
                connections, call.method, self.settings.base_url + call.path, clock=self.clock,
                timeout=min(timeout, within), within=within, headers=call.headers, token=call.token, params=call.params,
                body=call.payload, inspect=call.inspect, stopping=lambda: call.stoppable and self.budget.over,
            )  # fmt: skip
            response = outcome if isinstance(outcome, ApiResponse) else None
            return outcome
        finally:
            if connections is not self._connections:
                connections.close()
            if call.durations is not None:
                call.durations.append(self.clock.monotonic() - started)
            call.attempts += 1
            if response and response.status == 429 and not call.throttled and response.named_wait() is not None:
                # The first 429 is believed if it asks for a shorter wait than its reset, which may be an hour away.
                # After the next one in a row, the request waits for the reset.
                response = None
            limiter = call.limiter or self.limiter
            if response:
                limiter.record_response(ticket, response.headers, response.date)
            else:
                limiter.record_response(ticket)

    def _retry_or_raise(self, call: Call, outcome: ApiResponse | HttpFailure) -> None:
        """Wait and return if the call is to be sent again; raise otherwise."""
        status, detail, retry_after = None, outcome.detail, None
        if isinstance(outcome, HttpFailure):
            if outcome.final and call.repeatable:
                raise ApiUnreachable(call.method, call.path, None, detail, _TOO_LARGE)
            repeatable = call.repeatable or not outcome.sent
            if repeatable:
                call.not_taken()
        else:
            status, repeatable, retry_after = outcome.status, call.repeatable, outcome.retry_after()
            if status == 429:
                call.not_taken()
                return self._wait_after_429(call, outcome)
            if status in call.renewed_after:
                call.not_taken()
                with self._exclude_time(call):
                    return call.renew(call, outcome)
            if 300 <= outcome.http_status < 400:
                raise redirect_error(call.method, call.path, outcome)
            if 400 <= status < 500 and status != 408:
                raise call.refusal(call, outcome)
        if not repeatable:
            step = f"Whether the server took this {call.method} is not known, so it is not sent again."
            raise ApiUnreachable(call.method, call.path, status, detail, step)
        return self._wait_after_failure(call, status, detail, retry_after)

    def _wait_after_failure(self, call: Call, status: int | None, detail: str, retry_after: float | None) -> None:
        """Wait before the next attempt; raise if the attempts or the deadline are over."""
        call.throttled = 0
        call.failures += 1
        pause = max(self._backoff(call.failures), retry_after or 0.0)
        if self._down.is_set() or call.failures >= ATTEMPTS or self.clock.monotonic() + pause >= call.deadline:
            self._down.set()
            hint = f" The server asks to wait {retry_after:.0f} s." if retry_after else ""
            step = (
                f"Tried {plural(call.failures, 'time')}.{hint} Run again later; check the network, a proxy, and "
                f"sources.automatum.base_url ({self.settings.base_url})."
            )
            raise ApiUnreachable(call.method, call.path, status, detail, step)
        what = f"{call.name}: {detail if status is None else f'{status} {detail}'}"
        log = wait_logger if pause > LONG_WAIT else logger
        until = instant(self.clock.time() + pause)
        log.info("%s; attempt %d of %d in %.1f s, at %s", what, call.failures + 1, ATTEMPTS, pause, until)
        self.budget.pause(pause)

    def _wait_after_429(self, call: Call, response: ApiResponse) -> None:
        """Block the rate limiter for the time that a 429 asks for. The next attempt waits there."""
        call.throttled += 1
        retry_after = response.retry_after()
        wait = DEFAULT_429_WAIT * 2 ** (call.throttled - 1) if retry_after is None else retry_after
        wait = min(MAX_RETRY_AFTER, max(wait, self._backoff(call.throttled)))
        wait += min(3.0, 0.05 * wait) * self._rng.random()
        # The next attempt may be another application's. If that gets a 429, too, the organization's limit is meant.
        reason, again = f"{call.name} answered 429: {response.detail}", call.throttled > 1
        (call.limiter or self.limiter).block(wait, reason, organization=again)
        logger.info("%s answered 429: %s; no request for %.1f s", call.name, response.detail, wait)
        if call.throttled >= MAX_429:
            resume_at = self.clock.time() + wait
            raise QuotaExhausted(
                f"{call.name} answered 429 {call.throttled} times in a row: {response.detail}.",
                f"Run again after {instant(resume_at)}. If no other program uses the application, lower "
                "sources.automatum.application_limits.",
                resume_at,
            )

    def _backoff(self, count: int) -> float:
        return min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** (count - 1)) * self._rng.uniform(0.5, 1.0)
