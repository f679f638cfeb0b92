"""Parses the rate limit headers of a response (`api/authentication`). Missing or invalid headers are ignored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .windows import Window

_SCOPES = {"application": "", "organization": "Organization-"}


@dataclass(frozen=True, slots=True)
class HeaderValues:
    """The headers about one window. None: the header is missing or invalid.

    Attributes:
        window: The window.
        limit: Its limit.
        left: Requests left in it.
        resets: Seconds until it is reset.
    """

    window: Window
    limit: int | None
    left: int | None
    resets: float | None


def read_headers(
    headers: Mapping[str, str], reference: float, scopes: Sequence[Sequence[Window]]
) -> list[HeaderValues]:
    """Parse the headers about the windows of the application and of the organization.

    Args:
        headers: Headers of the response.
        reference: Date of the response in epoch seconds. The reset is a time of the server's clock, not of ours.
        scopes: The configured windows, one sequence for each scope.
    """
    found = []
    for windows in scopes:
        if not windows:
            continue
        prefix = _SCOPES[windows[0].scope]
        limit = _whole(headers.get(f"X-RateLimit-{prefix}Limit"))
        left = _whole(headers.get(f"X-RateLimit-{prefix}Remaining"))
        resets = None if prefix else reset_in(headers, reference)
        window = _window_of(windows, limit, resets)
        if resets is not None and resets > 2 * window.seconds:
            resets = None
        if limit or left is not None:
            found.append(HeaderValues(window, limit, left, resets))
    return found


def reset_in(headers: Mapping[str, str], reference: float) -> float | None:
    """Seconds from the date of the response to `X-RateLimit-Reset`; None if that is not in the future."""
    try:
        ahead = float(headers.get("X-RateLimit-Reset") or "nan") - reference
    except ValueError:
        return None
    return ahead if math.isfinite(ahead) and ahead > 0 else None


def exhausted(headers: Mapping[str, str]) -> bool:
    """Whether the headers explain a 429: they report no requests left."""
    return any(_whole(headers.get(f"X-RateLimit-{prefix}Remaining")) == 0 for prefix in _SCOPES.values())


def _whole(text: str | None) -> int | None:
    """A count below a billion, or None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _window_of(windows: Sequence[Window], limit: int | None, resets: float | None) -> Window:
    """The window that the headers describe: the longest, as in the vendor's samples.

    A shorter window matches if its limit is the reported one and the reset is no further away than its length.
    Otherwise an API that reports the window of a minute would make us take 50 a minute for 50 an hour.
    """
    longest = max(windows, key=lambda one: one.seconds)
    for window in windows:
        shorter = window.seconds < longest.seconds and window.limit == limit != longest.limit
        if shorter and resets is not None and resets <= window.seconds:
            return window
    return longest
