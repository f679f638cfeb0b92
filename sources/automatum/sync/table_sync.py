"""One table's part of a run: from pages to the tables that a load package gets.

A run is made of chunks; each chunk is one load package. A `TableSync` keeps what it has seen from chunk to chunk. The
page records, which are loaded with the rows, keep it from run to run. A `Reader` does what differs between lists and
reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from dlt.common.destination.exceptions import DestinationException

from ..api.session import ApiSession
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import AutomatumError, DestinationError, MoreToDo, NotThere, defect
from ..core.text import plural
from ..endpoints import Endpoint, Kind
from ..schema.arrow_tables import ChildLists, Table, fit_columns
from ..schema.columns import history_table
from ..schema.log_tables import PAGES_TABLE, REJECTED_TABLE, SWEEPS_TABLE, log_tables
from ..schema.stored import StoredTable
from ..schema.tables import tables_of
from ..warehouse.lake_files import add_missing_columns
from ..warehouse.merge_strategy import Merge, check_table_format, merge_of
from ..warehouse.sql_client import unreadable_error
from .batcher import Batcher, Tables
from .delete_rows import delete_rows
from .facts import SweepFacts, digest_settings
from .hints import Hints
from .history import History
from .list_reader import ListReader
from .options import SyncOptions
from .organization_check import OrganizationCheck
from .prior_state import PriorState, read_prior_state
from .reader import Reader
from .rejections import Rejections
from .report_reader import ReportReader
from .results import BATCH_BYTES, CHUNK_SECONDS, Chunk, KnownRows, TableResult, Verdict
from .resume import SyncSession
from .secret_age import first_use, in_use_since
from .sync_log import SweepLog

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_DELETE_BATCH = 500
"""Rows that are read from the destination and marked deleted at a time."""
DEFAULT_OPTIONS = SyncOptions()
logger = logging.getLogger("automatum")

_READERS: dict[Kind, type[Reader]] = {"list": ListReader, "report": ReportReader}


class TableSync:
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
        api_session: The API session that reads it.
        result: What came of it so far.
        left_pages: Ids of sweeps whose page records are useless once this one has its verdict.
        siblings: All table runs of the same sync, this one included; for progress bars.
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
        self.result = TableResult()
        self.left_pages: set[str] = set()
        self.siblings: Sequence[TableSync] = (self,)
        self.api_session = session
        self._options = options
        self._on_page = on_page
        self._table = Table(endpoint, self.settings.owner)
        self._organization = organization or OrganizationCheck(session)
        self._rejections = Rejections()
        self._batcher = Batcher(self._table, self._rejections)
        facts = sync_session.facts if sync_session else SweepFacts()
        facts = replace(facts, part=self._options.part_of(endpoint), settings=self.read_by)
        self._log = SweepLog(self._table, utc(session.clock.time()), facts)
        self._reader: Reader | None = None
        self._refused = self._limited = False
        self._hints = hints or Hints()
        self._early: tuple[float, PriorState] | None = None
        self._unclosed: dict[str, str] = {}
        self._secret: dict[str, Any] | None = None
        self._stored_columns: dict[str, pa.Schema] = {}

    @property
    def read_by(self) -> tuple[str, str]:
        """What the table is read by (`SweepFacts.settings`)."""
        return digest_settings(self.endpoint, self.settings)

    @property
    def done(self) -> bool:
        """Whether another chunk would find nothing to do."""
        result = self.result
        over = bool(result.skipped or result.error or result.verdict)
        return over and not self._batcher.waiting and not self._refused

    @property
    def started(self) -> bool:
        """Whether it has read what the destination has, and may have read pages."""
        return self._reader is not None

    def refuse(self, error: AutomatumError) -> None:
        """End with an error of the destination. The next chunk has the record of it, and no rows."""
        self.result.error, self._refused = error, True

    def forget(self) -> None:
        """Free everything but the result: a summary of many organizations would keep it all in memory."""
        self._reader = None
        self._batcher.forget()

    def skip(self, why: str) -> None:
        """Leave this table out."""
        self.result.skipped = why

    def extract(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        """The tables of one chunk, each with its name. The ids of the load that they have columns for are null.

        Errors are kept in `result`, so that the rows that were read before are loaded all the same.

        Args:
            pipeline: The pipeline that loads them; None to read without comparing.
            chunk: Bounds.
        """
        for name, table in self._extract(pipeline, chunk):
            yield name, fit_columns(table, self._stored_columns.get(name))

    def _extract(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        if self.done:
            return
        if self._refused:
            self._refused = False
            yield from self._write_log()
            return
        self._batcher.start()
        concluded = self.result.verdict is not None
        try:
            if not concluded:
                yield from self._read(pipeline, chunk)
        except MoreToDo as error:
            self.result.stopped, self.result.verdict = error, Verdict.MORE_TO_DO
        except AutomatumError as error:
            self.result.error = error
            if error is self._organization.refusal:
                self._batcher.forget()
        except DestinationException as error:
            self.result.error = unreadable_error(error)
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
        rejected = self._rejections.take(self._table, utc(self.api_session.clock.time()))
        if pipeline and rejected:
            yield REJECTED_TABLE, rejected
        if not chunk.bounded:
            # No chunk follows. The waiting rows differ from the loaded ones in their hash, so the next sync loads them.
            self._batcher.forget()
        if pipeline and not concluded:
            yield from self._write_log()

    def _read(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Tables:
        if self._organization.refusal:
            raise self._organization.refusal
        reader = self._reader = self._reader or self._prepare(pipeline)
        unflushed = 0
        while not reader.finished:
            if self._over(chunk):
                return
            pages = self.result.pages
            try:
                rows = reader.step()
            except NotThere as error:
                reader.not_found(error)
                return
            except MoreToDo:
                # With fewer requests than missing rows, each run would ask for the same rows again.
                gone = reader.settled()
                self.result.counts.deleted += len(gone)
                yield from self._delete(pipeline, gone)
                raise
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
        gone = reader.conclude()
        self.result.counts.deleted += len(gone)
        yield from self._delete(pipeline, gone)
        if self._unclosed and reader.facts().full:
            known = reader.prior.known
            yield from self._delete(pipeline, [key for key in self._unclosed if known.is_deleted(key)], past=True)

    def _delete(self, pipeline: SupportsPipeline | None, gone: Sequence[str], past: bool = False) -> Tables:
        """Mark rows deleted, or remove them, in batches; or tell the history alone."""
        if not gone or pipeline is None:
            return
        yield from self._batcher.flush()  # the rows that were read before must not follow their deletion
        now = utc(self.api_session.clock.time())
        for start in range(0, len(gone), _DELETE_BATCH):
            some = gone[start : start + _DELETE_BATCH]
            yield from delete_rows(pipeline, self._batcher, some, now, self.settings.deletes == "hard", past)

    def read_early(self, pipeline: SupportsPipeline, loaded: Collection[str] | None = None) -> int:
        """Read what the destination has before the table has its turn, where that saves a connection.

        `extract` uses it within the age of a chunk, and reads again later: another machine may have loaded meanwhile.
        An error is met again when the table has its turn.

        Args:
            pipeline: The pipeline that loads.
            loaded: See `read_complete_loads`; None to read it.

        Returns:
            Number of rows that the destination has.
        """
        with suppress(Exception):
            prior = self._read_destination(pipeline, loaded)
            self._early = self.api_session.clock.monotonic(), prior
            return len(prior.known.hashes)
        return 0

    def _recent_state(self) -> PriorState | None:
        if self._early is None:
            return None
        at, prior = self._early
        return prior if self.api_session.clock.monotonic() - at <= CHUNK_SECONDS else None

    def _read_destination(self, pipeline: SupportsPipeline, loaded: Collection[str] | None = None) -> PriorState:
        owner, name = self._table.organization_id, history_table(self.endpoint) if self.settings.history else None
        merging = merge_of(pipeline, self.settings)
        check_table_format(pipeline, self.settings, [self.endpoint.table])
        self._batcher.once = merging.one_row_per_key or self._hints.upserts
        part = self._options.part_of(self.endpoint)
        now, count = utc(self.api_session.clock.time()), merging is not Merge.APPEND
        self._organization.start(pipeline)
        prior = read_prior_state(pipeline, self.endpoint, now, name, owner, part, count, loaded, self._hints.absent)
        known = prior.known.children
        if merging is Merge.APPEND:  # Where an entry says that a list has become empty.
            known = {child.table: dict.fromkeys(prior.known.live, 1) for child in self.endpoint.children}
        may_remove = merging is not Merge.UPDATE
        self._batcher.lists = ChildLists(known or {}, may_remove, unknown=0 if prior.known.readable else 1)
        if merging.one_row_per_key:
            self._stored_columns = add_missing_columns(pipeline, self.schemas())
        return prior

    def _prepare(self, pipeline: SupportsPipeline | None) -> Reader:
        """Make the reader, from what the destination has."""
        name = history_table(self.endpoint) if self.settings.history else None
        prior, self._early = self._recent_state(), None
        if prior is None:
            prior = self._read_destination(pipeline) if pipeline else PriorState(KnownRows())
        if name and not prior.known.readable:
            raise DestinationError(
                f"The history of {self.endpoint.table} cannot be kept: {prior.known.why}",
                "History needs a destination that can be read; set sources.automatum.history to false.",
            )
        now = utc(self.api_session.clock.time())
        self._secret = in_use_since(self.settings, prior.past, now)
        if not prior.past or prior.past[0].finished_at.date() < now.date():
            self.result.secret_since = first_use(self._secret)
        self._rejections.start(prior.rejected)
        self._unclosed = prior.unclosed
        self._batcher.history = History(self.endpoint, self._unclosed) if name else None
        # Resumed or not: the page records of an interrupted sweep are useless once this one has its verdict.
        self.left_pages = set(prior.left_pages)
        return self._reader_of(prior, compares=pipeline is not None)

    def _reader_of(self, prior: PriorState, compares: bool) -> Reader:
        return _READERS[self.endpoint.kind](
            self._table,
            self.api_session,
            self._options,
            prior,
            self.result,
            self._log,
            self._rejections,
            self._organization,
            compares,
        )

    def _refuse_rejected(self) -> None:
        """Say how many records could not be loaded; a table with such is complete only if the user accepts it."""
        result = self.result
        result.rejected = (self._reader.unkeyed if self._reader else 0) + self._rejections.failed
        words = f"{plural(result.rejected, 'record')} could not be loaded; see the table {REJECTED_TABLE}"
        words += self._rejections.key_hint(self.endpoint, result.rejected)
        over = result.verdict in (Verdict.COMPLETE, Verdict.INCOMPLETE)
        if over and result.rejected and words not in result.reason:
            result.reason = f"{words}; {result.reason}" if result.reason else words
            result.verdict = result.verdict if self.settings.accept_rejected else Verdict.INCOMPLETE

    def tables(self) -> list[StoredTable]:
        """The tables that this run may fill."""
        return tables_to_fill(self.endpoint, self.settings)

    def schemas(self) -> dict[str, pa.Schema]:
        """Table to Arrow schema of what this run may load."""
        return {table.name: table.schema for table in self.tables()}

    def create_tables(self, lacking: set[str]) -> Tables:
        """Tables of no rows, for which dlt creates what the destination lacks; after the tables of `extract`.

        A list of which nothing could be loaded may be read by wrong settings, so its tables are not created yet.

        Args:
            lacking: Names of tables that the destination lacks, wholly or in part. Those that are made are removed.
        """
        counts = self.result.counts
        read = self.result.verdict is Verdict.COMPLETE or counts.inserted or counts.updated
        for table in self.tables():
            if table.name in lacking and (read or table.kind == "log"):
                lacking.discard(table.name)
                yield table.name, fit_columns(table.schema.empty_table(), self._stored_columns.get(table.name))

    def _over(self, chunk: Chunk) -> bool:
        """Whether it is time to load."""
        if chunk.full(self.api_session.clock.monotonic()):
            return True
        return chunk.pages > 0 and chunk.to_load_before(self.api_session.client.limiter.wait_for(1))

    def _write_log(self) -> Tables:
        """The sweep's own row once it has a verdict; until then the pages from which a later run resumes it."""
        result, reader = self.result, self._reader
        verdict = Verdict.FAILED if result.error else Verdict.SKIPPED if result.skipped else result.verdict
        if verdict and verdict is not Verdict.MORE_TO_DO:
            facts = reader.facts() if reader else SweepFacts(partial=bool(self._options.since))
            now = utc(self.api_session.clock.time())
            facts = replace(
                facts, partial=facts.partial or self._limited, secret=self._secret, organization=self._organization.fact
            )
            yield SWEEPS_TABLE, self._log.finished(result, verdict, facts, now)
        if reader and verdict in (None, Verdict.FAILED, Verdict.MORE_TO_DO):
            records, state = reader.unfinished_pages()
            if records:
                self.left_pages.add(self._log.sweep_id)
                yield PAGES_TABLE, self._log.pages(result.requests, records, state)


def tables_to_fill(endpoint: Endpoint, settings: AutomatumSettings) -> list[StoredTable]:
    """All tables that a sync of an endpoint may fill, those of the log included."""
    own = tables_of(endpoint, hard=settings.deletes == "hard", history=settings.history)
    return [*own, *log_tables(endpoint.by_organization)]
