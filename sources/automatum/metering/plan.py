"""Compares usage with the ledger: what is sent, what is settled, and what waits for a person."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from decimal import Decimal

from ..core.errors import ConfigurationError, PlanDiffers
from ..core.text import plural
from .export import open_view, read_sql
from .ledger.entries import OPEN, TAKEN, Entry, Item
from .ledger.ledger import Ledger
from .ledger.tables import batches
from .model import LENGTHS, Line, Refusal, amounts, exact, format_decimal, format_money
from .options import PushOptions
from .rules import is_late
from .send import too_late
from .usage.usage import Usage, about_line

_DIGEST = re.compile(r"[0-9]{8}T[0-9]{2}Z-[0-9]+-[0-9a-f]{16}")
UNUSUAL = 10
"""A line, or a customer's hour or day, of more than so many times its median is named in a warning."""
_WINDOW = 30
_FEWEST = 6
"""Hours or days before which nothing is usual."""
_OF_USUAL = ("vendor", "customer_id", "listing_id", "dimension", "grain", "currency")


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
        pending: Those among them with other units or another price. A later push compares them.
        limit: Why nothing at all is sent; "" if the push is within its limits.
        unusual: Lines with far more than usual, for people.
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
    pending: int = 0
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
    try:
        until = datetime.strptime(plan.partition("-")[0], "%Y%m%dT%HZ").replace(tzinfo=timezone.utc)
    except ValueError:
        until = None
    if until is None or not _DIGEST.fullmatch(plan):
        raise ConfigurationError("--plan", f"{plan!r} is not the digest of a plan.", "A dry run prints the digest.")
    usage = usage.until(until)
    if usage.digest != plan:
        count, now = plan.split("-")[1], len(usage.lines)
        change = "lines, units or prices have changed" if count == str(now) else f"it has {plural(now, 'line')} now"
        raise PlanDiffers(
            f"The usage is not that of the approved plan {plan}: {change}. Nothing is sent.",
            "Make a new dry run, and have its digest approved.",
        )
    return usage


def make_plan(usage: Usage, ledger: Ledger, options: PushOptions, now: datetime) -> Plan:
    """Decide about each line of the usage. Nothing is written.

    Args:
        usage: The usage; see `approved`.
        ledger: The ledger. One that does not exist is empty.
        options: Of the push.
        now: The current time, aware.
    """
    plan = Plan(usage.digest, refusals=list(usage.refusals))
    known = ledger.fetch([line.id for line in usage.lines])
    new = []
    for line in usage.lines:
        entry = known.get(line.id)
        if entry is None:
            new.append(line)
        elif entry.source and entry.source != usage.source:
            plan.sources.append((line, entry))
        elif _may_be_sent(line, entry):
            new.append(line)
            plan.again.add(line.id)
        else:
            _compare(plan, line, entry, usage.source)
    _leave_decided(plan, ledger, usage.source)
    blocked = _blocked(plan, new, ledger)
    for line in new:
        if line.id in blocked:
            continue
        if reason := too_late(line, now, options.late_ok):
            plan.expired.append((line, reason))
        else:
            plan.to_send.append(line)
            plan.late += is_late(line, now)
    sent = {line.id for line in plan.to_send}
    plan.again &= sent
    for entry in _gone(usage, ledger, {entry.id for entry in blocked.values()}):
        after = entry.with_asked(replace(entry.line, units=Decimal(0)), usage.source, confirmed=False)
        plan.gone += [entry.id] if after != entry else []
        plan.waiting += [after] if after.state in OPEN else []
    plan.limit = above_limit(plan.to_send, options.max_amount)
    plan.unusual = _unusual(ledger, plan.to_send)
    return plan


def _may_be_sent(line: Line, entry: Entry) -> bool:
    """Whether a line that is in the ledger can be sent by a push: nothing of it is billed, and nobody has decided."""
    if entry.state != "unbilled" or entry.carried_units or entry.accepted_units:
        return False
    if entry.why == "expired":
        return True
    # What an event or a person found not to be billed is sent again by `push settle --send` alone.
    return entry.settled_by in ("api", "push") and _differs(line, entry)


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
        plan.pending += _differs(line, entry)
    elif entry.state in OPEN:
        plan.waiting.append(entry)
    else:
        plan.same += 1


def _leave_decided(plan: Plan, ledger: Ledger, source: str) -> None:
    """Take out of `sources` what a person has decided about, as long as no amount has changed."""
    ids = [line.id for line, _ in plan.sources]
    decided: dict[str, Item] = {}
    for batch in batches(ids):
        items = ledger.items(kinds=["source"], subjects=batch)
        decided |= {item.subject: item for item in items if item.source == source and item.closed_at}
    found = [one for one in plan.sources if one[0].id not in decided or _is_new(decided[one[0].id], *one)]
    plan.same += len(plan.sources) - len(found)
    plan.sources = found


def _is_new(item: Item, line: Line, entry: Entry) -> bool:
    """Whether an amount differs from those that a closed journal item names."""
    names = ("units", "price", "other_units", "other_price")
    now = (line.units, line.price, entry.line.units, entry.line.price)
    return [item.data.get(name) for name in names] != [format_decimal(number) for number in now]


