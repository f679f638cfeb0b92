"""Which days of a report are read, in which windows."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import orjson

from ..config.settings import AutomatumSettings
from ..schema.arrow_tables import Table
from .options import SyncOptions
from .prior_state import PriorState
from .results import Verdict

WINDOW_DAYS = 90
"""Days of a window where `report_window_days` is not set."""
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
    prior: PriorState, table: Table, settings: AutomatumSettings, options: SyncOptions, today: date
) -> tuple[date, date]:
    """First and last day to read of a report.

    Args:
        prior: What the destination has.
        table: The table of the report.
        settings: The settings.
        options: The days that the user has chosen.
        today: The present day (UTC).
    """
    return options.since or _first_day(prior, table, settings, today), min(options.until or today, today)


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
