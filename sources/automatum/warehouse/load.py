"""Loads chunks of tables by one of two writers, whatever is left in dlt's working folder (I9).

A write that fails for a passing reason is tried again. Rows that the destination refuses are dropped, and read again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
from dlt.common.exceptions import TerminalException
from dlt.common.pipeline import SupportsPipeline

from ..core.clock import Clock
from ..core.errors import AutomatumError, DestinationError, PackageRefused
from ..core.redaction import redact
from .compare import Compared, compare_tables
from .duckdb_file import KeepOpen, grow_duckdb_memory, remember_database

if TYPE_CHECKING:
    from ..schema.stored import StoredTable
    from .dlt_schema import Declared

logger = logging.getLogger("automatum")

Tables = Iterator[tuple[str, pa.Table]]
"""Arrow tables, each with its table's name. The ids of the load that they have columns for are null."""
ATTEMPTS = 3
"""Attempts at a write: two runs may create the same table at the same moment, and a server may be away briefly."""


@dataclass
class ChunkTables:
    """What one chunk has to load.

    Attributes:
        tables: Name of each resource to its tables, which can be read once.
        declared: All tables that a sync may fill.
        lacking: Names of the tables that the destination lacks, wholly or in part. Reading `tables` removes those that
            the chunk has.
        table_format: `delta` or `iceberg`; None for the destination's own format.
    """

    tables: Mapping[str, Tables]
    declared: Declared
    lacking: set[str]
    table_format: str | None = None

    @property
    def existing(self) -> set[str]:
        """Names of the tables that the destination has."""
        return self.declared.keys() - self.lacking


class Writer(Protocol):
    """A way to write chunks. Its methods raise `WriteFailed`."""

    def read(self, chunk: ChunkTables) -> None:
        """Read the tables of a chunk. The destination stays closed: that may take an hour."""

    def write(self, chunk: ChunkTables, creates: bool) -> None:
        """Write what was read of the chunk, all of it or nothing that counts; `creates` if it creates tables, too."""

    def drop(self) -> None:
        """Forget what was read."""


class WriteFailed(Exception):
    """A step of a writer failed.

    Args:
        step: `extract`, `normalize` or `load`.
        cause: Why.
        table: The table whose rows were written; None if that is not known.
    """

    def __init__(self, step: str, cause: BaseException, table: str | None = None) -> None:
        super().__init__(str(cause))
        self.step, self.cause, self.table = step, cause, table

    @property
    def terminal(self) -> bool:
        """Whether the step fails again however often it is tried."""
        if isinstance(self.cause, (OSError, MemoryError, KeyboardInterrupt)):
            return False
        return self.step != "load" or isinstance(self.cause, TerminalException)

    @property
    def words(self) -> str:
        """What the destination said."""
        origin = getattr(self.cause, "client_exception", None) or self.cause  # dlt names the job first.
        return f"{type(origin).__name__}: {redact(str(origin)).strip()[:500]}"


class Loader:
    """Loads the chunks of a sync.

    Args:
        pipeline: The pipeline of the destination.
        clock: Time.
        keep_open: Keeps the destination open while it is written to.

    Attributes:
        compared: What the destination has of the tables.
        lacking: Table name to the columns that it lacks; all of them if it lacks the table.
    """

    def __init__(self, pipeline: SupportsPipeline, clock: Clock, keep_open: KeepOpen = nullcontext) -> None:
        self._pipeline: Any = pipeline
        self._clock = clock
        self.keep_open = keep_open
        self.compared = Compared({}, {})
        self.lacking = self.compared.lacking

    def start(self, tables: Sequence[StoredTable]) -> None:
        """Drop what earlier runs have left in the working folder, and compare the tables of the dataset.

        Args:
            tables: The tables that the run may load.

        Raises:
            ConfigurationError: A table of the log has a column of another type.
            DestinationError: The destination cannot be reached.
        """
        if self._pipeline.schema_names or self._pipeline.has_pending_data:
            self._pipeline.drop()
        self.compared = compare_tables(self._pipeline, tables)
        self.compared.check(table for table in tables if table.kind == "log")
        self.lacking = self.compared.lacking
        remember_database(self._pipeline)

    def load(self, writer: Writer, chunk: ChunkTables) -> None:
        """Read a chunk, and write it.

        Args:
            writer: Writes it.
            chunk: Its tables.

        Raises:
            AutomatumError: What the reading raised.
            Busy: Another program has the destination open.
            DestinationError: The destination failed for a reason that may pass. The next run reads the rows again.
            PackageRefused: It failed for a reason that stays. The rows have to be read again.
        """
        attempt, before = 0, set(chunk.lacking)
        try:
            writer.read(chunk)
            while True:
                try:
                    with self.keep_open(), job_errors_at_debug():
                        writer.write(chunk, chunk.lacking != before)
                    break
                except WriteFailed as error:
                    if "Out of Memory Error" in str(error.cause) and (limit := grow_duckdb_memory(self._pipeline)):
                        logger.info("DuckDB needs more memory; the load is tried again with %s", limit)
                        continue
                    attempt += 1
                    if error.terminal or attempt >= ATTEMPTS:
                        raise
                    logger.info("the %s step failed and is tried again: %s", error.step, error.words)
                self._clock.sleep(float(2 ** (attempt - 1)))
        except WriteFailed as error:
            writer.drop()
            if isinstance(error.cause, AutomatumError):
                raise error.cause from None
            if error.terminal:
                raise PackageRefused(error.step, error.table, error.words) from error
            raise DestinationError(
                f"The {error.step} step failed: {error.words}",
                "Run again: the next run reads these rows again. --debug shows the whole error.",
            ) from error
        self.lacking = {name: columns for name, columns in self.lacking.items() if name in chunk.lacking}


def _no_job_error(record: logging.LogRecord) -> bool:
    """Move what dlt logs of its load jobs, and other tracebacks, to the connector's log, at debug."""
    if record.module != "load" and not record.exc_info:
        return True
    logger.debug("%s", record.getMessage(), exc_info=record.exc_info)
    return False


@contextmanager
def job_errors_at_debug() -> Iterator[None]:
    """Let dlt print nothing of a load job that fails. The loader tries it again, or says in its error what happened."""
    log = logging.getLogger("dlt")
    log.addFilter(_no_job_error)
    try:
        yield
    finally:
        log.removeFilter(_no_job_error)
