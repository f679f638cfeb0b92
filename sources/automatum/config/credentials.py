"""The credentials of an OAuth application: a pair from one section, its source, and how it is read again."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ConfigurationError
from ..core.redaction import Secret
from .airflow import AirflowProvider
from .dlt_internals import ConfigProvider, SettingsTomlProvider, VaultDocProvider, project_folder
from .lookup import CREDENTIALS, SECTIONS, clean, describe_places, find, look_up, opaque
from .organizations import refuse_shared_application, section_of
from .toml_files import TomlSection, settings_providers
from .vaults.store import VaultProvider, VaultSecret, parse_vault_address, register_vault_provider

SECRET = CREDENTIALS[1]
STORE_IN = "--store-in"
CredentialStore = TomlSection | VaultSecret
"""What a new secret can be written to."""
_KINDS = {"client_id": str, "client_secret": Secret}
_reloading = threading.Lock()


def find_credentials(given: Mapping[str, Any], *sections: tuple[str, ...]) -> dict[str, Any]:
    """Client id and secret, and the section that both come from: None if the program passes one of them.

    The vendor's variables are those of `sources.automatum` alone.

    Args:
        given: What the program passes. It is never replaced by what is configured, even if it is empty.
        *sections: Sections to look in. The first one that has one of the missing credentials must have them all: a half
            pair must not be completed with the credentials of another organization.

    Raises:
        ConfigurationError: One of them is not set, or empty.
    """
    found = {key: _given(key, given[key]) for key in CREDENTIALS if key in given}
    origin = None
    for section in sections:
        if len(found) == len(CREDENTIALS):
            break
        values = {key: configured_credential(key, section) for key in CREDENTIALS if key not in found}
        if any(values.values()) or section == sections[-1]:
            if missing := [key for key, value in values.items() if value is None]:
                raise _not_set(missing[0], section)
            origin = None if found else section
            found |= {key: value for key, value in values.items() if value}
    return {**found, "credentials_from": origin}


def configured_credential(key: str, section: tuple[str, ...]) -> str | Secret | None:
    """One credential from a section of the configuration; None if it is not set."""
    value: str | Secret | None = look_up(key, _KINDS[key], section)
    if value is None and section == SECTIONS and (text := clean(os.environ.get(_vendors(key), ""))):
        return Secret(text) if key == SECRET else text
    return value


def _given(key: str, value: Any) -> str | Secret:
    found = opaque(value) if key == SECRET else clean(value) if isinstance(value, str) else value
    if not found:
        raise ConfigurationError(
            key, "the argument is empty.", "Pass the credential, or leave the argument out to read the configuration."
        )
    if isinstance(found, (str, Secret)):
        return found
    raise ConfigurationError(key, f"the argument is a {type(found).__name__}.", "Pass a text.")


def _not_set(key: str, section: tuple[str, ...]) -> ConfigurationError:
    name, variable = ".".join(section), "__".join((*section, key)).upper()
    write = f"or write it to .dlt/secrets.toml under [{name}]."
    if section != SECTIONS:
        return ConfigurationError(
            f"{name}.{key}",
            f"is not set. Looked in {describe_places(key, section)}. The credentials of "
            "[sources.automatum] are not used in its place.",
            f"Set {variable}, {write}",
        )
    return ConfigurationError(
        f"{name}.{key}",
        f"is not set. Looked in the variable {_vendors(key)}; {describe_places(key)}.",
        f"Run in the folder that has .dlt, or set {variable} (or {_vendors(key)}), {write} The Automatum dashboard "
        "shows it once, under Settings > Integrations > API Access.",
    )


def _vendors(key: str) -> str:
    return f"AUTOMATUM_{key.upper()}"


def credentials_of(organization: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """As `find_credentials`, for one of several organizations.

    Raises:
        ConfigurationError: One of them is not set, or another organization has the same application.
    """
    found = find_credentials(given, section_of(organization))
    if "client_id" not in given:
        refuse_shared_application(organization, found["client_id"])
    return found


def reload_credentials(section: tuple[str, ...] | None) -> tuple[str, Secret] | None:
    """Read the client id and secret that are configured now, so that a rotated secret needs no restart.

    The environment of a process does not change, except for mounted secrets, which dlt reads each time. Everything else
    is read again. A value in a file overrides a value that a program has set (`dlt.secrets[...] = ...`).

    Args:
        section: Section that those in use come from; None: the program passes them.

    Returns:
        Client id and secret; None if the configuration has none, or there is no section.

    Raises:
        AutomatumError: The configuration cannot be read.
    """
    if section is None:
        return None
    with _reloading:
        for provider in settings_providers():
            _drop_cached(provider, section)
        try:
            found = find_credentials({}, section)
        except ConfigurationError as error:
            if error.key.endswith(CREDENTIALS):
                return None
            raise
        return found["client_id"], found[SECRET]


def _drop_cached(provider: ConfigProvider, section: tuple[str, ...]) -> None:
    if isinstance(provider, (VaultProvider, AirflowProvider)):
        provider.reload()
    elif isinstance(provider, VaultDocProvider):
        provider.clear_lookup_cache()
        # dlt looks up only what its document lacks, so remove the values from it.
        for key in CREDENTIALS:
            provider.set_value(key, None, None, *section)
    elif isinstance(provider, SettingsTomlProvider):
        # Copy the credentials from the files. Other values stay, because a program may have set them.
        for location in provider.locations:
            found = TomlSection(Path(location), section).read() or {}
            for key in CREDENTIALS:
                value = found.get(key)
                if isinstance(value, (str, Secret)):
                    provider.set_value(key, value.reveal() if isinstance(value, Secret) else value, None, *section)
            if found:
                return


@dataclass(frozen=True)
class SecretSource:
    """The place that a client secret was read from.

    Attributes:
        description: Names the source for a message. It holds no secret.
        store: Writes a new secret there. None if the source cannot be written, such as the environment.
    """

    description: str
    store: CredentialStore | None = None


def find_secret_source(organization: str | None) -> SecretSource:
    """Find the source of the client secret: the first provider of dlt that has it, or the vendor's variable.

    Args:
        organization: Name of a configured organization; None if only one is configured.

    Raises:
        AutomatumError: A provider cannot be read.
    """
    section = section_of(organization)
    register_vault_provider()
    found = find(SECRET, Secret, section)
    if found is None:
        return SecretSource("the environment variable AUTOMATUM_CLIENT_SECRET")
    secret, place = found
    store: CredentialStore
    if isinstance(place.provider, VaultProvider) and (address := place.provider.address()):
        store = address.for_organization(organization)
        return SecretSource(store.description, store)
    if isinstance(place.provider, SettingsTomlProvider):
        for location in place.provider.locations:
            store = TomlSection(Path(location), section)
            if opaque((store.read() or {}).get(SECRET)) == secret:
                return SecretSource(store.description, store)
        return SecretSource("a value that this program set in dlt.secrets")
    if place.is_variable:
        return SecretSource(f"the environment variable or mounted secret {place.name}")
    return SecretSource(f"dlt's provider {place.provider.name}")


def open_store(text: str, organization: str | None) -> CredentialStore:
    """Open the store that `--store-in` names. Nothing is read or written yet.

    Args:
        text: `toml` for `.dlt/secrets.toml`, the path of another `.toml` file, or a vault address as in `secrets_from`.
        organization: Name of a configured organization; None if only one is configured.

    Raises:
        ConfigurationError: The text names no store.
    """
    if text == "toml":
        return TomlSection(project_folder() / "secrets.toml", section_of(organization))
    if "://" in text:
        return parse_vault_address(text, STORE_IN).for_organization(organization)
    if text.endswith(".toml"):
        return TomlSection(Path(text), section_of(organization))
    raise ConfigurationError(
        STORE_IN,
        f"{text!r} names no store.",
        "Write toml, the path of a .toml file, or the address of a vault, such as "
        "aws-secretsmanager://eu-central-1/automatum/api.",
    )
