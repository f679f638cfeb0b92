"""OAuth 2.0 client credentials, as in the vendor's `api/authentication`. All requests share one token."""

from __future__ import annotations

import logging
import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ApiUnreachable, AutomatumError, CredentialsRefused, NotThere, RequestRefused
from ..core.redaction import register_secret
from ..endpoints import METERING_SCOPE, TOKEN_PATH
from .connections import Connections
from .http import DASHBOARD, PLAN, HttpFailure, HttpResponse, parse_number, redirect_error, send
from .rate_limit import RateLimiter
from .retry import RetryPolicy

logger = logging.getLogger("automatum")

DEFAULT_LIFETIME = 3600.0
"""Seconds; the documented lifetime, used if `expires_in` is missing or invalid."""
REFUSED_FOR = 60.0
"""Seconds for which refused credentials are not tried again, so that not each table of a sync asks again."""
MAX_LIFETIME = 86400.0
"""Seconds; a larger `expires_in` is invalid, and probably in milliseconds."""

_VERIFY = (
    "Verify client_id and client_secret (AUTOMATUM_CLIENT_ID, AUTOMATUM_CLIENT_SECRET). They stop working when the "
    f"application is deleted or its secret is regenerated: see {DASHBOARD}."
)


@dataclass(frozen=True, slots=True)
class _Grant:
    token: str = field(repr=False)
    scopes: frozenset[str] | None
    refresh_at: float


class TokenSource:
    """Fetches a token on demand and keeps it until shortly before it expires. Thread-safe.

    Args:
        settings: Resolved settings, with the credentials.
        connections: Connections.
        limiter: Counts token requests too, because the vendor does not document whether they count.
        clock: Time.
        budget: Limits of the run.
        rng: Source of jitter; None for a new one.
        reload_credentials: Returns the client id and secret that are configured now, or None. Called once for each
            secret that is refused, so that a rotated secret needs no restart.

    Attributes:
        max_wait: Seconds that a token request may wait for the rate limit; None for no limit.
    """

    def __init__(
        self,
        settings: AutomatumSettings,
        connections: Connections,
        limiter: RateLimiter,
        clock: Clock,
        budget: Budget,
        rng: random.Random | None = None,
        reload_credentials: Callable[[], tuple[str, str] | None] | None = None,
    ) -> None:
        register_secret(settings.client_secret)
        self.max_wait: float | None = None
        self._settings = settings
        self._client_id: str = settings.client_id
        self._client_secret: str = settings.client_secret
        self._connections, self._limiter, self._clock, self._budget = connections, limiter, clock, budget
        self._rng = rng or random.Random()  # noqa: S311  jitter, not secrecy
        self._ask_again = reload_credentials
        self._grant: _Grant | None = None
        self._refusal: tuple[CredentialsRefused, float] | None = None
        self._lock = threading.Lock()

    def token(self) -> str:
        """Return a token that does not expire soon. One thread fetches it for all.

        Raises:
            CredentialsRefused: The API does not accept the client id and secret.
            ApiUnreachable: No usable response within attempts and deadline, or a redirect.
            RequestRefused: Another refusal, such as 404 for a wrong `base_url`.
            MoreToDo: A limit of the run or the rate limit is reached.
        """
        with self._lock:
            return self._current_grant().token

    def cached_token(self) -> str | None:
        """The cached token, or None if it is missing or expires soon. Sends no request."""
        grant = self._grant
        return grant.token if grant and self._clock.monotonic() < grant.refresh_at else None

    def scopes(self) -> frozenset[str] | None:
        """Return the scopes of the token, after fetching one if necessary.

        Returns:
            The scopes; None if the response did not list them. Then try every table.

        Raises:
            AutomatumError: As in `token`.
        """
        with self._lock:
            return self._current_grant().scopes

    def cached_scopes(self) -> frozenset[str] | None:
        """The scopes of the cached token; None without a token, or if the response did not list them."""
        grant = self._grant
        return grant.scopes if grant else None

    def invalidate(self, token: str) -> None:
        """Drop this token if it is still cached. Two threads that got a 401 thus fetch one new token."""
        with self._lock:
            if self._grant and self._grant.token == token:
                self._grant = None

    def _current_grant(self) -> _Grant:
        grant = self._grant
        if grant is None or self._clock.monotonic() >= grant.refresh_at:
            self._grant = None
            if self._refusal and self._clock.monotonic() <= self._refusal[1]:
                raise self._refusal[0]
            try:
                self._grant = grant = self._fetch()
            except CredentialsRefused as error:
                self._refusal = error, self._clock.monotonic() + REFUSED_FOR
                raise
            # An application without the scope for metering needs no reserve.
            self._limiter.reserve = self._settings.metering_reserve if METERING_SCOPE in (grant.scopes or ()) else 0.0
        return grant

    def _fetch(self) -> _Grant:
        settings = self._settings
        retry = RetryPolicy(settings, self._clock, self._limiter, self._budget, self._rng)
        refused: set[str] = set()
        while True:
            with retry.exclude_time():
                # A push needs a token too, so token requests may use the reserve. There are a few a day.
                ticket = self._limiter.acquire(self.max_wait, self._budget, from_reserve=True)
            outcome: HttpResponse | HttpFailure | None = None
            try:
                self._budget.charge_token_request()
                started = self._clock.monotonic()
                outcome = self._post(retry.remaining_seconds())
            finally:
                # Also if it was not sent: the recorded request then ages.
                retry.record(ticket, outcome)
            if isinstance(outcome, HttpFailure):
                status, detail, retry_after = None, outcome.detail, None
            else:
                if outcome.usable:
                    return _grant(outcome, started, self._clock.monotonic())
                if outcome.status == 429:
                    retry.wait_after_429(f"POST {TOKEN_PATH}", outcome)
                    continue
                if outcome.status in (400, 401):
                    with retry.exclude_time():
                        self._reload_secret(outcome, refused)
                    continue
                _raise_for_status(outcome, settings.base_url)
                status, detail, retry_after = outcome.status, outcome.detail, outcome.retry_after()
            retry.wait_after_failure("POST", TOKEN_PATH, status, detail, retry_after)

    def _reload_secret(self, response: HttpResponse, refused: set[str]) -> None:
        """Use the secret that is configured now if it is a new one; raise otherwise."""
        refused.add(self._client_secret)
        message = f"POST {TOKEN_PATH} answered {response.status}: {response.detail}."
        found, problem = None, ""
        try:
            found = self._ask_again() if self._ask_again else None
        except AutomatumError as error:
            problem = f" The configuration could not be read again: {error.message}"
        client_id, secret = found or (self._client_id, self._client_secret)
        if client_id != self._client_id:
            raise CredentialsRefused(
                f"{message} The configuration now names another application, {client_id}.",
                "If that is intended, run again: each application has its own rate limit.",
            )
        if secret in refused:
            raise CredentialsRefused(message + problem, _VERIFY)
        register_secret(secret)
        self._client_secret = secret
        logger.info("the client secret was refused; retrying with the new secret from the configuration")

    def _post(self, within: float) -> HttpResponse | HttpFailure:
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
        }
        return send(
            self._connections,
            "POST",
            settings.base_url + TOKEN_PATH,
            clock=self._clock,
            timeout=min(settings.request_timeout, within),
            within=within,
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            stopping=lambda: self._budget.over,
        )


