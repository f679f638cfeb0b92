"""Whose ledger it is: a copy, a moved file, or the ledger of another API, organization or user is refused (I5)."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from ...core.errors import ConfigurationError
from .location import KEY, Owner
from .notes import read_identity
from .tables import META, VERSION

ADOPT = "`automatum push ledger adopt --confirm`"
_IDS = text(
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS database, "
    "CAST(CAST(:name AS regclass) AS oid) AS relation"
)
_NO_SERVER = "-"
_SHARED = 0o022
"""Write permission of group or others: a file that several users share on purpose."""


def insert_meta(
    connection: Connection, now: datetime, path: Path | None, values: Mapping[str, Any] | None = None
) -> None:
    """Write what a new ledger is.

    Args:
        connection: A transaction in which the tables were created.
        now: Time.
        path: Its file, or the draft of it; None for Postgres.
        values: Columns that are known otherwise.
    """
    own: dict[str, Any] = {
        "ledger_id": str(uuid.uuid4()),
        "machine": platform.node() or None,
        "path": str(path) if path else None,
    }
    own |= {"version": VERSION, "created_at": now, "place": place_of(connection, path)}
    connection.execute(insert(META).values({**own, **(values or {})}))


def read_meta(connection: Connection) -> dict[str, Any]:
    """What an open ledger is.

    Raises:
        ConfigurationError: It has lost its identity.
    """
    row = connection.execute(select(META)).mappings().first()
    if row is None:
        raise ConfigurationError(KEY, "the ledger has lost its identity.", "Restore its last copy.")
    return dict(row)


def problem_of(
    connection: Connection, meta: Mapping[str, Any], location: str, path: Path | None, owner: Owner
) -> ConfigurationError | None:
    """Why this ledger must not be used here; None if it may."""
    return (
        problem_of_moved(meta, location)
        or (_problem_of_file(meta, path) if path else _problem_of_database(connection, meta, location))
        or problem_of_owner(meta, location, owner)
    )


def problem_of_moved(meta: Mapping[str, Any], location: str) -> ConfigurationError | None:
    """The error for a ledger that has a successor; None if it has none."""
    if not meta["moved_to"]:
        return None
    return ConfigurationError(
        KEY,
        f"the ledger {location} was moved to {meta['moved_to']}. What was billed since is recorded only there.",
        f"Set ledger_url, or --ledger-url, to {meta['moved_to']}.",
    )


def confirm_identity(connection: Connection, meta: Mapping[str, Any], path: Path | None, owner: Owner) -> None:
    """Write what is not known yet: the owner of a ledger of an earlier version, and where its file is now."""
    wanted = {"api": owner.api, "organization": owner.organization or meta["organization"]}
    wanted |= {"place": place_of(connection, path), "path": str(path) if path else None}
    if {name: meta[name] for name in wanted} != wanted:
        connection.execute(update(META).values(wanted))


def adopt_identity(connection: Connection, location: str, path: Path | None, owner: Owner) -> None:
    """Make this file, or database, the ledger of an owner, whatever it was before.

    Raises:
        ConfigurationError: The ledger that it is a copy of is still there, so that both would bill.
    """
    meta = read_meta(connection)
    for before in (meta["path"], (meta["copied_from"] or "").removeprefix("sqlite:///")):
        if before and before != str(path):
            refuse_beside_original(meta, location, before)
    values = {"api": owner.api, "organization": owner.organization, "moved_to": None, "copied_from": None}
    values |= {"place": place_of(connection, path), "path": str(path) if path else None}
    connection.execute(update(META).values(values | {"machine": platform.node() or None}))


def refuse_beside_original(meta: Mapping[str, Any], location: str, before: str) -> None:
    """Raise `ConfigurationError` if the file that a ledger is a copy of is still there, and is used."""
    path = Path(before)
    if path.is_absolute() and read_identity(path) == (meta["ledger_id"], _inode(path)):
        raise ConfigurationError(
            KEY,
            f"{location} is a copy of {path}, which is still there. Both would bill what the other one has billed.",
            f"Use {path}. If the copy shall take its place, remove or rename that file first.",
        )


def _problem_of_file(meta: Mapping[str, Any], path: Path) -> ConfigurationError | None:
    before = Path(meta["path"] or path)
    log = before.with_name(before.name + "-wal")
    if before != path and log.exists() and log.stat().st_size:
        return ConfigurationError(
            KEY,
            f"{path} was moved from {before}, and its write-ahead log was left behind: {log}.",
            f"Move it to {path}-wal.",
        )
    if meta["place"] not in (None, _inode(path)):
        return ConfigurationError(
            KEY,
            f"{path} is a copy of the ledger {before} of {meta['machine'] or 'this machine'}. Both would bill what "
            "the other one has billed.",
            f"Use the original. If it is gone, and this copy is its latest state: {ADOPT}.",
        )
    return None


def _problem_of_database(connection: Connection, meta: Mapping[str, Any], location: str) -> ConfigurationError | None:
    if is_same_place(meta["place"], place_of(connection, None)):
        return None
    return ConfigurationError(
        KEY,
        f"{location} is a copy of a ledger in another database: it was dumped and restored. Both would bill what the "
        "other one has billed.",
        f"Use the original. If it is gone, and this copy is its latest state: {ADOPT}.",
    )


def problem_of_owner(meta: Mapping[str, Any], location: str, owner: Owner) -> ConfigurationError | None:
    """The error for a backup, and for a ledger of another API or organization; None if it is this owner's."""
    if meta["copied_from"]:
        return ConfigurationError(
            KEY,
            f"{location} is a copy, or a backup, of the ledger {meta['copied_from']}.",
            f"Use that ledger. If it is lost: `automatum push ledger restore`, or here {ADOPT}.",
        )
    for word, theirs, ours, setting in (
        ("API", meta["api"], owner.api, "base_url"),
        ("organization", meta["organization"], owner.organization, "--organization"),
    ):
        if theirs is not None and theirs != ours:
            return ConfigurationError(
                KEY,
                f"{location} is the ledger of the {word} {theirs}, not of {ours or 'a single organization'}.",
                f"Check {setting} and ledger_url. If the {word} only has another name now: {ADOPT}.",
            )
    return None


def refuse_other_user(path: Path) -> None:
    """Raise `ConfigurationError` for a file of another user that is not shared.

    Root could open it, but would leave files that its user cannot open any more.
    """
    if os.name != "posix" or not path.exists():
        return
    status = path.stat()
    if status.st_uid != os.geteuid() and not status.st_mode & _SHARED:
        import pwd

        try:
            name = pwd.getpwuid(status.st_uid).pw_name
        except KeyError:
            name = str(status.st_uid)
        raise ConfigurationError(
            KEY,
            f"{path} belongs to the user {name}.",
            f"Push as {name} (such as with `sudo -u {name}`). For several users, use Postgres.",
        )


def place_of(connection: Connection, path: Path | None, table: str = META.name) -> str | None:
    """What changes when a ledger is copied: the inode of its file; in Postgres the ids of the table and the database.

    A replica, and a server with another name, keep these ids. A dump that is restored gets others.
    """
    if path or connection.dialect.name != "postgresql":
        return _inode(path)
    ids = connection.execute(_IDS, {"name": table}).one()
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


def _inode(path: Path | None) -> str | None:
    return str(path.stat().st_ino) if path and path.exists() else None
