"""Rotate a client secret: regenerate it, store the new one, and read it back.

The old secret and its tokens are invalid at once (`api/authentication`), and the API shows the new secret only once. So
a write that changes nothing proves first that the store is writable. The answer with the new secret goes to a file that
only its owner can read before anything looks into it. The file is removed once the secret is stored and read back, so
whatever ends the rotation in between leaves it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..api.exact_json import parse_json
from ..api.session import ApiSession
from ..config.credentials import SECRET, STORE_IN, CredentialStore, find_secret_store, open_store
from ..config.settings import AutomatumSettings
from ..core.errors import EXIT_COMPLETE, ApiUnreachable, AutomatumError, ConfigurationError, SecretNotKept
from ..core.file_lock import exclusive_lock
from ..core.file_system import user_folder
from ..core.redaction import Secret
from ..endpoints import REGENERATE
from .applications import SECRET_KEYS, Application, find_application

logger = logging.getLogger("automatum")

_MASKED = re.compile(r"\*{2}|\u2022|\u2026|\.{3}").search
"""Part of a secret that is shown in part, such as `secret_****1a2b`."""
PAUSE = 2.0
"""Seconds before the second attempt to store the new secret."""
_NEXT = (
    "Run `automatum check`: if it exits 77, store the secret that is in the file, and remove the file. If there is "
    "none, regenerate it in the dashboard (Settings > Integrations > API Access) and store the secret that it shows."
)


@dataclass
class Rotation:
    """The result of a rotation whose new secret is stored and was read back.

    Attributes:
        application: The application that the secret belongs to.
        stored_in: Where the new secret is.
    """

    application: Application
    stored_in: str
    exit_code: ClassVar[int] = EXIT_COMPLETE

    def to_json(self) -> dict[str, Any]:
        """The rotation as one JSON object; holds no secret."""
        one = self.application
        return {"rotated": True, "id": one.id, "client_id": one.client_id, "stored_in": self.stored_in}


class AnswerFile:
    """The answer with the new secret, in a file that only its owner can read.

    Attributes:
        path: The file; None as long as none is written, or if none can be.
        content: What it holds.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self.path: str | None = None
        self.content = b""

    def save(self, content: bytes) -> None:
        """Write the file, in place of an earlier answer to the same request."""
        self.discard()
        self.content = content
        with contextlib.suppress(OSError):
            number, path = tempfile.mkstemp(".json", self._prefix, self._folder)
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(number)
            self.path = path

    def discard(self) -> None:
        """Remove the file."""
        if self.path:
            with contextlib.suppress(OSError):
                Path(self.path).unlink()
        self.path = None

    def __str__(self) -> str:
        return f"The answer is in {self.path}, which only you can read." if self.path else "No file has the answer."


def rotate(
    session: ApiSession,
    wanted: str | None = None,
    *,
    store_in: str | None = None,
    confirm: Callable[[Application, str], None] = lambda application, where: None,
) -> Rotation:
    """Regenerate the secret of an application and store the new one.

    Args:
        session: The API.
        wanted: Id or client id; None for the application of this configuration.
        store_in: Where the new secret goes (see `credentials.open_store`); None for the source of the present one.
        confirm: Called before anything is changed, with the application and the description of the store; may raise.

    Raises:
        ConfigurationError: The new secret could not be stored. Nothing is changed.
        SecretNotKept: The secret was regenerated, or may have been, and the new one is not in the store.
        Busy: Another process rotates a secret. Nothing is changed.
        AutomatumError: The API or the vault refuse or do not answer. Nothing is changed.
    """
    folder = user_folder("state")
    # One at a time: the second of two would invalidate the secret that the first one stores.
    clock, budget, again = session.clock, session.budget, "Run again when it has ended."
    about = folder / "rotate.lock", "The rotation of secrets", "automatum apps rotate"
    with exclusive_lock(*about, wait=0, clock=clock, budget=budget, next_step=again):
        application = find_application(session, wanted or session.settings.client_id)
        prefix = f"rotated-{re.sub(r'[^A-Za-z0-9_-]', '_', application.client_id)}-"
        for path in sorted(folder.glob(f"{prefix}*.json")):
            logger.warning("an earlier rotation was interrupted; the answer with its secret is in %s", path)
        store, changes = _find_store(session.settings, application, store_in)
        confirm(application, str(store))
        store.check_writable()
        _replace(session, application, store, changes, AnswerFile(folder, prefix))
        return Rotation(application, str(store))


