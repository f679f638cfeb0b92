"""Refuses settings that nothing reads: misspelt keys, keys in a wrong section, and variables with a wrong name.

A misspelt setting that is ignored looks like a setting that works, so a run ends before its first request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..core.suggest import nearest, suggestion
from ..endpoints import ENDPOINTS
from .dlt_internals import BaseDocProvider, EnvironProvider, VaultDocProvider, document_of
from .lookup import CREDENTIALS, SECTIONS, Place
from .organizations import organization_names
from .removed_settings import REMOVED_SETTINGS
from .toml_files import settings_providers

ONLY_TOP = ("organizations", "secrets_from", "notify_url", "webhook_secret")
"""Settings that are read from `sources.automatum` alone, not from the section of an organization or a clone."""
_OF_DLT = ("data_writer", "destination", "extract", "incremental", "load", "max_table_nesting", "normalize", "schema")
"""Keys that dlt itself reads below the section of a source."""
_MISTAKEN = ("pipeline", "push", "source", "sync")
"""`[sources.automatum_pipeline]` is what dlt would read for a source in a script of this name."""
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
    roots = (SECTIONS, *(one for one in sections if one[:-1] not in (SECTIONS, *sections)))
    tables = {root: [one[-1] for one in sections if one[:-1] == root] for root in roots}
    tables[SECTIONS] += organization_names()
    for provider in settings_providers():
        # Paths without values: a traceback must not show what may be a secret.
        places: list[Place] = []
        if isinstance(provider, EnvironProvider):
            places = [Place(provider, tuple(name.lower().split("__")), name) for name in os.environ]
        elif isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
            places = [Place(provider, path, ".".join(path)) for path in _paths(document_of(provider))]
        for place in places:
            found = [one for one in tables if len(place.path) > len(one) and place.path[: len(one)] == one]
            if not found or (place.is_variable and not place.name.isupper()):
                _check_elsewhere(place, names)
            else:
                _check_key(place, found[0], tables[found[0]], names)


def _paths(table: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _check_key(place: Place, table: Path, below: Sequence[str], names: Sequence[str]) -> None:
    """Check a key below a section that is read: of a setting, or of a section below it."""
    inner = [name for name in names if name not in ONLY_TOP]
    known = names if table == SECTIONS else inner
    path = place.path[len(table) :]
    if path[0] in below:
        table, path, known, below = (*table, path[0]), path[1:], inner, ()
    if not path or path[0] in _OF_DLT or (path[0] in known and not (place.is_variable and path[1:])):
        return
    if not (len(path) == 2 and path[1] in CREDENTIALS and path[0] not in known):
        # Else it is an organization that this project does not list, such as in a file that projects share.
        raise _unknown(place, table, path, (*known, *below))


def _unknown(place: Place, table: Path, path: Path, known: Sequence[str]) -> ConfigurationError:
    key, prefix = path[0], "__".join((*table, "")).upper()
    full = Place(place.provider, (*table, key), place.name)
    if removed := REMOVED_SETTINGS.get(key):
        return ConfigurationError(_key(full), f"was removed; it is in {full.where}.", removed)
    if place.is_variable:
        found = nearest("__".join(path), known)
        if key in known:
            step = f"Write the whole value as JSON: {prefix}{key.upper()}={{...}}"
        else:
            step = f"Did you mean {prefix}{found.upper()}?" if found else _DOCUMENTED
        return ConfigurationError(place.name, "there is no such setting for this variable.", step)
    if key in ONLY_TOP or key == "organization_id":
        belongs = "[sources.automatum]" if key in ONLY_TOP else "[[sources.automatum.organizations]]"
        step = f"It belongs in {belongs}."
    elif path[1:] and key in [endpoint.table for endpoint in ENDPOINTS]:
        step = f"Did you mean [{'.'.join(table)}.endpoints.{key}]?"
    elif not (step := suggestion(key, known)) and path[1:] and table == SECTIONS:
        step = "The section of an organization needs an entry in [[sources.automatum.organizations]]."
    kind = "section" if path[1:] else "setting"
    return ConfigurationError(
        _key(full), f"there is no such {kind}; it is in {full.where}.", f"{step} {_DOCUMENTED}".strip()
    )


def _key(place: Place) -> str:
    return place.name if place.is_variable else ".".join(place.path)


def _check_elsewhere(place: Place, names: Sequence[str]) -> None:
    """Refuse a key that was probably meant to be in `sources.automatum`."""
    section, key = place.path[:-1], place.path[-1]
    name = key.removeprefix("automatum_").lstrip("_")
    if place.is_variable:
        # Others with this prefix may be the vendor's, or those of a Kubernetes service.
        prefixed = name != key and name in names and section in ((), SECTIONS[:1]) and place.name not in _VENDORS
        if prefixed or _is_mistaken(section, key, names):
            known = nearest(name, names) or name
            step = f"Did you mean {'__'.join((*SECTIONS, known)).upper()}?"
            raise ConfigurationError(place.name, "this variable is not read.", step)
    elif section in ((), SECTIONS[:1]):
        if key in names and key not in CREDENTIALS:
            step = "Move it below the line [sources.automatum]."
            raise ConfigurationError(place.name, f"is outside of [sources.automatum], in {place.where}.", step)
    elif key in names and _is_mistaken(section, key, names):
        table = Place(place.provider, section, ".".join(section))
        step = "Did you mean [sources.automatum]?"
        raise ConfigurationError(table.name, f"is not read, and has {key}; it is in {table.where}.", step)


def _is_mistaken(section: Path, key: str, names: Sequence[str]) -> bool:
    """Whether a section looks like a mistake for `sources.automatum`, and not like the section of a clone."""
    sources, ours = SECTIONS
    if len(section) == 1:
        return any(nearest(section[0], (one,)) for one in (ours, "sources.automatum", "sources_automatum"))
    if section == SECTIONS:
        return True  # A variable in small letters.
    if len(section) != 2 or not nearest(section[0], (sources,)):
        return False
    last = section[1]
    if last.startswith(f"{ours}_"):
        return last.removeprefix(f"{ours}_") in (*_MISTAKEN, *names)
    return last.startswith(ours) or (nearest(last, (ours,)) is not None)
