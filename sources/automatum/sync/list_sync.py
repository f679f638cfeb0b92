"""Reads a list: a sweep, and then the decision about rows that it did not find."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from ..api.pages import Page, read_one, read_page
from ..api.session import ApiClient
from ..core.clock import instant, utc
from ..core.errors import NotThere
from ..core.redaction import redact
from ..core.text import plural
from ..endpoints import Endpoint
from ..schema.records import Rows, count_unkeyed
from .absence import Decision, DetailUrls, decide
from .facts import SweepFacts, last_full
from .results import PageRecord, Verdict
from .sweep import REREAD_PAGES, Sweep
from .table_sync import TableSync

logger = logging.getLogger("automatum")


class ListPages:
    """Reads the pages of one list by their numbers, also where a cursor leads from each page to the next one.

    Args:
        client: Sends the requests.
        endpoint: Endpoint of a list.
        read: The first page, if it was read already.

    Attributes:
        cursors: Number of a page to the cursor that leads to it, where the list is paged by cursor.
    """

    def __init__(self, client: ApiClient, endpoint: Endpoint, read: Page | None = None) -> None:
        self._client, self._endpoint, self._read = client, endpoint, read
        self.cursors: dict[int, str] = {}

    def fetch(self, number: int) -> Page:
        """Read a page.

        Args:
            number: Number of the page, from 1. Where a cursor leads on, the first page, or one that was led to.
        """
        after = self.cursors.get(number, "")
        page, self._read = (self._read if number == 1 else None), None
        page = page or read_page(self._client, self._endpoint, number, after)
        if after and page.next_at == after:
            page = replace(page, next_at=None)  # A cursor that leads to its own page leads nowhere.
        self.cursors = {number: after, number + 1: page.next_at or ""}
        return page


class ListSync(TableSync):
    """Sweeps a list."""

    def _begin(self) -> None:
        session, endpoint = self.session, self.endpoint
        self._pages = ListPages(session.client, endpoint, self._organization.pages.pop(endpoint.table, None))
        self._sweep = Sweep(
            self._table,
            self._page,
            self.prior.known,
            reread_pages=REREAD_PAGES,
            page_size=endpoint.paging.size,
            by_number=endpoint.paging.any_page,
            exact=endpoint.exact_total,
            rejections=self._rejections,
        )
        self._urls = DetailUrls(
            self._table,
            lambda own_id: self._charged(lambda: read_one(session.client, endpoint, own_id)),
            lambda: self._sweep.some_key,
            session.may_check,
            self._options.allow_deletes,
        )
        self._resume()
        self.result.counts = self._sweep.state.counts
        self._last = last_full(self.prior.past)
        self._decision: Decision | None = None
        self._hidden: set[str] = set()
        self._doubtful = ""

    @property
    def _finished(self) -> bool:
        """Whether the sweep has its verdict, and the missing rows have theirs."""
        return self._sweep.verdict is not None and (self._decision is not None or not self._may_delete())

    def _step(self) -> list[Rows]:
        """Read the next page; after the last one, decide about the missing rows."""
        sweep, result = self._sweep, self.result
        if sweep.verdict is not None:
            return self._look_for_the_missing()
        rows = sweep.step()
        result.pages, result.announced = sweep.state.pages_read, sweep.state.total
        result.distinct = len(sweep.keys)
        return rows

    @property
    def unkeyed(self) -> int:
        """Number of records without a key that the last reading of a list had."""
        return count_unkeyed(self._sweep.keys)

    def _conclude(self) -> list[str]:
        """Take the sweep's verdict over, unless rows are missing; returns the keys of rows that are gone."""
        result, sweep, decision = self.result, self._sweep, self._decision
        result.verdict, result.reason = sweep.verdict, sweep.reason
        if result.verdict is Verdict.COMPLETE:
            self._rejections.resolve_all_but(sweep.keys, utc(self.session.clock.time()))
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
        drift, off_list = tuple(sweep.state.drift), self._last.off_list
        facts = replace(self._log.facts, full=complete, drift=drift, off_list=off_list)
        return self._decision.add_to(facts) if self._decision else facts

    def _not_found(self, error: NotThere) -> None:
        """The API does not know the list, which is an error."""
        self.result.error = error

    def _unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the sweep's state after them."""
        sweep = self._sweep
        cursor = self._pages.cursors.get(sweep.state.page, "")
        # A cursor with a secret stays out of the destination: the sweep then starts anew.
        place = {"cursor": cursor} if redact(cursor) == cursor else {}
        return sweep.take_records(), {**sweep.saved_state, **place}

    def _settled(self) -> list[str]:
        """Rows whose own URL answered 404. Each is confirmed by itself.

        They are not kept for a later run: a row may come back before that, on a page that is not read again.
        """
        return self._urls.gone

    def _page(self, number: int) -> Page:
        return self._own(self._charged(lambda: self._pages.fetch(number)))

    def _resume(self) -> None:
        """Go on with the interrupted sweep; with one that is too old only if this run cannot read the whole list.

        Otherwise each run of a small budget would load the first pages again, and never the others.
        """
        unfinished = self._interrupted()
        if unfinished is None:
            return
        state = {name: value for name, value in unfinished.state.items() if name != "cursor"}
        page, since = state.get("page"), state.get("since")
        if not isinstance(page, int) or not isinstance(since, float):
            return
        still = self._is_true(utc(since), unfinished.needed)
        cursor = str(unfinished.state.get("cursor") or "")
        leads = bool(cursor) or page == 1 or self.endpoint.paging.any_page
        if not leads or (not still and self._can_read(unfinished.needed)):
            return
        self._pages.cursors[page] = cursor
        if self._sweep.resume(unfinished.pages, state):
            self._log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on at page %d", self.endpoint.table, page)
            if not still:
                self._sweep.distrust(f"the first pages were read at {instant(since)}, too long ago")

    def _can_read(self, requests: int) -> bool:
        """Whether the bounds of this run allow so many further requests."""
        client, budget = self.session.client, self.session.budget
        left, seconds = budget.remaining_requests, budget.remaining_seconds()
        bounds = [one for one in (seconds, client.tokens.max_wait) if one is not None]
        enough = left is None or left >= requests
        return enough and (not bounds or client.limiter.wait_for(requests, client.seconds_per_request) <= min(bounds))

    def _may_delete(self) -> bool:
        return self._deletes and self._sweep.verdict is Verdict.COMPLETE

    def _look_for_the_missing(self) -> list[Rows]:
        """Decide about rows that were not listed; returns the rows that turn out to be live."""
        sweep, now = self._sweep, utc(self.session.clock.time())
        listed = sweep.keys
        decision = decide(
            sweep.changes.missing(listed),
            len(listed) - self.unkeyed,
            self._last,
            self._urls.ask if self.endpoint.own_path else None,
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
        table = self.endpoint.table
        return (
            f"{self._urls.unclear}. Set sources.automatum.endpoints.{table}.detail_path to the path of a row's own "
            'URL, or to "none" if rows have none'
        )
