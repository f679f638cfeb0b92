"""Reads a report: its windows of days, from the last loaded day on."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import orjson

from ..api.pages import Page, read_report
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import NotThere, RequestRefused
from ..core.text import plural
from ..schema.arrow_tables import Table
from ..schema.records import Identified, Rows, is_unkeyed
from .changes import Changes
from .facts import SweepFacts
from .options import SyncOptions
from .prior_state import PriorState
from .report import Answer, Ask, Report
from .results import PageRecord, Verdict
from .table_sync import TableSync

logger = logging.getLogger("automatum")


class ReportSync(TableSync):
    """Reads the windows of a report."""

    def _begin(self) -> None:
        settings, today = self.settings, utc(self.session.clock.time()).date()
        start, last = days_to_read(self.prior, self._table, settings, self._options, today)
        self._since = min(start, read_since(self.prior) or start)
        self._ambiguous, self._asked = 0, list[tuple[str, str, int]]()
        self._changes = Changes(self._table, self.prior.known, self.result.counts, self._rejections)
        self._doubt = ""
        self._listed: set[str] = set()
        self._records: list[PageRecord] = []
        stored: defaultdict[date, list[str]] = defaultdict(list)
        for key in self.prior.known.live:
            if day := day_of(key, self._table):
                stored[day].append(key)
        self._report = Report(
            self.endpoint.table,
            start,
            last,
            settings.report_window_days,
            stored,
            today,
            deletes=self._deletes,
            allow_deletes=self._options.allow_deletes,
            may_check=self.session.may_check,
        )
        self._asks = self._report.read(self._resume())
        self._ask = next(self._asks, None)

    @property
    def _finished(self) -> bool:
        """Whether nothing is left to ask for."""
        return self._ask is None

    def _step(self) -> list[Rows]:
        """Ask for the next range of days."""
        assert self._ask is not None
        first, last = self._ask
        page = self._page(first, last)
        rows, answer = self._take(page, first, last)
        self._asked.append((first.isoformat(), last.isoformat(), answer.rows))
        self.result.pages, self.result.distinct = len(self._asked), len(self._listed)
        self._records.append(PageRecord(len(self._asked), [*answer.keys], None, utc(page.read_at)))
        try:
            self._ask = self._asks.send(answer)
        except StopIteration:
            self._ask = None
        return [rows] if rows else []

    def _conclude(self) -> None:
        """Set the verdict."""
        report, endpoint = self._report, self.endpoint.table
        if self._ambiguous:
            report.why = (
                f"{plural(self._ambiguous, 'record')} share or lack their key ({', '.join(self.endpoint.key)}); set a "
                f"unique key in sources.automatum.endpoints.{endpoint}.key"
            )
        why, self.result.waiting = report.why, report.waiting
        waiting = f"{plural(report.waiting, 'row')} not reported any more; a later sync decides"
        self.result.verdict = Verdict.INCOMPLETE if why else Verdict.COMPLETE
        self.result.reason = why or (waiting if report.waiting else "")

    def _take_gone(self) -> list[str]:
        """Keys of the rows whose own days lack them."""
        gone, self._report.gone = self._report.gone, []
        return [] if self._report.why or self._ambiguous else gone

    def facts(self) -> SweepFacts:
        """What the next sync has to know of this reading."""
        partial = bool(self._options.since)
        proven = self._finished and self._deletes and not (self._report.why or self._ambiguous)
        since = None if partial else self._since.isoformat()
        return replace(self._log.facts, partial=partial, since=since, full=proven and not partial)

    def _not_found(self, error: NotThere) -> None:
        """The API does not know the report: it is skipped, because its path is an assumption."""
        self.result.skipped = f"{error} Set its path, or leave it out of the tables."
        logger.warning("%s is skipped: %s", self.endpoint.table, self.result.skipped)

    def _unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """A record for each answer since the last call, and what the reading knows after the last of them."""
        records, self._records = self._records, []
        fresh = {day.isoformat(): count for day, count in self._report.fresh.items()}
        return records, {"asked": self._asked, "fresh": fresh, "ambiguous": self._ambiguous, "doubt": self._doubt}

    def _resume(self) -> dict[Ask, list[Answer]]:
        """The answers of the interrupted reading of the same days, if there is one."""
        unfinished, names = self._interrupted(), {"asked", "fresh", "ambiguous", "doubt"}
        if unfinished is None or unfinished.state.keys() != names:
            return {}  # Another version of the connector saved it.
        doubt = self._too_old(unfinished.started_at, max(unfinished.needed, 2 * len(self._report.windows)) + 5)
        days = {one.page: {key: day_of(key, self._table) for key in one.keys} for one in unfinished.pages}
        first = self._report.first
        own = [key for of_page in days.values() for key, day in of_page.items() if (day or first) >= first]
        state, known = unfinished.state, defaultdict[Ask, list[Answer]](list)
        if doubt is None or not self._changes.are_loaded(own) or len(days) < len(state["asked"]):
            return {}
        self._asked, self._ambiguous, self._doubt = state["asked"], state["ambiguous"], state["doubt"] or doubt
        self._report.fresh.update({date.fromisoformat(day): count for day, count in state["fresh"].items()})
        self._report.why, self._listed = self._doubt, set(own)
        for number, (start, end, rows) in enumerate(self._asked, 1):
            ask, of_page = (date.fromisoformat(start), date.fromisoformat(end)), days.get(number, {})
            named = tuple(sorted({day for day in of_page.values() if day}))
            known[ask].append(Answer(*ask, rows, frozenset(of_page), named))
        self._log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
        logger.info("%s goes on where an earlier run ended", self.endpoint.table)
        return known

    def _page(self, first: date, last: date) -> Page:
        try:
            page = self._charged(lambda: read_report(self.session.client, self.endpoint, first, last))
        except RequestRefused as error:
            if not isinstance(error, NotThere) and not error.next_step and first != last:
                error.next_step = (
                    "If the range is too long, set sources.automatum.report_window_days to the days that the API "
                    "allows. If the names of the parameters are others, set "
                    f"sources.automatum.endpoints.{self.endpoint.table}.parameters."
                )
            raise
        return self._own(page)

    def _take(self, page: Page, first: date, last: date) -> tuple[Rows, Answer]:
        """Compare the records of an answer with the destination; returns those to load, and what the answer shows."""
        found, report = self._table.identify(page.records), self._report
        days: dict[str, date | None] = {}
        places: list[int] = []
        for place, key in enumerate(found.keys):
            if not is_unkeyed(key) and key not in days:
                days[key] = day = day_of(key, self._table)
                if day is None or day >= report.first:
                    places.append(place)  # An earlier day is evidence, and its rows are not to be loaded.
                    if day and place not in found.failed and self.prior.known.is_deleted(key):
                        report.fresh[day] += 1
        own = Identified(
            [found.keys[place] for place in places],
            [found.hashes[place] for place in places],
            found.size * len(places) // max(1, len(page.records)),
            {i: found.failed[place] for i, place in enumerate(places) if place in found.failed},
        )
        rows = self._changes.take(own, [page.records[place] for place in places], utc(page.read_at), self._listed)
        self._listed.update(own.keys)
        self._ambiguous = max(self._ambiguous, len(found.keys) - len(days))
        self._judge(page, first, last, sum(day is None for day in days.values()))
        named = sorted({day for day in days.values() if day})
        return rows, Answer(first, last, len(page.records), frozenset(days), tuple(named))

    def _judge(self, page: Page, first: date, last: date, undated: int) -> None:
        """Note what an answer itself says against its being whole."""
        at = f"sources.automatum.endpoints.{self.endpoint.table}"
        if undated:
            self._doubt = (
                f"{plural(undated, 'record')} name no day, so no range can be proven; set columns = {{ date = ... }} "
                f"below [{at}] to the vendor's name of the day"
            )
        if page.total is not None and page.total > len(page.records):
            self._doubt = (
                f"the API announces {page.total} rows of {first} to {last} and answers {len(page.records)}; set "
                "sources.automatum.report_window_days to fewer days than these"
            )
        self._report.why = self._report.why or self._doubt


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
