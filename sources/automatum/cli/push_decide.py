"""`automatum push retry | resolve | dismiss | undo | decisions`: what a person decides about lines and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.clock import SystemClock, utc
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.process_info import user_name
from .console import say, show_error
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
    open_existing,
    stop_on_signals,
    target_of,
)
from .push_options import Confirm, LateOk, LedgerUrl, Reason, Unchecked, read_synced

if TYPE_CHECKING:
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.reconcile import Decision
    from ..metering.ledger.resolution import Reconciled
    from ..metering.ledger.silence import SilentKey
    from ..metering.retry import RetryPlan
    from ..metering.summary import PushSummary
    from ..warehouse.target import Target

LineIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LINE_ID]...",
        help="Ids of lines or bodies. Default: all rejected lines that were never accepted.",
    ),
]
Expired = Annotated[bool, typer.Option("--expired", help="Also retry lines that were too late.")]
Events = Annotated[
    str | None,
    typer.Option(help="Bodies of metering.* webhook events: a file of JSON lines, or a table, view or 'sql:...'."),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        help="An unknown line that was billed, or a conflict whose accepted units are right: id of a line or a body, "
        "or a filter such as customer_id=cust_1,day=2026-11-24. Repeatable."
    ),
]
NotSent = Annotated[
    list[str] | None,
    typer.Option(help="An unknown line that was not billed; the next push sends it. As --accepted."),
]
Rejected = Annotated[
    list[str] | None,
    typer.Option(help="An unknown line, a conflict or a written off line that was not billed. As --accepted."),
]
WrittenOff = Annotated[
    list[str] | None,
    typer.Option(help="A line that need not be billed any more; with --reason. As --accepted."),
]
Refusals = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of refusals, filters such as customer_id=cust_1, or all."),
]
Silent = Annotated[
    list[str] | None,
    typer.Option(help="What may be silent: an id, a filter such as customer_id=cust_1, or all. Repeatable."),
]
Subjects = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of lines, bodies or refusals, or filters of lines.")
]
Last = Annotated[bool, typer.Option("--last", help="All that the last command decided.")]


def push_retry(
    lines: LineIds = None,
    expired: Expired = False,
    late_ok: LateOk = False,
    unchecked: Unchecked = False,
    reason: Reason = "",
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    confirm: Confirm = False,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Send rejected lines again, by the checks of a push, never unknown ones. Dry unless --confirm is given."""

    def work() -> int:
        from ..api.session import connect
        from ..config.settings import resolve_settings
        from ..metering.checks import retry_checks
        from ..metering.eligibility import UNCHECKED
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.reconcile import find_lines
        from ..metering.retry import plan_retry, retry

        stop, target = stop_on_signals(), target_of(destination, dataset, database)
        with open_ledger(ledger_url, organization, needed=confirm) as ledger:
            ids = find_lines(ledger, lines, None, "LINE_ID") if lines else None
            settings = resolve_settings(with_credentials=confirm, organization=organization)
            synced = UNCHECKED if unchecked else read_synced(target, settings, lock_wait)
            # An expired line is past the strictest deadline already.
            checks = retry_checks(settings, synced, unchecked=unchecked, late_ok=late_ok or expired)
            plan = plan_retry(ledger, ids, utc(SystemClock().time()), expired=expired, checks=checks)
            if not confirm:
                return _show_retry(plan, as_json)
            session = connect(settings, stop=stop, max_wait=longest_wait(no_wait, max_wait))
            summary = retry(session, ledger, plan, Author(user_name(), reason.strip()), checks)
        return _show_retried(summary, plan, as_json)

    guarded(work, as_json, debug)


def _show_retry(plan: RetryPlan, as_json: bool) -> int:
    from . import render_push

    lines = [entry.as_row() for entry in plan.to_send]
    figures = {"verdict": "dry_run", "lines": lines, "left": plan.left_as_json}
    say(figures, as_json, lambda: render_push.show_retry(plan))
    return EXIT_INCOMPLETE if plan.left else EXIT_COMPLETE


def _show_retried(summary: PushSummary, plan: RetryPlan, as_json: bool) -> int:
    from . import render_push

    figures = summary.as_json() | {"left": plan.left_as_json}
    say(figures, as_json, lambda: render_push.show_retried(summary, plan))
    for error in summary.errors:
        show_error(error)
    return summary.exit_code or (EXIT_INCOMPLETE if plan.left else EXIT_COMPLETE)


