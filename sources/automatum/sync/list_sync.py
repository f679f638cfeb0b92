"""Reads a list: a sweep, and then the decision about rows that it did not find."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from ..api.pages import Page, read_one, read_page
from ..api.session import ApiClient
from ..core.clock import utc
from ..core.errors import NotThere
from ..core.redaction import redact
from ..core.text import plural
from ..endpoints import Endpoint
from ..schema.records import Record, Rows, count_unkeyed
from .absence import Absence
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
        self.result.requests += self._organization.spent.pop(endpoint.table, 0)
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
        self._absence = Absence(
            self._table,
            self._read_one if endpoint.own_path else None,
            session.may_check,
            last_full(self.prior.past),
            self._options.allow_deletes,
        )
        self._resume()
        self.result.counts, self._absence.alive = self._sweep.state.counts, self._sweep.state.alive
        self._doubtful = ""

    @property
    def _finished(self) -> bool:
        """Whether the sweep has its verdict, and the missing rows have theirs."""
        return self._sweep.verdict is not None and (self._absence.decided or not self._may_delete())

    def _step(self) -> list[Rows]:
        """Read the next page; after the last one, ask for a row that is missing."""
        sweep, result, absence = self._sweep, self.result, self._absence
        if sweep.verdict is None:
            rows = sweep.step()
            result.pages, result.announced = sweep.state.pages_read, sweep.state.total
            result.distinct = len(sweep.keys)
            return rows
        if not absence.started:
            absence.start(sweep.changes.missing(sweep.keys), len(sweep.keys) - self.unkeyed, sweep.some_key)
            return []
        hidden = len(absence.alive)
        record = absence.step()
        if len(absence.alive) > hidden and not sweep.state.readings:
            event = f"{plural(len(absence.alive), 'live row')} on no page of the list"
            if sweep.read_again(event):
                absence.restart()
            else:
                self._doubtful = f"{event}, which is too long to be read again; the next sync decides"
        if record is None:
            return []
        now = utc(self.session.clock.time())
        return [sweep.changes.take(self._table.identify([record]), [record], now, sweep.keys)]

    @property
    def unkeyed(self) -> int:
        """Number of records without a key that the last reading of a list had."""
        return count_unkeyed(self._sweep.keys)

    def _conclude(self) -> None:
        """Take the sweep's verdict over, unless rows are missing."""
        result, sweep, absence = self.result, self._sweep, self._absence
        result.verdict, result.reason = sweep.verdict, sweep.reason
        if result.verdict is Verdict.COMPLETE:
            self._rejections.resolve_all_but(sweep.keys, utc(self.session.clock.time()))
        result.waiting = len(absence.waiting)
        doubt = absence.refused or self._doubtful or (absence.unclear if absence.waiting else "")
        if doubt:
            result.verdict = Verdict.INCOMPLETE
        if absence.waiting and not absence.refused:
            words = f"{plural(result.waiting, 'row')} not listed any more; a later sync decides"
            doubt = f"{words}: {self._unclear()}" if absence.unclear else words
        elif absence.alive:
            words = f"{plural(len(absence.alive), 'row')} not on the list but at their own URLs; they count as live"
            doubt = doubt or words
        result.reason = doubt or result.reason

    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""
        sweep = self._sweep
        complete, drift = sweep.verdict is Verdict.COMPLETE, tuple(sweep.state.drift)
        return self._absence.add_to(replace(self._log.facts, full=complete, drift=drift))

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

    def _take_gone(self) -> list[str]:
        """Rows whose own URL answered 404. Each is confirmed by itself, unless it has been listed since.

        They are not kept for a later run: a row may come back before that, on a page that is not read again.
        """
        gone, self._absence.gone = [key for key in self._absence.gone if key not in self._sweep.keys], []
        return gone

    def _page(self, number: int) -> Page:
        return self._own(self._charged(lambda: self._pages.fetch(number)))

    def _resume(self) -> None:
        """Go on with the interrupted sweep."""
        unfinished = self._interrupted()
        if unfinished is None:
            return
        state = {name: value for name, value in unfinished.state.items() if name != "cursor"}
        page, since = state.get("page"), state.get("since")
        if not isinstance(page, int) or not isinstance(since, float):
            return
        doubt = self._too_old(utc(since), unfinished.needed)
        cursor = str(unfinished.state.get("cursor") or "")
        leads = bool(cursor) or page <= 1 or self.endpoint.paging.any_page
        if not leads or doubt is None:
            return
        self._pages.cursors[page] = cursor
        if self._sweep.resume(unfinished.pages, state):
            self._log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on at page %d", self.endpoint.table, max(1, page))
            if doubt and page:
                self._sweep.distrust(doubt)

    def _may_delete(self) -> bool:
        return self._deletes and self._sweep.verdict is Verdict.COMPLETE

    def _read_one(self, own_id: str) -> Record | None:
        record = self._charged(lambda: read_one(self.session.client, self.endpoint, own_id))
        return self._without_personal([record])[0] if record else record

    def _unclear(self) -> str:
        table = self.endpoint.table
        return (
            f"{self._absence.unclear}. Set sources.automatum.endpoints.{table}.detail_path to the path of a row's own "
            'URL, or to "none" if rows have none'
        )
