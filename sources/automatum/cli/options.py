"""What all commands share: options, what they open, and how they end."""

from __future__ import annotations

import _thread
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.defaults import DUCKDB
from ..core.errors import EXIT_INTERRUPTED, EXIT_SOFTWARE, AutomatumError
from ..core.private_files import private_files
from ..core.process import resume_garbage_collection
from ..core.redaction import redact_logging
from . import console

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..warehouse.target import Target
    from .reporter import Reporter

Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel="Output", help="Print one JSON object on stdout, and nothing else there."),
]
DestinationName = Annotated[
    str,
    typer.Option(
        rich_help_panel="Where the data is",
        help="Name of a dlt destination; its credentials come from dlt's configuration.",
    ),
]
Dataset = Annotated[str, typer.Option(rich_help_panel="Where the data is", help="Dataset (schema) of the tables.")]
Database = Annotated[
    Path, typer.Option(rich_help_panel="Where the data is", help="DuckDB file; for --destination duckdb.")
]
PipelinesDir = Annotated[
    str | None,
    typer.Option(rich_help_panel="Where the data is", help="Folder of dlt's working folders. Default: dlt's own."),
]
OrganizationName = Annotated[
    str | None,
    typer.Option(
        "--organization", rich_help_panel="Where the data is", help="One of the configured organizations, by its name."
    ),
]
LockWait = Annotated[
    float,
    typer.Option(
        min=0.0,
        rich_help_panel="Limits and waits",
        help="Seconds to wait for another run, or for a program that has the DuckDB file open.",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        rich_help_panel="Limits and waits",
        help="Do not wait for the rate limit: exit 75 with the time to run again.",
    ),
]
MaxWait = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel="Limits and waits",
        help="Wait at most this many seconds for the rate limit, else exit 75.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        rich_help_panel="Output",
        help="Print nothing if nothing has changed; else one line, on stderr in trouble. For cron.",
    ),
]
Notify = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        rich_help_panel="Output",
        help="Post the result to this webhook. `ps` shows it to other users: prefer the setting notify_url.",
    ),
]
NotifyOn = Annotated[
    str,
    typer.Option(
        metavar="OCCASION", rich_help_panel="Output", help="When to notify: trouble, change (or trouble), always."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", rich_help_panel="Output", help="Log each request; show tracebacks.")]

# sync
SyncTables = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TABLE",
        help="Table to read: customers, entitlements, private_offers, analytics. Default: all that the scopes allow.",
    ),
]
OrganizationNames = Annotated[
    list[str] | None,
    typer.Option(
        "--organization",
        rich_help_panel="Where the data is",
        help="One of the configured organizations, by its name. Repeatable. Default: all of them.",
    ),
]
MaxRequests = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel="Limits and waits",
        help="End cleanly after this many API requests (of each organization).",
    ),
]
MaxMinutes = Annotated[
    float | None, typer.Option(min=0.0, rich_help_panel="Limits and waits", help="End cleanly after this many minutes.")
]
Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Read the reports from this day on (a backfill).")
]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Read the reports up to this day (a backfill).")
]
AllowDeletes = Annotated[
    bool,
    typer.Option("--allow-deletes", help="Mark rows as deleted even if a large share of them is missing from the API."),
]
Metering = Annotated[
    bool, typer.Option("--metering", help="Load the metering ledger, too: metering_lines and two more tables.")
]
ReadCopy = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Where the data is",
        help="DuckDB file to replace by a copy of the database, for notebooks to read.",
    ),
]

# plan
PlanTables = Annotated[
    list[str] | None, typer.Argument(metavar="TABLE", help="Table to forecast. Default: what a sync would read.")
]
Every = Annotated[
    str | None, typer.Option(help="Say whether a sync can run at this interval, such as 30min, 1h or 1d.")
]
PlanSince = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As for sync: reports from this day on.")
]
PlanUntil = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As for sync: reports up to this day.")]

