"""Reads a report: its windows of days, from the last loaded day on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ..api.pages import Page
from ..api.report_pages import ReportPages
from ..api.session import ApiSession
from ..core.clock import utc
from ..core.errors import NotThere, RequestRefused
from ..endpoints import Endpoint
from ..schema.arrow_tables import Table
from ..schema.records import Rows
from .facts import SweepFacts
from .prior_state import PriorState, read_prior_state
from .reader import Reader, ReaderContext
from .report import Report
from .report_days import Window, days_to_read, read_since, windows_to_ask
from .report_proof import Uncut
from .results import KnownRows, PageRecord, Verdict
from .selection import Selection
from .sync_log import SweepLog

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")


class ReportReader(Reader):
    """Reads the windows of a report."""

    def __init__(self, reading: ReaderContext) -> None:
        super().__init__(reading)
        first, last = self._days()
        days = self._settings.report_window_days
        asked = windows_to_ask(first, last, days, self._prior.known)
        paged = next((one.facts.paged for one in self._prior.past), False)
        self._pages = ReportPages(self._session.client, self._endpoint, paged)
        self._report = self._resumed(reading.log, last, days) or Report(
            self._table, self._page, self._prior.known, asked, first
        )
        now = utc(self._session.clock.time())
        lately = self._prior.uncut(now, timedelta(hours=24))
        self._report.uncut, self._report.today = Uncut().with_others(lately), now.date()
        self._result.counts = self._report.counts
        self._gone: list[str] = []
        self._records: list[PageRecord] = []

    @property
    def finished(self) -> bool:
        """Whether all windows are read, and what is doubted in their answers."""
        return self._report.finished

    def step(self) -> list[Rows]:
        """Read the next window."""
        rows = self._report.step()
        number, read_at = self._report.windows_read, utc(self._session.clock.time())
        self._records.append(PageRecord(number, [], None, read_at))
        self._result.pages, self._result.distinct = self._pages.requests, self._report.distinct
        return [Rows([one.key], [one.hash], [one.record], one.read_at, one.size) for one in rows]

    def conclude(self) -> list[str]:
        """Set the verdict; returns the keys of rows that are not reported any more."""
        report, now = self._report, utc(self._session.clock.time())
        self._gone = report.gone(self._prior.past, now, self._selection.allow_deletes) if self._deletes else []
        why_not = report.why_not()
        self._result.verdict = Verdict.INCOMPLETE if why_not else Verdict.COMPLETE
        self._result.reason = why_not or self._unread() or self._waiting() or self._cut()
        if report.ambiguous or report.unproven:
            self._gone = []
        return self._gone

    def facts(self) -> SweepFacts:
        """What the next sync has to know of this reading."""
        report, since = self._report, self._since.isoformat()
        proven = report.proven
        facts = SweepFacts(
            partial=self._selection.ranged,
            since=None if self._selection.ranged else since,
            uncut=(proven.days, proven.rows) if proven.days else (),
            paged=self._pages.paged,
        )
        if self._selection.ranged or not report.finished or report.ambiguous or report.unproven or not self._deletes:
            return facts
        left = sorted(report.missing.keys() - set(self._gone))
        return replace(facts, full=True, candidates=tuple(left))

    def not_found(self, error: NotThere) -> None:
        """The API does not know the report: it is skipped, because its path is an assumption."""
        self._result.skipped = f"{error} Set its path, or leave it out of the tables."
        logger.warning("%s is skipped: %s", self._endpoint.table, self._result.skipped)

    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """A record for each window since the last call, and what the reading knows after the last of them."""
        records, self._records = self._records, []
        return records, self._report.saved_state if records else {}

    def _resumed(self, log: SweepLog, last: date, days: int | None) -> Report | None:
        """The interrupted reading of the same days, with its remaining windows; None if there is none."""
        unfinished = self._interrupted(log)
        if unfinished is None:
            return None
        report = Report.resumed(self._table, self._page, self._prior.known, unfinished.state, last, days)
        if report:
            log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on where an earlier run ended", self._endpoint.table)
        return report

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

    def _cut(self) -> str:
        """What is worth knowing about windows that the API cut."""
        days = self._report.limit
        return f"the API cuts longer ranges; set report_window_days = {days} to save requests" if days else ""

    def _page(self, first: date, last: date) -> Page:
        try:
            return self._own(self._charged(lambda: self._pages.read(first, last)))
        except RequestRefused as error:
            if isinstance(error, NotThere) or error.next_step or first == last:
                raise
            error.next_step = (
                "If the range is too long, set sources.automatum.report_window_days to the days that the API allows. "
                "If the names of the parameters are others, set "
                f"sources.automatum.endpoints.{self._endpoint.table}.parameters."
            )
            raise

    def _days(self) -> Window:
        today, selection, settings = utc(self._session.clock.time()).date(), self._selection, self._settings
        start, last = days_to_read(self._prior, self._table, settings, selection, today)
        self._since = min(start, read_since(self._prior) or start)
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
    if not selection.ranged:
        return
    settings, now = session.settings, utc(session.clock.time())
    for endpoint in endpoints:
        if endpoint.kind == "report":
            prior = PriorState(KnownRows())
            if pipeline is not None and selection.since is None:
                prior = read_prior_state(pipeline, endpoint, now, organization_id=settings.owner)
            days_to_read(prior, Table(endpoint, settings.owner), settings, selection, now.date())
