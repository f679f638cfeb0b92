"""The credentials of an OAuth application: a pair, from one section of the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dlt.common.typing import TSecretStrValue

from ..core.errors import ConfigurationError
from .dlt_internals import UNFILLED
from .lookup import CREDENTIALS, SECTIONS, describe_places, folder_above_with_settings, look_up
from .vaults.dlt_provider import register_vault_provider

FROM = "credentials_from"
"""Name of the setting that says where a pair comes from."""


def find_credentials(given: Mapping[str, Any], *sections: tuple[str, ...]) -> dict[str, Any]:
    """Client id and secret, and the section that both come from: None if the program passes one of them.

    The vault and the vendor's variables are those of `sources.automatum` alone.

    Args:
        given: What the program passes. It is never replaced by what is configured, even if it is empty.
        *sections: Sections to look in. The first one that has one of the missing credentials must have them all: a half
            pair must not be completed with the credentials of another organization.

    Raises:
        ConfigurationError: One of them is not set, or empty.
    """
    found = {key: _given(key, given[key]) for key in CREDENTIALS if key in given}
    missing = [key for key in CREDENTIALS if key not in found]
    for section in sections:
        values = {key: configured_credential(key, section) for key in missing}
        if any(values.values()) or section == sections[-1]:
            for key, value in values.items():
                if not value:
                    raise _not_set(key, section)
                found[key] = value
            return {**found, FROM: None if given.keys() & set(CREDENTIALS) else list(section)}
    return {**found, FROM: None}


def configured_credential(key: str, section: tuple[str, ...]) -> str | None:
    """One credential from a section of the configuration; None if it is not set."""
    value = without_placeholder(look_up(key, str if key == "client_id" else TSecretStrValue, section))
    if section == SECTIONS:
        # A placeholder in secrets.toml keeps the lookup from asking the vault, so ask it here.
        value = value or register_vault_provider().get_value(key, str, None, *SECTIONS)[0]
        value = value or os.environ.get(_vendors(key))
    # An empty text counts as not set: a shell passes it for a missing variable.
    return _without_padding(value or "") or None


def _given(key: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(key, f"the argument is a {type(value).__name__}.", "Pass a text.")
    text = _without_padding(without_placeholder(value) or "")
    if not text:
        raise ConfigurationError(
            key, "the argument is empty.", "Pass the credential, or leave the argument out to read the configuration."
        )
    return text


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
    next_step = (
        f"Set {variable} (or {_vendors(key)}), {write} The Automatum dashboard shows it once, under Settings > "
        "Integrations > API Access."
    )
    if above := folder_above_with_settings():
        next_step = f"There are settings in {above / '.dlt'}: run the command in {above}. Or: {next_step}"
    places = f"is not set. Looked in the variable {_vendors(key)}; {describe_places(key)}."
    return ConfigurationError(f"{name}.{key}", places, next_step)


def _vendors(key: str) -> str:
    return f"AUTOMATUM_{key.upper()}"


def _without_padding(value: str) -> str:
    """A credential without white space, and without the quotes that a Docker env file or a shell script leaves.

    A mounted file ends with a line break.
    """
    value = value.strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def without_placeholder(value: str | None) -> str | None:
    """None for the placeholder that `dlt init` writes, so that it counts as not set."""
    return None if value == UNFILLED else value
