"""The credentials of an OAuth application: a pair from one section, its source, and how it is read again."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import ConfigurationError
from ..core.redaction import Secret, reveal
from .airflow import AirflowProvider
from .dlt_internals import ConfigProvider, SettingsTomlProvider, VaultDocProvider, project_folder
from .lookup import APPLICATIONS, CREDENTIALS, SECTIONS, clean, describe_places, find, look_up, opaque
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

    With them come the further applications in the same section.

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
    more = given.get(APPLICATIONS)
    if more is None and origin:
        more = look_up(APPLICATIONS, list, origin)
    return {**found, APPLICATIONS: more, "credentials_from": origin}


def parse_applications(entries: Any, client_id: str) -> tuple[tuple[str, Secret], ...]:
    """Client id and secret of each application in a list besides `client_id`.

    Raises:
        ConfigurationError: An entry is not valid, or two are the same application.
    """
    found: dict[str, Secret] = {}
    for position, entry in enumerate(entries or ()):
        key = f"{'.'.join(SECTIONS)}.{APPLICATIONS}[{position}]"
        named = dict(entry) if isinstance(entry, Mapping) else {}
        id_, secret = clean(str(named.get(CREDENTIALS[0]) or "")), opaque(named.get(SECRET))
        if set(named) != set(CREDENTIALS) or not id_ or not isinstance(secret, Secret) or not secret:
            del entries, entry, named  # A traceback must not show what may be a secret.
            step = 'Write it as { client_id = "app_...", client_secret = "secret_..." }.'
            raise ConfigurationError(key, "an application needs client_id and client_secret, and nothing else.", step)
        if id_ == client_id or id_ in found:
            raise ConfigurationError(key, f"{id_} is named twice.", "Name each application once: it has one limit.")
        found[id_] = secret
    return tuple(found.items())


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
        more = parse_applications(found[APPLICATIONS], found["client_id"])
        for client_id in (found["client_id"], *dict(more)):
            refuse_shared_application(organization, client_id)
    return found


def reload_credentials(section: tuple[str, ...] | None, client_id: str = "") -> tuple[str, Secret] | None:
    """Read the client id and secret that are configured now, so that a rotated secret needs no restart.

    The environment of a process does not change, except for mounted secrets, which dlt reads each time. Everything else
    is read again. A value in a file overrides a value that a program has set (`dlt.secrets[...] = ...`).

    Args:
        section: Section that those in use come from; None: the program passes them.
        client_id: The application in use, which may be one of `applications`.

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
        more = dict(parse_applications(found[APPLICATIONS], found["client_id"]))
        return (client_id, more[client_id]) if client_id in more else (found["client_id"], found[SECRET])


def _drop_cached(provider: ConfigProvider, section: tuple[str, ...]) -> None:
    if isinstance(provider, (VaultProvider, AirflowProvider)):
        provider.reload()
    elif isinstance(provider, VaultDocProvider):
        provider.clear_lookup_cache()
        # dlt looks up only what its document lacks, so remove the values from it.
        for key in (*CREDENTIALS, APPLICATIONS):
            provider.set_value(key, None, None, *section)
    elif isinstance(provider, SettingsTomlProvider):
        # Copy the credentials from the files. Other values stay, because a program may have set them.
        for location in provider.locations:
            found = TomlSection(Path(location), section).read() or {}
            for key in (*CREDENTIALS, APPLICATIONS):
                value = found.get(key)
                if isinstance(value, (str, Secret, list)):
                    provider.set_value(key, orjson.loads(orjson.dumps(value, reveal)), None, *section)
            if found:
                return


def find_secret_store(organization: str | None) -> CredentialStore | str:
    """The store that the client secret was read from; a text that names it if it cannot be written, as a variable.

    Args:
        organization: Name of a configured organization; None if only one is configured.

    Raises:
        AutomatumError: A provider cannot be read.
    """
    section = section_of(organization)
    register_vault_provider()
    found = find(SECRET, Secret, section)
    if found is None:
        return "the environment variable AUTOMATUM_CLIENT_SECRET"
    secret, place = found
    if isinstance(place.provider, VaultProvider) and (address := place.provider.address()):
        return address.for_organization(organization)
    if isinstance(place.provider, SettingsTomlProvider):
        for location in place.provider.locations:
            store = TomlSection(Path(location), section)
            if opaque((store.read() or {}).get(SECRET)) == secret:
                return store
        return "a value that this program set in dlt.secrets"
    if place.is_variable:
        return f"the environment variable or mounted secret {place.name}"
    return f"dlt's provider {place.provider.name}"


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
