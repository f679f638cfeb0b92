"""Decides about lines by hand: they were billed, were not, need not be; or a line of the current hour bills the rest.

A decision that sends passes the checks and limits of a push. It is written in one transaction with who decided and why;
as long as a line is open, or was settled by hand, another decision corrects it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

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
from .figures import entry_figures, line_figures
from .ledger.entries import OPEN, Change, Entry, Item, State
from .ledger.ledger import Ledger
from .model import Line, bucket_start, exact, format_decimal
from .plan import NO_CHECKS, Checks, above_limit
from .push import Verdict
from .send import Sender, SendResult, require_metering, too_late
from .status import is_overdue
from .usage.usage import read_usage

Decision = Literal["billed", "not_billed", "never", "carry"]
_OF_ROW = ("vendor", "listing_id", "customer_id", "dimension", "entitlement_id", "units", "price")
_SENDING = "lines are in a call of a push that runs, or has died: push again, which finds out, and then close it"
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
        now = after = self.entries.get(change.line_id)
        if now is None or after is None:
            now, after = change.expected, change.after
            if change.child is not None:
                after = replace(after, carried_units=exact().add(after.carried_units, change.child.units)).judged()
        return {**entry_figures(now), "after": after.state, "after_why": after.why}


def settle(
    ledger: Ledger,
    session: ApiSession | None,
    ids: Collection[str],
    decision: Decision,
    checks: Checks = NO_CHECKS,
    *,
    send: bool = False,
    reason: str = "",
    confirm: bool = False,
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
        checks: The checks of a push.
        send: With `not_billed`: send the line now.
        reason: Why, for people. `never` needs it.
        confirm: Do it.
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
        _check(result, ledger, checks, clock)
    if confirm:
        _carry_out(result, ledger, session, checks, reason)
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
        made = _closed(entry, ledger.now()) or _DECIDE[result.decision](entry, ledger, children.get(id_, ()), send)
        if not isinstance(made, str):
            result.changes.append(made)
            if made.child is not None or send:
                result.to_send.append(made.child or entry.line)
        elif id_ not in about or result.decision != "never":
            result.refused.append((id_, made))


def _closed(entry: Entry, now: datetime) -> str:
    """Why nobody can decide about a line now; "" if a person can."""
    if entry.why == "never" and entry.line.carried_from:
        return f"it is given up: decide about the line {entry.line.carried_from}, whose usage it should have billed"
    if entry.state in OPEN or (entry.settled_by == "hand" and entry.state != "sending") or is_overdue(entry, now):
        return ""
    if entry.state == "sending":
        return "a push is sending it"
    return f"it is {entry.state}, and nothing of it is open"


def _change(
    entry: Entry, state: State, why: str, error: str = "", child: Line | None = None, **accepted: Any
) -> Change:
    return Change(entry, replace(entry, state=state, why=why, error=error, **accepted), child)


def _billed(entry: Entry, ledger: Ledger, children: Sequence[Entry], send: bool) -> Change | str:
    line = entry.line
    if entry.state == "conflict" and entry.why != "events disagree":
        units, price = exact().subtract(line.units, entry.carried_units), line.price
        if units < 0:
            return "more is carried than is asked for: credit it in the portal, then --never"
        return _change(entry, "settled", "billed", accepted_units=units, accepted_price=price)
    call = ledger.last_call(entry)
    if call is None:
        return "it was never sent; if it was billed by other means: --never"
    units, price = call
    agrees = (exact().add(units, entry.carried_units), price) == (line.units, line.price)
    if not agrees:
        return _change(entry, "conflict", "differs", accepted_units=units, accepted_price=price)
    return _change(entry, "settled", "billed", accepted_units=units, accepted_price=price)


def _not_billed(entry: Entry, ledger: Ledger, children: Sequence[Entry], send: bool) -> Change | str:
    if send and (entry.accepted_units or entry.carried_units):
        return "a part of it is billed: --carry bills the rest"
    if send and entry.line.carried_from:
        return f"it bills the usage of another line: push settle {entry.line.carried_from} --carry"
    if entry.state == "unbilled" and not send:
        return "it is not billed already; --send sends it, --carry bills it in the current hour"
    why = entry.why if entry.state == "unbilled" else "rejected"
    error = entry.error if entry.state == "unbilled" else "A person says that it was not billed."
    return _change(entry, "unbilled", why, error, accepted_units=None, accepted_price=None)


def _never(entry: Entry, ledger: Ledger, children: Sequence[Entry], send: bool) -> Change | str:
    if entry.state == "unknown" or entry.why == "refused by the marketplace":
        # Without what was billed, usage that grows later would be carried whole, and billed twice.
        return "it may have been billed: --billed or --not-billed first"
    return _change(entry, "settled", "never")


def _carry(entry: Entry, ledger: Ledger, children: Sequence[Entry], send: bool) -> Change | str:
    line, open_ = entry.line, entry.open_units
    if entry.state == "unknown":
        return "it may have been billed: --billed or --not-billed first"
    if line.carried_from:
        return f"it bills the usage of another line: push settle {line.carried_from} --carry"
    if entry.state == "conflict" and entry.why != "differs":
        return "it is not known how much of it is billed: --billed or --not-billed first"
    if open_ <= 0:
        return "more is billed than was used: credit it in the portal" if open_ else "nothing of it is open"
    if entry.state not in ("unbilled", "conflict"):
        return "it is settled: --billed or --not-billed opens it again"
    billed = {child.line.price for child in children if child.state != "unbilled"}
    if entry.accepted_units is not None and entry.accepted_price is not None:
        billed.add(entry.accepted_price)
    if billed - {line.price}:
        was = ", ".join(sorted(map(format_decimal, billed)))
        return f"the price has changed from {was} to {format_decimal(line.price)}: settle it in the portal"
    child = replace(
        line,
        starts_at=bucket_start(ledger.now(), line.grain),
        units=open_,
        carried_from=line.id,
        carry_number=max((child.line.carry_number for child in children), default=0) + 1,
    )
    return _change(entry, entry.state, entry.why, entry.error, child)


_DECIDE = {"billed": _billed, "not_billed": _not_billed, "never": _never, "carry": _carry}


def _check(result: SettleResult, ledger: Ledger, checks: Checks, clock: Clock) -> None:
    """Refuse lines that a push would not send."""
    now = ledger.now()
    lines = {change.line_id: change.child or change.expected.line for change in result.changes}
    problems = _problems(lines, checks, now, clock)
    for id_, entry in ledger.overlapping([change.expected.line for change in result.changes]).items():
        problems[id_] = f"the line {entry.id} ({entry.line.grain} of {entry.line.day}) bills the same usage, or may"
    for id_, line in lines.items():
        if line.carried_from is None and (late := too_late(line, now, checks.late_ok)):
            problems.setdefault(id_, f"{late}; --carry bills it in the current hour")
    if limit := above_limit([line for id_, line in lines.items() if id_ not in problems], checks.max_amount):
        problems = dict.fromkeys(lines, limit) | problems
    result.refused += problems.items()
    result.changes = [change for change in result.changes if change.line_id not in problems]
    result.to_send = [line for id_, line in lines.items() if id_ not in problems]


def _problems(lines: Mapping[str, Line], checks: Checks, now: datetime, clock: Clock) -> dict[str, str]:
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
            pipeline=checks.pipeline,
            grain=grain,
            until=max(line.ends_at for line in of_grain.values()),
            now=now,
            source="push settle",
            organization_id=checks.organization_id,
            unchecked=checks.unchecked,
            clock=clock,
        )
        refused = {refusal.line_id: refusal for refusal in usage.refusals} | dict(usage.held)
        there = {line.id for line in usage.lines}
        for id_, line in of_grain.items():
            if line.id in refused:
                found[id_] = refused[line.id].reason
            elif line.id not in there:
                found[id_] = f"{line.vendor} does not take {format_decimal(line.units)} units"
    return found


def _carry_out(result: SettleResult, ledger: Ledger, session: ApiSession | None, checks: Checks, reason: str) -> None:
    if result.to_send:
        assert session is not None
        require_metering(session)
    done = set(ledger.settle(result.changes, checks.by, reason))
    closed = set(ledger.close_items([item.id for item in result.items], checks.by, reason))
    result.refused += ((change.line_id, _MEANWHILE) for change in result.changes if change.line_id not in done)
    result.changes = [change for change in result.changes if change.line_id in done]
    result.items = [item for item in result.items if item.id in closed]
    result.to_send = [line for line in result.to_send if (line.carried_from or line.id) in done]
    if result.to_send and session is not None:
        result.sent = _send(result, ledger, session, checks)
    result.entries = ledger.fetch(done)
    more = any(isinstance(error, MoreToDo) for error in result.errors)
    result.verdict = "more_to_do" if more else "incomplete" if result.exit_code else "complete"


def _send(result: SettleResult, ledger: Ledger, session: ApiSession, checks: Checks) -> SendResult:
    """Send the lines in a run for each source, which stays that of its lines."""
    sources = {change.line_id: change.expected.source for change in result.changes}
    sent = SendResult()
    for source in dict.fromkeys(sources.values()):
        lines = [line for line in result.to_send if sources[line.carried_from or line.id] == source]
        if lines and not sent.stopped:
            with ledger.run(source, lines, checks.by) as run:
                run.recover()
                again = {line.id for line in lines}
                sent = Sender(session, ledger, run, late_ok=checks.late_ok, again=again, result=sent).send(lines)
                run.end(complete=sent.stopped is None, reason=sent.stopped.message if sent.stopped else "")
    return sent
