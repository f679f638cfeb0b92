"""What became of lines whose call got no answer: told by the vendor's events, or by a human (I5).

An event names no hour, only a date; and a call cannot be read back. So calls that events tell of are matched with calls
that the ledger made: same vendor, listing, customer and date, and every usage of the event among those of the call.
Each call proves one attempt and no more; it is bound to it for ever, by the API's id of the call where the API told it.
Calls of the same content are interchangeable: their bodies were equal. Where the choice matters, nothing is settled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ...core.redaction import redact
from . import planning
from .entries import date_key
from .ledger import Ledger
from .states import MOVES, chunks, move
from .tables import ATTEMPTS, EVENTS, LINES, LONGEST
from .webhook_events import Event, Unreadable, parse

_ACCEPTED = ("accepted_units", "accepted_price", "accepted_hash")
_CONTRADICTION = "The vendor's events say of its call both confirmed and failed."
_OPEN = ("sending", "unknown", "accepted")
"""States of an attempt's row of which an event may tell."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """An event that settles nothing, and why.

    Attributes:
        position: Which of the events it is, from 1.
        reason: For people.
    """

    position: int
    reason: str


@dataclass
class Reconciled:
    """What events, or a human, have settled; ids of lines.

    Attributes:
        accepted: Billed, after all.
        rejected: Refused by the marketplace; they can be retried.
        planned: Not sent; the next push sends them.
        conflict: Told to be both.
        left: Events that settle nothing though they should, with the reason.
        refused: Lines that a human may not settle like that, with the reason.
        ignored: Events that are about something else, or that were known.
    """

    accepted: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    conflict: list[str] = field(default_factory=list)
    left: list[LeftOver] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0


def settle_by_hand(ledger: Ledger, *, accepted: Collection[str] = (), not_sent: Collection[str] = ()) -> Reconciled:
    """Take a human's word for lines; all at once.

    Args:
        ledger: Where they are.
        accepted: Ids of lines that were billed (`unknown`); or of which what was accepted stands (`conflict`): then the
            difference that was asked for is settled too, and not asked again.
        not_sent: Ids of `unknown` lines that were not billed; the next push sends them.

    Returns:
        What was settled; lines that are in another state, or not there, are in `refused`.

    Raises:
        ConfigurationError: There is no ledger.
    """
    told = Reconciled()
    both = set(accepted) & set(not_sent)
    told.refused += [(line_id, "told to be both accepted and not sent") for line_id in sorted(both)]
    now = ledger.store.now()
    with ledger.store.writing() as connection:
        held = planning.fetch(connection, sorted({*accepted, *not_sent} - both))
        for name, ids, moved in (
            ("accepted, by hand", accepted, told.accepted),
            ("not sent, by hand", not_sent, told.planned),
        ):
            wanted = [line_id for line_id in dict.fromkeys(ids) if line_id not in both]
            for line_id in wanted:
                entry = held.get(line_id)
                if entry is None or entry.state not in MOVES[name].before:
                    state = "not in the ledger" if entry is None else f"it is {entry.state}"
                    told.refused.append((line_id, f"{state}; only {' or '.join(MOVES[name].before)} lines can be"))
                    continue
                values: dict[str, Any] = {"settled_at": now, "settled_by": "hand"}
                if name.startswith("not"):
                    values = {"settled_at": None, "settled_by": None, "planned_at": now}
                elif entry.accepted_hash is None:
                    values |= _accepted()
                moved += move(connection, name, [line_id], values)
                if line_id in moved and entry.state == "unknown":
                    state = "accepted" if moved is told.accepted else "not_taken"
                    _mark(connection, entry.attempt_id or "", [line_id], state, now, error="Told by hand.")
    return told


def settle_by_events(ledger: Ledger, events: Iterable[Mapping[str, Any]]) -> Reconciled:
    """Take the vendor's word for lines. The same events twice change nothing; their order does not matter.

    Args:
        ledger: Where the lines are. Let a run `recover` first, so that what dead processes left is `unknown`.
        events: Bodies of webhook events, `read_events` of a file, or rows of a table; those that are not about metering
            are ignored.

    Returns:
        What was settled, and the events that could not be used.

    Raises:
        ConfigurationError: There is no ledger.
    """
    told = Reconciled()
    calls: dict[str, list[Event]] = defaultdict(list)
    keys: set[str] = set()
    for event in parse(events):
        if isinstance(event, Unreadable):
            told.left.append(LeftOver(event.position, event.reason))
        elif event is None or event.key in keys:
            told.ignored += 1
        elif event.kind == "submitted" and event.call is None:
            # It and a later `confirmed` could not be told from two calls.
            told.left.append(LeftOver(event.position, "submitted, without an id of the call: proves nothing by itself"))
        else:
            keys.add(event.key)
            calls[event.call_key].append(event)
    with ledger.store.writing() as connection:
        _Matching(connection, ledger.store.now(), told).take(calls)
    told.left.sort(key=lambda one: one.position)
    return told


@dataclass(frozen=True, slots=True)
class _Row:
    """A line in a call that the ledger made.

    Attributes:
        now: State of the line, which may have gone on.
    """

    line_id: str
    units: Decimal
    price: Decimal
    state: str
    reference: str | None
    now: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A call that the ledger made: an attempt, and its lines by dimension."""

    attempt_id: str
    rows: dict[str, _Row] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, tuple[Decimal, Decimal]]:
        """What the API saw of it."""
        return {dimension: (row.units, row.price) for dimension, row in self.rows.items()}

    def holds(self, event: Event) -> bool:
        """Whether every usage of the event is among its own."""
        return all(
            one.dimension in self.rows
            and self.rows[one.dimension].units == one.units
            and one.price in (None, self.rows[one.dimension].price)
            for one in event.usages
        )


