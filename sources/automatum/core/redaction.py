"""Keeps secrets out of logs, errors and reports (I6).

`redact` replaces the secrets that were registered, and texts that look like secrets: bearer tokens, JSON web tokens,
and fields such as `client_secret`. It leaves `apiKey` alone: in the vendor's metering body that is the name of a
dimension (`guide/api-integration`), not a credential. `secrets_in` finds what is secret in settings: values of secret
keys, and passwords and tokens inside of URLs.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from .text import printable

REDACTED = "***"
SECRET_KEY = re.compile(r"secret|password|passwd|token|credentials|_key$|_url$", re.IGNORECASE)
"""Keys whose values are secret, in every section. Of a URL only parts are."""
_WEBHOOK = re.compile(r"notify_url|webhook", re.IGNORECASE)
_PARAMETER = re.compile(r"secret|passw|pwd|token|signature|^sig$|_key$", re.IGNORECASE)
_END = re.compile(r"[/?#]")
"""What ends user, host and port in a URL."""
_LONG = 6
_BREAK = re.compile(r"[@/?#:]")
_SHORTEST = 6
"""Characters. A shorter secret would match ordinary words."""

_SHORTEST_BASE64 = 8
"""Characters of base64 that stand for nothing but the secret."""

_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]*:(//|$)")
_secrets: set[str] = set()
_PATTERNS = (
    re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{6,}"),
    re.compile(r"()\beyJ[\w-]{6,}\.[\w-]*(?:\.[\w-]*)?"),
    re.compile(r"()\bsecret_\w{6,}"),
    re.compile(
        r"(?i)([\"']?(?:client_?secret|access_?token|refresh_?token|webhook_?secret|authorization|password|passwd|"
        r"motherduck_?token|secret_?access_?key)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"'&,;}]{3,}"
    ),
    # A password in a URL, up to the last @: one that was not encoded may hold others. `user:password@` is an example.
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@?#\"']*:)(?!\d+[/?#]|password@)[^\s\"']+(?=@)"),
)


class Secret:
    """A secret text that only `reveal` shows: no log, no traceback with local variables, no JSON and no pickle does.

    Args:
        text: The secret. Messages are redacted of it from now on; of a URL, of its password.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        (register_url if _URL.match(text) else register_secret)(text)
        self._text = text

    def reveal(self) -> str:
        """The text, for the request or the store that needs it. Do not give it a name: a traceback shows variables."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __format__(self, specification: str) -> str:
        return format(REDACTED, specification)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled.")


def sealed(value: Any, key: str = "") -> Any:
    """Settings with a `Secret` in place of each text whose key is that of a secret, also in tables and lists."""
    if isinstance(value, Mapping):
        return {name: sealed(one, str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [sealed(one, key) for one in value]
    return Secret(value) if isinstance(value, str) and SECRET_KEY.search(key) else value


def reveal(value: object) -> str:
    """The text of a `Secret`, where `orjson.dumps` writes sealed settings to the store that they belong in."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not a value of JSON.")


def register_secret(secret: str | None) -> None:
    """Redact this text from now on: plain, and encoded for URLs, JSON, HTML, Python or base64.

    Ignores None and texts of fewer than 6 characters.
    """
    if secret and len(secret) >= _SHORTEST:
        _secrets.update(_forms(secret))


def register_url(url: str, *, webhook: bool = False) -> None:
    """Redact the password and the secret parameters of a URL from now on.

    Args:
        url: The URL; it need not be valid.
        webhook: Its path and query are secret, too.
    """
    for secret in (*secrets_in_url(url), *(webhook_secrets(url) if webhook else ())):
        register_secret(secret)


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret))
    yield from (secret.upper(), secret.lower(), html.escape(secret, quote=False))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    content = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        # Three characters stand for two bytes and more; those at the ends depend on what is beside the secret.
        first, bits = -(-8 * before // 6), 8 * (before + len(content))
        coded = base64.b64encode(b"\0" * before + content).decode()[first : bits // 6]
        if len(coded) >= _SHORTEST_BASE64:
            yield from (coded, coded.replace("+", "-").replace("/", "_"))


def redact(text: str) -> str:
    """Return the text with every secret replaced by `***`."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def first_line(error: BaseException) -> str:
    """The first line of an error's text, redacted; the name of its type if it has no text."""
    lines = redact(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class RedactingFilter(logging.Filter):
    """Redacts the message, the arguments and the traceback of each log record, and escapes their control characters."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place. Always returns True."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # The arguments do not fit the format; the handler reports that and prints both, so redact each of them.
            message = str(record.msg)
            record.args = tuple(redact(str(one)) for one in record.args or ())
        clean = printable(redact(message))
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = printable(redact(record.exc_text))
        return True


def redact_logging(*names: str) -> None:
    """Redact the log records of the connector, dlt and urllib3 for every handler. Safe to call twice.

    Args:
        *names: Further loggers. A filter of a logger does not apply to the loggers below it.
    """
    for name in ("automatum", "dlt", "urllib3", "urllib3.connectionpool", "urllib3.util.retry", *names):
        logger = logging.getLogger(name)
        if not any(isinstance(one, RedactingFilter) for one in logger.filters):
            logger.addFilter(RedactingFilter())


def secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """The secrets in a setting with this key, or in a whole document of settings."""
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
