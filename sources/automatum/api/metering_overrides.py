"""The table `[sources.automatum.metering]`: the path, the names and the forms of values of a metering body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..endpoints import METERING, MeteringForm
from .endpoint_overrides import choice, path, table, text

_WHERE = "sources.automatum.metering"
_KEYS = ("path", "fields", "numbers", "reporting_date", "naming")
_OPTIONAL = ("vendor", "entitlement_id", "charged", "title", "description", "per")
_NUMBERS = ("units", "price", "charged")
_FORMS = ("text", "number")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def to_snake_case(name: str) -> str:
    """A dotted path with its names in snake_case: `pricing.totalValue` becomes `pricing.total_value`."""
    return _CAPITAL.sub(r"_\1", name).lower()


_NAMINGS: dict[str, Callable[[str], str]] = {"camelCase": str, "snake_case": to_snake_case}


def resolve_metering(settings: AutomatumSettings) -> MeteringForm:
    """The form of a metering body, with the overrides of the settings.

    Args:
        settings: Resolved settings.

    Raises:
        ConfigurationError: A key is not known, or its value is wrong.
    """
    given = table(_WHERE, {} if settings.metering is None else settings.metering, _KEYS)
    written = _NAMINGS[choice(f"{_WHERE}.naming", given.get("naming", "camelCase"), _NAMINGS, "Namings")]
    form = replace(
        METERING,
        fields={name: written(at) for name, at in METERING.fields.items()},
        usage_fields={name: written(at) for name, at in METERING.usage_fields.items()},
    )
    if "path" in given:
        form = replace(form, path=text(f"{_WHERE}.path", given["path"]).strip("/"))
    if "reporting_date" in given:
        form = replace(form, day_format=_day_format(f"{_WHERE}.reporting_date", given["reporting_date"]))
    if "numbers" in given:
        form = replace(form, texts=_texts(f"{_WHERE}.numbers", form.texts, given["numbers"]))
    return _with_fields(f"{_WHERE}.fields", form, given["fields"]) if "fields" in given else form


def _day_format(at: str, value: Any) -> str:
    """A format of `strftime` that has the whole date, and no time."""
    name, day = text(at, value), date(2026, 11, 23)
    try:
        dated = "%Y" in name or "%y" in name  # Python 3.13 and later warn of a format without a year.
        read = datetime.strptime(day.strftime(name), name) if dated else None
    except (ValueError, re.error):
        read = None
    if read != datetime(day.year, day.month, day.day):
        raise ConfigurationError(
            at,
            f"{value!r} is not a format of a date.",
            "Write it as datetime.strftime does: %Y-%m-%d, or %Y-%m-%dT00:00:00Z.",
        )
    return name


def _texts(at: str, before: frozenset[str], value: Any) -> frozenset[str]:
    given = table(at, value, _NUMBERS)
    forms = {name: choice(f"{at}.{name}", form, _FORMS, "Forms") for name, form in given.items()}
    return frozenset(name for name in _NUMBERS if forms.get(name, "text" if name in before else "number") == "text")


def _with_fields(at: str, form: MeteringForm, value: Any) -> MeteringForm:
    given = table(at, value, (*form.fields, *form.usage_fields), "Fields")
    named = {name: _place(f"{at}.{name}", name, place) for name, place in given.items()}

    def changed(fields: Mapping[str, str]) -> dict[str, str]:
        places = {name: named.get(name, place) for name, place in fields.items()}
        kept = {name: place for name, place in places.items() if place is not None}
        for name, place in kept.items():
            _check_apart(f"{at}.{name}", place, [other for key, other in kept.items() if key != name])
        return kept

    return replace(form, fields=changed(form.fields), usage_fields=changed(form.usage_fields))


def _place(at: str, name: str, value: Any) -> str | None:
    """The dotted path of a field; None to leave it out."""
    if value is False:
        if name not in _OPTIONAL:
            raise ConfigurationError(
                at, "usage cannot be sent without it.", f"Only {', '.join(_OPTIONAL)} can be false."
            )
        return None
    return path(at, value)


def _check_apart(at: str, place: str, others: list[str]) -> None:
    for other in others:
        if place == other or other.startswith(f"{place}."):
            raise ConfigurationError(at, f"{place!r} is also the place of another field ({other}).")
