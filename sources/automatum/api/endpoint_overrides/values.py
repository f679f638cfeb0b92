"""Checks of the values of overrides. Each raises a `ConfigurationError` that names the key."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from ...core.errors import ConfigurationError
from ...core.suggest import suggestion
from ...endpoints import WHOLE, Endpoint, Kind
from ...schema.moments import format_problem

Apply = Callable[[str, Endpoint, Any], Endpoint]
"""Applies the value of a key: dotted name of the setting, endpoint, value."""
TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NOT_IN_PATHS = re.compile(r"[\[\]*$\s]")
BOTH: tuple[Kind, ...] = ("list", "report")


@dataclass(frozen=True)
class OverrideKey:
    """One key of `[sources.automatum.endpoints.<table>]`.

    Attributes:
        name: The key.
        apply: Checks the value and returns the changed endpoint.
        kinds: Kinds of endpoints that it applies to.
    """

    name: str
    apply: Apply
    kinds: tuple[Kind, ...] = BOTH


def attribute(name: str, check: Callable[[str, Any], Any], kinds: tuple[Kind, ...] = BOTH) -> OverrideKey:
    """A key that sets the attribute of `Endpoint` with its name to the checked value."""
    return OverrideKey(name, lambda at, endpoint, value: replace(endpoint, **{name: check(at, value)}), kinds)


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
    """A dotted path, such as `data.items`; also as `$.data.items`, as `dlt` writes it. `$` alone is the whole."""
    found = text(at, value)
    found = found.removeprefix("$.") if found != WHOLE else found
    if found != WHOLE and (_NOT_IN_PATHS.search(found) or not all(found.split("."))):
        raise ConfigurationError(at, f"{value!r} is not a dotted path.", "Write it as data.items.")
    return found


def paths(at: str, value: Any) -> tuple[str, ...]:
    """A dotted path or a list of them, in the order in which they are tried."""
    return tuple(path(at, each) for each in texts(at, value))


def day_format(at: str, value: Any) -> str:
    """A format of `strftime` that has the whole date, and no time."""
    name, day = text(at, value), date(2026, 11, 23)
    try:
        usable = "%" in name and not format_problem(name)
        same = usable and datetime.strptime(day.strftime(name), name) == datetime(day.year, day.month, day.day)
    except ValueError:
        same = False
    if not same:
        raise ConfigurationError(
            at,
            f"{value!r} is not a format of a date.",
            "Write it as datetime.strftime does: %Y-%m-%d, or %Y-%m-%dT00:00:00Z.",
        )
    return name


def flag(at: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigurationError(at, f"{value!r} is not true or false.")
    return value


def number(at: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(at, f"{value!r} is not a whole number from {least}.")
    return value


def choice(at: str, value: Any, known: Collection[str], kind: str) -> str:
    """One of the known texts.

    Args:
        at: Dotted name of the setting.
        value: The value.
        known: The texts that are allowed.
        kind: What they are, in the plural and capitalized, for the message: `Orders`.
    """
    if value not in known:
        raise ConfigurationError(at, f"{value!r} is not known.", next_step(str(value), kind, known))
    return str(value)


def table(at: str, value: Any, known: Collection[str] | None = None, kind: str = "Keys") -> Mapping[str, Any]:
    """A table, whose keys are known.

    Args:
        at: Dotted name of the setting.
        value: The value.
        known: The keys that are allowed; None for any.
        kind: What the keys are, in the plural and capitalized, for the message.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(at, f"{value!r} is not a table.", next_step("", kind, known) if known else "")
    for key in value:
        if known is not None and key not in known:
            raise ConfigurationError(f"{at}.{key}", "no such key.", next_step(str(key), kind, known))
    return value


def next_step(name: str, kind: str, known: Collection[str]) -> str:
    """The next step for a name that is not known: the nearest name, and all names."""
    return f"{suggestion(name, known)} {kind} are {', '.join(known)}.".lstrip()
