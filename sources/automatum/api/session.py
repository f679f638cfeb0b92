"""The API session of one OAuth application: its settings and endpoints, the budget of the run, and the client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from ..config.credentials import reload_credentials
from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock
from ..core.errors import (
    ApiUnreachable,
    AutomatumError,
    ConfigurationError,
    CredentialsRefused,
    MoreToDo,
    ScopeMissing,
)
from ..core.redaction import Secret, redact_logging
from ..core.suggest import suggestion
from ..endpoints import API_PREFIX, METERING_ENTITLEMENT, Endpoint
from ..schema.personal import Policy, read_policies
from .http import DASHBOARD, ApiResponse, error_for
from .oauth import TokenSource
from .overrides import resolve_endpoints, resolve_entitlement
from .pool import Pool
from .rate_limit import open_rate_limiters
from .retry import Call, Sender, do_nothing

MAX_EXPIRED_TOKENS = 5
"""Tokens in a row that may expire while a request waits for the rate limit."""
_LATEST = 20
"""Requests of which the mean duration is the expected one."""


class ApiClient:
    """Sends requests to the API, each attempt counted and signed anew. Thread-safe.

    Args:
        sender: Sends them, and repeats what failed.

    Attributes:
        limiter: Counts the requests against the API's rate limits.
        budget: Limits of the run.
        client_id: The OAuth application.
        tokens: Fetches and caches the access token.
        durations: Seconds of the latest requests.
        pool: The applications over which GET requests are spread; None if there is one.
    """

    def __init__(self, sender: Sender) -> None:
        self.limiter, self.budget, self._sender = sender.limiter, sender.budget, sender
        self.client_id = sender.settings.client_id
        self.durations: deque[float] = deque(maxlen=_LATEST)
        self.tokens = TokenSource(sender, partial(reload_credentials, sender.settings.credentials_from, self.client_id))
        self.pool: Pool[ApiClient] | None = None

    @property
    def seconds_per_request(self) -> float:
        """Mean duration of the latest requests; 0 before the first."""
        return sum(self.durations) / len(self.durations) if self.durations else 0.0

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
            ApiUnreachable: The outcome is not known (timeout, reset, broken response, 5xx), or the server cannot be
                reached.
            AutomatumError: As in `get`. The server did not accept the request.
        """
        return self._run("POST", path, scope, before, payload=payload, not_taken=not_taken, inspect=inspect)

    def change(self, method: Literal["PUT", "DELETE"], path: str, payload: bytes | None = None) -> ApiResponse:
        """Send a PUT or DELETE request, as in `post`."""
        return self._run(method, path, payload=payload)

    def _run(
        self, method: str, path: str, scope: str = "", before: Callable[[], None] = do_nothing, **options: Any
    ) -> ApiResponse:
        below = path if path.startswith("/") else API_PREFIX + path
        repeatable, application = method == "GET", self
        pool = self.pool if repeatable and below.startswith(API_PREFIX) else None
        # Of a pool, the next attempt may be another application's, so it is known across requests whose token failed.
        reauthenticated = pool.doubted if pool else set[ApiClient]()

        def acquire(call: Call) -> int:
            nonlocal application
            application, ticket, call.token = self._acquire(call, before, pool, scope)
            call.limiter = application.limiter
            headers = {"Accept": "application/json"}
            call.headers = headers if repeatable else {**headers, "Content-Type": "application/json"}
            return ticket

        def renew(call: Call, response: ApiResponse) -> None:
            if pool and response.status == 403:
                pool.forbid(application, scope, refusal(call, response))
                return
            dropped = application.tokens.invalidate(call.token)
            if application in reauthenticated and (dropped or pool is None):
                error = CredentialsRefused(
                    f"{call.name} answered 401 to a fresh token too: {response.detail}.",
                    f"The application may have been deleted, or its secret regenerated, a moment ago: see {DASHBOARD}.",
                )
                if pool is None:
                    raise error
                pool.leave_out(application, error)
            reauthenticated.add(application)

        def refusal(call: Call, response: ApiResponse) -> AutomatumError:
            return error_for(call.method, call.path, response, scope, application.tokens.cached_scopes())

        # The answer with a new secret comes once, so a run that is told to stop still waits for it.
        stoppable = repeatable or below.startswith(API_PREFIX)
        flags: dict[str, Any] = {"repeatable": repeatable, "stoppable": stoppable}
        if pool:
            flags["renewed_after"] = (401, 403)
        response = self._sender.run(
            Call(method, below, acquire, renew, refusal, durations=self.durations, **flags, **options)
        )
        if pool:
            pool.succeeded(application, path, response)
        return response

    def _acquire(
        self, call: Call, before: Callable[[], None], pool: Pool[ApiClient] | None, scope: str
    ) -> tuple[ApiClient, int, Secret]:
        """Wait for the rate limit and get a token. If the token expires during the wait, start again.

        Returns:
            The client of the application that sends the request, its number for the rate limiter, and the token.
        """
        for _ in range(MAX_EXPIRED_TOKENS):
            self.budget.check_request()
            ready = pool.ready(scope) if pool else self._ready()
            # A POST is metering, or one of the rare requests about an application. They may use the reserve.
            limiter, ticket = self.limiter.acquire_first(
                [one.limiter for one in ready], self.tokens.max_wait, self.budget, from_reserve=call.method == "POST"
            )
            application = next(one for one in ready if one.limiter is limiter)
            sendable = False
            try:
                token = application.tokens.cached_token()
                if token is not None:
                    self.budget.check_request()
                    before()
                    try:
                        self.budget.charge_request()
                    except MoreToDo:
                        call.not_taken()
                        raise
                    sendable = True
                    if pool:
                        pool.sent[application] += 1
                    return application, ticket, token
            finally:
                if not sendable:
                    limiter.release(ticket)
        detail = f"{MAX_EXPIRED_TOKENS} tokens in a row expired before the rate limit allowed the request"
        step = (
            "A token must be valid for longer than the wait. Check whether sources.automatum.application_limits are "
            "lower than those of your plan, and expires_in of the token."
        )
        raise ApiUnreachable(call.method, call.path, None, detail, step)

    def _ready(self) -> list[ApiClient]:
        self.tokens.token()
        return [self]

    def scopes(self) -> frozenset[str] | None:
        """Scopes of the token, as in `TokenSource.scopes`; of the first application of a pool that is not refused."""
        client = self.pool.lead() if self.pool else self
        return client.tokens.scopes()


