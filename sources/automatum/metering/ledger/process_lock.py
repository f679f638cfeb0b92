"""Who still lives. A run holds a lock that the system, or Postgres, takes from it the moment its process ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, text

from .database import LedgerDatabase, locks_of


class Life(Protocol):
    """The sign of life of this run, and the look at that of others."""

    def check(self) -> None:
        """See that others still take us for alive.

        Raises:
            DestinationError: The connection that shows it is lost.
        """

    def gone(self, run_id: str, connection: Connection) -> bool:
        """Whether that run has ended; if so, nobody else finds the same until this transaction is over."""


@contextmanager
def living(store: LedgerDatabase, run_id: str) -> Iterator[Life]:
    """Be seen as alive while the block lasts."""
    if store.path:
        folder = locks_of(store.path)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock(_file(folder, run_id), thread_local=False)
        with lock:
            yield _ByFile(folder)
        _file(folder, run_id).unlink(missing_ok=True)
        return
    with store.session() as session:
        session.execute(text("SET idle_session_timeout = 0"))
        session.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _number(run_id)})
        yield _ByServer(session, store)


def _file(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"


def _number(run_id: str) -> int:
    """Postgres's advisory locks are named by 64 bits."""
    return uuid.UUID(run_id).int >> 65


class _ByFile:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Nobody can take the lock of an open file."""

    def gone(self, run_id: str, connection: Connection) -> bool:
        """See `Life.gone`; the transaction, which is the only one that writes, keeps others off."""
        path = _file(self._folder, run_id)
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0, thread_local=False):
                pass
        except Timeout:
            return False
        path.unlink(missing_ok=True)
        return True


class _ByServer:
    def __init__(self, session: Connection, store: LedgerDatabase) -> None:
        self._session = session
        self._store = store

    def check(self) -> None:
        """See `Life.check`."""
        with self._store.telling():
            self._session.execute(text("SELECT 1"))

    def gone(self, run_id: str, connection: Connection) -> bool:
        """See `Life.gone`."""
        return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _number(run_id)}))
