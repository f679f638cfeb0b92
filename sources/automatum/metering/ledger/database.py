"""Where the ledger lives: a SQLite file or a Postgres database, its transactions, and what its errors mean."""

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
from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from ...core.clock import Clock, utc
from ...core.errors import AutomatumError, ConfigurationError, DestinationError
from ...core.redaction import redact, register_secret
from .tables import METADATA, SCHEMA, VERSION

KEY = "sources.automatum.ledger_url"
_BUSY = 60
"""Seconds to wait for another process's write; each takes milliseconds."""
_WRITING = 0x6175746F6D
"""Advisory lock of Postgres that the one holds who writes."""
_KEEP = "Lines in it may have been billed: do not start a new one in its place."


class LedgerDatabase:
    """An open ledger database.

    Attributes:
        place: Its file, or host and database; never with a password.
        path: The file; None for Postgres.
        exists: Whether the tables are there. Without them reading finds nothing.
        engine: Its connections.
    """

    def __init__(self, url: str, clock: Clock, *, create: bool) -> None:
        self._url = _parse(url)
        self.path = _file(self._url) if self._url.drivername == "sqlite" else None
        self.place = str(self.path) if self.path else _name(self._url)
        self.clock = clock
        if self.path:
            self._find_file(self.path, create)
        self.engine = self._open()
        self.exists = False
        try:
            self._find_tables(create)
        except BaseException:
            self.close()
            raise

    def now(self) -> datetime:
        """By the clock, in UTC."""
        return utc(self.clock.time())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger and changes nothing."""
        with self.telling(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block has ended; whole, or not at all.

        There is one at a time, in Postgres as in SQLite: the API's quota allows few calls a second, and what waits for
        nothing else can neither deadlock nor miss a row that another is about to insert.
        """
        self.need()
        with self.telling(), self.engine.connect() as connection:
            connection = connection.execution_options(automatum_writes=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITING})
                yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection without a transaction, for locks that last as long as it does."""
        with self.telling(), self.engine.connect() as connection:
            autonomous = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield autonomous
            finally:
                # Back in the pool it would keep what it holds.
                connection.invalidate()

    def need(self) -> None:
        """Refuse to write to a ledger that is not there.

        Raises:
            ConfigurationError: There are no tables.
        """
        if not self.exists:
            raise ConfigurationError(
                KEY, f"there is no ledger at {self.place}.", "`automatum push --confirm` makes it."
            )

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def plain(self, problem: DBAPIError) -> AutomatumError:
        """What a database's error means: its own words, without the statement and the values in it."""
        said = redact(str(problem.orig).strip().split("\n")[0])
        if any(word in said for word in ("database is locked", "database is busy", "lock timeout")):
            return DestinationError(
                f"The ledger {self.place} is held by another process for more than {_BUSY} s.", "Run again later."
            )
        if not isinstance(problem.orig, sqlite3.Error):
            return DestinationError(
                f"The ledger {self.place} cannot be used: {said}.",
                "See that the database is up and that ledger_url names a user who may create tables and write.",
            )
        if "readonly" in said or "unable to open" in said or "full" in said:
            return ConfigurationError(
                KEY, f"{self.place} cannot be written: {said}.", "Give this user the right to write it, or more room."
            )
        return ConfigurationError(
            KEY,
            f"{self.place} is damaged or is no ledger: {said}.",
            f"Put back its last copy, or have SQLite's `.recover` save what is in it. {_KEEP}",
        )

    @contextmanager
    def telling(self) -> Iterator[None]:
        """A block in which a database's error is told plainly; see `plain`."""
        try:
            yield
        except DBAPIError as problem:
            raise self.plain(problem) from None

    def _find_file(self, path: Path, create: bool) -> None:
        """Make the file whole or not at all, so that one without tables is never ours."""
        if not path.exists() and path.with_name(path.name + "-wal").exists():
            raise ConfigurationError(
                KEY, f"{path} is gone, but {path.name}-wal is there.", f"Put the file back where it was. {_KEEP}"
            )
        if not path.exists() and create:
            with self._filing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                locks_of(path).mkdir(mode=0o700, exist_ok=True)
                with FileLock(locks_of(path) / "create.lock"):
                    if not path.exists():
                        self._make_file(path)
        elif path.is_dir() or (path.exists() and path.stat().st_size == 0):
            raise ConfigurationError(
                KEY,
                f"{path} is {'a folder' if path.is_dir() else 'an empty file'}, and no ledger is.",
                "Put back its last copy; or, if nothing was ever sent from here, remove it.",
            )

    def _make_file(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            engine = _sqlite(draft)
            try:
                with engine.connect().execution_options(automatum_writes=True) as connection, connection.begin():
                    self._make_tables(connection)
            finally:
                # The last connection takes its write-ahead log along.
                engine.dispose()
            draft.replace(path)
            _sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _filing(self, path: Path) -> Iterator[None]:
        try:
            with self.telling():
                yield
        except OSError as problem:
            raise ConfigurationError(
                KEY, f"{path} cannot be made: {problem.strerror}.", "Name a file in a folder that this user may write."
            ) from None

    def _open(self) -> Engine:
        if self.path:
            return _sqlite(self.path)
        try:
            return _postgres(self._url)
        except ModuleNotFoundError:
            raise ConfigurationError(
                KEY, "the driver for Postgres is not installed.", "pip install 'dlt-source-automatum[postgres]'"
            ) from None

    def _find_tables(self, create: bool) -> None:
        # Connecting to a file that is not there would make it.
        if self.path and not self.path.exists():
            return
        with self.reading() as connection:
            if self.path:
                self._look_over(connection)
            found = set(inspect(connection).get_table_names()) & set(METADATA.tables)
            if found:
                self._check(connection, found)
        if not found and self.path:
            raise ConfigurationError(
                KEY, f"{self.path} is a database of something else.", "Name a file of its own for the ledger."
            )
        self.exists = bool(found)
        if not found and create:
            self.exists = True
            with self.writing() as connection:
                # Another process may have been quicker.
                if not inspect(connection).has_table(SCHEMA.name):
                    self._make_tables(connection)

    def _look_over(self, connection: Connection) -> None:
        said = connection.scalar(text("PRAGMA quick_check(1)"))
        if said != "ok":
            raise DBAPIError("", None, sqlite3.DatabaseError(str(said)))

    def _check(self, connection: Connection, found: set[str]) -> None:
        version = connection.scalar(select(SCHEMA.c.version)) if SCHEMA.name in found else None
        if version is not None and version > VERSION:
            raise ConfigurationError(
                KEY,
                f"{self.place} was written by a later version (its tables are version {version}, ours {VERSION}).",
                "pip install --upgrade dlt-source-automatum",
            )
        if version != VERSION or found != set(METADATA.tables):
            missing = ", ".join(sorted(set(METADATA.tables) - found)) or "none"
            raise ConfigurationError(
                KEY,
                f"{self.place} is not a whole ledger (version {version}, missing tables: {missing}).",
                f"Put back its last copy. {_KEEP}",
            )

    def _make_tables(self, connection: Connection) -> None:
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION, created_at=self.now()))


