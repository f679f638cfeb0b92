"""The command line: arguments in, a table or one JSON object out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..api.endpoint_overrides import resolve_endpoints
from ..api.session import ApiSession, open_session
from ..config.organizations import configured_organizations, organization_names
from ..config.settings import resolve_settings
from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.errors import ConfigurationError
from ..core.file_lock import WAIT
from ..operations.check import check as check_connection
from ..operations.discover import describe
from ..operations.plan import plan as plan_sync
from ..operations.plan import read_duration
from ..operations.status import status as read_status
from ..operations.verify import verify as verify_destination
from ..sync.engine import Summary
from ..sync.multi_org import SeveralSummary, sync_several
from ..sync.run import sync_one
from ..sync.selection import select_rows
from ..warehouse.dataset import has_organizations, last_sweeps
from ..warehouse.duckdb_file import refresh_copy
from ..warehouse.target import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, Target, check_copy_path
from . import render
from .apps import apps_app
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
from .push import push_app
from .render import say
from .reporter import Reporter

if TYPE_CHECKING:
    from ..operations.demo import Demo

app = typer.Typer(
    name="automatum",
    help="Sync Automatum's customers, entitlements, private offers and analytics to DuckDB or a warehouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(push_app, name="push")
app.add_typer(apps_app, name="apps")


@app.command()
def sync(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE]...",
            help="customers, entitlements, private_offers, analytics. Default: all that the scopes allow.",
        ),
    ] = None,
    organization: Annotated[
        list[str] | None,
        typer.Option(help="One of the configured organizations, by its name. Repeatable. Default: all of them."),
    ] = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="End cleanly after so many API requests (of each organization).")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0.0, help="End cleanly after so many minutes.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Read the reports from this day on (a backfill).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Read the reports up to this day (a backfill).")
    ] = None,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Believe the API when a large share of the rows is gone.")
    ] = False,
    metering: Annotated[
        bool, typer.Option("--metering", help="Load what was pushed, too: metering_lines, metering_attempts.")
    ] = False,
    read_copy: Annotated[
        Path | None, typer.Option(help="DuckDB file to replace by a copy of the database, for notebooks to read.")
    ] = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    lock_wait: LockWait = WAIT,
    pipelines_dir: PipelinesDir = None,
    quiet: Quiet = False,
    notify: Notify = None,
    notify_on: NotifyOn = "change",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the destination up to date.

    Exit codes: 0 complete, 65 incomplete, 69 API or destination unreachable, 75 more to do, or another run is at work
    (run again), 77 credentials or scope, 78 configuration.
    """

    def work() -> int:
        stop = stop_on_signals()
        clock = SystemClock(stop)
        budget = Budget(clock, max_seconds=None if max_minutes is None else max_minutes * 60, stop=stop)
        warehouse = Target(destination, dataset, database)
        copy = None if read_copy is None else check_copy_path(warehouse, read_copy)
        names: Sequence[str] = organization or organization_names()
        patience = longest_wait(no_wait, max_wait)

        def connect(name: str | None) -> ApiSession:
            settings = resolve_settings(organization=name)
            # The minutes are the command's: an organization gets what the ones before it have left.
            left = budget.remaining_seconds()
            return open_session(settings, clock, stop, max_requests, None if left is None else left / 60, patience)

        first = None if names else connect(None)
        with warehouse.exclusive_writer("automatum sync", clock, budget, lock_wait) as free:

            def sync_it(session: ApiSession) -> Summary:
                with render.Progress(session, quiet) as progress:
                    return sync_one(
                        session,
                        warehouse,
                        free,
                        tuple(tables or ()),
                        select_rows(session.settings).backfill(_day(since), allow_deletes, _day(until)),
                        pipelines_dir=pipelines_dir,
                        lock_wait=lock_wait,
                        metering=metering,
                        on_page=progress.on_page,
                    )

            summary: Summary | SeveralSummary
            if first:
                summary = sync_it(first)
            else:
                # Those that a kill, or --max-minutes, has kept from their turn come first.
                last = {} if warehouse.missing else last_sweeps(warehouse.existing(clock, budget, lock_wait))
                ids = {one.name: one.organization_id for one in configured_organizations()}
                order = sorted(names, key=lambda name: last[ids[name]].timestamp() if ids.get(name) in last else 0.0)
                summary = sync_several(order, connect, sync_it, clock=clock, budget=budget, max_wait=patience)
                summary.summaries = {name: summary.summaries[name] for name in names}
            if copy and not warehouse.missing:
                free()
                refresh_copy(database, copy)
        return reporter.finished(summary, summary.as_json(), lambda: render.show_sync(summary))

    reporter = Reporter("sync", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)


