"""Reads a report: its windows of days, from the last loaded day on."""

from __future__ import annotations

import logging
from datetime import date

from ..api.pages import Page, read_report
from ..core.clock import utc
from ..core.errors import ConfigurationError, NotThere
from ..schema.records import Row
from .facts import SweepFacts
from .reader import Reader, Reading
from .report import Report, Window, first_day, windows_to_ask
from .results import Verdict

logger = logging.getLogger("automatum")


class ReportReader(Reader):
    """Reads the windows of a report."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        first, last = self._days()
        days = self._selection.window_days or self._settings.report_window_days
        asked = windows_to_ask(first, last, days, self._prior.known)
        self._report = Report(self._table, self._page, self._prior.known, asked, first)
        self._result.counts = self._report.counts
        self._gone: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether all windows are read."""
        return not self._report.todo

    def step(self) -> list[Row]:
        """Read the next window."""
        rows = self._report.step()
        self._result.pages, self._result.distinct = self._report.pages, self._report.distinct
        return rows

    def conclude(self) -> list[str]:
        """Set the verdict; returns the keys of rows that are not reported any more."""
        report, now = self._report, utc(self._session.clock.time())
        self._gone = report.gone(self._prior.past, now, self._selection.allow_deletes) if self._deletes else []
        why_not = report.why_not()
        self._result.verdict = Verdict.INCOMPLETE if why_not else Verdict.COMPLETE
        self._result.reason = why_not or self._unread() or self._waiting()
        return [] if report.ambiguous else self._gone

    def facts(self) -> SweepFacts:
        """What the next sync has to know of this reading."""
        report = self._report
        if self._selection.ranged or report.todo or report.ambiguous or not self._deletes:
            return SweepFacts(partial=self._selection.ranged)
        left = sorted(report.missing.keys() - set(self._gone))
        return SweepFacts(full=True, candidates=tuple(left))

    def not_found(self, error: NotThere) -> None:
        """The API does not know the report: it is skipped, because its path is an assumption."""
        self._result.skipped = f"{error} Set its path, or leave it out of the tables."
        logger.warning("%s is skipped: %s", self._endpoint.table, self._result.skipped)

    def _waiting(self) -> str:
        """What is not reported any more and was not deleted."""
        left = len(self._report.missing) - len(self._gone) if self._deletes else 0
        if not left:
            return ""
        rows, them = ("1 row is", "it") if left == 1 else (f"{left} rows are", "them")
        return (
            f"{rows} not reported any more; the next sync decides, once an earlier and a later day are reported, and "
            f"--allow-deletes deletes {them}"
        )

    def _page(self, first: date, last: date) -> Page:
        return self._own(self._charged(lambda: read_report(self._session.client, self._endpoint, first, last)))

    def _days(self) -> Window:
        today, selection, settings = utc(self._session.clock.time()).date(), self._selection, self._settings
        last = min(selection.until or today, today)
        start = selection.since or first_day(self._prior, self._table, settings, today)
        if start > last and selection.ranged:
            raise ConfigurationError(
                "--until" if selection.until else "--since",
                f"there is no day from {start} to {last} to read of {self._endpoint.table}.",
                "Give both --since and --until, in the past.",
            )
        return start, last
