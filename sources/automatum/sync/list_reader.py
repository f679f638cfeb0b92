"""Reads a list: a sweep, and then the decision about rows that it did not find."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..api.pages import Page, read_one, read_page
from ..core.clock import utc
from ..core.errors import NotThere
from ..schema.records import Record, Row
from .delete_policy import Decision, decide
from .facts import SweepFacts
from .reader import Reader, Reading
from .results import PageRecord, Verdict
from .resume import GO_ON_WITHIN
from .sweep import Sweep
from .sync_log import SweepLog

logger = logging.getLogger("automatum")


class ListReader(Reader):
    """Sweeps a list."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self._sweep = Sweep(
            self._table,
            self._page,
            self._prior.known,
            newest_first=self._may_end_early(),
            wanted=self._selection.wanted(self._table),
        )
        self._resume(reading.log)
        self._result.counts = self._sweep.state.counts
        self._decision: Decision | None = None
        self._answers: dict[str, Record | None] = {}
        self._hidden: set[str] = set()

    @property
    def finished(self) -> bool:
        """Whether the sweep has its verdict, and the missing rows have theirs."""
        return self._sweep.verdict is not None and (self._decision is not None or not self._may_delete())

    def step(self) -> list[Row]:
        """Read the next page; after the last one, decide about the missing rows."""
        sweep, result = self._sweep, self._result
        if sweep.verdict is not None:
            return self._look_for_the_missing()
        rows = sweep.step()
        result.pages, result.announced, result.distinct = sweep.state.pages_read, sweep.state.total, sweep.distinct
        return rows

    def conclude(self) -> list[str]:
        """Take the sweep's verdict over, unless too many rows are missing; returns the keys of rows that are gone."""
        result, decision = self._result, self._decision
        result.verdict, result.reason = self._sweep.verdict, self._sweep.reason or self._unread()
        if decision is None:
            return []
        if decision.refused:
            result.verdict, result.reason = Verdict.INCOMPLETE, decision.refused
        elif decision.waiting:
            result.reason = f"{decision.waiting} rows are not listed any more; the next sync decides"
        return decision.confirmed

    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""
        sweep, everything = self._sweep, self._selection.everything
        facts = SweepFacts(
            full=sweep.verdict is Verdict.COMPLETE and not sweep.cut and everything,
            partial=not everything,
            ordered=sweep.state.ordered if self._endpoint.newest_first else None,
            drift=tuple(sweep.state.drift),
        )
        return self._decision.add_to(facts) if self._decision else facts

    def not_found(self, error: NotThere) -> None:
        """The API does not know the list, which is an error."""
        self._result.error = error

    def unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the sweep's state after them; no pages if it reads a part of the list only."""
        if not self._selection.everything:
            return [], {}
        return self._sweep.take_records(), self._sweep.saved_state

    def _page(self, number: int) -> Page:
        client, endpoint, filters = self._session.client, self._endpoint, self._selection.filters
        return self._own(self._charged(lambda: read_page(client, endpoint, number, filters)))

    def _resume(self, log: SweepLog) -> None:
        unfinished = self._prior.unfinished
        if unfinished is None or not self._selection.everything:
            return
        recent = utc(self._session.clock.time()) - unfinished.read_at < GO_ON_WITHIN
        if recent and self._sweep.resume(unfinished.pages, unfinished.state):
            log.resume(unfinished.id, unfinished.started_at, unfinished.requests)
            logger.info("%s goes on at page %d", self._endpoint.table, self._sweep.state.next)

    def _may_end_early(self) -> bool:
        now, within = utc(self._session.clock.time()), timedelta(hours=self._settings.full_sweep_every)
        return self._endpoint.newest_first and self._selection.everything and self._prior.in_order(now, within)

    def _may_delete(self) -> bool:
        complete = self._sweep.verdict is Verdict.COMPLETE and not self._sweep.cut
        return self._deletes and complete and self._selection.everything

    def _look_for_the_missing(self) -> list[Row]:
        """Decide about rows that were not listed; returns the rows that turn out to be live."""
        sweep, now = self._sweep, self._session.clock.time()
        decision = decide(
            sweep.known,
            sweep.some_key,
            sweep.distinct,
            self._prior.past,
            self._ask,
            utc(now),
            self._selection.allow_deletes,
            self._endpoint.documented,
        )
        found = [sweep.take_one(key, record, now) for key, record in decision.alive.items()]
        hidden = set(decision.alive) - decision.off_list
        if hidden and not sweep.reread:
            # A live row was on no page: rows moved unnoticed. A second reading of the list shows what else was missed,
            # if the extra requests allow it.
            self._hidden = hidden
            sweep.distrust(f"{len(hidden)} live rows were on no page of the list")
        else:
            # Two readings agree that the list does not have these rows: the API keeps them off the list.
            off_list = {key for key in hidden | self._hidden if not sweep.listed_again(key)}
            self._decision = replace(decision, off_list=decision.off_list | off_list)
        return [row for row in found if row]

    def _ask(self, key: str) -> Record | None:
        if key not in self._answers:
            self._answers[key] = self._charged(lambda: read_one(self._session.client, self._endpoint, key))
        return self._answers[key]
