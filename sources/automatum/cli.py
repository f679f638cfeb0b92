"""The command line: arguments in, a table or one JSON object out."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__, display
from .check import check as check_connection
from .command import (
    DEFAULT_DATABASE,
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    MaxWait,
    NoWait,
    PipelinesDir,
    guarded,
    longest_wait,
    open_connection,
    open_destination,
    open_existing,
    say,
    stop_on_signals,
)
from .connection import Connection
from .discover import describe
from .errors import ConfigurationError
from .metering.ledger import Ledger
from .metering_export import export_ledger
from .overrides import resolve_endpoints
from .plan import plan as plan_sync
from .plan import read_duration
from .push import default_ledger_url
from .push_commands import push_app
from .settings import resolve_settings
from .source import select_rows
from .status import status as read_status
from .sync import open_pipeline
from .sync import sync as run_sync
from .verify import verify as verify_destination

if TYPE_CHECKING:
    from .demo import Demo

app = typer.Typer(
    name="automatum",
    help="Sync Automatum's customers, entitlements, private offers and analytics to DuckDB or a warehouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(push_app, name="push")


@app.command()
def sync(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE]...",
            help="customers, entitlements, private_offers, analytics. Default: all that the scopes allow.",
        ),
    ] = None,
    destination: DestinationName = "duckdb",
    dataset: Dataset = "automatum",
    database: Database = DEFAULT_DATABASE,
    max_requests: Annotated[int | None, typer.Option(min=1, help="End cleanly after so many API requests.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0.0, help="End cleanly after so many minutes.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Read the reports from this day on (a backfill).")
    ] = None,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Believe the API when a large share of the rows is gone.")
    ] = False,
    metering: Annotated[
        bool, typer.Option("--metering", help="Load what was pushed, too: metering_lines, metering_attempts.")
    ] = False,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    pipelines_dir: PipelinesDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the destination up to date.

    Exit codes: 0 complete, 65 incomplete, 69 API or destination unreachable, 75 more to do (run again),
    77 credentials or scope, 78 configuration.
    """

    def work() -> int:
        stop = stop_on_signals()
        connection = open_connection(stop, max_requests, max_minutes, longest_wait(no_wait, max_wait))
        pipeline = open_pipeline(open_destination(destination, dataset, database), dataset, pipelines_dir)
        selection = select_rows(connection.settings).backfill(since.date() if since else None, allow_deletes)
        with display.Progress(connection) as progress:
            summary = run_sync(connection, pipeline, tuple(tables or ()), selection=selection, on_page=progress.on_page)
        pushed = _export(connection, pipeline) if metering else {}
        figures = {**summary.as_json(), **({"metering": pushed} if metering else {})}
        say(figures, as_json, lambda: display.show_summary(summary))
        for error in summary.errors:
            display.show_error(error)
        return summary.exit_code

    guarded(work, as_json, debug)


@app.command()
def check(as_json: Json = False, debug: Debug = False) -> None:
    """Check credentials, scopes and limits; at most one request per table."""

    def work() -> int:
        report = check_connection(open_connection(stop_on_signals()))
        say(report.as_json(), as_json, lambda: display.show_check(report))
        for error in report.errors:
            display.show_error(error)
        return report.exit_code

    guarded(work, as_json, debug)


@app.command()
def plan(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Default: what a sync would read.")
    ] = None,
    every: Annotated[str | None, typer.Option(help="Whether a sync can be run so often: 30min, 1h, 1d.")] = None,
    destination: DestinationName = "duckdb",
    dataset: Dataset = "automatum",
    database: Database = DEFAULT_DATABASE,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As for sync: reports from this day on.")
    ] = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a sync will ask for, and how long the quota makes it take; spends one request per table."""

    def work() -> int:
        seconds = None if every is None else read_duration(every, "--every")
        connection = open_connection(stop_on_signals(), max_wait=longest_wait(no_wait, max_wait))
        loaded = destination != "duckdb" or database.is_file()
        pipeline = open_existing(destination, dataset, database) if loaded else None
        selection = select_rows(connection.settings).backfill(since.date() if since else None, False)
        found = plan_sync(connection, pipeline, tuple(tables or ()), every=seconds, selection=selection)
        say(found.as_json(), as_json, lambda: display.show_plan(found))
        return 0

    guarded(work, as_json, debug)


@app.command()
def discover(as_json: Json = False, debug: Debug = False) -> None:
    """List tables, columns, types, keys and scopes, and whether they are documented or assumed; sends no request."""

    def work() -> int:
        endpoints = resolve_endpoints(resolve_settings(with_credentials=False))
        described = describe(endpoints)
        say(described, as_json, lambda: display.show_discovery(described))
        return 0

    guarded(work, as_json, debug)


@app.command()
def status(
    destination: DestinationName = "duckdb",
    dataset: Dataset = "automatum",
    database: Database = DEFAULT_DATABASE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the last sweep of each table: verdict, age and cost; sends no request."""

    def work() -> int:
        figures = read_status(open_existing(destination, dataset, database), time.time())
        say(figures, as_json, lambda: display.show_status(figures))
        return 0

    guarded(work, as_json, debug)


@app.command()
def verify(
    destination: DestinationName = "duckdb",
    dataset: Dataset = "automatum",
    database: Database = DEFAULT_DATABASE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the destination: one row a key, no orphans, a history without gaps and overlaps; sends no request."""

    def work() -> int:
        endpoints = resolve_endpoints(resolve_settings(with_credentials=False))
        found = verify_destination(open_existing(destination, dataset, database), endpoints)
        say(found.as_json(), as_json, lambda: display.show_verification(found))
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
            display.show_sandbox(served.base_url, served.client_id, served.client_secret)
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
        say(shown.as_json(), as_json, lambda: display.show_demo(shown))
        return shown.exit_code

    guarded(work, as_json, debug)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _export(connection: Connection, pipeline: Any) -> dict[str, int]:
    with Ledger.open(default_ledger_url(connection.settings), connection.clock, create=False) as ledger:
        return export_ledger(ledger, pipeline) if ledger.exists else {}


def _sandbox_room() -> Any:
    try:
        from . import demo as room
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "extra sandbox",
            f"{error.name} is not installed.",
            "pip install 'dlt-source-automatum[sandbox]'",
        ) from None
    return room
