"""The tally in a file, for all processes of one machine: the default.

SQLite's lock makes each change atomic, and the kernel takes the lock from a process that dies. Times are readings of
the machine's monotonic clock, which all its processes share; setting the machine's clock changes nothing.
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
from .stores import MemoryStore, Shared, T, Work

logger = logging.getLogger("automatum")

BUSY = 30.0
"""Seconds to wait for another process's change, which takes a tenth of a millisecond."""
_TABLE = """
CREATE TABLE IF NOT EXISTS tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, boot TEXT NOT NULL, wall REAL NOT NULL,
    body BLOB NOT NULL
)
"""
_STORE = "INSERT OR REPLACE INTO tally (one, version, boot, wall, body) VALUES (1, ?, ?, ?, ?)"


class SqliteStore(Shared):
    """A file. Safe to share between threads and processes, also over a fork.

    What cannot be used (unreadable, read-only, no space left) is done without: this process then counts alone, from
    what it knew, and a warning says so.

    Args:
        path: The file; made if need be.
        clock: Time.
        boot: What tells one start of the machine from another.

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
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        super().__init__()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._tally, self._version = LimiterState(), -1
        self._memory: MemoryStore | None = None

    def change(self, work: Work[T]) -> T:
        """See `Store.change`; never raises for what a file can do."""
        with self._lock:
            if self._memory is None:
                try:
                    return self._change(work)
                except (sqlite3.Error, OSError, ValueError) as error:
                    self._do_without(error)
                    self._memory = MemoryStore(self._clock, self._tally)
        return self._memory.change(work)

    def __del__(self) -> None:
        """Nobody has to remember to close it."""
        with suppress(AttributeError, sqlite3.Error):
            self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.let_go()

    def let_go(self) -> None:
        """See `Shared.let_go`."""
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            connection.close()

    def _change(self, work: Work[T]) -> T:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            tally = self._load(connection)
            tally.changed = False
            result = work(tally, tally.now(self._clock.monotonic()))
            if tally.changed:
                self._version += 1
                values = (self._version, self._boot, self._clock.time(), tally.dumps())
                connection.execute(_STORE, values)
            connection.execute("COMMIT")
        except BaseException:
            self._version = -1  # what is in memory may be half done
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return result

    def _load(self, connection: sqlite3.Connection) -> LimiterState:
        """The tally as stored; parsed only if another process has changed it."""
        row = connection.execute("SELECT version, boot, wall FROM tally").fetchone()
        if row is None:
            self._tally, self._version = LimiterState(), 0
        elif row[0] != self._version:
            (body,) = connection.execute("SELECT body FROM tally").fetchone()
            if [type(one) for one in (*row, body)] != [int, str, float, bytes] or row[0] >= 2**62:
                raise ValueError("it does not hold a tally")
            self._tally = LimiterState.loads(body)
            self._version = row[0]
            if row[1] != self._boot:
                # The monotonic clock began anew when the machine did; the other one tells how long ago that was.
                self._tally.elapse(self._clock.monotonic(), self._clock.time() - row[2])
                self._tally.changed = True
        return self._tally

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            # A connection must not cross a fork: its locks belong to the process that took them.
            self._process, self._version = os.getpid(), -1
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            if os.name == "posix":
                self.path.chmod(0o600)
            # Commits need not reach the disk: after a power cut the machine starts anew, and takes longer than that.
            self._write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_TABLE)
        return self._connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Ask until it is done: SQLite does not wait here for another who opens the file at the same moment."""
        end = self._clock.monotonic() + BUSY
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self._clock.monotonic() >= end:
                    raise
            self._clock.sleep(0.01)

    def _do_without(self, error: Exception) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        logger.warning(
            "the quota's file %s cannot be used (%s); this process counts its requests alone, so that several together "
            "may meet a 429. Delete the file, or name another in sources.automatum.quota_url.",
            self.path,
            error,
        )


def boot_id() -> str:
    """What tells one start of this machine from another; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
