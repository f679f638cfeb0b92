"""Copies whole ledgers, to a backup and back from one; a failure leaves nothing behind (I5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ...core.clock import Clock, utc
from ...core.errors import ConfigurationError
from .identity import adopt_identity, problem_of_owner, read_meta, refuse_beside_original
from .ledger import Ledger
from .location import Owner
from .run import LOST
from .tables import ATTEMPTS, CONTENT, LINES, META

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored ledger holds.

    Attributes:
        rows: Table to number of rows.
        last_call: Time of the last call; None if there was none. What was sent after it is not known.
        unknown: Number of its lines that are unknown, because they were being sent at that time.
        lacks: The call that was sent from this place, and that it lacks; it must be adopted then. None if it has it.
    """

    rows: dict[str, int]
    last_call: datetime | None
    unknown: int
    lacks: str | None


def url_of(ledger: Ledger) -> str:
    """Where a ledger is, as a URL without user and password."""
    return f"sqlite:///{ledger.location}" if ledger.path else f"postgresql://{ledger.location}"


def count_rows(connection: Connection) -> dict[str, int]:
    """Number of rows by table, without those that say what the ledger is."""
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in CONTENT}


def backup(ledger: Ledger, path: Path) -> dict[str, int]:
    """Copy a ledger to a SQLite file. Pushes refuse the copy until it is restored or adopted.

    Args:
        ledger: The ledger. Nobody can write to it meanwhile.
        path: The file. It must not exist.

    Returns:
        Table to number of rows.

    Raises:
        ConfigurationError: There is no ledger; or the file exists, or cannot be written.
        DestinationError: A database cannot be reached.
    """
    path = path.expanduser().absolute()
    if path.exists():
        raise ConfigurationError("FILE", f"{path} exists already.", "Name another file.")
    with ledger.write() as connection, Ledger.open(f"sqlite:///{path}", ledger.clock) as target:
        meta = read_meta(connection)
        values = {name: meta[name] for name in ("ledger_id", "api", "organization", "created_at")}

        def fill(into: Connection) -> None:
            _copy(connection, into)
            into.execute(update(META).values(values | {"copied_from": url_of(ledger)}))

        target.create(fill)
        return count_rows(connection)


def restore(url: str, clock: Clock, owner: Owner, file: Path) -> Restored:
    """Bring a lost ledger back. What was being sent is unknown afterwards.

    Args:
        url: Database of the ledger. There must be none, or an empty one.
        clock: Time.
        owner: Whose ledger it is.
        file: A backup.

    Raises:
        ConfigurationError: There is a ledger with lines; or the file is no backup, is another's, or its ledger is still
            there.
        DestinationError: A database cannot be reached.
    """
    file = file.expanduser().absolute()
    unknown: list[int] = []
    if not file.is_file():
        raise ConfigurationError("--from", f"there is no file {file}.", "Name a file of `push ledger backup`.")
    with Ledger.open(f"sqlite:///{file}", clock) as copy, copy.read() as connection:
        meta = read_meta(connection)
        _check_backup(meta, file, owner)

        def fill(into: Connection) -> None:
            _copy(connection, into)
            lost, now = {"state": "unknown", "error": LOST}, utc(clock.time())
            unknown.append(into.execute(update(LINES).where(LINES.c.state == "sending").values(lost)).rowcount)
            into.execute(update(ATTEMPTS).where(ATTEMPTS.c.state == "sending").values(**lost, ended_at=now))
            own = {"api": owner.api, "organization": owner.organization}
            own |= {name: meta[name] for name in ("ledger_id", "created_at")}
            into.execute(update(META).values(own))

        with Ledger.open(url, clock) as ledger:
            ledger.create(fill)
            noted = ledger.note.read()
            lacks = noted if noted and not ledger.has_call(noted) else None
            with ledger.read() as restored:
                last_call = restored.scalar(select(func.max(ATTEMPTS.c.started_at)))
                return Restored(count_rows(restored), last_call, unknown[0], lacks)


def _check_backup(meta: Mapping[str, Any], file: Path, owner: Owner) -> None:
    if problem := problem_of_owner({**meta, "copied_from": None}, str(file), owner):
        raise problem
    if not meta["copied_from"]:
        raise ConfigurationError(
            "--from",
            f"{file} is a ledger that is in use, not a backup of one. Both would bill what the other has billed.",
            "Make a backup: `automatum push ledger backup FILE`. Then remove or rename the ledger itself.",
        )
    refuse_beside_original(meta, str(file), meta["copied_from"])


def adopt(url: str, clock: Clock, owner: Owner) -> None:
    """Make a copy, an older state or the ledger of another name the ledger of an owner.

    Args:
        url: Its database.
        clock: Time.
        owner: Whose ledger it is from now on.

    Raises:
        ConfigurationError: There is no ledger, or the one that it is a copy of is still there.
        DestinationError: The database cannot be reached.
    """
    with Ledger.open(url, clock) as ledger:
        with ledger.write() as connection:
            adopt_identity(connection, ledger.location, ledger.path, owner)
        ledger.note.forget()


def _copy(connection: Connection, into: Connection) -> None:
    for table in CONTENT:
        found = connection.execute(select(table).execution_options(yield_per=_BATCH))
        for batch in found.mappings().partitions():
            into.execute(insert(table), [dict(row) for row in batch])
