"""Refuses settings of the source that nothing reads: a misspelt setting that is ignored looks like one that works."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..core.suggest import nearest
from .dlt_internals import BaseDocProvider, EnvironProvider, VaultDocProvider, document_of
from .lookup import CREDENTIALS, SECTIONS, Place
from .organizations import organization_names
from .removed_settings import REMOVED_SETTINGS
from .toml_files import settings_providers

ONLY_TOP = ("organizations", "secrets_from", "notify_url", "webhook_secret")
"""Settings that are read from `sources.automatum` alone, not from the section of an organization or a clone."""
_OF_DLT = ("data_writer", "destination", "extract", "incremental", "load", "max_table_nesting", "normalize", "schema")
"""Keys that dlt itself reads below the section of a source."""
_OF_OTHERS = (*(f"automatum_{name}" for name in (*CREDENTIALS, "webhook_secret")), "automatum_port")
"""Variables of the vendor, and of a service in Kubernetes."""
_DOCUMENTED = "docs/configuration.md lists the settings."


def check_keys(names: Sequence[str], sections: Sequence[tuple[str, ...]] = ()) -> None:
    """Check the names of all settings: TOML files, what a program has set, Airflow, and the environment. Not vaults.

    Args:
        names: Names of all settings in `[sources.automatum]`.
        sections: Paths of further sections that are read, such as those of a clone of the source.

    Raises:
        ConfigurationError: A name is unknown. The message says where it is and which name is the most similar.
    """
    read = {SECTIONS, *sections, *((*SECTIONS, name) for name in organization_names())}
    for place in _places():
        found = [one for one in read if len(place.path) > len(one) and place.path[: len(one)] == one]
        if found:
            section = max(found, key=len)
            _check_key(place, section, [name for name in names if section == SECTIONS or name not in ONLY_TOP])
        else:
            _check_elsewhere(place, names)


def _places() -> Iterator[Place]:
    """Paths without values: a traceback must not show what may be a secret."""
    for provider in settings_providers():
        if isinstance(provider, EnvironProvider):
            yield from (Place(provider, tuple(name.lower().split("__")), name) for name in os.environ if name.isupper())
        elif isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
            yield from (Place(provider, path, ".".join(path)) for path in _paths(document_of(provider)))


def _paths(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*above, str(key)))
        else:
            yield (*above, str(key))


def _check_key(place: Place, section: tuple[str, ...], known: Sequence[str]) -> None:
    key, *below = place.path[len(section) :]
    if key in _OF_DLT or (key in known and not (place.is_variable and below)):  # A table in a variable is JSON.
        return
    if len(below) == 1 and below[0] in CREDENTIALS and key not in known:
        return  # A clone, or an organization that this project does not list, such as in a file that projects share.
    name, write = ".".join((*section, key)), "{}"
    where = f"; it is in {Place(place.provider, (*section, key), name).where}"
    if place.is_variable:
        name, write, where = place.name, "__".join((*section, "{}")).upper(), ""
        key = "__".join((key, *below))
    removed, meant = REMOVED_SETTINGS.get(key), None if key in ONLY_TOP else nearest(key, known)
    step = removed or _DOCUMENTED
    if meant and not removed:
        step = f"Did you mean {write.format(meant.upper() if place.is_variable else meant)}?"
    problem = "was removed" if removed else "there is no such setting"
    raise ConfigurationError(name, f"{problem}{where}.", step)


def _check_elsewhere(place: Place, names: Sequence[str]) -> None:
    """Refuse a setting in a misspelt section, such as `[sources.automatun]` or `AUTOMATUM_HISTORY`."""
    text = "__".join(place.path)
    if text in _OF_OTHERS or any(one.startswith("automatum_") for one in place.path[:-1]):
        return  # Such as [sources.automatum_eu], of a clone.
    for section in SECTIONS:
        word, _, below = re.split(r"([._]+|$)", text, maxsplit=1)
        if nearest(word, [section]):
            text = below
        elif section == SECTIONS[-1]:
            return
    if meant := nearest(text.partition("__")[0], names):
        write = ".".join((*SECTIONS, meant))
        if place.is_variable:
            write = write.replace(".", "__").upper()
        where = "" if place.is_variable else f"; it is in {place.where}"
        raise ConfigurationError(place.name, f"is not read{where}.", f"Did you mean {write}?")