def _find_store(
    settings: AutomatumSettings, application: Application, store_in: str | None
) -> tuple[CredentialStore, dict[str, str | Secret]]:
    """The store, and what goes there besides the secret. A store of another application is refused."""
    if application.client_id in dict(settings.pool()):
        raise ConfigurationError(
            "ID",
            f"{application.client_id} is one of sources.automatum.applications, where no new secret can be stored.",
            "Regenerate its secret in the Automatum dashboard, and write it there. Nothing was changed.",
        )
    own = application.client_id == settings.client_id
    store = find_secret_store(settings.organization) if own else "elsewhere"
    if store_in is not None:
        store = open_store(store_in, settings.organization)
    if isinstance(store, str):
        raise ConfigurationError(
            STORE_IN,
            f"the secret comes from {store}, which cannot be written.",
            "Name where the new one is to go: --store-in toml, or a vault's address (docs/secrets.md). "
            "Nothing was changed.",
        )
    there = (store.read() or {}).get("client_id")
    if there and there != application.client_id:
        raise ConfigurationError(
            STORE_IN if store_in else "ID",
            f"{store} holds the credentials of {there}, not of {application.client_id}.",
            "Name another store. Nothing was changed.",
        )
    return store, {} if there or store_in is None else {"client_id": application.client_id}


def _replace(
    session: ApiSession,
    application: Application,
    store: CredentialStore,
    changes: dict[str, str | Secret],
    answer: AnswerFile,
) -> None:
    """Regenerate the secret and store the new one; the file with the answer stays if anything goes wrong."""
    try:
        secret = _regenerate(session, application, answer)
        problem = _store_secret(session, store, {**changes, SECRET: secret})
        if not problem:
            answer.discard()
            return
        problem = f"was regenerated, and could not be stored in {store}: {problem.rstrip('.')}."
    except AutomatumError:
        raise
    except BaseException as error:  # Also Ctrl-C: the secret must not be lost with the process.
        if answer.path is None:
            raise
        problem = f"was to be regenerated, which was interrupted ({type(error).__name__})."
    raise SecretNotKept(f"The secret of {application.client_id} {problem} {answer}", _NEXT, answer.path)


def _regenerate(session: ApiSession, application: Application, answer: AnswerFile) -> Secret:
    """Regenerate the secret; returns the new one."""
    sent: list[bool] = []
    problem = f"was regenerated, and the answer has no single field {SECRET_KEYS[0]}."
    path = f"{application.path}/{REGENERATE}"
    try:
        session.client.post(path, b"{}", before=lambda: sent.append(True), not_taken=sent.clear, inspect=answer.save)
    except AutomatumError as error:
        if not sent or not isinstance(error, ApiUnreachable):
            answer.discard()
            raise
        if not 200 <= (error.status or 0) < 300:
            problem = f"was regenerated, or not: that is not known. {error.message}"
    found = [Secret(text) for text in _find_secrets(answer.content, session.settings.client_secret.reveal())]
    if len(found) == 1:
        return found[0]
    raise SecretNotKept(f"The secret of {application.client_id} {problem} {answer}", _NEXT, answer.path)


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
        elif isinstance(node, str) and key.lower() in SECRET_KEYS and len(node.split()) == 1 and not _MASKED(node):
            found.append(node.strip())
    return [one for one in dict.fromkeys(found) if one != known]


def _store_secret(session: ApiSession, store: CredentialStore, changes: Mapping[str, str | Secret]) -> str:
    """Store the secret and read it back, with one retry; returns why it is not stored, or an empty text."""
    problem = ""
    for _ in range(2):
        if problem:
            logger.warning("%s; trying once more", problem)
            session.clock.sleep(PAUSE)
        try:
            store.write(changes)
            found = store.read() or {}
            if all(found.get(key) == value for key, value in changes.items()):
                return ""
            problem = "What was stored does not read back"
        except AutomatumError as error:
            problem = error.message
    return problem
