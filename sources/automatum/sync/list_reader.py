"""Reads a list: a sweep, and then the decision about rows that it did not find."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..api.pages import Page, read_one, read_page
from ..core.clock import utc
from ..core.errors import NotThere, RequestRefused
from ..schema.records import Row
from .delete_policy import MOST_OFF_LIST, Decision, Missing, decide, last_full
from .endless import EndlessList
from .facts import SweepFacts
from .filter_check import FilterCheck
from .own_urls import OwnUrls
from .page_source import PageSource
from .reader import Reader, Reading
from .readings import Earlier, ListDigest
from .results import LOAD_AGAIN, PageRecord, Verdict
from .sweep import Sweep
from .sync_log import SweepLog

logger = logging.getLogger("automatum")


class ListReader(Reader):
    """Sweeps a list."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        client, filters = self._session.client, self._selection.filters
        self._pages = PageSource(client, self._endpoint, filters)
        wanted = self._selection.wanted(self._table)
        self._filters = FilterCheck(self._table, filters, wanted, self._first_page, self._kept_before())
        self._sweep = Sweep(
            self._table,
            self._page,
            self._prior.known,
            newest_first=self._may_end_early(),
            wanted=self._filters.is_wanted if wanted else None,
            earlier=self._earlier(),
            extra_requests=self._settings.reread_pages,
            page_size=self._endpoint.paging.size,
            rejections=self._rejections,
        )
        self._endless = EndlessList(self._endpoint)
        self._own_urls = OwnUrls(
            self._table,
            reading.stored,
            lambda own_id: self._charged(lambda: read_one(client, self._endpoint, own_id)),
            lambda: self._sweep.some_key,
            known=last_full(self._prior.past).own_urls == self._endpoint.own_path,
        )
        self._resume(reading.log)
        self._result.counts = self._sweep.state.counts
        self._decision: Decision | None = None
        self._hidden: set[str] = set()
        self._found: set[str] = set()

    @property
    def finished(self) -> bool:
        """Whether the sweep has its verdict, and the missing rows have theirs."""
        verdict = self._sweep.verdict
        if verdict is Verdict.COMPLETE and self._filters.why_not is None:
            return False
        return verdict is not None and (self._decision is not None or not self._may_delete())

    def step(self) -> list[Row]:
        """Read the next page; after the last one, decide about the missing rows."""
        sweep, result = self._sweep, self._result
        if sweep.verdict is not None:
            if self._filters.why_not is not None:
                return self._look_for_the_missing()
            self._filters.prove()
            return []
        number, before = sweep.state.next, len(sweep.listed)
        rows = sweep.step()
        result.pages, result.announced, result.distinct = sweep.state.pages_read, sweep.state.total, len(sweep.listed)
        if sweep.state.next > number:
            self._endless.check(result.distinct - before, result.distinct, sweep.state.total)
        return rows

    @property
    def rejected(self) -> int:
        """Number of records that were listed and have no key."""
        return self._sweep.unkeyed

    def conclude(self) -> list[str]:
        """Take the sweep's verdict over, unless rows are missing; returns the keys of rows that are gone."""
        gone = self._conclude()
        if self._sweep.verdict is Verdict.COMPLETE and not self._sweep.cut and self._selection.everything:
            self._rejections.resolve_all_but(self._sweep.listed, utc(self._session.clock.time()))
        return gone

    def _conclude(self) -> list[str]:
        result, decision = self._result, self._decision
        result.verdict, result.reason = self._sweep.verdict, self._sweep.reason or self._unread()
        if decision is None:
            if self._filters.why_not:
                result.verdict, result.reason = Verdict.INCOMPLETE, self._filters.why_not
            return []
        if decision.refused:
            result.verdict, result.reason = Verdict.INCOMPLETE, decision.refused
        elif decision.waiting:
            result.reason = f"{decision.waiting} rows are not listed any more; the next sync decides"
            if decision.unclear:
                result.reason += f" ({self._own_urls.unclear})"
        elif new := self._off_list(decision):
            result.reason = f"{len(new)} rows are not on the list but at their own URLs; they count as live"
        return decision.confirmed

    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""
        sweep, everything = self._sweep, self._selection.everything
        read = everything and sweep.verdict is not None and not sweep.cut
        digest, before = sweep.digest if read else None, last_full(self._prior.past)
        facts = SweepFacts(
            full=read and sweep.verdict is Verdict.COMPLETE,
            partial=not everything,
            ordered=sweep.state.ordered if self._endpoint.newest_first else None,
            drift=tuple(sweep.state.drift),
            off_list=before.off_list,
            own_urls=before.own_urls,
            hidden=tuple(sorted(self._hidden)[:MOST_OFF_LIST]),
            digest=digest.as_json() if digest else None,
            end_at=sweep.end_at if read else None,
        )
        return self._decision.add_to(facts) if self._decision else facts

    def not_found(self, error: NotThere) -> None:
        """The API does not know the list, which is an error."""
        self._result.error = error

    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the sweep's state after them."""
        sweep = self._sweep
        return sweep.take_records(), {**sweep.saved_state, **self._pages.saved(sweep.state.next)}

    def settled(self) -> list[str]:
        """Rows whose own URL answered 404. Each is confirmed by itself, where rows are known to have such URLs.

        They are not kept for a later run: a row may come back before that, on a page that is not read again.
        """
        return self._own_urls.gone if self._own_urls.known else []

    def _page(self, number: int) -> Page:
        try:
            page = self._own(self._charged(lambda: self._pages.fetch(number)))
        except RequestRefused as error:
            sent = [name for name in self._selection.filters if name in self._endpoint.filters]
            if number == 1 and sent and not isinstance(error, NotThere):
                error.next_step = (
                    f"If the API does not know the filter {' or '.join(sent)}, leave it out of "
                    f"sources.automatum.endpoints.{self._endpoint.table}.filters: all rows are then read, and filtered "
                    "by the connector."
                )
            raise
        self._own_urls.note(page.records)
        return page

    def _first_page(self, filters: Mapping[str, str]) -> Page:
        return self._own(self._charged(lambda: read_page(self._session.client, self._endpoint, 1, filters)))

    def _kept_before(self) -> bool:
        """Whether an interrupted sweep, which this one may go on from, has loaded a row of the selection."""
        unfinished, hashes = self._prior.unfinished, self._prior.known.hashes
        return unfinished is not None and any(key in hashes for page in unfinished.pages for key in page.keys)

    def _resume(self, log: SweepLog) -> None:
        unfinished = self._interrupted(log)
        if unfinished is None or not self._restored(unfinished.state):
            return
        if self._sweep.resume(unfinished.pages, unfinished.state):
            log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on at page %d", self._endpoint.table, self._sweep.state.next)

    def _restored(self, state: Mapping[str, Any]) -> bool:
        """Whether the next page can be read as the interrupted run would have read it."""
        try:
            number, last = int(state.get("next", 1)), int(state.get("last", 1))
        except (TypeError, ValueError):
            return False  # Another version of the connector saved it.
        return self._charged(lambda: self._pages.restore(state, number, last))

    def _may_end_early(self) -> bool:
        now, within = utc(self._session.clock.time()), timedelta(hours=self._settings.full_sweep_every)
        in_order = self._selection.everything and self._prior.in_order(now, within)
        # A row that has to be loaded again may be behind the page at which the sweep would end.
        return self._endpoint.newest_first and in_order and not self._prior.known.count(LOAD_AGAIN)

    def _may_delete(self) -> bool:
        complete = self._sweep.verdict is Verdict.COMPLETE and not self._sweep.cut
        return self._deletes and complete and self._selection.everything

    def _earlier(self) -> Earlier:
        """What earlier sweeps know of the list; nothing about a part of it."""
        if not self._selection.everything:
            return Earlier()
        now, within = utc(self._session.clock.time()), timedelta(hours=self._settings.full_sweep_every)
        past = self._prior.past
        unlisted = {key for key in last_full(past).off_list if key in self._prior.known.hashes}
        digest = ListDigest.from_json(self._last_whole().digest)
        return Earlier(digest, self._prior.ends(now, within), len(unlisted))

    def _last_whole(self) -> SweepFacts:
        """What the last sweep left that read the whole list, proven or not."""
        verdicts = (Verdict.COMPLETE, Verdict.INCOMPLETE)
        whole = (one for one in self._prior.past if one.verdict in verdicts and not one.facts.partial)
        return next((one.facts for one in whole if one.facts.full or one.verdict == Verdict.INCOMPLETE), SweepFacts())

    def _look_for_the_missing(self) -> list[Row]:
        """Decide about rows that were not listed; returns the rows that turn out to be live."""
        sweep, now = self._sweep, self._session.clock.time()
        decision = decide(
            Missing(
                sweep.known,
                self._own_urls.listed,
                len(sweep.listed),
                self._prior.past,
                self._own_urls.ask,
                utc(now),
                self._selection.allow_deletes,
                self._own_urls.known,
                bool(self._hidden),
                self._endpoint.own_path,
            )
        )
        self._found |= decision.alive.keys()
        found = [sweep.take_one(key, record, now) for key, record in decision.alive.items()]
        hidden = set(decision.alive) - set(decision.off_list)
        if hidden - set(self._last_whole().hidden) and not sweep.reread:
            # A live row was on no page: rows moved unnoticed. A second reading of the list shows what else was missed,
            # if the extra requests allow it. If not, the next sweep is the second reading.
            self._hidden = hidden
            sweep.distrust(f"{len(hidden)} live rows were on no page of the list")
        else:
            # Two readings agree that the list does not have these rows: the API keeps them off the list.
            known = [key for key in last_full(self._prior.past).off_list if key in self._found]
            new = sorted(hidden | self._hidden)
            every = dict.fromkeys([*decision.off_list, *known, *new])
            listed_again = sweep.listed_again(every)
            off_list = [key for key in every if key not in listed_again]
            self._decision, self._hidden = replace(decision, off_list=off_list), set()
        return [row for row in found if row]

    def _off_list(self, decision: Decision) -> set[str]:
        """Rows that turned out in this sweep to be off the list."""
        return set(decision.off_list) - set(last_full(self._prior.past).off_list)
