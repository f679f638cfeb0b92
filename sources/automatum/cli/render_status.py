"""What `automatum status` prints: last sweeps, those under way, limits, and what is unresolved in the ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.text import plural
from .console import say_text
from .formats import format_age, format_number, format_state
from .render_api import request_errors, secret_line
from .tables import TextTable


def show_status(figures: Mapping[str, Any]) -> None:
    """The last sweep of each table, and those under way; one organization after the other; and the API's limits."""
    if "organizations" in figures:
        for name, one in figures["organizations"].items():
            say_text(str(name), style="bold")
            _show_sweeps(one)
    else:
        _show_sweeps(figures)
    for ledger in figures["ledgers"]:
        _show_ledger(ledger)


def _show_ledger(ledger: Mapping[str, Any]) -> None:
    """What is unresolved in the ledger of an organization."""
    name = f" of {ledger['organization']}" if ledger["organization"] else ""
    if ledger["error"]:
        say_text(f"Push{name}: {ledger['error']}")
    elif ledger["unresolved"]:
        counted = ", ".join(f"{kind} {number:,}" for kind, number in ledger["unresolved"].items())
        say_text(f"Push{name}: unresolved: {counted}. Next: automatum push status.")
    else:
        say_text(f"Push{name}: nothing is unresolved.")


def _show_sweeps(figures: Mapping[str, Any]) -> None:
    table = TextTable("table", "verdict", "age", "requests", "rows", "changed", "deleted", words=("verdict",))
    for name, row in figures["tables"].items():
        changed = (row["inserted"] or 0) + (row["updated"] or 0)
        numbers = (row["requests"], row["distinct_keys"], changed, row["deleted"])
        table.add(
            name, format_state(row["verdict"]), format_age(row["age_seconds"]), *(format_number(one) for one in numbers)
        )
    if len(table):
        table.show()
    else:
        say_text("No sweep has been recorded yet. Next: automatum sync.")
    for name, row in figures["tables"].items():
        if row["reason"]:
            say_text(f"{name}: {row['reason']}")
        if trouble := request_errors(row["recent"]):
            say_text(f"{name}: {trouble}")
    if secret := figures["secret"]:
        say_text(secret_line(secret))
    for name, row in figures["under_way"].items():
        announced = "" if row["announced"] is None else f"; {plural(row['announced'], 'row')} announced"
        say_text(f"{name}: under way, {plural(row['pages'], 'page')} read{announced}")
