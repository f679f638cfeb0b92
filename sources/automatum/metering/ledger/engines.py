"""Connections to the ledger's database, a SQLite file or Postgres, on which a commit is durable; and their errors."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ...config.plaintext import refuse_plaintext_postgres
from ...core.errors import AutomatumError, ConfigurationError, DestinationError, DiskFull
from ...core.extras import install_command
from ...core.private_files import NO_SPACE
from ...core.redaction import redact, redact_logging, register_url
from .location import KEY

KEEP = "Do not start a new ledger in its place: lines in it may have been billed."
_BUSY_SECONDS = 60
"""Seconds to wait for the write of another process. Each write takes milliseconds."""
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg2",
    "postgresql+psycopg2": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
}
_TRANSIENT = ("is locked", "is busy", "disk I/O error", "locking protocol", "interrupted", "out of memory")
"""Errors of SQLite that say nothing about the content of the file."""


def parse_url(text: str) -> URL:
    """Parse the URL of a ledger and register its passwords for redaction.

    Raises:
        ConfigurationError: It is not a URL, or is for a database that is not supported.
    """
    register_url(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may contain a password.
        raise ConfigurationError(
            KEY,
            "is not a database URL.",
            "Write sqlite:////path/to/ledger.sqlite or postgresql://user@host/name.",
        ) from None
    if url.drivername not in _DRIVERS:
        raise ConfigurationError(
            KEY,
            f"{url.drivername!r} is not supported for the ledger.",
            "Use a sqlite:/// or a postgresql:// URL.",
        )
    return url.set(drivername=_DRIVERS[url.drivername])


def sqlite_engine(path: Path) -> Engine:
    """Engine of a SQLite file that exists."""
    # `mode=rw`: a file that was removed must not come back as an empty ledger.
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    engine = create_engine(
        f"sqlite:///file:{quoted}?mode=rw&uri=true",
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
    )

    def prepare(raw: Any) -> None:
        raw.isolation_level = None  # the driver would begin transactions by rules of its own
        # Between two transactions there is one file, so who moves or copies it loses nothing.
        raw.execute("PRAGMA journal_mode = DELETE")
        # Each commit waits for the disk, and for the removal of the journal: a lost commit can bill a line twice.
        raw.execute("PRAGMA synchronous = EXTRA")
        raw.execute("PRAGMA fullfsync = ON")  # macOS

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("automatum_writes")
        # A transaction that reads first and writes later could fail at the write.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return _prepared(engine, prepare)


def postgres_engine(url: URL) -> Engine:
    """Engine of a Postgres database.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": 30})
    except ModuleNotFoundError:
        raise ConfigurationError(
            KEY, "the driver for Postgres is not installed.", install_command("psycopg2")
        ) from None

    # It logs at DEBUG why a connection fails, and a driver names parts of a URL.
    redact_logging(*{f"sqlalchemy.{part}" for part in ("engine.Engine", f"pool.impl.{type(engine.pool).__name__}")})

    def prepare(raw: Any) -> None:
        refuse_plaintext_postgres(raw, KEY)
        with raw.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            # A server that answers before its disk has written could lose what was sent.
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = '{_BUSY_SECONDS}s'")
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval"):
                # The server notices within minutes, not hours, that a client's machine is gone.
                cursor.execute(f"SET {name} = 30")
        raw.commit()

    return _prepared(engine, prepare)


def _prepared(engine: Engine, prepare: Callable[[Any], None]) -> Engine:
    """Set up each new connection, and close it if that fails. SQLAlchemy 2.0 would leave it open."""

    @event.listens_for(engine, "connect")
    def listener(raw: Any, record: object) -> None:
        try:
            prepare(raw)
        except BaseException:
            raw.close()
            raise

    return engine


def translate(error: DBAPIError, location: str) -> AutomatumError:
    """A database error as an `AutomatumError`, without the statement and its values."""
    message = redact(str(error.orig).strip().split("\n")[0])
    if "disk is full" in message or ("unable to open" in message and _lacks_space(Path(location).parent)):
        return DiskFull(f"The ledger {location} cannot be written: {message}. {KEEP}")
    if not isinstance(error.orig, sqlite3.Error) or any(phrase in message for phrase in _TRANSIENT):
        return DestinationError(
            f"The ledger {location} cannot be used now: {message}.",
            "Run again later. If it stays so: check that no process keeps it locked, and the disk; or that the "
            f"database is up, and that the user in ledger_url may create tables and write. {KEEP}",
        )
    if "readonly" in message or "unable to open" in message:
        return ConfigurationError(
            KEY,
            f"{location} cannot be written: {message}.",
            "Check this user's permission to write the file and its folder.",
        )
    return ConfigurationError(
        KEY,
        f"{location} is damaged or is not a ledger: {message}.",
        f"Restore its last copy, or recover its content with SQLite's `.recover`. {KEEP}",
    )


def _lacks_space(folder: Path) -> bool:
    """Whether no file can be created because the disk is full: SQLite does not say why it cannot create its journal."""
    try:
        tempfile.NamedTemporaryFile(dir=folder).close()
    except OSError as error:
        return error.errno in NO_SPACE
    return False
