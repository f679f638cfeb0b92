"""`automatum push` and what belongs to it: status, retry, resolve, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..api.session import open_session
from ..config.settings import resolve_settings
from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.file_lock import WAIT
from ..core.process_info import user_name
from ..metering.export import export_ledger
from ..metering.ledger.planned import lines_on_hold
from ..metering.ledger.reconcile import Decision, find_lines, resolve_by_events, resolve_by_hand
from ..metering.ledger.resolution import Reconciled
from ..metering.ledger.states import UNRESOLVED, State
from ..metering.ledger.webhook_events import read_events
from ..metering.model import Grain
from ..metering.options import PushOptions
from ..metering.push import send_planned
from ..metering.run import run_push
from ..metering.usage.sql import read_dicts
from ..warehouse.dataset import prepare_dataset
from ..warehouse.dlt_internals import reset_working_folder
from ..warehouse.pipeline import label_pipeline, name_pipeline, open_pipeline
from ..warehouse.target import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, Target, exclusive_pipeline
from . import render_push as display
from .commands import examples
from .console import say, show_error
from .ledger import ledger_app, open_ledger
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    LockWait,
    MaxWait,
    Notify,
    NotifyOn,
    NoWait,
    OrganizationName,
    PipelinesDir,
    Quiet,
    guarded,
    longest_wait,
    open_existing,
    stop_on_signals,
)
from .push_options import (
    Allow,
    Confirm,
    GrainName,
    LateOk,
    Mapping,
    MaxAmount,
    MaxLines,
    NewLedger,
    PlanDigest,
    SendPartial,
    Source,
    Unchecked,
    Usage,
    parse_amount,
    parse_mapping,
)
from .push_plan import CANCEL_EXAMPLES, plan_app, plan_cancel
from .reporter import Reporter

push_app = typer.Typer(
    help="Report usage to the marketplaces, each line once. Dry unless --confirm is given.",
    epilog=examples(
        "automatum push --usage usage.csv                         (a dry run)",
        "automatum push --usage usage.csv --confirm               (sends)",
        "automatum push --usage usage.csv --confirm --new-ledger  (the first push of all)",
        "automatum push --usage usage_by_hour --map units=quantity",
    ),
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)

push_app.add_typer(ledger_app, name="ledger")
push_app.add_typer(plan_app, name="plan")
push_app.command("cancel", epilog=CANCEL_EXAMPLES)(plan_cancel)

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        help="Database of the ledger, which records what was sent: sqlite:////path or postgresql://... "
        "Default: a file in your data folder. `ps` shows its password to other users: prefer the setting ledger_url."
    ),
]
LineIds = Annotated[list[str] | None, typer.Argument(metavar="[LINE_ID]...", help="Default: all rejected lines.")]
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
Reason = Annotated[str, typer.Option(help="Why. The ledger keeps it with the line, the user and the time.")]


@push_app.callback()
def push_usage(
    context: typer.Context,
    usage: Usage = None,
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    grain: GrainName = "hour",
    mapping: Mapping = None,
    ledger_url: LedgerUrl = None,
    late_ok: LateOk = False,
    unchecked: Unchecked = False,
    send_partial: SendPartial = False,
    allow: Allow = None,
    max_amount: MaxAmount = None,
    max_lines: MaxLines = None,
    source: Source = None,
    plan: PlanDigest = None,
    confirm: Confirm = False,
    new_ledger: NewLedger = False,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = WAIT,
    quiet: Quiet = False,
    notify: Notify = None,
    notify_on: NotifyOn = "change",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Report usage to the marketplaces, each line once. Dry unless --confirm is given."""
    if context.invoked_subcommand:
        return

    def work() -> int:
        if usage is None:
            raise ConfigurationError("--usage", "not given.", "Name a file, a table or view, or 'sql:SELECT ...'.")
        options = PushOptions(
            organization=organization,
            confirm=confirm,
            target=Target(destination, dataset, database),
            ledger_url=ledger_url,
            new_ledger=new_ledger,
            mapping=parse_mapping(mapping or []),
            grain=cast(Grain, grain),
            late_ok=late_ok,
            unchecked=unchecked,
            plan=plan,
            allow=tuple(allow or ()),
            send_partial=send_partial,
            max_amount=parse_amount(max_amount),
            max_lines=max_lines,
            source=source,
            max_wait=longest_wait(no_wait, max_wait),
            lock_wait=lock_wait,
        )
        summary = run_push(usage, options, stop=stop_on_signals())
        return reporter.finished(summary, summary.as_json(), lambda: display.show_push(summary))

    reporter = Reporter("push", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)


@push_app.command(
    "status",
    epilog=examples(
        "automatum push status",
    ),
)
def push_status(
    ledger_url: LedgerUrl = None, organization: OrganizationName = None, as_json: Json = False, debug: Debug = False
) -> None:
    """Show the lines of the ledger by state, and those that need a decision. Sends nothing."""

    def work() -> int:
        with open_ledger(ledger_url, organization) as ledger:
            counts = ledger.counts()
            open_lines = [entry.as_row() for entry in ledger.lines([*UNRESOLVED, "sending"])]
            unresolved = ledger.unresolved()
            figures = {
                "ledger": ledger.location,
                "lines": counts,
                "unresolved": unresolved,
                "unsettled": open_lines,
                "on_hold": [hold.as_json() for _, holds in lines_on_hold(ledger) for hold in holds],
            }
        say(figures, as_json, lambda: display.show_ledger(figures))
        return EXIT_INCOMPLETE if unresolved else EXIT_COMPLETE

    guarded(work, as_json, debug)


