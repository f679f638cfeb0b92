"""`automatum push carry`: bill late usage by lines of the current hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, WAIT
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.process_info import user_name
from ..core.text import plural
from .console import say, say_text, show_error
from .ledger import LedgerUrl, open_ledger
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
    open_existing,
    stop_on_signals,
)
from .push_options import Confirm, Unchecked
from .push_plan import Reason
from .tables import TextTable

if TYPE_CHECKING:
    from ..metering.carry import Late
    from ..metering.eligibility import Eligibility
    from ..metering.summary import PushSummary
    from ..warehouse.target import Target

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
    lock_wait: LockWait = WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bill late usage by lines of the current hour: what came after its hour was billed, or too late for its window.

    Only a positive difference is carried. Dry unless --confirm is given.
    """

    def work() -> int:
        from ..api.session import open_session
        from ..config.settings import resolve_settings
        from ..metering.carry import find_late, record_carries
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.reconcile import find_lines
        from ..metering.push import require_metering, send_planned
        from ..warehouse.target import Target

        stop = stop_on_signals()
        target = Target(destination, dataset, database)
        with open_ledger(ledger_url, organization, needed=confirm) as ledger:
            wanted = find_lines(ledger, lines, None, "LINE_ID") if lines else None
            eligibility = None if unchecked else _eligibility(target, organization, lock_wait)
            late, summary = find_late(ledger, wanted, eligibility), None
            if confirm:
                session = open_session(
                    resolve_settings(organization=organization), stop=stop, max_wait=longest_wait(no_wait, max_wait)
                )
                require_metering(session)
                carried = record_carries(ledger, late, Author(user_name(), reason.strip()))
                summary = send_planned(session, ledger, session.clock, {line.id for line in carried})
            figures = _figures(late, summary, eligibility, unchecked)
            unresolved = ledger.reader.unresolved()
        say(figures, as_json, lambda: _show(late, summary, figures["checks_skipped"]))
        for error in summary.errors if summary else ():
            show_error(error)
        if summary:
            return summary.exit_code
        return EXIT_INCOMPLETE if unresolved else EXIT_COMPLETE

    guarded(work, as_json, debug)


def _eligibility(target: Target, organization: str | None, lock_wait: float) -> Eligibility | None:
    """The synced tables; None if there are none to check against."""
    from ..config.settings import resolve_settings
    from ..metering.eligibility import read_eligibility

    settings = resolve_settings(with_credentials=False, organization=organization)
    try:
        pipeline = open_existing(target, lock_wait)
    except ConfigurationError:
        if target.missing:
            return None
        raise
    return read_eligibility(pipeline, settings.owner)


def _figures(
    late: Sequence[Late], summary: PushSummary | None, eligibility: Eligibility | None, unchecked: bool
) -> dict[str, Any]:
    skipped = ["customers", "entitlements"] if eligibility is None else eligibility.missing
    return {
        "verdict": summary.verdict if summary else "dry_run",
        "carry": [one.as_json() for one in late if one.kind == "carry"],
        "credit": [one.as_json() for one in late if one.kind == "credit"],
        "left": [one.as_json() for one in late if one.kind == "none"],
        "checks_skipped": [] if unchecked else skipped,
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
        some = [one for one in late if one.kind == kind]
        if not some:
            continue
        table = TextTable(
            "line", "units", "amount", words=("hour or day", "customer", "dimension", "why"), title=f"Usage {heading}"
        )
        for one in some:
            entry = one.entry
            used = entry.starts_at.strftime("%Y-%m-%d %H:%M" if entry.grain == "hour" else "%Y-%m-%d")
            amounts = (format_decimal(one.difference), format_decimal(one.amount))
            table.add(entry.line_id, *amounts, used, entry.customer_id, entry.dimension, one.reason)
        table.show()
    if not late:
        say_text("There is no late usage in the ledger.")
    if skipped:
        say_text(f"Note: nothing was checked against {' and '.join(skipped)}: the database holds none.")
    if summary:
        display.show_push(summary)
    elif count := sum(one.kind == "carry" for one in late):
        say_text(f"Dry run. Next: the same command with --confirm bills {plural(count, 'line')}.")
