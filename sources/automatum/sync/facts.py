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
from ..endpoints import Endpoint
from .results import Verdict

MOST_SWEEPS = 100
"""Sweeps of a table that are read. Where an hour has more, a deletion that needs an older one waits."""
MOST_KEYS = 5_000
"""Keys that a sweep's row names. What is left out is confirmed later, as if its sweep had not been."""
MOST_EVENTS = 50
"""Events that a sweep's row describes."""


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


_OTHER_TYPES = {"session": dict, "organization": dict, "since": str, "part": str, "settings": str}
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
