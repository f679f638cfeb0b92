"""A lock per run, which the system, or Postgres, releases the moment the run's process ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from .database import LedgerDatabase
from .notes import locks_folder

_HELD = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND CAST(classid AS bigint) = :high AND CAST(objid AS bigint) = :low"
)


class ProcessLock(Protocol):
    """The lock of this run, and the test of other runs' locks."""

    def verify(self) -> None:
        """Check that this run still has its lock.

        Raises:
            DestinationError: The connection that holds it is lost.
        """

    def is_released(self, run_id: str, connection: Connection) -> bool:
        """Whether another run has ended. No second run gets True until this write transaction is over."""


@contextmanager
def lock_process(database: LedgerDatabase, run_id: str) -> Iterator[ProcessLock]:
    """Hold the lock of a run for the duration of the block."""
    if database.path:
        folder = locks_folder(database.path)
        folder.mkdir(mode=0o700, exist_ok=True)
        with FileLock(_lock_file(folder, run_id), thread_local=False):
            yield _FileProcessLock(folder)
        _lock_file(folder, run_id).unlink(missing_ok=True)
        return
    with database.lock_connection() as connection:
        connection.execute(text("SET idle_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(run_id)})
        try:
            yield _PostgresProcessLock(connection, database)
        finally:
            # A closed connection keeps its locks until the server notices.
            with suppress(SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock_all()"))


def is_running(database: LedgerDatabase, run_id: str) -> bool:
    """Whether the process of a run is alive, as far as this machine, or the database, knows."""
    if database.path:
        path = _lock_file(locks_folder(database.path), run_id)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0, thread_local=False):
                return False
        except (Timeout, PermissionError):
            return True
    key = _lock_key(run_id)
    with database.read() as connection:
        return connection.scalar(text(_HELD), {"high": key >> 32, "low": key & 0xFFFFFFFF}) is not None


def _lock_file(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"


def _lock_key(run_id: str) -> int:
    """Key of an advisory lock: Postgres takes 64 bits."""
    return uuid.UUID(run_id).int >> 65


class _FileProcessLock:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def verify(self) -> None:
        """Nothing to check: no other process can take the lock of an open file."""

    def is_released(self, run_id: str, connection: Connection) -> bool:
        path = _lock_file(self._folder, run_id)
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0, thread_local=False):
                pass
        except Timeout:
            return False
        path.unlink(missing_ok=True)
        return True


class _PostgresProcessLock:
    def __init__(self, connection: Connection, database: LedgerDatabase) -> None:
        self._connection = connection
        self._database = database

    def verify(self) -> None:
        with self._database.translate_errors():
            self._connection.execute(text("SELECT 1"))

    def is_released(self, run_id: str, connection: Connection) -> bool:
        key = {"key": _lock_key(run_id)}
        return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), key))
