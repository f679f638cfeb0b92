"""Refused rows of usage: what is wrong with each, collected by line, and the lines that they may be a part of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...core.text import plural, printable
from ..model import Grain, Line, Refusal, format_decimal
from .columns import COLUMNS, REQUIRED, UNUSABLE
from .query import SCALE, WHOLE

_ADVICE = "write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([,'' ’_.][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+")
_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_DAY = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}")
_LENGTH_OF_DAY = 10
_MOST_ROWS = 10
_MOST_REASONS = 3
_LONGEST = 58


def row_problems(row: Mapping[str, str | None], in_time: bool, grain: Grain) -> Iterator[str]:
    """Why the query refuses a row.

    Args:
        row: Its texts by column; `broken`, why it cannot be read at all; `used` and `dated`, its times as read.
        in_time: Whether its time is in order.
        grain: Whether lines stand for hours or for days.
    """
    if broken := row["broken"]:
        yield broken.partition("\n")[0]
        return
    for name, kind in COLUMNS.items():
        text = row[name]
        if text is None:
            if name in REQUIRED:
                yield f"{name} is missing"
        elif text.startswith(UNUSABLE):
            yield f"{name}: {text[1:]}"
        elif kind == "amount" and (problem := _amount_problem(text)):
            yield f"{name}: {_shown(text)} {problem}"
        elif kind == "time" and row["used" if name == "usage_at" else "dated"] is None:
            yield f"{name}: {_shown(text)} {_unread_time(text)}"
    if not in_time:
        yield from _time_problems(row["usage_at"], row["usage_date"], row["used"], row["dated"], grain)


def _shown(text: str) -> str:
    return f"'{text}'" if len(text) <= _LONGEST else f"'{text[: _LONGEST - 2]}..."


def _amount_problem(text: str) -> str:
    if _PLAIN.fullmatch(text):
        whole, _, decimals = text.lstrip("+-0").partition(".")
        if text.startswith("-") and (whole + decimals).strip("0"):
            return "is negative"
        many = len(whole) > WHOLE or len(decimals.rstrip("0")) > SCALE
        most = f"{WHOLE} digits before or {SCALE} after the decimal point"
        return f"has more than {most}, and is not rounded" if many else ""
    if _EXPONENT.fullmatch(text):
        return "has an exponent; write it out in plain digits"
    advice = "; write it with a decimal point and without separators" if _GROUPED.fullmatch(text) else ""
    return f"is not a number{advice}"


def _unread_time(text: str) -> str:
    if _DAY.match(text):
        return "is not a date: there is no such day, or hour"
    number = text.replace(".", "", 1).isdigit()
    return f"is a number, not a date; {_ADVICE}" if number else f"is not a date; {_ADVICE}"


def _time_problems(at: str | None, on: str | None, used: str | None, dated: str | None, grain: Grain) -> Iterator[str]:
    if at is None and on is None:
        yield "usage_at (or usage_date) is missing"
    if (at is None) != (used is None) or (on is None) != (dated is None) or not (moment := used or dated):
        return  # What cannot be read is named already.
    name = "usage_at" if used else "usage_date"
    if on and dated and not dated.endswith(" 00:00:00"):
        yield f"usage_date: {_shown(on)} has a time of day; a column of moments is called usage_at"
    elif used and dated and used[:_LENGTH_OF_DAY] != dated[:_LENGTH_OF_DAY]:
        yield f"usage_at lies on {used[:_LENGTH_OF_DAY]} (UTC), usage_date is {dated[:_LENGTH_OF_DAY]}"
    elif grain == "hour" and len(at or "") <= _LENGTH_OF_DAY:
        yield f"{name}: has a date only; use --grain day"
    else:
        yield f"{name} is in the future ({moment} UTC)"


@dataclass(slots=True)
class _Found:
    """The refused rows of one subject."""

    line_id: str | None
    about: Mapping[str, str]
    rows: list[int] = field(default_factory=list)
    count: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def refusal(self, subject: str) -> Refusal:
        named, more = list(self.reasons)[:_MOST_REASONS], len(self.reasons) - _MOST_REASONS
        reason = "; ".join(named) + (f"; and {plural(more, 'further reason')}" if more > 0 else "")
        return Refusal(subject, tuple(self.rows), self.count, reason, self.line_id, self.about)


class Refusals:
    """The refusals of a usage, one for each subject."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}
        self._rows: dict[tuple[str, ...], list[int]] = defaultdict(list)

    def add(self, subject: str, rows: Sequence[int], count: int, reason: str, about: Mapping[str, str]) -> None:
        """Add rows; see `Refusal`.

        Args:
            subject: What they are about: the id of a line; or anything else, if their key cannot be read whole.
            rows: Positions; at most ten of them are kept.
            count: Number of rows.
            reason: What is wrong.
            about: What can be read of them; `starts_at` only if they are about a line.
        """
        line_id = subject if "starts_at" in about else None
        found = self._found.setdefault(subject, _Found(line_id, about))
        found.rows = sorted({*found.rows, *rows})[:_MOST_ROWS]
        found.count += count
        found.reasons[printable(reason).replace("\n", "\\n").replace("\t", "\\t")] = None
        if line_id is None:
            # A row whose key cannot be read may be a part of any line of its customer; without one, of none.
            self._rows[(about.get("customer_id", ""),)].extend(rows)
        elif "entitlement_id" not in about:
            # Without an entitlement, it may be a part of a line with one.
            names = ("vendor", "listing_id", "customer_id", "dimension", "starts_at")
            self._rows[tuple(about[name] for name in names)].extend(rows)

    def of(self, line: Line) -> Refusal | None:
        """Why a line must not be sent: refused rows are, or may be, a part of it. None if there are none."""
        if (own := self._found.get(line.id)) is not None:
            return own.refusal(line.id)
        plain_key = (line.vendor, line.listing_id, line.customer_id, line.dimension, line.starts_at.isoformat())
        rows = sorted({*self._rows.get((line.customer_id,), ()), *self._rows.get(plain_key, ())}) if self._rows else []
        if not rows:
            return None
        named = ", ".join(map(str, rows[:_MOST_ROWS])) + (" ..." if len(rows) > _MOST_ROWS else "")
        reason = f"refused in the usage, and possibly a part of it: row {named}; correct the rows first"
        return Refusal(line.id, tuple(rows[:_MOST_ROWS]), len(rows), reason, line.id, about_line(line))

    def all(self) -> tuple[Refusal, ...]:
        """Every refusal, in the order of the rows."""
        made = (found.refusal(subject) for subject, found in self._found.items())
        return tuple(sorted(made, key=lambda refusal: (refusal.rows, refusal.subject)))


def about_line(line: Line) -> dict[str, str]:
    """What a refusal says of a line."""
    names = ("customer_id", "listing_id", "vendor", "dimension", "entitlement_id")
    about = {name: getattr(line, name) for name in names if getattr(line, name)}
    amounts = {"units": format_decimal(line.units), "price": format_decimal(line.price)}
    return {**about, "starts_at": line.starts_at.isoformat(), **amounts}
