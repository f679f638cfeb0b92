"""One HTTP exchange, what it says, and the one rule of patience: shared by `auth` and `transport`."""

from __future__ import annotations

import json
import logging
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

import orjson
import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from .budget import Budget
from .clock import Clock
from .errors import QuotaExhausted, instant
from .quota import Quota, reset_in
from .redaction import redact

logger = logging.getLogger("automatum")

CONNECT_TIMEOUT = 10.0
MOST_BYTES = 256 * 2**20
"""A body larger than this is not an answer of this API (100 rows are some 100 kB) but something that fills memory."""
MOST_THROTTLES = 10
"""Answers 429 in a row after which a run ends; it can be taken up later."""
DEFAULT_THROTTLE = 60.0
"""Seconds to wait on a 429 that names none: the vendor's own default (`api/authentication`)."""
LONGEST_THROTTLE = 7200.0
"""Seconds; twice the longest window. A longer wait is a mistake of whoever asks for it."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 30.0
SHORTENED = 200

# 15 significant digits survive a float. A run of 16 digits and points is looked for in two steps, as the first costs a
# tenth of parsing and the second ten times as much: anywhere, then where a number can stand outside of a string.
_TO_ZEROS, _RUN = bytes.maketrans(b"123456789.", b"0" * 10), b"0" * 16
_EXACT = re.compile(rb"(?:^|[:\[,])\s*-?\d[\d.]{15}")
_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end.

    Attributes:
        http_status: Of the status line.
        status: The same, or the envelope's `code` if that is a number other than 2xx under a status of 2xx.
        headers: Its headers, whatever their case.
        body: The JSON object; None if it was something else.
        said: The server's words, shortened and redacted.
        received_at: Epoch seconds by our clock.
        date: Epoch seconds by the server's `Date`; None without one.
        empty: Nothing came after the headers.
    """

    http_status: int
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] | None
    said: str
    received_at: float
    date: float | None
    empty: bool = False

    @property
    def usable(self) -> bool:
        """Whether it is a success with a JSON object."""
        return 200 <= self.status < 300 and self.body is not None

    def asked_wait(self) -> float | None:
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
class Failure:
    """No answer, or none that came whole.

    Attributes:
        said: What the network did.
        sent: Whether the request may have reached the server.
    """

    said: str
    sent: bool


def plain(session: requests.Session) -> requests.Session:
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
) -> Reply | Failure:
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
    outcome: Reply | Failure
    try:
        with session.request(
            method, url, params=params, data=data, headers=dict(headers), allow_redirects=False, stream=True,
            timeout=(min(timeout, CONNECT_TIMEOUT), timeout),
        ) as response:  # fmt: skip
            content = _read(response, clock, started + within)
        if inspect and content is not None:
            inspect(content)
        outcome = Failure("the answer did not end", True) if content is None else _reply(response, content, clock)
    except (requests.RequestException, HTTPError, OSError) as error:
        # The exception holds the request with its secrets: only words leave here, and nothing is raised from it.
        outcome = _failure(error, timeout)
    path = "/" + url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
    page = f" page={params['page']}" if params and "page" in params else ""
    result = outcome.said if isinstance(outcome, Failure) else outcome.status
    logger.debug("%s %s%s: %s, %d ms", method, path, page, result, 1000 * (clock.monotonic() - started))
    return outcome


