"""Rotate a client secret: regenerate it, store the new one, read it back, and take a token with it.

The old secret and its tokens are invalid at once (`api/authentication`), and the API shows the new secret only once. So
a write that changes nothing proves first that the store is writable. The answer with the new secret goes to a file that
only its owner can read before anything looks into it. The file is removed once the secret is stored and read back, so
whatever ends the rotation in between leaves it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..api.connections import Connections
from ..api.exact_json import parse_json
from ..api.oauth import TokenSource
from ..api.rate_limit import open_rate_limiter
from ..api.retry import Sender
from ..api.session import ApiSession
from ..config.credentials import SECRET, STORE_IN, CredentialStore, find_secret_source, open_store, reload_credentials
from ..config.lookup import opaque
from ..config.settings import AutomatumSettings
from ..core.errors import EXIT_COMPLETE, ApiUnreachable, AutomatumError, ConfigurationError, SecretNotKept
from ..core.file_lock import exclusive_lock
from ..core.redaction import Secret, reveal
from ..endpoints import REGENERATE
from .applications import SECRET_KEYS, Application, find_application
from .rescue_file import RescueFile, left_behind, state_folder

logger = logging.getLogger("automatum")

ATTEMPTS = 3
"""Attempts to store the new secret."""
PAUSE = 2.0
"""Seconds between two attempts."""
_BY_HAND = (
    "Regenerate it in the Automatum dashboard (Settings > Integrations > API Access) and store the secret that it "
    "shows."
)


@dataclass
class Rotation:
    """The result of a rotation whose new secret is stored and was read back.

    Attributes:
        application: The application that the secret belongs to.
        stored_in: Where the new secret is.
        tried: Whether a token was taken with it.
        shadowed_by: A source with another secret that takes precedence over the stored one; empty if there is none.
        error: Why no token was taken.
    """

    application: Application
    stored_in: str
    tried: bool = False
    shadowed_by: str = ""
    error: AutomatumError | None = None

    @property
    def errors(self) -> list[AutomatumError]:
        """Why no token was taken."""
        return [self.error] if self.error else []

    @property
    def exit_code(self) -> int:
        """0 if the new secret works; else the code of the error that kept it from being tried."""
        return self.error.exit_code if self.error else EXIT_COMPLETE

    def to_json(self) -> dict[str, Any]:
        """The rotation as one JSON object; holds no secret."""
        return {
            "rotated": True,
            "id": self.application.id,
            "client_id": self.application.client_id,
            "stored_in": self.stored_in,
            "tried": self.tried,
            "shadowed_by": self.shadowed_by or None,
            "errors": [error.to_json() for error in self.errors],
        }


@dataclass
class _Response:
    """The response to the request, and the secrets in it."""

    known: Secret
    rescue: RescueFile
    secret: Secret = field(default=Secret(""))
    content: bytes = field(default=b"", repr=False)
    under_way: bool = False

    def send(self) -> None:
        self.under_way = True

    def not_taken(self) -> None:
        self.under_way = False

    def inspect(self, content: bytes) -> None:
        self.rescue.save({"answer": content.decode("utf-8", "backslashreplace")})
        self.content = content
        found = [Secret(text) for text in _find_secrets(content, self.known.reveal())]
        self.secret = found[0] if len(found) == 1 else Secret("")


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
        wanted: Id or client id; None for the application of this configuration.
        store_in: Where the new secret goes (see `secret_source.open_store`); None for the source of the present one.
        confirm: Called before anything is changed, with the application and the description of the store.

    Raises:
        ConfigurationError: The new secret could not be stored, or `confirm` returned False. Nothing is changed.
        SecretNotKept: The secret was regenerated, or may have been, and the new one is not in the store.
        Busy: The same application's secret is being rotated by another process. Nothing is changed.
        AutomatumError: The API or the vault refuse or do not answer. Nothing is changed.
    """
    with _rotation_lock(session):
        return _rotate(session, wanted, store_in, confirm)


def _rotate(
    session: ApiSession, wanted: str | None, store_in: str | None, confirm: Callable[[Application, str], bool]
) -> Rotation:
    settings = session.settings
    store = _choose_store(settings, store_in)
    application = find_application(session, wanted or settings.client_id)
    own = application.client_id == settings.client_id
    for path in left_behind(application.client_id):
        logger.warning("an earlier rotation was interrupted; the answer with its secret is in %s", path)
    changes = _check_store(store, application, settings, own, store_in)
    if not confirm(application, store.description):
        raise ConfigurationError("--yes", "not confirmed; nothing was changed.")
    store.check_writable()
    rescue = RescueFile(application.client_id, session.clock.time())
    try:
        secret = _regenerate(session, application, settings.client_secret if own else Secret(""), rescue)
        _store_secret(session, store, {**changes, SECRET: secret}, application, rescue)
    except AutomatumError:
        raise
    except BaseException as error:  # Also Ctrl-C: the secret must not be lost with the process.
        if rescue.path is None:
            raise
        raise SecretNotKept(
            f"The rotation of {application.client_id} was interrupted ({type(error).__name__}), and the old secret may "
            f"no longer be valid. {rescue.describe('The answer with the new one is')}",
            "Run `automatum check`: if it exits 77, store the secret that is in the file. If that one is refused, too: "
            f"{_BY_HAND}",
            rescue.path,
        ) from None
    rescue.discard()
    rotation = Rotation(application, store.description)
    try:
        _take_token(session, application, secret)
        rotation.tried = True
    except AutomatumError as error:
        rotation.error = error
    if own:
        rotation.shadowed_by = _find_shadowing_source(settings, secret)
    return rotation


