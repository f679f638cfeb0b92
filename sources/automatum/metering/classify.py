"""From rows of usage to the lines of a push, and what is to become of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from .eligibility import Eligibility
from .ledger.entries import Comparison, LedgerMatch
from .model import Grain, Line, Refusal, UsageRow, exact, format_decimal
from .rules import deadline, known_vendors, lateness, rules_of
from .usage.aggregation import aggregate
from .usage.validation import validate


@dataclass
class Classification:
    """Lines by what is to become of them. Each line is in one list.

    Attributes:
        new: To be sent, never seen before.
        again: To be sent: planned by an earlier push that did not get to them; rejected, and changed since; or expired,
            and let through now.
        late: Those of `new` and `again` that are late, and still in time.
        same: Accepted already, with these units and this price.
        changed: Accepted already with other units or another price.
        expired: Too late to be sent.
        zero: Nothing was used, and the marketplace takes no zero.
        unknown: May have been taken by the API.
        rejected: Refused by the API, and not changed since.
        conflict: In conflict since an earlier push.
        sending: Another push is at it.
        invalid: Number of rows that cannot be sent as they are.
        refused: Rows that are not billed, with the reason: the invalid ones, and those of lines that are too late or
            that the API refused.
        open_rows: Rows of the hour or day that is not over yet; they wait for a later push.
        strange_vendors: Marketplaces whose rules are not known.
    """

    new: list[Line] = field(default_factory=list)
    again: list[Line] = field(default_factory=list)
    late: list[Line] = field(default_factory=list)
    same: list[LedgerMatch] = field(default_factory=list)
    changed: list[LedgerMatch] = field(default_factory=list)
    expired: list[Line] = field(default_factory=list)
    zero: list[Line] = field(default_factory=list)
    unknown: list[LedgerMatch] = field(default_factory=list)
    rejected: list[LedgerMatch] = field(default_factory=list)
    conflict: list[LedgerMatch] = field(default_factory=list)
    sending: list[LedgerMatch] = field(default_factory=list)
    invalid: int = 0
    refused: list[Refusal] = field(default_factory=list)
    open_rows: int = 0
    strange_vendors: set[str] = field(default_factory=set)

    @property
    def to_send(self) -> list[Line]:
        """Lines that go out."""
        return [*self.new, *self.again]


def classify(
    rows: Iterable[tuple[int, dict[str, Any]]], grain: Grain, now: datetime, eligibility: Eligibility | None
) -> tuple[list[Line], Classification]:
    """Validate rows and sum them to lines; what cannot be sent is named, row by row.

    Args:
        rows: Numbered rows, from `read_usage`.
        grain: Hour or day.
        now: The current time, aware.
        eligibility: What the synced tables say; None if there are none.

    Returns:
        The lines, and an intake that holds only what was refused.
    """
    intake = Classification()

    def valid() -> Iterator[UsageRow]:
        for one in validate(rows, grain, now):
            if isinstance(one, Refusal):
                intake.refused.append(one)
            else:
                yield one

    summed = aggregate(valid(), grain, now)
    intake.refused += summed.refusals
    intake.open_rows = summed.open_rows
    lines = []
    for line in summed.lines:
        why = eligibility.why_not(line) if eligibility else None
        if why:
            refuse(intake, line, why)
            continue
        if line.vendor not in known_vendors():
            intake.strange_vendors.add(line.vendor)
        lines.append(line)
    intake.invalid = len(intake.refused)
    return lines, intake


def sort_out(intake: Classification, comparison: Comparison, now: datetime, late_ok: bool) -> None:
    """Decide what is to become of each line, by what the ledger knows of it.

    Args:
        intake: What is found goes in here.
        comparison: The ledger's word.
        now: The current time, aware.
        late_ok: Send what is past the strictest known limit, too.
    """
    intake.same += comparison.same
    intake.changed += comparison.changed
    for held in comparison.other_grain:
        refuse_grain(intake, held)
    for line in comparison.new:
        _admit(intake, line, intake.new, now, late_ok)
    for held in comparison.unsettled:
        state, unchanged = held.entry.state, held.entry.payload_hash == held.line.payload_hash
        if state in ("planned", "expired") or (state == "rejected" and not unchanged):
            _admit(intake, held.line, intake.again, now, late_ok)
        else:
            getattr(intake, state).append(held)
            if state == "rejected":
                refuse(intake, held.line, f"the API refused it: {held.entry.error or 'no reason given'}")


def refuse(intake: Classification, line: Line, why: str) -> None:
    """Name each row of a line that is not sent."""
    intake.refused += [Refusal(row, why) for row in line.rows]


def refuse_grain(intake: Classification, held: LedgerMatch) -> None:
    """A line that the ledger keeps from being sent, because its date has the other grain."""
    refuse(intake, held.line, f"its date has gone out, or is planned, by the {held.entry.grain} already")
    intake.invalid += len(held.line.rows)


def total(lines: Iterable[Line]) -> Decimal:
    """What lines cost, exact."""
    context, charged = exact(), Decimal(0)
    for line in lines:
        charged = context.add(charged, line.charged)
    return charged


def difference(held: LedgerMatch) -> dict[str, str]:
    """What was accepted, and what is asked for now."""
    entry, line = held.entry, held.line
    return {
        "line_id": line.id,
        "customer_id": line.customer_id,
        "dimension": line.dimension,
        "starts_at": line.starts_at.isoformat(),
        "accepted_units": "" if entry.accepted_units is None else format_decimal(entry.accepted_units),
        "accepted_price": "" if entry.accepted_price is None else format_decimal(entry.accepted_price),
        "asked_units": format_decimal(line.units),
        "asked_price": format_decimal(line.price),
    }


def _admit(intake: Classification, line: Line, among: list[Line], now: datetime, late_ok: bool) -> None:
    if not line.units and rules_of(line.vendor).zero == "skip":
        intake.zero.append(line)
        return
    how_late = lateness(line, now)
    if how_late == "too late" and not late_ok:
        intake.expired.append(line)
        due = deadline(line).strftime("%Y-%m-%d %H:%M")
        refuse(
            intake, line, f"too late: {line.vendor} takes it until {due} UTC by the strictest known rule (--late-ok)"
        )
        return
    among.append(line)
    if how_late != "in time":
        intake.late.append(line)
