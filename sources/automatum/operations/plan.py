"""Forecast a sync: its requests, how long the rate limits make it take, and what they leave for others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

from dlt.common.pipeline import SupportsPipeline

from ..api.pages import read_page, read_report
from ..api.rate_limit.limiter import RateLimiter
from ..api.session import ApiSession
from ..core.clock import instant, utc
from ..core.errors import EXIT_COMPLETE, NotThere, ScopeMissing
from ..endpoints import Endpoint
from ..schema.arrow_tables import Table
from ..sync.key_check import check_keys
from ..sync.options import SyncOptions
from ..sync.prior_state import PriorState, longest_sweep, read_prior_state
from ..sync.report import windows
from ..sync.report_sync import days_to_read
from ..sync.results import KnownRows
from ..sync.resume import resume_session
from ..sync.table_sync import DEFAULT_OPTIONS
from ..warehouse.dataset import use_stored_owner


@dataclass
class TablePlan:
    """The requests of one table.

    Attributes:
        requests: Requests that the sync needs for it.
        announced: Rows that the list announces; None for reports.
        note: Why it is not the whole list; empty if it is.
    """

    requests: int
    announced: int | None = None
    note: str = ""


@dataclass
class Plan:
    """The forecast of a sync. The field names are the keys of its JSON, which has `requests`, too.

    Attributes:
        tables: Table to its requests.
        skipped: Table to the reason why it is not read.
        spent: Requests that this forecast sent, token requests included.
        windows: The quota's windows.
        seconds: From now to the end, with the windows as full as they are now.
        finishes_at: The end.
        shortest_interval_seconds: In whole minutes: from start to start, each run ends before the next, for ever.
        token_requests: Requests for a token that the sync needs.
        verdict: What stands in the place of that of a sync.
    """

    tables: dict[str, TablePlan]
    skipped: dict[str, str]
    spent: int
    windows: list[dict[str, Any]]
    seconds: float
    finishes_at: str
    shortest_interval_seconds: int
    token_requests: int = 1
    verdict: str = "dry_run"
    exit_code: ClassVar[int] = EXIT_COMPLETE

    @property
    def requests(self) -> int:
        """API requests that the sync needs, a token not counted."""
        return sum(one.requests for one in self.tables.values())

    def to_json(self) -> dict[str, Any]:
        """The forecast as one JSON object."""
        return {"requests": self.requests, **asdict(self)}


def plan(session: ApiSession, pipeline: SupportsPipeline | None, options: SyncOptions = DEFAULT_OPTIONS) -> Plan:
    """Read the first page of each table, and calculate what a sync costs.

    Args:
        session: The API.
        pipeline: The pipeline that would load; None if nothing is loaded yet.
        options: The options of the sync.

    Raises:
        ConfigurationError: An unknown name.
        AccessError: The credentials are refused, or a named table is not granted.
        ApiUnreachable: No usable answer.
        MoreToDo: Not even these requests fit into the quota or the budget.
    """
    chosen = session.select(options.tables)
    options.check_days(utc(session.clock.time()).date())
    if pipeline:
        check_keys(pipeline, chosen)
        use_stored_owner(pipeline, session.settings)
    if options.tables or session.settings.tables:
        session.require_scopes(chosen)
    missing = session.missing_scopes(chosen)
    if len(missing) == len({one.group for one in chosen}):
        raise ScopeMissing(missing, session.client.scopes() or frozenset())
    skipped = {one.table: f"needs scope {one.scope}" for one in chosen if one.group in missing}
    granted = [one for one in chosen if one.group not in missing]
    now, owner = utc(session.clock.time()), session.settings.owner
    finished: Collection[str] = ()
    if pipeline and granted:
        finished = resume_session(pipeline, [one.table for one in granted], now, owner, options.days).finished
    tables = {}
    for endpoint in granted:
        if endpoint.table in finished:
            tables[endpoint.table] = TablePlan(0, None, "read earlier in this sync")
            continue
        prior = PriorState(KnownRows())
        if pipeline:
            prior = read_prior_state(pipeline, endpoint, now, organization_id=owner)
        if endpoint.kind == "list":
            tables[endpoint.table] = _plan_list(session, endpoint, prior)
            continue
        try:
            tables[endpoint.table] = _plan_report(session, endpoint, prior, options)
        except NotThere as error:
            skipped[endpoint.table] = str(error)
    return _forecast(session, tables, skipped)


def _plan_list(session: ApiSession, endpoint: Endpoint, prior_state: PriorState) -> TablePlan:
    page = read_page(session.client, endpoint, 1)
    now, size = utc(session.clock.time()), endpoint.paging.size
    total = page.total
    # The page behind a full last page shows that the list ends there.
    found = TablePlan((total or 0) // size + 1, total)
    unfinished = prior_state.unfinished
    if total is None:
        found.note = "at least: the list does not announce how many rows it has"
    elif unfinished and now - unfinished.started_at <= longest_sweep(session.settings, unfinished.needed):
        done = min(len({one.page for one in unfinished.pages}), found.requests) - 1
        found.requests, found.note = found.requests - done, f"goes on at page {done + 1}"
    return found


def _plan_report(session: ApiSession, endpoint: Endpoint, prior_state: PriorState, options: SyncOptions) -> TablePlan:
    settings, today = session.settings, utc(session.clock.time()).date()
    start, last = days_to_read(prior_state, Table(endpoint, settings.owner), settings, options, today)
    spans = windows(start, last, settings.report_window_days)
    read_report(session.client, endpoint, today, today)
    proofs = sum(one.early < one.first for one in spans)
    return TablePlan(len(spans) + proofs, None, f"from {start.isoformat()}")


def _forecast(session: ApiSession, tables: dict[str, TablePlan], skipped: dict[str, str]) -> Plan:
    limiter, seconds_per_request = session.client.limiter, session.client.seconds_per_request
    needed = sum(one.requests for one in tables.values()) + 1  # and a token
    seconds = limiter.wait_for(needed, seconds_per_request)
    return Plan(
        tables,
        skipped,
        session.budget.requests + session.budget.token_requests,
        limiter.window_usage(),
        round(seconds, 3),
        instant(session.clock.time() + seconds),
        _shortest_interval(limiter, needed, seconds_per_request),
    )


def _shortest_interval(limiter: RateLimiter, needed: int, seconds_per_request: float) -> int:
    """The shortest number of minutes that fits, in seconds; a year of them if none does."""
    minutes = range(1, 365 * 24 * 60)
    fits = partial(limiter.keeps_up, needed, seconds_per_request)
    return 60 * minutes[bisect_left(minutes, True, hi=len(minutes) - 1, key=lambda one: fits(60.0 * one))]
