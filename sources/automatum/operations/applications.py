"""The OAuth applications of an organization: `/oauth/applications`.

Paths, effects and the body of a change are documented (`api/authentication`); the answers are not. They are read as
lists and records in `data`, as everywhere else, and passed on without what is secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..api.session import ApiSession
from ..core.errors import ApiUnreachable, ConfigurationError
from ..core.redaction import REDACTED, redact
from ..core.suggest import nearest, suggestion
from ..core.text import plural
from ..endpoints import APPLICATIONS_PATH, SCOPES

SECRET_KEYS = ("clientsecret", "client_secret", "newclientsecret", "new_client_secret", "secret")
"""Fields that hold a secret, in lower case."""
_MOST_PAGES = 20
"""An organization with 2,000 OAuth applications is none: the server answers any page."""
_DEEPEST = 50
"""Levels of an answer that are passed on. JSON cannot be written, nor Python recurse, below a few hundred."""
_CHANGED = ("name", "description", "scopes")


@dataclass(frozen=True)
class Application:
    """One OAuth application.

    Attributes:
        id: What stands in its path; its client id if the API gives no other (assumed).
        client_id: OAuth client id.
        record: All that the API says of it, without secrets.
    """

    id: str
    client_id: str
    record: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Path of its own URL."""
        return f"{APPLICATIONS_PATH}/{quote(self.id, safe='')}"

    @property
    def title(self) -> str:
        """Client id and name."""
        return f"{self.client_id} {self.record.get('name') or ''}".strip()


def list_applications(session: ApiSession) -> tuple[Application, ...]:
    """All applications of the organization; one request, unless the list comes in pages.

    Raises:
        AutomatumError: The API refuses, does not answer, or not with a list.
    """
    found: dict[str, Application] = {}
    page, pages = 1, 1
    while page <= pages:
        # Paging is documented for customers alone: the first request does without.
        body = session.client.get(APPLICATIONS_PATH, {"page": str(page), "limit": "100"} if page > 1 else None).body
        records, paging = body.get("data"), body.get("pagination")
        if not isinstance(records, list):
            raise ApiUnreachable("GET", APPLICATIONS_PATH, 200, "the answer has no list at data")
        new = {one.id: one for one in map(_application, records) if one and one.id not in found}
        if page > 1 and (not new or page > _MOST_PAGES):
            raise ApiUnreachable("GET", APPLICATIONS_PATH, 200, f"the list of applications does not end: page {page}")
        found |= new
        pages = paging["pages"] if isinstance(paging, Mapping) and isinstance(paging.get("pages"), int) else 1
        page += 1
    return tuple(found.values())


def find_application(session: ApiSession, wanted: str) -> Application:
    """The application with this id or client id, by the list.

    Raises:
        ConfigurationError: There is none.
        AutomatumError: As in `list_applications`.
    """
    known = list_applications(session)
    for one in known:
        if wanted in (one.id, one.client_id):
            return one
    names = [name for one in known for name in dict.fromkeys((one.id, one.client_id))]
    raise ConfigurationError(
        "ID",
        f"the organization has no application {wanted!r} among its {plural(len(known), 'application')}.",
        f"{suggestion(wanted, names)} `automatum apps list` shows those that it has.".lstrip(),
    )


def update_application(session: ApiSession, application: Application, changes: Mapping[str, Any]) -> Application:
    """Change an application; returns it as the API shows it then.

    Args:
        session: The API.
        application: The application.
        changes: `name`, `description`, `scopes`, as far as they change.

    Raises:
        ConfigurationError: A scope is misspelt.
        ApiUnreachable: Whether the change was made is not known, or the API does not show it.
        AutomatumError: The API refuses. Nothing is changed.
    """
    for scope in changes.get("scopes", ()):
        if scope not in SCOPES and (near := nearest(scope, SCOPES)):
            raise ConfigurationError("--scope", f"no scope {scope!r}.", f"Did you mean {near}?")
    kept = {key: application.record[key] for key in _CHANGED if application.record.get(key) is not None}
    session.client.change("PUT", application.path, json.dumps({**kept, **changes}).encode())
    found = find_application(session, application.id)
    other = [key for key, value in changes.items() if found.record.get(key, value) != value]
    if other:
        detail = f"the API took the change and still shows another {', '.join(other)}"
        raise ApiUnreachable("PUT", application.path, None, detail, "Run `automatum apps list` to see what is there.")
    return found


def delete_application(session: ApiSession, application: Application) -> None:
    """Delete an application for good; its tokens become invalid (`api/authentication`).

    Raises:
        ConfigurationError: This configuration uses it.
        ApiUnreachable: Whether it was deleted is not known.
        AutomatumError: The API refuses. Nothing is changed.
    """
    settings = session.settings
    if application.client_id in (settings.client_id, *dict(settings.pool())):
        raise ConfigurationError(
            "ID",
            f"{application.client_id} is an application of this configuration, which syncs or pushes with it.",
            "Delete it in the Automatum dashboard, or with another application. Nothing was changed.",
        )
    session.client.change("DELETE", application.path)


def _application(record: Any) -> Application | None:
    if not isinstance(record, Mapping):
        return None
    client_id = record.get("clientId")
    id_ = record.get("id", client_id)
    return None if id_ is None else Application(str(id_), str(client_id or id_), _without_secrets(record))


def _without_secrets(node: Any, key: str = "", level: int = 0) -> Any:
    if isinstance(node, (Mapping, list)) and level >= _DEEPEST:
        return "(nested too deeply)"
    if isinstance(node, Mapping):
        return {name: _without_secrets(inner, name, level + 1) for name, inner in node.items()}
    if isinstance(node, list):
        return [_without_secrets(inner, key, level + 1) for inner in node]
    if isinstance(node, str):
        return REDACTED if key.lower() in SECRET_KEYS else redact(node)
    return node
