"""What an answer's headers say about the quota (`api/authentication`); missing or absurd ones are passed over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .windows import Window

_SCOPES = {"application": "", "organization": "Organization-"}


@dataclass(frozen=True, slots=True)
class Said:
    """What is said about one window.

    Attributes:
        window: Which one.
        limit: Its limit.
        left: Requests left.
        resets: Seconds until it is reset.
    """

    window: Window
    limit: int | None
    left: int | None
    resets: float | None


def read_headers(headers: Mapping[str, str], reference: float, scopes: Sequence[Sequence[Window]]) -> list[Said]:
    """What the headers say about the windows of the application and of the organization.

    Args:
        headers: Of the answer.
        reference: Its date, in epoch seconds: the reset is an epoch by the server's clock, not by ours.
        scopes: The windows, those of one scope together.
    """
    found = []
    for windows in scopes:
        if not windows:
            continue
        prefix = _SCOPES[windows[0].scope]
        limit = _whole(headers.get(f"X-RateLimit-{prefix}Limit"))
        left = _whole(headers.get(f"X-RateLimit-{prefix}Remaining"))
        resets = None if prefix else reset_in(headers, reference)
        window = _concerned(windows, limit, resets)
        if resets is not None and resets > 2 * window.seconds:
            resets = None
        if limit or left is not None:
            found.append(Said(window, limit, left, resets))
    return found


def reset_in(headers: Mapping[str, str], reference: float) -> float | None:
    """Seconds from the answer's date to `X-RateLimit-Reset`; None unless that is a moment in the future."""
    try:
        ahead = float(headers.get("X-RateLimit-Reset") or "nan") - reference
    except ValueError:
        return None
    return ahead if math.isfinite(ahead) and ahead > 0 else None


def exhausted(headers: Mapping[str, str]) -> bool:
    """Whether the headers explain a 429: one of the buckets that they tell of is empty."""
    return any(_whole(headers.get(f"X-RateLimit-{prefix}Remaining")) == 0 for prefix in _SCOPES.values())


def _whole(text: str | None) -> int | None:
    """A count of at most a billion, or None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _concerned(windows: Sequence[Window], limit: int | None, resets: float | None) -> Window:
    """The window that the headers are about: the longest, as in the vendor's samples.

    Unless they name the limit of a shorter one and its reset is no further away than that one is long: an API that
    reports its tightest window must not make us take 50 a minute for 50 an hour.
    """
    longest = max(windows, key=lambda one: one.seconds)
    for window in windows:
        shorter = window.seconds < longest.seconds and window.limit == limit != longest.limit
        if shorter and resets is not None and resets <= window.seconds:
            return window
    return longest
