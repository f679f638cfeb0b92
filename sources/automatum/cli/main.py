"""The command line: arguments in, a table or one JSON object out."""

from __future__ import annotations

import logging
import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..core.clock import SystemClock
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_INCOMPLETE, ConfigurationError
from ..core.extras import install_command, is_installed
from .apps import apps_app
from .check import add_check, add_discover
from .commands import EXIT_CODES, LOOK, PUSH, SET_UP, SYNC, TRY, CommandApp, Commands, examples, lines
from .console import say
from .options import (
    AllowDeletes,
    Database,
    Dataset,
    Days,
    Debug,
    DemoDatabase,
    DestinationName,
    Every,
    Json,
    Latency,
    LockWait,
    MaxMinutes,
    MaxRequests,
    MaxWait,
    Metering,
    Notify,
    NotifyOn,
    NoWait,
    OrganizationName,
    OrganizationNames,
    PipelinesDir,
    PlanSince,
    PlanTables,
    PlanUntil,
    Port,
    Quiet,
    ReadCopy,
    Rows,
    SandboxLimit,
    Seed,
    Since,
    SyncTables,
    Traps,
    Until,
    UsageSample,
    guarded,
    longest_wait,
    open_existing,
    prepare_for_rows,
    read_existing,
    stop_on_signals,
)
from .push import push_app
from .reporter import Reporter

if TYPE_CHECKING:
    from ..operations.demo import Demo

logger = logging.getLogger("automatum")

