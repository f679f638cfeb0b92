"""One table's part of a run: from pages to the tables that a load package gets.

A run is made of chunks; each chunk is one load package. What a `TableRun` has seen lives on from chunk to chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from .connection import Connection
from .destination import read_known
from .endpoints import Endpoint
from .errors import AutomatumError, MoreToDo, NotThere
from .pages import read_page, read_report
from .records import EXTRA, SYNCED_AT, Row, Table, dumps, utc
from .sweep import Counts, Known, Sweep, Verdict

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

SWEEPS_TABLE = "_automatum_sweeps"
BATCH_ROWS = 10_000
"""Rows of one Arrow table."""

_STAMP = pa.timestamp("us", tz="UTC")
SWEEPS_SCHEMA = pa.schema(
    [
        pa.field("sweep_id", pa.string(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("started_at", _STAMP),
        pa.field("finished_at", _STAMP),
        pa.field("pages", pa.int64()),
        pa.field("requests", pa.int64()),
        pa.field("announced", pa.int64()),
        pa.field("distinct_keys", pa.int64()),
        pa.field("inserted", pa.int64()),
        pa.field("updated", pa.int64()),
        pa.field("deleted", pa.int64()),
        pa.field("unchanged", pa.int64()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field(EXTRA, pa.string()),
        pa.field(SYNCED_AT, _STAMP, nullable=False),
    ]
)


@dataclass
class Chunk:
    """Bounds of one load package; None for no bound.

    Attributes:
        max_rows: Rows after which it ends, so that memory stays flat.
        ends_at: Reading of the monotonic clock at which it ends.
        rows: Rows that it holds.
    """

    max_rows: int | None = None
    ends_at: float | None = None
    rows: int = 0

    def full(self, now: float) -> bool:
        """Whether it takes no further page."""
        return (self.max_rows is not None and self.rows >= self.max_rows) or (
            self.ends_at is not None and now >= self.ends_at
        )


@dataclass
class Outcome:
    """What came of a table.

    Attributes:
        verdict: None while nothing was read.
        reason: Why it is incomplete, or what was seen on the way.
        requests: API requests spent on it, retries included.
        pages: Pages read; one per report.
        announced: Number of rows that the API announced; None if it announces none.
        distinct: Distinct keys seen.
        counts: What became of the rows.
        skipped: Why it did not run; empty if it ran.
        stopped: The bound at which it was cut short.
        error: What ended it.
    """

    verdict: Verdict | None = None
    reason: str = ""
    requests: int = 0
    pages: int = 0
    announced: int | None = None
    distinct: int = 0
    counts: Counts = field(default_factory=Counts)
    skipped: str = ""
    stopped: MoreToDo | None = None
    error: AutomatumError | None = None


class TableRun:
    """One table in one run.

    Args:
        endpoint: What to read.
        connection: How.
        filters: Values for the endpoint's filters.
        on_page: Called after each page.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connection: Connection,
        filters: Mapping[str, str] | None = None,
        on_page: Callable[[TableRun], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._on_page = on_page
        self.outcome = Outcome()
        self._connection = connection
        self._filters = dict(filters or {})
        self._table = Table(endpoint)
        self._sweep: Sweep | None = None
        self._known: Known | None = None
        self._id = uuid4().hex
        self._started = utc(connection.clock.time())

    @property
    def done(self) -> bool:
        """Whether another chunk would find nothing to do."""
        outcome = self.outcome
        return bool(
            outcome.skipped or outcome.error or outcome.stopped or outcome.verdict in ("complete", "incomplete")
        )

    def skip(self, why: str) -> None:
        """Leave this table out."""
        self.outcome.skipped = why

    def extract(self, pipeline: SupportsPipeline | None, chunk: Chunk) -> Iterator[tuple[str, pa.Table]]:
        """The tables of one chunk, each with its name.

        What goes wrong is kept in `outcome`, so that what was read before is loaded all the same.

        Args:
            pipeline: The pipeline that loads them; None to read without comparing.
            chunk: Bounds.
        """
        if self.done:
            return
        self._table.start_package()
        buffer: dict[str, Row] = {}
        spent = self._connection.budget.requests
        try:
            if self._known is None:
                self._known = read_known(pipeline, self.endpoint) if pipeline else Known(readable=False)
            for rows in self._read(self._known, chunk):
                buffer.update((row.key, row) for row in rows)
                chunk.rows += len(rows)
                if len(buffer) >= BATCH_ROWS:
                    yield from self._table.arrow(list(buffer.values()))
                    buffer = {}
        except MoreToDo as error:
            self.outcome.stopped, self.outcome.verdict = error, "more_to_do"
        except NotThere as error:
            if self.endpoint.kind == "report":
                self.skip(f"{error} Set its path, or leave it out of the tables.")
                logger.warning("%s is skipped: %s", self.endpoint.table, self.outcome.skipped)
            else:
                self.outcome.error = error
        except AutomatumError as error:
            self.outcome.error = error
        self.outcome.requests += self._connection.budget.requests - spent
        if buffer:
            yield from self._table.arrow(list(buffer.values()))
        if self.outcome.verdict in ("complete", "incomplete") and pipeline and not self._filters:
            yield SWEEPS_TABLE, self._account()

    def _read(self, known: Known, chunk: Chunk) -> Iterator[list[Row]]:
        return self._read_report(known) if self.endpoint.kind == "report" else self._read_list(known, chunk)

    def _read_list(self, known: Known, chunk: Chunk) -> Iterator[list[Row]]:
        transport = self._connection.transport
        if self._sweep is None:
            self._sweep = Sweep(
                self._table, lambda number: read_page(transport, self.endpoint, number, self._filters), known
            )
        sweep = self._sweep
        outcome = self.outcome
        outcome.counts = sweep.counts
        while sweep.verdict is None and not chunk.full(self._connection.clock.monotonic()):
            rows = sweep.step()
            outcome.pages, outcome.announced, outcome.distinct = sweep.pages_read, sweep.total, sweep.distinct
            if self._on_page:
                self._on_page(self)
            yield rows
        outcome.verdict, outcome.reason = sweep.verdict, sweep.reason

    def _read_report(self, known: Known) -> Iterator[list[Row]]:
        today = utc(self._connection.clock.time()).date()
        page = read_report(self._connection.transport, self.endpoint, self._first_day(today), today)
        outcome, table = self.outcome, self._table
        outcome.pages, outcome.verdict = 1, "complete"
        rows: dict[str, Row] = {}
        seen: set[str] = set()
        for key, record in zip(table.keys(page.records), page.records, strict=True):
            if key is None or key in seen:
                outcome.verdict = "incomplete"
                outcome.reason = (
                    f"records share or lack their key ({', '.join(self.endpoint.key)}); name one that tells them "
                    f"apart in sources.automatum.endpoints.{self.endpoint.table}.key"
                )
                continue
            seen.add(key)
            hash_ = table.hash(record)
            held = known.hashes.get(key)
            if held == hash_:
                outcome.counts.unchanged += 1
                continue
            outcome.counts.updated += held is not None
            outcome.counts.inserted += held is None
            rows[key] = Row(key, hash_, record, utc(page.read_at), held is not None or not known.readable)
        outcome.distinct = len(seen)
        yield list(rows.values())

    def _first_day(self, today: date) -> date:
        return self._connection.settings.first_day(today)

    def _account(self) -> pa.Table:
        outcome, counts = self.outcome, self.outcome.counts
        finished: datetime = utc(self._connection.clock.time())
        drift = self._sweep.drift if self._sweep else []
        values = [
            self._id, self.endpoint.table, self._started, finished, outcome.pages, outcome.requests,
            outcome.announced, outcome.distinct, counts.inserted, counts.updated, counts.deleted, counts.unchanged,
            outcome.verdict, outcome.reason or None, dumps({"drift": drift}).decode() if drift else None, finished,
        ]  # fmt: skip
        return pa.Table.from_arrays(
            [pa.array([value], one.type) for value, one in zip(values, SWEEPS_SCHEMA, strict=True)],
            schema=SWEEPS_SCHEMA,
        )
