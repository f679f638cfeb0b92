"""One HTTP exchange, what it says, and the one rule of patience: shared by `auth` and `transport`."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from ..core.clock import Clock
from ..core.redaction import redact
from .exact_json import parse_json
from .rate_limit import reset_in

logger = logging.getLogger("automatum")

CONNECT_TIMEOUT = 10.0
MOST_BYTES = 256 * 2**20
"""A body larger than this is not an answer of this API (100 rows are some 100 kB) but something that fills memory."""
LONGEST_THROTTLE = 7200.0
"""Seconds; twice the longest window. A longer wait is a mistake of whoever asks for it."""
SHORTENED = 200


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer, read to its end.

    Attributes:
        http_status: Of the status line.
        status: The same, or the envelope's `code` if that is a number other than 2xx under a status of 2xx.
        headers: Its headers, whatever their case.
        body: The JSON object; None if it was something else.
        detail: The server's words, shortened and redacted.
        received_at: Epoch seconds by our clock.
        date: Epoch seconds by the server's `Date`; None without one.
        empty: Nothing came after the headers.
    """

    http_status: int
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] | None
    detail: str
    received_at: float
    date: float | None
    empty: bool = False

    @property
    def usable(self) -> bool:
        """Whether it is a success with a JSON object."""
        return 200 <= self.status < 300 and self.body is not None

    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait; None if it does not.

        The longer of `Retry-After` and `retryAfter`; without either, a 429 is over when its bucket is reset.
        """
        named = self.headers.get("Retry-After")
        moment = None if named is None else _moment(named)
        now = self.received_at if self.date is None else self.date
        waits = (
            _seconds(named) if moment is None else moment - now,
            _seconds((self.body or {}).get("retryAfter")),
        )
        given = [wait for wait in waits if wait is not None]
        if not given and self.status == 429 and self.headers.get("X-RateLimit-Remaining", "0").strip() == "0":
            given = [wait for wait in [reset_in(self.headers, now)] if wait is not None]
        return min(max(0.0, max(given)), LONGEST_THROTTLE) if given else None


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No answer, or none that came whole.

    Attributes:
        detail: What the network did.
        sent: Whether the request may have reached the server.
    """

    detail: str
    sent: bool


def without_defaults(session: requests.Session) -> requests.Session:
    """Take from a session what it would do on its own; returns the same session.

    With an `auth` of its own it does not look into `~/.netrc`, whose entry would replace the token. And it no longer
    reads redirects: even where it does not follow one, it parses it (and fails on a broken one) and reads its body.
    """
    session.auth = _as_it_is
    session.get_redirect_target = _no_redirect  # type: ignore[method-assign]
    session.headers["User-Agent"] = "dlt-source-automatum"
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _no_redirect(resp: requests.Response) -> str | None:
    return None


def send(
    session: requests.Session,
    method: str,
    url: str,
    *,
    clock: Clock,
    timeout: float,
    within: float,
    headers: Mapping[str, str],
    params: Mapping[str, str] | None = None,
    data: bytes | Mapping[str, str] | None = None,
    inspect: Callable[[bytes], None] | None = None,
) -> HttpResponse | HttpFailure:
    """Send one request and read its answer; redirects are not followed. Raises nothing for what a network can do.

    Args:
        session: Keeps the connections.
        method: HTTP method.
        url: Whole URL, without a query.
        clock: Time.
        timeout: Seconds to wait for each piece of the answer.
        within: Seconds after which an answer that still trickles in is given up.
        headers: Headers, such as Authorization.
        params: Query.
        data: Body: bytes, or a form.
        inspect: Given the bytes of the answer before anything else is made of them.
    """
    started = clock.monotonic()
    outcome: HttpResponse | HttpFailure
    try:
        with session.request(
            method, url, params=params, data=data, headers=dict(headers), allow_redirects=False, stream=True,
            timeout=(min(timeout, CONNECT_TIMEOUT), timeout),
        ) as response:  # fmt: skip
            content = _read(response, clock, started + within)
        if inspect and content is not None:
            inspect(content)
        outcome = HttpFailure("the answer did not end", True) if content is None else _reply(response, content, clock)
    except (requests.RequestException, HTTPError, OSError) as error:
        # The exception holds the request with its secrets: only words leave here, and nothing is raised from it.
        outcome = _failure(error, timeout)
    path = "/" + url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
    page = f" page={params['page']}" if params and "page" in params else ""
    result = outcome.detail if isinstance(outcome, HttpFailure) else outcome.status
    logger.debug("%s %s%s: %s, %d ms", method, path, page, result, 1000 * (clock.monotonic() - started))
    return outcome


