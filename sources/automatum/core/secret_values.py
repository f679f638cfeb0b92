"""Finds what is secret in settings: values of secret keys, and passwords and tokens inside of URLs (I6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

SECRET_KEY = re.compile(r"secret|password|passwd|token|credentials|_key$|_url$", re.IGNORECASE)
"""Keys whose values are secret, in every section. Of a URL only parts are."""
_WEBHOOK = re.compile(r"notify_url|webhook", re.IGNORECASE)
_PARAMETER = re.compile(r"secret|passw|pwd|token|signature|^sig$|_key$", re.IGNORECASE)
_END = re.compile(r"[/?#]")
"""What ends user, host and port in a URL."""
_LONG = 6
_BREAK = re.compile(r"[@/?#:]")


def secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """The secrets in a setting, or in a whole document of settings.

    Args:
        value: A text, or a table or list of settings.
        key: Name of the setting.
    """
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from secrets_in(one, str(name))
    elif isinstance(value, list):
        for one in value:
            yield from secrets_in(one, key)
    elif isinstance(value, str):
        if "://" in value:
            yield from secrets_in_url(value)
            if _WEBHOOK.search(key):
                yield from webhook_secrets(value)
        else:
            yield from _parameters(value)
            if SECRET_KEY.search(key):
                yield value


def secrets_in_url(url: str) -> Iterator[str]:
    """The password of a URL and the secrets of its query, raw and decoded.

    A password that was not encoded may hold `@`, `/`, `?` and `#`. Programs then take a piece of it for the host, the
    port or the path, and name that in their messages, so each of its pieces is a secret, too.
    """
    rest = url.partition("://")[2]
    user, at, after = rest.rpartition("@")
    password = user.partition(":")[2]
    # In `https://host:8080/people?of=a@b` there is a port and no password.
    has_port = "@" not in _END.split(rest)[0] and _END.split(password)[0].isdigit()
    if at and password and not has_port:
        yield from (password, unquote(password))
        host = _END.split(after)[0]
        for found in _BREAK.finditer(password):
            left = password[found.end() :]
            # A short rest would match ordinary words; with the host, it matches itself alone.
            yield left if len(left) >= _LONG else f"{left}@{host}"
        yield from _BREAK.split(password)
    yield from _parameters(url)


def webhook_secrets(url: str) -> Iterator[str]:
    """The secrets of a webhook's URL: its path and query, even short ones where they follow the host."""
    rest = url.partition("://")[2]
    _host, slash, path = rest.partition("/")
    if slash and path:
        yield from (url, rest, f"/{path}")
        yield from _parameters(url)
        yield f"/{path.partition('?')[0]}"


def _parameters(text: str) -> Iterator[str]:
    query = text.partition("?")[2].partition("#")[0]
    for name, value in parse_qsl(query):
        if _PARAMETER.search(name):
            yield value
    for raw in query.split("&"):
        name, _, value = raw.partition("=")
        if value and _PARAMETER.search(name):
            yield value
