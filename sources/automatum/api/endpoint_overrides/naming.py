"""The key `naming`: how an API writes the names of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...endpoints import Column, Endpoint
from .values import OverrideKey, choice

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def to_snake_case(path: str) -> str:
    """A dotted path with its names in snake_case: `pricing.totalValue` becomes `pricing.total_value`."""
    return _CAPITAL.sub(r"_\1", path).lower()


def _as_documented(path: str) -> str:
    return path


NAMINGS: dict[str, Callable[[str], str]] = {"camelCase": _as_documented, "snake_case": to_snake_case}
"""How the names of fields are written, to what makes such a name of a documented one."""


def checked_naming(at: str, value: Any) -> str:
    """A name of `NAMINGS`."""
    return choice(at, value, tuple(NAMINGS), "Namings")


def with_naming(endpoint: Endpoint, naming: str) -> Endpoint:
    """The endpoint as in `automatum.endpoints`, with all names of the vendor written this way.

    Args:
        endpoint: The endpoint without overrides.
        naming: A name of `NAMINGS`.
    """
    written = NAMINGS[naming]

    def columns_of(columns: Sequence[Column]) -> tuple[Column, ...]:
        return tuple(
            replace(one, places=tuple(replace(place, path=written(place.path)) for place in one.places))
            for one in columns
        )

    return replace(
        endpoint,
        naming=naming,
        columns=columns_of(endpoint.columns),
        children=tuple(
            replace(child, places=tuple(map(written, child.places)), columns=columns_of(child.columns))
            for child in endpoint.children
        ),
        records=tuple(map(written, endpoint.records)),
        total=written(endpoint.total),
        pages=written(endpoint.pages),
        parameters={name: written(parameter) for name, parameter in endpoint.parameters.items()},
        only_in_detail=tuple(map(written, endpoint.only_in_detail)),
    )


def _already_applied(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    """Check the value. It was applied first, because the other keys are written as the API writes them."""
    checked_naming(at, value)
    return endpoint


NAMING_KEYS = (OverrideKey("naming", _already_applied),)
