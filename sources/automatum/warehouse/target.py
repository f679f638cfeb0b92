"""Where a run loads to: a dlt destination or a DuckDB file, and the dlt pipeline that loads there."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir

from ..config.lookup import register_destination_secrets
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB
from ..core.errors import ConfigurationError
from ..core.extras import install_command, is_installed
from ..core.file_lock import exclusive_lock
from ..core.private_files import writing
from ..core.process import duckdb_memory, use_one_loader
from ..core.redaction import first_line
from ..core.suggest import suggestion
from ..schema.columns import normalize_identifier
from .dlt_internals import locate_destination
from .duckdb_file import (
    USER_AGENT,
    KeepOpen,
    OpenFile,
    check_copy,
    duckdb_destination,
    open_when_free,
    remember_database,
)

PIPELINE = "automatum"
_SCRIPT = f"{PIPELINE}_script"
_DRIVERS = {DUCKDB: "duckdb", "postgres": "psycopg2"}
"""Destination to the package that it needs besides dlt. Of other destinations dlt says what is missing."""
_DUCKDB_SCHEMAS = ("information_schema", "pg_catalog", "temp", "system")
"""Names that DuckDB takes for its own."""


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

    def __post_init__(self) -> None:
        # A notebook may name the file by a text.
        object.__setattr__(self, "database", Path(self.database))

    @property
    def file(self) -> Path | None:
        """The DuckDB file with symbolic links resolved; None for another destination."""
        # `Path.resolve` raises RuntimeError for a link that leads to itself.
        return Path(os.path.realpath(self.database)) if self.destination == DUCKDB else None

    @property
    def missing(self) -> bool:
        """Whether it is a DuckDB file that does not exist yet."""
        return self.file is not None and not self.file.is_file()

    def open(self, pipeline_name: str = PIPELINE) -> Any:
        """The dlt destination.

        Args:
            pipeline_name: Pipeline that loads to it. Each pipeline but the default one has its own staging dataset: two
                that share one delete each other's rows there, or load them twice.

        Raises:
            ConfigurationError: The destination, the file or the dataset cannot be used.
        """
        self._require_driver_and_folder()
        if self.file:
            self.check_name("--dataset", self.dataset)
            use_one_loader()
            # A script may have the file open in its own process.
            agent, options = None if pipeline_name == _SCRIPT else USER_AGENT, _staging(pipeline_name)
            return duckdb_destination(self.file, duckdb_memory(), agent, **options)
        register_destination_secrets()
        from dlt.common.destination.exceptions import UnknownDestinationModule

        try:
            return dlt.destination(self.destination, **_staging(pipeline_name))
        except UnknownDestinationModule as error:
            raise ConfigurationError(
                "--destination",
                f"dlt has no destination {self.destination!r}.",
                f"{suggestion(self.destination, dlt.destinations.__all__)} For a destination with a name of your own, "
                f"set destination_type under [destination.{self.destination}] in .dlt/config.toml.".lstrip(),
            ) from error
        except Exception as error:  # dlt raises whatever the import of the destination raises
            raise ConfigurationError("--destination", f"{self.destination!r}: {first_line(error)}") from error

    def pipeline(self) -> Any:
        """A dlt pipeline of your own that loads to this target, for `pipeline.run(automatum_source())`.

        dlt remembers the folder of the first run of a pipeline name, and resolves the relative path of a DuckDB file
        against it in every later run. This pipeline has a name of its own for each target, and an absolute path.

        Raises:
            ConfigurationError: The destination, the file or the dataset cannot be used.
        """
        made = self.open(_SCRIPT)
        name = name_pipeline(_SCRIPT, made, self.dataset, self.file)
        pipeline = dlt.pipeline(name, destination=made, dataset_name=self.dataset)
        remember_database(pipeline)
        return pipeline

    def check_name(self, option: str, dataset: str) -> None:
        """Raise `ConfigurationError` for the name of a dataset that DuckDB takes for its own, or for the file's."""
        name = normalize_identifier(dataset).lower()
        if self.destination == DUCKDB and name in _DUCKDB_SCHEMAS:
            raise ConfigurationError(option, f"{dataset!r} is a name of DuckDB's.", "Name another one.")
        if self.destination == DUCKDB and name == normalize_identifier(self.database.stem).lower():
            raise ConfigurationError(
                option,
                f"{dataset!r} has the name of the DuckDB file {self.database.name}, which DuckDB finds ambiguous.",
                "Name one of them differently.",
            )

    def _require_driver_and_folder(self) -> None:
        driver = _DRIVERS.get(self.destination)
        if driver and not is_installed(driver):
            raise ConfigurationError(
                "--destination", f"{self.destination} needs the package {driver}.", install_command(driver)
            )
        if self.file and not self.file.parent.is_dir():
            raise ConfigurationError(
                "--database", f"there is no folder {self.file.parent}.", "Create it, or name another file."
            )
        if self.file and os.path.lexists(self.file) and not self.file.is_file():
            what = "folder" if self.file.is_dir() else "link to itself, a pipe or a device"
            raise ConfigurationError("--database", f"{self.file} is a {what}.", "Name a DuckDB file.")

    def existing(self, clock: Clock, budget: Budget, wait: float, *, read_only: bool = False) -> dlt.Pipeline:
        """A pipeline for queries; it does not create a DuckDB file.

        Args:
            clock: Time.
            budget: Bounds of the run.
            wait: Seconds to wait for a DuckDB file that another program has open.
            read_only: Open a DuckDB file for reading, beside other readers. This process must not write to it.

        Raises:
            ConfigurationError: The file does not exist, or the destination's driver is not installed.
            Busy: Another program has it open.
        """
        self._require_driver_and_folder()
        if self.missing:
            raise _missing_file(self.database)
        if self.file:
            open_when_free(self.file, wait=wait, clock=clock, budget=budget, read_only=read_only).close()
        folder = tempfile.mkdtemp(prefix="automatum-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # Each run by cron would leave a folder.
        destination = self.open()
        if self.file and read_only:
            destination.config_params["credentials"].read_only = True
        return open_pipeline(destination, self.dataset, folder)

    @contextlib.contextmanager
    def exclusive_writer(self, role: str, clock: Clock, budget: Budget, wait: float) -> Iterator[KeepOpen]:
        """Be the only writer of a DuckDB file while the block runs; other destinations need no lock.

        Args:
            role: What this run does, for the message of the runs that wait.
            clock: Time.
            budget: Bounds of the run.
            wait: Seconds to wait for another writer, and for a program that has the file open.

        Yields:
            A function that makes a context manager: it waits until no other program has the file open, and keeps it
            open. Use it around each use of the file, but not around waits for the API; see `OpenFile`.

        Raises:
            Busy: Another run or program keeps it for longer than that.
            ConfigurationError: The folder does not exist or cannot be written to, or the driver is not installed.
        """
        self._require_driver_and_folder()
        file = self.file
        if file is None:
            yield contextlib.nullcontext
            return
        lock, opened = file.with_name(file.name + ".lock"), OpenFile(file, wait=wait, clock=clock, budget=budget)
        with exclusive_lock(lock, f"The DuckDB file {self.database}", role, wait=wait, clock=clock, budget=budget):
            try:
                if file.is_file():
                    with opened():
                        pass  # Another program may have it open.
                yield opened
            finally:
                opened.close()


def _staging(pipeline_name: str) -> dict[str, Any]:
    if pipeline_name == PIPELINE:
        return {}
    # In the form that dlt gives it anyway: otherwise dlt warns of the change at each load.
    own = normalize_identifier(pipeline_name.removeprefix(f"{PIPELINE}_")).strip("_")
    return {"staging_dataset_name_layout": f"%s_staging_{own}"}


def _missing_file(database: Path) -> ConfigurationError:
    """The error for a DuckDB file that does not exist, with the DuckDB files of its folder."""
    path = database.absolute()
    others = sorted(one.name for one in path.parent.glob("*.duckdb"))
    there = f"{path.parent} has {', '.join(others)}." if others else f"There is no DuckDB file in {path.parent}."
    return ConfigurationError(
        "--database",
        f"there is no file {path}. {there}",
        f"{suggestion(path.name, others)} Sync first, or name another with --database.".lstrip(),
    )


def dataset(target: Target | None = None) -> Any:
    """The loaded tables as a dataset of dlt, for notebooks and scripts; it only reads.

        automatum.dataset()["customers"].df()
        automatum.dataset(Target(destination="postgres")).table("entitlements").join("customers").df()

    Args:
        target: The destination. None for the default DuckDB file.

    Returns:
        A `dlt.Dataset`. Each query opens a DuckDB file and closes it again.

    Raises:
        ConfigurationError: The DuckDB file does not exist, or the destination cannot be used.
    """
    target = target or Target()
    if target.missing:
        raise _missing_file(target.database)
    destination = target.open()
    if target.file:
        destination.config_params["credentials"].read_only = True
    return dlt.dataset(destination, target.dataset)


@contextlib.contextmanager
def exclusive_pipeline(
    pipeline_name: str, pipelines_dir: str | None, clock: Clock, budget: Budget, wait: float
) -> Iterator[None]:
    """Be the only run of a pipeline: dlt does not lock its working folder, and two runs lose rows in it.

    Args:
        pipeline_name: Name of the dlt pipeline.
        pipelines_dir: dlt's working folder; None for its default.
        clock: Time.
        budget: Bounds of the run.
        wait: Seconds to wait for the other run.

    Raises:
        Busy: The other run takes longer than that.
    """
    lock = Path(pipelines_dir or get_dlt_pipelines_dir()) / f"{pipeline_name}.lock"
    with exclusive_lock(lock, f"The pipeline {pipeline_name}", "automatum", wait=wait, clock=clock, budget=budget):
        yield


def check_copy_path(target: Target, copy: Path) -> Path:
    """The path of a read copy, checked.

    Raises:
        ConfigurationError: The destination is not a DuckDB file, or the path cannot be used.
    """
    if target.file is None:
        raise ConfigurationError("--read-copy", "is for DuckDB files alone.", "Other destinations have readers anyway.")
    if copy.resolve() == target.file:
        raise ConfigurationError("--read-copy", "is the database itself.", "Name another file.")
    if not copy.parent.is_dir():
        raise ConfigurationError("--read-copy", f"there is no folder {copy.parent}.", "Create it first.")
    check_copy(copy)
    return copy


def open_pipeline(
    destination: Any, dataset: str, pipelines_dir: str | None = None, name: str = PIPELINE
) -> dlt.Pipeline:
    """The dlt pipeline of a sync, with an empty working folder: packages of earlier runs are dropped (I9).

    It neither restores schemas and state from its destination nor stores its state there.

    Args:
        destination: dlt destination, or its name.
        dataset: Dataset (schema) that the tables are in.
        pipelines_dir: dlt's working folder; None for its default.
        name: Name of the pipeline.

    Raises:
        ConfigurationError, DiskFull: The working folder cannot be used.
    """
    folder = Path(pipelines_dir or get_dlt_pipelines_dir())
    with writing("DLT_DATA_DIR", f"{folder} cannot be used", "Name a folder that is writable."):
        # Nothing in it is needed. dlt would load the packages of an earlier run before anything else, and resolve
        # relative paths of the destination against the folder of that run.
        shutil.rmtree(folder / name, ignore_errors=True)
        pipeline = dlt.pipeline(
            name,
            destination=destination,
            dataset_name=dataset,
            pipelines_dir=pipelines_dir,  # type: ignore[arg-type]
        )
        _check_modes(pipeline)
        pipeline.config.restore_from_destination = False
        # Whatever other pipelines of the project set: dlt would record rows that the destination refuses as loaded.
        os.environ[f"{name.upper()}__LOAD__RAISE_ON_FAILED_JOBS"] = "true"
        # It holds customers' data while a load is under way.
        Path(pipeline.working_dir).chmod(0o700)
    return pipeline


def _check_modes(pipeline: dlt.Pipeline) -> None:
    """Refuse modes of a pipeline that dlt's configuration sets, such as a variable DEV_MODE or REFRESH.

    A sync loads several packages, and each would drop the tables of the one before.
    """
    for name in ("refresh", "dev_mode"):
        if getattr(pipeline, name):
            raise ConfigurationError(
                f"pipelines.{name}",
                "is set in dlt's configuration, and holds for no command of the connector.",
                f"Unset the variable {name.upper()}, or take it out of .dlt/config.toml. For a pipeline of your own, "
                f"pass it to dlt.pipeline(..., {name}=...).",
            )


def label_pipeline(organization: str | None) -> str:
    """What names the staging dataset of an organization; the name of its pipeline begins with it."""
    return PIPELINE if organization is None else f"{PIPELINE}_{organization}"


def name_pipeline(label: str, destination: Any, dataset: str, database: Path | None) -> str:
    """Name of a pipeline that no other destination or dataset has, such as `automatum_marketplace_1f3a9c2e`.

    It is the same in every project and for every user, so that runs that load to one dataset meet in one lock.

    Args:
        label: See `label_pipeline`.
        destination: dlt destination.
        dataset: Dataset (schema) that the tables are in.
        database: DuckDB file; None for another destination.
    """
    place = locate_destination(destination) if database is None else f"duckdb {database}"
    readable = re.sub(r"[^a-z0-9]+", "_", (database.stem if database else destination.destination_name).lower())
    digest = hashlib.sha256(f"{place}\n{normalize_identifier(dataset)}".encode()).hexdigest()[:8]
    return f"{label}_{readable.strip('_')[:24] or 'x'}_{digest}"
