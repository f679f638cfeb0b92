"""Load packages that are not loaded: those that wait for the next run, and those that the destination refused.

dlt retries a package that the destination refuses in every later run, before it loads anything else. So such a package
is set aside: it becomes a zip file beside dlt's working folder, and its rows are read again.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.clock import instant, utc
from ..core.errors import ConfigurationError
from .dlt_internals import normalized_folder, package_folder, pending_packages

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

MOST_SET_ASIDE = 5
"""Packages of one pipeline that are kept; the oldest go first. They hold customers' data."""
KEPT_DAYS = 30.0
_DAY = 86_400.0
_WHY = "why.json"
_CONTENT = "package/"
_MARK = ".set-aside."


@dataclass(frozen=True)
class SetAside:
    """A load package that the destination refused.

    Attributes:
        load_id: Id of the package.
        file: The zip file that holds it.
        at: When it was set aside, in epoch seconds.
        table: The table whose rows were refused; None if the error names none.
        reason: What the destination said.
        origin: What the package was read from and for; see `Loader.start`.
    """

    load_id: str
    file: Path
    at: float
    table: str | None
    reason: str
    origin: str

    def as_json(self) -> dict[str, Any]:
        """The package as one JSON object."""
        return {
            "load_id": self.load_id,
            "state": "set_aside",
            "table": self.table,
            "reason": self.reason,
            "set_aside_at": instant(self.at),
            "bytes": self.file.stat().st_size,
            "file": str(self.file),
        }


def set_aside(
    pipeline: SupportsPipeline, load_id: str, *, at: float, table: str | None, reason: str, origin: str
) -> Path | None:
    """Copy a pending package into a zip file beside the working folder; older ones beyond the bounds are deleted.

    Args:
        pipeline: The pipeline whose package it is.
        load_id: Id of the package.
        at: The present, in epoch seconds.
        table: The table whose rows were refused.
        reason: What the destination said.
        origin: What the package was read from and for.

    Returns:
        The zip file; None if there is no such package.
    """
    folder = package_folder(pipeline, load_id)
    if folder is None:
        return None
    working = Path(pipeline.working_dir)
    file = working.with_name(f"{working.name}{_MARK}{load_id}.zip")
    made = file.with_suffix(".new")
    made.unlink(missing_ok=True)
    made.touch(mode=0o600)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_WHY, json.dumps({"at": at, "table": table, "reason": reason, "origin": origin}))
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, _CONTENT + path.relative_to(folder).as_posix())
    made.replace(file)
    delete_old(working, at)
    return file


def list_set_aside(working_dir: Path) -> list[SetAside]:
    """The packages of a pipeline that are set aside, the latest first.

    Args:
        working_dir: dlt's working folder of the pipeline.
    """
    found = []
    for file in working_dir.parent.glob(f"{working_dir.name}{_MARK}*.zip"):
        with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
            why = json.loads(archive.read(_WHY))
            load_id = file.name.removeprefix(working_dir.name + _MARK).removesuffix(".zip")
            found.append(SetAside(load_id, file, float(why["at"]), why["table"], why["reason"], why["origin"]))
    return sorted(found, key=lambda one: one.at, reverse=True)


def delete_old(working_dir: Path, now: float) -> None:
    """Delete packages that were set aside more than `KEPT_DAYS` ago, and all but the latest `MOST_SET_ASIDE`."""
    for position, one in enumerate(list_set_aside(working_dir)):
        if position >= MOST_SET_ASIDE or now - one.at > KEPT_DAYS * _DAY:
            one.file.unlink(missing_ok=True)


def put_back(pipeline: SupportsPipeline, package: SetAside) -> None:
    """Make a package that was set aside a pending one again; `Loader.start` decides whether it is loaded."""
    folder = normalized_folder(pipeline, package.load_id)
    with zipfile.ZipFile(package.file) as archive:
        for name in archive.namelist():
            if name.startswith(_CONTENT):
                path = folder / name.removeprefix(_CONTENT)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    # The job that failed is tried again.
    for state in ("failed_jobs", "started_jobs"):
        for path in folder.glob(f"{state}/*"):
            path.replace(folder / "new_jobs" / path.name)
    for empty in ("new_jobs", "started_jobs", "completed_jobs", "failed_jobs"):
        (folder / empty).mkdir(exist_ok=True)


def choose(packages: list[SetAside], load_id: str | None) -> list[SetAside]:
    """The package of this id, or all of them without an id.

    Raises:
        ConfigurationError: No package has the id.
    """
    if load_id is None:
        return packages
    chosen = [one for one in packages if one.load_id == load_id]
    if not chosen:
        known = ", ".join(one.load_id for one in packages) or "none"
        raise ConfigurationError("LOAD_ID", f"no package {load_id} is set aside.", f"Set aside are: {known}.")
    return chosen


def list_pending(pipeline: SupportsPipeline) -> Iterator[dict[str, Any]]:
    """The packages that the next run loads, or drops if the dataset has changed since, as JSON objects."""
    for load_id in pending_packages(pipeline):
        folder = package_folder(pipeline, load_id)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder else 0
        read_at: datetime | None = utc(folder.stat().st_mtime) if folder else None
        yield {
            "load_id": load_id,
            "state": "pending",
            "table": None,
            "reason": "",
            "read_at": read_at.isoformat(timespec="seconds") if read_at else None,
            "bytes": size,
            "file": str(folder) if folder else None,
        }
