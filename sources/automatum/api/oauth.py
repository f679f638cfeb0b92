"""OAuth 2.0 client credentials, as in the vendor's `api/authentication`. All requests share one token."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..core.errors import ApiUnreachable, AutomatumError, CredentialsRefused, MoreToDo, NotThere, RequestRefused
from ..core.redaction import Secret
from ..endpoints import METERING_SCOPE, TOKEN_PATH
from .http import DASHBOARD, PLAN, ApiResponse, parse_number
from .retry import Call, Sender, do_nothing

logger = logging.getLogger("automatum")

DEFAULT_LIFETIME = 3600.0
"""Seconds; the documented lifetime, used if `expires_in` is missing or invalid."""
METERING_RESERVE = 0.1
"""Share of the rate limit that only a push may use: 100 requests an hour, which carry 2,500 usages."""
REFUSED_FOR = 60.0
"""Seconds for which refused credentials are not tried again, so that not each table of a sync asks again."""
MAX_LIFETIME = 86400.0
"""Seconds; a larger `expires_in` is invalid, and probably in milliseconds."""

_VERIFY = (
    "Verify client_id and client_secret (AUTOMATUM_CLIENT_ID, AUTOMATUM_CLIENT_SECRET). They stop working when the "
    f"application is deleted or its secret is regenerated: see {DASHBOARD}."
)

_HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class _Grant:
    token: Secret
    scopes: frozenset[str] | None
    refresh_at: float


class TokenSource:
    """Fetches a token on demand and keeps it until shortly before it expires. Thread-safe.

    Token requests count against the rate limits too, because the vendor does not document whether they do.

    Args:
        sender: Sends the requests, with the settings, the clock and the limits of the run.
        reload_credentials: Returns the client id and secret that are configured now, or None. Called once for each
            secret that is refused, so that a rotated secret needs no restart.

    Attributes:
        max_wait: Seconds that a token request may wait for the rate limit; None for no limit.
    """

    def __init__(
        self, sender: Sender, reload_credentials: Callable[[], tuple[str, Secret] | None] = do_nothing
    ) -> None:
        settings = sender.settings
        self.max_wait: float | None = None
        self._sender, self._clock = sender, sender.clock
        self._client_id: str = settings.client_id
        self._client_secret: Secret = settings.client_secret
        self._ask_again = reload_credentials
        self._grant: _Grant | None = None
        self._refusal: tuple[CredentialsRefused, float] | None = None
        self._lock = threading.Lock()

    def token(self) -> Secret:
        """Return a token that does not expire soon. One thread fetches it for all.

        Raises:
            CredentialsRefused: The API does not accept the client id and secret.
            ApiUnreachable: No usable response within attempts and deadline, or a redirect.
            RequestRefused: Another refusal, such as 404 for a wrong `base_url`.
            MoreToDo: A limit of the run or the rate limit is reached.
        """
        with self._lock:
            return self._current_grant().token

    def cached_token(self) -> Secret | None:
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

    def invalidate(self, token: Secret | None) -> bool:
        """Drop this token if it is still cached. Two threads that got a 401 thus fetch one new token."""
        with self._lock:
            cached = self._grant is not None and self._grant.token == token
            if cached:
                self._grant = None
            return cached

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
            reserved = METERING_SCOPE in (grant.scopes or ())
            self._sender.limiter.reserve = METERING_RESERVE if reserved else 0.0
        return grant

    def _fetch(self) -> _Grant:
        limiter, budget = self._sender.limiter, self._sender.budget
        refused: set[Secret] = set()
        sent_at = 0.0

        def acquire(call: Call) -> int:
            nonlocal sent_at
            # A push needs a token too, so token requests may use the reserve. There are a few a day.
            ticket = limiter.acquire(self.max_wait, budget, from_reserve=True)
            try:
                budget.charge_token_request()
            except MoreToDo:
                limiter.release(ticket)
                raise
            form = {"grant_type": "client_credentials", "client_id": self._client_id}
            # Without a name of its own: a traceback with local variables must not show the secret.
            call.payload = urlencode({**form, "client_secret": self._client_secret.reveal()}).encode()
            sent_at = self._clock.monotonic()
            return ticket

        def renew(call: Call, response: ApiResponse) -> None:
            self._reload_secret(response, refused)

        call = Call("POST", TOKEN_PATH, acquire, renew, self._error_for, headers=_HEADERS, renewed_after=(400, 401))
        return _grant(self._sender.run(call), sent_at, self._clock.monotonic())

    def _reload_secret(self, response: ApiResponse, refused: set[Secret]) -> None:
        """Use the secret that is configured now if it is a new one; raise otherwise."""
        refused.add(self._client_secret)
        message = f"POST {TOKEN_PATH} answered {response.status}: {response.detail}."
        found, problem = None, ""
        try:
            found = self._ask_again()
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
        self._client_secret = secret
        logger.info("the client secret was refused; retrying with the new secret from the configuration")

    def _error_for(self, call: Call, response: ApiResponse) -> AutomatumError:
        status, detail = response.status, response.detail
        if status == 403:
            return CredentialsRefused(f"{call.name} answered 403: {detail}.", f"{PLAN} {_VERIFY}")
        if status == 404:
            step = f"Check sources.automatum.base_url ({self._sender.settings.base_url})."
            return NotThere("POST", TOKEN_PATH, status, detail, step)
        return RequestRefused("POST", TOKEN_PATH, status, detail, _VERIFY)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable() and " " not in value


def _grant(response: ApiResponse, started: float, now: float) -> _Grant:
    body: Mapping[str, Any] = response.body
    if "access_token" not in body and isinstance(body.get("data"), dict):
        body = body["data"]
    token = Secret(body["access_token"]) if _is_token(body.get("access_token")) else None
    if token is None:
        if isinstance(body.get("error"), str):
            raise CredentialsRefused(f"POST {TOKEN_PATH} answered {response.status}: {response.detail}.", _VERIFY)
        raise ApiUnreachable(
            "POST", TOKEN_PATH, response.status, "the answer has no access_token", "Check sources.automatum.base_url."
        )
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
