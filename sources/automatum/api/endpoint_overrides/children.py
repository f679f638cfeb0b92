"""The key `children`: places and columns of the lists inside each record, and further child tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...core.errors import ConfigurationError
from ...endpoints import ORGANIZATION, Child, Endpoint
from .columns import CHILD_RESERVED, changed_columns
from .values import TABLE_NAME, OverrideKey, next_step, paths, table

_KEYS = ("path", "columns")


def _children(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    found = {child.table: child for child in endpoint.children}
    if not isinstance(value, Mapping):
        example = f"{next(iter(found), f'{endpoint.table}_items')} = {{ path = 'items' }}"
        raise ConfigurationError(at, f"{value!r} is not a table of child tables.", f"Write {at}.{example}.")
    for name, changes in value.items():
        here = f"{at}.{name}"
        known = table(here, changes, _KEYS)
        if name not in found:
            found[name] = _new(here, endpoint, str(name), known, tuple(found))
        found[name] = _changed(here, found[name], known)
    return replace(endpoint, children=tuple(found.values()))


def _new(at: str, endpoint: Endpoint, name: str, changes: Mapping[str, Any], known: tuple[str, ...]) -> Child:
    if not TABLE_NAME.fullmatch(name) or name == endpoint.table or name.endswith("_history"):
        raise ConfigurationError(at, f"{name!r} is not a name for a child table.", "Use a-z, 0-9 and _.")
    if "path" not in changes:
        step = next_step(name, "Child tables", known) if known else ""
        raise ConfigurationError(at, "a new child table needs the path of its list.", f"{step} Set {at}.path.".strip())
    return Child(name, _parent_key(endpoint), (), ())


def _changed(at: str, child: Child, changes: Mapping[str, Any]) -> Child:
    if "path" in changes:
        child = replace(child, places=paths(f"{at}.path", changes["path"]))
    if "columns" in changes:
        reserved = (*CHILD_RESERVED, child.parent_key, ORGANIZATION)
        child = replace(child, columns=changed_columns(f"{at}.columns", child.columns, changes["columns"], reserved))
    return child


def _parent_key(endpoint: Endpoint) -> str:
    """The column of the parent's key in a child table: `customer_id` for `customers`."""
    if endpoint.children:
        return endpoint.children[0].parent_key
    return f"{endpoint.table.removesuffix('s')}_id"


CHILD_KEYS = (OverrideKey("children", _children, ("list",)),)
