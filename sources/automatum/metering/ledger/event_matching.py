"""Matches webhook events with the calls that the ledger recorded.

An event names a date but no hour, and a call cannot be read back from the API. So the calls of the events are matched
with the recorded calls: same vendor, listing, customer and date, and every usage of the event is among those of the
call. Each call of the events proves one attempt at most, and stays bound to it, by the API's id of the call where the
API gives one. Calls with the same content are interchangeable, because their bodies were equal. Where the choice makes
a difference, nothing is settled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ...core.redaction import redact
from ..model import date_key
from .attempts import accepted_as_sent, end_attempt
from .batches import batches
from .resolution import Reconciled, UnusedEvent
from .states import Transition
from .tables import ATTEMPTS, EVENTS, LINES, LONGEST
from .transitions import apply_transition
from .webhook_events import Event

_CONTRADICTION = "The vendor's events say both confirmed and failed of its call."
_OPEN = ("sending", "unknown", "accepted")
"""States of an attempt's line that an event can settle."""


@dataclass(frozen=True, slots=True)
class _CallLine:
    """A line in a recorded call.

    Attributes:
        state: State in this call.
        now: Present state of the line, which later calls may have changed.
    """

    line_id: str
    units: Decimal
    price: Decimal
    state: str
    reference: str | None
    now: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A recorded call: an attempt, and its lines by dimension."""

    attempt_id: str
    lines: dict[str, _CallLine] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Units and price of each dimension, as the API saw them."""
        return {dimension: (line.units, line.price) for dimension, line in self.lines.items()}

    def contains(self, event: Event) -> bool:
        """Whether every usage of the event is among those of the call."""
        return all(
            usage.dimension in self.lines
            and self.lines[usage.dimension].units == usage.units
            and usage.price in (None, self.lines[usage.dimension].price)
            for usage in event.usages
        )


