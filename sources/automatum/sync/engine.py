"""The sync of one organization: chunk after chunk until every table has a verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext

from dlt.common.pipeline import SupportsPipeline

from ..api.session import ApiSession
from ..core.clock import utc
from ..core.errors import ConfigurationError, PackageRefused, ScopeMissing
from ..endpoints import Endpoint, Kind
from ..warehouse.catalog import update_catalog
from ..warehouse.dataset import check_organization_kind, delete_old_sweeps, delete_page_records
from ..warehouse.dlt_internals import forget_configuration_log
from ..warehouse.duckdb_file import KeepOpen
from ..warehouse.load import ChunkTables, Loader, Tables
from ..warehouse.sql import complete_load_ids
from ..warehouse.sql_client import check_destination, one_client
from .key_check import check_keys
from .list_sync import ListSync
from .options import SyncOptions
from .organization_check import OrganizationCheck
from .report_sync import ReportSync
from .results import Chunk, Verdict
from .resume import SyncSession, resume_session
from .summary import OrganizationSummary
from .table_sync import DEFAULT_OPTIONS, TableSync, tables_to_fill

logger = logging.getLogger("automatum")

TABLE_SYNCS: dict[Kind, type[TableSync]] = {"list": ListSync, "report": ReportSync}
"""What reads a table, by the kind of its endpoint."""

_EARLY_SECONDS = 5.0
_EARLY_ROWS = 100_000
"""Seconds, and rows in memory, after which the other tables are read from the destination when they have their turn."""


def sync(
    session: ApiSession,
    pipeline: SupportsPipeline,
    options: SyncOptions = DEFAULT_OPTIONS,
    *,
    on_page: Callable[[TableSync], None] | None = None,
    keep_open: KeepOpen = nullcontext,
) -> OrganizationSummary:
    """Bring the tables of one organization up to date.

    Args:
        session: The API session.
        pipeline: The dlt pipeline that loads.
        options: Which tables to sync, which days to read of reports, and whether many rows may be deleted.
        on_page: Called after each page, with the table run that read it.
        keep_open: Keeps the destination open during a block; see `Target.exclusive_writer`.

    Returns:
        What was done. Errors of single tables are in it; the other tables are synced nevertheless.

    Raises:
        ConfigurationError: A name is unknown, or the rows of a table were loaded by another key.
        AccessError: The credentials are refused.
        ApiUnreachable: The token endpoint does not answer.
        Busy: Another program has the destination open. The next run loads what was read.
        DestinationError: The destination refuses.
    """
    started, settings = session.clock.monotonic(), session.settings
    forget_configuration_log()
    endpoints = session.select(options.tables)
    options.check_days(utc(session.clock.time()).date())
    check_destination(pipeline)
    missing = session.missing_scopes(endpoints)
    granted = [endpoint for endpoint in endpoints if endpoint.group not in missing]
    loader = Loader(pipeline, session.clock, keep_open)
    with keep_open(), one_client(pipeline):
        check_organization_kind(pipeline, bool(settings.organization))
        check_keys(pipeline, endpoints)
        loader.start([table for endpoint in granted for table in tables_to_fill(endpoint, settings)])
        loaded = complete_load_ids(pipeline)
        organization = OrganizationCheck(session, [one.table for one in granted])
        organization.start(pipeline)
        resumable = _resumable(session, pipeline, [one.table for one in granted], options.days, loaded)

        def begin(endpoint: Endpoint) -> TableSync:
            run = TABLE_SYNCS[endpoint.kind](endpoint, session, options, on_page, resumable, organization)
            try:
                loader.compared.check(run.tables)
            except ConfigurationError as error:
                run.refuse(error)
            return run

        runs, summary = [begin(one) for one in endpoints], OrganizationSummary(pipeline=pipeline.pipeline_name)
        _update_catalog(pipeline, runs)
        _skip_missing(missing, session, runs, summary, named=bool(options.tables or settings.tables))
        _take_over_finished(runs, resumable, options.allow_deletes)
        _read_early(session, pipeline, runs, loaded)
    _load_chunks(session, loader, pipeline, runs, begin)
    _conclude(session, pipeline, runs, summary, started)
    return summary


def _take_over_finished(runs: list[TableSync], resumable: SyncSession | None, allow_deletes: bool) -> None:
    """Let the tables that the interrupted sync has finished be as it left them.

    A table is read again if the user has changed its settings meanwhile. So is an incomplete one if it may be the one
    whose rows the user now allows to delete.
    """
    for run in runs:
        earlier = resumable.finished.get(run.endpoint.table) if resumable else None
        same = earlier and earlier.read_by in ("", run.read_by)
        if earlier and same and (earlier.verdict == Verdict.COMPLETE or not allow_deletes):
            run.result = earlier


def _read_early(
    session: ApiSession, pipeline: SupportsPipeline, runs: Sequence[TableSync], loaded: Collection[str] | None
) -> None:
    """Read what the destination has of the tables while it is open, as far as that is quick.

    Each table would connect anew when it has its turn. With 50 organizations of small tables that takes longer than the
    queries. Large tables wait for their turn, so that the keys and hashes of several are not in memory at once.
    """
    ends, rows = session.clock.monotonic() + _EARLY_SECONDS, 0
    for run in runs:
        if not run.done and rows < _EARLY_ROWS and session.clock.monotonic() < ends:
            rows += run.read_early(pipeline, loaded)


def _load_chunks(
    session: ApiSession,
    loader: Loader,
    pipeline: SupportsPipeline,
    runs: list[TableSync],
    begin: Callable[[Endpoint], TableSync],
) -> None:
    """Load chunk after chunk until every table is done.

    A table whose rows the destination refuses must not take the rows of other tables with it. After a refusal, all
    tables of the package begin again from what the destination has, each in packages of its own. A table that is
    refused alone ends with that error.
    """
    apart = False
    while unfinished := [run for run in runs if not run.done]:
        several = unfinished[:1] if apart else unfinished
        chunk = Chunk.begin(session.clock.monotonic())
        lacking = loader.lacking
        try:
            _load_chunk(loader, pipeline, several, chunk)
            if loader.lacking != lacking:
                with loader.keep_open():
                    _update_catalog(pipeline, runs)
        except PackageRefused as refusal:
            if any(run.result.error for run in several):
                raise  # Not even the record of the refusal can be loaded.
            if not apart:
                logger.warning("%s %s", refusal.message, refusal.next_step)
            for run in several:
                if run.started or apart:
                    again = begin(run.endpoint)
                    again.result.requests = run.result.requests
                    runs[runs.index(run)] = again
                    if apart:
                        again.refuse(refusal)
            apart = True


def _load_chunk(loader: Loader, pipeline: SupportsPipeline, runs: Sequence[TableSync], chunk: Chunk) -> None:
    """Read one chunk of these tables, and load it. The results of the runs tell what was read."""
    lacking = set(loader.lacking)

    def tables_of(run: TableSync) -> Tables:
        for name, table in run.extract(pipeline, chunk):
            lacking.discard(name)
            yield name, table
        yield from run.create_tables(lacking)

    tables = {run.endpoint.table: tables_of(run) for run in runs}
    declared = {table.name: (table, run.endpoint.table) for run in runs for table in run.tables}
    loader.load(ChunkTables(tables, declared, lacking))


def _update_catalog(pipeline: SupportsPipeline, runs: Sequence[TableSync]) -> None:
    update_catalog(pipeline, [table for run in runs for table in run.tables])


def _resumable(
    session: ApiSession,
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    days: str,
    loaded: Collection[str] | None,
) -> SyncSession | None:
    """The interrupted sync to resume, or a new one. None if no table is read."""
    if not tables:
        return None
    now, owner = utc(session.clock.time()), session.settings.owner
    resumable = resume_session(pipeline, tables, now, owner, days, loaded)
    if resumable.finished:
        logger.info("resuming an interrupted sync; already finished: %s", ", ".join(sorted(resumable.finished)))
    return resumable


def _skip_missing(
    missing: dict[str, str], session: ApiSession, runs: list[TableSync], summary: OrganizationSummary, named: bool
) -> None:
    """Skip tables whose scope is not granted. It is an error if they were named, or if no table is left."""
    for run in runs:
        if run.endpoint.group in missing:
            run.result.skipped = f"needs scope {missing[run.endpoint.group]}, which is not granted"
    if missing and (named or all(run.result.skipped for run in runs)):
        summary.errors.append(ScopeMissing(missing, session.client.scopes() or frozenset()))


def _conclude(
    session: ApiSession,
    pipeline: SupportsPipeline,
    runs: list[TableSync],
    summary: OrganizationSummary,
    started: float,
) -> None:
    """Delete the records that are not needed any more, and fill in the summary."""
    judged = (Verdict.COMPLETE, Verdict.INCOMPLETE)
    if over := [id_ for run in runs if run.result.verdict in judged for id_ in run.left_pages]:
        delete_page_records(pipeline, over, session.settings.owner)
    now = utc(session.clock.time())
    # Once a day: in the first sync of each table.
    pasts = {run.endpoint.table: run.prior.past for run in runs if run.prior.past}
    if first := [table for table, past in pasts.items() if past[0].finished_at.date() < now.date()]:
        delete_old_sweeps(pipeline, first, now, session.settings.owner)
    budget = session.budget
    summary.requests, summary.token_requests = budget.requests, budget.token_requests
    summary.seconds = session.clock.monotonic() - started
    if pool := session.client.pool:
        summary.left_out = {name: error.message for name, error in pool.left_out.items()}
    summary.results = [(run.endpoint, run.result) for run in runs]
    ran = [run for run in runs if not run.result.skipped]
    groups = {run.endpoint.group for run in ran}
    for run in runs:
        if run.result.skipped:
            # A group that was skipped as a whole is named once.
            partly = run.endpoint.group in groups
            summary.skipped[run.endpoint.table if partly else run.endpoint.group] = run.result.skipped
        elif run.result.error and not any(run.result.error is known for known in summary.errors):
            # Tables whose requests need the same refused token share one error.
            summary.errors.append(run.result.error)
    verdicts = {run.result.verdict for run in ran}
    if Verdict.MORE_TO_DO in verdicts and not summary.errors:
        summary.verdict = Verdict.MORE_TO_DO
    elif summary.errors or not verdicts <= {Verdict.COMPLETE}:
        summary.verdict = Verdict.INCOMPLETE
