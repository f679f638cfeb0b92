"""Applies the overrides of the configuration to the table of endpoints, and to the metering body.

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

    [sources.automatum.metering]
    entitlement_id = "details.agreementId"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

from ..config.removed_settings import REMOVED_ENDPOINT_KEYS, REMOVED_METERING_KEYS
from ..config.settings import AutomatumSettings
from ..core.endpoint import PagingKind
from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from ..endpoints import (
    ENDPOINTS,
    METERING_ENTITLEMENT,
    METERING_FIELDS,
    NO_DETAIL,
    OF_ORGANIZATION,
    ORGANIZATION,
    REVENUE,
    VENDOR,
    Column,
    ColumnType,
    Endpoint,
    FieldPath,
    Paging,
)
from ..schema.columns import EXTRA, normalize_identifier

_WHERE = "sources.automatum.endpoints"
_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
_KINDS: tuple[str, ...] = get_args(PagingKind)
_PAGINATORS: Mapping[str, tuple[str, ...]] = {
    "page_number": ("base_page", "page_param", "limit_param"),
    "offset": ("offset_param", "limit_param"),
    "cursor": ("cursor_path", "cursor_param", "limit_param"),
}
"""Kind of a paginator to its keys, with dlt's names."""
_MOST_ROWS = 10_000
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NOT_IN_PATHS = re.compile(r"[\[\]*$\s]")
_FIELD = re.compile(r"\{([^{}]+)\}")
_Changes = dict[str, Any]
"""Attributes of an `Endpoint`."""


def resolve_endpoints(settings: AutomatumSettings, by_organization: bool | None = None) -> tuple[Endpoint, ...]:
    """The endpoints with the overrides of the settings, in their order.

    Args:
        settings: Resolved settings.
        by_organization: Whether the tables hold several organizations; None: as the settings say.

    Raises:
        ConfigurationError: An override names an unknown table or key, or has a value of a wrong type.
    """
    found = {endpoint.table: endpoint for endpoint in ENDPOINTS}
    named: set[str] = set()
    for position, report in enumerate(settings.reports or ()):
        where = f"sources.automatum.reports[{position}]"
        endpoint = _report(where, report)
        if endpoint.table in named:
            raise ConfigurationError(f"{where}.name", f"there is a report {report['name']!r} already.")
        named.add(endpoint.table)
        found[endpoint.table] = endpoint
    for name, changes in table(_WHERE, settings.endpoints or {}, found, "Tables").items():
        found[name] = _override(f"{_WHERE}.{name}", found[name], changes)
    several = bool(settings.organization) if by_organization is None else by_organization
    return tuple(_by_organization(endpoint) if several else endpoint for endpoint in found.values())


def _report(where: str, spec: Any) -> Endpoint:
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ConfigurationError(where, "a report needs a name.", 'Write it as { name = "usage", ... }.')
    name = text(f"{where}.name", spec["name"])
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigurationError(f"{where}.name", f"{name!r} is not a table name.", "Use a-z, 0-9 and _.")
    report = REVENUE
    if name != "revenue":
        # Keep only the key columns of the default report, because the measures of another report are not known.
        columns = tuple(column for column in REVENUE.columns if column.name in REVENUE.key)
        report = replace(REVENUE, table=f"analytics_{name}", path=f"analytics/{name}", columns=columns, description="")
    return _override(where, report, {key: value for key, value in spec.items() if key != "name"})


def _by_organization(endpoint: Endpoint) -> Endpoint:
    """The endpoint for a table that several organizations share."""
    own = Column(ORGANIZATION, "text", (FieldPath("organizationId"),), description=OF_ORGANIZATION)
    columns = endpoint.columns if endpoint.find_column(ORGANIZATION) else (own, *endpoint.columns)
    return replace(endpoint, columns=columns, by_organization=True)


def resolve_entitlement(settings: AutomatumSettings) -> str:
    """The dotted path of the entitlement in a metering body. No page documents it; the rest of the body is documented.

    Args:
        settings: Resolved settings.

    Raises:
        ConfigurationError: A key is not known, or the path is that of another field, above one or below one.
    """
    where = "sources.automatum.metering"
    given = table(where, settings.metering or {}, ("entitlement_id",), removed=REMOVED_METERING_KEYS)
    where = f"{where}.entitlement_id"
    place = path(where, given.get("entitlement_id", METERING_ENTITLEMENT))
    for name, other in METERING_FIELDS.items():
        if f"{place}.".startswith(f"{other}.") or other.startswith(f"{place}."):
            raise ConfigurationError(where, f"{place!r} is the place of {name} ({other}).")
    return place


