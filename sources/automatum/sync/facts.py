"""What a finished sweep leaves for the next one: the JSON in `extra` of its row in `_automatum_sweeps`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class SweepFacts:
    """Facts about one sweep. The field names are the stored keys; what has its default value is not stored.

    Attributes:
        full: It read the whole list and proved it.
        partial: It was limited to some of the rows, or to some of the days.
        ordered: Whether all pages came newest first; None if the list is not configured as newest first.
        drift: What moved while it read, in words.
        candidates: Keys of rows that it did not find. The next proven sweep decides about them.
        off_list: Keys of live rows that the API is known to keep off the list.
        own_urls: Rows are known to have URLs of their own.
        session: The sync that it belongs to: `id`, and `tables`.
    """

    full: bool = False
    partial: bool = False
    ordered: bool | None = None
    drift: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    off_list: tuple[str, ...] = ()
    own_urls: bool = False
    session: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The facts that differ from their defaults."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> SweepFacts:
        """The facts of a stored row; keys that this version does not know are ignored."""
        known: dict[str, Any] = {name: stored[name] for name in _DEFAULTS if name in stored}
        known.update({name: tuple(value) for name, value in known.items() if isinstance(value, list)})
        return cls(**known)


_DEFAULTS = {one.name: one.default for one in fields(SweepFacts)}