@contextmanager
def _rotation_lock(session: ApiSession) -> Iterator[None]:
    """Allow one rotation at a time: the second of two would invalidate the secret that the first one stores."""
    name = hashlib.sha256(f"{session.settings.base_url} {session.settings.client_id}".encode()).hexdigest()[:16]
    path = state_folder() / f"rotate-{name}.lock"
    with exclusive_lock(
        path,
        "The secret of this application",
        "automatum apps rotate",
        wait=0,
        clock=session.clock,
        budget=session.budget,
        next_step="Run again when it has ended, if another new secret is wanted.",
    ):
        yield


def _take_token(session: ApiSession, application: Application, secret: Secret) -> None:
    """Take a token with this secret, and not with another one of the configuration."""
    settings = replace(session.settings, client_id=application.client_id, client_secret=secret)
    with Connections() as connections:
        limiter = open_rate_limiter(settings, session.clock)
        tokens = TokenSource(Sender(settings, session.clock, limiter, session.budget, connections))
        tokens.max_wait = session.client.tokens.max_wait
        tokens.token()


def _find_shadowing_source(settings: AutomatumSettings, secret: Secret) -> str:
    """A source whose other secret takes precedence over the stored one; empty if there is none."""
    with suppress(AutomatumError):
        found = reload_credentials(settings.credentials_from)
        if found is None or found[1] != secret:
            return find_secret_source(settings.organization).description
    return ""


def _choose_store(settings: AutomatumSettings, store_in: str | None) -> CredentialStore:
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


def _check_store(
    store: CredentialStore, application: Application, settings: AutomatumSettings, own: bool, store_in: str | None
) -> dict[str, str | Secret]:
    """Check that the store is for this application; returns what to store besides the secret."""
    if not own and store_in is None:
        raise ConfigurationError(
            STORE_IN,
            f"{application.id} is not the application of this configuration, so where its secret is kept is not known.",
            "Name the store. Nothing was changed.",
        )
    found = store.read() or {}
    there = found.get("client_id")
    if there and there != application.client_id:
        raise ConfigurationError(
            STORE_IN if store_in else "ID",
            f"{store.description} holds the credentials of {there}, not of {application.client_id}.",
            "Name another store. Nothing was changed.",
        )
    if store_in is None and opaque(found.get(SECRET)) != settings.client_secret:
        raise ConfigurationError(
            store.description, "the secret there has just changed.", "Run again. Nothing was changed."
        )
    return {} if there or store_in is None else {"client_id": application.client_id}


def _regenerate(session: ApiSession, application: Application, known: Secret, rescue: RescueFile) -> Secret:
    """Regenerate the secret; returns the new one."""
    answer = _Response(known, rescue)
    path = f"{application.path}/{REGENERATE}"
    failed: AutomatumError | None = None
    try:
        session.client.post(path, b"{}", before=answer.send, not_taken=answer.not_taken, inspect=answer.inspect)
    except AutomatumError as error:
        failed = error
    unknown = answer.under_way and isinstance(failed, ApiUnreachable)
    if failed is not None and not unknown:
        rescue.discard()
        raise failed
    if answer.secret:
        return answer.secret
    status = failed.status if isinstance(failed, ApiUnreachable) else 200
    if status is None or not 200 <= status < 300:
        rescue.discard()
    if failed is None or rescue.path:
        raise SecretNotKept(
            f"The secret of {application.client_id} was regenerated, and its answer ({len(answer.content)} bytes) has "
            f"no single field {SECRET_KEYS[0]}. The old one is no longer valid. {rescue.describe('The answer is')}",
            _BY_HAND,
            rescue.path,
        )
    raise SecretNotKept(
        f"Whether the secret of {application.client_id} was regenerated is not known: {failed.message}",
        f"Run `automatum check`: if it exits 77, the old one is no longer valid. {_BY_HAND}",
    )


def _find_secrets(content: bytes, known: str) -> list[str]:
    """The different values of fields that hold a new secret (the shape of the answer is not documented)."""
    try:
        ahead: list[tuple[str, Any]] = [("", parse_json(content))]
    except ValueError:
        return []
    found = []
    while ahead:  # An answer may be nested too deeply for recursion.
        key, node = ahead.pop()
        if isinstance(node, Mapping):
            ahead += node.items()
        elif isinstance(node, list):
            ahead += [(key, one) for one in node]
        elif isinstance(node, str) and key.lower() in SECRET_KEYS and len(node.split()) == 1:
            found.append(node.strip())
    return [one for one in dict.fromkeys(found) if one != known]


def _store_secret(
    session: ApiSession,
    store: CredentialStore,
    changes: dict[str, str | Secret],
    application: Application,
    rescue: RescueFile,
) -> None:
    """Store the secret and read it back; if that fails, save it to a file."""
    problem, broken = "", None
    for attempt in range(ATTEMPTS):
        if attempt:
            logger.warning("%s; attempt %d of %d", problem, attempt + 1, ATTEMPTS)
            session.clock.sleep(PAUSE)
        try:
            store.write(changes)
            found = store.read() or {}
            if all(found.get(key) == value for key, value in changes.items()):
                return
            problem = "What was stored does not read back"
        except AutomatumError as error:
            problem = error.message
        except BaseException as error:
            # Also what ends this process: the secret must not be lost with it.
            problem, broken = type(error).__name__, error
            break
    rescue.save({"client_id": application.client_id, SECRET: reveal(changes[SECRET])})
    if broken is not None:
        logger.error("the new secret is not stored: %s", problem)
    raise SecretNotKept(
        f"The secret of {application.client_id} was regenerated, and could not be stored in {store.description}: "
        f"{problem.rstrip('.')}. The old one is no longer valid. {rescue.describe('The new one is')}",
        "Store it where it belongs, then remove the file." if rescue.path else _BY_HAND,
        rescue.path,
    )
