"""Refuses settings that nothing reads: misspelt keys, keys in a wrong section, and variables with a wrong name.

A misspelt setting that is ignored looks like a setting that works, so a run ends before its first request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..core.suggest import nearest, suggestion
from ..endpoints import ENDPOINTS
from .dlt_internals import BaseDocProvider, ConfigProvider, EnvironProvider, VaultDocProvider, document_of
from .lookup import CREDENTIALS, SECTIONS, Place
from .organizations import organization_sections
from .toml_files import settings_providers

PREFIX = "SOURCES__AUTOMATUM__"
INTERNAL = ("organization", "organization_id", "named_id")
"""Settings that come from the entry of an organization, and are not read by their own names."""
_VENDORS_NAMES = (*CREDENTIALS, "webhook_secret")
"""What the vendor's own variables may set: `AUTOMATUM_CLIENT_ID` and the like."""
_ONLY_TOP = (
    "organizations",
    "duckdb_storage_version",
    "notify_url",
    "secrets_from",
    "webhook_secret",
    "webhook_signature_header",
)
"""Settings that are read from `sources.automatum` alone, not from the section of an organization."""
_OF_DLT = ("data_writer", "destination", "extract", "incremental", "load", "max_table_nesting", "normalize", "schema")
"""Keys that dlt itself reads below the section of a source."""
_DOCUMENTED = "docs/configuration.md lists the settings."
_ALMOST_PREFIX = re.compile(r"SOURCES?_+AUTOMATUM_+(\w+)", re.IGNORECASE)
_VENDORS_PREFIX = "AUTOMATUM_"


def check_keys(names: Sequence[str]) -> None:
    """Check the names of all settings: TOML files, what a program has set, Airflow, and the environment.

    Values of unknown names are not shown, because they may be secret. Vaults are not read.

    Args:
        names: Names of all settings in `[sources.automatum]`.

    Raises:
        ConfigurationError: A name is unknown. The message says where it is and which name is the most similar.
    """
    sections = organization_sections()  # Checks the list of organizations, too.
    for provider in settings_providers():
        if isinstance(provider, EnvironProvider):
            _check_environment(names, sections)
        elif isinstance(provider, BaseDocProvider) and not isinstance(provider, VaultDocProvider):
            _check_document(provider, names, sections)


def _check_document(provider: BaseDocProvider, names: Sequence[str], sections: Sequence[str]) -> None:
    declared: ConfigProvider = provider  # Its own class declares an argument as text, and takes None.

    def table(*path: str) -> Mapping[str, Any]:
        value, _ = declared.get_value(path[-1], dict, None, *path[:-1])
        return value if isinstance(value, Mapping) else {}

    def place(*path: str) -> Place:
        return Place(provider, path, ".".join(path))

    document = document_of(provider)
    for path, inside in _misplaced_tables(document, names):
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
    for key, value in table(*SECTIONS).items():
        _check_key(place(*SECTIONS, key), key, value, names, sections)


def _check_key(place: Place, key: str, value: Any, names: Sequence[str], sections: Sequence[str]) -> None:
    """Check one key of `sources.automatum`, and the keys of an organization's section."""
    if key in names or key in _OF_DLT:
        return
    if key not in sections:
        # An organization that this project does not list, such as in a file of secrets that projects share.
        if isinstance(value, Mapping) and value and set(value) <= set(CREDENTIALS):
            return
        raise _unknown(place, key, (*names, *sections), isinstance(value, Mapping))
    for inner in value if isinstance(value, Mapping) else ():
        if inner not in names or inner in _ONLY_TOP:
            inside = Place(place.provider, (*place.path, inner), f"{place.name}.{inner}")
            raise _unknown(inside, inner, [name for name in names if name not in _ONLY_TOP])


def _unknown(place: Place, key: str, known: Sequence[str], is_table: bool = False) -> ConfigurationError:
    tables = [endpoint.table for endpoint in ENDPOINTS]
    if key in INTERNAL or key in _ONLY_TOP:
        belongs = "[[sources.automatum.organizations]]" if key in INTERNAL else "[sources.automatum]"
        next_step = f"It belongs in {belongs}."
    elif is_table and key in tables:
        next_step = f"Did you mean [sources.automatum.endpoints.{key}]?"
    else:
        next_step = suggestion(key, known)
        if is_table and not next_step:
            next_step = "The section of an organization needs an entry in [[sources.automatum.organizations]]."
    kind = "section" if is_table else "setting"
    return ConfigurationError(
        ".".join(place.path),
        f"there is no such {kind}; it is in {place.where}.",
        f"{next_step} {_DOCUMENTED}".strip(),
    )


def _misplaced_tables(document: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Tables that look like `sources.automatum` and are not: path, and one of the settings in it."""
    for path, table in _similar_tables(document):
        if inside := _settings_in(table, names):
            yield path, inside[0]


def _similar_tables(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    sources, ours = SECTIONS
    for key, value in document.items():
        if not isinstance(value, Mapping):
            continue
        if key == sources:
            others = ((name, table) for name, table in value.items() if name != ours)
            yield from (((key, name), table) for name, table in others if _is_like(name, ours) or name.startswith(ours))
        elif _is_like(key, sources):
            yield (key, ours), value.get(ours)
        elif _is_like(key, ours) or key == ".".join(SECTIONS):
            yield (key,), value


def _is_like(name: str, known: str) -> bool:
    return nearest(name, (known,)) is not None


def _settings_in(table: Any, names: Sequence[str]) -> list[str]:
    return [key for key in names if key in table] if isinstance(table, Mapping) else []


def _check_environment(names: Sequence[str], sections: Sequence[str]) -> None:
    for variable in os.environ:
        upper = variable.upper()
        if variable.startswith(PREFIX):
            _check_variable(variable, names, sections)
            continue
        if match := _ALMOST_PREFIX.fullmatch(variable):
            given = match.group(1).rpartition("__")[2]
            name = nearest(given, names) or given
            raise ConfigurationError(variable, "this variable is not read.", f"Did you mean {PREFIX}{name.upper()}?")
        # Other variables with this prefix may be the vendor's, or those of a Kubernetes service.
        name = upper.removeprefix(_VENDORS_PREFIX).lstrip("_")
        if upper.startswith(_VENDORS_PREFIX) and name.lower() in names and name.lower() not in _VENDORS_NAMES:
            raise ConfigurationError(variable, "this variable is not read.", f"Did you mean {PREFIX}{name}?")


def _check_variable(variable: str, names: Sequence[str], sections: Sequence[str]) -> None:
    rest = variable.removeprefix(PREFIX).lower()
    key, _, inner = rest.partition("__")
    if rest in names or key in _OF_DLT:
        return
    known = names
    for section in sorted(sections, key=len, reverse=True):
        if rest.startswith(f"{section}__"):
            key, inner = section, rest.removeprefix(f"{section}__")
            if inner in names and inner not in _ONLY_TOP:
                return
            known = [f"{section}__{name}" for name in names if name not in _ONLY_TOP]
            break
    else:
        if inner in CREDENTIALS:
            return  # An organization that this project does not list.
    if inner and key in names:
        next_step = f"Write the whole value as JSON: {PREFIX}{key.upper()}={{...}}"
    else:
        name = nearest(rest, known)
        next_step = f"Did you mean {PREFIX}{name.upper()}?" if name else _DOCUMENTED
    raise ConfigurationError(variable, "there is no such setting for this variable.", next_step)
