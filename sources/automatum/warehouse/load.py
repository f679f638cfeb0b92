"""Runs a dlt pipeline whose working folder may be stale, foreign or gone (I9).

The destination is the only memory. A run begins with an empty schema and state, which dlt compares with the tables of
the destination. Load packages of an interrupted run are loaded only if they were read for the dataset as it is now. A
load that fails for a passing reason is tried again; a package that the destination refuses is set aside.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.exceptions import TerminalException
from dlt.common.pipeline import SupportsPipeline
from dlt.pipeline.exceptions import PipelineStepFailed

from ..core.clock import Clock, utc
from ..core.errors import AutomatumError, DestinationError, PackageRefused
from ..core.redaction import redact
from .dataset import forget_broken_promises, loads_after, loads_so_far, missing_columns
from .dlt_duckdb import grow_duckdb_memory, remember_database, stay_connected
from .dlt_internals import (
    delete_loaded_rows,
    drop_extracted_packages,
    drop_staging,
    failed_table,
    locate_destination,
    original_error,
    pending_packages,
    reset_working_folder,
    restore_schema,
    without_memory,
)
from .duckdb_file import KeepOpen
from .packages import list_set_aside, set_aside
from .records import SCHEMA, insert_records
from .sql_client import one_client

logger = logging.getLogger("automatum")

_ORIGIN_FILE = "automatum.json"
"""File in dlt's working folder: what its packages were read from, and after which load of the dataset."""
ATTEMPTS = 3
"""Attempts at a load: two runs may create the same table at the same moment, and a server may be away briefly."""
_LATELY = 86_400.0
MOST_RUNS = 3
"""Runs in which a pending package may fail for a passing reason before it is set aside."""


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
        self._origin = ""
        self._loads: str | None = None
        self._failures = 0
        self.lacking: dict[str, set[str]] = {}

    def run(self, source: Any = None) -> None:
        """Extract, normalize and load; without a source, load the pending packages.

        Raises:
            AutomatumError: What the source raised.
            Busy: Another program has the destination open.
            DestinationError: A step failed for a reason that may pass. What was extracted stays in the working folder.
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
                    info: Any = self._pipeline.run()
                self._note_loads(info.loads_ids if info else ())
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
                    self._remember(self._failures + 1)
                    raise _failed(error) from error
                logger.info("the %s step failed and is tried again: %s", error.step, _words(error))
            self._clock.sleep(float(2 ** (attempt - 1)))

    def write(self, records: Sequence[tuple[str, pa.Table]], source: Any) -> None:
        """Insert records of sweeps and pages without a load package, or with one if the destination wants it.

        Args:
            records: Table name and rows.
            source: A dlt source that yields the same records.

        Raises:
            AutomatumError: See `run`. The next run loads the records.
        """
        load_id = None
        try:
            with self.keep_open(), one_client(self._pipeline):
                load_id = insert_records(self._pipeline, records, utc(self._clock.time()))
                if load_id and not self._pipeline.schema_names:
                    restore_schema(self._pipeline, SCHEMA)
        except DestinationError as error:
            logger.debug("records go into a load package: %s", error)
        except AutomatumError:
            self._pipeline.extract(source)
            raise
        if load_id is None:
            self.run(source)
        else:
            self._note_loads([load_id])

    def start(self, source: str, schemas: Mapping[str, pa.Schema]) -> bool:
        """Make the working folder fit the dataset; returns whether packages of an earlier run were loaded.

        A package is loaded if it was read from the same application, for the same destination, dataset and columns,
        after the load that is still the last one of the dataset. Else it is dropped, and the run reads its rows again:
        the dataset may have been deleted, replaced or restored, or another machine may have loaded newer rows. The
        schema and the state of the folder are dropped in any case.

        Args:
            source: Names what is read: host, application, and settings that shape the tables.
            schemas: Table name to Arrow schema of the tables that the run may load.

        Raises:
            DestinationError: The destination cannot be reached, or a pending package fails for a reason that may pass.
        """
        self._origin = self._describe(source, schemas)
        self._loads = loads_so_far(self._pipeline)
        missing = missing_columns(self._pipeline, schemas)
        broken = forget_broken_promises(self._pipeline, missing)
        loaded = self._load_pending(broken)
        if loaded or not self._is_fresh():
            reset_working_folder(self._pipeline)
        if loaded:
            self._loads = loads_so_far(self._pipeline)
        self.lacking = missing
        remember_database(self._pipeline)
        self._remember(0)
        return loaded

    @property
    def refused_lately(self) -> bool:
        """Whether the destination has refused a package of this pipeline within a day, and may do so again."""
        now = self._clock.time()
        return any(abs(now - one.at) < _LATELY for one in list_set_aside(Path(self._pipeline.working_dir)))

    def _load_pending(self, broken: bool) -> bool:
        """Load what an interrupted run has read, if it is for the dataset as it is; returns whether it was loaded."""
        try:
            # A kill can leave a package in both forms. On the extracted form dlt 1.31.0 fails in every later run.
            drop_extracted_packages(self._pipeline, set(self._pipeline.list_normalized_load_packages()))
            pending = pending_packages(self._pipeline)
        except Exception as error:
            logger.warning("dlt's working folder cannot be read and is emptied: %s", redact(str(error))[:200])
            return False
        if not pending:
            return False
        noted = self._noted()
        if broken or noted.get("origin") != self._origin or not self._follows(noted.get("loads"), pending):
            logger.warning(
                "what an earlier run left behind was read for another destination, application or state of the "
                "dataset: dropped, and read again where it is needed"
            )
            return False
        failures = noted.get("failures")
        self._failures = failures if isinstance(failures, int) else 0
        logger.info("loading what an earlier run left behind")
        try:
            self.run()
        except PackageRefused as error:
            logger.warning("what an earlier run left behind cannot be loaded and is read again: %s", error.message)
            return False
        except DestinationError as error:
            if self._failures < MOST_RUNS:
                raise
            self._set_aside(None, error.message)
            logger.warning("what an earlier run left behind failed in %d runs and is read again", self._failures)
            return False
        return True

    def _is_fresh(self) -> bool:
        """Whether the working folder is new: `open_pipeline` has emptied it already, unless a package waits."""
        try:
            return not (self._pipeline.schema_names or self._pipeline.has_pending_data)
        except Exception:
            return False

    def _follows(self, noted: Any, pending: list[str]) -> bool:
        """Whether no load but those of the pending packages came after the noted one."""
        if noted == self._loads:
            return True
        # A kill after dlt has written its record of the load, and before it has put the package away.
        return self._loads is not None and any(loads_after(noted, load_id) == self._loads for load_id in pending)

    def _note_loads(self, load_ids: Iterable[str]) -> None:
        for load_id in load_ids:
            self._loads = loads_after(self._loads, load_id)
        self._remember(0)

    def _remember(self, failures: int) -> None:
        self._failures = failures
        noted = {"origin": self._origin, "loads": self._loads, "failures": failures}
        file = Path(self._pipeline.working_dir) / _ORIGIN_FILE
        file.with_suffix(".new").write_text(json.dumps(noted))
        file.with_suffix(".new").replace(file)

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads((Path(self._pipeline.working_dir) / _ORIGIN_FILE).read_text())
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _refused(self, error: PipelineStepFailed) -> PackageRefused:
        """Set the pending packages aside and drop what dlt knows; a new schema may be what the destination takes."""
        table = failed_table(_cause_of(error))
        files = self._set_aside(table, _words(error))
        reset_working_folder(self._pipeline)
        drop_staging(self._pipeline)
        self._remember(0)
        return PackageRefused(error.step, table, _words(error), [str(one) for one in files])

    def _set_aside(self, table: str | None, reason: str) -> list[Path]:
        now = self._clock.time()
        files = (
            set_aside(self._pipeline, load_id, at=now, table=table, reason=reason)
            for load_id in pending_packages(self._pipeline)
        )
        return [one for one in files if one]

    def _describe(self, source: str, schemas: Mapping[str, pa.Schema]) -> str:
        """A hash of what is read, of where it is loaded to, and of the columns."""
        place = locate_destination(self._pipeline.destination), self._pipeline.dataset_name
        columns = [f"{name} {schema.to_string()}" for name, schema in sorted(schemas.items())]
        return hashlib.sha256("\n".join((*place, source, dlt.__version__, *columns)).encode()).hexdigest()


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
        "What was read is kept in dlt's working folder and loaded by the next run; --debug shows the whole error.",
    )


def _cause_of(error: PipelineStepFailed) -> BaseException:
    return error.__context__ or error.__cause__ or error


def _words(error: PipelineStepFailed) -> str:
    origin = original_error(_cause_of(error))
    return f"{type(origin).__name__}: {redact(str(origin)).strip()[:500]}"
