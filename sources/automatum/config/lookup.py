"""Looks up settings in dlt's providers, and says where each was found or looked for.

dlt itself would look for `sources.automatum.tables` under `sources.tables` and `tables`, too. So a variable TABLES or
SINCE of the shell, which has nothing to do with the connector, would bound a sync, and CLIENT_SECRET would send the
secret of another program to the API. Here a setting is read from its own section only.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.typing import TSecretStrValue

from ..core.errors import ConfigurationError
from ..core.redaction import Secret, register_secret, sealed, secrets_in
from .dlt_internals import (
    UNFILLED,
    ConfigProvider,
    EnvironProvider,
    SettingsTomlProvider,
    deserialize_value,
    use_systemd_credentials,
)
from .toml_files import locate, settings_providers, toml_paths

SECTIONS: tuple[str, ...] = ("sources", "automatum")
CREDENTIALS = ("client_id", "client_secret")
APPLICATIONS = "applications"
"""Further pairs of credentials, as a list. It is the only setting that holds secrets in its entries."""
_TYPES = {
    bool: ("true or false", "true"),
    int: ("a whole number", "5"),
    float: ("a number", "1.5"),
    list: ("a list", '["text"]'),
    dict: ("a table", '{"key": "value"}'),
}
"""What to write for a setting of a type, and an example, which is JSON and in TOML nearly the same."""


@dataclass(frozen=True)
class Place:
    """Where a provider has a setting.

    Attributes:
        provider: The provider.
        path: Sections and key.
        name: The name of the key in the provider, such as the name of a variable.
    """

    provider: ConfigProvider
    path: tuple[str, ...]
    name: str

    @property
    def is_variable(self) -> bool:
        """Whether it is an environment variable."""
        return isinstance(self.provider, EnvironProvider)

    @property
    def where(self) -> str:
        """The variable, or the file and the line, for a message."""
        if self.is_variable:
            return f"the variable {self.name}"
        if isinstance(self.provider, SettingsTomlProvider):
            return locate(self.provider, self.path)
        return self.provider.name


def look_up(key: str, kind: type, *sections: tuple[str, ...]) -> Any:
    """The value of a setting; None if it is not set.

    Raises:
        ConfigurationError: As in `find`, or the value is of another type.
    """
    found = find(key, kind, *sections)
    if found is None:
        return None
    given, place = found
    value = given if isinstance(given, kind) and not isinstance(given, bool) else None
    if value is None and kind is not Secret:
        with suppress(ConfigValueCannotBeCoercedException):
            value = deserialize_value(key, given, kind)
            value = sealed(value) if key == APPLICATIONS else value
    if value is None or not _fits(given, value, kind):
        given = value = None  # A traceback must not show what may be a secret.
        raise _wrong_type(place, key, kind)
    return value


def find(key: str, kind: type, *sections: tuple[str, ...]) -> tuple[Any, Place] | None:
    """The first value of a setting, as it is written, and where it is; None if it is not set.

    Args:
        key: Name of the setting.
        kind: Its type; `Secret` for a secret, which is returned as one.
        *sections: Sections to look in, in order of precedence; none for `sources.automatum`.

    Raises:
        ConfigurationError: A TOML file cannot be read, or a secret is in a place that is not for secrets.
    """
    use_systemd_credentials()
    for provider in settings_providers():
        if provider.is_empty:
            continue
        for section in sections or (SECTIONS,):
            value, name = _ask(provider, key, kind, section)
            if value is None:
                continue
            place = Place(provider, (*section, key), name)
            if (kind is Secret or key == APPLICATIONS) and not provider.supports_secrets:
                raise ConfigurationError(
                    ".".join(place.path),
                    f"is a secret, and is in {place.where}, which is not for secrets.",
                    "Move it to .dlt/secrets.toml, to the environment or to a vault.",
                )
            return value, place
    return None


def _ask(provider: ConfigProvider, key: str, kind: type, section: tuple[str, ...]) -> tuple[Any, str]:
    """What a provider has under a key, and the name of the key there."""
    value, name = provider.get_value(key, TSecretStrValue if kind is Secret else kind, None, *section)
    if isinstance(value, str):
        value = opaque(value) if kind is Secret else clean(value)
    elif value is not None and kind is Secret:
        value = False  # Of another type; a traceback must not show it.
    elif key == APPLICATIONS:
        value = sealed(value)
    return (None if value is None or value == "" or value == Secret("") else value), name


def clean(text: str) -> str:
    """A text without white space and the quotes that a Docker env file leaves; empty for what counts as not set.

    A shell passes an empty text for a missing variable, a mounted file ends with a line break, and `dlt init` writes a
    placeholder.
    """
    text = text.strip()
    text = text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    return "" if text == UNFILLED else text


def opaque(value: Any) -> Any:
    """A text as a `Secret`, and a secret without white space and quotes; anything else as it is."""
    if isinstance(value, Secret):
        return Secret(clean(value.reveal()))
    return Secret(clean(value)) if isinstance(value, str) else value


def _fits(given: Any, value: Any, kind: type) -> bool:
    """Whether dlt's conversion kept the meaning: it takes 2 for true, true for "True" and a list for its text."""
    if kind is bool:
        return isinstance(given, (bool, str))
    if kind in (list, dict):
        return isinstance(value, kind)
    return not isinstance(given, (bool, list, dict))


def _wrong_type(place: Place, key: str, kind: type) -> ConfigurationError:
    words, value = _TYPES.get(kind, ("a text", "text" if place.is_variable else '"text"'))
    shown = ""
    if kind in (list, dict):
        shown = " as JSON" if place.is_variable else " as docs/configuration.md shows it"
    example = f"{place.name}={value}" if place.is_variable else f"{key} = {value.replace(':', ' =')}"
    return ConfigurationError(
        ".".join(place.path), f"is not {words}{shown}; it is in {place.where}.", f"Write it like {example}"
    )


def describe_places(key: str, section: tuple[str, ...] = SECTIONS) -> str:
    """Where a setting was looked for: the variable, files with their absolute paths, and vaults."""
    places = [f"the variable {EnvironProvider.get_key_name(key, *section)}"]
    providers = settings_providers()
    for file in dict.fromkeys(toml_paths(providers)):
        missing = f"has no {key} in [{'.'.join(section)}]" if file.is_file() else "does not exist"
        places.append(f"{file} ({missing})")
    others = [one for one in providers if not isinstance(one, (EnvironProvider, SettingsTomlProvider))]
    return "; ".join([*places, *(", ".join(one.locations) for one in others if one.locations)])


def register_destination_secrets() -> None:
    """Redact the secrets in `[destination]` and in `DESTINATION__...`: drivers name them in messages (I6)."""
    for provider in settings_providers():
        with suppress(Exception):  # A provider that cannot answer, such as a vault that is away, has nothing to leak.
            _register(provider.get_value("destination", dict, None)[0] or {})
    for name, text in os.environ.items():
        path = name.lower().split("__")
        if "destination" in path[:-1]:
            with suppress(ValueError):  # A table, as JSON.
                _register(json.loads(text), path[-1])
            _register(text, path[-1])


def _register(value: Any, key: str = "") -> None:
    for secret in secrets_in(value, key):
        register_secret(secret)
