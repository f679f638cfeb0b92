"""Decides about lines by hand: they were billed, were not, need not be; or a line of the current hour bills the rest.

A decision that sends passes the checks and limits of a push. It is written in one transaction with who decided and why;
as long as a line is open, or was settled by hand, another decision corrects it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from ..api.session import ApiSession
from ..core.clock import Clock
from ..core.errors import (
    EXIT_COMPLETE,
    EXIT_INCOMPLETE,
    AutomatumError,
    ConfigurationError,
    MoreToDo,
    worst_exit_code,
)
from .ledger.entries import OPEN, Change, Entry, Item, entry_figures, line_figures
from .ledger.ledger import Ledger
from .model import Line, bucket_start, exact, format_decimal
from .options import PushOptions
from .plan import above_limit
from .push import Verdict
from .send import Sender, SendResult, require_metering, too_late
from .status import is_overdue
from .usage.usage import read_usage

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

Decision = Literal["billed", "not_billed", "never", "carry"]
_Call = tuple[Decimal, Decimal]
"""Units and price of a line in the last call that contained it."""
_OF_ROW = ("vendor", "listing_id", "customer_id", "dimension", "entitlement_id", "units", "price")
_SENDING = "lines are in a call of a push that runs, or has died: push again, which finds out, and then close it"
_NOT_BILLED = "A person says that it was not billed."
_MEANWHILE = "it has changed meanwhile; run the command again"


@dataclass(kw_only=True)
class SettleResult:
    """What was decided, or would be.

    Attributes:
        verdict: `dry_run`; or `complete`, `incomplete` (an id was refused, or a line is not billed), `more_to_do`.
        decision: The decision.
        changes: What becomes of each line.
        items: Journal items that are closed.
        to_send: Lines that are sent: with `--send` the lines themselves, with `--carry` lines of the current hour.
        refused: Ids about which this cannot be decided, with the reason.
        sent: Outcomes of the calls; None if nothing was sent.
        entries: The lines as they are after the decision was carried out; empty if it was not.
    """

    verdict: Verdict
    decision: Decision
    changes: list[Change] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    to_send: list[Line] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    sent: SendResult | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def errors(self) -> list[AutomatumError]:
        """The error that ended the sending early, if any."""
        return [self.sent.stopped] if self.sent and self.sent.stopped else []

    @property
    def exit_code(self) -> int:
        """That of the error; 65 if an id was refused or a line is not billed; else 0."""
        sent = self.sent or SendResult()
        open_ = self.refused or sent.unbilled or sent.conflict or sent.unknown or sent.expired or sent.elsewhere
        codes = [error.exit_code for error in self.errors]
        return worst_exit_code([*codes, EXIT_INCOMPLETE if open_ else EXIT_COMPLETE])

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        sent = self.sent or SendResult()
        outcomes = {"accepted": sent.accepted}
        outcomes |= {name: [line for line, _ in getattr(sent, name)] for name in ("unbilled", "conflict", "unknown")}
        return {
            "verdict": self.verdict,
            "decision": self.decision,
            "changes": [self._figures(change) for change in self.changes],
            "closed": [{"item_id": item.id, "kind": item.kind, "reason": item.reason} for item in self.items],
            "to_send": [line_figures(line) for line in self.to_send],
            "refused": [{"id": id_, "reason": reason} for id_, reason in self.refused],
            "sent": {name: [line.id for line in lines] for name, lines in outcomes.items()},
            "errors": [error.to_json() for error in self.errors],
        }

    def _figures(self, change: Change) -> dict[str, Any]:
        """A line as it is now, and the state that it has, or would have, after the decision."""
        now = self.entries.get(change.line_id, change.expected)
        after = self.entries.get(change.line_id, change.after)
        return {**entry_figures(now), "after": after.state, "after_why": after.why}


def settle(
    ledger: Ledger,
    session: ApiSession | None,
    ids: Collection[str],
    decision: Decision,
    options: PushOptions,
    *,
    pipeline: SupportsPipeline | None = None,
    organization_id: str | None = None,
    send: bool = False,
    reason: str = "",
    by: str = "",
    clock: Clock,
) -> SettleResult:
    """Decide about lines, or close journal items. Nothing is written or sent without `confirm`.

    Args:
        ledger: The ledger, open for writing with `confirm`.
        session: The API; only needed to send.
        ids: Ids of lines; for `never`, of journal items, too.
        decision: `billed`: the marketplace has billed what the last call contained, or what is asked for in a conflict.
            `not_billed`: it has billed nothing of the line. `never`: it need not be billed. `carry`: a line of the
            current hour or day bills what is open.
        options: Of the push, whose checks and limits hold here, too. `confirm`: do it.
        pipeline: Destination of the synced tables that lines are checked against; None to check nothing.
        organization_id: Organization of the rows of those tables; None if they contain only one.
        send: With `not_billed`: send the line now.
        reason: Why, for people. `never` needs it.
        by: User who decides.
        clock: Time.

    Raises:
        ConfigurationError: No id is given, `send` is given with another decision, or `never` has no reason.
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
    """
    if not ids:
        raise ConfigurationError("push settle", "no line is named.", "`automatum push status` lists what is open.")
    if send and decision != "not_billed":
        raise ConfigurationError("--send", "only a line that is not billed is sent.", "Add --not-billed.")
    if decision == "never" and not reason:
        raise ConfigurationError("--reason", "a line is not billed without a reason.", "Add --reason TEXT.")
    result = SettleResult(verdict="dry_run", decision=decision)
    _decide(result, ledger, list(dict.fromkeys(ids)), send)
    if send or decision == "carry":
        lines = {change.line_id: change.child or change.expected.line for change in result.changes}
        problems = _problems(lines, ledger.now(), clock, pipeline, organization_id)
        _check(result, ledger, lines, problems, options)
    if options.confirm:
        _carry_out(result, ledger, session, options, reason, by)
    return result


def _decide(result: SettleResult, ledger: Ledger, ids: Sequence[str], send: bool) -> None:
    """Fill `changes`, `items`, `to_send` and `refused`."""
    entries = ledger.fetch(ids)
    wanted = set(ids)
    items = [item for item in ledger.items(open_only=True) if item.id in wanted or item.subject in wanted]
    result.items = items if result.decision == "never" else []
    if any(item.kind == "run" for item in result.items) and ledger.counts()["sending"]:
        # Without the item of a push that has died, nobody would learn that it was sending them.
        result.refused += ((item.id, _SENDING) for item in result.items if item.kind == "run")
        result.items = [item for item in result.items if item.kind != "run"]
    about = {id_ for item in items for id_ in (item.id, item.subject)}
    children = ledger.children(ids) if result.decision == "carry" else {}
    for id_ in ids:
        entry = entries.get(id_)
        if entry is None:
            if id_ not in about:
                result.refused.append((id_, "neither a line nor an open journal item has this id"))
            elif result.decision != "never":
                result.refused.append((id_, "it is a journal item: only --never closes it"))
            continue
        call, of_it = ledger.last_call(entry), children.get(id_, ())
        if why := _refuse(result.decision, entry, call, of_it, send, ledger.now()):
            if id_ not in about or result.decision != "never" or entry.state in OPEN:
                result.refused.append((id_, why))
                # Who gave up the line has not looked at its items, of other usage perhaps. Each has an id of its own.
                result.items = [item for item in result.items if item.subject != id_ or item.id in wanted]
            continue
        change = _change(result.decision, entry, call, of_it, ledger.now())
        result.changes.append(change)
        if change.child is not None or send:
            result.to_send.append(change.child or entry.line)


def _refuse(
    decision: Decision, entry: Entry, call: _Call | None, children: Sequence[Entry], send: bool, now: datetime
) -> str:
    """Why a decision about a line is refused: the first rule that holds; "" if none does."""
    line, state, why, parent = entry.line, entry.state, entry.why, entry.line.carried_from
    by_hand = entry.settled_by == "hand" and state != "sending"
    is_open = state in OPEN or by_hand or is_overdue(entry, now)
    corrected, partly = _is_corrected(entry), entry.accepted_units or entry.carried_units
    prices = {child.line.price for child in children if child.state != "unbilled"}
    if entry.accepted_units is not None and entry.accepted_price is not None:
        prices.add(entry.accepted_price)
    was = ", ".join(sorted(map(format_decimal, prices - {line.price})))
    first = "--billed or --not-billed first"
    rules: tuple[tuple[Decision | None, object, str], ...] = (
        (None, parent and why == "never", f"it is given up: decide about {parent}, whose usage it should have billed"),
        (None, not is_open and state == "sending", "a push is sending it"),
        (None, not is_open, f"it is {state}, and nothing of it is open"),
        ("billed", corrected and entry.carried_units > line.units, "more is carried than is asked for: --never"),
        ("billed", not corrected and call is None, "it was never sent; if it was billed by other means: --never"),
        ("not_billed", send and partly and not entry.open_units, "it counts as billed: --not-billed alone first"),
        ("not_billed", send and partly, "a part of it is billed: --carry bills the rest"),
        ("not_billed", send and parent, f"it bills the usage of another line: push settle {parent} --carry"),
        ("not_billed", state == "unbilled" and not send, "it is not billed already: --send, or --carry"),
        # Without what was billed, usage that grows later would be carried whole, and billed twice.
        ("never", state == "unknown", f"it may have been billed: {first}"),
        ("never", why == "refused by the marketplace", f"it may have been billed: {first}"),
        ("carry", state == "unknown", f"it may have been billed: {first}"),
        ("carry", parent, f"it bills the usage of another line: push settle {parent} --carry"),
        ("carry", state == "conflict" and why != "differs", f"it is not known how much of it is billed: {first}"),
        ("carry", entry.open_units < 0, "more is billed than was used: credit it in the portal"),
        ("carry", not entry.open_units, "nothing of it is open"),
        ("carry", state not in ("unbilled", "conflict"), "it is settled: --billed or --not-billed opens it again"),
        ("carry", was, f"the price has changed from {was} to {format_decimal(line.price)}: settle it in the portal"),
    )
    return next((text for of, holds, text in rules if of in (None, decision) and holds), "")


def _change(decision: Decision, entry: Entry, call: _Call | None, children: Sequence[Entry], now: datetime) -> Change:
    """What a decision that is not refused makes of a line."""
    line = entry.line
    if decision == "never":
        return Change(entry, replace(entry, state="settled", why="never", error=""))
    if decision == "billed":
        asked = (exact().subtract(line.units, entry.carried_units), line.price)
        units, price = asked if _is_corrected(entry) else call or (None, None)
        after = replace(entry, state="settled", why="billed", error="", accepted_units=units, accepted_price=price)
        return Change(entry, after if after.agrees else replace(after, state="conflict", why="differs"))
    if decision == "not_billed":
        same = (entry.why, entry.error) if entry.state == "unbilled" else ("rejected", _NOT_BILLED)
        after = replace(entry, state="unbilled", why=same[0], error=same[1], accepted_units=None, accepted_price=None)
        return Change(entry, after)
    number = max((child.line.carry_number for child in children), default=0) + 1
    child = replace(
        line,
        starts_at=bucket_start(now, line.grain),
        units=entry.open_units,
        carried_from=line.id,
        carry_number=number,
    )
    carried = exact().add(entry.carried_units, child.units)
    return Change(entry, replace(entry, carried_units=carried).judged(), child)


def _is_corrected(entry: Entry) -> bool:
    """Whether `billed` is about what is asked for: what was billed differed, or the marketplace had another record."""
    return entry.state == "conflict" and entry.why != "events disagree"


def _check(
    result: SettleResult, ledger: Ledger, lines: Mapping[str, Line], problems: dict[str, str], options: PushOptions
) -> None:
    """Refuse lines that a push would not send."""
    now = ledger.now()
    for id_, entry in ledger.overlapping([change.expected.line for change in result.changes]).items():
        problems[id_] = f"the line {entry.id} ({entry.line.grain} of {entry.line.day}) bills the same usage, or may"
    for id_, line in lines.items():
        if line.carried_from is None and (late := too_late(line, now, options.late_ok)):
            problems.setdefault(id_, f"{late}; --carry bills it in the current hour")
    if limit := above_limit([line for id_, line in lines.items() if id_ not in problems], options.max_amount):
        problems = dict.fromkeys(lines, limit) | problems
    result.refused += problems.items()
    result.changes = [change for change in result.changes if change.line_id not in problems]
    result.to_send = [line for id_, line in lines.items() if id_ not in problems]


def _problems(
    lines: Mapping[str, Line],
    now: datetime,
    clock: Clock,
    pipeline: SupportsPipeline | None,
    organization_id: str | None,
) -> dict[str, str]:
    """What the checks of usage find: rules of the marketplace, customer, entitlement, price.

    Lines of one key and hour are checked as their sum, as usage would be.
    """
    found: dict[str, str] = {}
    keys = {id_: replace(line, carried_from=None, carry_number=0) for id_, line in lines.items()}
    for grain in sorted({line.grain for line in keys.values()}):
        of_grain = {id_: line for id_, line in keys.items() if line.grain == grain}
        rows = [{name: getattr(line, name) for name in _OF_ROW} for line in of_grain.values()]
        usage = read_usage(
            [{**row, "usage_at": line.starts_at} for row, line in zip(rows, of_grain.values(), strict=True)],
            pipeline=pipeline,
            grain=grain,
            until=max(line.ends_at for line in of_grain.values()),
            now=now,
            source="push settle",
            organization_id=organization_id,
            clock=clock,
        )
        refused = {refusal.line_id: refusal for refusal in usage.refusals}
        there = {line.id for line in usage.lines}
        for id_, line in of_grain.items():
            if line.id in refused:
                found[id_] = refused[line.id].reason
            elif line.id not in there:
                found[id_] = f"{line.vendor} does not take {format_decimal(line.units)} units"
    return found


def _carry_out(
    result: SettleResult, ledger: Ledger, session: ApiSession | None, options: PushOptions, reason: str, by: str
) -> None:
    if result.to_send:
        assert session is not None
        require_metering(session)
    done = set(ledger.settle(result.changes, by, reason))
    closed = set(ledger.close_items([item.id for item in result.items], by, reason))
    result.refused += ((change.line_id, _MEANWHILE) for change in result.changes if change.line_id not in done)
    result.changes = [change for change in result.changes if change.line_id in done]
    result.items = [item for item in result.items if item.id in closed]
    result.to_send = [line for line in result.to_send if (line.carried_from or line.id) in done]
    if result.to_send and session is not None:
        result.sent = _send(result, ledger, session, options, by)
    result.entries = ledger.fetch(done)
    more = any(isinstance(error, MoreToDo) for error in result.errors)
    result.verdict = "more_to_do" if more else "incomplete" if result.exit_code else "complete"


def _send(result: SettleResult, ledger: Ledger, session: ApiSession, options: PushOptions, by: str) -> SendResult:
    """Send the lines in a run for each source, which stays that of its lines."""
    sources = {change.line_id: change.expected.source for change in result.changes}
    sent = SendResult()
    for source in dict.fromkeys(sources.values()):
        lines = [line for line in result.to_send if sources[line.carried_from or line.id] == source]
        if lines and not sent.stopped:
            with ledger.run(source, lines, by) as run:
                run.recover()
                again = {line.id for line in lines}
                sent = Sender(session, ledger, run, late_ok=options.late_ok, again=again, result=sent).send(lines)
                run.end(complete=sent.stopped is None, reason=sent.stopped.message if sent.stopped else "")
    return sent
