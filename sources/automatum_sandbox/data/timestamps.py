"""Format and parse the timestamps and dates of the API."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

_ZONES = (timezone(timedelta(hours=2)), timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=30)))
DAY = 86_400.0


def format_timestamp(epoch: float, style: int = 0) -> str:
    """A timestamp text.

    Args:
        epoch: Seconds since 1970, with milliseconds or without.
        style: 0 writes UTC with `Z`, as documented (`api/reference`); 1 to 3 write another offset (not documented).
    """
    zone = timezone.utc if style == 0 else _ZONES[style - 1]
    moment = datetime.fromtimestamp(epoch, zone)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text[:-6] + "Z" if style == 0 else text


def parse_timestamp(text: object) -> float:
    """Seconds since 1970; 0 for a missing or invalid text, which tests serve on purpose."""
    if not isinstance(text, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def utc_date(epoch: float) -> date:
    """The UTC date of a time in seconds since 1970."""
    return datetime.fromtimestamp(epoch, timezone.utc).date()


def parse_date(text: object) -> date | None:
    """The date of a `YYYY-MM-DD` text, None for anything else."""
    # Since Python 3.11, fromisoformat also accepts 20260115 and 2026-W03-4.
    if not isinstance(text, str) or len(text) != 10 or text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
