"""Ledgers that are not there: whether one was, and where it may be (I5).

It needs no database. Most who sync never push, and SQLAlchemy takes a third of a second to import.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...config.organizations import organization_names
from ...core.errors import ConfigurationError
from .location import KEY, Owner, data_folders, sqlite_file
from .notes import Note

OPTION = "--new-ledger"
_ORGANIZATION = re.compile(r"-([a-z][a-z0-9_]{0,39})")


def missing_file(url: str) -> Path | None:
    """The file of a SQLite ledger that certainly does not exist; None if it does, or only its database can tell.

    Args:
        url: Database of the ledger, from `find_ledger`.
    """
    path = sqlite_file(url)
    if not path or not path.is_absolute() or "?" in url or "%" in url:
        return None  # Not a file, or not written as the file is: `engines` says what is wrong with it.
    path = path.resolve()
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            file.stat()
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return None
    return path


def lost_ledger(owner: Owner, location: str, path: Path | None, *, named: bool) -> ConfigurationError | None:
    """Why a ledger that does not exist should; None if nothing says that there was one.

    Args:
        owner: Whose ledger it would be.
        location: Its file, or host and database.
        path: Its file; None for Postgres.
        named: Whether the user, or a setting, names it.
    """
    if problem := noted_ledger(location, path):
        return problem
    others = other_ledgers(owner, location)
    if named or others:
        return ConfigurationError(KEY, f"there is no ledger at {location}.{found_instead(others)}", advice(others))
    return None


def noted_ledger(location: str, path: Path | None) -> ConfigurationError | None:
    """The error for a place without the ledger that sent from it before; None if no note says so."""
    note = Note(location, path)
    if not (noted := note.read()):
        return None
    return ConfigurationError(
        KEY,
        f"there was a ledger at {location}: the note {note.file} names the call {noted}.",
        "Restore it: `automatum push ledger restore`. If certainly nothing was billed, remove that note.",
    )


def other_ledgers(owner: Owner, location: str) -> list[Path]:
    """SQLite ledgers of the same API in the data folders, without those of other configured organizations.

    Args:
        owner: Whose ledger is looked for.
        location: The ledger in use, which is left out.
    """
    names = set(organization_names()) - {owner.organization}
    found = []
    for folder in data_folders():
        try:
            files = sorted(folder.glob("metering-*.sqlite"))
        except OSError:
            continue  # the folder of another user
        found += [file for file in files if str(file) != location and _is_of(file, owner.api, names)]
    return found


def _is_of(file: Path, key: str, other_organizations: set[str]) -> bool:
    name = file.stem.removeprefix("metering-").lower().removesuffix("-443")
    rest = name.removeprefix(key)
    if rest == name:
        return False
    organization = _ORGANIZATION.fullmatch(rest)
    return not rest or bool(organization and organization[1] not in other_organizations)


def found_instead(others: list[Path]) -> str:
    """The other ledgers in a sentence; "" if there are none."""
    return f" Found instead: {', '.join(map(str, others))}." if others else ""


def advice(others: list[Path]) -> str:
    """What to do about a ledger that is not there.

    Args:
        others: Other ledgers of the API.
    """
    if not others:
        return (
            "If usage was pushed before: find its ledger, and check ledger_url, --organization, base_url, the user and "
            f"HOME. If nothing was ever pushed: add {OPTION}."
        )
    return f"Use that ledger: as its user, with its organization's name, or with --ledger-url sqlite:///{others[0]}."
