"""All keys of `[sources.automatum.endpoints.<table>]`, and of an entry of `[[sources.automatum.reports]]`.

To add a key, add an `OverrideKey` to the table of its topic: `PAGING_KEYS`, `COLUMN_KEYS`, `DETAIL_KEYS`, or
`_PLACE_KEYS` here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.errors import ConfigurationError
from ...endpoints import Endpoint
from .columns import COLUMN_KEYS
from .details import DETAIL_KEYS, DETAIL_PATH
from .paging import PAGING_KEYS
from .values import OverrideKey, attribute, next_step, table, text, texts

_PLACE_KEYS = (
    attribute("path", lambda at, value: text(at, value).strip("/")),
    attribute("records", texts),
)
_IDENTITY = ("path", "key", DETAIL_PATH)
"""Attributes that decide which record answers at which URL."""
KEYS: dict[str, OverrideKey] = {key.name: key for key in (*_PLACE_KEYS, *PAGING_KEYS, *COLUMN_KEYS, *DETAIL_KEYS)}


def override(where: str, endpoint: Endpoint, changes: Any) -> Endpoint:
    """The endpoint with the overrides of its table of settings.

    Args:
        where: Dotted name of that table.
        endpoint: The endpoint.
        changes: The table of settings.

    Raises:
        ConfigurationError: A key is not known for this kind of endpoint, or its value is wrong.
    """
    given, before = table(where, changes), endpoint
    for name, value in sorted(given.items(), key=lambda entry: entry[0] == DETAIL_PATH):  # It names a column.
        key = KEYS.get(name)
        if key is None or endpoint.kind not in key.kinds:
            known = [each.name for each in KEYS.values() if endpoint.kind in each.kinds]
            raise ConfigurationError(f"{where}.{name}", "no such setting.", next_step(name, "Settings", known))
        endpoint = key.apply(f"{where}.{name}", endpoint, value)
    same = all(getattr(endpoint, name) == getattr(before, name) for name in _IDENTITY)
    # What a documented path and key allow to conclude is not known of others.
    return replace(endpoint, documented=endpoint.documented and same)
