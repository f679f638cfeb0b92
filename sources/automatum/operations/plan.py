"""Forecast a sync: its requests, how long the rate limits make it take, and what they leave for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dlt.common.pipeline import SupportsPipeline

from ..api.pages import read_page, read_report
from ..api.rate_limit.limiter import RateLimiter
from ..api.session import ApiSession
from ..core.clock import instant, utc
from ..core.errors import EXIT_COMPLETE, NotThere, ScopeMissing
from ..endpoints import METERING_SCOPE, Endpoint
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
        table: Table name.
        requests: Requests that the sync needs for it.
        announced: Rows that the list announces; None for reports.
        note: Why it is not the whole list; empty if it is.
    """

    table: str
    requests: int
    announced: int | None = None
    note: str = ""


@dataclass
class Plan:
    """The forecast of a sync.

    Attributes:
        tables: The requests of each table.
        skipped: Table to the reason why it is not read.
        seconds: From now to the end, with the windows as full as they are now.
        finishes_at: The end, in epoch seconds.
        seconds_per_request: Seconds that one request takes without waiting.
        spent: Requests that this forecast sent, token requests included.
        used_by_others: Requests of other processes in the application's longest window.
        left_for_push: Requests that a push could send now, and in the rest of the longest window.
        windows: The quota's windows.
        shortest_interval: Seconds, in whole minutes: from start to start, each run ends before the next, for ever.
    """

    tables: list[TablePlan]
    skipped: dict[str, str]
    seconds: float
    finishes_at: float
    seconds_per_request: float
    spent: int
    used_by_others: int
    left_for_push: dict[str, int]
    windows: list[dict[str, Any]]
    shortest_interval: int
    exit_code: ClassVar[int] = EXIT_COMPLETE

    @property
    def requests(self) -> int:
        """API requests that the sync needs, a token not counted."""
        return sum(one.requests for one in self.tables)

    def to_json(self) -> dict[str, Any]:
        """The forecast as one JSON object."""
        return {
            "verdict": "dry_run",
            "requests": self.requests,
            "token_requests": 1,
            "seconds": round(self.seconds, 3),
            "minutes": round(self.seconds / 60, 2),
            "finishes_at": instant(self.finishes_at),
            "seconds_a_request": round(self.seconds_per_request, 4),
            "tables": {
                one.table: {"requests": one.requests, "announced": one.announced, "note": one.note}
                for one in self.tables
            },
            "skipped": self.skipped,
            "spent": self.spent,
            "used_by_others": self.used_by_others,
            "left_for_push": self.left_for_push,
            "windows": self.windows,
            "shortest_interval_seconds": self.shortest_interval,
        }


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
        raise ScopeMissing(missing, session.client.tokens.scopes() or frozenset())
    skipped = {one.table: f"needs scope {one.scope}" for one in chosen if one.group in missing}
    granted = [one for one in chosen if one.group not in missing]
    finished = _finished_tables(session, pipeline, granted, options)
    tables = []
    for endpoint in granted:
        if endpoint.table in finished:
            tables.append(TablePlan(endpoint.table, 0, None, "read earlier in this sync"))
            continue
        try:
            tables.append(_plan_table(session, pipeline, endpoint, options))
        except NotThere as error:
            if endpoint.kind == "list":
                raise
            skipped[endpoint.table] = str(error)
    return _forecast(session, tables, skipped)


def _finished_tables(
    session: ApiSession, pipeline: SupportsPipeline | None, granted: Sequence[Endpoint], options: SyncOptions
) -> set[str]:
    if pipeline is None or not granted:
        return set()
    now, owner = utc(session.clock.time()), session.settings.owner
    tables = [one.table for one in granted]
    return set(resume_session(pipeline, tables, now, owner, options.days).finished)


def _plan_table(
    session: ApiSession, pipeline: SupportsPipeline | None, endpoint: Endpoint, options: SyncOptions
) -> TablePlan:
    owner = session.settings.owner
    now, prior_state = utc(session.clock.time()), PriorState(KnownRows())
    if pipeline:
        prior_state = read_prior_state(pipeline, endpoint, now, organization_id=owner)
    return (
        _plan_list(session, endpoint, prior_state)
        if endpoint.kind == "list"
        else _plan_report(session, endpoint, prior_state, options)
    )


def _plan_list(session: ApiSession, endpoint: Endpoint, prior_state: PriorState) -> TablePlan:
    page = read_page(session.client, endpoint, 1)
    now, size = utc(session.clock.time()), endpoint.paging.size
    total = page.total
    # The page behind a full last page shows that the list ends there.
    found = TablePlan(endpoint.table, (total or 0) // size + 1, total)
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
    return TablePlan(endpoint.table, len(spans) + proofs, None, f"from {start.isoformat()}")


def _forecast(session: ApiSession, tables: list[TablePlan], skipped: dict[str, str]) -> Plan:
    client, budget = session.client, session.budget
    limiter, seconds_per_request = client.limiter, client.seconds_per_request
    needed = sum(one.requests for one in tables) + 1  # and a token
    seconds = limiter.wait_for(needed, seconds_per_request)
    state, spent = limiter.window_usage(), budget.requests + budget.token_requests
    own = sorted((one for one in state if one["scope"] == "application"), key=lambda one: one["seconds"])
    can_push = METERING_SCOPE in (client.tokens.scopes() or ())
    left = [max(0, one["limit"] - one["used"]) for one in own]
    return Plan(
        tables,
        skipped,
        seconds,
        session.clock.time() + seconds,
        seconds_per_request,
        spent,
        max(0, own[-1]["used"] - spent),
        {"now": min(left) if can_push else 0, "longest_window": left[-1] if can_push else 0},
        state,
        _shortest_interval(limiter, needed, seconds_per_request),
    )


def _shortest_interval(limiter: RateLimiter, needed: int, seconds_per_request: float) -> int:
    # The shortest number of minutes that fits: double until one does, then halve the distance.
    high = 1
    while not limiter.keeps_up(needed, seconds_per_request, 60.0 * high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if limiter.keeps_up(needed, seconds_per_request, 60.0 * middle) else (middle, high)
    return 60 * high
