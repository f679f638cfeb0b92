"""The state of the rate limiter, which all processes of an OAuth application share.

A store keeps it in memory, in a file or in Redis (see `stores`). Its times come from the clock of the store, corrected
so that they never go back (see `LimiterState.now`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

import orjson

FORMAT = 1


@dataclass(slots=True)
class PendingRequest:
    """A request without a response yet.

    Attributes:
        acquired: Time at which it was allowed.
        from_reserve: Whether it may use the share that is reserved for metering.
    """

    acquired: float
    from_reserve: bool


@dataclass(slots=True)
class Waiter:
    """A caller in the queue for the next request.

    Attributes:
        from_reserve: Whether it may use the share that is reserved for metering. Such a caller goes first.
        since: Time at which it joined the queue.
        seen: Time of its last poll. A caller that no longer polls is dropped.
    """

    from_reserve: bool
    since: float
    seen: float


@dataclass
class LimiterState:
    """Sent requests, the queue, and what the server has said.

    Attributes:
        general: Times of the responses to requests, ascending.
        reserved: The same for requests that may use the metering reserve.
        pending: Requests without a response, by number.
        waiting: The queue, by the name of the caller.
        others: Window key to requests of other programs that the server counts: expiry and number.
        blocked_until: Time until which no request may be sent.
        block_reason: Reason of the block.
        longest: Seconds for which a request is remembered.
        last: Latest time that was returned by `now`.
        shift: Seconds added to the store's clock.
        changed: Whether the state must be stored.
    """

    general: array[float] = field(default_factory=lambda: array("d"))
    reserved: array[float] = field(default_factory=lambda: array("d"))
    pending: dict[int, PendingRequest] = field(default_factory=dict)
    waiting: dict[str, Waiter] = field(default_factory=dict)
    others: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    blocked_until: float = 0.0
    block_reason: str = ""
    longest: float = 0.0
    last: float = 0.0
    shift: float = 0.0
    changed: bool = False

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

    def add_request(self, now: float, from_reserve: bool) -> int:
        """Add an allowed request and return its number, which is unique among all states."""
        number = randbits(53) | 1
        self.pending[number] = PendingRequest(now, from_reserve)
        self.changed = True
        return number

    def block(self, until: float, reason: str) -> None:
        """Block all requests until a time, unless they are blocked for longer already."""
        if until > self.blocked_until:
            self.blocked_until, self.block_reason, self.changed = until, reason, True

    def record_response(self, number: int, at: float) -> bool:
        """Record when the response to a request came. The request ages from then on.

        Returns:
            False if it was recorded before, or the request was taken back.
        """
        request = self.pending.pop(number, None)
        if request is None:
            return False
        insort(self.reserved if request.from_reserve else self.general, max(request.acquired, at))
        self.changed = True
        return True

    def pending_since(self, now: float, in_flight: float, *, reserved: bool) -> list[float]:
        """Times from which the pending requests count: now, or earlier for a request whose process died (`windows`).

        A request without a response for `in_flight` seconds was certainly sent before they were over.
        """
        requests = self.pending.values()
        return [min(now, one.acquired + in_flight) for one in requests if reserved or not one.from_reserve]

    def prune(self, now: float, in_flight: float) -> None:
        """Drop the requests that no window counts any more."""
        over = now - in_flight - self.longest
        for number in [one for one, request in self.pending.items() if request.acquired <= over]:
            del self.pending[number]
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
        """Serialize. The keys are part of the stored format."""
        rest = {
            "format": FORMAT,
            "sizes": [len(self.general), len(self.reserved)],
            "flying": [[number, one.acquired, one.from_reserve] for number, one in self.pending.items()],
            "waiting": [[name, one.from_reserve, one.since, one.seen] for name, one in self.waiting.items()],
            "others": self.others,
            "gate": [self.blocked_until, self.block_reason],
            "clock": [self.longest, self.last, self.shift],
        }
        return orjson.dumps(rest) + b"\n" + self.general.tobytes() + self.reserved.tobytes()

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
            general, reserved = rest["sizes"]
            if len(times) != 8 * (general + reserved):
                raise ValueError("it is cut short")
            state = cls(
                array("d", times[: 8 * general]),
                array("d", times[8 * general :]),
                {number: PendingRequest(acquired, reserve) for number, acquired, reserve in rest["flying"]},
                {name: Waiter(reserve, since, seen) for name, reserve, since, seen in rest["waiting"]},
                {key: [(leave, count) for leave, count in entries] for key, entries in rest["others"].items()},
            )
            state.blocked_until, state.block_reason = rest["gate"]
            state.longest, state.last, state.shift = rest["clock"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from None
        return state