def _blocked(plan: Plan, lines: list[Line], ledger: Ledger) -> Mapping[str, Entry]:
    """Refuse lines whose usage another line bills, or may bill; the lines of the ledger, by the ids of the refused."""
    found = ledger.overlapping(lines)
    for line in lines:
        if line.id in found:
            reason = _overlap(line, found[line.id])
            plan.refusals.append(Refusal(line.id, (), line.rows, reason, line.id, about_line(line)))
    return found


def _overlap(line: Line, entry: Entry) -> str:
    other = entry.line
    if other.grain != line.grain:
        reason = f"its date was sent, or is {entry.state}, by the {other.grain} already"
    else:
        used = "without" if other.entitlement_id is None else "with"
        reason = f"entitlement_id: its {line.grain} was sent, or is {entry.state}, {used} an entitlement already"
    return f"{reason} (line {entry.id})"


def _gone(usage: Usage, ledger: Ledger, overlapping: Collection[str]) -> list[Entry]:
    """Billed lines of this source, in the time of the usage, that the usage does not contain any more.

    Nothing is said of a line of which a refused row may be a part, nor of one that overlaps a line of the usage.
    """
    # A sum of zero that the marketplace does not take is no line, but it says that the usage has this hour or day.
    if not (seen := (*usage.lines, *usage.zeros)):
        return []
    starts_in = min(line.starts_at for line in seen), max(line.ends_at for line in seen)
    there = {line.id for line in usage.lines} | {refusal.line_id for refusal in usage.refusals} | set(overlapping)
    # The rest of the key of these rows cannot be read.
    customers = {refusal.about.get("customer_id") for refusal in usage.refusals if refusal.line_id is None}
    return [
        entry
        for entry in ledger.entries(states=(*TAKEN, "settled", "conflict"), starts_in=starts_in, source=usage.source)
        if entry.id not in there
        and entry.line.customer_id not in customers
        and entry.line.grain == seen[0].grain
        and entry.line.carried_from is None
        and entry.why not in ("never", "refused by the marketplace", "events disagree")
    ]


def above_limit(lines: Iterable[Line], max_amount: Decimal | None) -> str:
    """Why lines must not be sent together: they cost more, in a currency, than the limit; "" if they do not."""
    if max_amount is None:
        return ""
    above = [format_money(sum_, currency) for currency, sum_ in amounts(lines).items() if sum_ > max_amount]
    most = f"more than the {format_decimal(max_amount)} of metering_max_amount"
    return f"{' and '.join(above)} would be sent, {most}" if above else ""


def _unusual(ledger: Ledger, lines: Sequence[Line]) -> list[str]:
    """Name lines, and customers, of more than `UNUSUAL` times the median of their latest hours or days.

    A dimension has its median in the view `metering_usual`. A customer's is of the money of all its lines together,
    because each of many new dimensions looks harmless by itself. It is a warning: usage that is right and waits for a
    person becomes too late, and is not billed.
    """
    if not lines:
        return []
    grain, first, last = lines[0].grain, min(line.starts_at for line in lines), max(line.ends_at for line in lines)
    since = first - _WINDOW * LENGTHS[grain]
    with open_view("usual", ledger.entries(states=TAKEN, starts_in=(since, first))) as view:
        known = view.table("metering_usual").filter(f"lines >= {_FEWEST}")
        rows = known.project(", ".join((*_OF_USUAL, "median_units"))).fetchall()
        usual = {tuple(key): median for *key, median in rows}
        rows = view.execute(read_sql("usual_amounts"), [grain, _FEWEST]).fetchall()
        customers = {(*key, grain): median for *key, median in rows}
    if not usual and not customers:
        return []
    sums: dict[tuple[tuple[str, ...], datetime], Decimal] = {}
    found = []

    def add(line: Line, amount: Decimal) -> None:
        key = (line.vendor, line.customer_id, line.currency, line.grain), line.starts_at
        sums[key] = exact().add(sums.get(key, Decimal(0)), amount)

    for line in lines:
        add(line, line.charged)
        median = usual.get(tuple(getattr(line, name) for name in _OF_USUAL))
        if median and line.units > median * UNUSUAL:
            what = f"{line.customer_id} {line.listing_id} {line.dimension} at {line.starts_at:%Y-%m-%d %H:%M}"
            found.append(f"{what}: {format_decimal(line.units)} units, usual are {format_decimal(median)}")
    sent = set(sums)
    for entry in ledger.entries(states=TAKEN, starts_in=(first, last)):
        if entry.accepted_units and entry.accepted_price is not None and entry.line.carried_from is None:
            add(entry.line, exact().multiply(entry.accepted_units, entry.accepted_price))
    for key, start in sorted(sent):
        amount, median = sums[key, start], customers.get(key)
        if median and amount > median * UNUSUAL:
            what = f"{key[1]} at {start:%Y-%m-%d %H:%M}: {format_decimal(amount)} in all"
            found.append(f"{what}, usual are {format_decimal(median)}")
    return found
