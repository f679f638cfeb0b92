"""A dated report, read window by window.

The last loaded date is the cursor. A stretch before it is read again each time, because revenue is restated. A row
counts as gone only if neither this reading nor a second one reports it, and if they report an earlier and a later day:
an API may leave out the last day of a range, or return less than it was asked for, and cut an answer within a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from ..api.pages import Page
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import ConfigurationError
from ..schema.arrow_tables import Table
from ..schema.records import Row
from .delete_policy import missing_long_enough, too_many
from .prior_state import PastSweep, PriorState
from .results import DELETED, Counts, KnownRows, Verdict
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


@dataclass
class Report:
    """One reading of one report.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the report of a first and a last day.
        known: What the destination has.
        todo: Windows to read.
        first: First day whose rows are compared and loaded. The windows may begin earlier, for the sake of `gone`.

    Attributes:
        missing: Keys that are not reported any more, and whether the days around them are.
        replaced: Number of those for which their day has a new row instead.
        windows_read: Number of windows that were read, those of earlier runs included.
        compared: Number of rows of the destination that lie within the days that were read.
        ambiguous: Records that have no key of their own.
        refused: Why rows were not deleted though many are missing; empty if nothing was refused.
    """

    table: Table
    fetch: Callable[[date, date], Page]
    known: KnownRows
    todo: list[Window]
    first: date | None = None
    counts: Counts = field(default_factory=Counts)
    distinct: int = 0
    pages: int = 0
    windows_read: int = 0
    ambiguous: int = 0
    missing: dict[str, bool] = field(default_factory=dict)
    replaced: int = 0
    compared: int = 0
    refused: str = ""
    _seen: dict[str, str] = field(default_factory=dict)
    _doubtful: dict[Window, int] = field(default_factory=dict)
    _again: set[Window] = field(default_factory=set)
    _read_to: date = date.min

    @classmethod
    def resumed(
        cls,
        table: Table,
        fetch: Callable[[date, date], Page],
        known: KnownRows,
        state: dict[str, Any],
        last: date,
        days: int | None,
    ) -> Report | None:
        """The reading that an earlier run was interrupted in.

        Args:
            table: Keys and hashes of its records.
            fetch: Reads the report of a first and a last day.
            known: What the destination has.
            state: What the reading knew, as `saved_state` gave it.
            last: Last day to read.
            days: Length of each window; None for a single window.

        Returns:
            The reading. At its end it reads each window in which rows were missing once more, as they may have come
            back. None if the state is none of a report.
        """
        try:
            first, start = (date.fromisoformat(state[name]) for name in ("first", "next"))
            missing = {str(key): bool(reached) for key, reached in dict(state["missing"]).items()}
            again = [(date.fromisoformat(one), date.fromisoformat(two)) for one, two in state["again"]]
            read, compared, ambiguous = (int(state[name]) for name in ("windows_read", "compared", "ambiguous"))
        except (KeyError, TypeError, ValueError):
            return None  # Another version of the connector saved it.
        main = [] if state.get("main_read") and start >= last else windows(start, last, days)
        return cls(
            table, fetch, known, [*main, *again], first,
            windows_read=read, compared=compared, ambiguous=ambiguous, missing=missing,
            _again=set(again), _read_to=start,
        )  # fmt: skip

    @property
    def saved_state(self) -> dict[str, Any]:
        """What a later run has to know to go on with the next window."""
        main = [window for window in self.todo if window not in self._again]
        again = [*(window for window in self.todo if window in self._again), *self._doubtful]
        doubtful = {key for key in self.missing if any(self._lies_in(key, window) for window in self._doubtful)}
        return {
            "first": self.first.isoformat() if self.first else None,
            "next": (main[0][0] if main else self._read_to).isoformat(),
            "main_read": not main,
            "again": [[one.isoformat() for one in window] for window in again],
            "missing": {key: reached for key, reached in self.missing.items() if key not in doubtful},
            "windows_read": self.windows_read,
            "compared": self.compared - sum(self._doubtful.values()),
            "ambiguous": self.ambiguous,
        }

    def step(self) -> list[Row]:
        """Read the next window; returns rows to load."""
        start, end = self.todo[0]
        rows, seen, days = self._rows(self._read(start, end))
        begin = max(start, self.first or start)
        within = {key: day for key in self.known.live if (day := day_of(key, self.table)) and begin <= day <= end}
        lost = {key: day for key, day in within.items() if key not in seen}
        # Days that the answer does not reach are another window's, or cannot be decided. An empty answer reaches none.
        # A window that an earlier run has read twice is read once more, and only once.
        if lost and (start, end) not in self._again and (not days or _reached(days, lost)):
            again, seen_again, days_again = self._rows(self._read(start, end))
            rows.update(again)
            seen.update(seen_again)
            days |= days_again
        reached = _reached(days, lost)
        compared = len(within.keys() - self.missing.keys())
        self.compared += compared
        self.missing.update({key: key in reached for key in lost if not self.missing.get(key)})
        self._count_replaced(seen.keys() - self._seen.keys(), {key: lost[key] for key in reached - seen.keys()})
        for key in seen:
            self.missing.pop(key, None)
            if key in self._seen:
                continue  # The window before ended with the same day.
            new = self.known.hashes.pop(key, None) in (None, DELETED)
            self.counts.unchanged += key not in rows
            self.counts.inserted += key in rows and new
            self.counts.updated += key in rows and not new
        self._seen.update(seen)
        self.distinct = len(self._seen)
        if lost.keys() - seen.keys() and (start, end) not in self._again:
            self._doubtful[start, end] = compared
        self._read_to = max(self._read_to, end)
        self.todo.pop(0)
        self.windows_read += 1
        return list(rows.values())

    def gone(self, past: Sequence[PastSweep], now: datetime, allow_deletes: bool) -> list[str]:
        """Keys of the rows to delete. If many are missing and were not replaced, only those that stayed missing.

        Args:
            past: Earlier readings of the report, the latest first.
            now: The present.
            allow_deletes: Delete however many they are, and whatever days are reported.
        """
        if allow_deletes:
            return list(self.missing)
        gone = [key for key, reached in self.missing.items() if reached]
        if too_many(len(self.missing) - self.replaced, self.compared):
            agreed = missing_long_enough(gone, past, now)
            left = len(self.missing) - len(agreed)
            if too_many(left, self.compared):
                self.refused = (
                    f"{left} of {self.compared} rows are not reported any more; they were not deleted. If they are "
                    "really gone, run with --allow-deletes, or sync again in an hour or later: a second reading that "
                    "agrees deletes those whose days are reported"
                )
            return [key for key in gone if key in agreed]
        return gone

    def why_not(self) -> str:
        """Why it is not complete; empty if it is."""
        endpoint = self.table.endpoint
        if self.ambiguous:
            return (
                f"{self.ambiguous} records share or lack their key ({', '.join(endpoint.key)}); set a unique key in "
                f"sources.automatum.endpoints.{endpoint.table}.key"
            )
        return self.refused

    def _lies_in(self, key: str, window: Window) -> bool:
        day = day_of(key, self.table)
        return day is not None and window[0] <= day <= window[1]

    def _count_replaced(self, seen: Iterable[str], lost: Mapping[str, date]) -> None:
        """Count the lost rows for which their day has a new row: a restated report changes the parts of its keys."""
        hashes = self.known.hashes
        new = Counter(day_of(key, self.table) for key in seen if hashes.get(key, DELETED) == DELETED)
        self.replaced += sum(min(count, new[day]) for day, count in Counter(lost.values()).items())

    def _read(self, start: date, end: date) -> Page:
        page = self.fetch(start, end)
        self.pages += 1
        return page

    def _rows(self, page: Page) -> tuple[dict[str, Row], dict[str, str], set[date]]:
        """The rows to load, key to hash of all rows, and their days."""
        rows: dict[str, Row] = {}
        seen: dict[str, str] = {}
        days: set[date] = set()
        ambiguous = 0
        for key, record in zip(self.table.keys(page.records), page.records, strict=True):
            if key is None or key in seen:
                ambiguous += 1
                continue
            if day := day_of(key, self.table):
                days.add(day)
                if self.first and day < self.first:
                    continue
            seen[key] = hash_ = self.table.hash(record)
            known = self.known.hashes.get(key, self._seen.get(key))
            if known != hash_:
                rows[key] = Row(key, hash_, record, utc(page.read_at), known is not None or not self.known.readable)
        self.ambiguous = max(self.ambiguous, ambiguous)
        return rows, seen, days


def _reached(days: set[date], lost: Mapping[str, date]) -> set[str]:
    """The lost rows whose day lies between the first and the last of the reported days."""
    return {key for key, day in lost.items() if days and min(days) < day < max(days)}
