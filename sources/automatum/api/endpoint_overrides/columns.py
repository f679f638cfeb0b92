"""Keys of the columns of a table: their places, types and formats, further columns, and the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from ...core.errors import ConfigurationError
from ...endpoints import VENDOR, Column, ColumnType, Endpoint, FieldPath
from ...schema.columns import EXTRA, POSITION
from ...schema.moments import FORMATS, format_problem
from ...schema.names import normalize_identifier
from .values import OverrideKey, attribute, next_step, paths, table, text, texts

_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
_OF_TIME: tuple[ColumnType, ...] = ("timestamp", "date")
_COLUMN_KEYS = ("path", "type", "format")
RESERVED = frozenset({EXTRA})


def _key(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    names = texts(at, value)
    have = {column.name for column in endpoint.columns}
    key = tuple(column_name(at, name, have) for name in names)
    if len(set(key)) < len(key):
        raise ConfigurationError(at, "names a field twice.")
    added = tuple(
        Column(column, "date" if column == "date" else "text", (FieldPath(name),))
        for column, name in zip(key, names, strict=True)
        if column not in have
    )
    return replace(endpoint, key=key, columns=(*added, *endpoint.columns))


def _columns(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    columns = changed_columns(at, endpoint.columns, value)
    if endpoint.kind == "list":
        columns = _with_vendor_place(columns)
    return replace(endpoint, columns=columns)


def changed_columns(at: str, columns: Sequence[Column], value: Any, reserved: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns with the changes of a table of settings, and further columns.

    Args:
        at: Dotted name of that table.
        columns: The columns.
        value: The table: column to its place, places, type, or a table of `path`, `type` and `format`.
        reserved: Names of columns that the connector makes itself.

    Raises:
        ConfigurationError: A change is not valid.
    """
    found = {column.name: column for column in columns}
    if not isinstance(value, Mapping):
        raise ConfigurationError(at, f"{value!r} is not a table of columns.", f"Types are {', '.join(_TYPES)}.")
    for field, change in value.items():
        name = column_name(at, field, found.keys())
        if name in reserved:
            raise ConfigurationError(at, f"the connector makes the column {name} itself.", "Choose another name.")
        if name not in found and not isinstance(change, Mapping) and change not in _TYPES:
            raise ConfigurationError(
                at,
                f"{field!r} is not a column of this table, and {change!r} is not a type.",
                f"{next_step(str(field), 'Columns', found)} A further column has a type ({', '.join(_TYPES)}), "
                f'or a path and a type: {field} = {{ path = "plan.tier", type = "text" }}.',
            )
        found[name] = _changed(f"{at}.{field}", found.get(name) or Column(name, "text", (FieldPath(field),)), change)
    return tuple(found.values())


def _changed(at: str, column: Column, change: Any) -> Column:
    if change is False or change is None:
        raise ConfigurationError(
            at, "a column cannot be removed.", f"Its values would only go to the column {EXTRA}. Leave it out of views."
        )
    if isinstance(change, str) and change in _TYPES:
        return _typed(at, column, change)
    if not isinstance(change, Mapping):
        return _placed(at, column, change)
    known = table(at, change, _COLUMN_KEYS)
    if "path" in known:
        column = _placed(f"{at}.path", column, known["path"])
    if "type" in known:
        column = _typed(f"{at}.type", column, known["type"])
    return replace(column, formats=formats_of(f"{at}.format", known["format"])) if "format" in known else column


def _placed(at: str, column: Column, value: Any) -> Column:
    return replace(column, places=tuple(FieldPath(path) for path in paths(at, value)), documented=False)


def _typed(at: str, column: Column, value: Any) -> Column:
    if value not in _TYPES:
        raise ConfigurationError(at, f"{value!r} is not a type.", next_step(str(value), "Types", _TYPES))
    return replace(column, type=value)


def formats_of(at: str, value: Any) -> tuple[str, ...]:
    """Formats of times; see `automatum.schema.moments`."""
    names = texts(at, value)
    for name in names:
        if problem := format_problem(name):
            example = "or a format of datetime.strptime, such as %d/%m/%Y"
            raise ConfigurationError(
                at, f"{name!r} {problem}.", f"{next_step(name, 'Formats', FORMATS).rstrip('.')}, {example}."
            )
    return names


def _timestamps(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    return with_formats(endpoint, formats_of(at, value))


def with_formats(endpoint: Endpoint, formats: tuple[str, ...]) -> Endpoint:
    """The endpoint with these formats for each time and date, its child tables' included."""

    def changed(columns: Sequence[Column]) -> tuple[Column, ...]:
        return tuple(replace(one, formats=formats) if one.type in _OF_TIME else one for one in columns)

    children = tuple(replace(child, columns=changed(child.columns)) for child in endpoint.children)
    return replace(endpoint, columns=changed(endpoint.columns), children=children)


def _with_vendor_place(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns; places that count for one marketplace look for it where the column `vendor` does."""
    at = next((column.places[0].path for column in columns if column.name == VENDOR), VENDOR)
    return tuple(
        replace(
            column, places=tuple(replace(place, vendor_at=at) if place.vendor else place for place in column.places)
        )
        for column in columns
    )


def column_name(at: str, name: Any, have: Sequence[str] | Any = ()) -> str:
    """The column name of a field, unless it is reserved."""
    column = normalize_identifier(text(at, name))
    if column in RESERVED or column.startswith("_"):
        other = column.strip("_")
        step = (
            f"Read it into a column with another name, such as columns = {{ {other}_value = {{ path = {name!r} }} }}."
        )
        if other in have:
            step = f'Keep the column {other}, and set its place: columns = {{ {other} = "{name}" }}.'
        raise ConfigurationError(
            at, f"{name!r} would be the column {column}, which is reserved for the connector.", step
        )
    return column


COLUMN_KEYS = (
    OverrideKey("key", _key),
    attribute("volatile", texts),
    OverrideKey("columns", _columns),
    OverrideKey("timestamps", _timestamps),
)
CHILD_RESERVED = (POSITION,)
