"""A rate limit of the server, as it is stored in the state. `learning` finds it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

GUESS_HOLD = 60.0
"""Seconds of the first wait that rests on a guess, and the longest window whose limit is applied on a guess."""


@dataclass(slots=True)
class ServerLimit:
    """A rate limit of the server. Times are those of the state, except `learned_at`. The fields are stored by name.

    Attributes:
        scope: `application` or `organization`.
        limit: Requests.
        seconds: Length of its window.
        evidence: How the window is known: `name`, `reset`, `configured`, `remaining`, `refusal` or `guess`.
        source: Header or field that names the limit, or `a 429`.
        learned_at: Epoch seconds at which the limit was assigned to the window.
        seen: Time of the last report.
        until: Time until which it applies.
        left: Requests left at the last report; -1 if unknown.
        since: Time of the last reset that the number of requests left shows.
        falls_from: Time since which the number falls by exactly what this side sends.
        holds: Reports in a row with no requests left.
    """

    scope: str
    limit: int
    seconds: float
    evidence: str
    source: str
    learned_at: float
    seen: float
    until: float
    left: int = -1
    since: float = 0.0
    falls_from: float = 0.0
    holds: int = 0

    @property
    def certain(self) -> bool:
        """Whether the window is known and not guessed."""
        return self.evidence != "guess"

    @property
    def key(self) -> str:
        """Name in the state. A limit that a refusal proves is not exact, so there is one of them for each window."""
        return f"{self.scope} {self.seconds:g} refused" if self.evidence == "refusal" else f"{self.scope} {self.limit}"

    def applies(self, now: float) -> bool:
        """Whether requests keep to it. A guess about a long window could cost an hour, so it does not apply."""
        return now < self.until and (self.certain or self.seconds <= GUESS_HOLD)

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> ServerLimit:
        """Read the fields. Those of a later version are ignored."""
        return cls(**{name: stored[name] for name in _FIELDS if name in stored})


_FIELDS = tuple(one.name for one in fields(ServerLimit))


def newest(one: Iterable[tuple[str, ServerLimit]], other: Iterable[tuple[str, ServerLimit]]) -> dict[str, ServerLimit]:
    """The limits of two states, the later report of each."""
    merged = dict(one)
    for key, limit in other:
        if key not in merged or merged[key].seen < limit.seen:
            merged[key] = limit
    return merged
