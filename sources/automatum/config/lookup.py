"""Looks up settings in dlt's providers, and says where each was found or looked for.

dlt itself would look for `sources.automatum.status` under `sources.status` and `status`, too. So a variable STATUS or
VENDOR of the shell, which has nothing to do with the connector, would filter a sync, and CLIENT_SECRET would send the
secret of another program to the API. Here a setting is read from its own section only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from ..core.errors import ConfigurationError
from .dlt_internals import (
    ConfigProvider,
    EnvironProvider,
    SettingsTomlProvider,
    deserialize_value,
    extract_inner_hint,
    is_secret_hint,
)
from .systemd_credentials import use_systemd_credentials
from .toml_files import locate, settings_providers, toml_paths

SECTIONS: tuple[str, ...] = ("sources", "automatum")
CREDENTIALS = ("client_id", "client_secret")
SETTINGS_FOLDER = ".dlt"
_EXAMPLES = {
    "application_limits": ("[[50, 60], [1000, 3600]]", "application_limits = [[50, 60], [1000, 3600]]"),
    "organizations": ('[{"name": "acme"}]', '[[sources.automatum.organizations]] with name = "acme" below it'),
    "tables": ('["customers", "entitlements"]', 'tables = ["customers", "entitlements"]'),
    "endpoints": (
        '{"entitlements": {"path": "contracts"}}',
        '[sources.automatum.endpoints.entitlements] with path = "contracts" below it',
    ),
    "metering": ('{"path": "usage"}', '[sources.automatum.metering] with path = "usage" below it'),
    "reports": ('[{"name": "usage"}]', '[[sources.automatum.reports]] with name = "usage" below it'),
}
"""Examples of lists and tables: for a variable, which holds JSON, and for a TOML file."""
_TYPES = {bool: ("true or false", "true"), int: ("a whole number", "5"), float: ("a number", "1.5")}


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
    def where(self) -> str:
        """The variable, or the file and the line, for a message."""
        if isinstance(self.provider, EnvironProvider):
            return f"the variable {self.name}"
        if isinstance(self.provider, SettingsTomlProvider):
            return locate(self.provider, self.path)
        return self.provider.name


def look_up(key: str, hint: Any, *sections: tuple[str, ...]) -> Any:
    """The value of a setting with the type of its hint; None if it is not set.

    Args:
        key: Name of the setting.
        hint: Its type, as dlt knows it.
        *sections: Sections to look in, in order of precedence; none for `sources.automatum`.

    Raises:
        ConfigurationError: A TOML file cannot be read, a secret is in a place that is not for secrets, or the value is
            of another type.
    """
    found = _find(key, hint, sections or (SECTIONS,))
    if found is None:
        return None
    given, place = found
    expected = extract_inner_hint(hint)
    try:
        value = deserialize_value(key, given, expected)
    except ConfigValueCannotBeCoercedException:
        value = None
    if value is None or not _fits(given, value, expected):
        raise _wrong_type(place, key, expected)
    return value


def _find(key: str, hint: Any, sections: tuple[tuple[str, ...], ...]) -> tuple[Any, Place] | None:
    """The first value of a setting, and where it is."""
    use_systemd_credentials()
    for provider in settings_providers():
        if provider.is_empty:
            continue
        for section in sections:
            value, name = provider.get_value(key, hint, None, *section)
            # A shell passes an empty text for a variable that is not set.
            if value is None or (value == "" and isinstance(provider, EnvironProvider)):
                continue
            place = Place(provider, (*section, key), name)
            if is_secret_hint(hint) and not provider.supports_secrets:
                raise ConfigurationError(
                    ".".join(place.path),
                    f"is a secret, and is in {place.where}, which is not for secrets.",
                    "Move it to .dlt/secrets.toml, to the environment or to a vault.",
                )
            return value, place
    return None


def _fits(given: Any, value: Any, expected: Any) -> bool:
    """Whether dlt's conversion kept the meaning: it takes 2 for true, true for "True" and a list for its text."""
    if expected is bool:
        return isinstance(given, (bool, str))
    if expected in (list, dict):
        return isinstance(value, expected)
    return not isinstance(given, (bool, list, dict))


def _wrong_type(place: Place, key: str, expected: Any) -> ConfigurationError:
    # The value may be a secret, so name only the type.
    is_variable = isinstance(place.provider, EnvironProvider)
    if expected in (list, dict):
        words = ("a list" if expected is list else "a table") + (" as JSON" if is_variable else "")
        as_json, as_toml = _EXAMPLES[key]
        example = f"{place.name}={as_json}" if is_variable else as_toml
    else:
        words, value = _TYPES.get(expected, ("a text", "text"))
        value = value if is_variable or expected in _TYPES else f'"{value}"'
        example = f"{place.name}={value}" if is_variable else f"{key} = {value}"
    return ConfigurationError(
        ".".join(place.path), f"is not a valid {expected.__name__} in {place.where}.", f"Write {words}: {example}"
    )


def describe_places(key: str, *sections: tuple[str, ...]) -> str:
    """Where a setting was looked for: variables, and files with their absolute paths."""
    paths = sections or (SECTIONS,)
    variables = [EnvironProvider.get_key_name(key, *path) for path in paths]
    places = [f"the variable {name}" for name in variables]
    providers = settings_providers()
    table = ".".join(paths[0])
    for file in dict.fromkeys(toml_paths(providers)):
        places.append(f"{file} ({f'has no {key} in [{table}]' if file.is_file() else 'does not exist'})")
    places += [", ".join(provider.locations) for provider in providers if _has_address(provider)]
    return "; ".join(places)


def _has_address(provider: ConfigProvider) -> bool:
    return not isinstance(provider, (EnvironProvider, SettingsTomlProvider)) and bool(provider.locations)


def folder_above_with_settings() -> Path | None:
    """The nearest folder above the working folder that has a `.dlt` with settings: a command in the wrong folder."""
    here = Path.cwd()
    if (here / SETTINGS_FOLDER).is_dir() or os.environ.get("DLT_PROJECT_DIR"):
        return None
    for folder in here.parents:
        if any((folder / SETTINGS_FOLDER / name).is_file() for name in ("secrets.toml", "config.toml")):
            return folder
    return None
