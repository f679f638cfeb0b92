"""Refuses settings that nothing reads: misspelt keys, keys in a wrong section, and variables with a wrong name.

A misspelt setting that is ignored looks like a setting that works, so a run ends before its first request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigurationError
from ..core.suggest import nearest, suggestion
from ..endpoints import ENDPOINTS
from .dlt_internals import BaseDocProvider, ConfigProvider, EnvironProvider, VaultDocProvider, document_of
from .lookup import CREDENTIALS, SECTIONS, Place
from .organizations import organization_sections
from .removed_settings import REMOVED_SETTINGS
from .toml_files import settings_providers

PREFIX = "SOURCES__AUTOMATUM__"
_OF_ENTRY = ("organization", "organization_id", "named_id")
INTERNAL = (*_OF_ENTRY, "stored_owner", "section", "credentials_from")
"""Settings that are not read by their own names: those of the entry of an organization, and where others come from."""
_VENDORS_NAMES = (*CREDENTIALS, "webhook_secret")
"""What the vendor's own variables may set: `AUTOMATUM_CLIENT_ID` and the like."""
_ONLY_TOP = (
    "organizations",
    "notify_url",
    "secrets_from",
    "webhook_secret",
)
"""Settings that are read from `sources.automatum` alone, not from the section of an organization."""
_OF_DLT = ("data_writer", "destination", "extract", "incremental", "load", "max_table_nesting", "normalize", "schema")
"""Keys that dlt itself reads below the section of a source."""
_DOCUMENTED = "docs/configuration.md lists the settings."
_ALMOST_PREFIX = re.compile(r"SOURCES?_+AUTOMATUM_+(\w+)", re.IGNORECASE)
_SECTION_OF_VARIABLE = re.compile(r"SOURCES__([A-Z0-9_]+?)__\w+")
_VENDORS_PREFIX = "AUTOMATUM_"
_MISTAKEN = ("pipeline", "push", "source", "sync")
"""`[sources.automatum_pipeline]` is what dlt would read for a source in a script of this name."""


@dataclass(frozen=True)
class _Table:
    """A section that is read.

    Attributes:
        path: Its path, such as `("sources", "automatum")`.
        sections: Names of the sections below it that are read.
    """

    path: tuple[str, ...]
    sections: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in a TOML file."""
        return ".".join(self.path)

    @property
    def prefix(self) -> str:
        """What its variables begin with."""
        return "__".join((*self.path, "")).upper()

    @property
    def is_own(self) -> bool:
        """Whether it is `sources.automatum`."""
        return self.path == SECTIONS


def check_keys(names: Sequence[str], sections: Sequence[tuple[str, ...]] = ()) -> None:
    """Check the names of all settings: TOML files, what a program has set, Airflow, and the environment.

    Values of unknown names are not shown, because they may be secret. Vaults are not read.

    Args:
        names: Names of all settings in `[sources.automatum]`.
        sections: Paths of further sections that are read, such as those of a clone of the source.

    Raises:
        ConfigurationError: A name is unknown. The message says where it is and which name is the most similar.
    """
    tables = _tables(sections)
    for provider in settings_providers():
        if isinstance(provider, EnvironProvider):
            _check_environment(names, tables)
        elif isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
            _check_document(provider, names, tables)


def _tables(sections: Sequence[tuple[str, ...]]) -> list[_Table]:
    """All sections that are read, those of another one below it."""
    roots = dict.fromkeys((SECTIONS, *(one for one in sections if one[:-1] not in (SECTIONS, *sections))))
    inner = {root: [one[-1] for one in sections if one[:-1] == root] for root in roots}
    inner[SECTIONS] += organization_sections()  # Checks the list of organizations, too.
    return [_Table(root, tuple(below)) for root, below in inner.items()]


def _check_document(provider: BaseDocProvider, names: Sequence[str], tables: Sequence[_Table]) -> None:
    declared: ConfigProvider = provider  # Its own class declares an argument as text, and takes None.

    def table(*path: str) -> Mapping[str, Any]:
        value, _ = declared.get_value(path[-1], dict, None, *path[:-1])
        return value if isinstance(value, Mapping) else {}

    def place(*path: str) -> Place:
        return Place(provider, path, ".".join(path))

    document = document_of(provider)
    for path, inside in _misplaced_tables(document, names, tables):
        raise ConfigurationError(
            ".".join(path),
            f"is not read, and has {inside}; it is in {place(*path).where}.",
            "Did you mean [sources.automatum]?",
        )
    for path in ((), SECTIONS[:1]):
        for key in _settings_in(table(*path) if path else document, names):
            if key not in CREDENTIALS:
                raise ConfigurationError(
                    ".".join((*path, key)),
                    f"is outside of [sources.automatum], in {place(*path, key).where}.",
                    "Move it below the line [sources.automatum].",
                )
    for one in tables:
        for key, value in table(*one.path).items():
            _check_key(place(*one.path, key), key, value, names, one)


def _check_key(place: Place, key: str, value: Any, names: Sequence[str], table: _Table) -> None:
    """Check one key of a section, and the keys of the sections below it."""
    if (key in names and (table.is_own or key not in _ONLY_TOP)) or key in _OF_DLT:
        return
    if key not in table.sections:
        # An organization that this project does not list, such as in a file of secrets that projects share.
        if isinstance(value, Mapping) and value and set(value) <= set(CREDENTIALS):
            return
        raise _unknown(place, key, (*names, *table.sections), isinstance(value, Mapping), table)
    for inner in value if isinstance(value, Mapping) else ():
        if inner not in names or inner in _ONLY_TOP:
            inside = Place(place.provider, (*place.path, inner), f"{place.name}.{inner}")
            raise _unknown(inside, inner, [name for name in names if name not in _ONLY_TOP], False, table)


def _unknown(place: Place, key: str, known: Sequence[str], is_table: bool, table: _Table) -> ConfigurationError:
    if key in REMOVED_SETTINGS:
        return ConfigurationError(".".join(place.path), f"was removed; it is in {place.where}.", REMOVED_SETTINGS[key])
    if key in _OF_ENTRY or key in _ONLY_TOP:
        belongs = "[[sources.automatum.organizations]]" if key in _OF_ENTRY else "[sources.automatum]"
        next_step = f"It belongs in {belongs}."
    elif is_table and key in [endpoint.table for endpoint in ENDPOINTS]:
        next_step = f"Did you mean [{table.name}.endpoints.{key}]?"
    else:
        next_step = suggestion(key, known)
        if is_table and not next_step and table.is_own:
            next_step = "The section of an organization needs an entry in [[sources.automatum.organizations]]."
    kind = "section" if is_table else "setting"
    return ConfigurationError(
        ".".join(place.path),
        f"there is no such {kind}; it is in {place.where}.",
        f"{next_step} {_DOCUMENTED}".strip(),
    )


def _misplaced_tables(
    document: Mapping[str, Any], names: Sequence[str], tables: Sequence[_Table]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Tables that look like `sources.automatum` and are not: path, and one of the settings in it."""
    read = [one.path for one in tables]
    for path, table in _similar_tables(document, names):
        if path not in read and (inside := _settings_in(table, names)):
            yield path, inside[0]


