"""A whole sync: chunk after chunk until every table has its verdict, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dlt.common.pipeline import SupportsPipeline

from ..api.session import ApiSession
from ..core.clock import utc
from ..core.errors import ScopeMissing
from ..warehouse.dataset import delete_page_records, prepare_dataset
from ..warehouse.load import Loader
from ..warehouse.merge_strategy import check_table_format, merge_strategy_of
from .resources import chunk_source
from .results import Chunk
from .resume import SyncSession, take_up
from .selection import Selection, select_rows
from .summary import OrganizationSummary
from .table_sync import TableSync

logger = logging.getLogger("automatum")


def sync(
    session: ApiSession,
    pipeline: SupportsPipeline,
    names: Sequence[str] = (),
    *,
    selection: Selection | None = None,
    on_page: Callable[[TableSync], None] | None = None,
    free: Callable[[], None] = lambda: None,
) -> OrganizationSummary:
    """Bring the destination up to date.

    Args:
        session: The API.
        pipeline: The dlt pipeline that loads.
        names: Tables or groups; empty for the configured ones, or else for all that the scopes allow.
        selection: Which rows, and what may be done about missing ones; None for what the settings say.
        on_page: Called after each page, with the run it belongs to.
        free: Waits until no other program holds the destination, or raises; see `Warehouse.written_by`.

    Returns:
        What was done. Errors of single tables are in it; the others were synced all the same.

    Raises:
        ConfigurationError: An unknown name.
        AccessError: The credentials are refused.
        ApiUnreachable: The token endpoint gives no answer.
        Busy: Another program holds the destination; what was read is loaded by the next run.
        DestinationError: The destination refuses.
    """
    started = session.clock.monotonic()
    summary = OrganizationSummary()
    settings = session.settings
    selection = selection or select_rows(settings)
    named = tuple(names) or tuple(settings.tables or ())
    chosen = session.select(named, "argument TABLE" if names else "sources.automatum.tables")
    merge_strategy_of(pipeline, settings)  # what the destination cannot do is said before a request is spent
    missing = session.missing_scopes(chosen)
    prepare_dataset(pipeline, bool(settings.organization))
    check_table_format(pipeline, settings, [one.table for one in chosen])
    load = Loader(pipeline, session.clock, free)
    left_behind = load.load_pending(f"{settings.base_url} {settings.client_id}")
    granted = [one.table for one in chosen if one.group not in missing]
    resumable = _session(session, pipeline, granted, selection, left_behind)
    summary.runs = [TableSync(endpoint, session, selection, on_page, resumable) for endpoint in chosen]
    _leave_out(missing, session, summary, asked_for=bool(named))
    for run in summary.runs:
        if resumable and run.endpoint.table in resumable.settled:
            run.settle(resumable.settled[run.endpoint.table])
    while todo := [run for run in summary.runs if not run.done]:
        chunk = Chunk(settings.chunk_rows, session.clock.monotonic() + settings.chunk_seconds)
        load.run(chunk_source(todo, chunk))
    over = [run.endpoint.table for run in summary.runs if run.left_pages and run.result.verdict != "more_to_do"]
    if over:
        delete_page_records(pipeline, over, settings.owner)
    _conclude(session, summary, started)
    for run in summary.runs:
        run.forget()
    return summary


def _session(
    session: ApiSession,
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    selection: Selection,
    left_behind: bool,
) -> SyncSession | None:
    """The sync that this run belongs to; None where it reads a part only, or no table at all."""
    if not tables or not selection.everything or selection.ranged:
        return None
    now, owner = utc(session.clock.time()), session.settings.owner
    resumable = take_up(pipeline, tables, now, left_behind, owner)
    if resumable.settled:
        logger.info("going on with an interrupted sync; finished already: %s", ", ".join(sorted(resumable.settled)))
    return resumable


def _leave_out(missing: dict[str, str], session: ApiSession, summary: OrganizationSummary, asked_for: bool) -> None:
    """Skip what is not granted; an error if it was asked for, or if nothing is left: least privilege is none."""
    for run in summary.runs:
        if run.endpoint.group in missing:
            run.skip(f"needs scope {missing[run.endpoint.group]}, which is not granted")
    if missing and (asked_for or all(run.result.skipped for run in summary.runs)):
        summary.errors.append(ScopeMissing(missing, session.client.tokens.scopes() or frozenset()))


def _conclude(session: ApiSession, summary: OrganizationSummary, started: float) -> None:
    budget = session.budget
    summary.requests, summary.token_requests = budget.requests, budget.token_requests
    summary.seconds = session.clock.monotonic() - started
    skipped_groups = {run.endpoint.group: run.result.skipped for run in summary.runs if run.result.skipped}
    ran_groups = {run.endpoint.group for run in summary.runs if not run.result.skipped}
    for run in summary.runs:
        if run.result.skipped:
            group = run.endpoint.group
            name = run.endpoint.table if group in ran_groups else group
            summary.skipped[name] = run.result.skipped if group in ran_groups else skipped_groups[group]
        elif run.result.error:
            summary.errors.append(run.result.error)
    verdicts = [run.result.verdict for run in summary.runs if not run.result.skipped]
    if "more_to_do" in verdicts:
        summary.verdict = "more_to_do"
    if summary.errors or "incomplete" in verdicts or None in verdicts:
        summary.verdict = "more_to_do" if "more_to_do" in verdicts and not summary.errors else "incomplete"
