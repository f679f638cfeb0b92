"""Load packages that wait for the next sync, and those that the destination refused: list them, drop them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.organizations import find_organization, organization_names
from ..core.errors import ConfigurationError
from ..warehouse.dlt_internals import default_pipelines_dir
from ..warehouse.packages import SetAside, list_pending, list_set_aside
from ..warehouse.pipeline import label_pipeline, name_pipeline
from ..warehouse.target import Target


@dataclass(frozen=True)
class WorkingFolders:
    """dlt's working folders of one destination and dataset: one for each organization.

    Attributes:
        target: Destination and dataset.
        pipelines_dir: Folder of the working folders; None for dlt's default.
        organization: One of the configured organizations; None for all of them.
        pipeline_name: Name of the pipeline, if the sync was given one.
    """

    target: Target
    pipelines_dir: str | None = None
    organization: str | None = None
    pipeline_name: str | None = None

    def names(self) -> Iterator[str]:
        """Name of each pipeline.

        Raises:
            ConfigurationError: There is no such organization or folder, or the destination cannot be used.
        """
        if self.pipelines_dir and not Path(self.pipelines_dir).is_dir():
            raise ConfigurationError(
                "--pipelines-dir",
                f"there is no folder {self.pipelines_dir}.",
                "Name that of the syncs, or leave it out.",
            )
        if self.pipeline_name:
            yield self.pipeline_name
            return
        if self.organization:
            find_organization(self.organization)
        target = self.target
        for organization in (self.organization,) if self.organization else organization_names() or (None,):
            label = label_pipeline(organization)
            yield name_pipeline(label, target.open(label), target.dataset, target.file)

    def path(self, name: str) -> Path:
        """Dlt's working folder of a pipeline."""
        return Path(self.pipelines_dir or default_pipelines_dir()) / name


def list_packages(folders: WorkingFolders) -> dict[str, Any]:
    """The packages of all pipelines, those that were set aside first, as one JSON object; opens no destination."""
    found: list[dict[str, Any]] = []
    names = list(folders.names())
    for name in names:
        path = folders.path(name)
        made = [*(one.as_json() for one in list_set_aside(path)), *list_pending(path)]
        found += [{"pipeline": name, **one} for one in made]
    return {"pipelines": names, "packages": found}


def drop_packages(folders: WorkingFolders, load_id: str | None) -> dict[str, Any]:
    """Delete packages that were set aside: the one of this id, or all of them.

    Raises:
        ConfigurationError: No package has the id.
    """
    every = [one for name in folders.names() for one in list_set_aside(folders.path(name))]
    chosen = _choose(every, load_id)
    for one in chosen:
        one.file.unlink(missing_ok=True)
    return {"dropped": [one.load_id for one in chosen]}


def _choose(packages: list[SetAside], load_id: str | None) -> list[SetAside]:
    chosen = [one for one in packages if load_id in (None, one.load_id)]
    if load_id is not None and not chosen:
        known = ", ".join(one.load_id for one in packages) or "none"
        raise ConfigurationError("LOAD_ID", f"no package {load_id} is set aside.", f"These are set aside: {known}.")
    return chosen
