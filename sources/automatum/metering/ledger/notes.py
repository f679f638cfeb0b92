"""What lies beside a ledger: its locks, a note of its last call, and checks before SQLite opens it.

It needs no database. Most who sync never push, and SQLAlchemy takes a third of a second to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from ...core.errors import ConfigurationError, DestinationError
from .location import KEY

_TRIES = 3
"""Another process may write while the files are copied."""
_IDENTITIES = (
    "SELECT ledger_id, place FROM metering_schema",
    "SELECT ledger_id, inode FROM metering_identity",  # of versions 2 to 5
)


def locks_folder(path: Path) -> Path:
    """Folder of the locks beside a SQLite ledger."""
    return path.with_name(path.name + ".locks")


class Note:
    """The last call that this user sent from a ledger, kept outside of it: an older ledger in its place lacks the call.

    Args:
        location: The file, or host, port and database.
        path: The file; None for Postgres, whose note is in the user's data folder.
    """

    def __init__(self, location: str, path: Path | None) -> None:
        if path:
            self.file = locks_folder(path) / "last-attempt"
        else:
            name = re.sub(r"[^A-Za-z0-9.-]+", "-", location)[:80]
            key = hashlib.sha256(location.encode()).hexdigest()[:16]
            folder = platformdirs.user_data_path("automatum", appauthor=False)
            self.file = folder / "ledgers" / f"{name}-{key}.last-attempt"

    def write(self, attempt_id: str) -> None:
        """Remember a call."""
        draft = self.file.with_name(f".{attempt_id}")
        # The ledger itself is on disk. Without the note only an older copy goes unnoticed.
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(attempt_id)
            draft.replace(self.file)

    def read(self) -> str | None:
        """The last call; None if none is known."""
        return self.file.read_text().strip() or None if self.file.is_file() else None

    def forget(self) -> None:
        """Accept an older ledger in this place."""
        self.file.unlink(missing_ok=True)


def refuse_foreign_wal(path: Path) -> None:
    """Check that the write-ahead log beside a ledger is its own: SQLite writes any log that it finds into the file.

    Both files stay as they are.

    Raises:
        ConfigurationError: The log is of another file, or of another state of this one.
        DestinationError: It cannot be checked.
    """
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


def read_identity(path: Path) -> tuple[str, str | None] | None:
    """Id and place of the ledger in a SQLite file, without its log; None of version 1, or if it cannot be read."""
    return _identity(f"{path.as_uri()}?mode=ro&immutable=1") if path.is_file() else None


def _fits(path: Path, log: Path) -> bool:
    own = read_identity(path)
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
    for query in _IDENTITIES:
        with contextlib.suppress(sqlite3.DatabaseError), closing(sqlite3.connect(uri, uri=True)) as connection:
            found: tuple[str, str | None] | None = connection.execute(query).fetchone()
            return found
    return None


def _has_live_run(path: Path) -> bool:
    for lock in locks_folder(path).glob("*.lock"):
        try:
            with FileLock(lock, timeout=0, thread_local=False):
                pass
        except Timeout:
            return True
    return False
