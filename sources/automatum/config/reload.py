"""Reads the credentials from the configuration again, so that a rotated secret needs no restart.

It drops the cached values of the vault that `secrets_from` names, of the connections and variables of an Airflow task,
of dlt's own vaults (Google, AWS, Airflow's variables), and of the files `secrets.toml`. The environment of a process
does not change, except for mounted secrets (`/run/secrets`), which dlt reads each time. A value in a file overrides a
value that a program has set (`dlt.secrets[...] = ...`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ..core.errors import ConfigurationError
from .airflow import AirflowProvider
from .credentials import find_credentials
from .dlt_internals import ConfigProvider, SettingsTomlProvider, VaultDocProvider, registered_providers
from .lookup import CREDENTIALS, SECTIONS
from .organizations import credentials_of, find_organization
from .settings import AutomatumSettings, check_configuration
from .vaults.dlt_provider import VaultProvider
from .vaults.toml_file import TomlSection

_reloading = threading.Lock()


def reload_credentials(settings: AutomatumSettings) -> tuple[str, str] | None:
    """Read the client id and secret that are configured now, from the section that those in use come from.

    Args:
        settings: Settings in use.

    Returns:
        Client id and secret; None if the configuration has none, or the program passes them itself.

    Raises:
        AutomatumError: The configuration cannot be read.
    """
    if settings.credentials_from is None:
        return None
    sections = tuple(settings.credentials_from)
    with _reloading:
        for provider in registered_providers():
            _drop_cached(provider, sections)
        check_configuration()
        try:
            if settings.organization is not None:
                return credentials_of(find_organization(settings.organization))
            found = find_credentials({}, sections)
        except ConfigurationError as error:
            if error.key.endswith(CREDENTIALS):
                return None
            raise
        return found["client_id"], found["client_secret"]


def credential_sections(organization: str | None) -> tuple[str, ...]:
    """The section of dlt's configuration that holds the credentials of an organization; None for the only one."""
    if organization is None:
        return SECTIONS
    return tuple(find_organization(organization).credentials.split("."))


def _drop_cached(provider: ConfigProvider, sections: tuple[str, ...]) -> None:
    if isinstance(provider, (VaultProvider, AirflowProvider)):
        provider.reload()
    elif isinstance(provider, VaultDocProvider):
        provider.clear_lookup_cache()
        # dlt looks up only what its document lacks, so remove the values from it.
        for key in CREDENTIALS:
            provider.set_value(key, None, None, *sections)
    elif isinstance(provider, SettingsTomlProvider):
        _reread_files(provider, sections)


def _reread_files(provider: SettingsTomlProvider, sections: tuple[str, ...]) -> None:
    """Copy the credentials from the files. Other values stay, because a program may have set them."""
    for location in provider.locations:
        found: dict[str, Any] = TomlSection(Path(location), sections).read() or {}
        for key in CREDENTIALS:
            value, _ = provider.get_value(key, str, "", *sections)
            if isinstance(found.get(key), str) and found[key] != value:
                provider.set_value(key, found[key], None, *sections)
        if found:
            return
