"""Runs a dlt pipeline whose working folder may be stale, foreign or gone (I9).

The destination is the only memory. A run begins with an empty working folder: schema, state and load packages of
earlier runs are dropped, and what these packages held is read again. A load that fails for a passing reason is tried
again; a package that the destination refuses is dropped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pyarrow as pa
from dlt.common.exceptions import TerminalException
from dlt.common.pipeline import SupportsPipeline
from dlt.pipeline.exceptions import PipelineStepFailed

from ..core.clock import Clock, utc
from ..core.errors import AutomatumError, DestinationError, PackageRefused
from ..core.redaction import redact
from .dataset import forget_broken_promises, missing_columns
from .dlt_duckdb import grow_duckdb_memory, remember_database, stay_connected
from .dlt_internals import (
    delete_loaded_rows,
    drop_staging,
    failed_table,
    original_error,
    reset_working_folder,
    restore_schema,
    without_memory,
)
from .duckdb_file import KeepOpen
from .records import SCHEMA, insert_records
from .sql_client import one_client

logger = logging.getLogger("automatum")

ATTEMPTS = 3
"""Attempts at a load: two runs may create the same table at the same moment, and a server may be away briefly."""


class Loader:
    """Runs a pipeline.

    Args:
        pipeline: Which.
        clock: Time.
        keep_open: Keeps the destination open while a package is loaded.

    Attributes:
        keep_open: The same.
        lacking: Table name to the columns that the dataset lacks; all of them if it lacks the table.
    """

    def __init__(self, pipeline: SupportsPipeline, clock: Clock, keep_open: KeepOpen = nullcontext) -> None:
        without_memory(pipeline)
        _empty_staging_after_load(pipeline.pipeline_name)
        self._pipeline: Any = pipeline
        self._clock = clock
        self.keep_open = keep_open
        self.lacking: dict[str, set[str]] = {}

    def run(self, source: Any) -> None:
        """Extract, normalize and load.

        Raises:
            AutomatumError: What the source raised.
            Busy: Another program has the destination open.
            DestinationError: A step failed for a reason that may pass. The next run reads the rows again.
            PackageRefused: A step failed for a reason that stays. The rows of the package have to be read again.
        """
        attempt = 0
        while True:
            try:
                if source is not None:
                    # The destination stays closed while the source reads the API, which may take an hour.
                    self._pipeline.extract(source)
                    source = None
                with self.keep_open(), stay_connected(self._pipeline), job_errors_at_debug():
                    self._pipeline.run()
                delete_loaded_rows(self._pipeline)
                return
            except PipelineStepFailed as error:
                cause = _cause_of(error)
                if isinstance(cause, AutomatumError):
                    raise cause from None
                if _out_of_memory(cause) and error.step == "load" and (limit := grow_duckdb_memory(self._pipeline)):
                    logger.info("DuckDB needs more memory; the load is tried again with %s", limit)
                    continue
                if _is_terminal(error):
                    raise self._refused(error) from error
                attempt += 1
                if error.step != "load" or attempt >= ATTEMPTS:
                    raise _failed(error) from error
                logger.info("the %s step failed and is tried again: %s", error.step, _words(error))
            self._clock.sleep(float(2 ** (attempt - 1)))

    def write(self, records: Sequence[tuple[str, pa.Table]], source: Any) -> None:
        """Insert records of sweeps and pages without a load package, or with one if the destination wants it.

        Args:
            records: Table name and rows.
            source: A dlt source that yields the same records.

        Raises:
            AutomatumError: See `run`.
        """
        load_id = None
        try:
            with self.keep_open(), one_client(self._pipeline):
                load_id = insert_records(self._pipeline, records, utc(self._clock.time()))
                if load_id and not self._pipeline.schema_names:
                    restore_schema(self._pipeline, SCHEMA)
        except DestinationError as error:
            logger.debug("records go into a load package: %s", error)
        if load_id is None:
            self.run(source)

    def start(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Drop what earlier runs have left in the working folder, and compare the tables of the dataset.

        Args:
            schemas: Table name to Arrow schema of the tables that the run may load.

        Raises:
            DestinationError: The destination cannot be reached.
        """
        if self._pipeline.schema_names or self._pipeline.has_pending_data:
            reset_working_folder(self._pipeline)
        self.lacking = missing_columns(self._pipeline, schemas)
        forget_broken_promises(self._pipeline, self.lacking)
        remember_database(self._pipeline)

    def _refused(self, error: PipelineStepFailed) -> PackageRefused:
        """Drop the package and what dlt knows; a new schema may be what the destination takes."""
        reset_working_folder(self._pipeline)
        drop_staging(self._pipeline)
        return PackageRefused(error.step, failed_table(_cause_of(error)), _words(error))


class _JobErrors(logging.Filter):
    """Moves what dlt logs of its load jobs, and other tracebacks, to the connector's log, at debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.module != "load" and not record.exc_info:
            return True
        logger.debug("%s", record.getMessage(), exc_info=record.exc_info)
        return False


@contextmanager
def job_errors_at_debug() -> Iterator[None]:
    """Let dlt print nothing of a load job that fails. The loader tries it again, or says in its error what happened."""
    log, errors = logging.getLogger("dlt"), _JobErrors()
    log.addFilter(errors)
    try:
        yield
    finally:
        log.removeFilter(errors)


def _empty_staging_after_load(pipeline_name: str) -> None:
    """Let dlt empty the staging dataset after each load, and not only before the next load to the same table.

    Until the next load, it would keep a copy of the rows that were loaded last, even after their deletion.
    """
    os.environ.setdefault(f"{pipeline_name.upper()}__LOAD__TRUNCATE_STAGING_DATASET", "true")


def _is_terminal(error: PipelineStepFailed) -> bool:
    """Whether a step fails again however often it is tried."""
    cause = _cause_of(error)
    if isinstance(cause, (OSError, MemoryError, KeyboardInterrupt)):
        return False
    return error.step in ("extract", "normalize") or isinstance(cause, TerminalException)


def _out_of_memory(cause: BaseException) -> bool:
    return "Out of Memory Error" in str(cause)


def _failed(error: PipelineStepFailed) -> DestinationError:
    return DestinationError(
        f"The {error.step} step failed: {_words(error)}",
        "Run again: the next run reads these rows again. --debug shows the whole error.",
    )


def _cause_of(error: PipelineStepFailed) -> BaseException:
    return error.__context__ or error.__cause__ or error


def _words(error: PipelineStepFailed) -> str:
    origin = original_error(_cause_of(error))
    return f"{type(origin).__name__}: {redact(str(origin)).strip()[:500]}"
