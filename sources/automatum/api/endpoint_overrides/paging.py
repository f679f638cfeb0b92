"""Keys of the pages of a list: parameters, announced numbers, order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...core.errors import ConfigurationError
from ...endpoints import Endpoint
from .paginator import apply_first_page, apply_page_size, apply_paginator, place_of_number
from .values import OverrideKey, attribute, flag, next_step, table, text


def _parameters(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    words = sorted(endpoint.parameters)
    if not isinstance(value, Mapping) or not set(value) <= set(words):
        unknown = next((str(key) for key in value if key not in words), "") if isinstance(value, Mapping) else ""
        raise ConfigurationError(at, "not a table of parameter names.", next_step(unknown, "Keys", words))
    named = {key: text(f"{at}.{key}", name) for key, name in value.items()}
    return replace(endpoint, parameters={**endpoint.parameters, **named})


def _params(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    """Further query parameters, with values as texts, numbers, or true and false."""
    named = {}
    for name, given in table(at, value).items():
        if name in endpoint.parameters.values():
            key = next(key for key, parameter in endpoint.parameters.items() if parameter == name)
            what = "page_size sets the rows of a page" if key == "limit" else "the connector sets it with each request"
            raise ConfigurationError(f"{at}.{name}", f"{what}.", "Leave it out.")
        if isinstance(given, bool):
            named[name] = str(given).lower()
        elif isinstance(given, (int, float)):
            named[name] = str(given)
        else:
            named[name] = text(f"{at}.{name}", given)
    return replace(endpoint, params=named)


def _order(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    if value not in ("unknown", "updated_desc"):
        raise ConfigurationError(at, f"{value!r} is not an order.", "Orders are unknown (the default), updated_desc.")
    return replace(endpoint, newest_first=value == "updated_desc")


# In the order in which they are applied: the paginator says which parameters there are.
PAGING_KEYS = (
    OverrideKey("paginator", apply_paginator, ("list",)),
    OverrideKey("page_size", apply_page_size, ("list",)),
    OverrideKey("first_page", apply_first_page, ("list",)),
    OverrideKey("parameters", _parameters),
    OverrideKey("params", _params),
    attribute("total", place_of_number),
    attribute("pages", place_of_number),
    attribute("exact_total", flag, ("list",)),
    OverrideKey("order", _order, ("list",)),
)
