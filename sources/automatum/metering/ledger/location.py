"""Which ledger a push writes to: one for each API host and organization, on a disk whose locks hold."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings
from ...core.errors import ConfigurationError
from ...core.file_system import network_file_system


def find_ledger(settings: AutomatumSettings, url: str | None) -> str:
    """The ledger of a push: the one that it was told, or else that of the settings.

    Args:
        settings: Resolved settings.
        url: What it was told; None for nothing.

    Raises:
        ConfigurationError: It is the same for all organizations, or would begin anew beside one that is in use; or
            there are several organizations and none is named.
    """
    if settings.organizations and not settings.organization:
        raise ConfigurationError("--organization", "several are configured, each with a ledger.", "Name one of them.")
    if url:
        return insert_organization("--ledger-url", url, settings.organization)
    chosen = default_ledger_url(settings)
    if settings.organization and not settings.ledger_url:
        own = Path(chosen.removeprefix("sqlite:///"))
        before = own.with_name(f"{own.stem.removesuffix(f'-{settings.organization}')}{own.suffix}")
        if before.is_file() and not own.is_file():
            raise ConfigurationError(
                "sources.automatum.ledger_url",
                f"{before} is from before organizations were listed; what it knows as billed would be billed again.",
                f"Move it to where the ledger of the organization that it was for is looked for, such as {own}.",
            )
    return chosen


def default_ledger_url(settings: AutomatumSettings) -> str:
    """The ledger that the settings name, or a file in the user's data folder.

    One for each host of the API, whatever the client id: an application can be made anew, and what the one before it
    has billed must not be billed again. And one for each organization: what one has planned must not go out with
    another's credentials.
    """
    if settings.ledger_url:
        return insert_organization("sources.automatum.ledger_url", settings.ledger_url, settings.organization)
    host = urlsplit(settings.base_url).netloc.replace(":", "-")
    if settings.organization:
        host += f"-{settings.organization}"
    folder = platformdirs.user_data_path("automatum", appauthor=False)
    return f"sqlite:///{folder / f'metering-{host}.sqlite'}"


def refuse_network(ledger_url: str) -> None:
    """Raise `ConfigurationError` for a ledger on a network file system, where SQLite's locks do not hold."""
    if ledger_url.startswith("sqlite:///"):
        path = Path(ledger_url.removeprefix("sqlite:///"))
        kind = network_file_system(path)
        if kind:
            raise ConfigurationError(
                "sources.automatum.ledger_url",
                f"{path} lies on a network file system ({kind}), where the locks of SQLite do not hold.",
                "Name a file on a local disk, or a Postgres database (postgresql://user:password@host/database).",
            )
