"""The store in a SQLite file, for all processes of one machine. It is the default.

SQLite's lock makes each change atomic, and the kernel releases the lock of a process that dies. The times are those of
the machine's monotonic clock, which all processes share and which does not change when the machine's clock is set.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...core.clock import Clock
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system
from .state import LimiterState
from .stores import Store, T, Work

logger = logging.getLogger("automatum")

BUSY = 30.0
"""Seconds to wait for the change of another process, which takes a tenth of a millisecond."""
_TABLE = """
CREATE TABLE IF NOT EXISTS tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, boot TEXT NOT NULL, wall REAL NOT NULL,
    body BLOB NOT NULL
)
"""
_FIRST = "INSERT OR IGNORE INTO tally (version, boot, wall, body, one) VALUES (?, ?, ?, ?, 1)"
_NEXT = "UPDATE tally SET version = ?, boot = ?, wall = ?, body = ? WHERE version = ?"


class SqliteStore(Store):
    """A store in a file. Safe for threads and processes, also across a fork.

    If the file cannot be used (unreadable, read-only, disk full), the process logs a warning and counts its requests
    alone, from the last state that it read.

    Args:
        path: The file; created if it does not exist.
        clock: Time.
        boot: Identifies a start of the machine; None for the current one.

    Raises:
        ConfigurationError: The file lies on a network file system.
    """

    def __init__(self, path: Path, clock: Clock, boot: str | None = None) -> None:
        kind = network_file_system(path)
        if kind:
            raise ConfigurationError(
                "sources.automatum.quota_url",
                f"{path} lies on a network file system ({kind}), where the locks of SQLite do not hold.",
                "Name a file on a local disk (sqlite:////var/tmp/automatum-quota.sqlite), or a Redis server that the "
                "machines share (redis://host:6379/0).",
            )
        self.path = path.absolute()
        super().__init__(clock)
        self._boot = boot_id() if boot is None else boot
        self._stored_at: list[Any] = []
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def change(self, work: Work[T]) -> T:
        """See `Store.change`. An error of the file does not raise."""
        try:
            return super().change(work)
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            self._usable = False
            with suppress(sqlite3.Error):
                self.close()
            logger.warning(
                "The file %s, which counts requests, cannot be used (%s). Now this process counts its requests alone; "
                "several processes together may get a 429. Delete it, or name another in sources.automatum.quota_url.",
                self.path,
                error,
            )
            return super().change(work)

    def disconnect(self) -> None:
        """See `Store.disconnect`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self, known: str) -> tuple[float, str, bytes | None]:
        if not self._usable:
            return super()._read(known)
        connection, body = self._connect(), None
        row = connection.execute("SELECT version FROM tally").fetchone()
        if row and str(row[0]) != known:
            row = connection.execute("SELECT version, boot, wall, body FROM tally").fetchone()
            _, *self._stored_at, body = row
        return self._clock.monotonic(), str(row[0]) if row else "", body

    def _parse(self, body: bytes) -> LimiterState:
        state, (boot, wall) = super()._parse(body), self._stored_at
        if boot != self._boot:
            # A restart resets the monotonic clock. The wall clock tells how much time has passed.
            state.resume_clock(self._clock.monotonic(), self._clock.time() - wall)
        return state

    def _swap(self, known: str, version: str, body: bytes) -> bool:
        if not self._usable:
            return super()._swap(known, version, body)
        values = version, self._boot, self._clock.time(), body
        stored = self._connect().execute(_NEXT, (*values, known)) if known else self._connect().execute(_FIRST, values)
        return stored.rowcount == 1

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            if os.name == "posix":
                self.path.chmod(0o600)
            # A commit need not reach the disk: after a power cut, the restart takes longer than a lost change matters.
            self._write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_TABLE)
        return self._connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Retry: SQLite does not wait for a process that opens the file at the same moment."""
        end = self._clock.monotonic() + BUSY
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self._clock.monotonic() >= end:
                    raise
            self._clock.sleep(0.01)


def boot_id() -> str:
    """Identifies the current start of this machine; empty if the system does not report it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
