"""Reads a list: a sweep, and then the decision about rows that it did not find."""

from __future__ import annotations

import logging
from typing import Any

from ..api.pages import Page, read_one
from ..core.clock import instant, utc
from ..core.errors import NotThere
from ..core.text import plural
from ..schema.records import Rows
from .absence import Decision, decide
from .detail_urls import DetailUrls
from .facts import SweepFacts, last_full
from .list_pages import ListPages
from .reader import Reader, ReaderContext
from .results import PageRecord, Verdict
from .sweep import Sweep
from .sync_log import SweepLog

logger = logging.getLogger("automatum")


class ListReader(Reader):
    """Sweeps a list."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        session, endpoint = self._session, self._endpoint
        self._pages = ListPages(session.client, endpoint)
        self._sweep = Sweep(
            self._table,
            self._page,
            self._prior.known,
            reread_pages=self._settings.reread_pages,
            page_size=endpoint.paging.size,
            by_number=endpoint.paging.any_page,
            exact=endpoint.exact_total,
            rejections=self._rejections,
        )
        self._urls = DetailUrls(
            self._table,
            context.stored,
            lambda own_id: self._charged(lambda: read_one(session.client, endpoint, own_id)),
            lambda: self._sweep.some_key,
            session.may_check,
            self._options.allow_deletes,
        )
        self._resume(context.log)
        self._result.counts = self._sweep.state.counts
        self._last = last_full(self._prior.past)
        self._decision: Decision | None = None
        self._hidden: set[str] = set()
        self._doubtful = ""

    @property
    def finished(self) -> bool:
        """Whether the sweep has its verdict, and the missing rows have theirs."""
        return self._sweep.verdict is not None and (self._decision is not None or not self._may_delete())

    def step(self) -> list[Rows]:
        """Read the next page; after the last one, decide about the missing rows."""
        sweep, result = self._sweep, self._result
        if sweep.verdict is not None:
            return self._look_for_the_missing()
        rows = sweep.step()
        result.pages, result.announced = sweep.state.pages_read, sweep.state.total
        result.distinct = len(sweep.keys)
        return rows

    @property
    def rejected(self) -> int:
        """Number of records that were listed and have no key."""
        return self._sweep.unkeyed

    def conclude(self) -> list[str]:
        """Take the sweep's verdict over, unless rows are missing; returns the keys of rows that are gone."""
        result, sweep, decision = self._result, self._sweep, self._decision
        result.verdict, result.reason = sweep.verdict, sweep.reason or self._unread()
        if result.verdict is Verdict.COMPLETE:
            self._rejections.resolve_all_but(sweep.keys, utc(self._session.clock.time()))
        if decision is None:
            return []
        result.waiting = len(decision.waiting)
        doubt = decision.refused or self._doubtful or (self._urls.unclear if decision.waiting else "")
        if doubt:
            result.verdict = Verdict.INCOMPLETE
        if decision.waiting and not decision.refused:
            words = f"{plural(result.waiting, 'row')} not listed any more; a later sync decides"
            doubt = f"{words}: {self._unclear()}" if self._urls.unclear else words
        elif new := {*decision.off_list, *decision.alive} - set(self._last.off_list):
            doubt = doubt or f"{plural(len(new), 'row')} not on the list but at their own URLs; they count as live"
        result.reason = doubt or result.reason
        return decision.gone

    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""
        sweep = self._sweep
        complete = sweep.verdict is Verdict.COMPLETE
        facts = SweepFacts(full=complete, drift=tuple(sweep.state.drift), off_list=self._last.off_list)
        return self._decision.add_to(facts) if self._decision else facts

    def not_found(self, error: NotThere) -> None:
        """The API does not know the list, which is an error."""
        self._result.error = error

    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the sweep's state after them."""
        sweep = self._sweep
        return sweep.take_records(), {**sweep.saved_state, **self._pages.saved(sweep.state.page)}

    def settled(self) -> list[str]:
        """Rows whose own URL answered 404. Each is confirmed by itself.

        They are not kept for a later run: a row may come back before that, on a page that is not read again.
        """
        return self._urls.gone

    def _page(self, number: int) -> Page:
        return self._own(self._charged(lambda: self._pages.fetch(number)))

    def _resume(self, log: SweepLog) -> None:
        """Go on with the interrupted sweep; with one that is too old only if this run cannot read the whole list.

        Otherwise each run of a small budget would load the first pages again, and never the others.
        """
        unfinished = self._interrupted(log)
        if unfinished is None:
            return
        state = {name: value for name, value in unfinished.state.items() if name != "cursor"}
        page, since = state.get("page"), state.get("since")
        if not isinstance(page, int) or not isinstance(since, float):
            return
        still = self._is_true(utc(since), unfinished.needed)
        if (not still and self._can_read(unfinished.needed)) or not self._pages.restore(unfinished.state, page):
            return
        if self._sweep.resume(unfinished.pages, state):
            log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on at page %d", self._endpoint.table, page)
            if not still:
                self._sweep.distrust(f"the first pages were read at {instant(since)}, too long ago")

    def _may_delete(self) -> bool:
        return self._deletes and self._sweep.verdict is Verdict.COMPLETE

    def _look_for_the_missing(self) -> list[Rows]:
        """Decide about rows that were not listed; returns the rows that turn out to be live."""
        sweep, now = self._sweep, utc(self._session.clock.time())
        listed = sweep.keys
        decision = decide(
            sweep.changes.missing(listed),
            len(listed) - sweep.unkeyed,
            self._last,
            self._urls.ask if self._endpoint.own_path else None,
            self._options.allow_deletes,
        )
        records = list(decision.alive.values())
        rows = [sweep.changes.take(self._table.identify(records), records, now, listed)] if records else []
        hidden = decision.alive.keys() - set(self._last.off_list) - self._hidden
        event = f"{plural(len(hidden), 'live row')} on no page of the list"
        if hidden and sweep.read_again(event):
            self._hidden = hidden
            return rows
        if hidden and not self._hidden and not sweep.state.readings:
            self._doubtful = f"{event}, which is too long to be read again; the next sync decides"
        self._decision = decision
        return rows

    def _unclear(self) -> str:
        table = self._endpoint.table
        return (
            f"{self._urls.unclear}. Set sources.automatum.endpoints.{table}.detail_path to the path of a row's own "
            'URL, or to "none" if rows have none'
        )
