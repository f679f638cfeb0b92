"""Compares usage with the ledger: what is sent, what is settled, and what waits for a person."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal

from ..core.errors import ConfigurationError, PlanDiffers
from ..core.text import plural
from .checks import Checks, above_limit, unusual
from .ledger.entries import OPEN, TAKEN, Entry
from .ledger.ledger import Ledger
from .model import Line, Refusal, format_decimal
from .rules import lateness
from .send import too_late
from .usage.usage import Usage

_DIGEST = re.compile(r"([0-9]{8}T[0-9]{2}Z)-([0-9]+)-[0-9a-f]{16}")


@dataclass
class Plan:
    """What a push does with its usage.

    Attributes:
        digest: Digest of the usage, which a person can approve.
        to_send: Lines that are sent.
        again: Ids of those among them that are `unbilled` in the ledger.
        late: Number of lines among them that are sent, although the marketplaces want them earlier.
        expired: Lines that are too late to be sent, with the reason.
        same: Number of lines that are billed, or settled, as the usage has them.
        asked: Lines that the ledger has with other units or another price. The push records what is asked for.
        gone: Ids of lines of this source, billed in the time of the usage, that the usage does not contain any more.
        sources: Lines that another source has brought, which are not sent.
        refusals: Rows, and lines, that are not sent until the usage is corrected.
        waiting: Entries that wait for a person or an event, as they are after this push: those of lines of the usage,
            and those that are `gone`.
        sending: Number of lines that another push is sending.
        limit: Why nothing at all is sent; "" if the push is within its limits.
        unusual: Lines and customers with far more than usual, for people.
    """

    digest: str = ""
    to_send: list[Line] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    late: int = 0
    expired: list[tuple[Line, str]] = field(default_factory=list)
    same: int = 0
    asked: list[Line] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    sources: list[tuple[Line, Entry]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    sending: int = 0
    limit: str = ""
    unusual: list[str] = field(default_factory=list)


def approved(usage: Usage, plan: str | None) -> Usage:
    """The usage of an approved plan: without the hours and days that have ended since.

    Args:
        usage: The usage of this push.
        plan: Digest of the plan; None for all of the usage.

    Raises:
        ConfigurationError: `plan` is no digest.
        PlanDiffers: The usage is not that of the plan.
    """
    if plan is None:
        return usage
    match = _DIGEST.fullmatch(plan)
    try:
        until = datetime.strptime(match[1] if match else "", "%Y%m%dT%HZ").replace(tzinfo=timezone.utc)
    except ValueError:
        until = None
    if match is None or until is None:
        raise ConfigurationError("--plan", f"{plan!r} is not the digest of a plan.", "A dry run prints the digest.")
    usage = usage.until(until)
    if usage.digest != plan:
        count, now = int(match[2]), len(usage.lines)
        change = f"the usage has {plural(now, 'line')} now" if now != count else "lines, units or prices have changed"
        raise PlanDiffers(
            f"The usage is not that of the approved plan {plan}: {change}. Nothing is sent.",
            "Make a new dry run, and have its digest approved.",
        )
    return usage


def make_plan(usage: Usage, ledger: Ledger, checks: Checks, now: datetime) -> Plan:
    """Decide about each line of the usage. Nothing is written.

    Args:
        usage: The usage; see `approved`.
        ledger: The ledger. One that does not exist is empty.
        checks: Of the push.
        now: The current time, aware.
    """
    plan = Plan(usage.digest, refusals=list(usage.refusals))
    known = ledger.fetch([line.id for line in usage.lines])
    new = []
    for line in usage.lines:
        entry = known.get(line.id)
        if line.id in usage.held:
            plan.refusals.append(usage.held[line.id])
        elif entry is None:
            new.append(line)
        elif entry.source and entry.source != usage.source:
            plan.sources.append((line, entry))
        elif _may_be_sent(line, entry):
            new.append(line)
            plan.again.add(line.id)
        else:
            _compare(plan, line, entry, usage.source)
    blocked = _blocked(plan, new, ledger)
    for line in new:
        if line.id in blocked:
            continue
        if reason := too_late(line, now, checks.late_ok):
            plan.expired.append((line, reason))
        else:
            plan.to_send.append(line)
            plan.late += lateness(line, now) != "in time"
    sent = {line.id for line in plan.to_send}
    plan.again &= sent
    gone = _gone(usage, ledger, {entry.id for entry in blocked.values()})
    plan.gone = [entry.id for entry in gone]
    plan.waiting += (entry.with_asked(replace(entry.line, units=Decimal(0)), usage.source, False) for entry in gone)
    plan.limit = above_limit(plan.to_send, checks.max_amount)
    plan.unusual = unusual(ledger, plan.to_send)
    return plan


def _may_be_sent(line: Line, entry: Entry) -> bool:
    """Whether a line that is in the ledger can be sent by a push: nothing of it is billed, and nobody has decided."""
    if entry.state != "unbilled" or entry.carried_units or entry.accepted_units:
        return False
    if entry.why == "expired":
        return True
    # What an event or a person found not to be billed is sent again by `push settle --send` alone.
    return entry.settled_by == "api" and _differs(line, entry)


def _differs(line: Line, entry: Entry) -> bool:
    return (line.units, line.price) != (entry.line.units, entry.line.price)


def _compare(plan: Plan, line: Line, entry: Entry, source: str) -> None:
    """Decide about a line of the ledger that is not sent."""
    if entry.state not in ("unknown", "sending") and _differs(line, entry):
        # Of a line that may have been taken, the units of the call are kept until its outcome is known.
        plan.asked.append(line)
        entry = entry.with_asked(line, source, confirmed=False)
    if entry.state == "sending":
        plan.sending += 1
    elif entry.state in OPEN:
        plan.waiting.append(entry)
    else:
        plan.same += 1


def _blocked(plan: Plan, lines: list[Line], ledger: Ledger) -> Mapping[str, Entry]:
    """Refuse lines whose usage another line bills, or may bill; the lines of the ledger, by the ids of the refused."""
    found = ledger.overlapping(lines)
    for line in lines:
        if line.id in found:
            plan.refusals.append(_refusal(line, _overlap(line, found[line.id])))
    named: dict[tuple[object, ...], list[Line]] = defaultdict(list)
    mixed = len({line.entitlement_id is None for line in lines}) > 1
    for line in lines if mixed else ():
        if line.id not in found:
            named[line.vendor, line.listing_id, line.customer_id, line.dimension, line.starts_at].append(line)
    for group in named.values():
        if len(group) > 1 and any(line.entitlement_id is None for line in group):
            for line in group:
                reason = f"entitlement_id: other rows of its {line.grain} name an entitlement; name it in all rows"
                plan.refusals.append(_refusal(line, reason))
            refused = {line.id for line in group}
            lines[:] = [line for line in lines if line.id not in refused]
    return found


def _overlap(line: Line, entry: Entry) -> str:
    other = entry.line
    if other.grain != line.grain:
        reason = f"its date was sent, or is {entry.state}, by the {other.grain} already"
    else:
        used = "without" if other.entitlement_id is None else "with"
        reason = f"entitlement_id: its {line.grain} was sent, or is {entry.state}, {used} an entitlement already"
    return f"{reason} (line {entry.id})"


def _refusal(line: Line, reason: str) -> Refusal:
    about = {
        "vendor": line.vendor,
        "customer_id": line.customer_id,
        "listing_id": line.listing_id,
        "dimension": line.dimension,
        "starts_at": line.starts_at.isoformat(),
        "units": format_decimal(line.units),
        "price": format_decimal(line.price),
    }
    return Refusal(line.id, (), line.rows, reason, line.id, about)


def _gone(usage: Usage, ledger: Ledger, overlapping: Collection[str]) -> list[Entry]:
    """Billed lines of this source, in the time of the usage, that the usage does not contain any more.

    Nothing is said of them while a row cannot be read: it may be theirs. A line that overlaps one of the usage is named
    by the refusal of that.
    """
    if not usage.lines or any(refusal.line_id is None for refusal in usage.refusals):
        return []
    first, last = (pick(line.starts_at for line in usage.lines) for pick in (min, max))
    there = {line.id for line in usage.lines} | {refusal.line_id for refusal in usage.refusals} | set(overlapping)
    entries = ledger.entries(states=(*TAKEN, "settled", "conflict"), starts_in=(first, last), source=usage.source)
    return [
        entry
        for entry in entries
        if entry.id not in there
        and entry.line.units
        and entry.line.grain == usage.lines[0].grain
        and entry.line.carried_from is None
        and entry.why not in ("never", "refused by the marketplace")
    ]
