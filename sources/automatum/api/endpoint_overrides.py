"""Applies the overrides of the configuration to the table of endpoints.

Half of the API is assumed (see `automatum.endpoints`). If an assumption is wrong, correct it in the configuration:

    [sources.automatum.endpoints.entitlements]
    path = "contracts"
    records = "data.items"
    parameters = { page = "p", limit = "per_page" }

    [[sources.automatum.reports]]
    name = "usage"
    path = "analytics/usage"
    key = ["date", "dimension"]
    columns = { units = "decimal" }
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from dlt.common.normalizers.naming.snake_case import NamingConvention

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from ..endpoints import ENDPOINTS, ORGANIZATION, REVENUE, Column, ColumnType, Endpoint, FieldPath
from ..schema.columns import EXTRA

_LIST_WORDS = {"page", "limit"}
_REPORT_WORDS = {"start", "end"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TYPES: tuple[str, ...] = get_args(ColumnType)
RESERVED = frozenset({EXTRA})
_snake_case = NamingConvention().normalize_identifier


def resolve_endpoints(settings: AutomatumSettings, by_organization: bool | None = None) -> tuple[Endpoint, ...]:
    """The endpoints with the overrides of the settings, in their order.

    Args:
        settings: Resolved settings.
        by_organization: Whether the tables hold several organizations; None: as the settings say.

    Raises:
        ConfigurationError: An override names an unknown table or key, or has a value of a wrong type.
    """
    table = {endpoint.table: endpoint for endpoint in ENDPOINTS}
    named: set[str] = set()
    for position, report in enumerate(settings.reports or ()):
        where = f"sources.automatum.reports[{position}]"
        endpoint = _report(where, report)
        if endpoint.table in named:
            raise ConfigurationError(f"{where}.name", f"there is a report {report['name']!r} already.")
        named.add(endpoint.table)
        table[endpoint.table] = endpoint
    overrides = settings.endpoints or {}
    where = "sources.automatum.endpoints"
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(where, "not a table of tables.")
    for name, changes in overrides.items():
        if name not in table:
            raise ConfigurationError(f"{where}.{name}", "no such table.", _known(name, "Tables", table))
        table[name] = _override(f"{where}.{name}", table[name], changes)
    if bool(settings.organization) if by_organization is None else by_organization:
        return tuple(_by_organization(endpoint) for endpoint in table.values())
    return tuple(table.values())


def _by_organization(endpoint: Endpoint) -> Endpoint:
    """The endpoint for a table that several organizations share."""
    columns = endpoint.columns
    if all(column.name != ORGANIZATION for column in columns):
        columns = (Column(ORGANIZATION, "text", (FieldPath("organizationId"),)), *columns)
    return replace(endpoint, columns=columns, by_organization=True)


def _override(where: str, endpoint: Endpoint, changes: Any) -> Endpoint:
    if not isinstance(changes, Mapping):
        raise ConfigurationError(where, "not a table of settings.")
    words = _LIST_WORDS if endpoint.kind == "list" else _REPORT_WORDS
    for key, value in changes.items():
        at = f"{where}.{key}"
        if key == "path":
            endpoint = replace(endpoint, path=_text(at, value).strip("/"))
        elif key == "records":
            endpoint = replace(endpoint, records=_texts(at, value))
        elif key in ("total", "pages") and endpoint.kind == "list":
            endpoint = replace(endpoint, **{key: _text(at, value)})  # type: ignore[arg-type]
        elif key == "parameters":
            endpoint = replace(endpoint, parameters={**endpoint.parameters, **_parameters(at, value, words)})
        elif key == "key":
            endpoint = _with_key(at, endpoint, _texts(at, value))
        elif key == "volatile":
            endpoint = replace(endpoint, volatile=_texts(at, value))
        elif key == "order" and endpoint.kind == "list":
            endpoint = replace(endpoint, newest_first=_order(at, value))
        elif key == "exact_total" and endpoint.kind == "list":
            endpoint = replace(endpoint, exact_total=_flag(at, value))
        elif key == "columns" and endpoint.kind == "report":
            endpoint = _with_columns(at, endpoint, value)
        else:
            known = ["path", "records", "parameters", "key", "volatile"]
            known += ["total", "pages", "exact_total", "order"] if endpoint.kind == "list" else ["columns"]
            raise ConfigurationError(at, "no such setting.", _known(key, "Settings", known))
    return endpoint


def _report(where: str, spec: Any) -> Endpoint:
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ConfigurationError(where, "a report needs a name.", 'Write it as { name = "usage", ... }.')
    name = _text(f"{where}.name", spec["name"])
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}.name", f"{name!r} is not a table name.", "Use a-z, 0-9 and _.")
    changes = {key: value for key, value in spec.items() if key != "name"}
    if name == "revenue":
        return _override(where, REVENUE, changes)
    # Keep only the key columns of the default report, because the measures of another report are not known.
    columns = tuple(column for column in REVENUE.columns if column.name in REVENUE.key)
    plain = replace(REVENUE, table=f"analytics_{name}", path=f"analytics/{name}", columns=columns)
    return _override(where, plain, changes)


def _with_key(at: str, endpoint: Endpoint, names: Sequence[str]) -> Endpoint:
    key = tuple(_column_name(at, name) for name in names)
    if len(set(key)) < len(key):
        raise ConfigurationError(at, "names a field twice.")
    have = {column.name for column in endpoint.columns}
    added = tuple(
        Column(column, "date" if column == "date" else "text", (FieldPath(name),))
        for column, name in zip(key, names, strict=True)
        if column not in have
    )
    return replace(endpoint, key=key, columns=(*added, *endpoint.columns))


def _with_columns(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    if not isinstance(value, Mapping) or not all(kind in _TYPES for kind in value.values()):
        raise ConfigurationError(at, "not a table of field to type.", f"Types are {', '.join(_TYPES)}.")
    columns = {column.name: column for column in endpoint.columns}
    for name, kind in value.items():
        columns[_column_name(at, name)] = Column(_column_name(at, name), kind, (FieldPath(name),))
    return replace(endpoint, columns=tuple(columns.values()))


def _column_name(at: str, name: Any) -> str:
    """The column name of a field, unless it is reserved."""
    column = _snake_case(_text(at, name))
    if column in RESERVED or column.startswith("_"):
        raise ConfigurationError(at, f"{name!r} would be the column {column}, which is reserved for the connector.")
    return column


def _parameters(at: str, value: Any, words: set[str]) -> dict[str, str]:
    if not isinstance(value, Mapping) or not set(value) <= words:
        unknown = next((str(key) for key in value if key not in words), "") if isinstance(value, Mapping) else ""
        raise ConfigurationError(at, "not a table of parameter names.", _known(unknown, "Keys", sorted(words)))
    return {key: _text(f"{at}.{key}", name) for key, name in value.items()}


def _known(name: str, kind: str, known: Collection[str]) -> str:
    """The next step for a name that is not known."""
    return f"{suggestion(name, known)} {kind} are {', '.join(known)}.".lstrip()


def _order(at: str, value: Any) -> bool:
    if value not in ("unknown", "updated_desc"):
        raise ConfigurationError(at, f"{value!r} is not an order.", "Orders are unknown (the default), updated_desc.")
    return bool(value == "updated_desc")


def _flag(at: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(at, f"{value!r} is not true or false.")
    return value


def _text(at: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(at, f"{value!r} is not a text.")
    return value.strip()


def _texts(at: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not values:
        raise ConfigurationError(at, f"{value!r} is not a text or a list of texts.")
    return tuple(_text(at, one) for one in values)
