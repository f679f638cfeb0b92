"""Which days of a report are read, in which windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson

from ..api.session import ApiSession
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..schema.arrow_tables import Table
from .prior_state import PriorState, read_prior_state
from .results import KnownRows, Verdict
from .selection import Selection

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

WINDOW_DAYS = 90
"""Days of a window where `report_window_days` is not set."""
EARLIEST = date(2000, 1, 1)
"""No report begins earlier: each quarter of a year costs two requests, and no marketplace is older."""
DAY = timedelta(days=1)


class Window(NamedTuple):
    """Days that are asked for at once, both ends included.

    Attributes:
        early: First day that is asked for. The days before `first` are evidence, and other windows' to prove.
        first: First day that the window is read for.
        last: Last day.
    """

    early: date
    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of the days that the window is read for."""
        return (self.last - self.first).days + 1


def windows(first: date, last: date, days: int | None = None) -> list[Window]:
    """The windows of a range of days.

    A quarter of each window lies before the days that it is read for (see `report`). An API may leave the first or the
    last day out of a range. So these days overlap by two between windows, if the windows have six days or more.

    Args:
        first: First day.
        last: Last day.
        days: Days of the longest window; None for `WINDOW_DAYS`.
    """
    if first > last:
        return []
    days = days or WINDOW_DAYS
    early, overlap = max(1, days // 4) if days > 1 else 0, min(2, days // 3)
    start, found = first - (DAY if overlap else timedelta(0)), []
    while True:
        end = min(last, start + (days - early - 1) * DAY)
        found.append(Window(start - early * DAY, start, end))
        if end == last:
            return found
        start = end + (1 - overlap) * DAY


def day_of(key: str, table: Table) -> date | None:
    """The day in a row's key; None where the key has no `date`."""
    names = table.endpoint.key
    if "date" not in names:
        return None
    try:
        return date.fromisoformat(key if len(names) == 1 else orjson.loads(key)[names.index("date")])
    except (TypeError, ValueError):
        return None


def read_since(prior: PriorState) -> date | None:
    """First day from which on all days have been read; None if no sweep of this version says so."""
    stored = (one.facts.since for one in prior.past if one.verdict == Verdict.COMPLETE and not one.facts.partial)
    return next((date.fromisoformat(day) for day in stored if day), None)


def days_to_read(
    prior: PriorState, table: Table, settings: AutomatumSettings, selection: Selection, today: date
) -> tuple[date, date]:
    """First and last day to read of a report.

    Args:
        prior: What the destination has.
        table: The table of the report.
        settings: The settings.
        selection: The days that the user has chosen.
        today: The present day (UTC).

    Raises:
        ConfigurationError: The user has chosen days between which there is none, or a first day before `EARLIEST`.
    """
    last = min(selection.until or today, today)
    start = selection.since or _first_day(prior, table, settings, today)
    if start < EARLIEST:
        key = "--since" if selection.since else "sources.automatum.since"
        raise ConfigurationError(key, f"{start} is before {EARLIEST}: no report goes back so far.", "Name a later day.")
    if start > last and selection.ranged:
        raise ConfigurationError(
            "--until" if selection.until else "--since",
            f"there is no day from {start} to {last} to read of {table.endpoint.table}.",
            "Give both --since and --until, in the past.",
        )
    return start, last


def check_days(
    session: ApiSession, pipeline: SupportsPipeline | None, endpoints: Sequence[Endpoint], selection: Selection
) -> None:
    """Refuse days that leave nothing to read of a report, before a request is spent.

    Args:
        session: The API session. Nothing is sent.
        pipeline: The pipeline that loads; None if nothing is loaded yet.
        endpoints: What would be read.
        selection: The days that the user has chosen.

    Raises:
        ConfigurationError: There is no such day.
        DestinationError: The destination cannot be reached.
    """
    settings, now = session.settings, utc(session.clock.time())
    if not selection.ranged and settings.since is None:
        return
    for endpoint in endpoints:
        if endpoint.kind == "report":
            prior = PriorState(KnownRows())
            if pipeline is not None and selection.ranged and selection.since is None:
                prior = read_prior_state(pipeline, endpoint, now, organization_id=settings.owner)
            days_to_read(prior, Table(endpoint, settings.owner), settings, selection, now.date())


def _first_day(prior: PriorState, table: Table, settings: AutomatumSettings, today: date) -> date:
    """Where to begin: with the stretch before the last loaded day, or at the configured first day.

    The stretch is enough only once all days before it have been read. A backfill may have begun later, or ended
    earlier: the rows that it loaded say nothing about the days between.
    """
    since = settings.first_day(today)
    complete = (one for one in prior.past if one.verdict == Verdict.COMPLETE)
    whole = [one.finished_at.date() for one in complete if not one.facts.partial]
    days = [day for key in prior.known.hashes if (day := day_of(key, table))]
    if not days or not whole:
        return since
    if settings.since is not None and since < (read_since(prior) or min(days)):
        return since  # the setting was moved back: the days before were never read
    return max(since, min(max(days), max(whole)) - timedelta(days=settings.lookback_days))
