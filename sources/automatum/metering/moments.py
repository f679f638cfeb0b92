"""Moments and days as sources write them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]+([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" *(?:([Zz]|UTC)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_ADVICE = "write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"


class Misread(ValueError):
    """A value says nothing that could be used; the message says why, without the column's name."""


def read_moment(value: Any) -> datetime | date:
    """A moment of use.

    Args:
        value: ISO 8601 text, a datetime (without a zone it is UTC), a date, or a frame's timestamp. Not a number:
            whether that counts seconds or milliseconds nobody can tell.

    Returns:
        An aware datetime in UTC; a date where the value has no time of day.

    Raises:
        Misread: It is none of these.
    """
    if isinstance(value, str):
        return _parse(value)
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        raise Misread(f"{value} is a number, not a date; turn it into a timestamp in the query")
    raise Misread(f"{_shown(value)} is not a date; {_ADVICE}")


def read_day(value: Any) -> date:
    """A day of use.

    Args:
        value: What `read_moment` takes. A moment stands for a day only if it is midnight in UTC.

    Raises:
        Misread: It is not a day.
    """
    read = read_moment(value)
    if not isinstance(read, datetime):
        return read
    if read.time() != time(0):
        raise Misread(f"{_shown(value)} has a time of day; a column of moments is called usage_at")
    return read.date()


def describe(span: timedelta) -> str:
    """A span in its largest unit: `2 h`, `3 days`."""
    seconds = int(span.total_seconds())
    for name, length in (("days", 172_800), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // (86_400 if name == 'days' else length)} {name}"
    return f"{max(seconds, 1)} s"


def _parse(text: str) -> datetime | date:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
            raise Misread(f"{_shown(text)} is a number, not a date; {_ADVICE}")
        raise Misread(f"{_shown(text)} is not a date; {_ADVICE}")
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
        raise Misread(f"{_shown(text)} is not a date: {error}") from None


def _utc(value: datetime) -> datetime:
    try:
        aware = value if value.utcoffset() is not None else value.replace(tzinfo=timezone.utc)
        utc = aware.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise Misread(f"{_shown(value)} is not a date: {error}") from None
    # A frame's timestamp is a datetime too, with nanoseconds and habits of its own.
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=timezone.utc
    )


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else f"{value} ({type(value).__name__})"
    return text if len(text) <= 60 else f"{text[:57]}..."
