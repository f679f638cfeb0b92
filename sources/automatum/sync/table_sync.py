"""One table's part of a run: from pages to the tables that a load package gets.

A run is made of chunks; each chunk is one load package. What a `TableSync` has seen lives on from chunk to chunk, and,
by way of the page records that are loaded with the rows, from run to run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import pyarrow as pa

from ..api.pages import Page, read_one, read_page, read_report
from ..api.session import ApiSession
from ..core.clock import utc
from ..core.errors import AutomatumError, ConfigurationError, DestinationError, MoreToDo, NotThere
from ..core.redaction import redact
from ..endpoints import Endpoint
from ..schema.arrow_tables import Record, Row, Table, child_schema
from ..warehouse.dataset import add_missing_columns
from ..warehouse.merge_strategy import check_table_format, merge_strategy_of
from ..warehouse.sql import PAGES_TABLE, SWEEPS_TABLE
from .batcher import Batcher, Tables
from .delete_policy import Decision, decide
from .delete_rows import delete_rows
from .history import History, history_table
from .prior_state import FAILED, SKIPPED, PriorState, read_children, read_prior_state
from .report import Report, first_day, windows
from .results import FULL, ORDERED, PARTIAL, Chunk, KnownRows, TableResult
from .resume import GO_ON_WITHIN, FinishedTable, SyncSession
from .selection import Selection
from .sweep import Sweep
from .sync_log import PAGES_SCHEMA, SWEEPS_SCHEMA, page_rows, sweep_row

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

Answered = TypeVar("Answered")


class TableSync:
    """One table in one run.

    Args:
        endpoint: What to read.
        connection: How.
        selection: Which rows, and what may be done about missing ones.
        on_page: Called after each page.
        session: The sync that it belongs to; None if it stands alone.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connection: ApiSession,
        selection: Selection | None = None,
        on_page: Callable[[TableSync], None] | None = None,
        session: SyncSession | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.result = TableResult()
        self.left_pages = False
        self._connection = connection
        self.settings = connection.settings
        self._selection = (selection or Selection()).of(endpoint)
        self._on_page = on_page
        self._session = session
        self._table = Table(endpoint, self.settings.owner)
        self._package = Batcher(self._table)
        self._held: PriorState | None = None
        self._sweep: Sweep | None = None
        self._report: Report | None = None
        self._decision: Decision | None = None
        self._id = uuid4().hex
        self._started = utc(connection.clock.time())
        self._earlier_requests = 0
        self._answers: dict[str, Record | None] = {}
        self._hidden: set[str] = set()

    @property
    def done(self) -> bool:
        """Whether another chunk would find nothing to do."""
        result = self.result
        return bool(result.skipped or result.error or result.verdict) and not self._package.waiting

    @property
    def api_session(self) -> ApiSession:
        """The API session that reads the table."""
        return self._connection

    def settle(self, earlier: FinishedTable) -> None:
        """An earlier run of the same sync has finished this table."""
        result = self.result
        result.settled = True
        result.verdict = "complete" if earlier.verdict == "complete" else "incomplete"
        at = earlier.finished_at.isoformat(timespec="seconds")
        result.reason = f"read earlier in this sync, at {at}" + (f": {earlier.reason}" if earlier.reason else "")
        result.announced, result.distinct = earlier.announced, earlier.distinct

    def forget(self) -> None:
        """Let go of everything but the result: a summary of many organizations would keep it all in memory."""
        self._held = self._sweep = self._report = self._decision = None
        self._answers = {}
        self._package.forget()

    def skip(self, why: str) -> None:
        """Leave this table out."""
        self.result.skipped = why

    def extract(self, pipeline: SupportsPipeline | None, chunk: Chunk, load_id: str = "") -> Tables:
        """The tables of one chunk, each with its name.

        What goes wrong is kept in `result`, so that what was read before is loaded all the same.

        Args:
            pipeline: The pipeline that loads them; None to read without comparing.
            chunk: Bounds.
            load_id: The load package that they go into.
        """
        if self.done:
            return
        self._package.start(load_id)
        concluded = self.result.verdict is not None
        try:
            if not concluded:
                yield from self._read(pipeline, chunk)
        except MoreToDo as error:
            self.result.stopped, self.result.verdict = error, "more_to_do"
        except NotThere as error:
            self._refused(error)
        except AutomatumError as error:
            self.result.error = error
        yield from self._package.flush()
        if not chunk.bounded:
            self._package.forget()  # what waits has another hash than what is loaded, so the next sync brings it
        if pipeline and not concluded:
            yield from self._write_down(load_id)

    def _refused(self, error: NotThere) -> None:
        if self.endpoint.kind == "report":
            self.skip(f"{error} Set its path, or leave it out of the tables.")
            logger.warning("%s is skipped: %s", self.endpoint.table, self.result.skipped)
        else:
            self.result.error = error

    def _read(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        if self._held is None:
            if pipeline:
                merging = merge_strategy_of(pipeline, self.settings)
                check_table_format(pipeline, self.settings, [self.endpoint.table])
                self._package.once = merging.one_row_per_key
            name = history_table(self.endpoint) if self.settings.history else None
            owner = self._table.organization_id
            self._held = read_prior_state(pipeline, self.endpoint, name, owner) if pipeline else PriorState(KnownRows())
            if name and not self._held.known.readable:
                raise DestinationError(
                    f"The history of {self.endpoint.table} cannot be kept: {self._held.known.why}",
                    "History needs a destination that can be read; set sources.automatum.history to false.",
                )
            self._package.history = History(self._table, pipeline, not self._held.versioned) if name else None
            if pipeline and merging.one_row_per_key:
                places = read_children(pipeline, self.endpoint, owner)
                self._table.keep_places(places, merging.can_delete)
                add_missing_columns(pipeline, self._schemas())
        if self.endpoint.kind == "report":
            yield from self._read_report(self._held, pipeline, chunk)
        else:
            yield from self._read_list(self._held, pipeline, chunk)

    def _schemas(self) -> dict[str, pa.Schema]:
        """What this run may load: table to schema."""
        made = {self.endpoint.table: self._table.schema, SWEEPS_TABLE: SWEEPS_SCHEMA, PAGES_TABLE: PAGES_SCHEMA}
        made.update(
            {child.table: child_schema(child, self.endpoint.by_organization) for child in self.endpoint.children}
        )
        history = self._package.history
        return {**made, history.name: history.schema} if history else made

    def _over(self, chunk: Chunk) -> bool:
        """Whether it is time to load."""
        if chunk.full(self._connection.clock.monotonic()):
            return True
        return chunk.pages > 0 and chunk.to_load_before(
            self._connection.client.limiter.wait_for(1), self.settings.chunk_seconds
        )

    def _give(self, rows: list[Row], chunk: Chunk) -> Tables:
        """Put the rows of a page into the package."""
        chunk.rows += len(rows)
        chunk.pages += 1
        yield from self._package.give(rows)

    def _charged(self, request: Callable[[], Answered]) -> Answered:
        """Count what a request costs, retries included, also when it fails."""
        before = self._connection.budget.requests
        try:
            return request()
        finally:
            self.result.requests += self._connection.budget.requests - before

    def _own(self, page: Page) -> Page:
        """The page, if it holds what is this organization's; another's credentials would bring another's data."""
        foreign = self._table.foreign(page.records) if self.settings.named_id else None
        if foreign:
            raise ConfigurationError(
                "sources.automatum.organizations",
                f"{self.settings.organization} is said to be {self.settings.organization_id}, but its "
                f"{self.endpoint.table} belong to {foreign}.",
                "Check its organization_id, and whose credentials it was given.",
            )
        return page

    # Lists

    def _read_list(self, held: PriorState, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        sweep = self._sweep = self._sweep or self._start(held)
        self.result.counts = sweep.counts
        while not self._over(chunk):
            if sweep.verdict is None:
                rows = sweep.step()
                self._follow(sweep)
                yield from self._give(rows, chunk)
            elif self._may_delete(sweep, pipeline) and self._decision is None:
                yield from self._give(self._look_for_the_missing(sweep, held), chunk)
            else:
                break
        if sweep.verdict is None:
            return
        self.result.verdict, self.result.reason = sweep.verdict, sweep.reason or _unread(held)
        if self._decision and pipeline:
            self._conclude(self._decision)
            if self._decision.confirmed:
                yield from self._bury(self._decision.confirmed, pipeline)

    def _start(self, held: PriorState) -> Sweep:
        transport, endpoint, filters = self._connection.client, self.endpoint, self._selection.filters
        sweep = Sweep(
            self._table,
            lambda number: self._own(self._charged(lambda: read_page(transport, endpoint, number, filters))),
            held.known,
            newest_first=self._may_end_early(held),
            wanted=self._selection.wanted(self._table),
        )
        unfinished = held.unfinished
        young = unfinished and utc(self._connection.clock.time()) - unfinished.read_at < GO_ON_WITHIN
        # Whether it is gone on with or not: once this sweep has its verdict, nobody needs those records any more.
        self.left_pages = unfinished is not None and self._selection.everything
        if unfinished and young and self._selection.everything and sweep.resume(unfinished.pages, unfinished.state):
            self._id, self._started = unfinished.id, unfinished.started_at
            self._earlier_requests = unfinished.requests
            logger.info("%s goes on at page %d", endpoint.table, sweep.next)
        return sweep

    def _may_end_early(self, held: PriorState) -> bool:
        now, within = utc(self._connection.clock.time()), timedelta(hours=self.settings.full_sweep_every)
        return self.endpoint.newest_first and self._selection.everything and held.in_order(now, within)

    def _follow(self, sweep: Sweep) -> None:
        result = self.result
        result.pages, result.announced, result.distinct = sweep.pages_read, sweep.total, sweep.distinct
        if self._on_page:
            self._on_page(self)

    def _may_delete(self, sweep: Sweep, pipeline: SupportsPipeline | None) -> bool:
        return (
            pipeline is not None
            and sweep.verdict == "complete"
            and not sweep.cut
            and self._selection.everything
            and sweep.known.readable
            and self.settings.deletes != "ignore"
        )

    def _look_for_the_missing(self, sweep: Sweep, held: PriorState) -> list[Row]:
        """Decide about rows that were not listed; returns those that are there after all."""
        now = self._connection.clock.time()
        decision = self._decision = decide(
            sweep.known,
            sweep.some_key,
            sweep.distinct,
            held.past,
            self._ask,
            utc(now),
            self._selection.allow_deletes,
            self.endpoint.documented,
        )
        found = [sweep.take_one(key, record, now) for key, record in decision.alive.items()]
        hidden = set(decision.alive) - decision.off_list
        if hidden and not sweep.reread:
            # A row that is alive was on no page: rows moved without a trace. What else was missed shows in a second
            # reading, if the extra requests allow one.
            self._decision, self._hidden = None, hidden
            sweep.distrust(f"{len(hidden)} rows are there though no page listed them")
        else:
            # Two readings agree that the list does not have them: the API keeps them off it, and that is that.
            decision.off_list |= {key for key in hidden | self._hidden if not sweep.listed_again(key)}
        return [row for row in found if row]

    def _ask(self, key: str) -> Record | None:
        if key not in self._answers:
            self._answers[key] = self._charged(lambda: read_one(self._connection.client, self.endpoint, key))
        return self._answers[key]

    def _conclude(self, decision: Decision) -> None:
        result = self.result
        if decision.refused:
            result.verdict, result.reason = "incomplete", decision.refused
        elif decision.waiting:
            result.reason = f"{decision.waiting} rows are not listed any more; the next sync decides"

    # Reports

    def _read_report(self, held: PriorState, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        report = self._report = self._report or self._start_report(held)
        result = self.result
        result.counts = report.counts
        while report.todo and not self._over(chunk):
            for rows in report.step():
                result.pages, result.distinct = report.pages, report.distinct
                if self._on_page:
                    self._on_page(self)
                yield from self._give(rows, chunk)
        if report.todo:
            return
        deletes = pipeline is not None and held.known.readable and self.settings.deletes != "ignore"
        why_not = report.why_not(deletes, self._selection.allow_deletes)
        result.verdict, result.reason = "incomplete" if why_not else "complete", why_not or _unread(held)
        if pipeline and deletes and report.gone and not why_not:
            yield from self._bury(report.gone, pipeline)

    def _start_report(self, held: PriorState) -> Report:
        today = utc(self._connection.clock.time()).date()
        transport, endpoint, settings = self._connection.client, self.endpoint, self.settings
        last = min(self._selection.until or today, today)
        start = self._selection.since or first_day(held, self._table, settings, today)
        if start > last and self._selection.ranged:
            raise ConfigurationError(
                "--until" if self._selection.until else "--since",
                f"there is no day from {start} to {last} to read of {endpoint.table}.",
                "Give both --since and --until, in the past.",
            )
        return Report(
            self._table,
            lambda first, last: self._own(self._charged(lambda: read_report(transport, endpoint, first, last))),
            held.known,
            windows(start, last, self._selection.window_days or settings.report_window_days),
        )

    # What is gone, and what is written down

    def _bury(self, keys: list[str], pipeline: SupportsPipeline) -> Tables:
        """Mark rows deleted, or remove them, after what was read before them has been given."""
        yield from self._package.flush()
        self.result.counts.deleted += len(keys)
        now = utc(self._connection.clock.time())
        hard, history = self.settings.deletes == "hard", self._package.history
        yield from delete_rows(pipeline, self._table, keys, now, hard=hard, history=history)

    def _write_down(self, load_id: str) -> Tables:
        """The sweep's own row once it has a verdict; until then what a later run needs to go on with it."""
        result, sweep = self.result, self._sweep
        requests = self._earlier_requests + result.requests
        session = self._session.facts if self._session else {}
        verdict = FAILED if result.error else SKIPPED if result.skipped else result.verdict
        if verdict and verdict != "more_to_do":
            row = sweep_row(
                # A failed sweep may be gone on with: its id must stay free for its verdict.
                sweep_id=f"{self._id}:{uuid4().hex}" if result.error else self._id,
                table=self.endpoint.table,
                started_at=self._started,
                finished_at=utc(self._connection.clock.time()),
                pages=result.pages,
                requests=requests,
                announced=result.announced,
                distinct=result.distinct,
                counts=result.counts,
                verdict=verdict,
                reason=redact(str(result.error or "")) or result.skipped or result.reason,
                facts={**self._facts(), **session},
                load_id=load_id,
                organization_id=self._table.organization_id,
            )
            yield SWEEPS_TABLE, row
        goes_on = verdict in (None, FAILED, "more_to_do") and self._selection.everything
        if goes_on and sweep and (records := sweep.take_records()):
            self.left_pages = True
            pages = page_rows(
                sweep_id=self._id,
                table=self.endpoint.table,
                started_at=self._started,
                requests=requests,
                records=records,
                state=sweep.state(),
                facts=session,
                load_id=load_id,
                organization_id=self._table.organization_id,
            )
            yield PAGES_TABLE, pages

    def _facts(self) -> dict[str, Any]:
        """What the next sweep reads, and what a curious reader may want to know."""
        sweep = self._sweep
        facts: dict[str, Any] = {}
        if sweep:
            if sweep.verdict == "complete" and not sweep.cut and self._selection.everything:
                facts[FULL] = True
            if not self._selection.everything:
                facts[PARTIAL] = True
            if self.endpoint.newest_first:
                facts[ORDERED] = sweep.ordered
            if sweep.drift:
                facts["drift"] = sweep.drift
        elif self._selection.ranged:
            facts[PARTIAL] = True
        return {**facts, **(self._decision.facts if self._decision else {})}


def _unread(held: PriorState) -> str:
    why = held.known.why
    return f"the destination could not be read, so every row was loaded again ({why})" if why else ""
