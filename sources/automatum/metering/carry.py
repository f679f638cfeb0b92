"""Bills late usage by a line of the current hour: what came after its hour was accepted, or too late for its window.

A line that carries late usage names the line that it is carried from, and that line remembers how many of its units are
billed elsewhere. Both are written in one transaction. So neither a second carry nor a later push bills the usage again
(I5). Only a person carries: the marketplace sees usage of another hour than the one in which it was used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, func, select

from .eligibility import UNCHECKED, Eligibility
from .ledger import line_rows
from .ledger.batches import batches
from .ledger.decision_log import NOBODY, Author, DecisionLog
from .ledger.entries import Entry
from .ledger.holds import BY_DECISION, release
from .ledger.ledger import Ledger
from .ledger.states import State, Transition
from .ledger.tables import LINES, LONGEST
from .ledger.transitions import apply_transition
from .model import Line, bucket_start, exact, format_decimal
from .rules import documented_deadline, rules_of

LATE_STATES: tuple[State, ...] = ("conflict", "expired")
"""States of lines whose usage may be late."""
Kind = Literal["carry", "credit", "none"]


@dataclass(frozen=True, slots=True)
class Late:
    """A line whose usage differs from what is billed.

    Attributes:
        entry: The line in the ledger.
        difference: Units that the usage has and that are not billed; negative if too much is billed.
        kind: `carry` if a new line can bill the difference; `credit` if too much is billed; `none` otherwise.
        line: The line that would bill the difference; None unless `kind` is `carry`.
        reason: For people: why the line is late, or why it is not carried.
    """

    entry: Entry
    difference: Decimal
    kind: Kind
    line: Line | None
    reason: str

    @property
    def amount(self) -> Decimal:
        """Money of the difference, exact; negative for a credit."""
        price = self.entry.asked_price if self.entry.asked_price is not None else self.entry.price
        return exact().multiply(self.difference, price)

    def as_json(self) -> dict[str, Any]:
        """For `automatum push carry --json`."""
        entry = self.entry
        return {
            "line_id": entry.line_id,
            "state": entry.state,
            "vendor": entry.vendor,
            "customer_id": entry.customer_id,
            "listing_id": entry.listing_id,
            "entitlement_id": entry.entitlement_id,
            "dimension": entry.dimension,
            "starts_at": entry.starts_at.isoformat(),
            "kind": self.kind,
            "units": self.difference,
            "charged": self.amount,
            "carry_line_id": self.line.id if self.line else None,
            "carry_starts_at": self.line.starts_at.isoformat() if self.line else None,
            "reason": self.reason,
        }


def find_late(
    ledger: Ledger, line_ids: Collection[str] | None = None, eligibility: Eligibility = UNCHECKED
) -> list[Late]:
    """Lines whose usage is late, in the order of their start.

    Args:
        ledger: The ledger of the lines.
        line_ids: Ids of lines to look at; None for all that are in conflict or expired.
        eligibility: Content of the synced tables.
    """
    wanted = None if line_ids is None else set(line_ids)
    entries = [entry for entry in ledger.reader.lines(LATE_STATES) if wanted is None or entry.line_id in wanted]
    entries.sort(key=lambda entry: (entry.starts_at, entry.line_id))
    if not entries:
        return []
    with ledger.database.read() as connection:
        numbers = _numbers(connection, [entry.line_id for entry in entries])
    now = ledger.database.now()
    return [_judge(entry, numbers.get(entry.line_id, 0) + 1, now, eligibility) for entry in entries]


def record_carries(ledger: Ledger, late: Iterable[Late], author: Author = NOBODY) -> list[Line]:
    """Plan the lines that bill late usage, and settle the lines that they are carried from, in one transaction.

    Args:
        ledger: The ledger of the lines.
        late: From `find_late`. What is not of the kind `carry`, and what has changed since, is left alone.
        author: Who decides, and why.

    Returns:
        The planned lines.

    Raises:
        ConfigurationError: There is no ledger.
    """
    wanted = {late_line.entry.line_id: late_line for late_line in late if late_line.line is not None}
    planned: list[Line] = []
    with ledger.database.write() as connection:
        now = ledger.database.now()
        log = DecisionLog(connection, now, author)
        entries = line_rows.fetch(connection, list(wanted))
        numbers = _numbers(connection, list(wanted))
        for line_id, late_line in wanted.items():
            entry, line = entries.get(line_id), late_line.line
            if line is None or entry != late_line.entry or numbers.get(line_id, 0) + 1 != line.carry_number:
                continue
            _settle(connection, log, late_line, line, now, author)
            planned.append(line)
        line_rows.write_new(connection, planned, "planned", now)
        # No usage contains them, also if their push is interrupted: a person has decided to send them.
        entries = line_rows.fetch(connection, [line.id for line in planned])
        release(connection, entries.values(), now, author.by, BY_DECISION)
    return planned


def _settle(connection: Connection, log: DecisionLog, late: Late, line: Line, now: datetime, author: Author) -> None:
    entry, snapshot = late.entry, log.snapshot(late.entry.line_id)
    # A line of which nothing was accepted is billed by other lines alone.
    transition = Transition.CARRY if entry.accepted_units is None else Transition.CARRY_DIFFERENCE
    values: dict[str, Any] = {
        "carried_units": exact().add(entry.carried_units or Decimal(0), line.units),
        "settled_at": now,
        "settled_by": "hand",
        "error": f"{author.note('carried')} {format_decimal(line.units)} units are billed by {line.id}."[:LONGEST],
    }
    if entry.asked_hash is None:
        values |= {"asked_units": entry.units, "asked_price": entry.price, "asked_hash": entry.payload_hash}
    if apply_transition(connection, transition, [entry.line_id], values) != [entry.line_id]:
        raise AssertionError(f"{entry.line_id} has changed in one transaction")
    log.record_line(snapshot, "carried", transition.after)


def _numbers(connection: Connection, line_ids: Sequence[str]) -> dict[str, int]:
    """Number of lines that are carried from each of these lines, without those of which there is none."""
    found: dict[str, int] = {}
    for batch in batches(line_ids):
        query = select(LINES.c.carried_from, func.max(LINES.c.carry_number)).group_by(LINES.c.carried_from)
        rows = connection.execute(query.where(LINES.c.carried_from.in_(batch))).all()
        found |= {row[0]: row[1] for row in rows}
    return found


def _judge(entry: Entry, number: int, now: datetime, eligibility: Eligibility) -> Late:
    price = entry.price if entry.accepted_price is None else entry.accepted_price
    if entry.state == "conflict" and entry.asked_units is None:
        reason = "the marketplace has other usage of this line, and it is not known how much: see `push resolve`"
        return Late(entry, Decimal(0), "none", None, reason)
    asked = entry.units if entry.asked_units is None else entry.asked_units
    context = exact()
    billed = context.add(entry.accepted_units or Decimal(0), entry.carried_units or Decimal(0))
    difference = context.subtract(asked, billed)
    if entry.asked_price not in (None, price):
        reason = (
            f"the price has changed from {format_decimal(price)} to {format_decimal(entry.asked_price or price)}: "
            "settle it in the marketplace's portal"
        )
        return Late(entry, difference, "none", None, reason)
    if difference < 0:
        return Late(entry, difference, "credit", None, "more is billed than was used: credit it in the portal")
    if difference == 0:
        return Late(entry, difference, "none", None, "nothing is left to bill")
    line = Line(
        entry.vendor,
        entry.listing_id,
        entry.customer_id,
        entry.dimension,
        entry.grain,
        bucket_start(now, entry.grain),
        difference,
        price,
        entry.title,
        entry.description,
        entry.per,
        entitlement_id=entry.entitlement_id,
        carried_from=entry.line_id,
        carry_number=number,
    )
    problem = rules_of(entry.vendor).units_problem(difference) or eligibility.problem(line)
    if problem:
        return Late(entry, difference, "none", None, problem)
    return Late(entry, difference, "carry", line, _why(entry, now))


def _why(entry: Entry, now: datetime) -> str:
    if entry.state == "conflict":
        return "it came after its hour or day was billed"
    end = documented_deadline(entry.line)
    if now < end:
        until = f"{end:%Y-%m-%d %H:%M} UTC"
        return f"too late by the strictest rule; until {until} `push retry --expired` sends it as it is"
    return "it came too late for its window"
