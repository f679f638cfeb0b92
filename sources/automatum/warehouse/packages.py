"""Load packages that are not loaded: those that wait for the next run, and those that the destination refused.

dlt retries a package that the destination refuses in every later run, before it loads anything else. So such a package
is set aside: it becomes a zip file beside dlt's working folder, and its rows are read again.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.clock import instant
from .dlt_internals import package_folder

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
    """

    load_id: str
    file: Path
    at: float
    table: str | None
    reason: str

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


def set_aside(pipeline: SupportsPipeline, load_id: str, *, at: float, table: str | None, reason: str) -> Path | None:
    """Copy a pending package into a zip file beside the working folder; older ones beyond the bounds are deleted.

    Args:
        pipeline: The pipeline whose package it is.
        load_id: Id of the package.
        at: The present, in epoch seconds.
        table: The table whose rows were refused.
        reason: What the destination said.

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
    made.touch(mode=0o600, exist_ok=False)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_WHY, json.dumps({"at": at, "table": table, "reason": reason}))
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
        with (
            contextlib.suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile),
            zipfile.ZipFile(file) as archive,
        ):
            why = json.loads(archive.read(_WHY))
            load_id = file.name.removeprefix(working_dir.name + _MARK).removesuffix(".zip")
            found.append(SetAside(load_id, file, float(why["at"]), why["table"], why["reason"]))
    return sorted(found, key=lambda one: one.at, reverse=True)


def delete_old(working_dir: Path, now: float) -> None:
    """Delete packages that were set aside more than `KEPT_DAYS` ago, and all but the latest `MOST_SET_ASIDE`."""
    for position, one in enumerate(list_set_aside(working_dir)):
        if position >= MOST_SET_ASIDE or now - one.at > KEPT_DAYS * _DAY:
            one.file.unlink(missing_ok=True)


def list_pending(working_dir: Path) -> list[dict[str, Any]]:
    """The packages that the next run loads, or drops if the dataset has changed since, as JSON objects."""
    found = []
    for parent in (working_dir / "normalize" / "extracted", working_dir / "load" / "normalized"):
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            found.append({"load_id": folder.name, "state": "pending", "bytes": size, "file": str(folder)})
    return found
