"""Times of the API to UTC: ISO 8601 text, and epoch numbers.

A number counts as epoch seconds if it has ten digits, and as epoch milliseconds if it has thirteen: both are times from
2001 to 2286. No other number is guessed, because 20260115 and 253402300799 have several meanings.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pendulum

Converted = tuple[Any, bool]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-|\d{4}/|\d{8}(?:T|$)")
_SUB_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,9})?")
_EPOCH_UNITS = {10: 1_000_000, 13: 1_000}
"""Number of digits to microseconds of the unit."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAYS = (date.min.toordinal() - EPOCH.toordinal(), date.max.toordinal() - EPOCH.toordinal())
"""First and last day that every destination stores and that Python can read again: years 1 to 9999."""
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)


def to_timestamp(value: Any) -> Converted:
    """A moment in UTC, and whether it is exactly the value."""
    if isinstance(value, bool):
        return None, False
    number = _number(value)
    unit = _EPOCH_UNITS.get(number.adjusted() + 1) if number is not None and number > 0 else None
    return _iso(value) if number is None or unit is None else _epoch(number, unit)


def to_date(value: Any) -> Converted:
    """A date, and whether it is exactly the value: the day as it is written, or that of an epoch number in UTC."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value), True
        except ValueError:
            return None, False
    moment, exact = to_timestamp(value)
    if moment is None:
        return None, False
    # A date has no time of day, so only midnight UTC is exact.
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    # With an offset, midnight is on the day before in UTC.
    written = isinstance(value, str) and _DAY.match(value)
    return date.fromisoformat(value[:10]) if written else moment.date(), exact and midnight


def _number(value: Any) -> Decimal | None:
    """A finite number, also as a text of digits; None for anything else."""
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) and value.isascii() else None
    if not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def _iso(value: Any) -> Converted:
    # pendulum parses "now" and times of day too, and takes them for today.
    if not isinstance(value, str) or not _MOMENT.match(value):
        return None, False
    try:
        parsed: Any = pendulum.parse(value, tz="UTC")
        # Durations and intervals parse too, and "2026-01" is not a full date.
        if not isinstance(parsed, datetime):
            return None, False
        return parsed.astimezone(timezone.utc), len(value) >= 8 and not _SUB_MICROSECONDS.search(value)
    except (ValueError, OverflowError, TypeError):  # TypeError for an interval that ends with a duration.
        return None, False


def _epoch(number: Decimal, unit: int) -> Converted:
    """A number of units since 1970; the unit in microseconds."""
    exact = number * unit
    return EPOCH + timedelta(microseconds=int(exact)), int(exact) == exact
