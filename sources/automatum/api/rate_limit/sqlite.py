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

from ...core.clock import Clock
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system
from .state import LimiterState
from .stores import MemoryStore, Store, T, Work

logger = logging.getLogger("automatum")

BUSY = 30.0
"""Seconds to wait for the change of another process, which takes a tenth of a millisecond."""
_TABLE = """
CREATE TABLE IF NOT EXISTS tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, boot TEXT NOT NULL, wall REAL NOT NULL,
    body BLOB NOT NULL
)
"""
_STORE = "INSERT OR REPLACE INTO tally (one, version, boot, wall, body) VALUES (1, ?, ?, ?, ?)"


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
        self._connection: sqlite3.Connection | None = None
        self._state, self._version = LimiterState(), -1
        self._memory: MemoryStore | None = None

    def change(self, work: Work[T]) -> T:
        """See `Store.change`. An error of the file does not raise."""
        with self._lock:
            if self._memory is None:
                try:
                    return self._change(work)
                except (sqlite3.Error, OSError, ValueError) as error:
                    self._fall_back(error)
                    self._memory = MemoryStore(self._clock, self._state)
        return self._memory.change(work)

    def disconnect(self) -> None:
        """See `Store.disconnect`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _change(self, work: Work[T]) -> T:
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            state = self._load(connection)
            state.changed = False
            result = work(state, state.now(self._clock.monotonic()))
            if state.changed:
                self._version += 1
                connection.execute(_STORE, (self._version, self._boot, self._clock.time(), state.dumps()))
            connection.execute("COMMIT")
        except BaseException:
            self._version = -1  # The state in memory may be half changed.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return result

    def _load(self, connection: sqlite3.Connection) -> LimiterState:
        """The stored state, parsed only if another process has changed it."""
        row = connection.execute("SELECT version, boot, wall FROM tally").fetchone()
        if row is None:
            self._state, self._version = LimiterState(), 0
        elif row[0] != self._version:
            (body,) = connection.execute("SELECT body FROM tally").fetchone()
            if [type(one) for one in (*row, body)] != [int, str, float, bytes] or row[0] >= 2**62:
                raise ValueError("it does not hold the state of a rate limiter")
            self._state = LimiterState.loads(body)
            self._version = row[0]
            if row[1] != self._boot:
                # A restart resets the monotonic clock. The wall clock tells how much time has passed.
                self._state.resume_clock(self._clock.monotonic(), self._clock.time() - row[2])
        return self._state

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._version = -1
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

    def _fall_back(self, error: Exception) -> None:
        with suppress(sqlite3.Error):
            self.disconnect()
        logger.warning(
            "The file %s, which counts requests, cannot be used (%s). Now this process counts its requests alone; "
            "several processes together may get a 429. Delete it, or name another in sources.automatum.quota_url.",
            self.path,
            error,
        )


def boot_id() -> str:
    """Identifies the current start of this machine; empty if the system does not report it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
