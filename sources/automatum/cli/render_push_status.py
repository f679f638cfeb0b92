"""Shows the status of the ledger, and decisions about it, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..core.text import plural
from ..metering.model import format_decimal
from .console import say_text
from .formats import format_age
from .render_push import money, show_list
from .tables import TextTable

if TYPE_CHECKING:
    from ..metering.ledger.entries import Entry
    from ..metering.ledger_status import LedgerStatus

_NEXT = {
    "unknown": "push resolve --events FILE, or by hand",
    "on_hold": "push plan keep, or cancel",
    "conflict": "push resolve",
    "overdue": "push --confirm --late-ok",
    "expiring": "push --confirm",
    "rejected": "push retry, or resolve --written-off",
    "expired": "push retry --expired, or resolve --written-off",
}


def show_status(status: LedgerStatus) -> None:
    """Money at risk first, then the bodies with their lines, refused usage, and the lines by state."""
    if not status.exists:
        say_text(f"There is no ledger at {status.ledger}: no usage was pushed to this API from here.")
        return
    _show_risks(status)
    rows = []
    for body in status.bodies:
        first = body.entries[0]
        rows.append(
            f"{body.kind} for {_age(status, body.since)}: {first.customer_id} {first.listing_id} "
            f"{first.starts_at:%Y-%m-%d %H:%M}, {money(status.amounts(body.entries))}"
            + (f", body {body.body_id}" if body.body_id else "")
        )
        rows += [f"  {_line(entry)}" for entry in body.entries]
    show_list(rows)
    show_list([f"{hold.line.id} on hold: {hold.reason}" for hold in status.holds])
    if status.sending:
        say_text(f"{plural(len(status.sending), 'line')} being sent, or left by a push that died.")
        show_list([_line(entry) for entry in status.sending])
    if status.refusals:
        say_text(f"Refused usage: {plural(len(status.refusals), 'line')}. Correct and push it, or `push dismiss` it.")
        show_list(
            [
                f"{refusal.refusal_id} {refusal.customer_id or '?'} {refusal.dimension or '?'} "
                f"{f'{refusal.starts_at:%Y-%m-%d %H:%M}' if refusal.starts_at else '?'}, {refusal.units or '?'} at "
                f"{refusal.price or '?'} in {plural(refusal.rows, 'row')}, "
                f"for {_age(status, refusal.first_seen_at)}: {refusal.reason}"
                for refusal in status.refusals
            ]
        )
    if status.silent:
        say_text(
            f"Silent: {plural(len(status.silent), 'customer and dimension', 'customers and dimensions')} without usage."
        )
        show_list(
            [
                f"{key.silence_id} {key.vendor} {key.customer_id} {key.listing_id} {key.dimension}: "
                f"last usage {key.last_at:%Y-%m-%d %H:%M}"
                for key in status.silent
            ]
        )
    for note in status.notes:
        say_text(f"Note: {note}")
    table = TextTable("state", "lines")
    for state, number in status.lines.items():
        table.add(state, f"{number:,}")
    table.show()
    say_text(f"Ledger: {status.ledger}")


def show_dismissed(figures: Mapping[str, Sequence[str]]) -> None:
    """What was dismissed."""
    if figures["dismissed"]:
        say_text(f"{plural(len(figures['dismissed']), 'refusal')} dismissed.")
    if figures["silent"]:
        say_text(f"{plural(len(figures['silent']), 'alarm')} dismissed, until there is usage again.")
    say_text("Undo: automatum push undo --last")


def show_undone(figures: Mapping[str, Any]) -> None:
    """The decisions that were undone, and those that stand."""
    show_list(
        [
            f"{decision['subject_id']}: {decision['after']} is {decision['before']} again"
            for decision in figures["undone"]
        ]
    )
    show_list([f"{decision['id']}: not undone, {decision['reason']}" for decision in figures["refused"]])
    say_text(f"{plural(len(figures['undone']), 'decision')} undone.")


def show_decisions(decisions: Sequence[Mapping[str, Any]]) -> None:
    """Decisions, the latest last."""
    table = TextTable("time", "who", "decision", "of", "before", "after", "why")
    for decision in decisions:
        undone = " (undone)" if decision["undone_at"] else ""
        table.add(
            f"{decision['decided_at']:%Y-%m-%d %H:%M}",
            decision["decided_by"],
            decision["decision"] + undone,
            decision["subject_id"],
            decision["before"],
            decision["after"],
            decision["reason"],
        )
    table.show()


def _show_risks(status: LedgerStatus) -> None:
    table = TextTable("at risk", "lines", "amount", "since", "next step: automatum")
    for risk in status.risks:
        until = f", until {risk.until:%Y-%m-%d %H:%M}" if risk.until else ""
        table.add(
            risk.kind, f"{risk.lines:,}", money(risk.amounts), _age(status, risk.since), f"{_NEXT[risk.kind]}{until}"
        )
    if len(table):
        table.show()
    elif not status.unresolved:
        say_text("No line waits for a decision.")


def _age(status: LedgerStatus, since: datetime) -> str:
    return format_age(round((status.now - since).total_seconds()))


def _line(entry: Entry) -> str:
    return f"{entry.line_id} {entry.dimension}, {format_decimal(entry.units)} at {format_decimal(entry.price)}" + (
        f": {entry.error}" if entry.error else ""
    )
