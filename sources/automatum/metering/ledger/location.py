"""Finds the ledger of a push: one for each API host and organization, on a disk with working locks."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from ...config.base_url import file_key
from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system

KEY = "sources.automatum.ledger_url"
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


def sqlite_file(url: str) -> Path | None:
    """The file of the URL of a SQLite ledger, as it is written; None for another database.

    Args:
        url: Database of a ledger.
    """
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def find_ledger(settings: AutomatumSettings, url: str | None) -> str:
    """The URL of the ledger: the given one, or the one in the settings.

    Args:
        settings: Resolved settings.
        url: URL that the user gave, if any.

    Raises:
        ConfigurationError: The URL is the same for all organizations; or a new ledger would be created beside one that
            is in use; or there are several organizations and none is named.
    """
    if settings.organizations and not settings.organization:
        raise ConfigurationError("--organization", "several are configured, each with a ledger.", "Name one of them.")
    if url:
        return insert_organization("--ledger-url", url, settings.organization)
    chosen = default_ledger_url(settings)
    own = sqlite_file(chosen)
    if settings.organization and not settings.ledger_url and own:
        before = own.with_name(f"{own.stem.removesuffix(f'-{settings.organization}')}{own.suffix}")
        if before.is_file() and not own.is_file():
            raise ConfigurationError(
                KEY,
                f"{before} was written before organizations were configured; its lines would be billed again.",
                f"Move it to the place of its organization's ledger, such as {own}.",
            )
    return chosen


def default_ledger_url(settings: AutomatumSettings) -> str:
    """The ledger that the settings name, or a file in the user's data folder.

    There is one file per API host, independent of the client id, because a new application must not bill again what the
    old one has billed. There is one file per organization, because lines of one organization must not be sent with
    another's credentials.
    """
    if settings.ledger_url:
        return insert_organization(KEY, settings.ledger_url, settings.organization)
    suffix = f"-{settings.organization}" if settings.organization else ""
    folder = platformdirs.user_data_path("automatum", appauthor=False)
    own, earlier = (
        folder / f"metering-{key}{suffix}.sqlite"
        for key in (ledger_key(settings.base_url), file_key(settings.base_url))
    )
    # Earlier versions told API.example.com:443 from api.example.com.
    return f"sqlite:///{earlier if earlier.is_file() and not own.is_file() else own}"


def ledger_key(base_url: str) -> str:
    """Name of the API in the name of its ledger: however the host is written, with or without its usual port."""
    parts = urlsplit(base_url)
    host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return file_key(parts._replace(netloc=host).geturl())


def ledger_owner(settings: AutomatumSettings) -> Owner:
    """Whose ledger a push with these settings needs."""
    return Owner(ledger_key(settings.base_url), settings.organization)


def data_folders() -> list[Path]:
    """This user's data folder, and those of the users who probably pushed before: root, and who called sudo."""
    folders = [platformdirs.user_data_path("automatum", appauthor=False)]
    if os.name == "posix":
        import pwd

        homes = []
        for name in dict.fromkeys((os.environ.get("SUDO_USER"), os.environ.get("DOAS_USER"), "root")):
            with contextlib.suppress(KeyError):
                homes += [pwd.getpwnam(name).pw_dir] if name else []
        with contextlib.suppress(KeyError):  # a user of a container without a name
            homes.append(pwd.getpwuid(os.getuid()).pw_dir)
        folders += [Path(home) / ".local" / "share" / "automatum" for home in homes]
    return list(dict.fromkeys(folders))


def refuse_network(ledger_url: str) -> None:
    """Raise `ConfigurationError` for a ledger on a network file system, where SQLite's locks do not work."""
    path = sqlite_file(ledger_url)
    if path and (kind := network_file_system(path)):
        raise ConfigurationError(
            KEY,
            f"{path} is on a network file system ({kind}), where SQLite's locks do not work.",
            "Name a file on a local disk, or a Postgres database (postgresql://user:password@host/database).",
        )
