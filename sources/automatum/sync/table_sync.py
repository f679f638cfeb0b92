"""One table's part of a run: from pages to the tables that a load package gets.

A run is made of chunks; each chunk is one load package. A `TableSync` keeps what it has seen from chunk to chunk. The
page records, which are loaded with the rows, keep it from run to run. `ListSync` and `ReportSync` do what differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.pages import Page
from ..api.session import ApiSession
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import AutomatumError, MoreToDo, NotThere, defect
from ..core.text import plural
from ..endpoints import Endpoint
from ..schema.arrow_tables import Table
from ..schema.columns import history_table
from ..schema.log_tables import PAGES_TABLE, REJECTED_TABLE, SWEEPS_TABLE, log_tables
from ..schema.personal import customer_column, forgetting
from ..schema.records import Record, Rows, pick
from ..schema.stored import StoredTable
from ..schema.tables import tables_of
from .batcher import Batcher, Tables
from .facts import SweepFacts, digest_settings
from .hints import Hints
from .options import SyncOptions
from .organization_check import OrganizationCheck
from .prior_state import PriorState, Unfinished, longest_sweep, read_prior_state
from .rejections import Rejections
from .results import BATCH_BYTES, CHUNK_SECONDS, DELETED, Chunk, KnownRows, PageRecord, TableResult, Verdict
from .resume import SyncSession
from .sync_log import SweepLog

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

DEFAULT_OPTIONS = SyncOptions()
Answered = TypeVar("Answered")


class TableSync(ABC):
    """One table in one run.

    Args:
        endpoint: What to read.
        session: The API session.
        options: Which days of reports to read, and whether many rows may be deleted.
        on_page: Called after each page.
        sync_session: The sync that it belongs to; None if it stands alone.
        organization: Knows whose rows the dataset has; shared by the tables of a run. None if it stands alone.
        hints: What dlt's hints ask for; None for nothing.

    Attributes:
        endpoint: What it reads.
        settings: Settings of the API session.
        tables: The tables that it may fill.
        session: The API session that reads it.
        prior: What the destination has, once `started`.
        started: It has read what the destination has, and may have read pages.
        result: What came of it so far.
        left_pages: Ids of sweeps whose page records are useless once this one has its verdict.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        session: ApiSession,
        options: SyncOptions = DEFAULT_OPTIONS,
        on_page: Callable[[TableSync], None] | None = None,
        sync_session: SyncSession | None = None,
        organization: OrganizationCheck | None = None,
        hints: Hints | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.settings = session.settings
        self.tables = tables_to_fill(endpoint, session.settings)
        self.result = TableResult()
        self.left_pages: set[str] = set()
        self.session = session
        self.prior = PriorState(KnownRows())
        self.started = self._deletes = False
        self._options = options
        self._on_page = on_page
        self._table = Table(endpoint, self.settings.owner)
        self._personal, self._forgotten = session.personal.get(endpoint.table), frozenset[str]()
        self._organization = organization or OrganizationCheck(session, (endpoint.table,))
        self._rejections = Rejections(self._table)
        self._batcher = Batcher(self._table, self._rejections)
        facts = sync_session.facts if sync_session else SweepFacts()
        facts = replace(facts, part=options.part_of(endpoint), key=endpoint.key, settings=self.read_by)
        self._log = SweepLog(self._table, utc(session.clock.time()), facts)
        self._refused = self._limited = False
        self._hints = hints or Hints()
        self._early: tuple[float, PriorState | None] = 0.0, None

    @property
    def read_by(self) -> str:
        """What the table is read by (`SweepFacts.settings`)."""
        return digest_settings(self.endpoint, self.settings)

    @property
    def done(self) -> bool:
        """Whether another chunk would find nothing to do."""
        result = self.result
        over = bool(result.skipped or result.error or result.verdict)
        return over and not self._refused

    def refuse(self, error: AutomatumError) -> None:
        """End with an error of the destination. The next chunk has the record of it, and no rows."""
        self.result.error, self._refused = error, True

    @property
    def unkeyed(self) -> int:
        """Number of records without a key that the last reading of a list had."""
        return 0

    @abstractmethod
    def facts(self) -> SweepFacts:
        """What the next sweep has to know of this one."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin the reading; `prior` is known."""

    @property
    @abstractmethod
    def _finished(self) -> bool:
        """Whether nothing is left to read."""

    @abstractmethod
    def _step(self) -> list[Rows]:
        """Make the next request, or decide what to request next; returns rows to load. It can be called again."""

    @abstractmethod
    def _conclude(self) -> None:
        """Set verdict and reason of a finished table."""

    @abstractmethod
    def _take_gone(self) -> list[str]:
        """Keys of rows that were found to be gone since the last call. Each is confirmed by itself."""

    @abstractmethod
    def _not_found(self, error: NotThere) -> None:
        """Set the result of a table whose path the API does not know."""

    @abstractmethod
    def _unfinished_pages(self) -> tuple[list[PageRecord], dict[str, Any]]:
        """Pages since the last call, and the state after them, for a later run to resume."""

    def extract(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        """The tables of one chunk, each with its name. The ids of the load that they have columns for are null.

        Errors are kept in `result`, so that the rows that were read before are loaded all the same.

        Args:
            pipeline: The pipeline that loads them; None to read without comparing.
            chunk: Bounds.
        """
        if self.done:
            return
        if self._refused:
            self._refused = False
            yield from self._write_log()
            return
        concluded = self.result.verdict is not None
        try:
            if not concluded:
                try:
                    yield from self._read(pipeline, chunk)
                except MoreToDo as error:
                    self.result.stopped, self.result.verdict = error, Verdict.MORE_TO_DO
                yield from self._delete(pipeline)
        except AutomatumError as error:
            self.result.error = error
            if error is self._organization.refusal:
                self._batcher.forget()
        except Exception as error:
            # A defect in the sync of one table costs that table, not the pages of the others.
            self.result.error = defect(error, self.endpoint.table)
        if chunk.limit and self.result.verdict is None and not self.result.error:
            self.result.verdict = Verdict.INCOMPLETE
            self.result.reason = f"{chunk.limit} ended the reading after {plural(chunk.pages, 'page')}"
            self._limited = True
        yield from self._batcher.flush()
        self.result.unread = dict(self._table.unread)
        self._refuse_rejected()
        rejected = self._rejections.take(utc(self.session.clock.time()))
        if pipeline and rejected:
            yield REJECTED_TABLE, rejected
        if pipeline and not concluded:
            yield from self._write_log()

    def _read(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        if self._organization.refusal:
            raise self._organization.refusal
        if not self.started:
            self._prepare(pipeline)
        unflushed = 0
        while not self._finished:
            wait = self.session.client.limiter.wait_for(1) if chunk.pages else 0.0
            if chunk.full(self.session.clock.monotonic()) or chunk.to_load_before(wait):
                return
            pages = self.result.pages
            try:
                rows = self._step()
            except NotThere as error:
                self._not_found(error)
                return
            if self._on_page and self.result.pages != pages:
                self._on_page(self)
            chunk.pages += 1
            for one in rows:
                chunk.rows += len(one)
                chunk.bytes += one.size
                unflushed += one.size
                yield from self._batcher.give(one)
            if unflushed >= BATCH_BYTES:
                yield from self._batcher.flush()
                unflushed = 0
        self._conclude()

    def _delete(self, pipeline: SupportsPipeline | None) -> Tables:
        """Mark rows deleted, or remove them, also before the table has its verdict: a later run asks for the others."""
        if not (self.started and pipeline):
            return
        gone, now, known = self._take_gone(), utc(self.session.clock.time()), self.prior.known
        self.result.counts.deleted += len(gone)
        known.hashes.update(dict.fromkeys(gone, DELETED))
        hard, unclosed = self.settings.deletes == "hard", self._batcher.unclosed
        yield from self._batcher.delete(pipeline, gone, now, hard)
        if unclosed and self.result.verdict and self.facts().full:  # The history alone does not say so.
            ended = [key for key in unclosed if known.is_deleted(key)]
            yield from self._batcher.delete(pipeline, ended, now, hard, past=True)

    def read_early(self, pipeline: SupportsPipeline, loaded: Collection[str] | None = None) -> int:
        """Read what the destination has before the table has its turn, where that saves a connection.

        `extract` uses it within the age of a chunk, and reads again later: another machine may have loaded meanwhile.
        An error is met again when the table has its turn.

        Args:
            pipeline: The pipeline that loads.
            loaded: See `complete_load_ids`; None to read it.

        Returns:
            Number of rows that the destination has.
        """
        with suppress(Exception):
            prior = self._read_destination(pipeline, loaded)
            self._early = self.session.clock.monotonic(), prior
            return len(prior.known.hashes)
        return 0

    def _read_destination(self, pipeline: SupportsPipeline, loaded: Collection[str] | None = None) -> PriorState:
        owner, name = self._table.organization_id, history_table(self.endpoint) if self.settings.history else None
        part, now = self._options.part_of(self.endpoint), utc(self.session.clock.time())
        self._organization.start(pipeline)
        self._forgotten = self._organization.forgotten
        return read_prior_state(pipeline, self.endpoint, now, name, owner, part, loaded, self._hints.absent)

    def _prepare(self, pipeline: SupportsPipeline | None) -> None:
        """Read what the destination has, and begin."""
        name = history_table(self.endpoint) if self.settings.history else None
        (read_at, prior), self._early = self._early, (0.0, None)
        if prior is None or self.session.clock.monotonic() - read_at > CHUNK_SECONDS:
            prior = self._read_destination(pipeline) if pipeline else PriorState(KnownRows())
        self._rejections.open = prior.rejected
        self._batcher.unclosed = prior.unclosed if name else None
        self._batcher.lists = prior.known.children or {}
        # Resumed or not: the page records of an interrupted sweep are useless once this one has its verdict.
        self.left_pages = set(prior.left_pages)
        self._start(prior, compares=pipeline is not None)

    def _start(self, prior: PriorState, compares: bool) -> None:
        self.prior = prior
        self._deletes = compares and self.settings.deletes != "ignore"
        self._begin()
        self.started = True

    def _refuse_rejected(self) -> None:
        """Say how many records could not be loaded; a table with such is incomplete."""
        result = self.result
        result.rejected = (self.unkeyed if self.started else 0) + len(self._rejections.failed)
        words = f"{plural(result.rejected, 'record')} could not be loaded; see the table {REJECTED_TABLE}"
        words += self._rejections.key_hint(result.rejected)
        judged = result.verdict in (Verdict.COMPLETE, Verdict.INCOMPLETE)
        if judged and result.rejected and words not in result.reason:
            result.reason = f"{words}; {result.reason}" if result.reason else words
            result.verdict = Verdict.INCOMPLETE

    def create_tables(self, lacking: set[str]) -> Tables:
        """Tables of no rows, for which dlt creates what the destination lacks; after the tables of `extract`.

        A list of which nothing could be loaded may be read by wrong settings, so its tables are not created yet.

        Args:
            lacking: Names of tables that the destination lacks, wholly or in part. Those that are made are removed.
        """
        counts = self.result.counts
        read = self.result.verdict is Verdict.COMPLETE or counts.inserted or counts.updated
        for table in self.tables:
            if table.name in lacking and (read or table.kind == "log"):
                lacking.discard(table.name)
                yield table.name, table.schema.empty_table()

    def _write_log(self) -> Tables:
        """The sweep's own row once it has a verdict; until then the pages from which a later run resumes it."""
        result = self.result
        verdict = Verdict.FAILED if result.error else Verdict.SKIPPED if result.skipped else result.verdict
        self._log.facts = replace(self._log.facts, organization=self._organization.fact)
        if verdict and verdict is not Verdict.MORE_TO_DO:
            facts = self.facts() if self.started else replace(self._log.facts, partial=bool(self._options.since))
            facts = replace(facts, partial=facts.partial or self._limited)
            yield SWEEPS_TABLE, self._log.finished(result, verdict, facts, utc(self.session.clock.time()))
        if self.started and verdict in (None, Verdict.FAILED, Verdict.MORE_TO_DO):
            records, state = self._unfinished_pages()
            if records:
                self.left_pages.add(self._log.sweep_id)
                yield PAGES_TABLE, self._log.pages(result.requests, records, state)

    def _interrupted(self) -> Unfinished | None:
        """The interrupted sweep, if its pages were read by the same settings: by others, they may be wrong."""
        unfinished = self.prior.unfinished
        return unfinished if unfinished and unfinished.settings == self.read_by else None

    def _too_old(self, since: datetime, needed: int) -> str | None:
        """Why what was read since then proves nothing: a verdict speaks of now. Empty if it does.

        None if this run can read the whole table anew. With a smaller budget, each run would load the first pages
        again, and never the others.

        Args:
            since: When the first page was read.
            needed: Requests that the table needs.
        """
        if utc(self.session.clock.time()) - since <= longest_sweep(self.settings, needed):
            return ""
        return None if self._can_read(needed) else f"the first pages were read at {since:%Y-%m-%d %H:%M}, too long ago"

    def _can_read(self, requests: int) -> bool:
        """Whether the bounds of this run allow so many further requests."""
        client, budget = self.session.client, self.session.budget
        left, seconds = budget.remaining_requests, budget.remaining_seconds()
        bounds = [one for one in (seconds, client.tokens.max_wait) if one is not None]
        enough = left is None or left >= requests
        return enough and (not bounds or client.limiter.wait_for(requests, client.seconds_per_request) <= min(bounds))

    def _charged(self, request: Callable[[], Answered]) -> Answered:
        """Count the requests that a call costs, retries included, also when it fails."""
        budget = self.session.budget
        before = budget.requests
        try:
            return request()
        finally:
            self.result.requests += budget.requests - before

    def _own(self, page: Page) -> Page:
        """The page as `personal` says, if its rows are this organization's: the credentials may be another's."""
        self._charged(lambda: self._organization.check(self._table, page.records))
        found = self._without_personal(page.records)
        return page if found is page.records else replace(page, records=found)

    def _without_personal(self, records: list[Record]) -> list[Record]:
        """Records as `personal` says, and those of forgotten customers without personal data."""
        column = customer_column(self.endpoint) if self._forgotten else None
        if column and any(str(pick(one, column)[0]) in self._forgotten for one in records):
            bare = forgetting(self.endpoint).apply
            records = [bare([one])[0] if str(pick(one, column)[0]) in self._forgotten else one for one in records]
        return self._personal.apply(records) if self._personal else records


def tables_to_fill(endpoint: Endpoint, settings: AutomatumSettings) -> list[StoredTable]:
    """All tables that a sync of an endpoint may fill, those of the log included."""
    own = tables_of(endpoint, hard=settings.deletes == "hard", history=settings.history)
    return [*own, *log_tables(endpoint.by_organization)]
