"""Since when the client secret is in use, as the destination knows it: sweep after sweep carries it on (I9).

The API is not known to tell. The vendor asks to rotate a secret every 30 days in production, and every 90 in
development (`api/authentication`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..config.settings import AutomatumSettings
from ..core.text import plural
from .facts import PastSweep


def in_use_since(settings: AutomatumSettings, past: Sequence[PastSweep], now: datetime) -> dict[str, Any]:
    """What a sweep stores: `mark`, which tells one secret from another, and `since`, an ISO time.

    Args:
        settings: Resolved settings.
        past: Earlier sweeps, the latest first.
        now: The present.
    """
    mark = mark_of(settings)
    known = (one.facts.secret for one in past if one.facts.secret)
    return next((one for one in known if one.get("mark") == mark and first_use(one)), None) or {
        "mark": mark,
        "since": now.isoformat(timespec="seconds"),
    }


def first_use(secret: dict[str, Any] | None) -> datetime | None:
    """When a secret was first seen in use, by what a sweep has stored; None if that does not say."""
    try:
        return datetime.fromisoformat(str((secret or {})["since"]))
    except (KeyError, ValueError):
        return None


MAX_AGE_DAYS = 30
"""The vendor asks for a rotation every 30 days in production, and every 90 in development (`api/authentication`)."""


def too_old(since: datetime | None, now: datetime) -> str:
    """What to tell of a secret that is too old; empty if it is not.

    Args:
        since: Since when it is in use, if that is known.
        now: The present.
    """
    days = (now - since).days if since else 0
    if days < MAX_AGE_DAYS:
        return ""
    return (
        f"The client secret has been in use for {plural(days, 'day')} or more. Automatum asks to rotate it every 30 "
        "days in production and every 90 in development. Run `automatum apps rotate`."
    )


def latest_use(past: Sequence[PastSweep]) -> dict[str, Any] | None:
    """What sweeps of all tables say of the secret of the latest of them: `mark` and `since`; None if none says."""
    latest = max((one for one in past if one.facts.secret), key=lambda one: one.finished_at, default=None)
    if latest is None:
        return None
    # A table that was not synced for a time has seen the secret later than others.
    mark = (latest.facts.secret or {}).get("mark")
    same = [one.facts.secret for one in past if one.facts.secret and one.facts.secret.get("mark") == mark]
    return min((one for one in same if first_use(one)), key=lambda one: str(one["since"]), default=None)


def mark_of(settings: AutomatumSettings) -> str:
    """Eight hex digits of a hash, which tell one secret from another, and are far too few to find a secret by."""
    return hashlib.sha256(f"automatum {settings.client_id} {settings.client_secret}".encode()).hexdigest()[:8]
