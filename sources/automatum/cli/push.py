"""`automatum push` and what belongs to it: status, settle, events, statement, export, ledger."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from .commands import CommandApp, examples
from .console import say
from .declared import END, OWN, PLACE, REPORT, WAITS, declared, push_options
from .ledger import ledger_app, open_ledger
from .options import guarded, prepare_for_rows, stop_on_signals, target_of
from .push_settle import push_settle
from .push_statement import push_statement
from .reporter import Reporter

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


@push_app.callback()
@declared(*OWN, *PLACE, *WAITS, *REPORT, *END)
def push_usage(context: typer.Context, usage: Usage = None, **given: Any) -> None:
    """Report usage to the marketplaces, each line once. Dry unless --confirm is given."""
    if context.invoked_subcommand:
        return

    def work() -> int:
        from ..metering.run import run_push
        from .render_push import show_push

        options = push_options(given)
        if usage is None:
            raise ConfigurationError("--usage", "not given.", "Name a file, a table or view, or 'sql:SELECT ...'.")
        prepare_for_rows(options.target)
        result = run_push(usage, options, stop=stop_on_signals())
        figures = result.figures()
        return reporter.finished(result, figures, lambda: show_push(figures))

    reporter = Reporter("push", given)
    guarded(work, given["as_json"], given["debug"], reporter)


@push_app.command("status", epilog=examples("automatum push status", "automatum push status --quiet --notify URL"))
@declared("ledger_url", *REPORT, *END)
def push_status(**given: Any) -> None:
    """Show each open item with its money and the command that closes it, and the lines by state. Sends nothing."""

    def work() -> int:
        from ..config.settings import resolve_settings
        from ..metering.status import status_of
        from .render_push import show_status

        settings = resolve_settings(with_credentials=False, organization=given["organization"])
        status = status_of(settings, SystemClock(), given["ledger_url"])
        figures = status.to_json()
        return reporter.finished(status, figures, lambda: show_status(figures))

    reporter = Reporter("push status", given)
    guarded(work, given["as_json"], given["debug"], reporter)


push_app.command(
    "settle",
    epilog=examples(
        "automatum push settle LINE_ID --billed",
        "automatum push settle LINE_ID --not-billed --send --confirm",
        "automatum push settle LINE_ID --never --reason 'credited by hand' --confirm",
        "automatum push settle LINE_ID --carry --confirm",
    ),
)(push_settle)


@push_app.command("events", epilog=examples("automatum push events events.jsonl"))
@declared("ledger_url", *PLACE, "lock_wait", *END)
def push_events(events: Events, **given: Any) -> None:
    """Apply metering.* webhook events to the lines of their calls. What cannot be placed stays open, with exit code 65.

    Events must come from a webhook whose signature was checked: a forged event makes usage count as billed. With the
    setting webhook_secret, each event is checked here, too.
    """

    def work() -> int:
        from ..metering.run import run_events
        from .render_push import show_figures

        figures = run_events(events, push_options(given))
        say(figures, given["as_json"], lambda: show_figures(figures))
        return EXIT_INCOMPLETE if figures["unresolved"] else EXIT_COMPLETE

    guarded(work, given["as_json"], given["debug"])


push_app.command(
    "statement",
    epilog=examples(
        "automatum push statement --month 2026-11",
        "automatum push statement --month 2026-11 --csv > 2026-11.csv",
        "automatum push statement --month 2026-11 --vendor aws --compare daily_usage.csv",
    ),
)(push_statement)


@push_app.command("export", epilog=examples("automatum push export", "automatum push export --destination postgres"))
@declared("ledger_url", *PLACE, "pipelines_dir", "lock_wait", *END)
def push_export(**given: Any) -> None:
    """Load the ledger to the destination: metering_lines, metering_attempts and metering_journal, and views of them."""

    def work() -> int:
        from ..metering.export import export_ledger
        from ..warehouse.dataset import check_organization_kind
        from ..warehouse.owners import use_stored_owner
        from ..warehouse.pipeline import label_pipeline, name_pipeline, open_pipeline
        from ..warehouse.target import exclusive_pipeline
        from .render_push import show_counts

        dataset, folder, lock_wait = given["dataset"], given["pipelines_dir"], given["lock_wait"]
        clock, target = SystemClock(), target_of(given["destination"], dataset, given["database"])
        prepare_for_rows(target)
        budget, label = Budget(clock), label_pipeline(given["organization"])
        # A separate working folder and staging dataset: what a killed sync has left stays for the next sync.
        apart = f"{label}__ledger"
        place = target.open(apart)
        name, apart_name = (name_pipeline(one, place, dataset, target.file) for one in (label, apart))
        with (
            open_ledger(given, needed=True) as (settings, ledger),
            target.exclusive_writer("automatum push export", clock, budget, lock_wait),
            exclusive_pipeline(name, folder, clock, budget, lock_wait),
        ):
            pipeline = open_pipeline(place, dataset, folder, apart_name)
            check_organization_kind(pipeline, bool(settings.organization))
            use_stored_owner(pipeline, settings)
            loaded = export_ledger(ledger, pipeline, settings.owner, settings.table_format)
        say(loaded, given["as_json"], lambda: show_counts("table", "rows", loaded))
        return EXIT_COMPLETE

    guarded(work, given["as_json"], given["debug"])


push_app.add_typer(ledger_app, name="ledger")
