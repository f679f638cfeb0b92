"""Checks of a SQLite ledger before SQLite opens it: SQLite writes any write-ahead log it finds into the file."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from ...core.errors import ConfigurationError, DestinationError
from .location import KEY

_NOTE = "last-attempt"
_TRIES = 3
"""Another process may write while the files are copied."""


def locks_folder(path: Path) -> Path:
    """Folder of the locks beside a SQLite ledger."""
    return path.with_name(path.name + ".locks")


def refuse_foreign_wal(path: Path) -> None:
    """Raise `ConfigurationError` if the write-ahead log beside a ledger is not its own. Both files stay as they are."""
    log = path.with_name(path.name + "-wal")
    if not path.is_file() or not log.is_file() or not log.stat().st_size or _has_live_run(path):
        return
    try:
        fits = any(_fits(path, log) for _ in range(_TRIES))
    except OSError as error:
        raise DestinationError(
            f"The write-ahead log {log} cannot be checked on a copy in {path.parent}: {error.strerror}.",
            "Make room on the disk, check the permissions of the folder, and run again.",
        ) from None
    if not fits:
        raise ConfigurationError(
            KEY,
            f"the write-ahead log {log} does not belong to {path}, and would destroy it.",
            "One of them was copied or restored without the other. Find the log of this ledger, or its last copy "
            "(`automatum push ledger restore`). Remove the log only if it is certainly that of another file.",
        )


def note_attempt(path: Path, attempt_id: str) -> None:
    """Remember a call outside of the ledger, so that an older copy of the file is noticed."""
    note = locks_folder(path) / _NOTE
    draft = note.with_name(f".{attempt_id}")
    # The ledger itself is on disk. Without the note only an older copy would go unnoticed, and the call may be made.
    with contextlib.suppress(OSError):
        draft.write_text(attempt_id)
        draft.replace(note)


def noted_attempt(path: Path) -> str | None:
    """The last call that was sent from this place; None if it is not known."""
    note = locks_folder(path) / _NOTE
    return note.read_text().strip() or None if note.is_file() else None


def forget_attempt(path: Path) -> None:
    """Accept an older copy in the place of the ledger."""
    (locks_folder(path) / _NOTE).unlink(missing_ok=True)


def _fits(path: Path, log: Path) -> bool:
    own = _identity(f"{path.as_uri()}?mode=ro&immutable=1")  # without the log
    if own and own[1] not in (None, str(path.stat().st_ino)):
        return False
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        copy = Path(folder) / "ledger"
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name("ledger-wal"))
        try:
            with closing(sqlite3.connect(copy)) as connection:
                sound = connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        except sqlite3.DatabaseError:
            return False
        both = _identity(copy.as_uri())
    return sound and (own is None or (both is not None and both[0] == own[0]))


def _identity(uri: str) -> tuple[str, str | None] | None:
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found: tuple[str, str | None] | None = connection.execute(
                "SELECT ledger_id, inode FROM metering_identity"
            ).fetchone()
            return found
    except sqlite3.DatabaseError:
        return None  # of an earlier version, or damaged


def _has_live_run(path: Path) -> bool:
    for lock in locks_folder(path).glob("*.lock"):
        try:
            with FileLock(lock, timeout=0, thread_local=False):
                pass
        except Timeout:
            return True
    return False
