"""What the ledger holds, as objects: lines with their state, calls, and journal items; and lines as figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from ..model import Line, exact, format_decimal

State = Literal["sending", "accepted", "confirmed", "unbilled", "conflict", "unknown", "settled"]
STATES: tuple[State, ...] = get_args(State)
TAKEN: tuple[State, ...] = ("accepted", "confirmed")
"""States of lines that the API took: `accepted` is queued there, `confirmed` is billed by the marketplace's word."""
OPEN: tuple[State, ...] = ("unbilled", "conflict", "unknown")
"""States that wait for a person, or for an event or a later push."""

Kind = Literal["run", "refusal", "source", "event", "decision"]
"""What a journal item is: a push; rows that were refused; usage of a line that a second source holds; an event of the
vendor; a decision of a person."""

_OF_KEY = (
    "vendor", "customer_id", "listing_id", "dimension", "entitlement_id", "grain", "starts_at", "price", "currency",
)  # fmt: skip
_OF_LINE = ("day", "carried_from", "carry_number", "title", "description", "per")
_OF_ENTRY = (
    "state", "accepted_units", "accepted_price", "carried_units", "carried_amount", "open_units", "source", "attempts",
    "attempt_id", "first_seen_at", "sent_at", "settled_at",
)  # fmt: skip
"""Columns of `metering_lines` by where their values are, under the same names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in the ledger.

    Attributes:
        line: The line, with the units and the price that the latest push asked for.
        state: Its state.
        why: Why it is `unbilled` (rejected, expired), in `conflict` (differs; refused by the marketplace: it has
            another record of the key; events disagree, with each other or with what was known), or `settled` (billed,
            never, carried); else "".
        error: The same for people, with the API's message; "" if there is nothing to say.
        accepted_units: Units that the API took under the id of this line, or a person says that it took; None if none.
        accepted_price: Price of one of them; of a line of which only carried lines bill something, their price.
        carried_units: Units that other lines bill in place of this one; the sum of those lines that are not `unbilled`.
        source: Name of the usage that asked for it last.
        attempts: Number of calls that contained it.
        attempt_id: The last of them; None if there was none.
        settled_by: `api`, `event`, `hand`, or `push` for a line that was not sent; "" while the outcome is open.
        first_seen_at: Time of the first push that recorded it, aware, in UTC like all times here.
        sent_at: Time of the last call; None if there was none.
        settled_at: Time of its outcome; None while it is open.
        carried_amount: Money of `carried_units`, at the prices of the lines that bill them.
    """

    line: Line
    state: State
    why: str
    error: str
    accepted_units: Decimal | None
    accepted_price: Decimal | None
    carried_units: Decimal
    source: str
    attempts: int
    attempt_id: str | None
    settled_by: str
    first_seen_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    carried_amount: Decimal = Decimal(0)

    @property
    def id(self) -> str:
        """`Line.id`."""
        return self.line.id

    @property
    def open_units(self) -> Decimal:
        """Units that were asked for and are neither accepted nor carried; negative if more was billed than used."""
        context = exact()
        billed = context.add(self.accepted_units or Decimal(0), self.carried_units)
        return context.subtract(self.line.units, billed)

    @property
    def agrees(self) -> bool:
        """Whether asked = accepted + carried, at one price."""
        same = self.accepted_price is None or self.accepted_price == self.line.price
        return same and not self.open_units

    def judged(self, confirmed: bool = False) -> Entry:
        """The entry with the state that follows from what was asked, accepted and carried; see `with_asked`.

        Args:
            confirmed: Whether the vendor's events say that the last call was billed.
        """
        if self.agrees and self.carried_units:
            return replace(self, state="settled", why="carried", error="")
        if self.agrees and self.accepted_units is not None:
            if (self.state, self.why) == ("settled", "billed"):
                return self
            known = confirmed or self.state == "confirmed"
            return replace(self, state="confirmed" if known else "accepted", why="", error="")
        other_price = bool(self.carried_units) and self.accepted_price not in (None, self.line.price)
        if self.accepted_units is not None or self.open_units < 0 or other_price:
            return replace(self, state="conflict", why="differs", error=self._difference())
        if self.state == "unbilled":
            return self
        why = "rejected" if self.attempts else "expired"
        text = "Only a part of it is carried." if self.carried_units else "What was carried of it was not billed."
        return replace(self, state="unbilled", why=why, error=text)

    def with_carried(self, confirmed: bool) -> Entry:
        """The entry after a line that is carried from it has changed: settled if all is billed, else open."""
        if self.why == "differs" and not (self.line.units or self.accepted_units or self.carried_units):
            text = "The usage does not contain it any more, and nothing of it is billed."
            return replace(self, state="settled", why="never", error=text)
        if self.state == "unbilled" or self.why == "differs":
            return self.judged() if self.agrees and self.carried_units else self
        taken = self.state in TAKEN or self.why in ("billed", "carried")
        if taken and (not self.agrees or (self.why == "carried" and not self.carried_units)):
            return self.judged(confirmed)
        return self

    def with_asked(self, line: Line, source: str, confirmed: bool) -> Entry:
        """The entry after a push has asked for this line: in conflict if a taken line differs; healed if it agrees.

        Args:
            line: The line as the push asks for it.
            source: Name of its usage.
            confirmed: See `judged`.
        """
        same = (line.units, line.price) == (self.line.units, self.line.price)
        asked = replace(self, line=line, source=source)
        if self.state in ("sending", "unknown", "unbilled") or (self.state, self.why) == ("settled", "never"):
            if self.state == "unbilled" and self.carried_units:
                return asked.judged()
            if same or self.state != "settled":
                return asked
            if asked.agrees and (asked.carried_units or asked.accepted_units is not None):
                return asked.judged(confirmed)
            # A person has decided about another amount.
            return replace(asked, state="conflict", why="differs", error=asked._difference())
        if self.state == "conflict" and self.why != "differs":
            return asked
        return asked.judged(confirmed)

    def _difference(self) -> str:
        def say(units: Decimal | None, price: Decimal | None) -> str:
            return (
                "nothing" if units is None or price is None else f"{format_decimal(units)} at {format_decimal(price)}"
            )

        asked, accepted = say(self.line.units, self.line.price), say(self.accepted_units, self.accepted_price)
        carried = f", and {format_decimal(self.carried_units)} are carried" if self.carried_units else ""
        if not self.line.units:
            part = "If its source came only in part, push it whole: that closes this."
            return f"The usage has nothing of it any more; {accepted} was accepted{carried}. {part}"
        return f"The usage asks for {asked} each; {accepted} was accepted{carried}."


