"""The dlt pipeline of a run, and its name."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import dlt
from dlt.common.pipeline import get_dlt_pipelines_dir

from ..core.errors import ConfigurationError
from .dlt_internals import locate_destination

PIPELINE = "automatum"


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
        ConfigurationError: The working folder cannot be used.
    """
    folder = Path(pipelines_dir or get_dlt_pipelines_dir())

    try:
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
        # It holds customers' data while a load is under way.
        Path(pipeline.working_dir).chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            "--pipelines-dir", f"{folder} cannot be used: {error.strerror}.", "Name a folder that is writable."
        ) from None
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
    digest = hashlib.sha256(f"{place}\n{dataset}".encode()).hexdigest()[:8]
    return f"{label}_{readable.strip('_')[:24] or 'x'}_{digest}"