class EventMatcher:
    """Settles lines by events, in one write transaction.

    Args:
        connection: The write transaction.
        now: Time to record.
        result: Collects the settled lines and the unused events.
    """

    def __init__(self, connection: Connection, now: datetime, result: Reconciled) -> None:
        self._connection = connection
        self._now = now
        self._result = result

    def settle(self, calls: Mapping[str, Sequence[Event]]) -> None:
        """Settle the lines of all calls: first of those that are bound to an attempt, then in the order of the events.

        Args:
            calls: Events by `Event.call_key`.
        """
        bound = {key: self._bound_attempt(key, events[0]) for key, events in calls.items()}
        for key, events in sorted(calls.items(), key=lambda call: (bound[call[0]] is None, call[1][0].position)):
            new = [event for event in events if not self._is_known(event)]
            self._result.ignored += len(events) - len(new)
            attempt_id = bound[key]
            if not new:
                continue
            if attempt_id is None:
                self._match(key, new)
                continue
            call = self._recorded_calls(new).get(attempt_id)
            if call is None or not all(call.contains(event) for event in new):
                self._skip(new, "the ledger made this call, but not with this customer, listing, date or usages")
            else:
                self._apply(key, call, new)

    def _bound_attempt(self, key: str, event: Event) -> str | None:
        """The attempt that this call is known to be."""
        found = self._connection.scalar(select(EVENTS.c.attempt_id).where(EVENTS.c.call_key == key).limit(1))
        if found is None and event.call:
            found = self._connection.scalar(
                select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.reference == event.call).limit(1)
            )
        return found

    def _is_known(self, event: Event) -> bool:
        query = select(EVENTS.c.event_key).where(EVENTS.c.event_key == event.key).limit(1)
        return self._connection.scalar(query) is not None

    def _match(self, key: str, events: Sequence[Event]) -> None:
        """Find the attempt of a call that is not bound yet, and apply the events to it if there is no doubt."""
        wanted = {usage.dimension for event in events for usage in event.usages}
        fits = [call for call in self._recorded_calls(events).values() if all(call.contains(event) for event in events)]
        free = [call for call in fits if self._is_free(call, wanted)]
        whole = [call for call in free if len(call.lines) == len(wanted)]
        free = whole or free
        if not free:
            self._skip(events, "no call of this ledger is left that it could be about")
        elif any(line.state == "sending" for call in free for line in call.lines.values()):
            self._skip(events, "a push is under way that it could be about: try again when the push has ended")
        elif any(call.content != free[0].content for call in free):
            self._skip(events, f"{len(free)} different calls could be meant")
        elif not self._api_ids_agree() and any(
            self._answered(call) and call.content == free[0].content for call in fits
        ):
            self._skip(events, "an accepted call could be meant too, since no event yet had an id that the API gave")
        else:
            # Accepted calls come first: their own events are still to come, and no event must settle two lines.
            free.sort(key=lambda call: (any(line.state == "unknown" for line in call.lines.values()), call.attempt_id))
            self._apply(key, free[0], events)

    def _is_free(self, call: _Call, dimensions: Collection[str]) -> bool:
        """Whether these lines of the call are bound neither to an API id nor to an event."""
        lines = [call.lines[dimension] for dimension in dimensions]
        if any(line.reference is not None or line.state not in _OPEN for line in lines):
            return False
        bound = select(EVENTS.c.line_id).where(EVENTS.c.attempt_id == call.attempt_id)
        return not {line.line_id for line in lines} & set(self._connection.scalars(bound))

    def _answered(self, call: _Call) -> bool:
        """Whether the API accepted the call, with an id, and there is no event about it."""
        if not any(line.state == "accepted" and line.reference for line in call.lines.values()):
            return False
        query = select(EVENTS.c.event_key).where(EVENTS.c.attempt_id == call.attempt_id).limit(1)
        return self._connection.scalar(query) is None

    def _api_ids_agree(self) -> bool:
        """Whether any event had the id that the API gave in its answer. That these ids agree is an assumption."""
        query = (
            select(EVENTS.c.event_key)
            .join(ATTEMPTS, EVENTS.c.attempt_id == ATTEMPTS.c.attempt_id)
            .where(ATTEMPTS.c.status_code.is_not(None), EVENTS.c.call_key == "call:" + ATTEMPTS.c.reference)
            .limit(1)
        )
        return self._connection.scalar(query) is not None

    def _apply(self, key: str, call: _Call, events: Sequence[Event]) -> None:
        """Settle the lines of a call by these events and those that came before."""
        wanted = dict.fromkeys(usage.dimension for event in events for usage in event.usages)
        if any(call.lines[dimension].now == "sending" for dimension in wanted):
            self._skip(events, "its line is being sent again just now: try again when the push has ended")
            return
        known: dict[str, set[str]] = defaultdict(set)
        query = select(EVENTS.c.line_id, EVENTS.c.event).where(EVENTS.c.call_key == key)
        for line_id, kind in self._connection.execute(query):
            known[line_id].add(kind)
        for dimension in wanted:
            line = call.lines[dimension]
            about = [event for event in events if any(usage.dimension == dimension for usage in event.usages)]
            for event in about:
                self._record(key, event, call.attempt_id, line.line_id)
            self._settle_line(call, line, about, known[line.line_id])

    def _record(self, key: str, event: Event, attempt_id: str, line_id: str) -> None:
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

    def _settle_line(self, call: _Call, line: _CallLine, events: Sequence[Event], known: set[str]) -> None:
        """Settle a line by the new events about it and the kinds of those that came before."""
        kinds = known | {event.kind for event in events}
        both = {"confirmed", "failed"}
        values: dict[str, Any] = {"settled_at": self._now, "settled_by": "event", "error": None}
        of_attempt = LINES.c.attempt_id == call.attempt_id
        if both <= known:
            return  # This contradiction was recorded before, and perhaps a person has resolved it since.
        if both <= kinds:
            # Also for a line that was planned again since: it must not be sent.
            values["error"] = _CONTRADICTION
            moved = apply_transition(self._connection, Transition.CONTRADICT, [line.line_id], values)
            self._result.conflict += moved
            state = "conflict"
        elif "failed" in kinds:
            reason = next((event.reason for event in events if event.reason), None)
            values["error"] = redact(reason or "The vendor's event says: failed.")[:LONGEST]
            # Nothing of the line is billed, so no accepted or asked quantity remains.
            values |= dict.fromkeys((*accepted_as_sent(), "asked_units", "asked_price", "asked_hash"))
            moved = []
            if line.state in _OPEN:
                moved = apply_transition(self._connection, Transition.FAIL_BY_EVENT, [line.line_id], values, of_attempt)
            self._result.rejected += moved
            state = "rejected"
        else:
            moved = self._settle_taken(call, line, "confirmed" in kinds, values)
            state = "accepted"
            if not moved and line.state not in ("accepted", "conflict"):
                self._skip(events, f"the event says that the API took it, but in the ledger the line is {line.state}")
        if moved and state != line.state:
            outcome = {"state": state, "ended_at": self._now, "error": values["error"]}
            end_attempt(self._connection, call.attempt_id, moved, outcome)

    def _settle_taken(self, call: _Call, line: _CallLine, confirmed: bool, values: Mapping[str, Any]) -> list[str]:
        """Settle a line that the API took, by its events; `confirmed` if the marketplace did, too."""
        transition = Transition.CONFIRM_BY_EVENT if confirmed else Transition.ACCEPT_BY_EVENT
        columns = {**values, **accepted_as_sent()}
        of_attempt = LINES.c.attempt_id == call.attempt_id
        moved = apply_transition(self._connection, transition, [line.line_id], columns, of_attempt)
        (self._result.confirmed if confirmed else self._result.accepted).extend(moved)
        return moved

    def _skip(self, events: Sequence[Event], reason: str) -> None:
        self._result.unused += [UnusedEvent(event.position, reason) for event in events]

    def _recorded_calls(self, events: Sequence[Event]) -> dict[str, _Call]:
        """Recorded calls, with all their lines, that contain a dimension of these events on their date; in order."""
        keys = {
            date_key(event.vendor, event.listing_id, event.customer_id, usage.dimension, event.day)
            for event in events
            for usage in event.usages
        }
        # Two queries: for one, Postgres might choose to read all attempts.
        query = select(ATTEMPTS.c.attempt_id).join(LINES, LINES.c.line_id == ATTEMPTS.c.line_id)
        ids = sorted(set(self._connection.scalars(query.where(LINES.c.date_key.in_(sorted(keys))))))
        calls = {attempt_id: _Call(attempt_id) for attempt_id in ids}
        for batch in batches(ids):
            rows = self._connection.execute(
                select(ATTEMPTS, LINES.c.dimension, LINES.c.state.label("now"))
                .join(LINES, LINES.c.line_id == ATTEMPTS.c.line_id)
                .where(ATTEMPTS.c.attempt_id.in_(batch))
            ).mappings()
            for row in rows:
                columns = {name: row[name] for name in ("line_id", "units", "price", "state", "reference", "now")}
                calls[row["attempt_id"]].lines[row["dimension"]] = _CallLine(**columns)
        return calls
