"""Parses moments, days and exact amounts of a usage source.

Unlike `schema.coerce`, which keeps as much of a value as its column can hold, these functions refuse every value that
could be read in two ways or would lose a digit.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any

_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]+([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" *(?:([Zz]|UTC)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_ADVICE = "write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"


class ParseError(ValueError):
    """A value cannot be used. The message says why, without the column's name."""


def read_moment(value: Any) -> datetime | date:
    """A moment of use.

    Args:
        value: ISO 8601 text, a datetime (UTC if it has no zone), a date, or a frame's timestamp. Not a number, because
            it could be seconds or milliseconds.

    Returns:
        An aware datetime in UTC; a date where the value has no time of day.

    Raises:
        ParseError: It is none of these.
    """
    if isinstance(value, str):
        return _parse(value)
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        raise ParseError(f"{value} is a number, not a date; turn it into a timestamp in the query")
    raise ParseError(f"{_shown(value)} is not a date; {_ADVICE}")


def read_day(value: Any) -> date:
    """A day of use.

    Args:
        value: What `read_moment` takes. A moment is a day only if it is midnight in UTC.

    Raises:
        ParseError: It is not a day.
    """
    read = read_moment(value)
    if not isinstance(read, datetime):
        return read
    if read.time() != time(0):
        raise ParseError(f"{_shown(value)} has a time of day; a column of moments is called usage_at")
    return read.date()


def describe(span: timedelta) -> str:
    """A duration in its largest unit: `2 h`, `3 days`."""
    seconds = int(span.total_seconds())
    for name, length in (("days", 172_800), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // (86_400 if name == 'days' else length)} {name}"
    return f"{max(seconds, 1)} s"


@lru_cache(maxsize=4096)  # Many rows are of one moment.
def _parse(text: str) -> datetime | date:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
            raise ParseError(f"{_shown(text)} is a number, not a date; {_ADVICE}")
        raise ParseError(f"{_shown(text)} is not a date; {_ADVICE}")
    day_text, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = found.groups()
    try:
        day = date.fromisoformat(day_text)
        if hour is None:
            return day
        zone = timezone.utc
        if sign:
            ahead = timedelta(hours=int(zone_hours), minutes=int(zone_minutes or 0))
            zone = timezone(ahead if sign == "+" else -ahead)
        microsecond = int((fraction or "0").ljust(6, "0")[:6])
        moment = datetime(
            day.year, day.month, day.day, int(hour), int(minute), int(second or 0), microsecond, tzinfo=zone
        )
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ParseError(f"{_shown(text)} is not a date: {error}") from None


def _utc(value: datetime) -> datetime:
    try:
        aware = value if value.utcoffset() is not None else value.replace(tzinfo=timezone.utc)
        utc = aware.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ParseError(f"{_shown(value)} is not a date: {error}") from None
    # A frame's timestamp is a subclass of datetime, with nanoseconds.
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=timezone.utc
    )


def _shown(value: Any) -> str:
    return _shorten(repr(value) if isinstance(value, str) else f"{value} ({type(value).__name__})")


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([,' ’_.][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+")
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_LONGEST = 60
"""Digits; more than any rule allows, and few enough to be written without an exponent."""
_CERTAIN = 15
"""Significant digits that a binary double always keeps (IEEE 754)."""


def read_amount(value: Any) -> Decimal:
    """A quantity or a price, with exactly the source's digits.

    Args:
        value: An int, a Decimal, plain decimal text such as `0.01`, or a float of at most 15 significant digits. A
            float with more digits is the result of a calculation, and the exact amount is not known.

    Returns:
        A finite number, not negative, without an exponent above 0.

    Raises:
        ParseError: It is none of these.
    """
    number = _number(value)
    if not number.is_finite():
        raise ParseError(f"{number} is not a number")
    if number.is_zero():
        return Decimal(0)
    if number < 0:
        raise ParseError(f"{_shown_amount(value)} is negative")
    exponent = int(number.as_tuple().exponent)
    if abs(number.adjusted()) > _LONGEST or abs(exponent) > _LONGEST:
        raise ParseError(f"{_shown_amount(value)} has too many digits")
    # Written out: 1E+3 is 1000.
    return Decimal(format(number, "f")) if exponent > 0 else number.copy_abs()


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise ParseError(f"{value} is not a number")
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        if abs(value) >= 10**_LONGEST:
            raise ParseError("has too many digits")
        return Decimal(value)
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, str):
        return _from_text(value)
    raise ParseError(f"{_shown_amount(value)} is not a number")


def _from_float(value: Any) -> Decimal:
    # The shortest text for this double. A frame's own float type has another repr.
    number = Decimal(float.__repr__(value))
    if number.is_finite() and len(number.normalize().as_tuple().digits) > _CERTAIN:
        raise ParseError(
            f"{number} is a float without exact digits; use a DECIMAL or text column, or round it in the query"
        )
    return number


def _from_text(value: str) -> Decimal:
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if _EXPONENT.fullmatch(text):
        raise ParseError(f"{_shown_amount(value)} has an exponent; write it out in plain digits")
    if _GROUPED.fullmatch(text):
        raise ParseError(
            f"{_shown_amount(value)} is not a number; write it with a decimal point and without separators"
        )
    raise ParseError(f"{_shown_amount(value)} is not a number")


def _shown_amount(value: Any) -> str:
    return _shorten(repr(value) if isinstance(value, str) else str(value))
