"""A dated report, read window by window.

The last loaded date is the cursor. A stretch before it is read again each time, because revenue is restated. A row
counts as gone only if its day was read and neither this reading nor a second one reports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import orjson

from ..api.pages import Page
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..schema.arrow_tables import Table
from ..schema.records import Row
from .delete_policy import AT_LEAST, SHARE
from .prior_state import PriorState
from .results import DELETED, Counts, KnownRows, Verdict

Window = tuple[date, date]


def windows(start: date, end: date, days: int | None) -> list[Window]:
    """Consecutive windows of whole days, both ends included.

    Args:
        start: First day.
        end: Last day.
        days: Length of each; None for a single window.
    """
    step = timedelta(days=days or (end - start).days + 1)
    found: list[Window] = []
    while start <= end:
        found.append((start, min(end, start + step - timedelta(days=1))))
        start += step
    return found


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
    return max(since, min(max(days), max(whole)) - timedelta(days=settings.lookback_days))


@dataclass
class Report:
    """One reading of one report.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the report of a first and a last day.
        known: What the destination has.
        todo: Windows to read.

    Attributes:
        gone: Keys that are not reported any more.
        compared: Rows of the destination that lie within the days that were read.
        ambiguous: Records that have no key of their own.
    """

    table: Table
    fetch: Callable[[date, date], Page]
    known: KnownRows
    todo: list[Window]
    counts: Counts = field(default_factory=Counts)
    distinct: int = 0
    pages: int = 0
    ambiguous: int = 0
    gone: list[str] = field(default_factory=list)
    compared: int = 0

    def step(self) -> list[Row]:
        """Read the next window; returns rows to load."""
        start, end = self.todo[0]
        page = self._read(start, end)
        rows, seen = self._rows(page)
        within = [key for key in self.known.live if (day := day_of(key, self.table)) and start <= day <= end]
        self.compared += len(within)
        missing = [key for key in within if key not in seen]
        if missing:
            again, seen_again = self._rows(self._read(start, end))
            rows.update(again)
            self.gone += [key for key in missing if key not in seen_again]
            seen |= seen_again
        for key in seen:
            new = self.known.hashes.pop(key, None) in (None, DELETED)
            self.counts.unchanged += key not in rows
            self.counts.inserted += key in rows and new
            self.counts.updated += key in rows and not new
        self.distinct += len(seen)
        self.todo.pop(0)
        return list(rows.values())

    def why_not(self, deletes: bool, allow_deletes: bool) -> str:
        """Why it is not complete; empty if it is.

        Args:
            deletes: Rows that are gone are to be deleted.
            allow_deletes: Delete however many they are.
        """
        endpoint, count = self.table.endpoint, len(self.gone)
        if self.ambiguous:
            return (
                f"{self.ambiguous} records share or lack their key ({', '.join(endpoint.key)}); set a unique key in "
                f"sources.automatum.endpoints.{endpoint.table}.key"
            )
        if deletes and count > AT_LEAST and count > SHARE * self.compared and not allow_deletes:
            return (
                f"{count} of {self.compared} rows are not reported any more; nothing was deleted. If they "
                "are really gone, run with --allow-deletes"
            )
        return ""

    def _read(self, start: date, end: date) -> Page:
        page = self.fetch(start, end)
        self.pages += 1
        return page

    def _rows(self, page: Page) -> tuple[dict[str, Row], set[str]]:
        rows: dict[str, Row] = {}
        seen: set[str] = set()
        ambiguous = 0
        for key, record in zip(self.table.keys(page.records), page.records, strict=True):
            if key is None or key in seen:
                ambiguous += 1
                continue
            seen.add(key)
            hash_ = self.table.hash(record)
            known = self.known.hashes.get(key)
            if known != hash_:
                rows[key] = Row(key, hash_, record, utc(page.read_at), known is not None or not self.known.readable)
        self.ambiguous = max(self.ambiguous, ambiguous)
        return rows, seen
