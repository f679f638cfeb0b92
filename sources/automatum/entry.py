"""The ways in for schedulers and notebooks: a whole sync, or a whole push, in one call.

    import automatum

    summary = automatum.run_sync()
    summary = automatum.run_push("usage_by_hour")       # dry; confirm=True sends

They do what `automatum sync` and `automatum push` do, locks included, and return the summary in place of an exit code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .budget import Budget
from .clock import Clock, SystemClock
from .connection import Connection, connect
from .errors import ConfigurationError
from .ledger_place import choose_ledger, default_ledger_url
from .locks import WAIT
from .metering.entitled import read_entitled
from .metering.ledger import Ledger
from .metering.lines import Grain
from .metering.usage import read_usage
from .metering_export import export_ledger
from .push import PushSummary, push
from .read_copy import refresh
from .reading import TableRun
from .selection import Selection
from .settings import AutomatumSettings, resolve_settings
from .source import select_rows
from .sync import PIPELINE, Summary, open_pipeline, sync
from .warehouse import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, Warehouse, alone

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def run_sync(
    tables: Sequence[str] = (),
    *,
    organization: str | None = None,
    destination: str = DUCKDB,
    dataset: str = DEFAULT_DATASET,
    database: str | Path = DEFAULT_DATABASE,
    pipelines_dir: str | None = None,
    pipeline_name: str | None = None,
    since: date | None = None,
    until: date | None = None,
    allow_deletes: bool = False,
    max_requests: int | None = None,
    max_minutes: float | None = None,
    max_wait: float | None = None,
    lock_wait: float = WAIT,
    read_copy: str | Path | None = None,
    metering: bool = False,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    on_page: Callable[[TableRun], None] | None = None,
) -> Summary:
    """Bring the destination up to date.

    Args:
        tables: Tables or groups; empty for the configured ones, or else for all that the scopes allow.
        organization: Name of a configured organization; None where there is but one.
        destination: Name of a dlt destination; its credentials come from dlt's configuration.
        dataset: Dataset (schema) of the tables.
        database: DuckDB file, for the destination `duckdb`.
        pipelines_dir: dlt's working folder; None for its default.
        pipeline_name: Name of the dlt pipeline; None for `automatum`, or `automatum_<organization>`. Runs of different
            names may load into one dataset at the same time, if they load different tables or organizations.
        since: Read the reports from this day on; None for where the last sync ended.
        until: Read the reports up to this day; None for today. A sync that ends earlier is a backfill.
        allow_deletes: Believe the API when a large share of the rows is gone.
        max_requests: End cleanly after so many API requests.
        max_minutes: End cleanly after so many minutes.
        max_wait: Seconds to wait for quota before ending cleanly; None for as long as it takes.
        lock_wait: Seconds to wait for another run, or for a program that has the DuckDB file open.
        read_copy: DuckDB file that is replaced by a copy of the database as the sync leaves it.
        metering: Load the ledger of what was pushed, too.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's.
        stop: Set to end the run at the next page; what was read is loaded.
        on_page: Called after each page, with the run it belongs to.

    Returns:
        What was done: `verdict`, `exit_code`, `resume_at`, `errors`, `as_json()`. Errors of single tables are in it.

    Raises:
        AutomatumError: What ended it before it began: `exit_code` and `next_step` say more. A `Busy` has found another
            run, or a notebook, at work on the same pipeline or file.
    """
    settings = settings or resolve_settings(organization=organization)
    connection = open_connection(settings, clock, stop, max_requests, max_minutes, max_wait)
    warehouse = Warehouse(destination, dataset, Path(database))
    copy = None if read_copy is None else checked_copy(warehouse, Path(read_copy))
    selection = select_rows(settings).backfill(since, allow_deletes, until)
    with warehouse.written_by("automatum sync", connection.clock, connection.budget, lock_wait) as free:
        summary = sync_one(
            connection,
            warehouse,
            free,
            tables,
            selection,
            pipelines_dir=pipelines_dir,
            pipeline_name=pipeline_name,
            lock_wait=lock_wait,
            metering=metering,
            on_page=on_page,
        )
        if copy:
            free()
            refresh(warehouse.database, copy)
    return summary


def sync_one(
    connection: Connection,
    warehouse: Warehouse,
    free: Callable[[], None],
    tables: Sequence[str],
    selection: Selection,
    *,
    pipelines_dir: str | None = None,
    pipeline_name: str | None = None,
    lock_wait: float = WAIT,
    metering: bool = False,
    on_page: Callable[[TableRun], None] | None = None,
) -> Summary:
    """Sync one organization into a warehouse that nobody else writes to; see `run_sync`.

    Raises:
        AutomatumError: As in `run_sync`.
    """
    name = pipeline_name or name_pipeline(connection.settings.organization)
    with alone(name, pipelines_dir, connection.clock, connection.budget, lock_wait):
        pipeline = open_pipeline(warehouse.open(name), warehouse.dataset, pipelines_dir, name)
        summary = sync(connection, pipeline, tuple(tables), selection=selection, on_page=on_page, free=free)
        if metering:
            free()
            summary.metering = export(connection, pipeline)
        return summary


def run_push(
    usage: Any,
    *,
    organization: str | None = None,
    confirm: bool = False,
    grain: Grain = "hour",
    destination: str = DUCKDB,
    dataset: str = DEFAULT_DATASET,
    database: str | Path = DEFAULT_DATABASE,
    ledger_url: str | None = None,
    mapping: Mapping[str, str] | None = None,
    late_ok: bool = False,
    unchecked: bool = False,
    max_minutes: float | None = None,
    max_wait: float | None = None,
    lock_wait: float = WAIT,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PushSummary:
    """Report usage to the marketplaces, each line once; dry unless it is confirmed.

    Args:
        usage: A `.csv` or `.parquet` file, the name of a table or view of the destination, `sql:SELECT ...`, an Arrow
            table, a pandas frame, or an iterable of dicts.
        organization: Name of a configured organization; None where there is but one.
        confirm: Send. Without it nothing is sent and nothing written.
        grain: Sum by the `hour` or by the `day`.
        destination: Name of a dlt destination, for tables, views and SQL, and for what the usage is checked against.
        dataset: Dataset (schema) of the tables.
        database: DuckDB file, for the destination `duckdb`.
        ledger_url: Where it is kept what was sent; None for what the settings say.
        mapping: Our name of a column to the name in the usage.
        late_ok: Send what is past the strictest known limit, too.
        unchecked: Do not check against the synced customers and entitlements.
        max_minutes: End cleanly after so many minutes.
        max_wait: Seconds to wait for quota before ending cleanly; None for as long as it takes.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's.
        stop: Set to end the run before the next body.

    Returns:
        What was done, or would be: `verdict`, `exit_code`, `lines`, `charged`, `as_json()`.

    Raises:
        AutomatumError: What ended it before it began.
    """
    if grain not in ("hour", "day"):
        raise ConfigurationError("--grain", f"{grain!r} is neither hour nor day.")
    settings = settings or resolve_settings(with_credentials=confirm, organization=organization)
    ledger = choose_ledger(settings, ledger_url)
    if confirm:
        connection: Connection | None = open_connection(settings, clock, stop, None, max_minutes, max_wait)
    else:
        connection = None
    clock = connection.clock if connection else clock or SystemClock(stop)
    warehouse = Warehouse(destination, dataset, Path(database))
    pipeline: SupportsPipeline | None = None
    if not warehouse.missing:
        budget = connection.budget if connection else Budget(clock, stop=stop)
        pipeline = warehouse.existing(clock, budget, lock_wait)
    return push(
        connection,
        read_usage(usage, pipeline=pipeline, mapping=mapping),
        ledger,
        clock,
        grain=grain,
        late_ok=late_ok,
        entitled=None if unchecked or pipeline is None else read_entitled(pipeline, settings.owner),
    )


def open_connection(
    settings: AutomatumSettings,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    max_requests: int | None = None,
    max_minutes: float | None = None,
    max_wait: float | None = None,
) -> Connection:
    """The API, with the run's bounds; no request is sent.

    Raises:
        ConfigurationError: A setting makes no sense.
    """
    clock = clock or SystemClock(stop)
    seconds = None if max_minutes is None else max_minutes * 60
    return connect(settings, clock=clock, budget=Budget(clock, max_requests, seconds, stop), max_wait=max_wait)


def name_pipeline(organization: str | None) -> str:
    """Name of the dlt pipeline of an organization."""
    return PIPELINE if organization is None else f"{PIPELINE}_{organization}"


def checked_copy(warehouse: Warehouse, copy: Path) -> Path:
    """Where a read copy goes.

    Raises:
        ConfigurationError: There can be none, or not there.
    """
    if warehouse.file is None:
        raise ConfigurationError("--read-copy", "is for DuckDB files alone.", "Other destinations have readers anyway.")
    if copy.resolve() == warehouse.file:
        raise ConfigurationError("--read-copy", "is the database itself.", "Name another file.")
    if not copy.parent.is_dir():
        raise ConfigurationError("--read-copy", f"there is no folder {copy.parent}.", "Create it first.")
    return copy


def export(connection: Connection, pipeline: SupportsPipeline) -> dict[str, int]:
    """Load the ledger of what was pushed, if there is one; returns table to number of rows."""
    with Ledger.open(default_ledger_url(connection.settings), connection.clock, create=False) as ledger:
        settings = connection.settings
        return export_ledger(ledger, pipeline, settings.owner, settings.table_format) if ledger.exists else {}
