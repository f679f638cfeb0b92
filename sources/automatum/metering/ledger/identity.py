"""Whose ledger it is: a copy, a moved file, or the ledger of another API, organization or user is refused (I5)."""

from __future__ import annotations

import contextlib
import platform
import sqlite3
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from ...core.errors import ConfigurationError
from .location import KEY, Owner
from .tables import META, VERSION

_ADOPT = "`automatum push ledger adopt --confirm`"
_BOTH = "Both would bill what the other one has billed."
_IDS = text(
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS database, "
    "CAST(CAST(:name AS regclass) AS oid) AS relation"
)
_NO_SERVER = "-"


def insert_meta(connection: Connection, now: datetime, path: Path | None) -> None:
    """Write what a new ledger is, in the transaction that creates its tables."""
    own = {"version": VERSION, "created_at": now, "ledger_id": str(uuid.uuid4()), "machine": platform.node() or None}
    connection.execute(insert(META).values({**own, **_where(connection, path)}))


def read_meta(connection: Connection) -> dict[str, Any]:
    """What an open ledger is."""
    return dict(connection.execute(select(META)).mappings().one())


def confirm_identity(connection: Connection, meta: Mapping[str, Any], path: Path | None, owner: Owner) -> None:
    """Write what is not known yet: the owner of a ledger of an earlier version, and where its file is now."""
    wanted = {"api": owner.api, "organization": owner.organization or meta["organization"], **_where(connection, path)}
    if {name: meta[name] for name in wanted} != wanted:
        connection.execute(update(META).values(wanted))


def adopt_identity(connection: Connection, location: str, path: Path | None, owner: Owner) -> None:
    """Make this file, or database, the ledger of an owner, whatever it was before."""
    meta = read_meta(connection)
    for before in (meta["path"], meta["copied_from"]):
        if before and before != str(path):
            refuse_beside_original(meta, location, before)
    values = {"api": owner.api, "organization": owner.organization, "copied_from": None}
    values |= {"machine": platform.node() or None, **_where(connection, path)}
    connection.execute(update(META).values(values))


def refuse_beside_original(meta: Mapping[str, Any], location: str, before: str) -> None:
    """Raise `ConfigurationError` if the file that a ledger is a copy of is still there, and is used."""
    path = Path(before.removeprefix("sqlite:///"))
    if path.is_absolute() and path.is_file() and _read_identity(path) == (meta["ledger_id"], _inode(path)):
        raise ConfigurationError(
            KEY,
            f"{location} is a copy of {path}, which is still there. {_BOTH}",
            f"Use {path}. If the copy shall take its place, remove or rename that file first.",
        )


def problem_of(
    connection: Connection, meta: Mapping[str, Any], location: str, path: Path | None, owner: Owner
) -> ConfigurationError | None:
    """Why this ledger must not be used here; None if it may."""
    original = f"Use the original. If it is gone, and this copy is its latest state: {_ADOPT}."
    if path and meta["place"] not in (None, _inode(path)):
        name = f"{meta['path'] or path} of {meta['machine'] or 'this machine'}"
        return ConfigurationError(KEY, f"{path} is a copy of the ledger {name}. {_BOTH}", original)
    if not path and not is_same_place(meta["place"], place_of(connection, None)):
        text = f"{location} is a copy of a ledger in another database: it was dumped and restored. {_BOTH}"
        return ConfigurationError(KEY, text, original)
    return problem_of_owner(meta, location, owner)


def problem_of_owner(meta: Mapping[str, Any], location: str, owner: Owner) -> ConfigurationError | None:
    """The error for a backup, and for a ledger of another API or organization; None if it is this owner's."""
    if meta["copied_from"]:
        return ConfigurationError(
            KEY,
            f"{location} is a copy, or a backup, of the ledger {meta['copied_from']}.",
            f"Use that ledger. If it is lost: `automatum push ledger restore --from FILE`, or here {_ADOPT}.",
        )
    for word, theirs, ours, setting in (
        ("API", meta["api"], owner.api, "base_url"),
        ("organization", meta["organization"], owner.organization, "--organization"),
    ):
        if theirs is not None and theirs != ours:
            return ConfigurationError(
                KEY,
                f"{location} is the ledger of the {word} {theirs}, not of {ours or 'a single organization'}.",
                f"Check {setting} and ledger_url. If the {word} only has another name now: {_ADOPT}.",
            )
    return None


def place_of(connection: Connection, path: Path | None) -> str | None:
    """What changes when a ledger is copied: the inode of its file; in Postgres the ids of the table and the database.

    A replica, and a server with another name, keep these ids. A dump that is restored gets others.
    """
    if path or connection.dialect.name != "postgresql":
        return _inode(path)
    ids = connection.execute(_IDS, {"name": META.name}).one()
    # Not every user may ask for the id of the server, and two new servers give the same ids to tables.
    allowed = connection.scalar(text("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"))
    server = connection.scalar(text("SELECT system_identifier FROM pg_control_system()")) if allowed else _NO_SERVER
    return f"postgres:{server}:{ids.database}:{ids.relation}"


def is_same_place(known: str | None, found: str | None) -> bool:
    """Whether two ids of Postgres databases are of one. The id of the server counts only where both have it."""
    if known is None or found is None:
        return True
    ours, theirs = known.split(":"), found.split(":")
    return ours[2:] == theirs[2:] and (_NO_SERVER in (ours[1], theirs[1]) or ours[1] == theirs[1])


def _where(connection: Connection, path: Path | None) -> dict[str, Any]:
    return {"place": place_of(connection, path), "path": str(path) if path else None}


def _inode(path: Path | None) -> str | None:
    return str(path.stat().st_ino) if path and path.exists() else None


def _read_identity(path: Path) -> tuple[str, str | None] | None:
    """Id and place of the ledger in a file, without its journal; None if it cannot be read."""
    address = f"{path.as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            found: tuple[str, str | None] = connection.execute(
                "SELECT ledger_id, place FROM metering_schema"
            ).fetchone()
            return found
    except sqlite3.DatabaseError:
        return None