def locks_of(path: Path) -> Path:
    """Folder of the locks beside a SQLite ledger."""
    return path.with_name(path.name + ".locks")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password.
        raise ConfigurationError(
            KEY, "is not a URL of a database.", "Write sqlite:////path/to/ledger.sqlite or postgresql://user@host/name."
        ) from None
    for secret in (parsed.password, *(parsed.query.get(name) for name in ("password", "sslpassword"))):
        register_secret(secret if isinstance(secret, str) else None)
    drivers = {
        "sqlite": "sqlite",
        "sqlite+pysqlite": "sqlite",
        "postgresql": "postgresql+psycopg2",
        "postgresql+psycopg2": "postgresql+psycopg2",
        "postgres": "postgresql+psycopg2",
    }
    if parsed.drivername not in drivers:
        raise ConfigurationError(
            KEY, f"{parsed.drivername!r} is no database for a ledger.", "Use a sqlite:/// or a postgresql:// URL."
        )
    return parsed.set(drivername=drivers[parsed.drivername])


def _file(url: URL) -> Path:
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:") or url.query:
        raise ConfigurationError(
            KEY, "a ledger in SQLite is a file, named without options.", "Write sqlite:////path/to/ledger.sqlite."
        )
    return Path(name).expanduser().absolute()


def _name(url: URL) -> str:
    # Without user and options: either may hold what is nobody's business.
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _sqlite(path: Path) -> Engine:
    # `mode=rw`: a file that vanished must not come back as an empty ledger.
    engine = create_engine(
        f"sqlite:///file:{_quoted(path)}?mode=rw&uri=true",
        hide_parameters=True,
        connect_args={"timeout": _BUSY, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, record: object) -> None:
        raw.isolation_level = None  # the driver would begin transactions by ideas of its own
        raw.execute("PRAGMA journal_mode = WAL")
        # Each commit waits for the disk: this is money.
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA fullfsync = ON")  # macOS

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("automatum_writes")
        # A transaction that reads first and writes later could find that it must not.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _postgres(url: URL) -> Engine:
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, record: object) -> None:
        with raw.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            # A server that answers before its disk does would forget what was sent.
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = '{_BUSY}s'")
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval"):
                # A machine that vanished from the network is found out in minutes, not in hours.
                cursor.execute(f"SET {name} = 30")
        raw.commit()

    return engine


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
