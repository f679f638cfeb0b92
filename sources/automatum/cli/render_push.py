"""Shows pushes and the ledger in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table as Grid

from ..metering.classify import difference, total
from ..metering.ledger.entries import LedgerMatch
from ..metering.model import Line, format_decimal
from ..metering.summary import PushSummary
from .console import grid_of, out

MOST_SHOWN = 20
"""Longest list that is shown in full; --json has all rows."""


def show_push(summary: PushSummary) -> None:
    """What was sent, or would be sent, with the money."""
    found, sent = summary.classification, summary.send_result
    grid = grid_of("lines", "number", "money")
    if sent is None:
        out.print("Dry run: nothing is sent. --confirm sends.", highlight=False)
        _count(grid, "to be sent", found.new)
        _count(grid, "to be sent, known from before", [*found.again, *summary.left_over])
        _count(grid, "  of these late", found.late)
    else:
        _count(grid, "accepted", sent.accepted)
        _count(grid, "refused by the API", [line for line, _ in sent.rejected])
        _count(grid, "in conflict with what the API has", [line for line, _ in sent.conflict])
        _count(grid, "unknown: may have been taken", [line for line, _ in sent.unknown])
        left = summary.lines["new"]
        if left:
            grid.add_row("not sent yet", f"{left:,}", "")
    _count(grid, "accepted before", _lines(found.same))
    _count(grid, "changed since accepted", _lines(found.changed))
    _count(grid, "in conflict since before", _lines(found.conflict))
    _count(grid, "unknown since before", _lines(found.unknown))
    _count(grid, "refused before, unchanged", _lines(found.rejected))
    _count(grid, "too late", [*found.expired, *summary.too_late])
    _count(grid, "zero, which the marketplace does not take", found.zero)
    _count(grid, "being sent by another push", _lines(found.sending))
    out.print(grid)
    if found.invalid:
        out.print(f"{found.invalid:,} rows are invalid.", highlight=False)
    if found.open_rows:
        out.print(f"{found.open_rows:,} rows are of the current hour or day; a later push sends them.", highlight=False)
    _list(
        [f"row {refusal.row}: {refusal.reason}" for refusal in sorted(found.refused, key=lambda refusal: refusal.row)]
    )
    _list([_difference(match) for match in (*found.changed, *found.conflict)])
    if sent:
        _list(
            [
                f"{line.id} {line.customer_id} {line.dimension}: {message}"
                for line, message in (*sent.conflict, *sent.unknown)
            ]
        )
    for warning in summary.warnings:
        out.print(f"Note: {warning}.", highlight=False)
    verb = "Would charge" if sent is None else "Charged"
    out.print(
        f"{verb} {format_decimal(summary.charged)} in {summary.requests} requests. Ledger: {summary.ledger}",
        highlight=False,
    )
    if summary.lines["unknown"]:
        out.print("Resolve unknown lines: automatum push resolve --events FILE", highlight=False)


def show_ledger(figures: Mapping[str, Any]) -> None:
    """Lines by state, and those that need a decision."""
    grid = grid_of("state", "lines")
    for state, number in figures["lines"].items():
        grid.add_row(state, f"{number:,}")
    out.print(grid)
    show_entries(figures["unsettled"], "unsettled")
    out.print(f"Ledger: {figures['ledger']}", highlight=False)


def show_entries(entries: Sequence[Mapping[str, Any]], what: str) -> None:
    """Entries of the ledger, one per row."""
    out.print(f"{len(entries):,} lines {what}.", highlight=False)
    _list(
        [
            f"{entry['line_id']} {entry['state']}: {entry['customer_id']} {entry['dimension']} "
            f"{entry['starts_at']:%Y-%m-%d %H:%M}, "
            f"{format_decimal(entry['units'])} at {format_decimal(entry['price'])}"
            + (f": {entry['error']}" if entry["error"] else "")
            for entry in entries
        ]
    )


def show_resolved(figures: Mapping[str, Any]) -> None:
    """Lines that events, or a person, have settled."""
    for name, words in (
        ("accepted", "were billed"),
        ("rejected", "were refused by the marketplace"),
        ("planned", "were not sent; the next push sends them"),
        ("conflict", "are confirmed and failed, by their events"),
    ):
        if figures[name]:
            out.print(f"{len(figures[name]):,} lines {words}.", highlight=False)
    _list([f"event {event['event']}: {event['reason']}" for event in figures["left"]])
    _list([f"{line['line_id']}: {line['reason']}" for line in figures["refused"]])
    out.print(f"{figures['lines']['unknown']:,} lines are still unknown.", highlight=False)


def show_export(loaded: Mapping[str, int]) -> None:
    """Rows loaded, by table."""
    grid = grid_of("table", "rows")
    for table, rows in loaded.items():
        grid.add_row(table, f"{rows:,}")
    out.print(grid)


def _count(grid: Grid, name: str, lines: Sequence[Line]) -> None:
    if lines:
        grid.add_row(name, f"{len(lines):,}", format_decimal(total(lines)))


def _lines(matches: Iterable[LedgerMatch]) -> list[Line]:
    return [match.line for match in matches]


def _difference(match: LedgerMatch) -> str:
    row = difference(match)
    return (
        f"{row['line_id']} {row['customer_id']} {row['dimension']} {row['starts_at']}: "
        f"accepted {row['accepted_units']} at {row['accepted_price']}, now {row['asked_units']} at {row['asked_price']}"
    )


def _list(rows: Sequence[str]) -> None:
    for row in rows[:MOST_SHOWN]:
        out.print(f"  {row}", highlight=False, markup=False, soft_wrap=True)
    if len(rows) > MOST_SHOWN:
        out.print(f"  and {len(rows) - MOST_SHOWN:,} more; --json has all", highlight=False)
