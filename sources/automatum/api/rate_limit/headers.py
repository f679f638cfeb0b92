"""Parses what a response says about rate limits. Missing and invalid values are ignored.

The vendor documents `X-RateLimit-Limit`, `-Remaining`, `-Reset` (epoch seconds), the same two for the organization, and
`retryAfter` in the body of a 429 (`api/authentication`). Gateways in front of an API use other forms: `RateLimit-*` and
`RateLimit-Policy` (IETF draft), a period at the end of the name (`X-RateLimit-Limit-Minute`), a reset in seconds from
now or as a date, and fields in the body of a 429.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
FARTHEST_RESET = 32 * 86400.0
"""Seconds; a reset further away is invalid."""
LATE = 5.0
"""Seconds by which a reset may be past: the server's clock has whole seconds, and the response took time."""
_EPOCH, _MILLISECONDS = 1e8, 1e11
"""Smaller numbers are seconds from now, and larger ones are epoch milliseconds."""
_HEADER = re.compile(
    r"(x-)?rate-?limit-(organization-)?(limit|remaining|reset)(?:-(second|minute|hour|day))?", re.IGNORECASE
)
_COUNT = re.compile(r"\s*([0-9]{1,9})\s*(?:[,;].*)?", re.DOTALL)
_WINDOW = re.compile(r";\s*w=([0-9]{1,9})\b")
_MESSAGE = re.compile(r"\b([0-9]{1,9}) (?:requests|calls)\s*(?:per|an?|every|/)\s*(second|minute|hour|day)\b", re.I)
_FIELDS = {
    "limit": ("limit", "ratelimit", "maxrequests"),
    "remaining": ("remaining", "requestsremaining"),
    "reset": ("reset", "resetat", "resetin", "resetafter", "resetseconds"),
    "window": ("window", "windowseconds", "period", "interval"),
}


@dataclass(frozen=True, slots=True)
class Reported:
    """What a response says about one rate limit. None: it does not say.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        left: Requests left.
        resets: Seconds until the window is reset.
        seconds: Length of the window.
        source: Header or field that names it.
    """

    scope: str
    limit: int | None
    left: int | None
    resets: float | None
    seconds: float | None
    source: str


def read_response(
    headers: Mapping[str, str], reference: float, refusal: Mapping[str, Any] | None = None
) -> list[Reported]:
    """What the headers, and the body of a 429, say about rate limits.

    Args:
        headers: Headers of the response.
        reference: Date of the response in epoch seconds. The reset is a time of the server's clock, not of ours.
        refusal: JSON body of a 429; None for any other response.
    """
    found = [*_from_headers(headers, reference), *_from_policy(headers, reference)]
    if refusal:
        found += _from_body(refusal, reference)
    return [one for one in found if one.limit or one.left is not None or one.resets is not None]


def exhausted_until(reported: list[Reported]) -> float | None:
    """Seconds until the exhausted windows of a 429 are reset; None if it names no reset.

    A 429 that does not say how many requests are left has none left.
    """
    named = [one.resets for one in reported if one.resets is not None and one.left in (0, None)]
    return max(named, default=None)


def _from_headers(headers: Mapping[str, str], reference: float) -> Iterator[Reported]:
    groups: dict[tuple[str, str, str], dict[str, tuple[str, str]]] = {}
    for name in headers:
        match = _HEADER.fullmatch(name)
        if match:
            style, organization, part, period = (group.lower() for group in match.groups(""))
            groups.setdefault((style, organization, period), {})[part] = (name, headers[name])
    for (_, organization, period), parts in groups.items():
        limit = parts.get("limit", ("", ""))[1]
        window = _WINDOW.search(limit)
        yield Reported(
            "organization" if organization else "application",
            _count(limit),
            _count(parts.get("remaining", ("", ""))[1]),
            seconds_until(parts.get("reset", ("", ""))[1], reference),
            PERIODS[period] if period else float(window[1]) or None if window else None,
            next(iter(parts.get(part, ("",))[0] for part in ("limit", "remaining", "reset") if part in parts)),
        )


def _from_policy(headers: Mapping[str, str], reference: float) -> Iterator[Reported]:
    """The headers `RateLimit` and `RateLimit-Policy` of the IETF draft, if they name one policy."""
    now, policy = headers.get("RateLimit", ""), headers.get("RateLimit-Policy", "")
    if not now or "," in policy:
        return
    said = dict(re.findall(r"\b(limit|remaining|reset|r|t)=([0-9]{1,9})", now))
    rules = dict(re.findall(r"\b(q|w)=([0-9]{1,9})", policy))
    limit = said.get("limit") or rules.get("q") or policy
    left, reset = said.get("remaining") or said.get("r") or "", said.get("reset") or said.get("t") or ""
    seconds = float(rules.get("w", 0)) or None
    yield Reported("application", _count(limit), _count(left), seconds_until(reset, reference), seconds, "RateLimit")


def _from_body(body: Mapping[str, Any], reference: float) -> Iterator[Reported]:
    parts = [body, *(body[name] for name in ("error", "data", "rateLimit", "rate_limit") if name in body)]
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        fields = {re.sub(r"[^a-z]", "", str(name).lower()): value for name, value in part.items()}
        values = {
            field: next((str(fields[name]) for name in names if name in fields and _is_scalar(fields[name])), "")
            for field, names in _FIELDS.items()
        }
        message = str(fields.get("message") or "")
        stated = _MESSAGE.search(message)
        limit = _count(values["limit"]) or (int(stated[1]) if stated else None)
        window = values["window"].lower().removeprefix("per ").strip()
        seconds = PERIODS.get(window) or (float(window) or None if window.isdigit() and len(window) < 8 else None)
        resets = seconds_until(values["reset"], reference)
        if limit or resets is not None:
            yield Reported(
                "organization" if "organization" in message.lower() else "application",
                limit,
                _count(values["remaining"]) or 0,
                resets,
                seconds or (PERIODS[stated[2].lower()] if stated else None),
                "the body of a 429",
            )


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def seconds_until(text: str, reference: float) -> float | None:
    """Seconds until a reset: epoch seconds or milliseconds, seconds from now, an HTTP date, or an ISO 8601 date.

    Args:
        text: The reset, as the server wrote it.
        reference: Epoch seconds at which the server wrote it.

    Returns:
        The seconds, at least 0; None if the text is none of these, or is not a time of the next month.
    """
    text = text.strip()
    if not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        moment = _date(text)
        ahead = math.nan if moment is None else moment - reference
    else:
        number = number / 1000 if number >= _MILLISECONDS else number
        if 0 <= number < _EPOCH:
            return number if number <= FARTHEST_RESET else None
        ahead = number - reference
    return max(0.0, ahead) if -LATE <= ahead <= FARTHEST_RESET else None


def _date(text: str) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            # Python 3.10 does not read a Z.
            moment = parse(text.replace("Z", "+00:00") if parse is datetime.fromisoformat else text)
            return moment.timestamp() if moment.tzinfo else None
        except (TypeError, ValueError, OverflowError, IndexError):
            continue
    return None


def _count(text: str | None) -> int | None:
    """A count below a billion, or None."""
    match = _COUNT.fullmatch(text or "")
    return int(match[1]) if match else None
