"""OAuth 2.0 client credentials, as in the vendor's `api/authentication`: one token, fetched by one, used by all."""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests

from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ApiUnreachable, AutomatumError, CredentialsRefused, NotThere, RequestRefused
from ..core.redaction import register_secret
from ..endpoints import METERING_SCOPE, TOKEN_PATH
from .http import HttpFailure, HttpResponse, send, without_defaults
from .rate_limit import RateLimiter
from .retry import RetryPolicy

logger = logging.getLogger("automatum")

DEFAULT_LIFE = 3600.0
"""Seconds that a token lives if its `expires_in` is missing or garbage: the documented life."""
SHORTEST_LIFE = 60.0
"""Seconds taken for an `expires_in` of 0 or less, which would ask for a token before every request."""
LONGEST_LIFE = 86400.0
"""Seconds; more is most likely a number of milliseconds."""

_VERIFY = (
    "Verify client_id and client_secret (AUTOMATUM_CLIENT_ID, AUTOMATUM_CLIENT_SECRET). They stop working when the "
    "application is deleted or its secret is regenerated: see Settings > Integrations > API Access in the Automatum "
    "dashboard."
)
_PLAN = (
    "API access belongs to the Professional plan and above; see Settings > Integrations > API Access in the "
    "Automatum dashboard."
)


@dataclass(frozen=True, slots=True)
class _Grant:
    token: str = field(repr=False)
    scopes: frozenset[str] | None
    stale_at: float


