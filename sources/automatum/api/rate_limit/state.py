"""What has been sent and who waits: the part of the quota that all processes of an application share.

A `LimiterState` is kept in memory, in a file or in Redis (see `stores`). Its times are those of its own clock: `now` is
what the store's clock reads, made to run on where that clock went back.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

import orjson

FORMAT = 1


@dataclass(slots=True)
class Flight:
    """A request whose answer is not here yet.

    Attributes:
        acquired: When it was allowed.
        from_reserve: Whether it may spend what is kept for metering.
    """

    acquired: float
    from_reserve: bool


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a request to be allowed.

    Attributes:
        from_reserve: Whether it may spend what is kept for metering; such a one goes first.
        since: When it came.
        seen: When it last asked. One that no longer asks has died.
    """

    from_reserve: bool
    since: float
    seen: float


@dataclass
class LimiterState:
    """Requests, waiters, and what the server has said.

    Attributes:
        general: When each settled request began to age, ascending.
        reserved: The same for requests that may spend the reserve.
        flying: Requests under way, by number.
        born: Tells this tally from one that was begun anew.
        waiting: Those who wait, by a name of their own.
        others: Window to requests of others that the server counts there: when they leave it, and how many.
        adopted: Window to a limit that the server named, lower than the configured one.
        gate: Until when nobody may send.
        gate_reason: Why.
        smooth: How many windows are spent evenly rather than in bursts.
        smooth_until: Until when.
        longest: Seconds for which a request is remembered.
        last: The latest time that was seen.
        shift: What is added to the store's clock.
        changed: Whether it has to be stored.
    """

    general: array[float] = field(default_factory=lambda: array("d"))
    reserved: array[float] = field(default_factory=lambda: array("d"))
    flying: dict[int, Flight] = field(default_factory=dict)
    born: int = field(default_factory=lambda: randbits(53))
    waiting: dict[str, Waiter] = field(default_factory=dict)
    others: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    adopted: dict[str, int] = field(default_factory=dict)
    gate: float = 0.0
    gate_reason: str = ""
    smooth: int = 0
    smooth_until: float = 0.0
    longest: float = 0.0
    last: float = 0.0
    shift: float = 0.0
    changed: bool = False

    def now(self, reading: float) -> float:
        """The tally's time at a reading of the store's clock.

        A clock that was set back (a Redis server's; a machine's after a restart) must not make what was sent look
        younger than it is for ever, nor older: the time that the clock goes through twice is counted once.
        """
        now = reading + self.shift
        if now < self.last:
            self.shift += self.last - now
            now = self.last
        self.last = now
        return now

    def elapse(self, reading: float, seconds: float) -> None:
        """Take up a clock that started anew: since the latest time so many seconds have passed."""
        self.last += max(0.0, seconds)
        self.shift = self.last - reading

    def allow(self, now: float, from_reserve: bool) -> int:
        """Let a request through; returns its number, which no other tally has given."""
        number = randbits(53) | 1
        self.flying[number] = Flight(now, from_reserve)
        self.changed = True
        return number

    def join(self, other: LimiterState) -> None:
        """Take in what another tally of the same application knows: one was lost, and begun anew by who knew less."""
        for name in ("general", "reserved"):
            # What both know has the same time in both; two of one time in either are two.
            times = Counter(getattr(self, name)) | Counter(getattr(other, name))
            setattr(self, name, array("d", sorted(times.elements())))
        self.flying |= other.flying
        for key, limit in other.adopted.items():
            self.adopted[key] = min(limit, self.adopted.get(key, limit))
        for key, entries in other.others.items():
            self.others[key] = sorted({*self.others.get(key, ()), *entries})
        if other.gate > self.gate:
            self.gate, self.gate_reason = other.gate, other.gate_reason
        if other.smooth_until > self.smooth_until:
            self.smooth, self.smooth_until = max(self.smooth, other.smooth), other.smooth_until
        self.changed = True

    def record_response(self, number: int, now: float) -> None:
        """The answer to a request is here: from now on it ages."""
        flight = self.flying.pop(number, None)
        if flight is not None:
            insort(self.reserved if flight.from_reserve else self.general, now)
            self.changed = True

    def began(self, now: float, in_flight: float, *, reserved: bool) -> list[float]:
        """When each request under way began to age, or would if its answer came now; see `windows`.

        One of which nobody says what became of it (its process has died) was sent long before `in_flight` was over.
        """
        flights = self.flying.values()
        return [min(now, one.acquired + in_flight) for one in flights if reserved or not one.from_reserve]

    def forget(self, now: float, in_flight: float) -> None:
        """Drop what no window looks at any more."""
        over = now - in_flight - self.longest
        for number in [one for one, flight in self.flying.items() if flight.acquired <= over]:
            del self.flying[number]
        for times in (self.general, self.reserved):
            gone = bisect_right(times, now - self.longest)
            if gone:
                del times[:gone]
        for key, entries in list(self.others.items()):
            left = [entry for entry in entries if entry[0] > now]
            if left:
                self.others[key] = left
            else:
                del self.others[key]

    def dumps(self) -> bytes:
        """As bytes."""
        rest = {
            "format": FORMAT,
            "sizes": [len(self.general), len(self.reserved)],
            "flying": [[number, one.acquired, one.from_reserve] for number, one in self.flying.items()],
            "born": self.born,
            "waiting": [[name, one.from_reserve, one.since, one.seen] for name, one in self.waiting.items()],
            "others": self.others,
            "adopted": self.adopted,
            "gate": [self.gate, self.gate_reason],
            "smooth": [self.smooth, self.smooth_until],
            "clock": [self.longest, self.last, self.shift],
        }
        return orjson.dumps(rest) + b"\n" + self.general.tobytes() + self.reserved.tobytes()

    @classmethod
    def loads(cls, stored: bytes) -> LimiterState:
        """From bytes.

        Raises:
            ValueError: They are not those of a tally, or those of a later version.
        """
        head, _, times = stored.partition(b"\n")
        rest: Any = orjson.loads(head)
        if not isinstance(rest, dict) or rest.get("format") != FORMAT:
            raise ValueError("it is not a tally, or one of another version of this program")
        try:
            general, reserved = rest["sizes"]
            if len(times) != 8 * (general + reserved):
                raise ValueError("it is cut short")
            tally = cls(
                array("d", times[: 8 * general]),
                array("d", times[8 * general :]),
                {number: Flight(acquired, reserve) for number, acquired, reserve in rest["flying"]},
                rest["born"],
                {name: Waiter(reserve, since, seen) for name, reserve, since, seen in rest["waiting"]},
                {key: [(leave, count) for leave, count in entries] for key, entries in rest["others"].items()},
                rest["adopted"],
            )
            tally.gate, tally.gate_reason = rest["gate"]
            tally.smooth, tally.smooth_until = rest["smooth"]
            tally.longest, tally.last, tally.shift = rest["clock"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from None
        return tally
