"""Which days of a report are read, in which windows."""

from __future__ import annotations

from datetime import date, timedelta

import orjson

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..schema.arrow_tables import Table
from .prior_state import PriorState
from .results import KnownRows, Verdict
from .selection import Selection

Window = tuple[date, date]


def windows(start: date, end: date, days: int | None) -> list[Window]:
    """Windows of whole days, both ends included. Each begins with the last day of the one before.

    It is not documented whether the API takes the last day of a range as part of it. Windows of one day do not overlap.

    Args:
        start: First day.
        end: Last day.
        days: Length of each; None for a single window.
    """
    if start > end:
        return []
    last = timedelta(days=(days or (end - start).days + 1) - 1)
    found = [(start, min(end, start + last))]
    while found[-1][1] < end:
        start = max(found[-1][1], found[-1][0] + timedelta(days=1))
        found.append((start, min(end, start + last)))
    return found


def windows_to_ask(first: date, last: date, days: int | None, known: KnownRows) -> list[Window]:
    """The windows of a reading. They begin a day early where rows are known already.

    A row of the first day counts as gone only if the answer reports an earlier day, too.

    Args:
        first: First day whose rows are loaded.
        last: Last day.
        days: Length of each window; None for a single window.
        known: What the destination has.
    """
    early = timedelta(days=1 if known.hashes and days != 1 else 0)
    return windows(first - early, last, days)


def day_of(key: str, table: Table) -> date | None:
    """The day in a row's key; None where the key has no `date`."""
    names = table.endpoint.key
    if "date" not in names:
        return None
    parts = [key] if len(names) == 1 else orjson.loads(key)
    try:
        return date.fromisoformat(parts[names.index("date")])
    except (TypeError, ValueError):
        return None


def first_day(prior: PriorState, table: Table, settings: AutomatumSettings, today: date) -> date:
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


def read_since(prior: PriorState) -> date | None:
    """First day from which on all days have been read; None if no sweep of this version says so."""
    stored = (one.facts.since for one in prior.past if one.verdict == Verdict.COMPLETE and not one.facts.partial)
    return next((date.fromisoformat(day) for day in stored if day), None)


def days_to_read(
    prior: PriorState, table: Table, settings: AutomatumSettings, selection: Selection, today: date
) -> Window:
    """First and last day to read of a report.

    Args:
        prior: What the destination has.
        table: The table of the report.
        settings: The settings.
        selection: The days that the user has chosen.
        today: The present day (UTC).

    Raises:
        ConfigurationError: The user has chosen days between which there is none.
    """
    last = min(selection.until or today, today)
    start = selection.since or first_day(prior, table, settings, today)
    if start > last and selection.ranged:
        raise ConfigurationError(
            "--until" if selection.until else "--since",
            f"there is no day from {start} to {last} to read of {table.endpoint.table}.",
            "Give both --since and --until, in the past.",
        )
    return start, last
