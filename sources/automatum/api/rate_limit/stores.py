"""The stores of the limiter's state: in memory, and in a SQLite file for all processes of one machine, the default.

SQLite's lock makes each change atomic, and the kernel releases the lock of a process that dies. The times are those of
the machine's monotonic clock, which all processes share and which does not change when the machine's clock is set.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import randbits
from typing import Any, TypeVar

from ...core.clock import Clock
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system
from ...core.private_files import check_own
from .state import LimiterState

logger = logging.getLogger("automatum")

T = TypeVar("T")
Work = Callable[[LimiterState, float], T]
"""Changes the state at a time. It is called again if another process was faster, so it has no other effect."""
BUSY = 30.0
"""Seconds to wait for the change of another process, which takes a tenth of a millisecond."""
_UNKNOWN = "-"
"""A version that is never stored."""
_TABLE = """
CREATE TABLE IF NOT EXISTS tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, boot TEXT NOT NULL, wall REAL NOT NULL,
    body BLOB NOT NULL
)
"""
_FIRST = "INSERT OR IGNORE INTO tally (version, boot, wall, body, one) VALUES (?, ?, ?, ?, 1)"
_NEXT = "UPDATE tally SET version = ?, boot = ?, wall = ?, body = ? WHERE version = ?"


class Store:
    """Keeps one state, here for the threads of this process. Subclasses share it with other processes.

    The state is read, changed, and stored if nobody else has changed it meanwhile; else this begins again.

    Args:
        clock: Time. Here and in files it is the monotonic clock, which does not change when the machine's clock is set.
        state: Initial state.
    """

    def __init__(self, clock: Clock, state: LimiterState | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._state, self._version, self._body = state or LimiterState(), "", b""

    def change(self, work: Work[T]) -> T:
        """Change the state atomically and return the result of `work`, which sets `changed` if it is to be stored.

        Raises:
            ServerUnreachable: The server that keeps the state does not answer.
            ConfigurationError: This process is a fork of the one that made the store, or the file is a link or
                another user's.
        """
        if os.getpid() != self._process:
            # A lock that another thread held at the fork stays locked for ever, and SQLite takes the parent's locks on
            # the file for its own.
            raise ConfigurationError(
                "session", "was opened in another process, of which this one is a fork.", "Open one in each process."
            )
        with self._lock:
            while True:
                known = False
                try:
                    now = self._refresh()
                    self._state.changed = False
                    result = work(self._state, now)
                    known = not self._state.changed or self._save()
                    if known:
                        return result
                finally:
                    if not known:  # What is in memory may be half changed.
                        self._state = LimiterState.loads(self._body) if self._body else LimiterState()
                        self._version = _UNKNOWN

    def close(self) -> None:
        """Close files and connections."""
        if os.getpid() == self._process:
            with self._lock:
                self._disconnect()

    def _disconnect(self) -> None:
        pass

    def _refresh(self) -> float:
        reading, version, body = self._read(self._version)
        if body is not None:
            self._state, self._version, self._body = self._parse(body), version, body
        elif not version:
            self._version = ""  # It was lost: what this process knows is stored with the next change.
        return self._state.now(reading)

    def _save(self) -> bool:
        version, body = str(randbits(62)), self._state.dumps()
        stored = self._swap(self._version, version, body)
        if stored:
            self._version, self._body = version, body
        return stored

    def _parse(self, body: bytes) -> LimiterState:
        return LimiterState.loads(body)

    def _read(self, known: str) -> tuple[float, str, bytes | None]:
        """A reading of the clock, the stored version (empty for none), and the body if the version is not known."""
        return self._clock.monotonic(), known, None

    def _swap(self, known: str, version: str, body: bytes) -> bool:
        """Store a version in place of the one that is known; False if another one is stored."""
        return True


class SqliteStore(Store):
    """A store in a file. Safe for threads and processes.

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
        super().__init__(clock)
        self.path = path.absolute()
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

    def _disconnect(self) -> None:
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
            if os.name == "posix":
                self._own_file()
            self._connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            # A commit need not reach the disk: after a power cut, the restart takes longer than a lost change matters.
            self._write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_TABLE)
        return self._connection

    def _own_file(self) -> None:
        """Make the file private, unless it is a link or another user's: in a shared folder anyone may have made it."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        for suffix in ("", "-wal", "-shm"):
            # Not opened: closing it would release the locks of other connections of this process.
            check_own(self.path.with_name(self.path.name + suffix))
        self.path.chmod(0o600)

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
