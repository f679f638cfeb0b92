"""Sends one HTTP request and parses the response. Used by `client` and `oauth`."""

from __future__ import annotations

import json
import logging
import math
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import Timeout

from ..core.clock import Clock
from ..core.errors import AccessError, ApiUnreachable, AutomatumError, NotThere, RequestRefused
from ..core.redaction import Secret, redact
from .connections import Connections, exchange
from .exact_json import parse_json
from .rate_limit.windows import read_headers

logger = logging.getLogger("automatum")

CONNECT_TIMEOUT = 10.0
MAX_BYTES = 16 * 2**20
"""Bytes after decompression. A larger body is not a response of this API (100 rows are about 100 kB)."""
MAX_VALUES = 300_000
"""Objects and lists in a body. Each takes 100 to 300 bytes of memory, but only three in the body (`{},`)."""
MAX_RETRY_AFTER = 7200.0
"""Seconds, twice the longest window. A longer `Retry-After` is treated as an error of the server."""
MAX_DETAIL = 200
DASHBOARD = "Settings > Integrations > API Access in the Automatum dashboard"
PLAN = "API access belongs to the Professional plan and above."
_HEADERS = {"User-Agent": "dlt-source-automatum", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete response.

    Attributes:
        json: The whole JSON object, envelope included; None if the body is anything else. Numbers that a float cannot
            hold are `int` or `Decimal`.
        status: The HTTP status, or the envelope's `code` if that is not 2xx although the HTTP status is; 500 for a
            `code` that is no HTTP status.
        received_at: Epoch seconds of our clock.
        http_status: HTTP status.
        headers: The headers, case-insensitive.
        content: The body as it came.
        date: The server's `Date` in epoch seconds; None without one.
    """

    json: dict[str, Any] | None
    status: int
    received_at: float
    http_status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)
    date: float | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object; empty if there is none."""
        return {} if self.json is None else self.json

    @property
    def usable(self) -> bool:
        """Whether the response is a success with a JSON object."""
        return 200 <= self.status < 300 and self.json is not None

    @property
    def empty(self) -> bool:
        """Whether the body is empty."""
        return not self.content.strip()

    @property
    def detail(self) -> str:
        """The server's message, shortened and redacted. It never quotes records, because they hold customers' data."""
        message = _message(self.status, self.content, self.json)
        if self.body and self.status == 500 and 200 <= self.http_status < 300:
            return f'"code": {shorten(json.dumps(self.body["code"], default=str))} in its body ({message})'
        return message

    def named_wait(self) -> float | None:
        """Seconds that the server asks to wait, in the header `Retry-After` or the field `retryAfter`; the longer."""
        named, body = self.headers.get("Retry-After"), self.body
        moment = None if named is None else _http_date(named)
        waits = [parse_number(body.get("retryAfter", body.get("retry_after")))]
        waits += [parse_number(named) if moment is None else moment - self._now()]
        given = [wait for wait in waits if wait is not None]
        return min(max(0.0, *given), MAX_RETRY_AFTER) if given else None

    def retry_after(self) -> float | None:
        """Seconds to wait: `named_wait`, or until an exhausted window of a 429 is reset; None if no time is named."""
        named = self.named_wait()
        if named is None and self.status == 429:
            resets = (one.resets for one in read_headers(self.headers, self._now()) if one.left == 0)
            named = max((min(one, MAX_RETRY_AFTER) for one in resets if one is not None), default=None)
        return named

    def _now(self) -> float:
        return self.received_at if self.date is None else self.date


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """A request without a complete response.

    Attributes:
        detail: The failure of the network.
        sent: Whether the request may have reached the server.
        final: Whether another attempt would end the same way.
    """

    detail: str
    sent: bool
    final: bool = False


def send(
    connections: Connections,
    method: str,
    url: str,
    *,
    clock: Clock,
    timeout: float,
    within: float,
    headers: Mapping[str, str],
    token: Secret | None = None,
    params: Mapping[str, str] | None = None,
    body: bytes | None = None,
    inspect: Callable[[bytes], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> ApiResponse | HttpFailure:
    """Send one request and read the response. It follows no redirect, and returns network errors as `HttpFailure`.

    Args:
        connections: Connections.
        method: HTTP method.
        url: URL.
        clock: Time.
        timeout: Seconds to wait for each part of the response.
        within: Seconds after which an incomplete response is a failure.
        headers: Headers, without Authorization.
        token: Access token for the header Authorization.
        params: Query, which follows that of the URL.
        body: Body; None for none.
        inspect: Called with the bytes of the response before they are parsed.
        stopping: Whether the run was told to stop, which ends the request soon.
    """
    started = clock.monotonic()
    allowed = Timeout(connect=min(timeout, CONNECT_TIMEOUT), read=timeout)
    target = f"{url}{'&' if '?' in url else '?'}{urlencode(params)}" if params else url
    with exchange(within, stopping) as current:
        try:
            # The token gets no name here: a traceback with local variables must not show it.
            response = connections.request(
                method,
                target,
                headers={**_HEADERS, **headers, **({"Authorization": f"Bearer {token.reveal()}"} if token else {})},
                body=body,
                timeout=allowed,
            )
            with closing(response):
                outcome = _read(response, clock, inspect)
        except (HTTPError, OSError) as error:
            # The exception may hold the URL with its secrets, so return only its text.
            detail = current.cut or _reason(error, timeout)
            outcome = HttpFailure(detail, current.connected)
    if logger.isEnabledFor(logging.DEBUG):
        page = f" page={params['page']}" if params and "page" in params else ""
        result = outcome.detail if isinstance(outcome, HttpFailure) else outcome.status
        seconds = clock.monotonic() - started
        logger.debug("%s %s%s: %s, %d ms", method, urlsplit(url).path or "/", page, result, 1000 * seconds)
    return outcome


def shorten(text: str) -> str:
    """Prepare a text for an error message: no tags, one line, redacted, at most 200 characters."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text[:20_000])
    text = redact(" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()))
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1].rstrip() + "…"


def error_for(
    method: str, path: str, response: ApiResponse, scope: str = "", granted: frozenset[str] | None = None
) -> AutomatumError:
    """The error for a 4xx response that no retry can change.

    `scope` is the OAuth scope that the path needs, and `granted` are those of the token, where they are known.
    """
    status, detail = response.status, response.detail
    if status == 403:
        return AccessError(f"{method} {path} answered 403: {detail}.", _access_hint(scope, granted))
    fields = _fields(response)
    if fields:
        details = "; ".join(f"{name}: {message}" for name, message in fields)
        detail = shorten(f"{detail} ({details})")
    if status == 404:
        step = "Check base_url. If it is right, ask Automatum whether the path has changed." if method == "POST" else ""
        return NotThere(method, path, status, detail, step, fields)
    step = "Compare sources.automatum.endpoints with the vendor's reference. If that agrees, ask Automatum about it."
    return RequestRefused(method, path, status, detail, step, fields)


def redirect_error(method: str, path: str, response: ApiResponse) -> ApiUnreachable:
    """The error for a redirect. It shows only the host, because the rest of the URL may hold a secret."""
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname or "the same host"
    except ValueError:
        host = "an invalid address"
    return ApiUnreachable(
        method,
        path,
        response.http_status,
        f"a redirect to {host}, which is not followed: it would be given the credentials",
        "Set sources.automatum.base_url to the address that answers without a redirect.",
    )


def _access_hint(scope: str, granted: frozenset[str] | None) -> str:
    if scope and granted is not None and scope in granted:
        return f"The token grants {scope}, which this path needs, so the plan or the path is the cause. {PLAN}"
    named = f"the scope {scope}" if scope else "the scope"
    return f"Add {named} under {DASHBOARD}; the next run takes a new token, which carries it. {PLAN}"


def _fields(response: ApiResponse) -> tuple[tuple[str, str], ...]:
    errors = response.body.get("errors")
    return tuple(
        (shorten(str(error.get("field", ""))), shorten(str(error.get("message", ""))))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    )


def _read(
    response: BaseHTTPResponse, clock: Clock, inspect: Callable[[bytes], None] | None
) -> ApiResponse | HttpFailure:
    """The whole response; the failure if it exceeds the size. `connections` ends it at its deadline."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(2**16, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            return HttpFailure(f"more than {MAX_BYTES >> 20} MiB came", True, final=True)
    content = b"".join(pieces)
    if size > MAX_VALUES and content.count(b"{") + content.count(b"[") > MAX_VALUES:
        return HttpFailure(f"more than {MAX_VALUES:,} objects and lists came", True, final=True)
    if inspect:
        inspect(content)
    status = response.status
    try:
        parsed = parse_json(content)
    except ValueError:
        parsed = None
    body = parsed if isinstance(parsed, dict) else None
    effective = status
    if 200 <= status < 300 and body and body.get("code") is not None:
        code = parse_number(body["code"])
        if code is None or not 200 <= code < 300:
            effective = int(code) if code is not None and 100 <= code < 600 else 500
    date = response.headers.get("Date")
    sent_at = None if date is None else _http_date(date)
    return ApiResponse(body, effective, clock.time(), status, response.headers, content, sent_at)


def _message(status: int, content: bytes, body: dict[str, Any] | None) -> str:
    for key in ("message", "error_description", "error"):
        if body and isinstance(body.get(key), str) and body[key].strip():
            return shorten(body[key]).rstrip(".")
    if body is not None:
        return "no message" if not 200 <= status < 300 else ""
    text = content[:20_000].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        return f"not JSON but HTML: {shorten(text)}"
    if 200 <= status < 300 or content.lstrip().startswith((b"[", b"{")):
        return f"{len(content)} bytes that are not a JSON object"
    return shorten(text).rstrip(".") or "no message"


def _reason(error: Exception, timeout: float) -> str:
    """What happened to the network: the innermost of the errors, in words."""
    root: BaseException = error
    for _ in range(8):
        inner = [getattr(root, "reason", None), getattr(root, "original_error", None), *root.args]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
        if found is None:
            break
        root = found
    if isinstance(root, ConnectTimeoutError) and not isinstance(root, NewConnectionError):
        return f"no connection within {min(timeout, CONNECT_TIMEOUT):g} s"
    if "timed out" in str(root).lower():
        return f"no answer within {timeout:g} s"
    if isinstance(root, ssl.SSLCertVerificationError):
        reason = root.verify_message.rstrip(".")
        advice = "REQUESTS_CA_BUNDLE can name the certificates of a company's own authority"
        return f"the server's certificate is refused ({reason}); {advice}"
    words = str(root).split(": ", 1)[-1] if isinstance(root, NewConnectionError) else str(root)
    return shorten(f"{type(root).__name__}: {words}")


def _http_date(text: str) -> float | None:
    """An HTTP date in epoch seconds; None if it is not valid."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def parse_number(value: object) -> float | None:
    """A finite number, also from a text; otherwise None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