@dataclass(frozen=True, slots=True)
class Attempt:
    """Lines that a run has claimed, to send them in one call.

    Attributes:
        id: Unique id. The ids sort by time, and by order within a process.
        body_id: The caller's name for the body.
        lines: The claimed lines, in the order of the request. The call must contain no others.
    """

    id: str
    body_id: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line of a call.

    Attributes:
        state: `accepted`; `unbilled` (refused); `conflict` (the marketplace has another record of the key); `unknown`.
        error: For people; "" for `accepted`.
    """

    state: State
    error: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a person decides about a line.

    Attributes:
        expected: The line as the decision saw it. If it has changed since, nothing is done.
        after: What it becomes.
        child: A line that shall bill what is open. The line becomes `after` when a run claims the child, in one
            transaction. Only the decision is recorded here.
    """

    expected: Entry
    after: Entry
    child: Line | None = None

    @property
    def line_id(self) -> str:
        """Id of the line."""
        return self.expected.id


@dataclass(frozen=True, slots=True)
class Item:
    """A journal item. Open ones keep exit code 65.

    Attributes:
        id: Unique id that sorts by time.
        kind: What it is.
        subject: What it is about: the id of a line or of a refusal's rows, the name of a source, the key of an event.
        source: Name of the usage; "" if it is about none.
        reason: For people.
        data: Further facts, as JSON types.
        by: User, or `api`.
        at: Time, aware, in UTC.
        closed_at: Time at which it was settled; None while it is open.
        closed_by: `push`, `event`, or a user; "" while it is open.
        closed_reason: Why it is closed, for people.
    """

    id: str
    kind: Kind
    subject: str
    source: str
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    closed_reason: str = ""


def line_figures(line: Line) -> dict[str, Any]:
    """A line that is asked for, with its money."""
    key = {name: getattr(line, name) for name in _OF_KEY}
    return {"line_id": line.id, **key, "asked_units": line.units, "asked_amount": line.charged}


def entry_figures(entry: Entry) -> dict[str, Any]:
    """A line of the ledger with what is asked, accepted, carried and open, in units and in money: a row of the export.

    Carried money counts at the price of the lines that bill it. The usage may have another price by now.
    """
    context, accepted = exact(), None
    if entry.accepted_units is not None and entry.accepted_price is not None:
        accepted = context.multiply(entry.accepted_units, entry.accepted_price)
    billed = context.add(accepted or Decimal(0), entry.carried_amount)
    return {
        **line_figures(entry.line),
        **{name: getattr(entry.line, name) for name in _OF_LINE},
        **{name: getattr(entry, name) for name in _OF_ENTRY},
        **{name: getattr(entry, name) or None for name in ("why", "error", "settled_by")},
        "accepted_amount": accepted,
        "open_amount": context.subtract(entry.line.charged, billed),
    }
