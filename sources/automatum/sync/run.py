"""The ways in for schedulers and notebooks: a whole sync, or a whole push, in one call.

    import automatum

    summary = automatum.run_sync()
    summary = automatum.run_push("usage_by_hour")       # dry; PushOptions(confirm=True) sends

They do what `automatum sync` and `automatum push` do, locks included, and return the summary in place of an exit code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.session import ApiSession, open_session
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock
from ..core.file_lock import WAIT
from ..metering.export import export
from ..warehouse.duckdb_file import refresh_copy
from ..warehouse.pipeline import name_pipeline, open_pipeline
from ..warehouse.target import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, Target, check_copy_path, exclusive_pipeline
from .engine import Summary, sync
from .selection import Selection, select_rows
from .table_sync import TableSync

if TYPE_CHECKING:
    pass


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
    on_page: Callable[[TableSync], None] | None = None,
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
    session = open_session(settings, clock, stop, max_requests, max_minutes, max_wait)
    warehouse = Target(destination, dataset, Path(database))
    copy = None if read_copy is None else check_copy_path(warehouse, Path(read_copy))
    selection = select_rows(settings).backfill(since, allow_deletes, until)
    with warehouse.exclusive_writer("automatum sync", session.clock, session.budget, lock_wait) as free:
        summary = sync_one(
            session,
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
            refresh_copy(warehouse.database, copy)
    return summary


def sync_one(
    session: ApiSession,
    warehouse: Target,
    free: Callable[[], None],
    tables: Sequence[str],
    selection: Selection,
    *,
    pipelines_dir: str | None = None,
    pipeline_name: str | None = None,
    lock_wait: float = WAIT,
    metering: bool = False,
    on_page: Callable[[TableSync], None] | None = None,
) -> Summary:
    """Sync one organization into a warehouse that nobody else writes to; see `run_sync`.

    Raises:
        AutomatumError: As in `run_sync`.
    """
    name = pipeline_name or name_pipeline(session.settings.organization)
    with exclusive_pipeline(name, pipelines_dir, session.clock, session.budget, lock_wait):
        pipeline = open_pipeline(warehouse.open(name), warehouse.dataset, pipelines_dir, name)
        summary = sync(session, pipeline, tuple(tables), selection=selection, on_page=on_page, free=free)
        if metering:
            free()
            summary.metering = export(session, pipeline)
        return summary
