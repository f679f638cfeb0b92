"""`automatum push` and what belongs to it: status, retry, resolve, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import typer

from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, ConfigurationError
from .commands import CommandApp, examples
from .console import say
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
    prepare_for_rows,
    stop_on_signals,
    target_of,
)
from .push_carry import EXAMPLES as CARRY_EXAMPLES
from .push_carry import push_carry
from .push_decide import push_decisions, push_dismiss, push_resolve, push_retry, push_undo
from .push_options import (
    Allow,
    Confirm,
    GrainName,
    LateOk,
    LedgerUrl,
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
from .push_statement import EXAMPLES as STATEMENT_EXAMPLES
from .push_statement import push_statement
from .push_status import push_status
from .reporter import Reporter

if TYPE_CHECKING:
    from ..metering.model import Grain
    from ..metering.options import PushOptions

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

push_app.add_typer(ledger_app, name="ledger")
push_app.add_typer(plan_app, name="plan")
push_app.command("cancel", epilog=CANCEL_EXAMPLES)(plan_cancel)
push_app.command("carry", epilog=examples(*CARRY_EXAMPLES))(push_carry)
push_app.command("statement", epilog=examples(*STATEMENT_EXAMPLES))(push_statement)


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
    lock_wait: LockWait = LOCK_WAIT,
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
        from ..metering.options import PushOptions

        options = PushOptions(
            organization=organization,
            confirm=confirm,
            target=target_of(destination, dataset, database),
            ledger_url=ledger_url,
            new_ledger=new_ledger,
            mapping=parse_mapping(mapping or []),
            grain=cast("Grain", grain),
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
        return _push(usage, options, reporter)

    reporter = Reporter("push", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)


def _push(usage: str | None, options: PushOptions, reporter: Reporter) -> int:
    from ..metering.run import run_push
    from . import render_push

    if usage is None:
        raise ConfigurationError("--usage", "not given.", "Name a file, a table or view, or 'sql:SELECT ...'.")
    prepare_for_rows(options.target)
    summary = run_push(usage, options, stop=stop_on_signals())
    return reporter.finished(summary, summary.figures(), lambda: render_push.show_push(summary))


push_app.command("status", epilog=examples("automatum push status", "automatum push status --quiet --notify URL"))(
    push_status
)
push_app.command("retry", epilog=examples("automatum push retry", "automatum push retry --confirm"))(push_retry)
push_app.command(
    "resolve",
    epilog=examples(
        "automatum push resolve --events events.jsonl",
        "automatum push resolve --accepted LINE_ID --not-sent LINE_ID",
        "automatum push resolve --written-off customer_id=cust_1,state=expired --reason 'credited by hand'",
    ),
)(push_resolve)
push_app.command(
    "dismiss",
    epilog=examples(
        "automatum push dismiss REFUSAL_ID --reason 'pushed with the right customer'",
        "automatum push dismiss --silent customer_id=cust_1 --reason 'left on 1 November'",
    ),
)(push_dismiss)
push_app.command("undo", epilog=examples("automatum push undo LINE_ID", "automatum push undo --last"))(push_undo)
push_app.command("decisions", epilog=examples("automatum push decisions", "automatum push decisions LINE_ID"))(
    push_decisions
)


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
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Load the ledger to the destination as metering_lines, metering_attempts and metering_events."""

    def work() -> int:
        from ..config.settings import resolve_settings
        from ..metering.export import export_ledger
        from ..warehouse.dataset import check_organization_kind
        from ..warehouse.owners import use_stored_owner
        from ..warehouse.pipeline import label_pipeline, name_pipeline, open_pipeline
        from ..warehouse.target import exclusive_pipeline
        from . import render_push as display

        clock, target = SystemClock(), target_of(destination, dataset, database)
        prepare_for_rows(target)
        budget, label = Budget(clock), label_pipeline(organization)
        # A separate working folder and staging dataset: what a killed sync has left stays for the next sync.
        own = f"{label}__ledger"
        place = target.open(own)
        name, own_name = (name_pipeline(name_label, place, dataset, target.file) for name_label in (label, own))
        with (
            open_ledger(ledger_url, organization) as ledger,
            target.exclusive_writer("automatum push export", clock, budget, lock_wait),
            exclusive_pipeline(name, pipelines_dir, clock, budget, lock_wait),
        ):
            settings = resolve_settings(with_credentials=False, organization=organization)
            pipeline = open_pipeline(place, dataset, pipelines_dir, own_name)
            check_organization_kind(pipeline, bool(settings.organization))
            use_stored_owner(pipeline, settings)
            loaded = export_ledger(ledger, pipeline, settings.owner, settings.table_format)
        say(loaded, as_json, lambda: display.show_export(loaded))
        return EXIT_COMPLETE

    guarded(work, as_json, debug)