class _Matching:
    def __init__(self, connection: Connection, now: datetime, told: Reconciled) -> None:
        self._connection = connection
        self._now = now
        self._told = told

    def take(self, calls: Mapping[str, Sequence[Event]]) -> None:
        """All calls: first those that are bound already, then the others in the order of their events."""
        bound = {key: self._bound(key, events[0]) for key, events in calls.items()}
        for key, events in sorted(calls.items(), key=lambda call: (bound[call[0]] is None, call[1][0].position)):
            new = [event for event in events if not self._seen(event)]
            self._told.ignored += len(events) - len(new)
            attempt_id = bound[key]
            if not new:
                continue
            if attempt_id is None:
                self._find(key, new)
                continue
            made = self._calls_of(new).get(attempt_id)
            if made is None or not all(made.holds(event) for event in new):
                self._leave(new, "the ledger made this call, but not with this customer, listing, date or usages")
            else:
                self._apply(key, made, new)

    def _bound(self, key: str, event: Event) -> str | None:
        """The attempt that this call is known to be."""
        found = self._connection.scalar(select(EVENTS.c.attempt_id).where(EVENTS.c.call_key == key).limit(1))
        if found is None and event.call:
            found = self._connection.scalar(
                select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.reference == event.call).limit(1)
            )
        return found

    def _seen(self, event: Event) -> bool:
        query = select(EVENTS.c.event_key).where(EVENTS.c.event_key == event.key).limit(1)
        return self._connection.scalar(query) is not None

    def _find(self, key: str, events: Sequence[Event]) -> None:
        """The attempt that this call must be, if it can be told."""
        wanted = {one.dimension for event in events for one in event.usages}
        fits = [made for made in self._calls_of(events).values() if all(made.holds(event) for event in events)]
        free = [made for made in fits if self._is_free(made, wanted)]
        whole = [made for made in free if len(made.rows) == len(wanted)]
        free = whole or free
        if not free:
            self._leave(events, "no call of this ledger is left that it could be about")
        elif any(row.state == "sending" for made in free for row in made.rows.values()):
            self._leave(events, "a push is under way that it could be about: try again when that has ended")
        elif any(made.content != free[0].content for made in free):
            self._leave(events, f"{len(free)} different calls could be meant")
        elif not self._ids_agree() and any(self._answered(made) and made.content == free[0].content for made in fits):
            self._leave(events, "an accepted call could be meant too, since no event yet had an id that the API gave")
        else:
            # Accepted ones have their own events to come: they take theirs first, so that no event settles two lines.
            free.sort(key=lambda made: (any(row.state == "unknown" for row in made.rows.values()), made.attempt_id))
            self._apply(key, free[0], events)

    def _is_free(self, made: _Made, dimensions: Collection[str]) -> bool:
        """Whether nothing is known yet of who tells about these lines of it."""
        rows = [made.rows[dimension] for dimension in dimensions]
        if any(row.reference is not None or row.state not in _OPEN for row in rows):
            return False
        taken = select(EVENTS.c.line_id).where(EVENTS.c.attempt_id == made.attempt_id)
        return not {row.line_id for row in rows} & set(self._connection.scalars(taken))

    def _answered(self, made: _Made) -> bool:
        """Whether the API accepted it, with an id, and no event has told of it."""
        if not any(row.state == "accepted" and row.reference for row in made.rows.values()):
            return False
        query = select(EVENTS.c.event_key).where(EVENTS.c.attempt_id == made.attempt_id).limit(1)
        return self._connection.scalar(query) is None

    def _ids_agree(self) -> bool:
        """Whether an event ever had the id that the API gave in its answer: that they are the same is an assumption."""
        query = (
            select(EVENTS.c.event_key)
            .join(ATTEMPTS, EVENTS.c.attempt_id == ATTEMPTS.c.attempt_id)
            .where(ATTEMPTS.c.status_code.is_not(None), EVENTS.c.call_key == "call:" + ATTEMPTS.c.reference)
            .limit(1)
        )
        return self._connection.scalar(query) is not None

    def _apply(self, key: str, made: _Made, events: Sequence[Event]) -> None:
        """Settle the attempt's lines by all that is known of the call now."""
        wanted = dict.fromkeys(one.dimension for event in events for one in event.usages)
        if any(made.rows[dimension].now == "sending" for dimension in wanted):
            self._leave(events, "its line is being sent again just now: try again when that has ended")
            return
        known: dict[str, set[str]] = defaultdict(set)
        query = select(EVENTS.c.line_id, EVENTS.c.event).where(EVENTS.c.call_key == key)
        for line_id, kind in self._connection.execute(query):
            known[line_id].add(kind)
        for dimension in wanted:
            row = made.rows[dimension]
            about = [event for event in events if any(one.dimension == dimension for one in event.usages)]
            for event in about:
                self._remember(key, event, made.attempt_id, row.line_id)
            self._settle(made, row, about, known[row.line_id])

    def _remember(self, key: str, event: Event, attempt_id: str, line_id: str) -> None:
        values = {"event_key": event.key, "attempt_id": attempt_id, "line_id": line_id}
        values |= {"call_key": key, "event": event.kind}
        self._connection.execute(insert(EVENTS).values(**values, taken_at=self._now))
        if event.call:
            self._connection.execute(
                update(ATTEMPTS)
                .where(ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id == line_id)
                .where(ATTEMPTS.c.reference.is_(None))
                .values(reference=event.call)
            )

    def _settle(self, made: _Made, row: _Row, about: Sequence[Event], known: set[str]) -> None:
        """One line, by the events about it and the kinds of those that came before."""
        kinds = known | {event.kind for event in about}
        both = {"confirmed", "failed"}
        values: dict[str, Any] = {"settled_at": self._now, "settled_by": "event", "error": None}
        mine = LINES.c.attempt_id == made.attempt_id
        if both <= known:
            return  # Said already, and perhaps settled by hand since.
        if both <= kinds:
            # Whatever has become of the line since: if it is still to go out, it must not.
            values["error"] = _CONTRADICTION
            moved = move(self._connection, "contradicted", [row.line_id], values)
            self._told.conflict += moved
            state = "conflict"
        elif "failed" in kinds:
            said = next((event.reason for event in about if event.reason), None) or "The vendor's event says: failed."
            values["error"] = redact(said)[:LONGEST]
            # Nothing of it is billed, so nothing is held as accepted any more.
            values |= dict.fromkeys((*_ACCEPTED, "asked_units", "asked_price", "asked_hash"))
            open_ = row.state in _OPEN
            moved = move(self._connection, "failed, by event", [row.line_id], values, mine) if open_ else []
            self._told.rejected += moved
            state = "rejected"
        else:
            moved = move(self._connection, "accepted, by event", [row.line_id], {**values, **_accepted()}, mine)
            self._told.accepted += moved
            state = "accepted"
            if not moved and row.state not in ("accepted", "conflict"):
                self._leave(about, f"the API is said to have taken what the ledger holds as {row.state}")
        if moved:
            _mark(self._connection, made.attempt_id, moved, state, self._now, values["error"])

    def _leave(self, events: Sequence[Event], reason: str) -> None:
        self._told.left += [LeftOver(event.position, reason) for event in events]

    def _calls_of(self, events: Sequence[Event]) -> dict[str, _Made]:
        """The ledger's calls that hold a dimension of these events on their date, whole, in order."""
        keys = {
            date_key(event.vendor, event.listing_id, event.customer_id, usage.dimension, event.day)
            for event in events
            for usage in event.usages
        }
        # Two steps, or Postgres might read all attempts for want of a better idea.
        query = select(ATTEMPTS.c.attempt_id).join(LINES, LINES.c.line_id == ATTEMPTS.c.line_id)
        ids = sorted(set(self._connection.scalars(query.where(LINES.c.date_key.in_(sorted(keys))))))
        made = {attempt_id: _Made(attempt_id) for attempt_id in ids}
        for some in chunks(ids):
            rows = self._connection.execute(
                select(ATTEMPTS, LINES.c.dimension, LINES.c.state.label("now"))
                .join(LINES, LINES.c.line_id == ATTEMPTS.c.line_id)
                .where(ATTEMPTS.c.attempt_id.in_(some))
            ).mappings()
            for row in rows:
                kept = {name: row[name] for name in ("line_id", "units", "price", "state", "reference", "now")}
                made[row["attempt_id"]].rows[row["dimension"]] = _Row(**kept)
        return made


def _accepted() -> dict[str, Any]:
    return dict(zip(_ACCEPTED, (LINES.c.units, LINES.c.price, LINES.c.payload_hash), strict=True))


def _mark(
    connection: Connection, attempt_id: str, ids: Sequence[str], state: str, now: datetime, error: str | None
) -> None:
    for some in chunks(ids):
        connection.execute(
            update(ATTEMPTS)
            .where(ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id.in_(some))
            .values(state=state, ended_at=now, error=error)
        )
