"""`automatum push` and what belongs to it: status, settle, events, statement, export, ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.defaults import LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..metering.options import read_pairs
from .commands import CommandApp, examples
from .declared import END, OWN, PLACE, REPORT, WAITS, push_options, runs
from .ledger import ledger_app, open_ledger
from .options import open_existing, prepare_for_rows, settings_of, stop_on_signals, target_of
from .render_push import show_figures, show_push, show_settled, show_statement, show_status
from .reporter import Reporter
from .tables import show_counts

if TYPE_CHECKING:
    from ..metering.settle import Decision

push_app = CommandApp(
    help="Report usage to the marketplaces, each line once. Dry unless --confirm is given.",
    epilog=examples(
        "automatum push --usage usage.csv                         (a dry run)",
        "automatum push --usage usage.csv --confirm               (sends)",
        "automatum push --usage usage.csv --confirm --new-ledger  (the first push of all)",
        "automatum push --usage usage_by_hour --map units=quantity",
    ),
    invoke_without_command=True,
)


Usage = Annotated[
    str | None, typer.Option(help="A .csv or .parquet file, the name of a table or view, or 'sql:SELECT ...'.")
]
Events = Annotated[str, typer.Argument(metavar="EVENTS", help="A file of JSON lines, or a table, view or 'sql:...'.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of lines; or of other items, with --never.")]
Billed = Annotated[bool, typer.Option("--billed", help="The marketplace has billed the line as it was sent.")]
NotBilled = Annotated[bool, typer.Option("--not-billed", help="The marketplace has billed nothing of the line.")]
Send = Annotated[
    bool, typer.Option("--send", help="With --not-billed: send the line again, under its own hour or day.")
]
Never = Annotated[bool, typer.Option("--never", help="Need not be billed, or not any more; with --reason.")]
Carry = Annotated[bool, typer.Option("--carry", help="Bill the open units by a line of the current hour or day.")]
Reason = Annotated[str, typer.Option(help="Why. The journal keeps it with the user and the time.")]
Month = Annotated[str, typer.Option("--month", help="UTC month of the usage: YYYY-MM.")]
Report = Annotated[
    Path | None,
    typer.Option("--compare", help="A CSV report of the marketplace. Exit code 65 if its sums differ from the ledger."),
]
_COLUMN = "Name of a column of the report, if it is not known. Repeatable."
Columns = Annotated[list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help=_COLUMN)]
Vendor = Annotated[str | None, typer.Option(help="Marketplace of the report: aws, azure.")]


@push_app.callback()
@runs(*OWN, *PLACE, *WAITS, *REPORT, *END)
def push(reporter: Reporter, context: typer.Context, usage: Usage = None, **given: Any) -> int:
    """Report usage to the marketplaces, each line once. Dry unless --confirm is given."""
    from ..metering.run import run_push

    options = push_options(given)
    if usage is None:
        raise ConfigurationError("--usage", "not given.", "Name a file, a table or view, or 'sql:SELECT ...'.")
    prepare_for_rows(options.target)
    result = run_push(usage, options, stop=stop_on_signals())
    return reporter.finished(result, result.figures(), show_push)


@push_app.command("status", epilog=examples("automatum push status"))
@runs(*END)
def push_status(reporter: Reporter, **given: Any) -> int:
    """Show each open item with its money and the command that closes it, and the lines by state. Sends nothing."""
    from ..metering.status import status_of

    status = status_of(settings_of(given), SystemClock())
    return reporter.show(status.to_json(), show_status, status.exit_code)


@push_app.command(
    "settle",
    epilog=examples(
        "automatum push settle LINE_ID --billed",
        "automatum push settle LINE_ID --not-billed --send --confirm",
        "automatum push settle LINE_ID --never --reason 'credited by hand' --confirm",
        "automatum push settle LINE_ID --carry --confirm",
    ),
)
@runs("late_ok", "unchecked", "confirm", *PLACE, *END)
def push_settle(
    reporter: Reporter,
    ids: Ids,
    billed: Billed = False,
    not_billed: NotBilled = False,
    send: Send = False,
    never: Never = False,
    carry: Carry = False,
    reason: Reason = "",
    **given: Any,
) -> int:
    """Say what became of lines, or bill what is open of them. Dry unless --confirm is given.

    What is sent passes the checks and limits of a push. A later decision corrects an earlier one.
    """
    from ..metering.run import run_settle

    chosen: dict[Decision, bool] = {"billed": billed, "not_billed": not_billed, "never": never, "carry": carry}
    decisions = [name for name, wanted in chosen.items() if wanted]
    if len(decisions) != 1:
        problem = "no decision is given." if not decisions else "several decisions are given."
        raise ConfigurationError("settle", problem, "Give one of --billed, --not-billed, --never and --carry.")
    stop = stop_on_signals()
    result = run_settle(ids, decisions[0], push_options(given), send=send, reason=reason, stop=stop)
    return reporter.show(result.to_json(), show_settled, result.exit_code, result.errors)


@push_app.command("events", epilog=examples("automatum push events events.jsonl"))
@runs(*PLACE, *END)
def push_events(reporter: Reporter, events: Events, **given: Any) -> int:
    """Apply metering.* webhook events to the lines of their calls. What cannot be placed stays open, with exit code 65.

    Events must come from a webhook whose signature was checked: a forged event makes usage count as billed. With the
    setting webhook_secret, each event is checked here, too.
    """
    from ..metering.run import run_events

    figures = run_events(events, push_options(given))
    return reporter.show(figures, show_figures, EXIT_INCOMPLETE if figures["unresolved"] else EXIT_COMPLETE)


@push_app.command(
    "statement",
    epilog=examples(
        "automatum push statement --month 2026-11",
        "automatum push statement --month 2026-11 --vendor aws --compare daily_usage.csv",
    ),
)
@runs(*PLACE, *END)
def push_statement(
    reporter: Reporter,
    month: Month,
    compare: Report = None,
    column: Columns = None,
    vendor: Vendor = None,
    **given: Any,
) -> int:
    """Show what was measured in a month, and what became of it, by customer, listing and dimension. Sends nothing.

    The columns add up to the ledger to the last digit. The synced customers name the accounts of a report.
    """
    from ..metering.statement import month_bounds, read_accounts, read_statement
    from ..warehouse.dataset import use_stored_owner

    month_bounds(month)
    columns = read_pairs(column or [], "--column", "units=Quantity")
    target = target_of(given)
    with open_ledger(given) as (settings, ledger):
        accounts: dict[str, str] = {}
        if compare and not target.missing:
            pipeline = open_existing(target, LOCK_WAIT)
            use_stored_owner(pipeline, settings)
            accounts = read_accounts(pipeline, settings.owner)
        found = read_statement(ledger, month, compare, columns, vendor, accounts)
    differs = found.compared and found.compared["differences"]
    return reporter.show(found.to_json(), show_statement, EXIT_INCOMPLETE if differs else EXIT_COMPLETE)


@push_app.command("export", epilog=examples("automatum push export", "automatum push export --destination postgres"))
@runs(*PLACE, *END)
def push_export(reporter: Reporter, **given: Any) -> int:
    """Load the ledger to the destination: metering_lines, metering_attempts and metering_journal, and views of them."""
    from ..metering.export import export_ledger
    from ..warehouse.dataset import check_organization_kind, use_stored_owner
    from ..warehouse.target import exclusive_pipeline, label_pipeline, name_pipeline, open_pipeline

    target, clock = target_of(given), SystemClock()
    prepare_for_rows(target)
    budget, label = Budget(clock), label_pipeline(given["organization"])
    # A separate working folder and staging dataset: what a killed sync has left stays for the next sync.
    apart = f"{label}__ledger"
    place = target.open(apart)
    name, apart_name = (name_pipeline(one, place, target.dataset, target.file) for one in (label, apart))
    with (
        open_ledger(given) as (settings, ledger),
        target.exclusive_writer("automatum push export", clock, budget, LOCK_WAIT),
        exclusive_pipeline(name, None, clock, budget, LOCK_WAIT),
    ):
        pipeline = open_pipeline(place, target.dataset, name=apart_name)
        check_organization_kind(pipeline, bool(settings.organization))
        use_stored_owner(pipeline, settings)
        loaded = export_ledger(ledger, pipeline, settings.owner)
    return reporter.show(loaded, lambda rows: show_counts("table", "rows", rows))


push_app.add_typer(ledger_app, name="ledger")