@app.command()
def check(organization: OrganizationName = None, as_json: Json = False, debug: Debug = False) -> None:
    """Check credentials, scopes and limits; at most one request per table."""

    def work() -> int:
        stop = stop_on_signals()
        report = check_connection(open_session(resolve_settings(organization=organization), stop=stop))
        say(report.as_json(), as_json, lambda: render.show_check(report))
        for error in report.errors:
            render.show_error(error)
        return report.exit_code

    guarded(work, as_json, debug)


@app.command()
def plan(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Default: what a sync would read.")
    ] = None,
    every: Annotated[str | None, typer.Option(help="Whether a sync can be run so often: 30min, 1h, 1d.")] = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As for sync: reports from this day on.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As for sync: reports up to this day.")
    ] = None,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a sync will ask for, and how long the quota makes it take; spends one request per table."""

    def work() -> int:
        seconds = None if every is None else read_duration(every, "--every")
        settings, stop = resolve_settings(organization=organization), stop_on_signals()
        session = open_session(settings, stop=stop, max_wait=longest_wait(no_wait, max_wait))
        missing = Target(destination, dataset, database).missing
        pipeline = None if missing else open_existing(destination, dataset, database)
        selection = select_rows(settings).backfill(_day(since), False, _day(until))
        found = plan_sync(session, pipeline, tuple(tables or ()), every=seconds, selection=selection)
        say(found.as_json(), as_json, lambda: render.show_plan(found))
        return 0

    guarded(work, as_json, debug)


@app.command()
def discover(as_json: Json = False, debug: Debug = False) -> None:
    """List tables, columns, types, keys and scopes, and whether they are documented or assumed; sends no request."""

    def work() -> int:
        settings = resolve_settings(with_credentials=False)
        endpoints = resolve_endpoints(settings, bool(settings.organizations))
        described = describe(endpoints)
        say(described, as_json, lambda: render.show_discovery(described))
        return 0

    guarded(work, as_json, debug)


@app.command()
def status(
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the last sweep of each table: verdict, age and cost; sends no request."""

    def work() -> int:
        figures = read_status(open_existing(destination, dataset, database), time.time())
        say(figures, as_json, lambda: render.show_status(figures))
        return 0

    guarded(work, as_json, debug)


@app.command()
def verify(
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the destination: one row a key, no orphans, a history without gaps and overlaps; sends no request."""

    def work() -> int:
        pipeline = open_existing(destination, dataset, database)
        settings = resolve_settings(with_credentials=False)
        found = verify_destination(pipeline, resolve_endpoints(settings, bool(has_organizations(pipeline))))
        say(found.as_json(), as_json, lambda: render.show_verification(found))
        return found.exit_code

    guarded(work, as_json, debug)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")] = 8321,
    seed: Annotated[int, typer.Option(help="Seed of the data.")] = 7,
    customers: Annotated[int, typer.Option(min=0)] = 250,
    entitlements: Annotated[int, typer.Option(min=0)] = 410,
    private_offers: Annotated[int, typer.Option(min=0)] = 130,
    days: Annotated[int, typer.Option(min=0, help="Days of analytics.")] = 40,
    debug: Debug = False,
) -> None:
    """Serve a local stand-in for the vendor's API until Ctrl-C. Needs the extra `sandbox`."""

    def work() -> int:
        stop = stop_on_signals()
        with _sandbox_room().serve_sandbox(port, seed, customers, entitlements, private_offers, days) as served:
            render.show_sandbox(served.base_url, served.client_id, served.client_secret)
            stop.wait()
        return 0

    guarded(work, False, debug)


@app.command()
def demo(
    database: Annotated[Path, typer.Option(help="DuckDB file; replaced.")] = Path("automatum_demo.duckdb"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sync a local stand-in of the API, change it, sync again, ask three questions. Needs the extra `sandbox`."""

    def work() -> int:
        shown: Demo = _sandbox_room().run_demo(database)
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


def _sandbox_room() -> Any:
    try:
        from ..operations import demo as room
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "extra sandbox",
            f"{error.name} is not installed.",
            "pip install 'dlt-source-automatum[sandbox]'",
        ) from None
    return room
