"""Loads chunks of tables, whatever is in dlt's working folder (I9): on DuckDB in one transaction, else by packages.

A load package takes dlt half a second and two dozen statements. A transaction leaves what a package would leave: dlt
creates the tables, stores the schema and records the load. A kill leaves all of it or nothing.

A write that fails for a passing reason is tried again. Rows that the destination refuses are dropped, and read again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from dlt.common.exceptions import TerminalException
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from ..core.clock import Clock
from ..core.errors import AutomatumError, DestinationError, PackageRefused
from ..core.redaction import redact
from ..schema.columns import DLT_LOAD_ID
from .compare import Compared, compare_tables
from .dlt_internals import create_load_id, create_tables, drop_staging, failed_table, use_schema
from .dlt_schema import SCHEMA, Declared, declare_tables, extracted, make_resource, stamp
from .duckdb_file import KeepOpen, grow_duckdb_memory, is_duckdb, remember_database
from .sql_client import open_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..schema.stored import StoredTable

logger = logging.getLogger("automatum")

Tables = Iterator[tuple[str, pa.Table]]
"""Arrow tables, each with its table's name. The ids of the load that they have columns for are null."""
_ROWS = "automatum_rows"
"""Name of the Arrow table in queries."""
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
    """

    tables: Mapping[str, Tables]
    declared: Declared
    lacking: set[str]

    @property
    def existing(self) -> set[str]:
        """Names of the tables that the destination has."""
        return self.declared.keys() - self.lacking


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
        """What the destination said, without the row that Postgres quotes as detail: it is a customer's data."""
        origin = getattr(self.cause, "client_exception", None) or self.cause  # dlt names the job first.
        said = redact(str(origin)).partition("\nDETAIL:")[0]
        return f"{type(origin).__name__}: {said.strip()[:500]}"


class DuckDbWriter:
    """Writes chunks in one transaction each. A chunk is in memory, as Arrow, until it is written.

    Args:
        pipeline: The pipeline of the destination.
    """

    def __init__(self, pipeline: SupportsPipeline) -> None:
        self._pipeline = pipeline
        self._rows: dict[str, pa.Table] = {}

    def read(self, chunk: ChunkTables) -> None:
        """Collect the tables. The destination stays closed: that may take an hour."""
        parts: dict[str, list[pa.Table]] = {}
        try:
            for name, table in chain.from_iterable(chunk.tables.values()):
                parts.setdefault(name, []).append(table)
        except Exception as error:
            raise WriteFailed("extract", error) from error
        self._rows = {name: pa.concat_tables(tables) for name, tables in parts.items()}

    def write(self, chunk: ChunkTables, creates: bool) -> None:
        """Write the tables, all of them or none, and dlt's record of the load.

        Args:
            chunk: What was read.
            creates: It creates tables, or columns of them.
        """
        if not self._rows:
            return
        schema = dlt.Schema(SCHEMA)
        declare_tables(schema, chunk.declared, chunk.existing)
        use_schema(self._pipeline, schema)
        name = None
        try:
            with open_client(self._pipeline) as client:
                create_tables(client, force=creates)
                load_id = create_load_id()
                with client.sql_client.begin_transaction():
                    for name, rows in self._rows.items():
                        if len(rows):
                            _merge(client.sql_client, chunk.declared[name][0], stamp(rows, load_id), load_id)
                    client.complete_load(load_id)
        except Exception as error:
            raise WriteFailed("load", error, name) from error
        self.drop()

    def drop(self) -> None:
        """Free the rows."""
        self._rows = {}


def _merge(client: Any, table: StoredTable, rows: pa.Table, load_id: str) -> None:
    """Insert rows in place of those of the same keys, as a merge of dlt by `delete-insert` does."""
    target, quoted = client.make_qualified_table_name(table.name), client.escape_column_name

    def listed(columns: Iterable[str]) -> str:
        return ", ".join(map(quoted, columns))

    names = values = listed(rows.column_names)
    # Columns of dlt that the user's settings have added.
    with client.execute_query(f"SELECT * FROM {target} LIMIT 0") as cursor:
        added = {column[0] for column in cursor.description} - set(rows.column_names)
    for name, value in ((DLT_LOAD_ID, f"'{load_id}'"), ("_dlt_id", "uuid()")):
        if name in added:
            names, values = f"{names}, {quoted(name)}", f"{values}, {value}"
    removes = {one.name: "NOT TRUE" if one.type == "bool" else "NULL" for one in table.columns if one.hard_delete}
    kept = " AND ".join(f"{quoted(name)} IS {value}" for name, value in removes.items()) or "TRUE"
    same = listed(table.merge_key or table.key)
    client.native_connection.register(_ROWS, rows)
    try:
        source, key = f"SELECT * FROM {_ROWS}", listed(table.key)
        ((keys,),) = client.execute_sql(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM {_ROWS})")
        if keys < len(rows):  # Only then, because the window takes as long as the insert.
            latest = listed(one.name for one in table.columns if one.latest_first)
            order = f" ORDER BY {latest} DESC" if latest else ""
            source += f" QUALIFY row_number() OVER (PARTITION BY {key}{order}) = 1"
        client.execute_sql(f"DELETE FROM {target} WHERE ({same}) IN (SELECT ({same}) FROM {_ROWS})")
        client.execute_sql(f"INSERT INTO {target} ({names}) SELECT {values} FROM ({source}) WHERE {kept}")
    finally:
        client.native_connection.unregister(_ROWS)


