"""Times of the API to UTC: ISO 8601 text, epoch numbers, and other formats that a setting names.

Without a format, a number counts as epoch seconds if it has ten digits, and as epoch milliseconds if it has thirteen:
both are times from 2001 to 2286. No other number is guessed, because 20260115 and 253402300799 have several meanings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pendulum

Converted = tuple[Any, bool]

ISO = "iso"
_EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Format to microseconds of its unit."""
FORMATS = (ISO, *_EPOCH_UNITS)
"""Formats with a name. Any other is a format of `datetime.strptime`."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-|\d{4}/|\d{8}(?:T|$)")
_SUB_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]")
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,9})?")
_DIRECTIVE = re.compile("%(.)", re.DOTALL)
_YEARS = {"Y", "y", "G"}
_SAFE_DIGITS = {10: "epoch_s", 13: "epoch_ms"}
"""Number of digits to the format that a number without a format has."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAYS = (date.min.toordinal() - EPOCH.toordinal(), date.max.toordinal() - EPOCH.toordinal())
"""First and last day that every destination stores and that Python can read again: years 1 to 9999."""
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)


def to_timestamp(value: Any, formats: Sequence[str] = ()) -> Converted:
    """A moment in UTC, and whether it is exactly the value.

    Args:
        value: JSON value.
        formats: Formats to try, in order; none: ISO 8601, and epoch numbers that are safe to guess.
    """
    if isinstance(value, bool):
        return None, False
    if not formats:
        return _guessed(value)
    for name in formats:
        moment, exact = _in_format(value, name)
        if moment is not None:
            return moment, exact
    return None, False


def to_date(value: Any, formats: Sequence[str] = ()) -> Converted:
    """A date, and whether it is exactly the value: the day as it is written, or that of an epoch number in UTC."""
    if (not formats or ISO in formats) and isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value), True
        except ValueError:
            return None, False
    moment, exact = to_timestamp(value, formats)
    if moment is None:
        return None, False
    # A date has no time of day, so only midnight UTC is exact.
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    # With an offset, midnight is on the day before in UTC.
    written = isinstance(value, str) and ISO in (formats or (ISO,)) and _DAY.match(value)
    return date.fromisoformat(value[:10]) if written else moment.date(), exact and midnight


def _guessed(value: Any) -> Converted:
    number = _number(value)
    if number is None:
        return _iso(value)
    guess = _SAFE_DIGITS.get(number.adjusted() + 1) if number > 0 else None
    if guess is None:
        return _iso(value)
    return _epoch(number, _EPOCH_UNITS[guess])


def _in_format(value: Any, name: str) -> Converted:
    if name == ISO:
        return _iso(value)
    if name in _EPOCH_UNITS:
        number = _number(value)
        return (None, False) if number is None else _epoch(number, _EPOCH_UNITS[name])
    try:
        parsed = datetime.strptime(str(value), name)
        moment = parsed.astimezone(timezone.utc) if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None, False
    return moment, True


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
    if number.adjusted() > 20:
        return None, False
    exact = number * unit
    micros = int(exact)
    if not MICROSECONDS[0] <= micros <= MICROSECONDS[1]:
        return None, False
    return EPOCH + timedelta(microseconds=micros), micros == exact


def format_problem(name: str) -> str | None:
    """What is wrong with a format of times; None if nothing is.

    Args:
        name: A name of `FORMATS`, or a format of `datetime.strptime`.
    """
    if name in FORMATS:
        return None
    if "%" not in name:
        return "is not a format of times"
    if "%Z" in name:
        return "has %Z, and names of time zones are ambiguous"
    directives = _DIRECTIVE.findall(name)
    if "d" in directives and not _YEARS.intersection(directives):
        # Python 3.13 and later warn when `strptime` gets such a format.
        return "does not have year, month and day"
    sample = datetime(2026, 11, 23, 14, 56, 58, tzinfo=timezone.utc)
    read: Callable[[str, str], datetime] = datetime.strptime
    try:
        same = read(sample.strftime(name), name).date() == sample.date()
    except (ValueError, re.error):  # re.error if a directive is there twice
        return "is not a format that datetime.strptime reads"
    return None if same else "does not have year, month and day"
