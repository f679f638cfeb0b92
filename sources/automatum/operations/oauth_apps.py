"""The OAuth applications of an organization: `/oauth/applications`.

Paths and effects are documented (`api/authentication`); which token they ask for, and what they answer, is not. So
answers are read with leniency: whatever comes is passed on, without what is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ..api.exact_json import parse_json
from ..api.session import ApiSession
from ..core.errors import ConfigurationError, NotThere
from ..core.redaction import REDACTED, redact
from ..core.suggest import suggestion
from ..endpoints import APPLICATIONS_PATH

MOST_PAGES = 20
_DEEPEST = 50
"""Levels of an answer that are passed on. JSON cannot be written, nor Python recurse, below a few hundred."""
_SECRET_KEYS = ("client_secret", "clientsecret", "new_client_secret", "newclientsecret", "secret")
_LOOKS_SECRET = re.compile(r"\bsecret_\w{6,}")


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
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Path of its own URL."""
        return f"{APPLICATIONS_PATH}/{quote(self.id, safe='')}"

    @property
    def name(self) -> str:
        """What it is called in the dashboard; empty if the API does not say."""
        return str(self.record.get("name") or "")


def list_applications(session: ApiSession) -> list[Application]:
    """All applications of the organization; one request, unless the list comes in pages.

    Raises:
        AccessError: The credentials are refused, or may not ask.
        RequestError: The API does not answer, or not with a list.
        MoreToDo: Quota or budget are spent.
    """
    found: list[Application] = []
    for page in range(1, MOST_PAGES + 1):
        # Paging is documented for customers alone: the first request does without.
        body = session.client.get(APPLICATIONS_PATH, {"page": str(page), "limit": "100"} if page > 1 else None).body
        found += [one for one in map(_application, _records(body.get("data", body))) if one]
        paging = body.get("pagination")
        if not isinstance(paging, Mapping) or not isinstance(paging.get("pages"), int) or page >= paging["pages"]:
            break
    return list({one.id: one for one in found}.values())


def show_application(session: ApiSession, id_: str) -> Application:
    """One application; one request, and the list if there is none with this id.

    Args:
        session: The API.
        id_: Its id, or its client id.

    Raises:
        ConfigurationError: The organization has none with this id or client id.
        AutomatumError: As in `list_applications`.
    """
    try:
        body = session.client.get(f"{APPLICATIONS_PATH}/{quote(id_, safe='')}").body
    except NotThere:
        # Whether the path takes the client id, too, is not documented.
        return find_application(session, id_)
    shown = next(iter(_records(body.get("data", body))), {})
    return _application({"id": id_, **shown}) or Application(id_, id_)


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
    count = "1 application" if len(known) == 1 else f"{len(known)} applications"
    raise ConfigurationError(
        "ID",
        f"the organization has no application {wanted!r} among its {count}.",
        f"{suggestion(wanted, names)} `automatum apps list` shows those that it has.".lstrip(),
    )


def find_secrets(content: bytes, known: str) -> list[str]:
    """Whatever may be a new client secret in an answer of any shape; the likeliest first.

    Args:
        content: The answer's bytes.
        known: The present secret, which an answer may repeat.
    """
    try:
        tree = parse_json(content)
    except ValueError:
        tree = content.decode("utf-8", "replace")
    named, looking = [], []
    for key, text in _texts(tree):
        if key.lower() in _SECRET_KEYS and " " not in text.strip() and len(text.strip()) >= 6:
            named.append(text.strip())
        looking += _LOOKS_SECRET.findall(text)
    return [one for one in dict.fromkeys(named + looking) if one != known]


def names_in(content: bytes) -> str:
    """The names of the fields in a JSON answer, for a message; no value."""
    try:
        tree = parse_json(content)
    except ValueError:
        return f"{len(content)} bytes that are not JSON"
    return redact(", ".join(sorted(_names(tree, "")))[:300]) or type(tree).__name__


def _texts(tree: Any) -> Iterator[tuple[str, str]]:
    """All texts with the names of their fields, in their order. An answer may be nested too deeply for recursion."""
    ahead: list[tuple[str, Any]] = [("", tree)]
    while ahead:
        key, node = ahead.pop()
        if isinstance(node, str):
            yield key, node
        elif isinstance(node, Mapping):
            # `{"secret": {"value": "..."}}` is a secret, too.
            inside = [(key if key.lower() in _SECRET_KEYS else name, inner) for name, inner in node.items()]
            ahead += reversed(inside)
        elif isinstance(node, list):
            ahead += [(key, inner) for inner in reversed(node)]


def _names(node: Any, before: str, level: int = 0) -> Iterator[str]:
    if isinstance(node, Mapping) and level < _DEEPEST:
        for name, inner in node.items():
            yield from _names(inner, f"{before}.{name}".lstrip("."), level + 1)
    elif before:
        yield before


def _records(data: Any) -> list[Mapping[str, Any]]:
    """The applications in an answer: a list, an object that holds one, or the application itself."""
    if isinstance(data, list):
        return [one for one in data if isinstance(one, Mapping)]
    if not isinstance(data, Mapping):
        return []
    for inner in data.values():
        if isinstance(inner, list) and inner and all(isinstance(one, Mapping) for one in inner):
            return inner
    inside = data.get("application")
    return [inside if isinstance(inside, Mapping) else data]


def _application(record: Mapping[str, Any]) -> Application | None:
    client_id = next((record[key] for key in ("clientId", "client_id") if isinstance(record.get(key), str)), None)
    id_ = record.get("id", client_id)
    if id_ is None:
        return None
    return Application(str(id_), client_id or str(id_), _without_secrets(record))


def _without_secrets(node: Any, key: str = "", level: int = 0) -> Any:
    if isinstance(node, (Mapping, list)) and level >= _DEEPEST:
        return "(nested too deeply)"
    if isinstance(node, Mapping):
        return {name: _without_secrets(inner, name, level + 1) for name, inner in node.items()}
    if isinstance(node, list):
        return [_without_secrets(inner, key, level + 1) for inner in node]
    if isinstance(node, str):
        return REDACTED if key.lower() in _SECRET_KEYS else redact(node)
    return node
