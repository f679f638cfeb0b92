"""The ledger's database: its creation, its transactions, and the meaning of its errors."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from ...core.clock import Clock, utc
from ...core.errors import AutomatumError, ConfigurationError, DestinationError
from ...core.redaction import redact
from .engines import BUSY_SECONDS, parse_url, postgres_engine, postgres_name, sqlite_engine, sqlite_path
from .identity import insert_meta, problem_of_moved, read_meta, refuse_other_user
from .location import KEY
from .notes import Note, locks_folder, refuse_foreign_wal
from .tables import CONTENT, META, METADATA, VERSION
from .upgrade import EARLIER_TABLES, upgrade

_WRITE_LOCK = 0x6175746F6D
"""Advisory lock of Postgres that a write transaction holds."""
_TRANSIENT = ("disk I/O error", "locking protocol", "interrupted", "out of memory")
"""Errors that say nothing about the content of the file."""
_KEEP = "Do not start a new ledger in its place: lines in it may have been billed."

Fill = Callable[[Connection], None]
"""Writes the first rows of a new ledger, in the transaction that creates its tables."""


class LedgerDatabase:
    """An open ledger database. A ledger of an earlier version is upgraded.

    Attributes:
        location: Its file, or host, port and database; never with a password.
        path: The file; None for Postgres.
        clock: Clock of its times.
        exists: Whether the tables exist. Without them every query finds nothing.
        engine: Its connections.
        note: Its last call, as it is known outside of it.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        parsed = parse_url(url)
        self.path = sqlite_path(parsed)
        self.location = str(self.path) if self.path else postgres_name(parsed)
        self.note = Note(self.location, self.path)
        self.exists = False
        self.clock = clock
        if self.path:
            _check_file(self.path)
        self.engine = sqlite_engine(self.path) if self.path else postgres_engine(parsed)
        try:
            self._find_tables()
        except BaseException:
            self.close()
            raise

    def now(self) -> datetime:
        """The clock's time, in UTC."""
        return utc(self.clock.time())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger and changes nothing."""
        with self.translate_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, moved: bool = False) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends; whole, or not at all.

        There is one write transaction at a time, in Postgres as in SQLite. The API's rate limit allows few calls per
        second, and serial transactions can neither deadlock nor miss a row that another is about to insert.

        Args:
            moved: Also write to a ledger that has a successor in another place.
        """
        self.require_tables()
        with self._write() as connection:
            if not moved and (refusal := problem_of_moved(read_meta(connection), self.location)):
                raise refusal
            yield connection

    @contextmanager
    def lock_connection(self) -> Iterator[Connection]:
        """A connection without a transaction, for locks that last until it is closed."""
        with self.translate_errors(), self.engine.connect() as connection:
            autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield autocommit
            finally:
                # A connection that goes back to the pool would keep its locks.
                connection.invalidate()

    def create(self, fill: Fill | None = None, *, replace: bool = False) -> None:
        """Create the ledger with all that it holds at once: a failure leaves nothing behind.

        If another process has created it meanwhile, nothing is done.

        Args:
            fill: Writes its first rows.
            replace: Put it in the place of an empty ledger.

        Raises:
            ConfigurationError: The file cannot be created, or shall replace a ledger that is not empty.
            DestinationError: The database cannot be reached.
        """
        if self.path:
            if replace and self.exists:
                # Whoever has opened the empty one must not write to it any more.
                with self.write(moved=True) as connection:
                    self._refuse_used(connection)
                    connection.execute(update(META).values(moved_to=self.location))
                self.engine.dispose()
            self._create_file(self.path, fill, replace)
        else:
            with self._write() as connection:
                if replace and inspect(connection).has_table(META.name):
                    self._refuse_used(connection)
                    METADATA.drop_all(connection)
                if not inspect(connection).has_table(META.name):
                    self._create_tables(connection, None, fill)
        self.exists = True

    def is_used(self, connection: Connection) -> bool:
        """Whether it holds anything. A ledger that was begun, but was never pushed from, is empty."""
        return any(connection.execute(select(table).limit(1)).first() is not None for table in CONTENT)

    def _refuse_used(self, connection: Connection) -> None:
        if self.is_used(connection):
            raise ConfigurationError(
                KEY, f"there is a ledger at {self.location} already.", "Rename it, or name another file or database."
            )

    def require_tables(self) -> None:
        """Raise `ConfigurationError` if the ledger has not been created."""
        if not self.exists:
            raise ConfigurationError(
                KEY, f"there is no ledger at {self.location}.", "The first push of all begins it, with --new-ledger."
            )

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise a database error inside the block as an `AutomatumError`, without the statement and its values."""
        try:
            yield
        except DBAPIError as error:
            raise self._translate(error) from None

    def _translate(self, error: DBAPIError) -> AutomatumError:
        message = redact(str(error.orig).strip().split("\n")[0])
        if any(phrase in message for phrase in ("database is locked", "database is busy", "lock timeout")):
            return DestinationError(
                f"Another process has locked the ledger {self.location} for more than {BUSY_SECONDS} s.",
                "Run again later.",
            )
        if isinstance(error.orig, sqlite3.OperationalError) and any(phrase in message for phrase in _TRANSIENT):
            return DestinationError(
                f"The ledger {self.location} cannot be read or written now: {message}.",
                f"Check its disk, and run again. {_KEEP}",
            )
        if not isinstance(error.orig, sqlite3.Error):
            return DestinationError(
                f"The ledger {self.location} cannot be used: {message}.",
                "Check that the database is up, and that the user in ledger_url may create tables and write.",
            )
        if "readonly" in message or "unable to open" in message or "full" in message:
            return ConfigurationError(
                KEY,
                f"{self.location} cannot be written: {message}.",
                "Check this user's permission to write the file, and the free disk space.",
            )
        return ConfigurationError(
            KEY,
            f"{self.location} is damaged or is not a ledger: {message}.",
            f"Restore its last copy, or recover its content with SQLite's `.recover`. {_KEEP}",
        )

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self.translate_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(automatum_writes=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
                yield connection

    def _create_file(self, path: Path, fill: Fill | None, replace: bool) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            locks_folder(path).mkdir(mode=0o700, exist_ok=True)
            with self.translate_errors(), FileLock(locks_folder(path) / "create.lock"):
                if replace or not path.exists():
                    self._create_draft(path, fill, replace)
        except OSError as error:
            raise ConfigurationError(
                KEY,
                f"{path} cannot be created: {error.strerror}.",
                "Name a file in a folder that this user may write.",
            ) from None

    def _create_draft(self, path: Path, fill: Fill | None, replace: bool) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            engine = sqlite_engine(draft)
            try:
                with engine.connect().execution_options(automatum_writes=True) as connection, connection.begin():
                    self._create_tables(connection, draft, fill)
                    connection.execute(update(META).values(path=str(path)))
            finally:
                # The last connection removes the write-ahead log.
                engine.dispose()
            for end in (
                ("-wal", "-shm") if replace else ()
            ):  # Those of the empty ledger, if another process has it open.
                path.with_name(path.name + end).unlink(missing_ok=True)
            draft.replace(path)
            _sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)

    def _create_tables(self, connection: Connection, path: Path | None, fill: Fill | None) -> None:
        METADATA.create_all(connection)
        insert_meta(connection, self.now(), path)
        if fill:
            fill(connection)

    def _find_tables(self) -> None:
        # Connecting to a file that does not exist would create it.
        if self.path and not self.path.exists():
            return
        with self.read() as connection:
            if self.path:
                _check_integrity(connection, self.path)
            found = set(inspect(connection).get_table_names()) & (set(METADATA.tables) | EARLIER_TABLES)
            version = self._version(connection, found) if found else VERSION
        if not found and self.path:
            raise ConfigurationError(
                KEY, f"{self.path} is the database of another program.", "Name a separate file for the ledger."
            )
        if version < VERSION:
            with self._write() as connection:
                upgrade(connection, self.path, self.now())
        self.exists = bool(found)

    def _version(self, connection: Connection, found: set[str]) -> int:
        version = connection.scalar(select(META.c.version)) if META.name in found else None
        if version is not None and version > VERSION:
            raise ConfigurationError(
                KEY,
                f"{self.location} was written by a later version (its tables are version {version}, ours {VERSION}).",
                "Install that version or a later one, as this one was installed.",
            )
        needed = set(METADATA.tables) if version in (VERSION, None) else EARLIER_TABLES
        if version is None or not needed <= found:
            missing = ", ".join(sorted(needed - found)) or "none"
            raise ConfigurationError(
                KEY,
                f"{self.location} is an incomplete ledger (version {version}, missing tables: {missing}).",
                f"Restore its last copy. {_KEEP}",
            )
        return int(version)


def _check_file(path: Path) -> None:
    """Refuse a file that is certainly no ledger, or must not be opened."""
    refuse_other_user(path)
    refuse_foreign_wal(path)
    if not path.exists() and path.with_name(path.name + "-wal").exists():
        raise ConfigurationError(KEY, f"{path} is missing, but {path.name}-wal exists.", f"Restore the file. {_KEEP}")
    if path.is_dir() or (path.exists() and path.stat().st_size == 0):
        raise ConfigurationError(
            KEY,
            f"{path} is {'a folder' if path.is_dir() else 'an empty file'}, not a ledger.",
            "Restore its last copy; or, if nothing was ever sent from here, remove it.",
        )


_SOUND: dict[Path, tuple[int, ...]] = {}
"""Files that this process has found undamaged, as they were then: the check reads all of a file."""


def _check_integrity(connection: Connection, path: Path) -> None:
    status = path.stat()
    state = (status.st_ino, status.st_size, status.st_mtime_ns)
    if _SOUND.get(path) == state:
        return
    result = connection.scalar(text("PRAGMA quick_check(1)"))
    if result != "ok":
        raise DBAPIError("", None, sqlite3.DatabaseError(str(result)))
    _SOUND[path] = state


def _sync_folder(folder: Path) -> None:
    """Make a new file name durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