def _raise_for_status(response: HttpResponse, base_url: str) -> None:
    """Raise an error that no retry can change; return for the others."""
    status, detail = response.status, response.detail
    if 300 <= response.http_status < 400:
        raise redirect_error("POST", TOKEN_PATH, response)
    if status == 403:
        raise CredentialsRefused(f"POST {TOKEN_PATH} answered 403: {detail}.", f"{PLAN} {_VERIFY}")
    if status == 404:
        raise NotThere("POST", TOKEN_PATH, status, detail, f"Check sources.automatum.base_url ({base_url}).")
    if 400 <= status < 500 and status != 408:
        raise RequestRefused("POST", TOKEN_PATH, status, detail, _VERIFY)


def _grant(response: HttpResponse, started: float, now: float) -> _Grant:
    body: Mapping[str, Any] = response.body or {}
    if "access_token" not in body and isinstance(body.get("data"), dict):
        body = body["data"]
    token = body.get("access_token")
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable() and " " not in token):
        if isinstance(body.get("error"), str):
            raise CredentialsRefused(f"POST {TOKEN_PATH} answered {response.status}: {response.detail}.", _VERIFY)
        raise ApiUnreachable(
            "POST", TOKEN_PATH, response.status, "the answer has no access_token", "Check sources.automatum.base_url."
        )
    register_secret(token)
    lifetime = parse_number(body.get("expires_in"))
    if lifetime is None or not 1 <= lifetime <= MAX_LIFETIME:
        lifetime = DEFAULT_LIFETIME
    margin = min(max(60.0, 0.1 * lifetime), 0.5 * lifetime)
    scope = body.get("scope")
    if isinstance(scope, list):
        scope = " ".join(map(str, scope))
    # Spaces are documented; some servers write commas.
    scopes = frozenset(re.split(r"[\s,]+", scope)) - {""} if isinstance(scope, str) else None
    # The lifetime starts after the request was sent, so counting from the sending is safe. A slow answer leaves less
    # than the margin; then half of the rest is used.
    expires_at = started + lifetime
    return _Grant(token, scopes, max(expires_at - margin, (now + expires_at) / 2))
