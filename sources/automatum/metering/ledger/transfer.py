"""Copies, moves and restores whole ledgers, between SQLite and Postgres, and proves that nothing was lost (I5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from ...core.clock import Clock
from ...core.errors import ConfigurationError, DestinationError
from ..model import format_decimal
from .identity import adopt_identity, read_identity
from .ledger import Ledger
from .location import KEY, Owner
from .tables import ATTEMPTS, IDENTITY, METADATA, SCHEMA
from .wal import forget_attempt

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Content:
    """What a ledger holds, to compare two of them.

    Attributes:
        rows: Table to number of rows.
        digest: SHA-256 of all values, whatever their order and the kind of the database.
    """

    rows: dict[str, int]
    digest: str


def content_of(connection: Connection) -> Content:
    """The content of a ledger, without its identity."""
    rows, total = {}, 0
    for table in _tables():
        rows[table.name] = 0
        for row in _rows(connection, table):
            rows[table.name] += 1
            text = "\x1f".join([table.name, *(f"{name}={_text(row[name])}" for name in sorted(row))])
            total = (total + int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")) % 2**256
    return Content(rows, f"{total:064x}")


def url_of(ledger: Ledger) -> str:
    """Where a ledger is, as a URL without user and password."""
    return f"sqlite:///{ledger.location}" if ledger.database.path else f"postgresql://{ledger.location}"


def copy_ledger(source: Ledger, url: str, clock: Clock) -> Content:
    """Copy a ledger to another database. The copy refuses to be pushed from until it is adopted.

    Args:
        source: The ledger. Nobody can write to it meanwhile.
        url: Database of the copy. It must be empty, or not exist.
        clock: Time.

    Raises:
        ConfigurationError: There is a ledger with lines already.
        DestinationError: A database cannot be reached, or the copy differs from the ledger.
    """
    with source.database.write(moved=True) as connection:
        return _copy(source, connection, url, clock)


def move_ledger(source: Ledger, url: str, clock: Clock, owner: Owner) -> Content:
    """Move a ledger to another database. The old one stays, refuses every push, and says where the new one is.

    Raises:
        ConfigurationError: There is a ledger with lines already; or lines are being sent.
        DestinationError: A database cannot be reached, or the copy differs from the ledger.
    """
    with source.database.write() as connection:
        sending = connection.scalar(select(func.count()).select_from(ATTEMPTS).where(ATTEMPTS.c.state == "sending"))
        if sending:
            raise ConfigurationError(
                KEY,
                f"{sending} lines of {source.location} are being sent, or belong to a push that died.",
                "Wait until it has ended. If it died, the next `automatum push --confirm` marks them as unknown.",
            )
        content = _copy(source, connection, url, clock)
        with Ledger.open(url, clock, create=False) as target:
            where = url_of(target)
        connection.execute(update(IDENTITY).values(moved_to=where))
    # Only now: were this to fail, both would refuse, and a person would decide.
    adopt_ledger(url, clock, owner)
    return content


def adopt_ledger(url: str, clock: Clock, owner: Owner) -> None:
    """Make a copy, a moved file or the ledger of another name the ledger of an owner."""
    with Ledger.open(url, clock, create=False) as ledger:
        ledger.database.require_tables()
        with ledger.database.write(moved=True) as connection:
            adopt_identity(connection, ledger.database.path, owner)
        if ledger.database.path:
            forget_attempt(ledger.database.path)


def _copy(source: Ledger, connection: Connection, url: str, clock: Clock) -> Content:
    before = content_of(connection)
    with Ledger.open(url, clock, create=False) as found:
        if found.exists and any(found.reader.counts().values()):
            raise ConfigurationError(
                KEY, f"there is a ledger with lines at {found.location}.", "Name another file or database."
            )
        if source.location == found.location:
            raise ConfigurationError(KEY, f"{found.location} is the ledger itself.", "Name another file or database.")
    with Ledger.open(url, clock, create=True) as target:
        with target.database.write(moved=True) as into:
            for table in _tables():
                batch: list[Mapping[str, Any]] = []
                for row in _rows(connection, table):
                    batch.append(row)
                    if len(batch) == _BATCH:
                        into.execute(insert(table), [dict(row) for row in batch])
                        batch = []
                if batch:
                    into.execute(insert(table), [dict(row) for row in batch])
            own = read_identity(connection)
            into.execute(
                update(IDENTITY).values(
                    ledger_id=own["ledger_id"],
                    api=own["api"],
                    organization=own["organization"],
                    begun_at=own["begun_at"],
                    moved_to=None,
                    copied_from=url_of(source),
                )
            )
        with target.database.read() as into:
            after = content_of(into)
        if after != before:
            raise DestinationError(
                f"The copy at {target.location} differs from {source.location}: {after.rows} instead of {before.rows}.",
                "The ledger is as it was. Remove the copy, and try again.",
            )
    return after


def _tables() -> list[Table]:
    return [table for table in METADATA.sorted_tables if table.name not in (SCHEMA.name, IDENTITY.name)]


def _rows(connection: Connection, table: Table) -> Iterator[Mapping[str, Any]]:
    found = connection.execute(select(table).execution_options(yield_per=_BATCH))
    for row in found.mappings():
        yield dict(row)


def _text(value: Any) -> str:
    if value is None:
        return "\0"
    if isinstance(value, Decimal):
        return format_decimal(value)  # 1.0 is 1
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
