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
from .report import Report, Window, first_day, windows
from .results import Verdict

logger = logging.getLogger("automatum")


class ReportReader(Reader):
    """Reads the windows of a report."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self._report = Report(self._table, self._page, self._prior.known, self._windows())
        self._result.counts = self._report.counts

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
        report = self._report
        why_not = report.why_not(self._deletes, self._selection.allow_deletes)
        self._result.verdict = Verdict.INCOMPLETE if why_not else Verdict.COMPLETE
        self._result.reason = why_not or self._unread()
        return report.gone if self._deletes and not why_not else []

    def facts(self) -> SweepFacts:
        """What the next sync has to know of this reading."""
        return SweepFacts(partial=self._selection.ranged)

    def not_found(self, error: NotThere) -> None:
        """The API does not know the report: it is skipped, because its path is an assumption."""
        self._result.skipped = f"{error} Set its path, or leave it out of the tables."
        logger.warning("%s is skipped: %s", self._endpoint.table, self._result.skipped)

    def _page(self, first: date, last: date) -> Page:
        return self._own(self._charged(lambda: read_report(self._session.client, self._endpoint, first, last)))

    def _windows(self) -> list[Window]:
        today, selection, settings = utc(self._session.clock.time()).date(), self._selection, self._settings
        last = min(selection.until or today, today)
        start = selection.since or first_day(self._prior, self._table, settings, today)
        if start > last and selection.ranged:
            raise ConfigurationError(
                "--until" if selection.until else "--since",
                f"there is no day from {start} to {last} to read of {self._endpoint.table}.",
                "Give both --since and --until, in the past.",
            )
        return windows(start, last, selection.window_days or settings.report_window_days)