def parse_json(content: bytes) -> Any:
    """Parse JSON without losing a digit: numbers that a float cannot hold come as `int` or `Decimal`.

    Raises:
        ValueError: Not JSON; NaN and Infinity are not.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\\ud" in content or b"\\uD" in content or b"\\u0000" in content:
        # Half an emoji, as JavaScript cuts them, or a NUL. Not every database takes those, and the rest of the page
        # must not be lost for them.
        content = _UNSTORABLE.sub(lambda found: found[0] if len(found[0]) != 6 else b"\\ufffd", content)
    if _RUN not in content.translate(_TO_ZEROS) or not _EXACT.search(content):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
        # Not JSON; or it has a number like 1e400, which is JSON but beyond a float. The exact parser tells.
    try:
        return json.loads(content.decode(), parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def shorten(text: str) -> str:
    """A text fit for an error: no tags, one line, no secrets, at most 200 characters."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text[:20_000])
    text = redact(" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()))
    return text if len(text) <= SHORTENED else text[: SHORTENED - 1].rstrip() + "…"


class Patience:
    """How often and for how long one request is tried.

    Args:
        clock: Time.
        quota: Where a wait that the server orders is entered, for all to keep.
        budget: Bounds of the run.
        attempts: Failed attempts after which to give up.
        deadline: Seconds after which to give up; waits for quota do not count.
        rng: Source of jitter.
    """

    def __init__(
        self, clock: Clock, quota: Quota, budget: Budget, attempts: int, deadline: float, rng: random.Random
    ) -> None:
        self._clock, self._quota, self._budget = clock, quota, budget
        self._attempts = attempts
        self._deadline = clock.monotonic() + deadline
        self._rng = rng
        self.failures = 0
        self._throttles = 0

    def left(self) -> float:
        """Seconds until the deadline; at least 1, so that a last attempt has a chance."""
        return max(1.0, self._deadline - self._clock.monotonic())

    @contextmanager
    def excuse(self) -> Iterator[None]:
        """Time spent inside does not count."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self._deadline += self._clock.monotonic() - started

    def failed(self, what: str, asked: float | None = None) -> bool:
        """An attempt failed: wait for the next, or return False if there is to be none.

        Args:
            what: What failed and how, for the log.
            asked: Seconds that the server asks to wait.
        """
        self._throttles = 0
        self.failures += 1
        pause = max(self._backoff(self.failures), asked or 0.0)
        if self.failures >= self._attempts or self._clock.monotonic() + pause >= self._deadline:
            return False
        logger.warning("%s; attempt %d of %d in %.1f s", what, self.failures + 1, self._attempts, pause)
        self._budget.pause(pause)
        return True

    def throttled(self, what: str, reply: Reply) -> None:
        """A 429: enter the wait into the quota, where the next attempt meets it.

        Args:
            what: Method and path.
            reply: The answer.

        Raises:
            QuotaExhausted: It was one too many in a row.
        """
        self._throttles += 1
        asked = reply.asked_wait()
        wait = DEFAULT_THROTTLE * 2 ** (self._throttles - 1) if asked is None else asked
        wait = min(LONGEST_THROTTLE, max(wait, self._backoff(self._throttles)))
        wait += min(3.0, 0.05 * wait) * self._rng.random()
        self._quota.hold(wait, f"{what} answered 429: {reply.said}", headers=reply.headers)
        logger.warning("%s answered 429: %s; no request for %.1f s", what, reply.said, wait)
        if self._throttles >= MOST_THROTTLES:
            resume_at = self._clock.time() + wait
            raise QuotaExhausted(
                f"{what} answered 429 {self._throttles} times in a row: {reply.said}.",
                f"Run again after {instant(resume_at)}. If no other program uses the application, lower "
                "sources.automatum.application_limits.",
                resume_at,
            )

    def _backoff(self, count: int) -> float:
        return min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** (count - 1)) * self._rng.uniform(0.5, 1.0)


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


def _reply(response: requests.Response, content: bytes, clock: Clock) -> Reply:
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
    return Reply(
        http_status=status,
        status=effective,
        headers=response.headers,
        body=body,
        said=_said(effective, content, body),
        received_at=clock.time(),
        date=None if date is None else _moment(date),
        empty=not content.strip(),
    )


def _said(status: int, content: bytes, body: dict[str, Any] | None) -> str:
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


def _failure(error: Exception, timeout: float) -> Failure:
    if isinstance(error, requests.ConnectTimeout):
        return Failure(f"no connection within {min(timeout, CONNECT_TIMEOUT):g} s", False)
    root: BaseException = error
    for _ in range(8):
        inner = [getattr(root, "reason", None), getattr(root, "original_error", None), *root.args]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
        if found is None:
            break
        root = found
    if isinstance(error, requests.Timeout) or "timed out" in str(root).lower():
        return Failure(f"no answer within {timeout:g} s", True)
    words = str(root).split(": ", 1)[-1] if isinstance(root, NewConnectionError) else str(root)
    return Failure(shorten(f"{type(root).__name__}: {words}"), not isinstance(root, NewConnectionError))


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


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
