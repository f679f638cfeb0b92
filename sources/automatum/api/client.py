"""The API client. It counts, signs and sends each attempt, and it is the only layer that retries."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..config.reload import reload_credentials
from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ApiUnreachable, CredentialsRefused, MoreToDo
from ..endpoints import API_PREFIX
from .connections import Connections
from .http import DASHBOARD, HttpFailure, HttpResponse, error_for, redirect_error, send
from .oauth import TokenSource
from .rate_limit import RateLimiter
from .request_stats import Attempt, RequestStats
from .retry import Call, RetryPolicy, do_nothing

MAX_EXPIRED_TOKENS = 5
"""Tokens in a row that may expire while a request waits for the rate limit."""
_LATEST = 20
"""Requests of which the mean duration is the expected one."""
_TOO_LARGE = (
    "A page of 100 rows has about 100 kB. If this is a report, set sources.automatum.report_window_days, so that each "
    "answer holds fewer days."
)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A successful response.

    Attributes:
        body: The whole JSON object, envelope included. Numbers that a float cannot hold are `int` or `Decimal`.
        status: HTTP status, 2xx.
        received_at: Epoch seconds of our clock.
    """

    body: dict[str, Any]
    status: int
    received_at: float


class ApiClient:
    """Sends requests to the API. Thread-safe.

    Args:
        settings: Resolved settings.
        clock: Time.
        limiter: Counts the requests against the API's rate limits.
        budget: Limits of the run.
        connections: Connections; None for new ones.
        rng: Source of jitter; None for a new one.

    Attributes:
        limiter: See `limiter` above.
        budget: See `budget` above.
        tokens: Fetches and caches the access token.
        stats: What was answered, and how long it took.
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
        self._settings, self._clock = settings, clock
        self.limiter, self.budget = limiter, budget
        self.stats = RequestStats()
        self._rng = rng or random.Random()  # noqa: S311  jitter, not secrecy
        self._connections = connections or Connections()
        reload = partial(reload_credentials, settings)
        self.tokens = TokenSource(settings, self._connections, limiter, clock, budget, self._rng, reload)

    @property
    def seconds_per_request(self) -> float:
        """Mean duration of the latest requests; 0 before the first."""
        latest = self.stats.attempts[-_LATEST:]
        return sum(one.seconds for one in latest) / len(latest) if latest else 0.0

    def get(self, path: str, params: Mapping[str, str] | None = None, scope: str = "") -> ApiResponse:
        """Send a GET request and retry it until it succeeds, is refused, or the attempts or the deadline are over.

        Args:
            path: Path below `/api/v1/`; from the root of the host if it begins with a slash.
            params: Query.
            scope: OAuth scope that the path needs, for the message of a 403.

        Raises:
            NotThere: 404.
            RequestRefused: Another 4xx.
            AccessError: 403, a fresh token is refused, or no token can be fetched.
            ApiUnreachable: No usable response within attempts and deadline.
            QuotaExhausted: The rate limit requires a longer wait than `max_wait`, or than the run has left.
            BudgetSpent: A limit of the run is reached.
        """
        call = self._call("GET", path, params=params)
        call.scope = scope
        return self._run(call)

    def post(
        self,
        path: str,
        payload: bytes,
        *,
        before: Callable[[], None] = do_nothing,
        not_taken: Callable[[], None] = do_nothing,
        inspect: Callable[[bytes], None] = do_nothing,
        scope: str = "",
    ) -> ApiResponse:
        """Send a POST request. It is not repeated if the server may have accepted it.

        It is sent again only after a refused connection, a 429, or a 401 (once, with a new token). Each attempt opens
        its own connection: on a kept connection, a server that closed it before the request looks the same as a server
        that broke off after accepting the request.

        Args:
            path: Path below `/api/v1/`; from the root of the host if it begins with a slash.
            payload: JSON.
            before: Called right before each attempt, after the rate limit and the token. If it raises, nothing is sent.
            not_taken: Called right after an attempt that the server certainly did not accept, before any wait.
            inspect: Called with the bytes of each response, before they are parsed.
            scope: OAuth scope that the path needs, for the message of a 403.

        Raises:
            NotThere: 404.
            RequestRefused: Another 4xx; the server did not accept the request.
            ApiUnreachable: The outcome is not known (timeout, reset, broken response, 5xx), or the server cannot be
                reached.
            AccessError: 403, a fresh token is refused, or no token can be fetched.
            QuotaExhausted: The rate limit requires a longer wait than `max_wait`, or than the run has left.
            BudgetSpent: A limit of the run is reached.
        """
        call = self._call("POST", path, payload=payload)
        call.before, call.not_taken, call.inspect, call.scope = before, not_taken, inspect, scope
        return self._run(call)

    def change(self, method: Literal["PUT", "DELETE"], path: str, payload: bytes | None = None) -> ApiResponse:
        """Send a PUT or DELETE request. It is not repeated if the server may have accepted it.

        Args:
            method: `PUT` or `DELETE`.
            path: Path below `/api/v1/`; from the root of the host if it begins with a slash.
            payload: JSON; None for no body.

        Raises:
            AutomatumError: As in `post`.
        """
        return self._run(self._call(method, path, payload=payload))

    def _call(
        self, method: str, path: str, params: Mapping[str, str] | None = None, payload: bytes | None = None
    ) -> Call:
        below = path if path.startswith("/") else API_PREFIX + path
        retry = RetryPolicy(self._settings, self._clock, self.limiter, self.budget, self._rng)
        return Call(method, below, self._settings.base_url + below, retry, params, payload)

    def _run(self, call: Call) -> ApiResponse:
        while True:
            with call.retry.exclude_time():
                ticket, call.token = self._acquire(call)
            outcome: HttpResponse | HttpFailure | None = None
            try:
                outcome = self._send(call)
            finally:
                call.retry.record(ticket, outcome)
            if isinstance(outcome, HttpResponse):
                if call.succeeded(outcome):
                    return ApiResponse(outcome.body or {}, outcome.http_status, outcome.received_at)
                self._retry_or_raise(call, outcome)
            elif outcome.final and call.repeatable:
                raise ApiUnreachable(call.method, call.path, None, outcome.detail, _TOO_LARGE)
            elif call.repeatable or not outcome.sent:
                call.not_taken()
                call.retry.wait_after_failure(call.method, call.path, None, outcome.detail)
            else:
                raise ApiUnreachable(call.method, call.path, None, outcome.detail, _unknown_outcome(call))

    def _acquire(self, call: Call) -> tuple[int, str]:
        """Wait for the rate limit and get a token. If the token expires during the wait, start again."""
        for _ in range(MAX_EXPIRED_TOKENS):
            self.budget.check_request()
            self.tokens.token()
            # A POST is metering, or one of the rare requests about an application. They may use the reserve.
            ticket = self.limiter.acquire(self.tokens.max_wait, self.budget, from_reserve=call.method == "POST")
            sendable = False
            try:
                token = self.tokens.cached_token()
                if token is not None:
                    self.budget.check_request()
                    call.before()
                    try:
                        self.budget.charge_request()
                    except MoreToDo:
                        call.not_taken()
                        raise
                    sendable = True
                    return ticket, token
            finally:
                if not sendable:
                    self.limiter.release(ticket)
        raise ApiUnreachable(
            call.method,
            call.path,
            None,
            f"{MAX_EXPIRED_TOKENS} tokens in a row expired before the rate limit allowed the request",
            "A token must be valid for longer than the wait. Check whether sources.automatum.application_limits are "
            "lower than those of your plan, and expires_in of the token.",
        )

    def _send(self, call: Call) -> HttpResponse | HttpFailure:
        started = self._clock.monotonic()
        status = None
        try:
            outcome = self._exchange(call)
            status = outcome.status if isinstance(outcome, HttpResponse) else None
            return outcome
        finally:
            seconds = self._clock.monotonic() - started
            self.stats.attempts.append(Attempt(status, seconds, call.attempts > 0))
            call.attempts += 1

    def _exchange(self, call: Call) -> HttpResponse | HttpFailure:
        headers = {"Authorization": f"Bearer {call.token}", "Accept": "application/json"}
        timeout, left = self._settings.request_timeout, call.retry.remaining_seconds()
        if call.repeatable:
            return send(
                self._connections, call.method, call.url, clock=self._clock, timeout=min(timeout, left), within=left,
                headers=headers, params=call.params, stopping=self._stopping,
            )  # fmt: skip
        headers["Content-Type"] = "application/json"
        within = max(timeout, self._settings.retry_deadline)
        # The answer with a new secret comes once, so a run that is told to stop still waits for it.
        with self._connections.fresh() as connections:
            return send(
                connections, call.method, call.url, clock=self._clock, timeout=timeout, within=within,
                headers=headers, body=call.payload, inspect=call.inspect,
                stopping=self._stopping if call.below_api else lambda: False,
            )  # fmt: skip

    def _stopping(self) -> bool:
        return self.budget.over

    def _retry_or_raise(self, call: Call, response: HttpResponse) -> None:
        """Wait and return if the call is to be sent again; raise otherwise."""
        status, detail = response.status, response.detail
        if status == 429:
            call.not_taken()
            call.retry.wait_after_429(call.name, response)
        elif status == 401:
            call.not_taken()
            self._reauthenticate(call, response)
        elif 300 <= response.http_status < 400:
            raise redirect_error(call.method, call.path, response)
        elif 400 <= status < 500 and status != 408:
            raise error_for(call.method, call.path, response, call.scope, self.tokens.cached_scopes())
        elif call.repeatable:
            call.retry.wait_after_failure(call.method, call.path, status, detail, response.retry_after())
        else:
            raise ApiUnreachable(call.method, call.path, status, detail, _unknown_outcome(call))

    def _reauthenticate(self, call: Call, response: HttpResponse) -> None:
        self.tokens.invalidate(call.token)
        if call.reauthenticated:
            raise CredentialsRefused(
                f"{call.name} answered 401 to a fresh token too: {response.detail}.",
                f"The application may have been deleted, or its secret regenerated, a moment ago: see {DASHBOARD}.",
            )
        call.reauthenticated = True


def _unknown_outcome(call: Call) -> str:
    return f"Whether the server took this {call.method} is not known, so it is not sent again."