# sandbox and demo
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")]
Seed = Annotated[int, typer.Option(help="Seed of the data.")]
Rows = Annotated[int, typer.Option(min=0, help="Number of rows.")]
Days = Annotated[int, typer.Option(min=0, help="Days of analytics.")]
Traps = Annotated[
    bool,
    typer.Option("--traps", help="Rows that break naive readers: odd amounts, nulls, unknown values, many scripts."),
]
Latency = Annotated[float, typer.Option(min=0, help="Seconds before each response.")]
SandboxLimit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="COUNT/minute|COUNT/hour|none",
        help="Rate limit of the application. Repeatable. Default: the vendor's, 50/minute and 1000/hour.",
    ),
]
UsageSample = Annotated[
    Path | None, typer.Option(help="CSV file to write: usage of the last closed hour, for `automatum push`.")
]
DemoDatabase = Annotated[Path, typer.Option(help="DuckDB file to write. An existing file is replaced.")]


def longest_wait(no_wait: bool, max_wait: float | None) -> float | None:
    """Seconds that a run may wait for quota; None for as long as it takes."""
    from ..api.rate_limit import NO_WAIT

    return NO_WAIT if no_wait else max_wait


def target_of(destination: str, dataset: str, database: Path) -> Target:
    """The destination of the options `--destination`, `--dataset` and `--database`."""
    from ..warehouse.target import Target

    return Target(destination, dataset, database)


def open_existing(target: Target, lock_wait: float, stop: threading.Event | None = None) -> SupportsPipeline:
    """A pipeline for queries on the destination; see `Target.existing`.

    Args:
        target: The destination.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.
        stop: Ends the wait; None for a command that a signal interrupts at once.

    Raises:
        ConfigurationError: The file does not exist.
    """
    clock = SystemClock(stop)
    return target.existing(clock, Budget(clock, stop=stop), lock_wait)


def prepare_for_rows(target: Target) -> None:
    """Keep packages out of this process that Arrow and dlt would import although no command uses them."""
    from ..core.process import arrow_without_pandas
    from ..warehouse.dlt_internals import print_paths_without_sqlalchemy

    arrow_without_pandas()
    if target.destination == DUCKDB:
        print_paths_without_sqlalchemy()


@contextlib.contextmanager
def read_existing(target: Target, lock_wait: float) -> Iterator[SupportsPipeline]:
    """A pipeline for queries on a dataset that exists, all by one connection.

    Args:
        target: The destination.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.

    Raises:
        ConfigurationError: The file or the dataset does not exist.
        DestinationError: The destination cannot be reached.
    """
    from ..warehouse.dataset import check_dataset
    from ..warehouse.sql_client import one_client

    pipeline = open_existing(target, lock_wait)
    with one_client(pipeline):
        check_dataset(pipeline)
        yield pipeline


def stop_on_signals(announce: bool = True) -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets: the run ends at the next page, loads its rows and exits 75.

    Use it only where something looks at the event. The second signal interrupts at once.

    Args:
        announce: Say so in a terminal, where somebody has pressed Ctrl-C.
    """
    stop = threading.Event()
    received = False

    def end() -> None:
        stop.set()
        if announce and console.err.is_terminal:
            console.say_line("Ending cleanly, and keeping what was done. Ctrl-C again ends at once.", trouble=True)

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            raise KeyboardInterrupt
        received = True
        # The signal may have interrupted `stop.wait()` in this thread while it had the lock of the event. To set the
        # event here would then wait for that lock forever.
        _thread.start_new_thread(end, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, receive)
    return stop


def guarded(work: Callable[[], int], as_json: bool, debug: bool, reporter: Reporter | None = None) -> NoReturn:
    """Run a command; turn errors into a message and an exit code, and into a traceback with --debug.

    Args:
        work: The command; returns the exit code.
        as_json: Print one JSON object on stdout, errors included.
        debug: Log each request; show tracebacks.
        reporter: Reports the result; None for one that only prints errors.
    """
    from .reporter import Reporter

    reporter = reporter or Reporter("", as_json)
    redact_logging()
    console.log_to_stderr(debug, quiet=reporter.quiet)
    try:
        from ..config.settings import check_configuration

        resume_garbage_collection()  # dlt is imported now, by the settings.
        reporter.open()
        check_configuration()
        with private_files():
            code = work()
    except AutomatumError as error:
        if debug:
            logging.getLogger("automatum").exception("%s", type(error).__name__)
        reporter.failed(error)
        code = error.exit_code
    except KeyboardInterrupt:
        reporter.interrupted()
        code = EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            logging.getLogger("automatum").exception("unexpected")
        reporter.broke(error)
        code = EXIT_SOFTWARE
    reporter.notify()
    raise typer.Exit(code)
