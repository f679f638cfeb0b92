"""Turns rows of usage into lines, and decides for each line whether it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from .eligibility import UNCHECKED, Eligibility
from .ledger.entries import Comparison, LedgerMatch
from .model import Grain, Line, Refusal, UsageRow, format_decimal
from .rules import LateOk, deadline, documented_deadline, known_vendors, last_moment, lateness, rules_of
from .usage.aggregation import aggregate
from .usage.usage import Row
from .usage.validation import validate


@dataclass
class Classification:
    """Lines of a push by what the push decided about them.

    Each line is in one list; `late` repeats lines of `new` and `again`.

    Attributes:
        new: To be sent; not in the ledger.
        again: To be sent; an earlier push planned the line and did not send it, or the line was rejected and has
            changed since, or it was expired and is in time or admitted now.
        late: Lines of `new` and `again` that are late, but before their deadline or admitted.
        same: Accepted before, with these units and this price.
        changed: Accepted before, with other units or another price.
        expired: Past their deadline.
        zero: No usage, and the marketplace takes no zero.
        unknown: The API may have taken the line.
        rejected: Refused by the API, and not changed since.
        conflict: In conflict since an earlier push.
        sending: Another push is sending the line.
        written_off: A person has decided that the line need not be billed.
        canceled: A person has withdrawn the line with these units.
        invalid: Number of rows that cannot be sent as they are.
        refused: Rows that are not billed, with the reason: invalid rows, and the rows of lines that are too late or
            that the API refused.
        without_line: Those of `refused` that belong to no line of this push, so that only the ledger's refusals know
            of them.
        open_rows: Number of rows of the current hour or day; a later push sends them.
        unknown_vendors: Marketplaces without rules in `rules`.
    """

    new: list[Line] = field(default_factory=list)
    again: list[Line] = field(default_factory=list)
    late: list[Line] = field(default_factory=list)
    same: list[Line] = field(default_factory=list)
    changed: list[LedgerMatch] = field(default_factory=list)
    expired: list[Line] = field(default_factory=list)
    zero: list[Line] = field(default_factory=list)
    unknown: list[LedgerMatch] = field(default_factory=list)
    rejected: list[LedgerMatch] = field(default_factory=list)
    conflict: list[LedgerMatch] = field(default_factory=list)
    sending: list[LedgerMatch] = field(default_factory=list)
    written_off: list[LedgerMatch] = field(default_factory=list)
    canceled: list[LedgerMatch] = field(default_factory=list)
    invalid: int = 0
    refused: list[Refusal] = field(default_factory=list)
    without_line: list[Refusal] = field(default_factory=list)
    open_rows: int = 0
    unknown_vendors: set[str] = field(default_factory=set)

    @property
    def to_send(self) -> list[Line]:
        """Lines that will be sent."""
        return [*self.new, *self.again]


def classify(
    rows: Iterable[tuple[int, Row]],
    grain: Grain,
    until: datetime,
    now: Callable[[], datetime],
    eligibility: Eligibility = UNCHECKED,
) -> tuple[list[Line], Classification]:
    """Validate rows, sum them to lines, and check the lines against the synced tables.

    Args:
        rows: Numbered rows, from `read_usage`.
        grain: Hour or day.
        until: Moment up to which the usage is complete, aware. Later hours and days are open.
        now: Gives the current time. Usage may arrive while it is read, and is not in the future then.
        eligibility: Content of the synced tables.

    Returns:
        The lines that may be sent, and a classification that holds only what was refused.
    """
    found = Classification()

    def valid_rows() -> Iterator[UsageRow]:
        for row in validate(rows, grain, now):
            if isinstance(row, Refusal):
                found.refused.append(row)
            else:
                yield row

    aggregation = aggregate(valid_rows(), grain, until)
    found.refused += aggregation.refusals
    found.open_rows = aggregation.open_rows
    lines = []
    for line in aggregation.lines:
        if problem := eligibility.problem(line):
            refuse(found, line, problem)
            continue
        if line.vendor not in known_vendors():
            found.unknown_vendors.add(line.vendor)
        lines.append(line)
    found.invalid = len(found.refused)
    found.without_line = list(found.refused)
    return lines, found


def classify_by_ledger(found: Classification, comparison: Comparison, now: datetime, late_ok: LateOk) -> None:
    """Decide for each line whether it is sent.

    Args:
        found: The classification to fill.
        comparison: What the ledger says of the lines.
        now: The current time, aware.
        late_ok: Also send what is past the strictest known deadline.
    """
    found.same += comparison.same
    found.changed += comparison.changed
    for match in comparison.blocked:
        refuse_blocked(found, match)
    for line in comparison.new:
        _admit(found, line, found.new, now, late_ok)
    not_sent = {"rejected": found.rejected, "conflict": found.conflict}
    not_sent |= {"unknown": found.unknown, "sending": found.sending}
    not_sent |= {"writeoff": found.written_off, "canceled": found.canceled}
    for match in comparison.unsettled:
        line, entry = match.line, match.entry
        # What the API had accepted is sent again only by `push retry` with its id.
        changed = entry.payload_hash != line.payload_hash and line.id not in comparison.accepted_once
        if entry.state in ("planned", "expired") or (entry.state in ("rejected", "canceled") and changed):
            _admit(found, line, found.again, now, late_ok)
            continue
        not_sent[entry.state].append(match)
        if entry.state == "rejected":
            refuse(found, line, f"the API refused it: {entry.error or 'no reason given'}")


def refuse(found: Classification, line: Line, reason: str) -> None:
    """Refuse each row of a line."""
    found.refused += [Refusal(row, reason, line.refused_usage) for row in line.rows]


def too_late_reason(line: Line, now: datetime) -> str:
    """Why a line is too late, and whether `--late-ok` sends it all the same."""
    end = documented_deadline(line)
    if now >= end:
        return f"too late: {line.vendor} takes it until {end:%Y-%m-%d %H:%M} UTC, also with --late-ok"
    due = f"{deadline(line):%Y-%m-%d %H:%M} UTC"
    return f"too late: {line.vendor} takes it until {due} by the strictest known rule (--late-ok)"


def refuse_blocked(found: Classification, match: LedgerMatch) -> None:
    """Refuse a line because a line with the same key, by the other grain or use of entitlements, is in the ledger."""
    if match.entry.grain != match.line.grain:
        reason = f"its date was sent, or is planned, by the {match.entry.grain} already"
    else:
        used = "without" if match.entry.entitlement_id is None else "with"
        reason = (
            f"entitlement_id: its {match.line.grain} was sent, or is planned, {used} an entitlement already; name "
            f"entitlements from a later {match.line.grain} on, the same way in all rows"
        )
    refuse(found, match.line, reason)
    found.without_line += [Refusal(row, reason, match.line.refused_usage) for row in match.line.rows]
    found.invalid += len(match.line.rows)


def difference(match: LedgerMatch) -> dict[str, str]:
    """The accepted units and price of a line, and those of this push, for `automatum push --json`."""
    entry, line = match.entry, match.line
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


def _admit(found: Classification, line: Line, target: list[Line], now: datetime, late_ok: LateOk) -> None:
    if not line.units and rules_of(line.vendor).zero == "skip":
        found.zero.append(line)
        return
    how_late = lateness(line, now)
    if now >= last_moment(line, late_ok):
        found.expired.append(line)
        refuse(found, line, too_late_reason(line, now))
        return
    target.append(line)
    if how_late != "in time":
        found.late.append(line)