def shorten(text: str) -> str:
    """A text fit for an error: no tags, one line, no secrets, at most 200 characters."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text[:20_000])
    text = redact(" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()))
    return text if len(text) <= SHORTENED else text[: SHORTENED - 1].rstrip() + "…"


def _read(response: requests.Response, clock: Clock, until: float) -> bytes | None:
    """The body, decoded; None if it does not end in time or in bounds."""
    raw = response.raw
    # urllib3 1 needs to be told; without it a connection cut in the middle passes for a short answer.
    raw.enforce_content_length = True
    # `read1` returns what has come, so that a body that trickles is seen to; `read` blocks until all is here.
    read = getattr(raw, "read1", raw.read)
    pieces: list[bytes] = []
    size = 0
    while piece := read(2**16, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES or clock.monotonic() > until:
            raw.close()
            return None
    return b"".join(pieces)


def _reply(response: requests.Response, content: bytes, clock: Clock) -> HttpResponse:
    status = response.status_code
    try:
        parsed = parse_json(content)
    except ValueError:
        parsed = None
    body = parsed if isinstance(parsed, dict) else None
    effective = status
    if body is not None and 200 <= status < 300:
        code = _seconds(body.get("code"))
        effective = status if code is None or 200 <= code < 300 else int(code)
    date = response.headers.get("Date")
    return HttpResponse(
        http_status=status,
        status=effective,
        headers=response.headers,
        body=body,
        detail=_detail(effective, content, body),
        received_at=clock.time(),
        date=None if date is None else _moment(date),
        empty=not content.strip(),
    )


def _detail(status: int, content: bytes, body: dict[str, Any] | None) -> str:
    """The server's words; never records, as a body without words may hold customers' data."""
    for word in ("message", "error_description", "error"):
        if body and isinstance(body.get(word), str) and body[word].strip():
            return shorten(body[word]).rstrip(".")
    if body is not None:
        return "no message" if not 200 <= status < 300 else ""
    text = content[:20_000].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        return f"not JSON but HTML: {shorten(text)}"
    if 200 <= status < 300 or content.lstrip().startswith((b"[", b"{")):
        return f"{len(content)} bytes that are not a JSON object"
    return shorten(text).rstrip(".") or "no message"


def _failure(error: Exception, timeout: float) -> HttpFailure:
    if isinstance(error, requests.ConnectTimeout):
        return HttpFailure(f"no connection within {min(timeout, CONNECT_TIMEOUT):g} s", False)
    root: BaseException = error
    for _ in range(8):
        inner = [getattr(root, "reason", None), getattr(root, "original_error", None), *root.args]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
        if found is None:
            break
        root = found
    if isinstance(error, requests.Timeout) or "timed out" in str(root).lower():
        return HttpFailure(f"no answer within {timeout:g} s", True)
    words = str(root).split(": ", 1)[-1] if isinstance(root, NewConnectionError) else str(root)
    return HttpFailure(shorten(f"{type(root).__name__}: {words}"), not isinstance(root, NewConnectionError))


def _moment(text: str) -> float | None:
    """An HTTP date in epoch seconds; None if it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _seconds(value: object) -> float | None:
    """A finite number, also if it is sent as text; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
