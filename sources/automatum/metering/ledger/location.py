"""Where a ledger is, and what lies beside it; and the question that a push asks where there is none (I5).

It needs no database. Most who sync never push, and SQLAlchemy takes a third of a second to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ...config.base_url import file_key
from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system, user_folder

KEY = "sources.automatum.ledger_url"
OPTION = "--new-ledger"
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose usage a ledger records.

    Attributes:
        api: Normalized name of the API host, from `ledger_key`.
        organization: Name of the configured organization; None if there is only one.
    """

    api: str
    organization: str | None = None


def find_ledger(settings: AutomatumSettings) -> str:
    """The URL of the ledger of a configuration.

    Raises:
        ConfigurationError: The URL is the same for all organizations; or there are several and none is named.
    """
    if settings.organizations and not settings.organization:
        raise ConfigurationError("--organization", "several are configured, each with a ledger.", "Name one of them.")
    return default_ledger_url(settings)


def default_ledger_url(settings: AutomatumSettings) -> str:
    """The ledger that the settings name, or a file in the user's data folder.

    There is one file per API host, independent of the client id, because a new application must not bill again what the
    old one has billed. There is one file per organization, because lines of one organization must not be sent with
    another's credentials.
    """
    if settings.ledger_url:
        return insert_organization(KEY, settings.ledger_url.reveal(), settings.organization)
    suffix = f"-{settings.organization}" if settings.organization else ""
    return f"{_SQLITE}{user_folder('data') / f'metering-{ledger_key(settings.base_url)}{suffix}.sqlite'}"


def ledger_key(base_url: str) -> str:
    """Name of the API in the name of its ledger: however the host is written, with or without its usual port."""
    parts = urlsplit(base_url)
    host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return file_key(parts._replace(netloc=host).geturl())


def ledger_owner(settings: AutomatumSettings) -> Owner:
    """Whose ledger a push with these settings needs."""
    return Owner(ledger_key(settings.base_url), settings.organization)


def sqlite_path(url: str) -> Path | None:
    """File of a SQLite ledger; None for another database.

    Args:
        url: Database of the ledger, from `find_ledger`.

    Raises:
        ConfigurationError: The database is in memory, the path is relative, or the URL has options.
    """
    scheme, _, name = url.partition("://")
    if scheme not in ("sqlite", "sqlite+pysqlite"):
        return None
    name = name.removeprefix("/")
    if not name or name == ":memory:" or name.startswith("file:") or "?" in name:
        raise ConfigurationError(
            KEY, "a SQLite ledger must be a file, without URL options.", "Write sqlite:////path/to/ledger.sqlite."
        )
    path = Path(name).expanduser()
    if not path.is_absolute():
        raise ConfigurationError(
            KEY,
            f"{name} is a relative path: from another folder it would be another, empty ledger.",
            f"Write the whole path, with four slashes: sqlite:///{path.absolute()}.",
        )
    # A ledger under two names would have two sets of locks.
    return path.resolve()


def refuse_network(url: str) -> None:
    """Raise `ConfigurationError` for a ledger on a network file system, where SQLite's locks do not work."""
    path = sqlite_path(url)
    if path and (kind := network_file_system(path)):
        raise ConfigurationError(
            KEY,
            f"{path} is on a network file system ({kind}), where SQLite's locks do not work.",
            "Name a file on a local disk, or a Postgres database (postgresql://user:password@host/database).",
        )


def missing_file(url: str) -> Path | None:
    """The file of a SQLite ledger that certainly does not exist; None if it does, or only its database can tell."""
    path = sqlite_path(url)
    try:
        if path:
            path.stat()
    except FileNotFoundError:
        return path
    except OSError:
        pass  # Its folder cannot be read.
    return None


def locks_folder(path: Path) -> Path:
    """Folder of the locks beside a SQLite ledger."""
    return path.with_name(path.name + ".locks")


class Note:
    """The last call that this user sent from a ledger, kept outside of it: an older ledger in its place lacks the call.

    Args:
        location: The file, or host, port and database.
        path: The file; None for Postgres, whose note is in the user's data folder.
    """

    def __init__(self, location: str, path: Path | None) -> None:
        if path:
            self.file = locks_folder(path) / "last-attempt"
        else:
            name = re.sub(r"[^A-Za-z0-9.-]+", "-", location)[:80]
            key = hashlib.sha256(location.encode()).hexdigest()[:16]
            self.file = user_folder("data") / "ledgers" / f"{name}-{key}.last-attempt"

    def write(self, attempt_id: str) -> None:
        """Remember a call."""
        draft = self.file.with_name(f".{attempt_id}")
        # The ledger itself is on disk. Without the note only an older copy goes unnoticed.
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(attempt_id)
            draft.replace(self.file)

    def read(self) -> str | None:
        """The last call; None if none is known."""
        return self.file.read_text().strip() or None if self.file.is_file() else None

    def forget(self) -> None:
        """Accept an older ledger in this place."""
        self.file.unlink(missing_ok=True)


def problem_of_missing(
    location: str, path: Path | None, *, begin: bool, empty: bool = False
) -> ConfigurationError | None:
    """Why a ledger that is not there, or is empty, may not be used; None if nothing says that there was another one.

    Args:
        location: Its file, or host and database.
        path: Its file; None for Postgres.
        begin: Nothing was ever pushed, as far as the user knows.
        empty: It is there, and nothing was ever sent from it.
    """
    note = Note(location, path)
    if not empty and (noted := note.read()):
        return ConfigurationError(
            KEY,
            f"there was a ledger at {location}: the note {note.file} names the call {noted}.",
            "Restore it: `automatum push ledger restore --from FILE`. If nothing was ever billed, remove that note.",
        )
    if begin:
        return None
    there = f"the ledger at {location} is empty" if empty else f"there is no ledger at {location}"
    return ConfigurationError(
        KEY,
        f"{there}, so nobody can know what was billed before.",
        "If usage was pushed before: find its ledger, and check ledger_url, --organization, base_url, the user and "
        f"HOME. If only a name has changed: rename it to {location}, then `automatum push ledger adopt --confirm`. "
        f"If nothing was ever pushed, or a first push had nothing to send: add {OPTION}.",
    )
