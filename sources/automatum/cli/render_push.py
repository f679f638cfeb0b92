"""What a person sees of a push."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table as Grid

from ..metering.classify import difference, total
from ..metering.ledger.entries import LedgerMatch
from ..metering.model import Line, format_decimal
from ..metering.push import PushSummary
from .console import grid_of, out

MOST_SHOWN = 20
"""Rows of a list after which only their number is told; --json has them all."""


def show_push(summary: PushSummary) -> None:
    """What was sent, or what would be, with the money that it means."""
    intake, sent = summary.intake, summary.sent
    grid = grid_of("lines", "number", "money")
    if sent is None:
        out.print("Dry run: nothing is sent. --confirm sends.", highlight=False)
        _count(grid, "to be sent", intake.new)
        _count(grid, "to be sent, known from before", [*intake.again, *summary.left_over])
        _count(grid, "  of these late", intake.late)
    else:
        _count(grid, "accepted", sent.accepted)
        _count(grid, "refused by the API", [line for line, _ in sent.refused])
        _count(grid, "in conflict with what the API has", [line for line, _ in sent.conflict])
        _count(grid, "unknown: may have been taken", [line for line, _ in sent.unknown])
        left = summary.lines["new"]
        if left:
            grid.add_row("not sent yet", f"{left:,}", "")
    _count(grid, "accepted before", _lines(intake.same))
    _count(grid, "changed since accepted", _lines(intake.changed))
    _count(grid, "in conflict since before", _lines(intake.conflict))
    _count(grid, "unknown since before", _lines(intake.unknown))
    _count(grid, "refused before, unchanged", _lines(intake.rejected))
    _count(grid, "too late", [*intake.expired, *summary.too_late])
    _count(grid, "zero, which the marketplace does not take", intake.zero)
    _count(grid, "being sent by another push", _lines(intake.sending))
    out.print(grid)
    if intake.invalid:
        out.print(f"{intake.invalid:,} rows are invalid.", highlight=False)
    if intake.open_rows:
        out.print(f"{intake.open_rows:,} rows are of an hour or day that is not over; they wait.", highlight=False)
    _list([f"row {one.row}: {one.reason}" for one in sorted(intake.refused, key=lambda one: one.row)])
    _list([_difference(held) for held in (*intake.changed, *intake.conflict)])
    if sent:
        _list(
            [f"{line.id} {line.customer_id} {line.dimension}: {said}" for line, said in (*sent.conflict, *sent.unknown)]
        )
    for warning in summary.warnings:
        out.print(f"Note: {warning}.", highlight=False)
    verb = "Would charge" if sent is None else "Charged"
    out.print(
        f"{verb} {format_decimal(summary.charged)} in {summary.requests} requests. Ledger: {summary.ledger}",
        highlight=False,
    )
    if summary.lines["unknown"]:
        out.print("Settle unknown lines by: automatum push resolve --events FILE", highlight=False)


def show_ledger(figures: Mapping[str, Any]) -> None:
    """Lines by state, and those that somebody has to look at."""
    grid = grid_of("state", "lines")
    for state, number in figures["lines"].items():
        grid.add_row(state, f"{number:,}")
    out.print(grid)
    show_entries(figures["unsettled"], "unsettled")
    out.print(f"Ledger: {figures['ledger']}", highlight=False)


def show_entries(entries: Sequence[Mapping[str, Any]], what: str) -> None:
    """Lines of the ledger, one each."""
    out.print(f"{len(entries):,} lines {what}.", highlight=False)
    _list(
        [
            f"{one['line_id']} {one['state']}: {one['customer_id']} {one['dimension']} "
            f"{one['starts_at']:%Y-%m-%d %H:%M}, "
            f"{format_decimal(one['units'])} at {format_decimal(one['price'])}"
            + (f": {one['error']}" if one["error"] else "")
            for one in entries
        ]
    )


def show_settled(figures: Mapping[str, Any]) -> None:
    """What events or a human have settled."""
    for name, words in (
        ("accepted", "were billed"),
        ("rejected", "were refused by the marketplace"),
        ("planned", "were not sent; the next push sends them"),
        ("conflict", "are told to be both"),
    ):
        if figures[name]:
            out.print(f"{len(figures[name]):,} lines {words}.", highlight=False)
    _list([f"event {one['event']}: {one['reason']}" for one in figures["left"]])
    _list([f"{one['line_id']}: {one['reason']}" for one in figures["refused"]])
    out.print(f"{figures['lines']['unknown']:,} lines are unknown still.", highlight=False)


def show_export(loaded: Mapping[str, int]) -> None:
    """Rows loaded, by table."""
    grid = grid_of("table", "rows")
    for table, rows in loaded.items():
        grid.add_row(table, f"{rows:,}")
    out.print(grid)


def _count(grid: Grid, name: str, lines: Sequence[Line]) -> None:
    if lines:
        grid.add_row(name, f"{len(lines):,}", format_decimal(total(lines)))


def _lines(held: Iterable[LedgerMatch]) -> list[Line]:
    return [one.line for one in held]


def _difference(held: LedgerMatch) -> str:
    one = difference(held)
    return (
        f"{one['line_id']} {one['customer_id']} {one['dimension']} {one['starts_at']}: "
        f"accepted {one['accepted_units']} at {one['accepted_price']}, now {one['asked_units']} at {one['asked_price']}"
    )


def _list(rows: Sequence[str]) -> None:
    for row in rows[:MOST_SHOWN]:
        out.print(f"  {row}", highlight=False, markup=False, soft_wrap=True)
    if len(rows) > MOST_SHOWN:
        out.print(f"  and {len(rows) - MOST_SHOWN:,} more; --json has all", highlight=False)
