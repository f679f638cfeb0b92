"""Rate limits as the settings write them."""

from __future__ import annotations

from typing import Any

from ..core.errors import ConfigurationError

Limits = tuple[tuple[int, float], ...]
"""Pairs of requests and seconds."""


def parse_limits(name: str, value: list[Any] | None, default: Limits) -> Limits:
    """The limits of a setting.

    Args:
        name: The setting.
        value: Its value, a list of [requests, seconds]; None if it is not set.
        default: The limits if it is not set.

    Raises:
        ConfigurationError: It is no such list.
    """
    if value is None:
        return default
    try:
        limits = tuple((int(requests), float(seconds)) for requests, seconds in value)
    except (TypeError, ValueError):
        limits = ()
    if not limits or any(requests < 1 or seconds <= 0 for requests, seconds in limits):
        raise ConfigurationError(
            f"sources.automatum.{name}",
            "not a list of [requests, seconds].",
            f"The default is {[list(limit) for limit in default]}.",
        )
    return limits
