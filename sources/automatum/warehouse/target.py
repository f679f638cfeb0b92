"""Where a run loads to: a dlt destination by its name, or a DuckDB file, which has one writer at a time."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ConfigurationError
from ..core.file_lock import exclusive_lock
from ..core.process import DUCKDB_MEMORY, use_one_loader
from ..core.redaction import redact
from .duckdb_file import wait_for_file
from .pipeline import PIPELINE, open_pipeline

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

DEFAULT_DATABASE = Path("marketplace.duckdb")
DEFAULT_DATASET = "automatum"
DUCKDB = "duckdb"


@dataclass(frozen=True)
class Target:
    """What a run loads to.

    Attributes:
        destination: Name of a dlt destination; its credentials come from dlt's configuration.
        dataset: Dataset (schema) of the tables.
        database: DuckDB file, for the destination `duckdb`.
    """

    destination: str = DUCKDB
    dataset: str = DEFAULT_DATASET
    database: Path = DEFAULT_DATABASE

    @property
    def file(self) -> Path | None:
        """The DuckDB file, as the one path that all its names lead to; None for another destination."""
        return self.database.resolve() if self.destination == DUCKDB else None

    @property
    def missing(self) -> bool:
        """Whether it is a DuckDB file that is not there yet."""
        return self.file is not None and not self.file.is_file()

    def open(self, pipeline_name: str = PIPELINE) -> Any:
        """The dlt destination.

        Args:
            pipeline_name: Pipeline that loads to it. Each but the first has a staging dataset of its own: two that
                merge by way of one wipe each other's rows there, or load them twice.

        Raises:
            ConfigurationError: It cannot be one.
        """
        import dlt
        from dlt.common.normalizers.naming.snake_case import NamingConvention
        from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

        if self.destination == DUCKDB:
            same = NamingConvention().normalize_identifier
            if same(self.database.stem).lower() == same(self.dataset).lower():
                raise ConfigurationError(
                    "--dataset",
                    f"{self.dataset!r} has the name of the DuckDB file {self.database.name}, which DuckDB finds "
                    "ambiguous.",
                    "Name one of them differently.",
                )
            if not self.database.parent.is_dir():
                raise ConfigurationError(
                    "--database", f"there is no folder {self.database.parent}.", "Create it first."
                )
            use_one_loader()
            # dlt reads a relative path from where the pipeline's first run was started, wherever this one is.
            credentials = DuckDbCredentials(str(self.file))
            credentials.global_config = {"memory_limit": DUCKDB_MEMORY}
            return dlt.destinations.duckdb(credentials, **_staging(pipeline_name))
        try:
            return dlt.destination(self.destination, **_staging(pipeline_name))
        except Exception as error:  # dlt raises whatever the import of the destination raises
            raise ConfigurationError(
                "--destination", f"{self.destination!r}: {redact(str(error)).splitlines()[0]}"
            ) from error

    def existing(self, clock: Clock, budget: Budget, wait: float) -> SupportsPipeline:
        """A pipeline to ask it; a DuckDB file that is not there is not made by asking.

        Args:
            clock: Time.
            budget: Bounds of the run.
            wait: Seconds to wait for a DuckDB file that another program has open.

        Raises:
            ConfigurationError: There is no such file.
            Busy: Another program has it open.
        """
        if self.missing:
            raise ConfigurationError("--database", f"there is no file {self.database}.", "Sync first, or name another.")
        if self.file:
            wait_for_file(self.file, wait=wait, clock=clock, budget=budget)
        folder = tempfile.mkdtemp(prefix="automatum-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # cron would leave one at every run
        return open_pipeline(self.open(), self.dataset, folder)

    @contextlib.contextmanager
    def exclusive_writer(self, role: str, clock: Clock, budget: Budget, wait: float) -> Iterator[Callable[[], None]]:
        """Be the one writer of a DuckDB file for as long as the block takes; nothing of the kind elsewhere.

        Args:
            role: What this run does, for the message of those who wait.
            clock: Time.
            budget: Bounds of the run.
            wait: Seconds to wait for another writer, and for a program that has the file open.

        Yields:
            What waits until no other program has the file open, to be called before it is used.

        Raises:
            Busy: Another holds it for longer than that.
            ConfigurationError: There is no such folder, or it cannot be written to.
        """
        file = self.file
        if file is None:
            yield lambda: None
            return
        if not file.parent.is_dir():
            raise ConfigurationError("--database", f"there is no folder {file.parent}.", "Create it first.")

        def free() -> None:
            wait_for_file(file, wait=wait, clock=clock, budget=budget)

        lock = file.with_name(file.name + ".lock")
        with exclusive_lock(lock, f"The DuckDB file {self.database}", role, wait=wait, clock=clock, budget=budget):
            free()
            yield free


def _staging(pipeline_name: str) -> dict[str, Any]:
    if pipeline_name == PIPELINE:
        return {}
    return {"staging_dataset_name_layout": f"%s_staging_{pipeline_name.removeprefix(PIPELINE + '_')}"}


@contextlib.contextmanager
def exclusive_pipeline(
    pipeline_name: str, pipelines_dir: str | None, clock: Clock, budget: Budget, wait: float
) -> Iterator[None]:
    """Be the one run of a pipeline: dlt's working folder has no lock of its own, and two runs lose rows in it.

    Args:
        pipeline_name: Name of the dlt pipeline.
        pipelines_dir: dlt's working folder; None for its default.
        clock: Time.
        budget: Bounds of the run.
        wait: Seconds to wait for the other run.

    Raises:
        Busy: It takes longer than that.
    """
    from dlt.common.pipeline import get_dlt_pipelines_dir

    lock = Path(pipelines_dir or get_dlt_pipelines_dir()) / f"{pipeline_name}.lock"
    with exclusive_lock(lock, f"The pipeline {pipeline_name}", "automatum", wait=wait, clock=clock, budget=budget):
        yield


def check_copy_path(warehouse: Target, copy: Path) -> Path:
    """Where a read copy goes.

    Raises:
        ConfigurationError: There can be none, or not there.
    """
    if warehouse.file is None:
        raise ConfigurationError("--read-copy", "is for DuckDB files alone.", "Other destinations have readers anyway.")
    if copy.resolve() == warehouse.file:
        raise ConfigurationError("--read-copy", "is the database itself.", "Name another file.")
    if not copy.parent.is_dir():
        raise ConfigurationError("--read-copy", f"there is no folder {copy.parent}.", "Create it first.")
    return copy