class TokenSource:
    """Fetches a token when one is needed and keeps it until shortly before it expires. Safe to share between threads.

    Args:
        base_url: Root of the host.
        client_id: OAuth client id.
        client_secret: OAuth client secret.
        session: Keeps the connections.
        limiter: Charged for each token request: whether the vendor counts them is not documented.
        clock: Time.
        budget: Bounds of the run.
        timeout: Seconds to wait for each piece of an answer.
        attempts: Failed attempts after which to give up.
        deadline: Seconds after which to give up.
        rng: Source of jitter.
        reserve: Share of the quota that is kept for metering, if the token grants it.
        reload_credentials: Returns the client id and secret that are configured now, or None. Called once for each
            secret that is refused, so that a rotated secret needs no restart.

    Attributes:
        max_wait: Seconds that a token request may wait for quota; None for as long as it takes.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        session: requests.Session,
        limiter: RateLimiter,
        clock: Clock,
        budget: Budget,
        timeout: float,
        *,
        attempts: int = 6,
        deadline: float = 120.0,
        rng: random.Random | None = None,
        reserve: float = 0.0,
        reload_credentials: Callable[[], tuple[str, str] | None] | None = None,
    ) -> None:
        register_secret(client_secret)
        self.max_wait: float | None = None
        self._base_url = base_url
        self._client_id, self._client_secret = client_id, client_secret
        self._session, self._limiter, self._clock, self._budget = without_defaults(session), limiter, clock, budget
        self._timeout, self._attempts, self._deadline = timeout, attempts, deadline
        self._rng = rng or random.Random()  # noqa: S311  jitter, not secrecy
        self._reserve = reserve
        self._ask_again = reload_credentials
        self._grant: _Grant | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenSource(base_url={self._base_url!r}, client_id={self._client_id!r})"

    def token(self) -> str:
        """A token that is not about to expire; fetched if need be, by one thread for all.

        Raises:
            CredentialsRefused: The vendor does not accept id and secret.
            ApiUnreachable: No usable answer within attempts and deadline, or a redirect.
            RequestRefused: Another refusal, such as 404 for a wrong `base_url`.
            MoreToDo: Budget or quota are spent.
        """
        with self._lock:
            return self._current().token

    def held(self) -> str | None:
        """The token at hand, if it is not about to expire; never sends a request."""
        grant = self._grant
        return grant.token if grant and self._clock.monotonic() < grant.stale_at else None

    def scopes(self) -> frozenset[str] | None:
        """Scopes that the token grants; fetches one if need be.

        Returns:
            The scopes, or None if the vendor did not say: then everything is to be tried.

        Raises:
            AutomatumError: As in `token`.
        """
        with self._lock:
            return self._current().scopes

    def invalidate(self, token: str) -> None:
        """Drop this token, if it is still the one at hand: two threads that were refused fetch one new token."""
        with self._lock:
            if self._grant and self._grant.token == token:
                self._grant = None

    def _current(self) -> _Grant:
        grant = self._grant
        if grant is None or self._clock.monotonic() >= grant.stale_at:
            self._grant = None
            self._grant = grant = self._fetch()
            # There is nothing to keep for an application that may not meter.
            self._limiter.reserve = self._reserve if METERING_SCOPE in (grant.scopes or ()) else 0.0
        return grant

    def _fetch(self) -> _Grant:
        patience = RetryPolicy(self._clock, self._limiter, self._budget, self._attempts, self._deadline, self._rng)
        refused: set[str] = set()
        while True:
            with patience.excuse():
                # A push needs a token too; so does a sync, and a handful a day is not worth two ways.
                ticket = self._limiter.acquire(self.max_wait, self._budget, from_reserve=True)
            try:
                self._budget.charge_token_request()
                started = self._clock.monotonic()
                outcome = self._post(patience.left())
            finally:
                # Even if it was not sent: the answer's arrival ages it either way.
                self._limiter.record_response(ticket)
            if isinstance(outcome, HttpFailure):
                status, detail, asked = None, outcome.detail, None
            else:
                self._limiter.observe(outcome.headers, outcome.date)
                if outcome.usable:
                    return _grant(outcome, started)
                if outcome.status == 429:
                    patience.throttled(f"POST {TOKEN_PATH}", outcome)
                    continue
                if outcome.status in (400, 401):
                    with patience.excuse():
                        self._renew(outcome, refused)
                    continue
                _refuse(outcome)
                status, detail, asked = outcome.status, outcome.detail, outcome.retry_after()
            if not patience.failed(f"POST {TOKEN_PATH}: {detail}", asked):
                raise ApiUnreachable(
                    "POST",
                    TOKEN_PATH,
                    status,
                    detail,
                    f"Tried {patience.failures} times. Check the network, a proxy, and sources.automatum.base_url "
                    f"({self._base_url}).",
                )

    def _renew(self, reply: HttpResponse, refused: set[str]) -> None:
        """Take up the secret that is configured by now, if it is another; raise if not."""
        refused.add(self._client_secret)
        message = f"POST {TOKEN_PATH} answered {reply.status}: {reply.detail}."
        found, problem = None, ""
        try:
            found = self._ask_again() if self._ask_again else None
        except AutomatumError as error:
            problem = f" Nor is there a newer secret to be had: {error.message}"
        client_id, secret = found or (self._client_id, self._client_secret)
        if client_id != self._client_id:
            raise CredentialsRefused(
                f"{message} By now the configuration names another application, {client_id}.",
                "If that is right, run again: its quota is counted apart.",
            )
        if secret in refused:
            raise CredentialsRefused(message + problem, _VERIFY)
        register_secret(secret)
        self._client_secret = secret
        logger.info("the client secret was refused; the configuration has a newer one by now, which is tried")

    def _post(self, within: float) -> HttpResponse | HttpFailure:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
        }
        return send(
            self._session,
            "POST",
            self._base_url + TOKEN_PATH,
            clock=self._clock,
            timeout=min(self._timeout, within),
            within=within,
            headers={"Accept": "application/json"},
            data=form,
        )


def _refuse(reply: HttpResponse) -> None:
    """Raise what no retry can change; return for the rest."""
    status, detail = reply.status, reply.detail
    if 300 <= reply.http_status < 400:
        _refuse_redirect(reply)
    if status == 403:
        raise CredentialsRefused(f"POST {TOKEN_PATH} answered 403: {detail}.", f"{_PLAN} {_VERIFY}")
    if status == 404:
        raise NotThere("POST", TOKEN_PATH, status, detail, "Check sources.automatum.base_url.")
    if 400 <= status < 500 and status != 408:
        raise RequestRefused("POST", TOKEN_PATH, status, detail, _VERIFY)


def _refuse_redirect(reply: HttpResponse) -> NoReturn:
    raise ApiUnreachable(
        "POST",
        TOKEN_PATH,
        reply.http_status,
        f"a redirect to {host_of(reply.headers.get('Location', ''))}, which is not followed: it would be given the "
        "client secret",
        "Set sources.automatum.base_url to the host that answers itself.",
    )


def host_of(url: str) -> str:
    """The host that a `Location` names, for an error; nothing else of it, as a query may hold anything."""
    try:
        return urlsplit(url).hostname or "the same host"
    except ValueError:
        return "an address that makes no sense"


def _grant(reply: HttpResponse, started: float) -> _Grant:
    body: Mapping[str, Any] = reply.body or {}
    if "access_token" not in body and isinstance(body.get("data"), dict):
        body = body["data"]
    token = body.get("access_token")
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable() and " " not in token):
        if isinstance(body.get("error"), str):
            raise CredentialsRefused(f"POST {TOKEN_PATH} answered {reply.status}: {reply.detail}.", _VERIFY)
        raise ApiUnreachable(
            "POST", TOKEN_PATH, reply.status, "the answer has no access_token", "Check sources.automatum.base_url."
        )
    register_secret(token)
    life = _life(body.get("expires_in"))
    margin = min(max(60.0, 0.1 * life), 0.5 * life)
    scope = body.get("scope")
    if isinstance(scope, list):
        scope = " ".join(str(one) for one in scope)
    # Its life began at the server after the request had left here, so counting from then errs on the safe side.
    return _Grant(token, frozenset(scope.split()) if isinstance(scope, str) else None, started + life - margin)


def _life(value: object) -> float:
    """Seconds that a token lives."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return DEFAULT_LIFE
    try:
        life = float(value)
    except (ValueError, OverflowError):
        return DEFAULT_LIFE
    if not math.isfinite(life):
        return DEFAULT_LIFE
    return min(life, LONGEST_LIFE) if life > 0 else SHORTEST_LIFE
