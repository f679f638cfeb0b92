"""Reads a report: its windows of days, from the last loaded day on."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import replace
from datetime import date
from typing import Any

from ..api.pages import Page, read_report
from ..core.clock import utc
from ..core.errors import NotThere, RequestRefused
from ..core.text import plural
from ..schema.records import Rows, is_unkeyed
from .facts import SweepFacts
from .reader import Reader
from .rejections import reject
from .report import Answer, Report
from .report_days import day_of, days_to_read, read_since
from .results import DELETED, PageRecord, Verdict

logger = logging.getLogger("automatum")


class ReportReader(Reader):
    """Reads the windows of a report."""

    def __post_init__(self) -> None:
        super().__post_init__()
        settings, today = self._settings, utc(self.session.clock.time()).date()
        start, last = days_to_read(self.prior, self.table, settings, self.options, today)
        self._since = min(start, read_since(self.prior) or start)
        self._ambiguous, self._count = 0, 0
        self._hashes: dict[str, str] = {}
        self._records: list[PageRecord] = []
        stored: defaultdict[date, list[str]] = defaultdict(list)
        for key in self.prior.known.live:
            if day := day_of(key, self.table):
                stored[day].append(key)
        self._report = Report(
            self._endpoint.table,
            start,
            last,
            settings.report_window_days,
            stored,
            today,
            deletes=self._deletes,
            allow_deletes=self.options.allow_deletes,
            may_check=self.session.may_check,
        )
        self._resume()
        self._asks = self._report.read()
        self._ask = next(self._asks, None)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to ask for."""
        return self._ask is None

    def step(self) -> list[Rows]:
        """Ask for the next range of days."""
        assert self._ask is not None
        first, last = self._ask
        page = self._page(first, last)
        rows, answer = self._take(page, first, last)
        self._count += 1
        self.result.pages, self.result.distinct = self._count, len(self._hashes)
        self._records.append(PageRecord(self._count, [], None, utc(page.read_at)))
        try:
            self._ask = self._asks.send(answer)
        except StopIteration:
            self._ask = None
        return [rows] if rows else []

    def conclude(self) -> list[str]:
        """Set the verdict; returns the keys of rows that are not reported any more."""
        report, endpoint = self._report, self._endpoint.table
        if self._ambiguous:
            report.why = (
                f"{plural(self._ambiguous, 'record')} share or lack their key ({', '.join(self._endpoint.key)}); set a "
                f"unique key in sources.automatum.endpoints.{endpoint}.key"
            )
        self.result.waiting = report.waiting
        waiting = f"{plural(report.waiting, 'row')} not reported any more; a later sync decides"
        self.result.verdict = Verdict.INCOMPLETE if report.why else Verdict.COMPLETE
        self.result.reason = report.why or self._unread() or (waiting if report.waiting else "")
        return self.settled()

    def settled(self) -> list[str]:
        """Keys of the rows whose own days lack them."""
        return [] if self._report.why or self._ambiguous else list(self._report.gone)

    def facts(self) -> SweepFacts:
        """What the next sync has to know of this reading."""
        partial = bool(self.options.since)
        facts = SweepFacts(partial=partial, since=None if partial else self._since.isoformat())
        proven = self.finished and self._deletes and not (self._report.why or self._ambiguous)
        return replace(facts, full=proven and not partial)

    def not_found(self, error: NotThere) -> None:
        """The API does not know the report: it is skipped, because its path is an assumption."""
        self.result.skipped = f"{error} Set its path, or leave it out of the tables."
        logger.warning("%s is skipped: %s", self._endpoint.table, self.result.skipped)

    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """A record for each answer since the last call, and what the reading knows after the last of them."""
        records, self._records = self._records, []
        state = {**self._report.saved_state, "ambiguous": self._ambiguous, "count": self._count}
        return records, state if records else {}

    def _resume(self) -> None:
        """Go on with the interrupted reading of the same days, if there is one."""
        unfinished = self._interrupted()
        still = unfinished and self._is_true(unfinished.started_at, unfinished.needed)
        if unfinished and still and self._report.resume(unfinished.state):
            self._ambiguous, self._count = (int(unfinished.state[name]) for name in ("ambiguous", "count"))
            self.log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on where an earlier run ended", self._endpoint.table)

    def _page(self, first: date, last: date) -> Page:
        try:
            page = self._charged(lambda: read_report(self.session.client, self._endpoint, first, last))
        except RequestRefused as error:
            if not isinstance(error, NotThere) and not error.next_step and first != last:
                error.next_step = (
                    "If the range is too long, set sources.automatum.report_window_days to the days that the API "
                    "allows. If the names of the parameters are others, set "
                    f"sources.automatum.endpoints.{self._endpoint.table}.parameters."
                )
            raise
        return self._own(page)

    def _take(self, page: Page, first: date, last: date) -> tuple[Rows, Answer]:
        """Compare the records of an answer with the destination; returns those to load, and what the answer shows."""
        found, read_at = self.table.identify(page.records), utc(page.read_at)
        rows = Rows([], [], [], read_at)
        days: dict[str, date | None] = {}
        ambiguous = 0
        for place, (key, hash_) in enumerate(zip(found.keys, found.hashes, strict=True)):
            if is_unkeyed(key) or key in days:
                ambiguous += 1
                continue
            days[key] = day = day_of(key, self.table)
            if day and day < self._report.first:
                continue  # It is evidence, and none of the rows to load.
            if place in found.failed and key not in self._hashes:
                self.rejections.add(reject(key, key, hash_, page.records[place], found.failed[place], read_at))
            elif place not in found.failed and self._changed(key, hash_, day):
                rows.keys.append(key)
                rows.hashes.append(hash_)
                rows.records.append(page.records[place])
            self._hashes[key] = hash_
        self._report.seen.update(days)
        self._ambiguous = max(self._ambiguous, ambiguous)
        self._judge(page, first, last, sum(day is None for day in days.values()))
        rows.size = found.size * len(rows) // max(1, len(page.records))
        named = sorted({day for day in days.values() if day})
        return rows, Answer(first, last, len(page.records), frozenset(days), tuple(named))

    def _changed(self, key: str, hash_: str, day: date | None) -> bool:
        """Whether a row has to be loaded; it is counted when it is met first."""
        before, counts = self.prior.known.hashes.get(key), self.result.counts
        if key in self._hashes:
            return self._hashes[key] != hash_
        counts.unchanged += before == hash_
        counts.inserted += before in (None, DELETED)
        counts.updated += before not in (None, DELETED, hash_)
        if day and before in (None, DELETED):
            self._report.fresh[day] += 1
        return before != hash_

    def _judge(self, page: Page, first: date, last: date, undated: int) -> None:
        """Note what an answer itself says against its being whole."""
        at, report = f"sources.automatum.endpoints.{self._endpoint.table}", self._report
        if undated:
            report.why = report.why or (
                f"{plural(undated, 'record')} name no day, so no range can be proven; set columns = {{ date = ... }} "
                f"below [{at}] to the vendor's name of the day"
            )
        if page.total is not None and page.total > len(page.records):
            report.why = report.why or (
                f"the API announces {page.total} rows of {first} to {last} and answers {len(page.records)}; set "
                "sources.automatum.report_window_days to fewer days than these"
            )
