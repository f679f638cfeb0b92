"""The bill before it is run up: what a sync will ask for, how long the quota makes it take, and what it leaves."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..api.pages import read_page, read_report
from ..api.session import ApiSession
from ..core.clock import instant, utc
from ..core.errors import ConfigurationError, NotThere, ScopeMissing
from ..endpoints import METERING_SCOPE, PAGE_SIZE, Endpoint
from ..schema.arrow_tables import Table
from ..sync.prior_state import PriorState, read_prior_state
from ..sync.report import first_day, windows
from ..sync.results import KnownRows
from ..sync.resume import GO_ON_WITHIN, take_up
from ..sync.selection import Selection, select_rows

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)\s*")
_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass
class TablePlan:
    """What one table will cost.

    Attributes:
        table: Table name.
        requests: Requests that the sync needs for it.
        announced: Rows that the list announces; None for reports.
        note: What that rests on, where it is not simply the whole list.
    """

    table: str
    requests: int
    announced: int | None = None
    note: str = ""


@dataclass
class Schedule:
    """Whether a sync can be run so often.

    Attributes:
        every: Seconds from start to start.
        fits: Each run ends before the next begins, for ever.
        shortest: Seconds, in whole minutes, at which it would fit.
    """

    every: float
    fits: bool
    shortest: float


@dataclass
class Plan:
    """The forecast of a sync.

    Attributes:
        tables: What each table costs.
        skipped: Table to the reason why it will not run.
        seconds: From now to the end, at the present fill of the windows.
        finishes_at: The end, in epoch seconds.
        a_request: Seconds that one request takes without waiting.
        spent: Requests that this forecast itself has sent, for a token too.
        used_by_others: Requests that others have sent in what counts now of the application's longest window.
        left_for_push: Requests that a push could send at once, and in what is left of the longest window.
        windows: The quota's windows.
        schedule: Whether it can be run as often as asked.
    """

    tables: list[TablePlan]
    skipped: dict[str, str]
    seconds: float
    finishes_at: float
    a_request: float
    spent: int
    used_by_others: int
    left_for_push: dict[str, int]
    windows: list[dict[str, Any]] = field(default_factory=list)
    schedule: Schedule | None = None

    @property
    def requests(self) -> int:
        """API requests that the sync needs, a token not counted."""
        return sum(one.requests for one in self.tables)

    def as_json(self) -> dict[str, Any]:
        """The forecast as one JSON object."""
        schedule = self.schedule
        return {
            "requests": self.requests,
            "token_requests": 1,
            "seconds": round(self.seconds, 3),
            "minutes": round(self.seconds / 60, 2),
            "finishes_at": instant(self.finishes_at),
            "seconds_a_request": round(self.a_request, 4),
            "tables": {
                one.table: {"requests": one.requests, "announced": one.announced, "note": one.note}
                for one in self.tables
            },
            "skipped": self.skipped,
            "spent": self.spent,
            "used_by_others": self.used_by_others,
            "left_for_push": self.left_for_push,
            "windows": self.windows,
            "schedule": None
            if schedule is None
            else {"every_seconds": schedule.every, "fits": schedule.fits, "shortest_seconds": schedule.shortest},
        }


def plan(
    session: ApiSession,
    pipeline: SupportsPipeline | None,
    names: Sequence[str] = (),
    *,
    every: float | None = None,
    selection: Selection | None = None,
) -> Plan:
    """Ask each table for its first page, and work out what a sync will cost.

    Args:
        session: The API.
        pipeline: The pipeline that would load; None if nothing has been loaded yet.
        names: Tables or groups; empty for those that a sync would read.
        every: Seconds between two starts of a schedule to judge; None for none.
        selection: Which rows; None for what the settings say.

    Raises:
        ConfigurationError: An unknown name.
        AccessError: The credentials are refused, or a named table is not granted.
        ApiUnreachable: No usable answer.
        MoreToDo: Not even these requests fit into the quota or the budget.
    """
    selection = selection or select_rows(session.settings)
    named = tuple(names) or tuple(session.settings.tables or ())
    chosen = session.select(named, "argument TABLE" if names else "sources.automatum.tables")
    if named:
        session.require_scopes(chosen)
    missing = session.missing_scopes(chosen)
    if len(missing) == len({one.group for one in chosen}):
        raise ScopeMissing(missing, session.client.tokens.scopes() or frozenset())
    skipped = {one.table: f"needs scope {one.scope}" for one in chosen if one.group in missing}
    granted = [one for one in chosen if one.group not in missing]
    settled = _settled(session, pipeline, granted, selection)
    tables = []
    for endpoint in granted:
        if endpoint.table in settled:
            tables.append(TablePlan(endpoint.table, 0, None, "read earlier in this sync"))
            continue
        try:
            tables.append(_table(session, pipeline, endpoint, selection.of(endpoint)))
        except NotThere as error:
            if endpoint.kind == "list":
                raise
            skipped[endpoint.table] = str(error)
    return _forecast(session, tables, skipped, every)


def read_duration(text: str, key: str) -> float:
    """Seconds of a duration such as `90s`, `30min`, `1h` or `1d`.

    Args:
        text: The duration.
        key: The setting or argument to blame.

    Raises:
        ConfigurationError: It is none.
    """
    found = _DURATION.fullmatch(text.lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise ConfigurationError(key, f"{text!r} is not a duration.", "Write it like 90s, 30min, 1h or 1d.")
    return seconds


def _settled(
    session: ApiSession, pipeline: SupportsPipeline | None, granted: Sequence[Endpoint], selection: Selection
) -> set[str]:
    if pipeline is None or not granted or not selection.everything or selection.ranged:
        return set()
    now, owner = utc(session.clock.time()), session.settings.owner
    return set(take_up(pipeline, [one.table for one in granted], now, organization_id=owner).settled)


def _table(
    session: ApiSession, pipeline: SupportsPipeline | None, endpoint: Endpoint, selection: Selection
) -> TablePlan:
    owner = session.settings.owner
    held = read_prior_state(pipeline, endpoint, organization_id=owner) if pipeline else PriorState(KnownRows())
    return (
        _list(session, endpoint, held, selection)
        if endpoint.kind == "list"
        else _report(session, endpoint, held, selection)
    )


def _list(session: ApiSession, endpoint: Endpoint, held: PriorState, selection: Selection) -> TablePlan:
    page = read_page(session.client, endpoint, 1, selection.filters)
    pages = max(1, page.pages or 1) if page.total is None else max(1, math.ceil(page.total / PAGE_SIZE))
    found = TablePlan(endpoint.table, pages, page.total)
    unfinished = held.unfinished
    if unfinished and selection.everything and utc(session.clock.time()) - unfinished.read_at < GO_ON_WITHIN:
        done = min(len({one.page for one in unfinished.pages}), pages - 1)
        found.requests, found.note = pages - done, f"goes on at page {done + 1}"
    elif endpoint.newest_first and held.past:
        found.note = "at most: it may end early, at the first page without a change"
    return found


def _report(session: ApiSession, endpoint: Endpoint, held: PriorState, selection: Selection) -> TablePlan:
    settings, today = session.settings, utc(session.clock.time()).date()
    start = selection.since or first_day(held, Table(endpoint, settings.owner), settings, today)
    spans = windows(start, min(selection.until or today, today), selection.window_days or settings.report_window_days)
    read_report(session.client, endpoint, today, today)
    return TablePlan(endpoint.table, len(spans), None, f"from {start.isoformat()}")


def _forecast(session: ApiSession, tables: list[TablePlan], skipped: dict[str, str], every: float | None) -> Plan:
    client, budget = session.client, session.budget
    limiter, a_request = client.limiter, client.seconds_per_request
    needed = sum(one.requests for one in tables) + 1  # and a token
    seconds = limiter.wait_for(needed, a_request)
    state, spent = limiter.window_usage(), budget.requests + budget.token_requests
    own = sorted((one for one in state if one["scope"] == "application"), key=lambda one: one["seconds"])
    can_push = METERING_SCOPE in (client.tokens.scopes() or ())
    rooms = [max(0, one["limit"] - one["used"]) for one in own]
    return Plan(
        tables,
        skipped,
        seconds,
        session.clock.time() + seconds,
        a_request,
        spent,
        max(0, own[-1]["used"] - spent),
        {"now": min(rooms) if can_push else 0, "longest_window": rooms[-1] if can_push else 0},
        state,
        None if every is None else _schedule(session, needed, a_request, every),
    )


def _schedule(session: ApiSession, needed: int, a_request: float, every: float) -> Schedule:
    limiter = session.client.limiter
    fits = limiter.keeps_up(needed, a_request, every)
    # The shortest number of minutes that fits: double until one does, then halve the distance.
    high = 1
    while not limiter.keeps_up(needed, a_request, 60.0 * high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if limiter.keeps_up(needed, a_request, 60.0 * middle) else (middle, high)
    return Schedule(every, fits, 60.0 * high)
