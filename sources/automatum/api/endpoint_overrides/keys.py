"""All keys of `[sources.automatum.endpoints.<table>]`, and of an entry of `[[sources.automatum.reports]]`.

To add a key, add an `OverrideKey` to the table of its topic: `PAGING_KEYS`, `COLUMN_KEYS`, `CHILD_KEYS`, `DETAIL_KEYS`,
or `_PLACE_KEYS` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...core.errors import ConfigurationError
from ...endpoints import Endpoint
from .children import CHILD_KEYS
from .columns import COLUMN_KEYS
from .details import DETAIL_KEYS, DETAIL_PATH
from .naming import NAMING_KEYS
from .paginator import check_twice
from .paging import PAGING_KEYS
from .values import OverrideKey, attribute, choice, day_format, next_step, path, paths, table, text


def _filters(at: str, value: Any) -> dict[str, str]:
    """Which filters the API has: a list of columns, or a table of columns and the vendor's parameters."""
    if isinstance(value, Mapping):
        return {name: text(f"{at}.{name}", parameter) for name, parameter in table(at, value, _FILTERS).items()}
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(
            at, f"{value!r} is not a list.", 'Write it as [] for none, or as { status = "state", vendor = "cloud" }.'
        )
    return {choice(at, name, _FILTERS, "Filters"): str(name) for name in value}


_PLACE_KEYS = (
    attribute("path", lambda at, value: text(at, value).strip("/")),
    attribute("records", paths),
    attribute("detail", path, ("list",)),
    attribute("filters", _filters, ("list",)),
    attribute("date_format", day_format, ("report",)),
)
_WORDS_OF_DLT = {"data_selector": "records", "primary_key": "key", "params": "parameters", "fields": "columns"}
"""Words of dlt's `rest_api` that users may know, to ours."""
_FILTERS = ("status", "vendor")
_ALL = (*_PLACE_KEYS, *PAGING_KEYS, *COLUMN_KEYS, *CHILD_KEYS, *DETAIL_KEYS, *NAMING_KEYS)
KEYS: dict[str, OverrideKey] = {key.name: key for key in _ALL}
_PAGING = [key.name for key in PAGING_KEYS]


def _turn(entry: tuple[str, Any]) -> int:
    """When a key is applied: paging in its order, then the others as they come, and at last what names a column."""
    name = entry[0]
    return _PAGING.index(name) if name in _PAGING else len(_PAGING) + (name == DETAIL_PATH)


def override(where: str, endpoint: Endpoint, changes: Any) -> Endpoint:
    """The endpoint with the overrides of its table of settings, but for `naming`, which is applied before.

    Args:
        where: Dotted name of that table.
        endpoint: The endpoint.
        changes: The table of settings.

    Raises:
        ConfigurationError: A key is not known for this kind of endpoint, or its value is wrong.
    """
    given, before = table(where, changes), endpoint
    check_twice(where, given)
    for name, value in sorted(given.items(), key=_turn):
        key = KEYS.get(name)
        if key is None or endpoint.kind not in key.kinds:
            known = [each.name for each in KEYS.values() if endpoint.kind in each.kinds]
            named = _WORDS_OF_DLT.get(name)
            step = f"It is {named} here. Settings are {', '.join(known)}." if named in known else ""
            raise ConfigurationError(f"{where}.{name}", "no such setting.", step or next_step(name, "Settings", known))
        endpoint = key.apply(f"{where}.{name}", endpoint, value)
    # What a documented path and key allow to conclude is not known of others.
    return replace(endpoint, documented=endpoint.documented and _identity(endpoint) == _identity(before))


def _identity(endpoint: Endpoint) -> tuple[Any, ...]:
    """What decides which record answers at which URL."""
    own = [column.places for column in endpoint.columns if column.name == endpoint.own_column]
    return endpoint.path, endpoint.key, endpoint.detail_path, own
