"""Change or delete an OAuth application: `PUT` and `DELETE /oauth/applications/:id`.

Paths, and `name`, `description` and `scopes` (an array) as the body, are documented (`api/authentication`); the answers
are not. So a change counts as made only once the API shows it, and what the API does not show is said to be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..api.session import ApiSession
from ..config.organizations import organization_names
from ..config.settings import resolve_settings
from ..core.errors import ApiUnreachable, AutomatumError, ConfigurationError, CredentialsRefused
from ..core.suggest import nearest
from ..endpoints import SCOPES
from .oauth_apps import Application, find_application, list_applications

_SEE = "Run `automatum apps list` to see what is there now."


@dataclass(frozen=True)
class AppChange:
    """What an application is, and what it is to be.

    Attributes:
        application: The application.
        before: `name`, `description` and `scopes` as the API shows them.
        after: The same after the change.
        lost: Tables that this configuration reads, or `push`, to the scope that the change takes from them.
    """

    application: Application
    before: dict[str, Any]
    after: dict[str, Any]
    lost: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The change as one JSON object."""
        return {
            "id": self.application.id,
            "client_id": self.application.client_id,
            "changed": self.before != self.after,
            "before": self.before,
            "after": self.after,
            "lost": self.lost,
        }


@dataclass(frozen=True)
class AppUse:
    """What uses an application, as far as this machine's configuration shows.

    Attributes:
        application: The application.
        used_by: Organizations of this configuration; an empty name for the only one.
    """

    application: Application
    used_by: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The deletion as one JSON object."""
        return {
            "deleted": True,
            "id": self.application.id,
            "client_id": self.application.client_id,
            "used_by": list(self.used_by),
        }


def update_application(
    session: ApiSession,
    wanted: str | None,
    *,
    name: str | None = None,
    description: str | None = None,
    scopes: Collection[str] | None = None,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    confirm: Callable[[AppChange], bool],
) -> AppChange:
    """Change an application; nothing is sent if nothing would change.

    Args:
        session: The API.
        wanted: Id or client id; None for the application of this configuration.
        name: Its new name; None to keep it.
        description: Its new description; None to keep it.
        scopes: All its scopes from now on; None to keep them.
        add: Scopes that it gets.
        remove: Scopes that it loses.
        confirm: Called before anything is changed.

    Raises:
        ConfigurationError: There is no such application, a scope is misspelt, or `confirm` returned False.
        ApiUnreachable: Whether the change was made is not known.
        AutomatumError: The API refuses. Nothing is changed.
    """
    application = find_application(session, wanted or session.settings.client_id)
    before = _documented_fields(application)
    after = dict(before)
    if name is not None:
        after["name"] = name
    if description is not None:
        after["description"] = description
    if scopes is not None or add or remove:
        after["scopes"] = _new_scopes(before.get("scopes"), scopes, add, remove)
    change = AppChange(application, before, after, _lost(session, application, after))
    if before == after:
        return change
    if not confirm(change):
        raise ConfigurationError("--yes", "not confirmed; nothing was changed.")
    path, failure = application.path, None
    try:
        session.client.change("PUT", path, json.dumps(after).encode())
    except ApiUnreachable as error:
        failure = error  # Whether it was made shows below.
    own = session.client.tokens.cached_token() if application.client_id == session.settings.client_id else None
    if own:
        # A token keeps the scopes of its making (`api/authentication`): the next request takes a new one.
        session.client.tokens.invalidate(own)
    seen = _documented_fields(find_application(session, application.id))
    other = [key for key, value in seen.items() if _plain(value) != _plain(after.get(key, value))]
    if other:
        detail = f"the API took the change and still shows another {', '.join(other)}"
        raise failure or ApiUnreachable("PUT", path, None, detail, _SEE)
    return change


def delete_application(session: ApiSession, wanted: str, *, in_use: bool, confirm: Callable[[AppUse], bool]) -> AppUse:
    """Delete an application for good; its tokens become invalid (`api/authentication`).

    Args:
        session: The API.
        wanted: Id or client id.
        in_use: Delete it although this configuration uses it.
        confirm: Called before anything is changed.

    Raises:
        ConfigurationError: There is no such application, this configuration uses it, or `confirm` returned False.
        ApiUnreachable: Whether it was deleted is not known.
        AutomatumError: The API refuses. Nothing is changed.
    """
    application = find_application(session, wanted)
    use = AppUse(application, _used_by(application.client_id, session))
    if use.used_by and not in_use:
        named = ", ".join(name for name in use.used_by if name)
        raise ConfigurationError(
            "ID",
            f"{application.client_id} is the application of this configuration{f' ({named})' if named else ''}. "
            "Without it nothing can be synced or pushed. Nothing was changed.",
            "Configure another application first, or add --in-use.",
        )
    if not confirm(use):
        raise ConfigurationError("--yes", "not confirmed; nothing was changed.")
    path, failure = application.path, None
    try:
        session.client.change("DELETE", path)
    except ApiUnreachable as error:
        failure = error  # Whether it was made shows below.
    if not _is_gone(session, application):
        detail = "the API took the deletion and still lists the application"
        raise failure or ApiUnreachable("DELETE", path, None, detail, _SEE)
    return use


def _is_gone(session: ApiSession, application: Application) -> bool:
    """Whether the API lists the application no longer. Its own token is refused once it is gone."""
    own = application.client_id == session.settings.client_id
    try:
        return all(one.id != application.id for one in list_applications(session))
    except CredentialsRefused:
        return own


def _documented_fields(application: Application) -> dict[str, Any]:
    """The fields of the documented body, as far as the API shows them."""
    shown = {key: application.record.get(key) for key in ("name", "description", "scopes")}
    return {key: value for key, value in shown.items() if value is not None}


def _new_scopes(
    present: Any, scopes: Collection[str] | None, add: Collection[str], remove: Collection[str]
) -> list[str]:
    have = present.split() if isinstance(present, str) else present
    if scopes is None and not isinstance(have, list):
        raise ConfigurationError(
            "--add-scope",
            "the API does not show the application's scopes.",
            "Name them all: --scope read:customers ...",
        )
    wanted = list(scopes) if scopes is not None else [str(one) for one in have or ()]
    for scope in (*wanted, *add):
        if scope not in SCOPES and scope not in (have or ()) and (near := nearest(scope, SCOPES)):
            raise ConfigurationError("--scope", f"no scope {scope!r}.", f"Did you mean {near}?")
    absent = [scope for scope in remove if scope not in wanted]
    if absent:
        step = f"It has {', '.join(wanted) or 'none'}."
        raise ConfigurationError("--remove-scope", f"the application has no scope {', '.join(absent)}.", step)
    return [scope for scope in dict.fromkeys((*wanted, *add)) if scope not in remove]


def _lost(session: ApiSession, application: Application, after: dict[str, Any]) -> dict[str, str]:
    """What this configuration reads and could not read any longer, with the scope that is missing."""
    if application.client_id != session.settings.client_id or "scopes" not in after:
        return {}
    endpoints = session.select()
    return {one.table: one.scope for one in endpoints if one.scope not in after["scopes"]}


def _used_by(client_id: str, session: ApiSession) -> tuple[str, ...]:
    """Names of the configured organizations with this client id; an empty name for the only one."""
    found: list[str] = [session.settings.organization or ""] if client_id == session.settings.client_id else []
    for name in organization_names():
        with suppress(AutomatumError):  # An organization whose credentials cannot be found uses none.
            if resolve_settings(organization=name).client_id == client_id:
                found.append(name)
    return tuple(dict.fromkeys(found))


def _plain(value: Any) -> Any:
    """A value for comparison: neither the order of scopes matters, nor whether they are an array or one text."""
    scopes = value.split() if isinstance(value, str) and ":" in value else value
    return sorted(map(str, scopes)) if isinstance(scopes, list) else value