def _override(where: str, endpoint: Endpoint, changes: Any) -> Endpoint:
    """The endpoint with the overrides of its table of settings, whose dotted name is `where`."""
    keys = [name for name in _KEYS if endpoint.kind == "list" or name not in _OF_LISTS]
    given, before = table(where, changes, keys, removed=REMOVED_ENDPOINT_KEYS), endpoint
    for name in (name for name in keys if name in given):
        endpoint = replace(endpoint, **_KEYS[name](f"{where}.{name}", endpoint, given[name]))
    # What a documented path and key allow to conclude is not known of others.
    return replace(endpoint, documented=endpoint.documented and _identity(endpoint) == _identity(before))


def _identity(endpoint: Endpoint) -> tuple[Any, ...]:
    """What decides which record answers at which URL."""
    return endpoint.path, endpoint.key, endpoint.detail_path, endpoint.find_column(endpoint.own_column)


# ---- the nine keys: what each sets in the endpoint


def _paginator(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    given = {"type": value} if isinstance(value, str) else table(at, value)
    kind = choice(f"{at}.type", given.get("type", ""), _KINDS, "Types")
    table(at, given, ("type", *_PAGINATORS[kind]))
    words = {key.removesuffix("_param"): key for key in _PAGINATORS[kind] if key.endswith("_param")}
    parameters = {word: text(f"{at}.{key}", given[key]) if key in given else word for word, key in words.items()}
    first = given.get("base_page", 1)
    if first not in (0, 1):
        raise ConfigurationError(f"{at}.base_page", f"{first!r} is not the number of a first page.", "It is 1 or 0.")
    cursor_at = path(f"{at}.cursor_path", given.get("cursor_path", Paging.cursor_at))
    return {"paging": Paging(kind, int(first), endpoint.paging.size, cursor_at), "parameters": parameters}


def _page_size(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    if type(value) is not int or not 1 <= value <= _MOST_ROWS:
        raise ConfigurationError(at, f"{value!r} is not a number of rows from 1 to {_MOST_ROWS}.")
    return {"paging": replace(endpoint.paging, size=value)}


def _parameters(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    named = {key: text(f"{at}.{key}", name) for key, name in table(at, value, endpoint.parameters).items()}
    return {"parameters": {**endpoint.parameters, **named}}


def _key(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    names = texts(at, value)
    key = tuple(_column_name(at, name) for name in names)
    if len(set(key)) < len(key):
        raise ConfigurationError(at, "names a field twice.")
    added = tuple(
        Column(column, "date" if column == "date" else "text", (FieldPath(name),))
        for column, name in zip(key, names, strict=True)
        if endpoint.find_column(column) is None
    )
    return {"key": key, "columns": (*added, *endpoint.columns)}


def _columns(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    found = {column.name: column for column in endpoint.columns}
    for field, change in table(at, value).items():
        name = _column_name(at, field)
        if name not in found and not isinstance(change, Mapping) and change not in _TYPES:
            raise ConfigurationError(
                at,
                f"{field!r} is not a column of this table, and {change!r} is not a type.",
                f"{next_step(str(field), 'Columns', found)} A further column has a type ({', '.join(_TYPES)}), "
                f'or a path and a type: {field} = {{ path = "plan.tier", type = "text" }}.',
            )
        column = found.get(name) or Column(name, "text", (FieldPath(field),), personal=True)
        found[name] = _changed(f"{at}.{field}", column, change)
    # Places that count for one marketplace look for it where the column `vendor` does.
    vendor = found[VENDOR].places[0].path if VENDOR in found else VENDOR
    return {
        "columns": tuple(
            replace(
                column, places=tuple(replace(one, vendor_at=vendor) if one.vendor else one for one in column.places)
            )
            for column in found.values()
        )
    }


def _changed(at: str, column: Column, change: Any) -> Column:
    given = change if isinstance(change, Mapping) else {"type" if change in _TYPES else "path": change}
    for key, value in table(at, given, ("path", "type")).items():
        where = f"{at}.{key}" if given is change else at
        if key == "type":
            column = replace(column, type=choice(where, value, _TYPES, "Types"))
        else:
            column = replace(column, places=tuple(map(FieldPath, paths(where, value))), documented=False)
    return column


def _detail_path(at: str, endpoint: Endpoint, value: Any) -> _Changes:
    own = NO_DETAIL if value is False else text(at, value).strip("/")
    fields = _FIELD.findall(own)
    if own == NO_DETAIL:
        return {"detail_path": own}
    if len(fields) != 1:
        raise ConfigurationError(
            at,
            f"{own!r} does not name one field in braces.",
            f'Write it like "customers/{{id}}", or "{NO_DETAIL}" if records have no URLs of their own.',
        )
    name = choice(at, _column_name(at, fields[0]), endpoint.key, "Columns of the key")
    return {"detail_path": _FIELD.sub(f"{{{name}}}", own)}


_KEYS: Mapping[str, Callable[[str, Endpoint, Any], _Changes]] = {
    "path": lambda at, _, value: {"path": text(at, value).strip("/")},
    "records": lambda at, _, value: {"records": paths(at, value)},
    "total": lambda at, _, value: {"total": "" if value == "" else path(at, value)},
    "paginator": _paginator,
    "page_size": _page_size,
    "parameters": _parameters,
    "key": _key,
    "columns": _columns,
    "detail_path": _detail_path,
}
"""The keys in the order in which they are applied: the paginator says which parameters there are."""
_OF_LISTS = ("paginator", "page_size", "detail_path")


# ---- values; each check raises a `ConfigurationError` that names the key


def text(at: str, value: Any) -> str:
    """A text that is not empty, without white space around it."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(at, f"{value!r} is not a text.")
    return value.strip()


def texts(at: str, value: Any) -> tuple[str, ...]:
    """A text or a list of texts, at least one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not values:
        raise ConfigurationError(at, f"{value!r} is not a text or a list of texts.")
    return tuple(text(at, each) for each in values)


def path(at: str, value: Any) -> str:
    """A dotted path, such as `data.items`; also as `$.data.items`, as `dlt` writes it."""
    found = text(at, value).removeprefix("$.")
    if _NOT_IN_PATHS.search(found) or not all(found.split(".")):
        raise ConfigurationError(at, f"{value!r} is not a dotted path.", "Write it as data.items.")
    return found


def paths(at: str, value: Any) -> tuple[str, ...]:
    """A dotted path or a list of them, in the order in which they are tried."""
    return tuple(path(at, each) for each in texts(at, value))


def choice(at: str, value: Any, known: Collection[str], kind: str) -> Any:
    """One of the known texts; `kind` is what they are, in the plural and capitalized, for the message."""
    if not isinstance(value, str) or value not in known:
        raise ConfigurationError(at, f"{value!r} is not known.", next_step(str(value), kind, known))
    return value


def table(
    at: str,
    value: Any,
    known: Collection[str] | None = None,
    kind: str = "Keys",
    removed: Mapping[str, str] = MappingProxyType({}),
) -> Mapping[str, Any]:
    """A table whose keys are known; None for any keys. `removed` says what to do in place of a key of the past."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(at, f"{value!r} is not a table.", next_step("", kind, known) if known else "")
    for key in value:
        if known is not None and key not in known:
            what, step = ("was removed.", removed[key]) if key in removed else ("is not known.", "")
            raise ConfigurationError(f"{at}.{key}", what, step or next_step(str(key), kind, known))
    return value


def next_step(name: str, kind: str, known: Collection[str]) -> str:
    """The next step for a name that is not known: the nearest name, and all names."""
    return f"{suggestion(name, known)} {kind} are {', '.join(known)}.".lstrip()


def _column_name(at: str, name: Any) -> str:
    """The column name of a field, unless it is reserved."""
    column = normalize_identifier(text(at, name))
    if column == EXTRA or column.startswith("_"):
        raise ConfigurationError(
            at,
            f"{name!r} would be the column {column}, which is reserved for the connector.",
            f'Read it into a column with another name: columns = {{ id = "{name}" }}.',
        )
    return column
