"""Keys of the columns of a table: its key, further columns, and fields that do not matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from dlt.common.normalizers.naming.snake_case import NamingConvention

from ...core.errors import ConfigurationError
from ...endpoints import Column, ColumnType, Endpoint, FieldPath
from ...schema.columns import EXTRA
from .values import OverrideKey, attribute, text, texts

_TYPES: tuple[str, ...] = get_args(ColumnType)
RESERVED = frozenset({EXTRA})
_snake_case = NamingConvention().normalize_identifier


def _key(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    names = texts(at, value)
    key = tuple(column_name(at, name) for name in names)
    if len(set(key)) < len(key):
        raise ConfigurationError(at, "names a field twice.")
    have = {column.name for column in endpoint.columns}
    added = tuple(
        Column(column, "date" if column == "date" else "text", (FieldPath(name),))
        for column, name in zip(key, names, strict=True)
        if column not in have
    )
    return replace(endpoint, key=key, columns=(*added, *endpoint.columns))


def _columns(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    if not isinstance(value, Mapping) or not all(kind in _TYPES for kind in value.values()):
        raise ConfigurationError(at, "not a table of field to type.", f"Types are {', '.join(_TYPES)}.")
    columns = {column.name: column for column in endpoint.columns}
    for name, kind in value.items():
        columns[column_name(at, name)] = Column(column_name(at, name), kind, (FieldPath(name),))
    return replace(endpoint, columns=tuple(columns.values()))


def column_name(at: str, name: Any) -> str:
    """The column name of a field, unless it is reserved."""
    column = _snake_case(text(at, name))
    if column in RESERVED or column.startswith("_"):
        raise ConfigurationError(at, f"{name!r} would be the column {column}, which is reserved for the connector.")
    return column


COLUMN_KEYS = (
    OverrideKey("key", _key),
    attribute("volatile", texts),
    OverrideKey("columns", _columns, ("report",)),
)
