"""The way to the API: each attempt is charged, signed and sent anew; one retry layer, this one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from ..config.reload import reload_credentials
from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import AccessError, ApiUnreachable, CredentialsRefused, MoreToDo, NotThere, RequestRefused
from ..endpoints import API_PREFIX
from .exact_json import parse_json
from .http import HttpFailure, HttpResponse, send, shorten, without_defaults
from .oauth import TokenSource, host_of
from .rate_limit import RateLimiter, Ticket
from .retry import RetryPolicy

__all__ = ["ApiClient", "ApiResponse", "parse_json"]

MOST_REDIRECTS = 3
_LATEST = 0.1
"""Weight of the latest request in the moving average of what one takes."""
_YES_WITHOUT_WORDS = (201, 202, 204)
_DASHBOARD = "Settings > Integrations > API Access in the Automatum dashboard"


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A success.

    Attributes:
        body: The whole JSON object, envelope included. Numbers that a float cannot hold are `int` or `Decimal`.
        status: HTTP status, 2xx.
        received_at: Epoch seconds by our clock.
        date: Epoch seconds by the server's `Date`; None without one.
    """

    body: dict[str, Any]
    status: int
    received_at: float
    date: float | None


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


@dataclass
class _Call:
    """One request and how far it got."""

    method: str
    path: str
    url: str
    patience: RetryPolicy
    params: Mapping[str, str] | None = None
    payload: bytes | None = None
    redirects: int = 0
    reauthenticated: bool = False
    before: Callable[[], None] = _nothing
    not_taken: Callable[[], None] = _nothing
    inspect: Callable[[bytes], None] = _nothing
    token: str = field(default="", repr=False)

    @property
    def what(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm. A metering POST may be billed twice."""
        return self.method == "GET"

    def succeeded(self, reply: HttpResponse) -> bool:
        """Whether an answer says yes. To a POST that may be without words, where its status alone says enough."""
        return reply.usable or (not self.repeatable and reply.empty and reply.http_status in _YES_WITHOUT_WORDS)


class ApiClient:
    """Sends requests to the API. Safe to share between threads.

    Args:
        settings: Resolved settings.
        clock: Time.
        limiter: The vendor's rate limits.
        budget: The run's own bounds.
        session: Keeps the connections; None for a new one.
        rng: Source of jitter; None for a new one.

    Attributes:
        limiter: The vendor's rate limits.
        budget: The run's own bounds.
        tokens: Where tokens come from.
        seconds_per_request: What one takes, as a moving average; 0 before the first.
    """

    def __init__(
        self,
        settings: AutomatumSettings,
        clock: Clock,
        limiter: RateLimiter,
        budget: Budget,
        session: requests.Session | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self.limiter, self.budget = limiter, budget
        self.seconds_per_request = 0.0
        self._rng = rng or random.Random()  # noqa: S311  jitter, not secrecy
        self._session = without_defaults(session or requests.Session())
        self.tokens = TokenSource(
            settings.base_url,
            settings.client_id,
            settings.client_secret,
            self._session,
            limiter,
            clock,
            budget,
            settings.request_timeout,
            attempts=settings.retry_attempts,
            deadline=settings.retry_deadline,
            rng=self._rng,
            reserve=settings.metering_reserve,
            reload_credentials=partial(reload_credentials, settings),
        )

    @property
    def max_wait(self) -> float | None:
        """Seconds that a request may wait for quota; None for as long as it takes."""
        return self.tokens.max_wait

    @max_wait.setter
    def max_wait(self, seconds: float | None) -> None:
        self.tokens.max_wait = seconds

    def get(self, path: str, params: Mapping[str, str] | None = None) -> ApiResponse:
        """Ask for something, as often as it takes.

        Args:
            path: Below `/api/v1/`, or from `/oauth/` on.
            params: Query.

        Raises:
            NotThere: 404.
            RequestRefused: Another 4xx.
            AccessError: 403, or a fresh token is refused, or there is none to be had.
            ApiUnreachable: No usable answer within attempts and deadline.
            QuotaExhausted: A window is full for longer than `max_wait` or than the run has.
            BudgetSpent: The run's own bounds are reached.
        """
        return self._run(self._call("GET", path, params=params))

    def post(
        self,
        path: str,
        payload: bytes,
        *,
        before: Callable[[], None] = _nothing,
        not_taken: Callable[[], None] = _nothing,
        inspect: Callable[[bytes], None] = _nothing,
    ) -> ApiResponse:
        """Hand something over, once.

        It is sent again only where it is certain that the server did not take it: after a refused connection, a 429,
        or a 401 (once, with a new token). Each is sent on a connection of its own: on a kept one, a server that has
        just closed it could not be told from one that broke off after taking the request.

        Args:
            path: Below `/api/v1/`, or from `/oauth/` on.
            payload: JSON.
            before: Called right before each attempt, when quota and token are at hand. If it raises, nothing is sent.
            not_taken: Called right after an attempt of which it is certain that the server did not take it, before
                anything is waited for. What then ends the call leaves it so.
            inspect: Given the bytes of each answer before anything else is made of it, whatever it may say.

        Raises:
            NotThere: 404.
            RequestRefused: Another 4xx: the server did not take it.
            ApiUnreachable: Whether the server took it is not known (timeout, reset, broken answer, 5xx); or it could
                not be reached at all.
            AccessError: 403, or a fresh token is refused, or there is none to be had.
            QuotaExhausted: A window is full for longer than `max_wait` or than the run has.
            BudgetSpent: The run's own bounds are reached.
        """
        call = self._call("POST", path, payload=payload)
        call.before, call.not_taken, call.inspect = before, not_taken, inspect
        return self._run(call)

    def _call(
        self, method: str, path: str, params: Mapping[str, str] | None = None, payload: bytes | None = None
    ) -> _Call:
        settings = self._settings
        below = path if path.startswith("/oauth/") else API_PREFIX + path.lstrip("/")
        patience = RetryPolicy(
            self._clock, self.limiter, self.budget, settings.retry_attempts, settings.retry_deadline, self._rng
        )
        return _Call(method, below, settings.base_url + below, patience, params, payload)

    def _run(self, call: _Call) -> ApiResponse:
        while True:
            with call.patience.excuse():
                ticket, call.token = self._admit(call)
            try:
                outcome = self._send(call)
            finally:
                self.limiter.record_response(ticket)
            if isinstance(outcome, HttpResponse):
                self.limiter.observe(outcome.headers, outcome.date)
                if call.succeeded(outcome):
                    return ApiResponse(outcome.body or {}, outcome.http_status, outcome.received_at, outcome.date)
                self._take_no(call, outcome)
            elif call.repeatable or not outcome.sent:
                call.not_taken()
                self._again(call, None, outcome.detail)
            else:
                raise ApiUnreachable(call.method, call.path, None, outcome.detail, _unknown(call))

    def _admit(self, call: _Call) -> tuple[Ticket, str]:
        """Wait for the quota and get a token, in an order in which neither spoils while waiting for the other."""
        while True:
            self.budget.check_request()
            self.tokens.token()
            # What is handed over is metering: a read never takes what is kept for it.
            ticket = self.limiter.acquire(self.max_wait, self.budget, from_reserve=not call.repeatable)
            sendable = False
            try:
                token = self.tokens.held()
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

    def _send(self, call: _Call) -> HttpResponse | HttpFailure:
        started = self._clock.monotonic()
        try:
            return self._exchange(call)
        finally:
            self._took(self._clock.monotonic() - started)

    def _took(self, seconds: float) -> None:
        self.seconds_per_request += (seconds - self.seconds_per_request) * (
            _LATEST if self.seconds_per_request else 1.0
        )

    def _exchange(self, call: _Call) -> HttpResponse | HttpFailure:
        headers = {"Authorization": f"Bearer {call.token}", "Accept": "application/json"}
        timeout, left = self._settings.request_timeout, call.patience.left()
        if call.repeatable:
            return send(
                self._session, call.method, call.url, clock=self._clock, timeout=min(timeout, left), within=left,
                headers=headers, params=call.params,
            )  # fmt: skip
        headers["Content-Type"] = "application/json"
        within = max(timeout, self._settings.retry_deadline)
        with self._fresh_session() as session:
            return send(
                session, call.method, call.url, clock=self._clock, timeout=timeout, within=within,
                headers=headers, data=call.payload, inspect=call.inspect,
            )  # fmt: skip

    def _fresh_session(self) -> requests.Session:
        session, kept = without_defaults(requests.Session()), self._session
        session.trust_env, session.verify, session.cert = kept.trust_env, kept.verify, kept.cert
        session.proxies = dict(kept.proxies)
        return session

    def _take_no(self, call: _Call, reply: HttpResponse) -> None:
        """Return if the call is to be sent again; raise if not."""
        status, detail = reply.status, reply.detail
        if status == 429:
            call.not_taken()
            call.patience.throttled(call.what, reply)
        elif status == 401:
            call.not_taken()
            self._reauthenticate(call, reply)
        elif 300 <= reply.http_status < 400:
            self._follow(call, reply)
        elif 400 <= status < 500 and status != 408:
            raise _refusal(call, reply)
        elif call.repeatable:
            self._again(call, status, detail, reply.retry_after())
        else:
            raise ApiUnreachable(call.method, call.path, status, detail, _unknown(call))

    def _again(self, call: _Call, status: int | None, detail: str, asked: float | None = None) -> None:
        patience = call.patience
        if not patience.failed(f"{call.what}: {detail if status is None else f'{status} {detail}'}", asked):
            wish = f" The server asks to wait {asked:.0f} s." if asked else ""
            raise ApiUnreachable(
                call.method,
                call.path,
                status,
                detail,
                f"Tried {patience.failures} times.{wish} Run again later; check the network, a proxy, and "
                f"sources.automatum.base_url ({self._settings.base_url}).",
            )

    def _reauthenticate(self, call: _Call, reply: HttpResponse) -> None:
        self.tokens.invalidate(call.token)
        if call.reauthenticated:
            raise CredentialsRefused(
                f"{call.what} answered 401 to a fresh token too: {reply.detail}.",
                f"The application may have been deleted, or its secret regenerated, a moment ago: see {_DASHBOARD}.",
            )
        call.reauthenticated = True

    def _follow(self, call: _Call, reply: HttpResponse) -> None:
        """Follow a redirect of a GET within the host; the token goes nowhere else."""
        location = reply.headers.get("Location", "")
        target = _joined(call.url, location)
        call.redirects += 1
        if not call.repeatable or target is None or _origin(target) != _origin(call.url):
            detail = f"a redirect to {host_of(location)}, which is not followed: it would be given the token"
        elif call.redirects > MOST_REDIRECTS:
            detail = f"more than {MOST_REDIRECTS} redirects"
        else:
            call.url, call.params = target, None
            return
        raise ApiUnreachable(
            call.method,
            call.path,
            reply.http_status,
            detail,
            "Set sources.automatum.base_url to the host that answers itself.",
        )


def _refusal(call: _Call, reply: HttpResponse) -> Exception:
    """What a 4xx means to the reader."""
    status, detail = reply.status, reply.detail
    if status == 403:
        return AccessError(
            f"{call.what} answered 403: {detail}.",
            f"Add the scope under {_DASHBOARD}; the next run takes a new token, which carries it. API access belongs "
            "to the Professional plan and above.",
        )
    fields = _fields(reply)
    details = "; ".join(f"{name}: {message}" for name, message in fields)
    if details:
        detail = shorten(f"{detail} ({details})")
    if status == 404:
        return NotThere(
            call.method,
            call.path,
            status,
            detail,
            f"The path is {call.path}; if assumed, override sources.automatum.endpoints.<table>.path (for a further "
            "report: its path in sources.automatum.reports).",
            fields,
        )
    return RequestRefused(call.method, call.path, status, detail, "", fields)


def _fields(reply: HttpResponse) -> tuple[tuple[str, str], ...]:
    errors = (reply.body or {}).get("errors")
    pairs = errors if isinstance(errors, list) else []
    return tuple(
        (shorten(str(one.get("field", ""))), shorten(str(one.get("message", ""))))
        for one in pairs
        if isinstance(one, dict)
    )


def _unknown(call: _Call) -> str:
    return f"Whether the server took this {call.method} is not known, so it is not sent again."


def _joined(url: str, location: str) -> str | None:
    """Where a `Location` leads to; None if it makes no sense."""
    try:
        target = urljoin(url, location) if location else None
        return target if target and _origin(target) else None
    except ValueError:
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
