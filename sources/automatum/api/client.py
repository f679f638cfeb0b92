"""The API client. Each attempt is counted and signed anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from ..config.reload import reload_credentials
from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ApiUnreachable, AutomatumError, CredentialsRefused, MoreToDo
from ..endpoints import API_PREFIX
from .connections import Connections
from .http import DASHBOARD, error_for
from .http import ApiResponse as ApiResponse
from .oauth import TokenSource
from .rate_limit import RateLimiter
from .request_stats import RequestStats
from .retry import Call, Sender, do_nothing

MAX_EXPIRED_TOKENS = 5
"""Tokens in a row that may expire while a request waits for the rate limit."""
_LATEST = 20
"""Requests of which the mean duration is the expected one."""


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
        self.limiter, self.budget = limiter, budget
        self.stats = RequestStats()
        self._sender = Sender(settings, clock, limiter, budget, connections, rng)
        self.tokens = TokenSource(self._sender, partial(reload_credentials, settings))

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
        return self._run("GET", path, scope, params=params)

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

        It is sent again only after a refused connection, a 429, or a 401 (once, with a new token).

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
        return self._run("POST", path, scope, before, payload=payload, not_taken=not_taken, inspect=inspect)

    def change(self, method: Literal["PUT", "DELETE"], path: str, payload: bytes | None = None) -> ApiResponse:
        """Send a PUT or DELETE request. It is not repeated if the server may have accepted it.

        Args:
            method: `PUT` or `DELETE`.
            path: Path below `/api/v1/`; from the root of the host if it begins with a slash.
            payload: JSON; None for no body.

        Raises:
            AutomatumError: As in `post`.
        """
        return self._run(method, path, payload=payload)

    def _run(
        self, method: str, path: str, scope: str = "", before: Callable[[], None] = do_nothing, **options: Any
    ) -> ApiResponse:
        below = path if path.startswith("/") else API_PREFIX + path
        repeatable, reauthenticated = method == "GET", False

        def acquire(call: Call) -> int:
            ticket, token = self._acquire(call, before)
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            call.headers = headers if repeatable else {**headers, "Content-Type": "application/json"}
            return ticket

        def renew(call: Call, response: ApiResponse) -> None:
            nonlocal reauthenticated
            self.tokens.invalidate(call.headers["Authorization"].removeprefix("Bearer "))
            if reauthenticated:
                raise CredentialsRefused(
                    f"{call.name} answered 401 to a fresh token too: {response.detail}.",
                    f"The application may have been deleted, or its secret regenerated, a moment ago: see {DASHBOARD}.",
                )
            reauthenticated = True

        def refusal(call: Call, response: ApiResponse) -> AutomatumError:
            return error_for(call.method, call.path, response, scope, self.tokens.cached_scopes())

        # The answer with a new secret comes once, so a run that is told to stop still waits for it.
        stoppable = repeatable or below.startswith(API_PREFIX)
        flags: dict[str, Any] = {"repeatable": repeatable, "stoppable": stoppable}
        return self._sender.run(Call(method, below, acquire, renew, refusal, stats=self.stats, **flags, **options))

    def _acquire(self, call: Call, before: Callable[[], None]) -> tuple[int, str]:
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
                    before()
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
