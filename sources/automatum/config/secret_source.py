"""Finds where the client secret comes from, and where a new one can be written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlt.common.typing import TSecretStrValue

from ..core.errors import ConfigurationError
from .dlt_internals import (
    UNFILLED,
    ConfigProvider,
    EnvironProvider,
    SettingsTomlProvider,
    project_folder,
    registered_providers,
)
from .reload import credential_sections
from .vaults.base import CredentialStore, open_vault
from .vaults.dlt_provider import VaultProvider, register_vault_provider
from .vaults.toml_file import TomlSection
from .vaults.uri import parse_vault_uri

SECRET = "client_secret"  # noqa: S105  the name of a setting
STORE_IN = "--store-in"


@dataclass(frozen=True)
class SecretSource:
    """The place that a client secret was read from.

    Attributes:
        description: Names the source for a message. It holds no secret.
        store: Writes a new secret there. None if the source cannot be written, such as the environment.
    """

    description: str
    store: CredentialStore | None


def find_secret_source(organization: str | None) -> SecretSource:
    """Find the source of the client secret: the first provider of dlt that has it, or the vendor's variable.

    Args:
        organization: Name of a configured organization; None if only one is configured.

    Raises:
        AutomatumError: A provider cannot be read.
    """
    for provider in registered_providers():
        if provider.is_empty or not provider.supports_secrets:
            continue
        value, sections, key = _look_up(provider, organization)
        # A shell passes an empty text for a variable that is not set.
        if value == "" and isinstance(provider, EnvironProvider):
            continue
        # Both count as not set: `dlt init` writes a placeholder.
        if value in ("", UNFILLED):
            break
        if value is not None:
            return _source(provider, value, sections, key, organization)
    vault = register_vault_provider()
    value, sections, key = _look_up(vault, organization)
    if value:
        return _source(vault, value, sections, key, organization)
    return SecretSource("the environment variable AUTOMATUM_CLIENT_SECRET", None)


def open_store(text: str, organization: str | None) -> CredentialStore:
    """Open the store that `--store-in` names. Nothing is read or written yet.

    Args:
        text: `toml` for `.dlt/secrets.toml`, the path of another `.toml` file, or a vault address as in `secrets_from`.
        organization: Name of a configured organization; None if only one is configured.

    Raises:
        ConfigurationError: The text names no store.
    """
    if text == "toml":
        return TomlSection(project_folder() / "secrets.toml", credential_sections(organization))
    if "://" not in text:
        if text.endswith(".toml"):
            return TomlSection(Path(text), credential_sections(organization))
        raise ConfigurationError(
            STORE_IN,
            f"{text!r} names no store.",
            "Write toml, the path of a .toml file, or the address of a vault, such as "
            "aws-secretsmanager://eu-central-1/automatum/api.",
        )
    return open_vault(parse_vault_uri(text, STORE_IN)).secret(organization)


def _look_up(provider: ConfigProvider, organization: str | None) -> tuple[str | None, tuple[str, ...], str]:
    """The value of a provider, and the sections and the key under which it was found."""
    # Only from its own section, as in `lookup`.
    sections = credential_sections(organization)
    value, key = provider.get_value(SECRET, TSecretStrValue, None, *sections)
    return value, sections, key


def _source(
    provider: ConfigProvider, value: str, sections: tuple[str, ...], key: str, organization: str | None
) -> SecretSource:
    if isinstance(provider, VaultProvider):
        address = provider.address()
        if address is not None:
            store = open_vault(address).secret(organization)
            return SecretSource(store.description, store)
    if isinstance(provider, SettingsTomlProvider):
        for location in provider.locations:
            section = TomlSection(Path(location), sections)
            if (section.read() or {}).get(SECRET) == value:
                return SecretSource(section.description, section)
        return SecretSource("a value that this program set in dlt.secrets", None)
    if isinstance(provider, EnvironProvider):
        kind = "environment variable" if os.environ.get(key) == value else "secret mounted for"
        return SecretSource(f"the {kind} {key}", None)
    return SecretSource(f"dlt's provider {provider.name}", None)
