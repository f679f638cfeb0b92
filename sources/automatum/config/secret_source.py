"""Where the client secret at hand comes from, and where another can be written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlt.common.configuration.const import TYPE_EXAMPLES
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.environ import EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.providers.toml import SettingsTomlProvider
from dlt.common.configuration.resolve import resolve_single_provider_value
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.run_context import active
from dlt.common.typing import TSecretStrValue

from .reload import credential_sections
from .vaults.base import CredentialStore, open_vault
from .vaults.dlt_provider import VaultProvider, register_vault_provider
from .vaults.toml_file import TomlSection
from .vaults.uri import parse_vault_uri

SECRET = "client_secret"  # noqa: S105  the name of a setting
STORE_IN = "--store-in"


@dataclass(frozen=True)
class SecretSource:
    """Where a secret comes from.

    Attributes:
        description: Names the source for a message. It holds no secret.
        store: Writes a new secret there. None if the source cannot be written, such as the environment.
    """

    description: str
    store: CredentialStore | None


def find_secret_source(organization: str | None) -> SecretSource:
    """Where the client secret comes from: the first of dlt's providers that has one, or the vendor's own variable.

    Args:
        organization: Name of a configured organization; None where there are none.

    Raises:
        AutomatumError: A provider cannot be asked.
    """
    for provider in Container()[PluggableRunContext].providers.providers:
        if provider.is_empty or not provider.supports_secrets:
            continue
        value, sections, key = _look(provider, organization)
        # Empty is what a shell makes of a variable that is not there, the other what `dlt init` writes for one.
        if value in ("", TYPE_EXAMPLES["text"]):
            break
        if value is not None:
            return _described(provider, value, sections, key, organization)
    vault = register_vault_provider()
    value, sections, key = _look(vault, organization)
    if value:
        return _described(vault, value, sections, key, organization)
    return SecretSource("the environment variable AUTOMATUM_CLIENT_SECRET", None)


def open_store(text: str, organization: str | None) -> CredentialStore:
    """The place that `--store-in` names.

    Args:
        text: `toml` for `.dlt/secrets.toml`, the path of another `.toml` file, or an address as in `secrets_from`.
        organization: Name of a configured organization; None where there are none.

    Raises:
        ConfigurationError: It names none.
    """
    if text == "toml":
        return TomlSection(Path(active().settings_dir) / "secrets.toml", credential_sections(organization))
    if text.endswith(".toml") and "://" not in text:
        return TomlSection(Path(text), credential_sections(organization))
    return open_vault(parse_vault_uri(text, STORE_IN)).secret(organization)


def _look(provider: ConfigProvider, organization: str | None) -> tuple[str | None, tuple[str, ...], str]:
    """A provider's value, and the sections and the key under which it was found."""
    sections = credential_sections(organization)
    if organization is not None:
        # As `organizations.credentials_of` does: from its own section and nowhere else.
        value, key = provider.get_value(SECRET, TSecretStrValue, None, *sections)
        return value, sections, key
    value, traces = resolve_single_provider_value(provider, SECRET, TSecretStrValue, explicit_sections=sections)
    return (value, tuple(traces[-1].sections), traces[-1].key) if traces else (value, sections, SECRET)


def _described(
    provider: ConfigProvider, value: str, sections: tuple[str, ...], key: str, organization: str | None
) -> SecretSource:
    if isinstance(provider, VaultProvider):
        address = provider.address()
        if address is not None:
            place = open_vault(address).secret(organization)
            return SecretSource(place.description, place)
    if isinstance(provider, SettingsTomlProvider):
        for location in provider.locations:
            section = TomlSection(Path(location), sections)
            if (section.read() or {}).get(SECRET) == value:
                return SecretSource(section.description, section)
        return SecretSource("a value that this program set in dlt.secrets", None)
    if isinstance(provider, EnvironProvider):
        mounted = "" if os.environ.get(key) != value else "the environment variable "
        return SecretSource(f"{mounted or 'the secret mounted for '}{key}", None)
    return SecretSource(f"dlt's provider {provider.name}", None)
