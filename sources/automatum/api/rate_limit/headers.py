"""Reads what the documented headers say about rate limits (`api/authentication`). Invalid values are ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LATE = 5.0
"""Seconds by which a reset may be past: the server's clock has whole seconds, and the response took time."""
_COUNT = re.compile(r"\s*([0-9]{1,9})\s*(?:,.*)?", re.ASCII)
"""A count. A gateway that adds a header of the same name makes a list, of which the API's own is the first."""
_PREFIXES = {"application": "X-RateLimit-", "organization": "X-RateLimit-Organization-"}


@dataclass(frozen=True, slots=True)
class Reported:
    """What a response says about one rate limit. None: it does not say.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        left: Requests left.
        resets: Seconds until the window is reset.
    """

    scope: str
    limit: int | None
    left: int
    resets: float | None


def read_headers(headers: Mapping[str, str], reference: float) -> list[Reported]:
    """What the headers of a response say about the rate limits, for each limit of which it says how much is left.

    Args:
        headers: Headers of the response, case-insensitive.
        reference: Date of the response in epoch seconds. The reset is a time of the server's clock, not of ours.
    """
    found = []
    for scope, prefix in _PREFIXES.items():
        left = _count(headers.get(f"{prefix}Remaining"))
        if left is not None:
            limit = _count(headers.get(f"{prefix}Limit"))
            found.append(Reported(scope, limit, left, _seconds_until(headers.get(f"{prefix}Reset"), reference)))
    return found


def _seconds_until(text: str | None, reference: float) -> float | None:
    """Seconds until a reset in epoch seconds; None if it is past or further away than a day."""
    try:
        ahead = float((text or "").partition(",")[0]) - reference
    except ValueError:
        return None
    return max(0.0, ahead) if -LATE <= ahead <= 86400.0 else None


def _count(text: str | None) -> int | None:
    """A count below a billion, or None."""
    match = _COUNT.fullmatch(text or "")
    return int(match[1]) if match else None
