"""Asks the configuration for a secret once more, past what has been read before: a rotated one needs no restart.

Asked anew are the vault that `secrets_from` names, the connections and variables of an Airflow task, dlt's own vaults
(Google, AWS, Airflow's variables) and the files `secrets.toml`. The environment of a process does not change, except
for mounted secrets (`/run/secrets`), which dlt reads each time. A value that a program has set by hand
(`dlt.secrets[...] = ...`) gives way to the file's.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import SettingsTomlProvider
from dlt.common.configuration.providers.vault import VaultDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from ..core.errors import ConfigurationError
from .airflow import AirflowProvider
from .organizations import SECTIONS, find_organization
from .settings import AutomatumSettings, resolve_settings
from .vaults.dlt_provider import CREDENTIALS, VaultProvider
from .vaults.toml_file import TomlSection

_asking = threading.Lock()


def reload_credentials(settings: AutomatumSettings) -> tuple[str, str] | None:
    """Client id and secret of this connection as they are configured now.

    Args:
        settings: Of the connection; tell which organization it is for.

    Returns:
        Both; None if the configuration has none, as a program may give them by itself.

    Raises:
        AutomatumError: The configuration cannot be read.
    """
    with _asking:
        sections = credential_sections(settings.organization)
        for provider in Container()[PluggableRunContext].providers.providers:
            _forget(provider, sections)
        try:
            fresh = resolve_settings(organization=settings.organization)
        except ConfigurationError as error:
            if error.key.endswith(CREDENTIALS):
                return None
            raise
        return fresh.client_id, fresh.client_secret


def credential_sections(organization: str | None) -> tuple[str, ...]:
    """Sections of dlt's configuration that hold the credentials of an organization."""
    if organization is None:
        return SECTIONS
    return tuple(find_organization(organization).credentials.split("."))


def _forget(provider: ConfigProvider, sections: tuple[str, ...]) -> None:
    if isinstance(provider, (VaultProvider, AirflowProvider)):
        provider.reload()
    elif isinstance(provider, VaultDocProvider):
        provider.clear_lookup_cache()
        # What is in its document is not looked up: taken out, it is.
        for key in CREDENTIALS:
            provider.set_value(key, None, None, *sections)
    elif isinstance(provider, SettingsTomlProvider):
        _read_again(provider, sections)


def _read_again(provider: SettingsTomlProvider, sections: tuple[str, ...]) -> None:
    """Take over what the files say now; this key alone, as other values may have been set by hand."""
    for location in provider.locations:
        found: dict[str, Any] = TomlSection(Path(location), sections).read() or {}
        for key in CREDENTIALS:
            value, _ = provider.get_value(key, str, "", *sections)
            if isinstance(found.get(key), str) and found[key] != value:
                provider.set_value(key, found[key], None, *sections)
        if found:
            return
