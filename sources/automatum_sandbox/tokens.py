"""OAuth applications and the tokens issued to them (vendor page `api/authentication`)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from .config import AppConfig
from .data.randomness import seeded_random
from .responses import ApiResponse, failure

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass
class App:
    """An OAuth application.

    Attributes:
        client_id: Also its id in `/oauth/applications/:id` (assumed).
        secret: Current client secret.
        organization_id: Organization whose rows it sees.
        created: Seconds since 1970.
        last_used: Seconds since 1970 of its latest token, None before the first.
    """

    client_id: str
    secret: str = field(repr=False)
    name: str
    description: str
    scopes: tuple[str, ...]
    organization_id: str
    created: float
    updated: float
    last_used: float | None = None


@dataclass
class Token:
    """An issued token.

    Attributes:
        expires: Seconds since 1970.
        scopes: The application's scopes at issue: changed scopes need a new token (`api/authentication`).
    """

    app: App
    scopes: tuple[str, ...]
    expires: float
    revoked: bool = False


class Tokens:
    """All applications and tokens.

    Args:
        seed: Seed of ids and secrets.
        lock: Lock of the sandbox.
    """

    def __init__(self, seed: int, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self.apps: dict[str, App] = {}
        self._draw = seeded_random(f"credentials{seed}")
        self._key = f"sandbox-signing-key-{seed}".encode()
        self._issued: dict[str, Token] = {}

    def _random_text(self, length: int) -> str:
        return "".join(self._draw.choice(_LETTERS) for _ in range(length))

    def add_app(self, config: AppConfig, organization_id: str, now: float) -> App:
        """Register an application."""
        # Both are generated even if not needed, so that a fixed id does not change the secrets of other applications.
        client_id, secret = f"app_{self._random_text(12)}", f"secret_{self._random_text(20)}"
        app = App(
            config.client_id or client_id,
            config.client_secret or secret,
            config.name,
            "Local sandbox",
            tuple(config.scopes),
            organization_id,
            now,
            now,
        )
        self.apps[app.client_id] = app
        return app

    def authenticate(self, client_id: str, secret: str) -> App | None:
        """The application with these credentials, None if they are wrong."""
        app = self.apps.get(client_id)
        return app if app is not None and hmac.compare_digest(app.secret.encode(), secret.encode()) else None

    def issue(self, app: App, seconds: float, now: float) -> str:
        """A new token: a JWT with an HS256 signature, like the token in the vendor's sample."""
        claims = {"sub": app.client_id, "org": app.organization_id, "iat": int(now), "exp": int(now + seconds)}
        header = json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":"))
        signed = f"{_encode(header.encode())}.{_encode(json.dumps({**claims, 'jti': len(self._issued)}).encode())}"
        text = f"{signed}.{_encode(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())}"
        self._issued[text] = Token(app, app.scopes, now + seconds)
        return text

    def check(self, headers: Mapping[str, str], now: float, revoked_message: str) -> Token | ApiResponse:
        """The token of a request, or the 401 response."""
        kind, _, text = headers.get("authorization", "").partition(" ")
        token = self._issued.get(text.strip())
        if kind.lower() != "bearer" or token is None:
            return failure(401, "Invalid token")
        if token.revoked:
            return failure(401, revoked_message)
        return failure(401, "Token expired") if now >= token.expires else token

    def revoke(self, client_id: str | None = None) -> int:
        """Revoke the tokens of an application, or all; returns how many were valid."""
        with self._lock:
            valid = [t for t in self._issued.values() if not t.revoked and client_id in (None, t.app.client_id)]
            for token in valid:
                token.revoked = True
            return len(valid)

    def new_secret(self, app: App, now: float) -> str:
        """A new secret; the old secret and all tokens are invalid at once (`api/authentication`)."""
        app.secret, app.updated = f"secret_{self._random_text(20)}", now
        self.revoke(app.client_id)
        return app.secret

    def delete_app(self, app: App) -> None:
        """Delete an application and revoke its tokens."""
        self.revoke(app.client_id)
        del self.apps[app.client_id]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