def push_resolve(
    events: Events = None,
    accepted: Accepted = None,
    not_sent: NotSent = None,
    rejected: Rejected = None,
    written_off: WrittenOff = None,
    reason: Reason = "",
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Resolve lines, by the vendor's events or by hand. Exit code 0 if no line is left unresolved, else 65.

    Events must come from a webhook whose signature was checked: a forged event makes usage count as billed. With the
    setting webhook_secret, each event is checked here, too.
    """

    def work() -> int:

        named: dict[Decision, list[str] | None] = {
            "accepted": accepted,
            "not_sent": not_sent,
            "rejected": rejected,
            "written_off": written_off,
        }
        if not (events or any(named.values())):
            step = "Give --events, --accepted, --not-sent, --rejected or --written-off."
            raise ConfigurationError("--events", "nothing to resolve lines by.", step)
        if written_off and not reason.strip():
            raise ConfigurationError("--reason", "not given.", "Say why the lines need not be billed.")
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            read = partial(_events, events, target_of(destination, dataset, database), lock_wait) if events else None
            return _resolve(ledger, named, reason.strip(), read, as_json)

    guarded(work, as_json, debug)


def _resolve(
    ledger: Ledger,
    named: Mapping[Decision, list[str] | None],
    reason: str,
    read_events: Callable[[], Sequence[Mapping[str, Any]]] | None,
    as_json: bool,
) -> int:
    from ..metering.ledger.reconcile import find_lines, resolve_by_events, resolve_by_hand
    from ..metering.ledger.resolution import Reconciled
    from . import render_push

    with ledger.run() as run:
        run.recover()
    found = {
        decision: find_lines(ledger, selectors, decision, f"--{decision.replace('_', '-')}")
        for decision, selectors in named.items()
        if selectors
    }
    result = resolve_by_events(ledger, read_events()) if read_events else Reconciled()
    if found:
        result.add(resolve_by_hand(ledger, **found, reason=reason, by=user_name()))
    counts, unresolved = ledger.reader.counts(), ledger.reader.unresolved()
    figures = _figures(result) | {"lines": counts, "unresolved": unresolved}
    say(figures, as_json, lambda: render_push.show_resolved(figures))
    return EXIT_INCOMPLETE if result.refused or unresolved else EXIT_COMPLETE


def push_dismiss(
    refusals: Refusals = None,
    silent: Silent = None,
    reason: Reason = "",
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Close refused usage that need not be billed, or was billed under another key; or expect no more usage."""

    def work() -> int:
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.refusals import dismiss, find_refusals
        from ..metering.ledger.silence import dismiss_silence, find_silent
        from . import render_push_status

        if not (refusals or silent):
            raise ConfigurationError("REFUSAL_ID", "not given.", "`automatum push status` lists what is open.")
        if not reason.strip():
            raise ConfigurationError("--reason", "not given.", "Say why nothing is to be billed.")
        author = Author(user_name(), reason.strip())
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            found = find_refusals(ledger, refusals) if refusals else []
            quiet = find_silent(_silent(ledger, organization), silent) if silent else []
            figures = {"dismissed": dismiss(ledger, found, author), "silent": dismiss_silence(ledger, quiet, author)}
            unresolved = ledger.reader.unresolved()
        say(figures | {"unresolved": unresolved}, as_json, lambda: render_push_status.show_dismissed(figures))
        return EXIT_INCOMPLETE if unresolved else EXIT_COMPLETE

    guarded(work, as_json, debug)


def push_undo(
    subjects: Subjects = None,
    last: Last = False,
    reason: Reason = "",
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Undo the last decision about lines or refusals. Possible until the line is sent."""

    def work() -> int:
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.decisions import last_of, undo
        from . import render_push_status

        if bool(subjects) == last:
            raise ConfigurationError("ID", "name what to undo, or --last.", "`automatum push decisions` lists it.")
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            ids = last_of(ledger) if last else _subjects(ledger, subjects or [])
            result = undo(ledger, ids, Author(user_name(), reason.strip()))
            unresolved = ledger.reader.unresolved()
        figures = {
            "undone": [asdict(decision) for decision in result.undone],
            "refused": [{"id": id_, "reason": why} for id_, why in result.refused],
            "unresolved": unresolved,
        }
        say(figures, as_json, lambda: render_push_status.show_undone(figures))
        return EXIT_INCOMPLETE if result.refused or unresolved else EXIT_COMPLETE

    guarded(work, as_json, debug)


def push_decisions(
    subjects: Subjects = None,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what people decided: who, when, why, before and after. Sends nothing."""

    def work() -> int:
        from ..metering.ledger.decisions import read_decisions
        from . import render_push_status

        with open_ledger(ledger_url, organization) as ledger:
            ids = _subjects(ledger, subjects) if subjects else None
            decisions = [asdict(decision) for decision in read_decisions(ledger, ids)]
        say({"decisions": decisions}, as_json, lambda: render_push_status.show_decisions(decisions))
        return EXIT_COMPLETE

    guarded(work, as_json, debug)


def _figures(result: Reconciled) -> dict[str, Any]:
    """The result of `resolve` for `--json`."""
    return {
        "accepted": result.accepted,
        "confirmed": result.confirmed,
        "rejected": result.rejected,
        "planned": result.planned,
        "written_off": result.written_off,
        "conflict": result.conflict,
        "left": [{"event": event.position, "reason": event.reason} for event in result.unused],
        "refused": [{"line_id": line_id, "reason": reason} for line_id, reason in result.refused],
        "ignored": result.ignored,
    }


def _subjects(ledger: Ledger, selectors: list[str]) -> list[str]:
    """Ids of decisions' subjects, and of the lines that bodies and filters name."""
    from ..metering.ledger.decisions import read_decisions
    from ..metering.ledger.reconcile import find_lines

    decided = {decision.subject_id for decision in read_decisions(ledger)}
    known = [selector for selector in selectors if selector in decided]
    return [*known, *find_lines(ledger, [selector for selector in selectors if selector not in decided], None, "ID")]


def _silent(ledger: Ledger, organization: str | None) -> list[SilentKey]:
    from ..config.settings import resolve_settings
    from ..metering.checks import silence_of
    from ..metering.ledger.silence import silent_keys

    settings = resolve_settings(with_credentials=False, organization=organization)
    return silent_keys(ledger, ledger.database.now(), silence_of(settings))


def _events(source: str, target: Target, lock_wait: float) -> Sequence[Mapping[str, Any]]:
    from ..config.webhook_secret import find_signature_header, find_webhook_secret
    from ..metering.ledger.webhook_events import read_events
    from ..metering.usage.sql import read_dicts
    from ..metering.webhook_signature import SIGNATURE_HEADER, verified_events

    path = Path(source)
    in_file = source.lower().endswith((".json", ".jsonl", ".ndjson")) or path.is_file()
    stored = read_events(path) if in_file else read_dicts(open_existing(target, lock_wait), source)
    # All of them before the first is used: one that is forged makes the others suspect.
    return list(verified_events(stored, find_webhook_secret(), find_signature_header(SIGNATURE_HEADER)))