app = CommandApp(
    name="automatum",
    cls=Commands,
    help="Sync Automatum's customers, entitlements, private offers and analytics to DuckDB or a warehouse, and push "
    "usage to the marketplaces.",
    epilog=lines(
        "First steps: automatum demo needs no account. With credentials: automatum check, automatum sync, automatum "
        "status.",
        EXIT_CODES,
    ),
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(push_app, name="push", rich_help_panel=PUSH)
app.add_typer(apps_app, name="apps", rich_help_panel=SET_UP)


@app.command(
    rich_help_panel=SYNC,
    epilog=examples(
        "automatum sync",
        "automatum sync customers entitlements",
        "automatum sync --destination postgres",
        "automatum sync analytics --since 2026-01-01 --until 2026-03-31",
        "automatum sync --quiet --max-minutes 50    (from cron)",
    ),
)
def sync(
    tables: SyncTables = None,
    organization: OrganizationNames = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    max_requests: MaxRequests = None,
    max_minutes: MaxMinutes = None,
    since: Since = None,
    until: Until = None,
    allow_deletes: AllowDeletes = False,
    metering: Metering = False,
    read_copy: ReadCopy = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = LOCK_WAIT,
    pipelines_dir: PipelinesDir = None,
    quiet: Quiet = False,
    notify: Notify = None,
    notify_on: NotifyOn = "change",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the destination up to date."""

    def work() -> int:
        from ..sync.options import SyncOptions
        from ..sync.run import run_sync
        from ..warehouse.target import Target
        from . import render
        from .progress import Progress

        options = SyncOptions(
            tables=tuple(tables or ()),
            organizations=tuple(organization or ()),
            target=Target(destination, dataset, database),
            pipelines_dir=pipelines_dir,
            since=_day(since),
            until=_day(until),
            allow_deletes=allow_deletes,
            max_requests=max_requests,
            max_minutes=max_minutes,
            max_wait=longest_wait(no_wait, max_wait),
            lock_wait=lock_wait,
            read_copy=read_copy,
            metering=metering,
        )
        prepare_for_rows(options.target)
        with Progress(quiet) as progress:
            summary = run_sync(options, stop=stop_on_signals(), on_page=progress.on_page)
        figures = {**summary.as_json(), "target": render.describe_target(options.target)}
        return reporter.finished(summary, figures, lambda: render.show_sync(summary, options.target))

    reporter = Reporter("sync", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)


add_check(app)


@app.command(
    rich_help_panel=SYNC,
    epilog=examples(
        "automatum plan",
        "automatum plan customers --every 15min",
    ),
)
def plan(
    tables: PlanTables = None,
    every: Every = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    since: PlanSince = None,
    until: PlanUntil = None,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Forecast the requests of a sync, and how long the rate limits make it take; sends one request per table."""

    def work() -> int:
        from ..api.session import connect
        from ..config.settings import resolve_settings
        from ..operations.plan import plan as plan_sync
        from ..operations.plan import read_duration
        from ..sync.options import SyncOptions
        from ..warehouse.target import Target
        from . import render

        seconds = None if every is None else read_duration(every, "--every")
        settings, stop = resolve_settings(organization=organization), stop_on_signals()
        session = connect(settings, stop=stop, max_wait=longest_wait(no_wait, max_wait))
        target = Target(destination, dataset, database)
        prepare_for_rows(target)
        pipeline = None if target.missing else open_existing(target, lock_wait, stop)
        options = SyncOptions(tables=tuple(tables or ()), since=_day(since), until=_day(until))
        found = plan_sync(session, pipeline, options, every=seconds)
        say(found.as_json(), as_json, lambda: render.show_plan(found))
        return 0

    guarded(work, as_json, debug)


add_discover(app)


@app.command(
    rich_help_panel=LOOK, epilog=examples("automatum status", "automatum status --destination postgres --json")
)
def status(
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the last sweep of each table, and what is unresolved in the ledger of the push; sends no request."""

    def work() -> int:
        from ..operations.metering_status import ledgers_unresolved
        from ..operations.status import status as read_status
        from ..warehouse.target import Target
        from .render_status import show_status

        with read_existing(Target(destination, dataset, database), lock_wait) as pipeline:
            figures = read_status(pipeline, time.time())
        ledgers = ledgers_unresolved(SystemClock())
        figures |= {"ledgers": ledgers}
        say(figures, as_json, lambda: show_status(figures))
        return EXIT_INCOMPLETE if any(one["unresolved"] or one["error"] for one in ledgers) else 0

    guarded(work, as_json, debug)


@app.command(
    rich_help_panel=LOOK,
    epilog=examples(
        "automatum verify",
    ),
)
def verify(
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the destination: one row a key, no row too few, no orphans, a history without gaps; sends no request."""

    def work() -> int:
        from ..api.overrides import resolve_endpoints
        from ..config.settings import resolve_settings
        from ..operations.verify import verify as verify_destination
        from ..warehouse.dataset import has_organizations
        from ..warehouse.target import Target
        from . import render

        with read_existing(Target(destination, dataset, database), lock_wait) as pipeline:
            settings = resolve_settings(with_credentials=False)
            endpoints = resolve_endpoints(settings, bool(has_organizations(pipeline)))
            found = verify_destination(pipeline, endpoints, settings.deletes)
        say(found.as_json(), as_json, lambda: render.show_verification(found))
        return found.exit_code

    guarded(work, as_json, debug)


@app.command(
    rich_help_panel=TRY,
    epilog=examples(
        "automatum sandbox",
        "automatum sandbox --port 0 --customers 5000",
        "automatum sandbox --usage-sample usage.csv",
    ),
)
def sandbox(
    port: Port = 8321,
    seed: Seed = 7,
    customers: Rows = 250,
    entitlements: Rows = 410,
    private_offers: Rows = 130,
    days: Days = 400,
    traps: Traps = False,
    latency: Latency = 0.0,
    limit: SandboxLimit = None,
    usage_sample: UsageSample = None,
    debug: Debug = False,
) -> None:
    """Serve the sandbox, a local server that behaves like the API, until Ctrl-C. Needs the extra `sandbox`."""

    def work() -> int:
        from . import render

        stop = stop_on_signals(announce=False)
        rows = {"customers": customers, "entitlements": entitlements, "private_offers": private_offers, "days": days}
        module = _demo_module()
        with module.serve_sandbox(port, limit or (), seed=seed, traps=traps, latency=latency, **rows) as served:
            if usage_sample:
                module.write_usage(served.sandbox, usage_sample)
            render.show_sandbox(served.base_url, served.client_id, served.client_secret)
            stop.wait()
        return 0

    guarded(work, False, debug)


@app.command(
    rich_help_panel=TRY,
    epilog=examples(
        "automatum demo",
    ),
)
def demo(
    database: DemoDatabase = Path("automatum_demo.duckdb"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sync the sandbox, change it, sync again, and ask four questions. Needs the extra `sandbox`."""

    def work() -> int:
        from . import render

        shown: Demo = _demo_module().run_demo(database)
        say(shown.as_json(), as_json, lambda: render.show_demo(shown))
        return shown.exit_code

    guarded(work, as_json, debug)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _demo_module() -> Any:
    try:
        from ..operations import demo as module
    except ModuleNotFoundError as error:
        if error.name == "automatum_sandbox":
            raise ConfigurationError(
                "sandbox", "`dlt init` copies the source alone.", "Run this command in a checkout of the repository."
            ) from None
        needed = ("duckdb", "starlette", "uvicorn")
        if error.name not in needed:
            raise
        missing = [name for name in needed if not is_installed(name)]
        raise ConfigurationError("sandbox", f"needs the package {error.name}.", install_command(*missing)) from None
    return module
