"""The state of the rate limiter, which all processes of an OAuth application share.

A store keeps it in memory, in a file or in Redis (see `stores`). Its times come from the clock of the store, corrected
so that they never go back (see `LimiterState.now`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

import orjson

FORMAT = 2


@dataclass
class LimiterState:
    """Sent requests, and what the server has said.

    Attributes:
        log: Times of the responses to requests, ascending.
        pending: Requests without a response, by number: when each is over at the latest, as its process may have died.
        others: Window key to requests of other programs that the server counts: expiry and number.
        blocked_until: Time until which no request may be sent.
        block_reason: Reason of the block.
        longest: Seconds for which a request is remembered.
        last: Latest time that was returned by `now`.
        shift: Seconds added to the store's clock.
        changed: Whether the state must be stored.
        announced: Window key to the limit that the server last announced for it.
    """

    log: array[float] = field(default_factory=lambda: array("d"))
    pending: dict[int, float] = field(default_factory=dict)
    others: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    blocked_until: float = 0.0
    block_reason: str = ""
    longest: float = 0.0
    last: float = 0.0
    shift: float = 0.0
    changed: bool = False
    announced: dict[str, int] = field(default_factory=dict)

    def now(self, reading: float) -> float:
        """The time of this state for a reading of the store's clock.

        A clock may go back, on a Redis server or after a restart of the machine. The period that the clock then repeats
        is counted once, so that requests do not look younger or older than they are.
        """
        now = reading + self.shift
        if now < self.last:
            self.shift += self.last - now
            now = self.last
        self.last = now
        return now

    def resume_clock(self, reading: float, seconds: float) -> None:
        """Continue on a clock that was restarted, `seconds` after the latest time."""
        self.last += max(0.0, seconds)
        self.shift = self.last - reading

    def pending_since(self, now: float) -> Iterator[float]:
        """Times from which pending requests count: now, or earlier for a request that is over without a response."""
        return (min(now, over) for over in self.pending.values())

    def add_request(self, over: float, number: int = 0) -> int:
        """Add an allowed request and return its number: 0 for a new one, which is unique among all states."""
        number = number or randbits(53) | 1
        self.pending[number] = over
        return number

    def block(self, until: float, reason: str) -> bool:
        """Block all requests until a time; False if they are blocked for longer already."""
        longer = until > self.blocked_until
        if longer:
            self.blocked_until, self.block_reason = until, reason
        return longer

    def record_response(self, number: int, at: float) -> bool:
        """Record when the response to a request came; False if it was recorded before, or the request taken back."""
        found = self.pending.pop(number, None) is not None
        if found:
            insort(self.log, at)
        return found

    def prune(self, now: float, longest: float) -> None:
        """Drop the requests that no window counts any more: this process knows windows up to the length `longest`."""
        self.longest = max(self.longest, longest)
        since = now - self.longest
        self.pending = {number: over for number, over in self.pending.items() if over > since}
        del self.log[: bisect_right(self.log, since)]
        if self.others:
            left = {key: [one for one in entries if one[0] > now] for key, entries in self.others.items()}
            self.others = {key: entries for key, entries in left.items() if entries}

    def dumps(self) -> bytes:
        """Serialize. The keys are part of the stored format."""
        rest = {
            "format": FORMAT,
            "size": len(self.log),
            "pending": list(self.pending.items()),
            "others": self.others,
            "announced": self.announced,
            "gate": [self.blocked_until, self.block_reason],
            "clock": [self.longest, self.last, self.shift],
        }
        return orjson.dumps(rest) + b"\n" + self.log.tobytes()

    @classmethod
    def loads(cls, stored: bytes) -> LimiterState:
        """Deserialize.

        Raises:
            ValueError: The bytes are not a state, or a state of another version.
        """
        head, _, times = stored.partition(b"\n")
        rest: Any = orjson.loads(head)
        if not isinstance(rest, dict) or rest.get("format") != FORMAT:
            raise ValueError("it is not the state of a rate limiter, or the state of another version")
        try:
            if len(times) != 8 * rest["size"]:
                raise ValueError("it is cut short")
            state = cls(
                array("d", times),
                dict(rest["pending"]),
                {key: [(leave, count) for leave, count in entries] for key, entries in rest["others"].items()},
                *rest["gate"],
                *rest["clock"],
            )
            state.announced = dict(rest.get("announced", {}))  # A state of an earlier version lacks it.
            return state
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from None