def _similar_tables(document: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    sources, ours = SECTIONS
    for key, value in document.items():
        if not isinstance(value, Mapping):
            continue
        if key == sources:
            others = ((name, table) for name, table in value.items() if name != ours)
            yield from (((key, name), table) for name, table in others if _is_mistaken(name, names))
        elif _is_like(key, sources):
            yield (key, ours), value.get(ours)
        elif _is_like(key, ours) or key == ".".join(SECTIONS):
            yield (key,), value


def _is_mistaken(section: str, names: Sequence[str]) -> bool:
    """Whether the name of a section looks like a mistake for `automatum`, and not like that of a clone."""
    ours = SECTIONS[-1]
    if section.startswith(f"{ours}_"):
        return section.removeprefix(f"{ours}_") in (*_MISTAKEN, *names)
    return section.startswith(ours) or _is_like(section, ours)


def _is_like(name: str, known: str) -> bool:
    return nearest(name, (known,)) is not None


def _settings_in(table: Any, names: Sequence[str]) -> list[str]:
    return [key for key in names if key in table] if isinstance(table, Mapping) else []


def _check_environment(names: Sequence[str], tables: Sequence[_Table]) -> None:
    for variable in os.environ:
        upper = variable.upper()
        if table := next((one for one in tables if variable.startswith(one.prefix)), None):
            _check_variable(variable, names, table)
            continue
        if (match := _ALMOST_PREFIX.fullmatch(variable)) and not _is_of_clone(variable, names):
            given = match.group(1).rpartition("__")[2]
            name = nearest(given, names) or given
            raise ConfigurationError(variable, "this variable is not read.", f"Did you mean {PREFIX}{name.upper()}?")
        # Other variables with this prefix may be the vendor's, or those of a Kubernetes service.
        name = upper.removeprefix(_VENDORS_PREFIX).lstrip("_")
        is_vendors = name.lower() in _VENDORS_NAMES and upper == _VENDORS_PREFIX + name
        if upper.startswith(_VENDORS_PREFIX) and name.lower() in names and not is_vendors:
            raise ConfigurationError(variable, "this variable is not read.", f"Did you mean {PREFIX}{name}?")


def _is_of_clone(variable: str, names: Sequence[str]) -> bool:
    """Whether a variable belongs to a section such as `automatum_eu`, which a clone of the source may read."""
    match = _SECTION_OF_VARIABLE.fullmatch(variable)
    return match is not None and not _is_mistaken(match.group(1).lower(), names)


def _check_variable(variable: str, names: Sequence[str], table: _Table) -> None:
    rest = variable.removeprefix(table.prefix).lower()
    key, _, inner = rest.partition("__")
    below = [name for name in names if name not in _ONLY_TOP]
    known: Sequence[str] = names if table.is_own else below
    if rest in known or key in _OF_DLT:
        return
    for section in sorted(table.sections, key=len, reverse=True):
        if rest.startswith(f"{section}__"):
            key, inner = section, rest.removeprefix(f"{section}__")
            if inner in below:
                return
            known = [f"{section}__{name}" for name in below]
            break
    else:
        if inner in CREDENTIALS:
            return  # An organization that this project does not list.
    if (removed := rest.rpartition("__")[2]) in REMOVED_SETTINGS:
        raise ConfigurationError(variable, f"the setting {removed} was removed.", REMOVED_SETTINGS[removed])
    if inner and key in names:
        next_step = f"Write the whole value as JSON: {table.prefix}{key.upper()}={{...}}"
    else:
        name = nearest(rest, known)
        next_step = f"Did you mean {table.prefix}{name.upper()}?" if name else _DOCUMENTED
    raise ConfigurationError(variable, "there is no such setting for this variable.", next_step)
