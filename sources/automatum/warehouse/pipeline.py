"""The dlt pipeline of a run, and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt

if TYPE_CHECKING:
    pass


PIPELINE = "automatum"


def open_pipeline(
    destination: Any, dataset: str, pipelines_dir: str | None = None, name: str = PIPELINE
) -> dlt.Pipeline:
    """The dlt pipeline of a sync.

    Args:
        destination: dlt destination, or its name.
        dataset: Dataset (schema) that the tables are in.
        pipelines_dir: dlt's working folder; None for its default.
        name: Name of the pipeline.
    """
    return dlt.pipeline(
        name,
        destination=destination,
        dataset_name=dataset,
        pipelines_dir=pipelines_dir,  # type: ignore[arg-type]
    )


def name_pipeline(organization: str | None) -> str:
    """Name of the dlt pipeline of an organization."""
    return PIPELINE if organization is None else f"{PIPELINE}_{organization}"
