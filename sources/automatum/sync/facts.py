"""What a finished sweep leaves for the next one: the JSON in `extra` of its row in `_automatum_sweeps`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from ..config.settings import AutomatumSettings
from ..core.redaction import Secret
from ..core.text import plural
from ..endpoints import Endpoint
from .results import Verdict

MOST_SWEEPS = 100
"""Sweeps of a table that are read. Where an hour has more, a deletion that needs an older one waits."""
MOST_KEYS = 5_000
"""Keys that a sweep's row names. What is left out is confirmed later, as if its sweep had not been."""
MOST_EVENTS = 50
"""Events that a sweep's row describes."""
MAX_AGE_DAYS = 30
"""The vendor asks for a rotation every 30 days in production, and every 90 in development (`api/authentication`)."""


@dataclass(frozen=True)
class SweepFacts:
    """Facts about one sweep. The field names are the stored keys; what has its default value is not stored.

    Attributes:
        full: It read the whole list and proved it.
        partial: It was limited to some of the rows, or to some of the days.
        drift: What moved while it read, in words.
        candidates: Keys of rows that it did not find, and that a later sweep decides about.
        off_list: Keys of live rows that the API keeps off the list; the one that was asked for last comes last.
        since: First day of a report from which on all days have been read, as an ISO date.
        part: What names the part of the table that it read (`SyncOptions.part_of`); empty for the whole table.
        session: The sync that it belongs to: `id`, `tables`, and `selection` if that is not everything.
        secret: The client secret that it was read with: `mark`, and `since` when it is in use. Sweep after
            sweep carries it on (I9), because the API is not known to tell.
        organization: Whose rows the dataset has: `id`, and the `application` that read them (`organization_check`).
        key: Columns that identified a record.
        settings: What it was read by (`digest_settings`).
    """

    full: bool = False
    partial: bool = False
    drift: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    off_list: tuple[str, ...] = ()
    since: str | None = None
    part: str = ""
    session: dict[str, Any] | None = None
    secret: dict[str, Any] | None = None
    organization: dict[str, Any] | None = None
    key: tuple[str, ...] = ()
    settings: str = ""

    def to_json(self) -> dict[str, Any]:
        """The facts that differ from their defaults, with a bounded number of keys and events.

        The first keys in their order are kept. So two sweeps that miss the same rows name the same keys.
        """
        stored = {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}
        for name in ("candidates", "off_list"):
            if name in stored:
                # The order of the rows off the list is that in which they are requested.
                stored[name] = (list if name == "off_list" else sorted)(stored[name])[:MOST_KEYS]
        if len(self.drift) > MOST_EVENTS:
            stored["drift"] = [*self.drift[:MOST_EVENTS], f"{len(self.drift) - MOST_EVENTS} more events"]
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> SweepFacts:
        """The facts of a stored row; keys that this version does not know, and values of other types, are ignored."""
        known: dict[str, Any] = {}
        for name, value in stored.items():
            value = tuple(value) if isinstance(value, list) else value
            if isinstance(value, _TYPES.get(name, ())):
                known[name] = value
        return cls(**known)


_OTHER_TYPES = {"session": dict, "secret": dict, "organization": dict, "since": str, "part": str, "settings": str}
_TYPES: dict[str, type] = {
    one.name: _OTHER_TYPES.get(one.name, tuple if one.default == () else bool) for one in fields(SweepFacts)
}
_DEFAULTS = {one.name: one.default for one in fields(SweepFacts)}


@dataclass
class PastSweep:
    """A sweep that reached its verdict.

    Attributes:
        id: Its id.
        finished_at: When.
        verdict: `complete` or `incomplete`.
        facts: What it left for the next one.
    """

    id: str
    finished_at: datetime
    verdict: str
    facts: SweepFacts


def last_full(past: Sequence[PastSweep]) -> SweepFacts:
    """What the last complete sweep of the whole table left."""
    return next((one.facts for one in past if one.facts.full), SweepFacts())


def last_verdict(sweeps: Iterable[PastSweep], part: str = "") -> datetime | None:
    """When a part of a table last got a verdict. Page records from before that are not needed any more.

    They are deleted then, but not in a destination that only appends.

    Args:
        sweeps: The sweeps of one table.
        part: What names the part; empty for the whole table.
    """
    same = (one for one in sweeps if one.facts.part == part and (part or not one.facts.partial))
    return max((one.finished_at for one in same if one.verdict != Verdict.FAILED), default=None)


def digest_settings(endpoint: Endpoint, settings: AutomatumSettings) -> str:
    """A digest of the settings that a verdict depends on."""
    words: tuple[Any, ...] = endpoint, settings.deletes, settings.report_window_days
    if settings.personal:
        key = settings.personal_key or Secret("")
        words += settings.personal, hmac.new(key.reveal().encode(), b"personal", "sha256").hexdigest()
    return hashlib.blake2b(repr(words).encode(), digest_size=8).hexdigest()


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
    text = "automatum {} {}".format
    return hashlib.sha256(text(settings.client_id, settings.client_secret.reveal()).encode()).hexdigest()[:8]
