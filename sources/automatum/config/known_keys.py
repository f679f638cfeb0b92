"""Refuses settings that nothing reads: misspelt keys, keys in a wrong section, and variables with a wrong name.

A misspelt setting that is ignored looks like a setting that works, so a run ends before its first request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..core.suggest import nearest, suggestion
from .dlt_internals import BaseDocProvider, EnvironProvider, VaultDocProvider, document_of
from .lookup import CREDENTIALS, SECTIONS, Place
from .organizations import organization_names
from .removed_settings import REMOVED_SETTINGS
from .toml_files import settings_providers

ONLY_TOP = ("organizations", "secrets_from", "notify_url", "webhook_secret")
"""Settings that are read from `sources.automatum` alone, not from the section of an organization or a clone."""
_OF_DLT = ("data_writer", "destination", "extract", "incremental", "load", "max_table_nesting", "normalize", "schema")
"""Keys that dlt itself reads below the section of a source."""
_VENDORS = tuple(f"AUTOMATUM_{name.upper()}" for name in (*CREDENTIALS, "webhook_secret"))
_DOCUMENTED = "docs/configuration.md lists the settings."

Path = tuple[str, ...]


def check_keys(names: Sequence[str], sections: Sequence[Path] = ()) -> None:
    """Check the names of all settings: TOML files, what a program has set, Airflow, and the environment.

    Vaults are not read.

    Args:
        names: Names of all settings in `[sources.automatum]`.
        sections: Paths of further sections that are read, such as those of a clone of the source.

    Raises:
        ConfigurationError: A name is unknown. The message says where it is and which name is the most similar.
    """
    read = {SECTIONS, *sections, *((*SECTIONS, name) for name in organization_names())}
    for place in _places():
        found = [one for one in read if len(place.path) > len(one) and place.path[: len(one)] == one]
        if found and not (place.is_variable and not place.name.isupper()):
            _check_key(place, max(found, key=len), names, read)
        else:
            _check_elsewhere(place, names)


def _places() -> Iterator[Place]:
    """Paths without values: a traceback must not show what may be a secret."""
    for provider in settings_providers():
        if isinstance(provider, EnvironProvider):
            yield from (Place(provider, tuple(name.lower().split("__")), name) for name in os.environ)
        elif isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
            yield from (Place(provider, path, ".".join(path)) for path in _paths(document_of(provider)))


def _paths(table: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _check_key(place: Place, section: Path, names: Sequence[str], read: set[Path]) -> None:
    """Check a key below a section that is read."""
    key, *below = place.path[len(section) :]
    known = [name for name in names if section == SECTIONS or name not in ONLY_TOP]
    if key in _OF_DLT or (key in known and not (place.is_variable and below)):
        return
    if len(below) == 1 and below[0] in CREDENTIALS and key not in known:
        return  # An organization that this project does not list, such as in a file that projects share.
    if removed := REMOVED_SETTINGS.get(key):
        raise _unknown(place, (*section, key), "was removed", removed)
    known += [one[-1] for one in read if one[:-1] == section]
    if place.is_variable:
        prefix = "__".join((*section, "")).upper()
        meant = nearest("__".join((key, *below)), known)
        step = f"Did you mean {prefix}{meant.upper()}?" if meant else _DOCUMENTED
        if key in known:
            step = f"Write the whole value as JSON: {prefix}{key.upper()}={{...}}"
    elif key in ONLY_TOP:
        step = f"It belongs in [{'.'.join(SECTIONS)}]."
    elif below and section == SECTIONS and not nearest(key, known):
        step = "The section of an organization needs an entry in [[sources.automatum.organizations]], and a table of "
        step += f"the API is [sources.automatum.endpoints.{key}]."
    else:
        step = suggestion(key, known, _DOCUMENTED)
    raise _unknown(place, (*section, key), "there is no such setting", step)


def _check_elsewhere(place: Place, names: Sequence[str]) -> None:
    """Refuse a key that was probably meant to be in `sources.automatum`."""
    section, key = place.path[:-1], place.path[-1]
    if place.is_variable:
        # Other variables that begin like this may be the vendor's, or those of a Kubernetes service.
        word = place.name.replace("_", "").lower().removeprefix(SECTIONS[0])
        meant = next((name for name in names if word == SECTIONS[1] + name.replace("_", "")), None)
        if meant is None and key in names and _is_mistaken(section):
            meant = key
        if meant and place.name not in _VENDORS:
            step = f"Did you mean {'__'.join((*SECTIONS, meant)).upper()}?"
            raise ConfigurationError(place.name, "this variable is not read.", step)
    elif section in ((), SECTIONS[:1]) and key in names and key not in CREDENTIALS:
        raise _unknown(place, place.path, "is outside of its section", "Move it below the line [sources.automatum].")
    elif key in names and _is_mistaken(section):
        raise _unknown(place, section, f"is not read, and has {key}", "Did you mean [sources.automatum]?")


def _is_mistaken(section: Path) -> bool:
    """Whether a section is a misspelt `sources.automatum`. Others that begin so are the sections of clones."""
    if len(section) == 2 and nearest(section[0], SECTIONS[:1]):
        name = section[1]
        return name == "automatum_pipeline" or bool(not name.startswith("automatum_") and nearest(name, SECTIONS[1:]))
    return len(section) == 1 and bool(nearest(section[0], (*SECTIONS[1:], ".".join(SECTIONS))))


def _unknown(place: Place, path: Path, problem: str, step: str) -> ConfigurationError:
    full = Place(place.provider, path, place.name)
    return ConfigurationError(
        place.name if place.is_variable else ".".join(path),
        f"{problem}." if place.is_variable else f"{problem}; it is in {full.where}.",
        step,
    )
