"""A whole sync in one call, for the command line, schedulers, notebooks and scripts.

    from automatum import SyncOptions, run_sync

    summary = run_sync(SyncOptions(tables=("customers",), max_minutes=10))

`run_sync` takes the locks, syncs one organization or several, and returns a summary. While one of several organizations
waits for its rate limit, another is synced.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from ..api.rate_limit import NO_WAIT
from ..api.session import ApiSession, connect
from ..config.organizations import organization_names
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock, instant
from ..core.errors import AutomatumError, BudgetSpent, ConfigurationError, MoreToDo, defect
from ..core.private_files import private_files
from ..warehouse.dataset import read_owners
from ..warehouse.duckdb_file import KeepOpen, refresh_copy
from ..warehouse.postgres_lock import exclusive_tables
from ..warehouse.target import check_copy_path, exclusive_pipeline, label_pipeline, name_pipeline, open_pipeline
from .engine import sync
from .options import SyncOptions
from .results import Verdict
from .summary import MultiOrgSummary, OrganizationSummary, SyncSummary
from .table_sync import DEFAULT_OPTIONS, TableSync

logger = logging.getLogger("automatum")

MOST_FRUITLESS = 3
"""Turns in a row without a new page, after which an organization is left for the next run. Without this bound, an API
that refuses every request would keep the run alive for ever."""


def run_sync(
    options: SyncOptions = DEFAULT_OPTIONS,
    *,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    on_page: Callable[[TableSync], None] | None = None,
) -> SyncSummary:
    """Bring the destination up to date, for one organization or several.

    Args:
        options: What to read, where to load it, and how long it may take.
        settings: Resolved settings of one organization, which is then the only one that is synced. None to read dlt's
            configuration.
        clock: Time. None for the machine's clock.
        stop: Event that ends the sync at the next page. What was read is loaded.
        on_page: Called after each page, with the table run that read it. A DuckDB file may be open meanwhile.

    Returns:
        An `OrganizationSummary` if no organization is named or configured, or if `settings` are given; else a
        `MultiOrgSummary`, which holds the errors of each organization. Errors of single tables are in both.

    Raises:
        AutomatumError: The sync could not start. `Busy` means that another program holds the pipeline or the file.
    """
    clock = clock or SystemClock(stop)
    target = options.target
    copy = None if options.read_copy is None else check_copy_path(target, options.read_copy)
    names = () if settings else options.organizations or organization_names()
    if options.pipeline_name and len(names) > 1:
        raise ConfigurationError(
            "pipeline_name",
            f"is {options.pipeline_name!r} for {len(names)} organizations, and each needs a pipeline of its own.",
            "Name one organization, or leave pipeline_name out.",
        )
    seconds = None if options.max_minutes is None else options.max_minutes * 60
    budget = Budget(clock, max_seconds=seconds, stop=stop)

    def open_session(name: str | None) -> ApiSession:
        chosen = settings or resolve_settings(organization=name)
        # max_minutes bounds the whole run: each organization gets what the earlier ones have left.
        spend = Budget(clock, options.max_requests, budget.remaining_seconds(), stop)
        return connect(chosen, clock=clock, budget=spend, max_wait=options.max_wait)

    session = None if names else open_session(None)
    with private_files(), target.exclusive_writer("automatum sync", clock, budget, options.lock_wait) as keep_open:
        sync_one = partial(_sync_one, options=options, keep_open=keep_open, on_page=on_page)
        summary: SyncSummary = (
            sync_one(session) if session else _sync_several(names, open_session, sync_one, options, clock, budget)
        )
        if copy and not target.missing:
            with keep_open():
                refresh_copy(target.database, copy)
    return summary


def _sync_one(
    session: ApiSession,
    *,
    options: SyncOptions,
    keep_open: KeepOpen,
    on_page: Callable[[TableSync], None] | None,
) -> OrganizationSummary:
    """Sync one organization; the caller holds the lock of the destination."""
    target, label = options.target, options.pipeline_name or label_pipeline(session.settings.organization)
    destination = target.open(label)
    name = options.pipeline_name or name_pipeline(label, destination, target.dataset, target.file)
    clock, budget, wait = session.clock, session.budget, options.lock_wait
    with exclusive_pipeline(name, options.pipelines_dir, clock, budget, wait):
        pipeline = open_pipeline(destination, target.dataset, options.pipelines_dir, name)
        tables = [one.table for one in session.select(options.tables)]
        # Another machine may have another name for the organization.
        owner = session.settings.client_id if session.settings.organization else None
        with exclusive_tables(pipeline, tables, owner, keep_open, clock=clock, budget=budget, wait=wait) as keep_locked:
            return sync(session, pipeline, options, on_page=on_page, keep_open=keep_locked)


def _sync_several(
    names: Sequence[str],
    connect: Callable[[str], ApiSession],
    sync_one: Callable[[ApiSession], OrganizationSummary],
    options: SyncOptions,
    clock: Clock,
    budget: Budget,
) -> MultiOrgSummary:
    """Sync organizations in turns, those first whose last sweep is the oldest: a kill or a bound may have cut them off.

    An organization whose rate limit is used up loads what it has read and ends its turn. It goes on where it stopped
    when the limit allows it; until then the others are synced. An error of one is kept in its summary.
    """
    target, owners = options.target, []
    if not target.missing:
        owners = read_owners(target.existing(clock, budget, options.lock_wait), True)
    last = {one.name: one.at.timestamp() for one in reversed(owners)}
    started, sessions, max_wait = clock.monotonic(), dict[str, ApiSession](), options.max_wait
    total = MultiOrgSummary({name: OrganizationSummary(Verdict.MORE_TO_DO) for name in names})
    due, fruitless = dict.fromkeys(sorted(names, key=lambda name: last.get(name, 0.0)), 0.0), Counter[str]()
    while due:
        name = min(due, key=lambda one: due[one])
        wait = due[name] - clock.time()
        if wait > 0:
            if max_wait is not None and wait > max_wait:
                break
            logger.info("every unfinished organization waits for its rate limit, until %s", instant(due[name]))
        try:
            budget.pause(max(0.0, wait))
        except BudgetSpent:
            break
        # The last organization may wait itself: no other could use the time.
        patience = max_wait if len(due) == 1 else NO_WAIT if max_wait is None else min(NO_WAIT, max_wait)
        earlier, summary = total.organizations[name], _take_turn(name, connect, sync_one, sessions, patience)
        summary.take_over(earlier)
        total.organizations[name] = summary
        fruitless[name] = fruitless[name] + 1 if summary.pages <= earlier.pages else 0
        due[name] = summary.next_turn or 0.0
        if summary.next_turn is None or fruitless[name] >= MOST_FRUITLESS:
            del due[name]
            sessions.pop(name, None)
    total.seconds = clock.monotonic() - started
    return total


def _take_turn(
    name: str,
    connect: Callable[[str], ApiSession],
    sync_one: Callable[[ApiSession], OrganizationSummary],
    sessions: dict[str, ApiSession],
    patience: float | None,
) -> OrganizationSummary:
    try:
        session = sessions[name] = sessions.get(name) or connect(name)
        session.client.tokens.max_wait = patience
        return sync_one(session)
    except MoreToDo as error:
        return OrganizationSummary(Verdict.MORE_TO_DO, errors=[error])
    except AutomatumError as error:
        # The summary reports the error again at the end of the run. At info, --quiet does not show it twice.
        logger.info("%s: %s", name, error)
        return OrganizationSummary(Verdict.INCOMPLETE, errors=[error])
    except Exception as error:
        return OrganizationSummary(Verdict.INCOMPLETE, errors=[defect(error, name)])
