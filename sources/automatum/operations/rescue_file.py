"""A private file for a new secret until it is where it belongs: the API shows it only once (`api/authentication`)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import platformdirs

from ..core.clock import instant
from ..core.private_files import open_own


def state_folder() -> Path:
    """The user's folder for what outlives a run."""
    return platformdirs.user_state_path("automatum", appauthor=False)


def left_behind(client_id: str) -> list[Path]:
    """Files that interrupted rotations of this application have left, oldest first."""
    return sorted(path for folder in _folders() for path in folder.glob(f"rotated-{_readable(client_id)}-*.json"))


class RescueFile:
    """A file that only its owner can read.

    Args:
        client_id: The application whose secret it holds.
        now: The present, in epoch seconds.

    Attributes:
        path: The file; None as long as none is written, or if none can be.
    """

    def __init__(self, client_id: str, now: float) -> None:
        self._now = now
        self._name = f"rotated-{_readable(client_id)}-{instant(now).replace(':', '')}"
        self.path: str | None = None

    def save(self, document: dict[str, Any]) -> None:
        """Write the file, in place of what was saved before. What was saved before stays if that fails."""
        text = json.dumps({**document, "kept_at": instant(self._now)}, indent=2) + "\n"
        before = self.path
        for folder in _folders():
            for number in range(100):
                path = folder / f"{self._name}{f'-{number}' if number else ''}.json"
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    _write(path, text)
                except FileExistsError:
                    continue
                except OSError:
                    break
                self.path = str(path)
                _remove(before)
                return

    def discard(self) -> None:
        """Remove the file."""
        _remove(self.path)
        self.path = None

    def describe(self, what: str) -> str:
        """Where it is, for a message: `The answer is in FILE, which only you can read.`"""
        return (
            f"{what} in {self.path}, which only you can read." if self.path else "No file could be written to keep it."
        )


def _folders() -> tuple[Path, Path]:
    return state_folder(), Path(tempfile.gettempdir())


def _readable(client_id: str) -> str:
    return "".join(one if one.isalnum() or one in "_-" else "_" for one in client_id)


def _write(path: Path, text: str) -> None:
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: str | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
