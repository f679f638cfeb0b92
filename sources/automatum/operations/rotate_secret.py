"""A new client secret: asked for, stored, read back and tried, before anybody is told that it went well.

The old secret and all its tokens are dead at once (`api/authentication`), and the new one is shown once. So what can
fail is made to fail before: whether the new one can be stored is proven by a write that changes nothing. Should it fail
all the same, the new one goes to a file that only its owner can read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
import requests

from ..api.oauth import TokenSource
from ..api.rate_limit import open_rate_limiter
from ..api.session import ApiSession
from ..config.reload import reload_credentials
from ..config.secret_source import SECRET, STORE_IN, find_secret_source, open_store
from ..config.settings import AutomatumSettings
from ..config.vaults.base import CredentialStore
from ..core.clock import instant
from ..core.errors import EXIT_COMPLETE, ApiUnreachable, AutomatumError, ConfigurationError, SecretNotKept
from ..core.file_lock import exclusive_lock
from ..core.redaction import register_secret
from ..endpoints import APPLICATIONS_PATH, REGENERATE
from .oauth_apps import Application, find_application, find_secrets, shape_of

logger = logging.getLogger("automatum")

ATTEMPTS = 3
"""Attempts to store."""
PAUSE = 2.0
"""Seconds between two of them."""
_BY_HAND = (
    "Regenerate it in the Automatum dashboard (Settings > Integrations > API Access) and store the secret that it "
    "shows."
)


@dataclass
class Rotation:
    """What a rotation came to: the new secret is stored and was read back.

    Attributes:
        application: Whose secret it is.
        stored_in: Where it is.
        tried: Whether a token was taken with it.
        shadowed_by: Where a secret comes from that wins over the stored one; empty if none does.
        error: Why no token was taken.
    """

    application: Application
    stored_in: str
    tried: bool = False
    shadowed_by: str = ""
    error: AutomatumError | None = None

    @property
    def exit_code(self) -> int:
        """0 if the new secret works; what kept it from being tried, if not."""
        return self.error.exit_code if self.error else EXIT_COMPLETE

    def as_json(self) -> dict[str, Any]:
        """The rotation as one JSON object; holds no secret."""
        return {
            "rotated": True,
            "id": self.application.id,
            "client_id": self.application.client_id,
            "stored_in": self.stored_in,
            "tried": self.tried,
            "shadowed_by": self.shadowed_by or None,
            "errors": [self.error.as_json()] if self.error else [],
        }


@dataclass
class _Regenerated:
    """What the answers to the request held."""

    known: str = field(repr=False)
    found: list[str] = field(default_factory=list, repr=False)
    content: bytes = field(default=b"", repr=False)
    under_way: bool = False

    def send(self) -> None:
        self.under_way = True

    def not_taken(self) -> None:
        self.under_way = False

    def inspect(self, content: bytes) -> None:
        self.content = content
        self.found = find_secrets(content, self.known)
        for secret in self.found:
            register_secret(secret)


def rotate(
    session: ApiSession,
    wanted: str | None = None,
    *,
    store_in: str | None = None,
    confirm: Callable[[Application, str], bool] = lambda application, where: True,
) -> Rotation:
    """Regenerate the secret of an application and store the new one.

    Args:
        session: The API.
        wanted: Id or client id; None for the application that asks.
        store_in: Where the new secret goes (see `origin.open_store`); None for where the present one comes from.
        confirm: Asked before anything is changed, with the application and the place.

    Raises:
        ConfigurationError: The new secret could not be stored, or nobody confirmed. Nothing is changed.
        SecretNotKept: The secret was regenerated, or may have been, and is not where it belongs.
        Busy: The same application's secret is being rotated by another process. Nothing is changed.
        AutomatumError: The API or the vault refuse or do not answer. Nothing is changed.
    """
    with _alone(session):
        return _rotate(session, wanted, store_in, confirm)


def _rotate(
    session: ApiSession, wanted: str | None, store_in: str | None, confirm: Callable[[Application, str], bool]
) -> Rotation:
    settings = session.settings
    place = _place(settings, store_in)
    application = find_application(session, wanted or settings.client_id)
    own = application.client_id == settings.client_id
    changes = _fitting(place, application, settings, own, store_in)
    if not confirm(application, place.description):
        raise ConfigurationError("--yes", "not confirmed; nothing was changed.")
    place.check_writable()
    found = _regenerate(session, application, settings.client_secret if own else "")
    secret = found[0] if len(found) == 1 else _the_one(session, application, found)
    _store(session, place, {**changes, SECRET: secret}, application)
    rotation = Rotation(application, place.description)
    try:
        _try(session, application, secret)
        rotation.tried = True
    except AutomatumError as error:
        rotation.error = error
    if own:
        rotation.shadowed_by = _shadow(settings, secret)
    return rotation


@contextmanager
def _alone(session: ApiSession) -> Iterator[None]:
    """Of two rotations at once the secret of the first would be dead when it is stored."""
    name = hashlib.sha256(f"{session.settings.base_url} {session.settings.client_id}".encode()).hexdigest()[:16]
    path = _state_folder() / f"rotate-{name}.lock"
    with exclusive_lock(
        path, "The secret of this application", "a rotation", wait=0, clock=session.clock, budget=session.budget
    ):
        yield


def _try(session: ApiSession, application: Application, secret: str) -> None:
    """Take a token with this secret, and with no other that the configuration may have."""
    settings = session.settings.copy()
    settings.client_id, settings.client_secret = application.client_id, secret
    with requests.Session() as http:
        tokens = TokenSource(
            settings.base_url,
            settings.client_id,
            secret,
            http,
            open_rate_limiter(settings, session.clock),
            session.clock,
            session.budget,
            settings.request_timeout,
            attempts=settings.retry_attempts,
            deadline=settings.retry_deadline,
        )
        tokens.max_wait = session.client.max_wait
        tokens.token()


def _the_one(session: ApiSession, application: Application, found: list[str]) -> str:
    """Of several that may be the new secret the one that is taken."""
    for secret in found:
        with suppress(AutomatumError):
            _try(session, application, secret)
            return secret
    kept_at = _keep({"one_of": found}, application, session.clock.time())
    raise SecretNotKept(
        f"The secret of {application.client_id} was regenerated; the answer holds several that may be it, and none is "
        f"taken. The old one is dead. {_said(kept_at, 'They are')}",
        _BY_HAND,
        kept_at,
    )


def _shadow(settings: AutomatumSettings, secret: str) -> str:
    """Where a secret comes from that wins over the one just stored; empty if none does."""
    with suppress(AutomatumError):
        found = reload_credentials(settings)
        if found is None or found[1] != secret:
            return find_secret_source(settings.organization).description
    return ""


def _place(settings: AutomatumSettings, store_in: str | None) -> CredentialStore:
    if store_in is not None:
        return open_store(store_in, settings.organization)
    origin = find_secret_source(settings.organization)
    if origin.store is None:
        raise ConfigurationError(
            STORE_IN,
            f"the secret comes from {origin.description}, which cannot be written.",
            "Name where the new one is to go: --store-in toml, or a vault's address (docs/secrets.md). "
            "Nothing was changed.",
        )
    return origin.store


def _fitting(
    place: CredentialStore, application: Application, settings: AutomatumSettings, own: bool, store_in: str | None
) -> dict[str, str]:
    """What is to be stored beside the secret, if the place is for this application."""
    if not own and store_in is None:
        raise ConfigurationError(
            STORE_IN,
            f"{application.id} is not the application of this configuration, so where its secret is kept is not known.",
            "Name the place. Nothing was changed.",
        )
    found = place.read() or {}
    there = found.get("client_id")
    if there and there != application.client_id:
        raise ConfigurationError(
            STORE_IN if store_in else "ID",
            f"{place.description} holds the credentials of {there}, not of {application.client_id}.",
            "Name another place. Nothing was changed.",
        )
    if store_in is None and str(found.get(SECRET, "")).strip() != settings.client_secret.strip():
        raise ConfigurationError(
            place.description, "the secret there has just changed.", "Run again. Nothing was changed."
        )
    return {} if there or store_in is None else {"client_id": application.client_id}


def _regenerate(session: ApiSession, application: Application, known: str) -> list[str]:
    """The new secret, or whatever in the answer may be it; the old one is dead then."""
    answer = _Regenerated(known)
    path = f"{APPLICATIONS_PATH}/{quote(application.id, safe='')}/{REGENERATE}"
    failed: AutomatumError | None = None
    try:
        session.client.post(path, b"{}", before=answer.send, not_taken=answer.not_taken, inspect=answer.inspect)
    except AutomatumError as error:
        failed = error
    unknown = answer.under_way and isinstance(failed, ApiUnreachable)
    if failed is not None and not unknown:
        raise failed
    if answer.found:
        return answer.found
    status = failed.status if isinstance(failed, ApiUnreachable) else 200
    kept_at = None
    if status is not None and 200 <= status < 300:
        kept_at = _keep({"answer": answer.content.decode("utf-8", "replace")}, application, session.clock.time())
    if failed is None or kept_at:
        raise SecretNotKept(
            f"The secret of {application.client_id} was regenerated, and none was found in the answer "
            f"({shape_of(answer.content)}). The old one is dead. {_said(kept_at, 'The answer is')}",
            _BY_HAND,
            kept_at,
        )
    raise SecretNotKept(
        f"Whether the secret of {application.client_id} was regenerated is not known: {failed.message}",
        f"`automatum check` tells: if it ends with 77, the old one is dead. {_BY_HAND}",
    )


def _store(session: ApiSession, place: CredentialStore, changes: dict[str, str], application: Application) -> None:
    """Store and read back; if that fails, keep the secret in a file."""
    problem, broken = "", None
    for attempt in range(ATTEMPTS):
        if attempt:
            logger.warning("%s; attempt %d of %d", problem, attempt + 1, ATTEMPTS)
            session.clock.sleep(PAUSE)
        try:
            place.write(changes)
            found = place.read() or {}
            if all(found.get(key) == value for key, value in changes.items()):
                return
            problem = "What was stored does not read back"
        except AutomatumError as error:
            problem = error.message
        except BaseException as error:
            # Whatever ends this process: the secret must not go with it.
            problem, broken = type(error).__name__, error
            break
    kept_at = _keep({"client_id": application.client_id, **changes}, application, session.clock.time())
    if broken is not None:
        logger.error("the new secret is not stored: %s", problem)
    raise SecretNotKept(
        f"The secret of {application.client_id} was regenerated, and could not be stored in {place.description}: "
        f"{problem.rstrip('.')}. The old one is dead. {_said(kept_at, 'The new one is')}",
        "Store it where it belongs, then remove the file." if kept_at else _BY_HAND,
        kept_at,
    )


def _said(kept_at: str | None, what: str) -> str:
    return f"{what} in {kept_at}, which only you can read." if kept_at else "No file could be written to keep it."


def _state_folder() -> Path:
    return platformdirs.user_state_path("automatum", appauthor=False)


def _keep(document: dict[str, Any], application: Application, now: float) -> str | None:
    """Write a file that only its owner can read; returns its path, None if no file can be written."""
    stamp = instant(now).replace(":", "")
    name = "".join(one if one.isalnum() or one in "_-" else "_" for one in application.client_id)
    text = json.dumps({**document, "kept_at": instant(now)}, indent=2) + "\n"
    for folder in (_state_folder(), Path(tempfile.gettempdir())):
        for number in range(100):
            path = folder / f"rotated-{name}-{stamp}{f'-{number}' if number else ''}.json"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError:
                continue
            except OSError:
                break
            return str(path)
    return None