@push_app.command(
    "retry",
    epilog=examples(
        "automatum push retry",
        "automatum push retry --confirm",
    ),
)
def push_retry(
    lines: LineIds = None,
    expired: Expired = False,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    confirm: Confirm = False,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Send rejected lines again, never accepted or unknown ones. Dry unless --confirm is given."""

    def work() -> int:
        stop = stop_on_signals()
        with open_ledger(ledger_url, organization, needed=confirm) as ledger:
            if lines:
                find_lines(ledger, lines, None, "LINE_ID")
            if not confirm:
                states: tuple[State, ...] = ("rejected", "expired", "planned") if expired else ("rejected", "planned")
                found = [entry for entry in ledger.lines(states) if not lines or entry.line_id in lines]
                entries = [entry.as_row() for entry in found]
                figures = {"verdict": "dry_run", "lines": entries}
                say(figures, as_json, lambda: display.show_entries(entries, "would be sent again"))
                return EXIT_COMPLETE
            settings = resolve_settings(organization=organization)
            session = open_session(settings, stop=stop, max_wait=longest_wait(no_wait, max_wait))
            ledger.retry(lines or None, expired=expired)
            summary = send_planned(session, ledger, session.clock, lines or None)
        say(summary.as_json(), as_json, lambda: display.show_push(summary))
        for error in summary.errors:
            show_error(error)
        return summary.exit_code

    guarded(work, as_json, debug)


@push_app.command(
    "resolve",
    epilog=examples(
        "automatum push resolve --events events.jsonl",
        "automatum push resolve --accepted LINE_ID --not-sent LINE_ID",
        "automatum push resolve --written-off customer_id=cust_1,state=expired --reason 'credited by hand'",
    ),
)
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
    lock_wait: LockWait = WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Resolve lines, by the vendor's events or by hand. Exit code 0 if no line is left unresolved, else 65."""

    def work() -> int:
        asked: dict[Decision, list[str] | None] = {
            "accepted": accepted,
            "not_sent": not_sent,
            "rejected": rejected,
            "written_off": written_off,
        }
        if not (events or any(asked.values())):
            step = "Give --events, --accepted, --not-sent, --rejected or --written-off."
            raise ConfigurationError("--events", "nothing to resolve lines by.", step)
        if written_off and not reason.strip():
            raise ConfigurationError("--reason", "not given.", "Say why the lines need not be billed.")
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            with ledger.run() as run:
                run.recover()
            result = Reconciled()
            found = {
                decision: find_lines(ledger, named, decision, f"--{decision.replace('_', '-')}")
                for decision, named in asked.items()
                if named
            }
            if events:
                target = Target(destination, dataset, database)
                result = resolve_by_events(ledger, _events(events, target, lock_wait))
            if found:
                result.add(resolve_by_hand(ledger, **found, reason=reason.strip(), by=user_name()))
            counts = ledger.counts()
        figures = {
            "accepted": result.accepted,
            "confirmed": result.confirmed,
            "rejected": result.rejected,
            "planned": result.planned,
            "written_off": result.written_off,
            "conflict": result.conflict,
            "left": [{"event": event.position, "reason": event.reason} for event in result.unused],
            "refused": [{"line_id": line_id, "reason": reason} for line_id, reason in result.refused],
            "ignored": result.ignored,
            "lines": counts,
        }
        say(figures, as_json, lambda: display.show_resolved(figures))
        unsettled = result.refused or any(counts[state] for state in UNRESOLVED)
        return EXIT_INCOMPLETE if unsettled else EXIT_COMPLETE

    guarded(work, as_json, debug)


@push_app.command(
    "export",
    epilog=examples(
        "automatum push export",
    ),
)
def push_export(
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    pipelines_dir: PipelinesDir = None,
    lock_wait: LockWait = WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Load the ledger to the destination as metering_lines and metering_attempts."""

    def work() -> int:
        clock, warehouse = SystemClock(), Target(destination, dataset, database)
        budget, label = Budget(clock), label_pipeline(organization)
        # A separate working folder and staging dataset: what a killed sync has left stays for the next sync.
        own = f"{label}__ledger"
        place = warehouse.open(own)
        name, own_name = (name_pipeline(one, place, dataset, warehouse.file) for one in (label, own))
        with (
            open_ledger(ledger_url, organization) as ledger,
            warehouse.exclusive_writer("automatum push export", clock, budget, lock_wait),
            exclusive_pipeline(name, pipelines_dir, clock, budget, lock_wait),
        ):
            settings = resolve_settings(with_credentials=False, organization=organization)
            pipeline = open_pipeline(place, dataset, pipelines_dir, own_name)
            reset_working_folder(pipeline)  # What a killed export has left is still in the ledger.
            prepare_dataset(pipeline, bool(settings.organization))
            loaded = export_ledger(ledger, pipeline, settings.owner, settings.table_format)
        say(loaded, as_json, lambda: display.show_export(loaded))
        return EXIT_COMPLETE

    guarded(work, as_json, debug)


def _events(source: str, target: Target, lock_wait: float) -> Any:
    path = Path(source)
    if source.lower().endswith((".json", ".jsonl", ".ndjson")) or path.is_file():
        return read_events(path)
    return read_dicts(open_existing(target, lock_wait), source)
