"""The database of the ledger: its file and tables, its transactions, and the meaning of its errors."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from ...core.clock import Clock, utc
from ...core.errors import AutomatumError, ConfigurationError, DestinationError
from ...core.redaction import redact
from .engines import BUSY_SECONDS, parse_url, postgres_engine, postgres_name, sqlite_engine, sqlite_path
from .identity import (
    confirm_identity,
    insert_identity,
    problem_of,
    read_identity,
    refusal_of_moved,
    refuse_other_user,
)
from .location import KEY, Owner
from .tables import ATTEMPTS, FIRST_TABLES, IDENTITY, METADATA, SCHEMA, VERSION
from .wal import locks_folder, noted_attempt, refuse_foreign_wal

_WRITE_LOCK = 0x6175746F6D
"""Advisory lock of Postgres that a write transaction holds."""
_TRANSIENT = ("disk I/O error", "locking protocol", "interrupted", "out of memory")
"""Errors that say nothing about the content of the file."""
_KEEP = "Do not start a new ledger in its place: lines in it may have been billed."


class LedgerDatabase:
    """An open ledger database.

    Attributes:
        location: Its file, or host and database; never with a password.
        path: The file; None for Postgres.
        exists: Whether the tables exist. Without them every query finds nothing.
        engine: Its connections.
    """

    def __init__(self, url: str, clock: Clock, *, create: bool) -> None:
        parsed = parse_url(url)
        self.path = sqlite_path(parsed)
        self.location = str(self.path) if self.path else postgres_name(parsed)
        self.clock = clock
        if self.path:
            self._prepare_file(self.path, create)
        self.engine = sqlite_engine(self.path) if self.path else postgres_engine(parsed)
        self.exists = False
        try:
            self._find_tables(create)
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
            moved: Also write to a ledger that was moved to another place.
        """
        self.require_tables()
        with self.translate_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(automatum_writes=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
                if not moved and (refusal := refusal_of_moved(read_identity(connection), self.location)):
                    raise refusal
                yield connection

    def refuse_others(self, owner: Owner) -> dict[str, Any]:
        """The ledger's identity; raises `ConfigurationError` if it must not be used by this owner."""
        with self.read() as connection:
            identity = read_identity(connection)
            problem = problem_of(connection, identity, self.location, self.path, owner)
        if problem:
            raise problem
        return identity

    def check_identity(self, owner: Owner) -> None:
        """Check whose ledger this is, and that no older copy is in its place.

        Raises:
            ConfigurationError: It was moved, or is a copy, or belongs to another API, organization or user.
        """
        if not self.exists:
            return
        identity = self.refuse_others(owner)
        noted = noted_attempt(self.path) if self.path else None
        with self.read() as connection:
            known = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == noted).limit(1)
            lacks = noted and connection.scalar(known) is None
        if lacks:
            raise ConfigurationError(
                KEY,
                f"{self.location} is older than the ledger that was here: it lacks the call {noted}, and maybe others.",
                "Put the newer file back. If it is lost: `automatum push ledger restore`, then "
                "`automatum push ledger adopt --confirm`.",
            )
        with self.write() as connection:
            confirm_identity(connection, identity, self.path, owner)

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
        """Raise a database error inside the block as an `AutomatumError`; see `_translate`."""
        try:
            yield
        except DBAPIError as error:
            raise self._translate(error) from None

    def _translate(self, error: DBAPIError) -> AutomatumError:
        """The database's own message, without the statement and the values in it."""
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

    def _prepare_file(self, path: Path, create: bool) -> None:
        """Check the file, or create it with all tables at once: a file without tables is never ours."""
        refuse_other_user(path)
        refuse_foreign_wal(path)
        if not path.exists() and path.with_name(path.name + "-wal").exists():
            raise ConfigurationError(
                KEY, f"{path} is missing, but {path.name}-wal exists.", f"Restore the file. {_KEEP}"
            )
        if not path.exists() and create:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                locks_folder(path).mkdir(mode=0o700, exist_ok=True)
                with self.translate_errors(), FileLock(locks_folder(path) / "create.lock"):
                    if not path.exists():
                        self._create_file(path)
            except OSError as error:
                raise ConfigurationError(
                    KEY,
                    f"{path} cannot be created: {error.strerror}.",
                    "Name a file in a folder that this user may write.",
                ) from None
        elif path.is_dir() or (path.exists() and path.stat().st_size == 0):
            raise ConfigurationError(
                KEY,
                f"{path} is {'a folder' if path.is_dir() else 'an empty file'}, not a ledger.",
                "Restore its last copy; or, if nothing was ever sent from here, remove it.",
            )

    def _create_file(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            engine = sqlite_engine(draft)
            try:
                with engine.connect().execution_options(automatum_writes=True) as connection, connection.begin():
                    self._create_tables(connection)
                    insert_identity(connection, self.now(), draft)
                    connection.execute(update(IDENTITY).values(path=str(path)))
            finally:
                # The last connection removes the write-ahead log.
                engine.dispose()
            draft.replace(path)
            _sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)

    def _find_tables(self, create: bool) -> None:
        # Connecting to a file that does not exist would create it.
        if self.path and not self.path.exists():
            return
        with self.read() as connection:
            if self.path:
                _check_integrity(connection, self.path)
            found = set(inspect(connection).get_table_names()) & set(METADATA.tables)
            current = not found or self._is_current(connection, found)
        if not found and self.path:
            raise ConfigurationError(
                KEY, f"{self.path} is the database of another program.", "Name a separate file for the ledger."
            )
        self.exists = bool(found)
        if not current:
            self._upgrade()
        if not found and create:
            self.exists = True
            with self.write(moved=True) as connection:
                # Another process may have created them meanwhile.
                if not inspect(connection).has_table(SCHEMA.name):
                    self._create_tables(connection)
                    insert_identity(connection, self.now(), None)

    def _is_current(self, connection: Connection, found: set[str]) -> bool:
        version = connection.scalar(select(SCHEMA.c.version)) if SCHEMA.name in found else None
        if version is not None and version > VERSION:
            raise ConfigurationError(
                KEY,
                f"{self.location} was written by a later version (its tables are version {version}, ours {VERSION}).",
                "Install that version or a later one, as this one was installed.",
            )
        older = version is not None and version < VERSION
        needed = FIRST_TABLES if older else set(METADATA.tables)
        if version is None or not needed <= found:
            missing = ", ".join(sorted(needed - found)) or "none"
            raise ConfigurationError(
                KEY,
                f"{self.location} is an incomplete ledger (version {version}, missing tables: {missing}).",
                f"Restore its last copy. {_KEEP}",
            )

        return not older

    def _upgrade(self) -> None:
        """Add the tables and columns that a ledger of an earlier version lacks."""
        with self.write(moved=True) as connection:
            METADATA.create_all(connection)
            for table in METADATA.sorted_tables:
                present = {column["name"]: column["type"] for column in inspect(connection).get_columns(table.name)}
                for column in table.columns:
                    kind = column.type.compile(connection.dialect)
                    if column.name not in present:
                        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))
                    elif self.path is None and _is_longer(column.type, present[column.name]):
                        connection.execute(text(f"ALTER TABLE {table.name} ALTER COLUMN {column.name} TYPE {kind}"))
                for index in table.indexes:
                    index.create(connection, checkfirst=True)
            # Another process may have upgraded it meanwhile.
            if connection.execute(select(IDENTITY.c.ledger_id)).first() is None:
                insert_identity(connection, self.now(), self.path)
            connection.execute(update(SCHEMA).values(version=VERSION))

    def _create_tables(self, connection: Connection) -> None:
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION, created_at=self.now()))


def _is_longer(kind: Any, present: Any) -> bool:
    """Whether a text column has become longer. SQLite does not mind."""
    length, now = getattr(kind, "length", None), getattr(present, "length", None)
    return length is not None and now is not None and length > now


_SOUND: dict[Path, tuple[int, ...]] = {}
"""Files that this process has found undamaged, as they were then: one push opens its ledger several times, and the
check reads all of it."""


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