class PackageWriter:
    """Writes chunks as load packages. dlt's extraction writes the rows to files as they are read.

    Args:
        pipeline: The pipeline of the destination.
    """

    def __init__(self, pipeline: SupportsPipeline) -> None:
        # Until the next load, dlt would keep copies of the rows that were loaded last, even after their deletion.
        for setting in ("TRUNCATE_STAGING_DATASET", "DELETE_COMPLETED_JOBS"):
            os.environ.setdefault(f"{pipeline.pipeline_name.upper()}__LOAD__{setting}", "true")
        self._pipeline: Any = pipeline
        self._names: Collection[str] = ()

    def read(self, chunk: ChunkTables) -> None:
        """Extract the tables; see `DuckDbWriter`."""
        self._names = chunk.declared.keys()

        def resource(name: str) -> DltResource:
            def rows() -> Iterator[Any]:
                yield from extracted(name, chunk.declared, chunk.tables[name])

            return make_resource(name, chunk.declared, rows)

        @dlt.source(name=SCHEMA, section="automatum")
        def automatum() -> Iterable[DltResource]:
            declare_tables(dlt.current.source_schema(), chunk.declared, chunk.existing)
            return [resource(name) for name in chunk.tables]

        _step(lambda: self._pipeline.extract(automatum()))

    def write(self, chunk: ChunkTables, creates: bool) -> None:
        """Normalize and load the package; see `DuckDbWriter`."""
        _step(self._pipeline.normalize)
        if creates:
            try:
                with open_client(self._pipeline) as client:
                    create_tables(client, force=True)
            except Exception as error:
                # If the connection is lost for good, dlt fails to roll back, with an AttributeError.
                lost = error.__context__ if isinstance(error, AttributeError) else None
                raise WriteFailed("load", lost or error) from error
        _step(self._pipeline.load)

    def drop(self) -> None:
        """Drop the package and what dlt knows: a new schema may be what the destination takes."""
        self._pipeline.drop()
        # The next load says what is wrong with the destination.
        with suppress(Exception), open_client(self._pipeline) as client:
            drop_staging(client, self._names)


def _step(run: Callable[[], Any]) -> None:
    try:
        run()
    except PipelineStepFailed as error:
        cause = error.__context__ or error.__cause__ or error
        raise WriteFailed(error.step, cause, failed_table(cause)) from error


class Loader:
    """Loads the chunks of a sync.

    Args:
        pipeline: The pipeline of the destination.
        clock: Time.
        keep_open: Keeps the destination open while it is written to.
        writer: Writes the chunks; None for that of the destination.

    Attributes:
        compared: What the destination has of the tables.
        lacking: Names of the tables that it lacks, wholly or in part.
    """

    def __init__(
        self, pipeline: SupportsPipeline, clock: Clock, keep_open: KeepOpen = nullcontext, writer: Any = None
    ) -> None:
        self._pipeline: Any = pipeline
        self._clock = clock
        self._writer = writer or (DuckDbWriter(pipeline) if is_duckdb(pipeline) else PackageWriter(pipeline))
        self.keep_open = keep_open
        self.compared = Compared(set(), {})
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

    def load(self, chunk: ChunkTables) -> None:
        """Read a chunk, and write it.

        Args:
            chunk: Its tables.

        Raises:
            AutomatumError: What the reading raised.
            Busy: Another program has the destination open.
            DestinationError: The destination failed for a reason that may pass. The next run reads the rows again.
            PackageRefused: It failed for a reason that stays. The rows have to be read again.
        """
        attempt, before = 0, set(chunk.lacking)
        try:
            self._writer.read(chunk)
            while True:
                try:
                    with self.keep_open(), quiet_dlt():
                        self._writer.write(chunk, chunk.lacking != before)
                    break
                except WriteFailed as error:
                    logger.debug("the %s step failed", error.step, exc_info=True)
                    if "Out of Memory Error" in str(error.cause) and (limit := grow_duckdb_memory(self._pipeline)):
                        logger.info("DuckDB needs more memory; the load is tried again with %s", limit)
                        continue
                    attempt += 1
                    if error.terminal or attempt >= ATTEMPTS:
                        raise
                    logger.info("the %s step failed and is tried again: %s", error.step, error.words)
                self._clock.sleep(float(2 ** (attempt - 1)))
        except WriteFailed as error:
            self._writer.drop()
            if isinstance(error.cause, AutomatumError):
                raise error.cause from None
            if error.terminal:
                raise PackageRefused(error.step, error.table, error.words) from error
            raise DestinationError(
                f"The {error.step} step failed: {error.words}",
                "Run again: the next run reads these rows again. --debug shows the whole error.",
            ) from error
        self.lacking = self.lacking & chunk.lacking


@contextmanager
def quiet_dlt() -> Iterator[None]:
    """Let dlt log nothing: what it says of a job that fails, with its traceback, the loader says in its error."""
    log = logging.getLogger("dlt")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
