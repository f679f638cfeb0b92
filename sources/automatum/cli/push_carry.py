"""`automatum push carry`: bill late usage by lines of the current hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE
from ..core.process_info import user_name
from ..core.text import plural
from .console import say, say_text, show_error
from .ledger import open_ledger
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    LockWait,
    MaxWait,
    NoWait,
    OrganizationName,
    guarded,
    longest_wait,
    stop_on_signals,
    target_of,
)
from .push_options import Confirm, LedgerUrl, Reason, Unchecked, read_synced
from .tables import TextTable

if TYPE_CHECKING:
    from ..metering.carry import Late
    from ..metering.summary import PushSummary

EXAMPLES = (
    "automatum push carry",
    "automatum push carry --confirm --reason 'agreed with the customer'",
    "automatum push carry LINE_ID --confirm",
)
LateLines = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LINE_ID]...", help="Lines, bodies or filters. Default: all in conflict or expired."),
]


def push_carry(
    lines: LateLines = None,
    reason: Reason = "",
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    unchecked: Unchecked = False,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    confirm: Confirm = False,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bill late usage by lines of the current hour: what came after its hour was billed, or too late for its window.

    Only a positive difference is carried. Dry unless --confirm is given.
    """

    def work() -> int:
        from ..api.session import connect
        from ..config.settings import resolve_settings
        from ..metering.carry import find_late, record_carries
        from ..metering.eligibility import UNCHECKED
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.reconcile import find_lines
        from ..metering.push import require_metering, send_planned

        stop = stop_on_signals()
        target = target_of(destination, dataset, database)
        with open_ledger(ledger_url, organization, needed=confirm) as ledger:
            wanted = find_lines(ledger, lines, None, "LINE_ID") if lines else None
            settings = resolve_settings(with_credentials=confirm, organization=organization)
            synced = UNCHECKED if unchecked else read_synced(target, settings, lock_wait)
            late, summary = find_late(ledger, wanted, synced), None
            if confirm:
                session = connect(settings, stop=stop, max_wait=longest_wait(no_wait, max_wait))
                require_metering(session)
                carried = record_carries(ledger, late, Author(user_name(), reason.strip()))
                summary = send_planned(session, ledger, {line.id for line in carried})
            figures = _figures(late, summary, [] if unchecked else synced.missing)
            unresolved = ledger.reader.unresolved()
        say(figures, as_json, lambda: _show(late, summary, figures["checks_skipped"]))
        for error in summary.errors if summary else ():
            show_error(error)
        if summary:
            return summary.exit_code
        return EXIT_INCOMPLETE if unresolved else EXIT_COMPLETE

    guarded(work, as_json, debug)


def _figures(late: Sequence[Late], summary: PushSummary | None, skipped: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": summary.verdict if summary else "dry_run",
        "carry": [line.as_json() for line in late if line.kind == "carry"],
        "credit": [line.as_json() for line in late if line.kind == "credit"],
        "left": [line.as_json() for line in late if line.kind == "none"],
        "checks_skipped": skipped,
        "push": summary.as_json() if summary else None,
    }


def _show(late: Sequence[Late], summary: PushSummary | None, skipped: Sequence[str]) -> None:
    from ..metering.model import format_decimal
    from . import render_push as display

    headings = {
        "carry": ("carried to the current hour" if summary else "would be carried to the current hour"),
        "credit": "billed too high: credit it in the marketplace's portal",
        "none": "left alone",
    }
    for kind, heading in headings.items():
        of_kind = [line for line in late if line.kind == kind]
        if not of_kind:
            continue
        table = TextTable(
            "line", "units", "amount", words=("hour or day", "customer", "dimension", "why"), title=f"Usage {heading}"
        )
        for line in of_kind:
            entry = line.entry
            used = entry.starts_at.strftime("%Y-%m-%d %H:%M" if entry.grain == "hour" else "%Y-%m-%d")
            amounts = (format_decimal(line.difference), format_decimal(line.amount))
            table.add(entry.line_id, *amounts, used, entry.customer_id, entry.dimension, line.reason)
        table.show()
    if not late:
        say_text("There is no late usage in the ledger.")
    if skipped:
        say_text(f"Note: nothing was checked against {' and '.join(skipped)}: the database holds none.")
    if summary:
        display.show_push(summary)
    elif count := sum(line.kind == "carry" for line in late):
        say_text(f"Dry run. Next: the same command with --confirm bills {plural(count, 'line')}.")
