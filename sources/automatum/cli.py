"""The command line: arguments in, a table or one JSON object out."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import orjson
import typer

from . import __version__, display
from .budget import Budget
from .check import check as check_connection
from .clock import SystemClock
from .connection import Connection, connect
from .discover import describe
from .errors import EXIT_SOFTWARE, AutomatumError, ConfigurationError
from .footprint import DUCKDB_MEMORY, one_loader
from .overrides import resolve_endpoints
from .redaction import guard_logging, redact
from .settings import AutomatumSettings, resolve_settings
from .source import select_rows
from .status import status as read_status
from .sync import open_pipeline
from .sync import sync as run_sync
from .verify import verify as verify_destination

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from .demo import Demo

app = typer.Typer(
    name="automatum",
    help="Sync Automatum's customers, entitlements, private offers and analytics to DuckDB or a warehouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
DestinationName = Annotated[
    str, typer.Option(help="Name of a dlt destination; its credentials come from dlt's configuration.")
]
Dataset = Annotated[str, typer.Option(help="Dataset (schema) of the tables.")]
Database = Annotated[Path, typer.Option(help="DuckDB file; for --destination duckdb.")]
PipelinesDir = Annotated[str | None, typer.Option(help="dlt's working folder.")]
DEFAULT_DATABASE = Path("marketplace.duckdb")
Debug = Annotated[bool, typer.Option("--debug", help="Log each request; show tracebacks.")]


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
    pipelines_dir: PipelinesDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the destination up to date.

    Exit codes: 0 complete, 65 incomplete, 69 API or destination unreachable, 75 more to do (run again),
    77 credentials or scope, 78 configuration.
    """

    def work() -> int:
        stop = _stop_on_signals()
        connection = _connect(stop, max_requests, max_minutes)
        pipeline = open_pipeline(_destination(destination, dataset, database), dataset, pipelines_dir)
        selection = select_rows(connection.settings).backfill(since.date() if since else None, allow_deletes)
        with display.Progress(connection) as progress:
            summary = run_sync(connection, pipeline, tuple(tables or ()), selection=selection, on_page=progress.on_page)
        _say(summary.as_json(), as_json, lambda: display.show_summary(summary))
        for error in summary.errors:
            display.show_error(error)
        return summary.exit_code

    _guarded(work, as_json, debug)


@app.command()
def check(as_json: Json = False, debug: Debug = False) -> None:
    """Check credentials, scopes and limits; at most one request per table."""

    def work() -> int:
        report = check_connection(_connect(_stop_on_signals()))
        _say(report.as_json(), as_json, lambda: display.show_check(report))
        for error in report.errors:
            display.show_error(error)
        return report.exit_code

    _guarded(work, as_json, debug)


@app.command()
def discover(as_json: Json = False, debug: Debug = False) -> None:
    """List tables, columns, types, keys and scopes, and whether they are documented or assumed; sends no request."""

    def work() -> int:
        endpoints = resolve_endpoints(resolve_settings(with_credentials=False))
        described = describe(endpoints)
        _say(described, as_json, lambda: display.show_discovery(described))
        return 0

    _guarded(work, as_json, debug)


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
        figures = read_status(_existing(destination, dataset, database), time.time())
        _say(figures, as_json, lambda: display.show_status(figures))
        return 0

    _guarded(work, as_json, debug)


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
        found = verify_destination(_existing(destination, dataset, database), endpoints)
        _say(found.as_json(), as_json, lambda: display.show_verification(found))
        return found.exit_code

    _guarded(work, as_json, debug)


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
        stop = _stop_on_signals()
        with _sandbox_room().serve_sandbox(port, seed, customers, entitlements, private_offers, days) as served:
            display.show_sandbox(served.base_url, served.client_id, served.client_secret)
            stop.wait()
        return 0

    _guarded(work, False, debug)


@app.command()
def demo(
    database: Annotated[Path, typer.Option(help="DuckDB file; replaced.")] = Path("automatum_demo.duckdb"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sync a local stand-in of the API, change it, sync again, ask three questions. Needs the extra `sandbox`."""

    def work() -> int:
        shown: Demo = _sandbox_room().run_demo(database)
        _say(shown.as_json(), as_json, lambda: display.show_demo(shown))
        return shown.exit_code

    _guarded(work, as_json, debug)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _connect(stop: threading.Event, max_requests: int | None = None, max_minutes: float | None = None) -> Connection:
    settings: AutomatumSettings = resolve_settings()
    clock = SystemClock(stop)
    seconds = None if max_minutes is None else max_minutes * 60
    return connect(settings, clock=clock, budget=Budget(clock, max_requests, seconds, stop))


def _existing(destination: str, dataset: str, database: Path) -> SupportsPipeline:
    """A pipeline to ask the destination; a DuckDB file that is not there is not made by asking."""
    if destination == "duckdb" and not database.is_file():
        raise ConfigurationError("--database", f"there is no file {database}.", "Sync first, or name another.")
    return open_pipeline(_destination(destination, dataset, database), dataset, tempfile.mkdtemp(prefix="automatum-"))


def _destination(name: str, dataset: str, database: Path) -> Any:
    import dlt
    from dlt.common.normalizers.naming.snake_case import NamingConvention
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

    if name == "duckdb":
        same = NamingConvention().normalize_identifier
        if same(database.stem).lower() == same(dataset).lower():
            raise ConfigurationError(
                "--dataset",
                f"{dataset!r} has the name of the DuckDB file {database.name}, which DuckDB finds ambiguous.",
                "Name one of them differently.",
            )
        if not database.parent.is_dir():
            raise ConfigurationError("--database", f"there is no folder {database.parent}.", "Create it first.")
        one_loader()
        credentials = DuckDbCredentials(str(database))
        credentials.global_config = {"memory_limit": DUCKDB_MEMORY}
        return dlt.destinations.duckdb(credentials)
    try:
        return dlt.destination(name)
    except Exception as error:  # dlt raises whatever the import of the destination raises
        raise ConfigurationError("--destination", f"{name!r}: {redact(str(error)).splitlines()[0]}") from error


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


def _stop_on_signals() -> threading.Event:
    """Set on the first SIGTERM or SIGINT: the run ends at the next page, loads what it has and exits 75."""
    stop = threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, receive)
    return stop


def _say(figures: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")
    else:
        show()


def _guarded(work: Callable[[], int], as_json: bool, debug: bool) -> NoReturn:
    """Run a command; whatever goes wrong becomes a message and an exit code, and a traceback with --debug alone."""
    guard_logging()
    display.log_to_stderr(debug)
    try:
        code = work()
    except AutomatumError as error:
        if debug:
            logging.getLogger("automatum").exception("%s", type(error).__name__)
        if as_json:
            _say({"verdict": "incomplete", "errors": [error.as_json()]}, True, lambda: None)
        display.show_error(error)
        code = error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        code = 130
    except Exception as error:
        if debug:
            logging.getLogger("automatum").exception("unexpected")
        display.show_fault(error)
        if as_json:
            fault = {"type": type(error).__name__, "message": redact(str(error)), "exit_code": EXIT_SOFTWARE}
            _say({"verdict": "incomplete", "errors": [fault]}, True, lambda: None)
        code = EXIT_SOFTWARE
    raise typer.Exit(code)
