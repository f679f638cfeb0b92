"""The ledger's database: its creation, its transactions, and the locks of the runs that use it."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, StaticPool, create_engine, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ...core.clock import Clock, utc
from ...core.errors import ConfigurationError
from ...core.private_files import check_own, writing
from .engines import KEEP, parse_url, postgres_engine, sqlite_engine, translate
from .identity import insert_meta
from .location import KEY, Note, locks_folder, problem_of_missing, sqlite_path
from .tables import ATTEMPTS, CONTENT, LINES, META, METADATA, VERSION

_WRITE_LOCK = 0x6175746F6D
"""Advisory lock of Postgres that a write transaction holds."""
_HELD = text(
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND CAST(classid AS bigint) = :high AND CAST(objid AS bigint) = :low"
)
_ELSEWHERE = "Name a file in a folder that this user may write."

Fill = Callable[[Connection], None]
"""Writes the first rows of a new ledger, in the transaction that creates its tables."""


class LedgerDatabase:
    """An open ledger database.

    Attributes:
        location: Its file; or host, port, database and, if the URL has them, the options of the connection, which can
            name a schema. Never a user or a password.
        path: The file; None for Postgres.
        clock: Clock of its times.
        exists: Whether the tables exist. Without them every query finds nothing.
        engine: Its connections.
        note: Its last call, as it is known outside of it.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        parsed = parse_url(url)
        self.path = sqlite_path(url)
        server = f"{parsed.host or 'localhost'}:{parsed.port or 5432}/{parsed.database or ''}"
        if options := parsed.query.get("options"):
            server += f"?options={quote(str(options))}"
        self.location = str(self.path or server)
        self.note = Note(self.location, self.path)
        self.exists = False
        self.clock = clock
        if self.path and self.path.exists():
            try:
                check_own(self.path)
            except ConfigurationError as error:
                # Root could open the file of another user, but would leave files that this user cannot open any more.
                advice = f"Push as the user who owns the ledger. For several users, use Postgres. {KEEP}"
                raise ConfigurationError(KEY, error.message, advice) from None
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
        """A transaction that sees one state of the ledger and changes nothing. On SQLite no other can end meanwhile."""
        with self._transaction(self.engine if self.exists else _nothing()) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends; whole, or not at all.

        There is one write transaction at a time, in Postgres as in SQLite. The API's rate limit allows few calls per
        second, and serial transactions can neither deadlock nor miss a row that another is about to insert.
        """
        self.require_tables()
        with self._transaction(self.engine, writes=True) as connection:
            yield connection

    @contextmanager
    def lock_run(self, run_id: str) -> Iterator[Callable[[], None]]:
        """Hold the lock of a run, which the system, or Postgres, releases the moment the run's process ends.

        Yields a check that it is still held: it raises `DestinationError` if the connection that holds it is lost. No
        other process can take the lock of an open file.
        """
        if self.path:
            file = self._lock_file(self.path, run_id)
            lock = FileLock(file, thread_local=False)
            with writing(KEY, f"{file} cannot be created", _ELSEWHERE):
                file.parent.mkdir(mode=0o700, exist_ok=True)
                lock.acquire()
            try:
                yield lambda: None
            finally:
                lock.release()
            file.unlink(missing_ok=True)
            return
        with self.translate_errors(), self.engine.connect() as connection:
            held = connection.execution_options(isolation_level="AUTOCOMMIT")

            def verify() -> None:
                with self.translate_errors():
                    held.execute(text("SELECT 1"))

            held.execute(text("SET idle_session_timeout = 0"))
            held.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(run_id)})
            try:
                yield verify
            finally:
                # A closed connection keeps its locks until the server notices, and one of the pool for ever.
                with suppress(SQLAlchemyError):
                    held.execute(text("SELECT pg_advisory_unlock_all()"))
                held.invalidate()

    def is_running(self, run_id: str) -> bool:
        """Whether the process of a run is alive, as far as this machine, or the database, knows."""
        if not self.path:
            key = _lock_key(run_id)
            with self.read() as connection:
                return connection.scalar(_HELD, {"high": key >> 32, "low": key & 0xFFFFFFFF}) is not None
        file = self._lock_file(self.path, run_id)
        if not file.exists():
            return False
        try:
            with FileLock(file, timeout=0, thread_local=False):
                file.unlink(missing_ok=True)  # A run takes its lock before it writes its id, and only once.
        except (Timeout, PermissionError):
            return True
        return False

    def create(self, fill: Fill | None = None) -> None:
        """Create the ledger, or fill an empty one, with all that it holds at once: a failure leaves nothing behind.

        If another process has created it meanwhile, nothing is done.

        Args:
            fill: Writes its first rows.

        Raises:
            ConfigurationError: The file cannot be created, or the ledger that shall be filled is not empty.
            DestinationError: The database cannot be reached.
        """
        if not self.path or self.exists or not self._create_file(self.path, fill):
            with self._transaction(self.engine, writes=True) as connection:
                if not inspect(connection).has_table(META.name):
                    self._create_tables(connection, None, fill)
                elif fill and self.is_used(connection):
                    advice = "Rename it, or name another file or database."
                    raise ConfigurationError(KEY, f"there is a ledger at {self.location} already.", advice)
                elif fill:
                    fill(connection)
        self.exists = True

    def is_used(self, connection: Connection) -> bool:
        """Whether it holds anything. A ledger that was begun, but was never pushed from, is empty."""
        return any(connection.execute(select(table).limit(1)).first() is not None for table in CONTENT)

    def require_tables(self) -> None:
        """Raise `ConfigurationError` if the ledger has not been created."""
        if not self.exists and (problem := problem_of_missing(self.location, self.path, begin=False)):
            raise problem

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise a database error inside the block as an `AutomatumError`, without the statement and its values."""
        try:
            yield
        except DBAPIError as error:
            raise translate(error, self.location) from None

    @contextmanager
    def _transaction(self, engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
        with self.translate_errors(), engine.connect() as connection:
            connection = connection.execution_options(automatum_writes=writes)
            with connection.begin():
                if writes and connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
                yield connection

    def _create_file(self, path: Path, fill: Fill | None) -> bool:
        """Create the file; False if another process has."""
        with writing(KEY, f"{path} cannot be created", _ELSEWHERE):
            path.parent.mkdir(parents=True, exist_ok=True)
            locks_folder(path).mkdir(mode=0o700, exist_ok=True)
            with FileLock(locks_folder(path) / "create.lock"):
                if path.exists():
                    return False
                self._create_draft(path, fill)
        return True

    def _create_draft(self, path: Path, fill: Fill | None) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            engine = sqlite_engine(draft)
            try:
                with self._transaction(engine, writes=True) as connection:
                    self._create_tables(connection, draft, fill)
                    connection.execute(update(META).values(path=str(path)))
            finally:
                engine.dispose()
            draft.replace(path)  # The first commit writes the folder to disk.
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
        with self._transaction(self.engine) as connection:
            if self.path and (result := connection.scalar(text("PRAGMA quick_check(1)"))) != "ok":
                raise DBAPIError("", None, sqlite3.DatabaseError(str(result)))
            found = set(inspect(connection).get_table_names()) & set(METADATA.tables)
            if found:
                self._check_tables(connection, found)
        if not found and self.path:
            raise ConfigurationError(
                KEY,
                f"{self.path} is empty, or the database of another program.",
                "Restore its last copy, or name a separate file; or, if nothing was ever sent from here, remove it.",
            )
        self.exists = bool(found)

    def _check_tables(self, connection: Connection, found: set[str]) -> None:
        version = connection.scalar(select(META.c.version)) if META.name in found else None
        if version is not None and version > VERSION:
            raise ConfigurationError(
                KEY,
                f"{self.location} was written by a later version (its tables are version {version}, ours {VERSION}).",
                "Install that version or a later one, as this one was installed.",
            )
        if version is not None and version < VERSION:
            raise ConfigurationError(
                KEY,
                f"{self.location} was written by an early checkout (its tables are version {version}).",
                "Open it once with the checkout d04a5f9 (`automatum push ledger show`), which upgrades it.",
            )
        if version is None or len(found) < len(METADATA.tables):
            missing = ", ".join(sorted(set(METADATA.tables) - found)) or "none"
            raise ConfigurationError(
                KEY,
                f"{self.location} is an incomplete ledger (version {version}, missing tables: {missing}).",
                f"Restore its last copy. {KEEP}",
            )
        sent = select(ATTEMPTS.c.line_id).where(ATTEMPTS.c.state.in_(("accepted", "unknown", "sending"))).limit(1)
        if connection.scalar(select(LINES.c.line_id).limit(1)) is None and (line_id := connection.scalar(sent)):
            # A truncated table, or one that a dump restored without its rows: each line would be sent again.
            raise ConfigurationError(
                KEY,
                f"{self.location} is an incomplete ledger: {LINES.name} is empty, and {ATTEMPTS.name} has the line "
                f"{line_id}.",
                f"Restore its last copy. {KEEP}",
            )

    @staticmethod
    def _lock_file(path: Path, run_id: str) -> Path:
        return locks_folder(path) / f"{run_id}.lock"


def _lock_key(run_id: str) -> int:
    """Key of an advisory lock: Postgres takes 64 bits."""
    return uuid.UUID(run_id).int >> 65


@cache
def _nothing() -> Engine:
    """A ledger without rows, which is read where none exists."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        METADATA.create_all(connection)
    return engine