@dataclass
class ApiSession:
    """The API as one OAuth application sees it.

    Attributes:
        settings: Resolved settings.
        endpoints: The endpoints that can be read, with overrides applied.
        clock: Time.
        budget: Limits of the run, and its request counts.
        client: Sends the requests.
        entitlement_at: Path of the entitlement in a metering body.
        personal: Table to what is done to its records before anything is written.
        checks: Requests for single rows that the run may still send, to find out whether they are deleted.
    """

    settings: AutomatumSettings
    endpoints: tuple[Endpoint, ...]
    clock: Clock
    budget: Budget
    client: ApiClient
    entitlement_at: str = METERING_ENTITLEMENT
    checks: int = 0
    personal: Mapping[str, Policy] = field(default_factory=dict)

    def may_check(self) -> bool:
        """Whether the run may ask for another single row; counts it."""
        self.checks -= 1
        return self.checks >= 0

    def select(self, tables: tuple[str, ...] = ()) -> tuple[Endpoint, ...]:
        """Select endpoints, in their order: those that are named, else those of the settings, else all.

        Args:
            tables: Groups (`analytics`) or tables (`analytics_revenue`) that the user names.

        Raises:
            ConfigurationError: A name is unknown.
        """
        names = tables or tuple(self.settings.tables or ())
        known = {name for endpoint in self.endpoints for name in (endpoint.group, endpoint.table)}
        for name in names:
            if name not in known:
                groups = dict.fromkeys(endpoint.group for endpoint in self.endpoints)
                step = f"{suggestion(name, sorted(known))} Tables are {', '.join(groups)}.".lstrip()
                raise ConfigurationError(
                    "argument TABLE" if tables else "sources.automatum.tables", f"no table {name!r}.", step
                )
        return tuple(one for one in self.endpoints if not names or one.group in names or one.table in names)

    def missing_scopes(self, endpoints: tuple[Endpoint, ...]) -> dict[str, str]:
        """Map the groups that the token does not grant to the scope that each needs.

        If the token response does not list scopes, none is missing.

        Raises:
            AccessError: The credentials are refused.
            ApiUnreachable: No token could be fetched.
        """
        granted = self.client.scopes()
        return {} if granted is None else {one.group: one.scope for one in endpoints if one.scope not in granted}

    def require_scopes(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Raise one `ScopeMissing` for all scopes that these endpoints lack."""
        missing = self.missing_scopes(endpoints)
        if missing:
            raise ScopeMissing(missing, self.client.scopes() or frozenset())


def connect(
    settings: AutomatumSettings,
    *,
    clock: Clock | None = None,
    budget: Budget | None = None,
    max_wait: float | None = None,
    stop: threading.Event | None = None,
) -> ApiSession:
    """Open a session. Sends no request.

    Args:
        settings: Resolved settings.
        clock: Time; None for the machine's clock.
        budget: Limits of the run; None for no limits.
        max_wait: Seconds that a request may wait for the rate limit; None for no limit.
        stop: Set this event to end the run, if `clock` and `budget` are None.

    Raises:
        ConfigurationError: An override of an endpoint, or what is done to a column, is not valid.
    """
    redact_logging()
    clock = clock or SystemClock(stop)
    budget = budget or Budget(clock, stop=stop)
    limiter, *more = open_rate_limiters(settings, clock)
    sender = Sender(settings, clock, limiter, budget)
    client = ApiClient(sender)
    client.tokens.max_wait = max_wait
    endpoints, entitlement_at = resolve_endpoints(settings), resolve_entitlement(settings)
    if more:
        others = [
            ApiClient(sender.beside(replace(settings, client_id=client_id, client_secret=secret), one))
            for (client_id, secret), one in zip(settings.pool(), more, strict=True)
        ]
        client.pool = Pool(client, others, endpoints, settings.organization_id or "")
    checks, personal = settings.delete_checks(), read_policies(endpoints, settings.personal, settings.personal_key)
    return ApiSession(settings, endpoints, clock, budget, client, entitlement_at, checks, personal)
