"""Checks the rows of a source, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, get_args
from uuid import UUID

from ...core.text import printable, without_controls
from ..model import Grain, Refusal, RefusedUsage, UsageRow, bucket_start
from ..rules import VendorRules, rules_of
from .parse import ParseError, describe, read_amount, read_day, read_moment
from .readers import UnreadableRow
from .usage import TIMES, Row

_IDS = ("vendor", "listing_id", "customer_id", "dimension")
_ENTITLEMENT = "entitlement_id"
_Amount = Literal["units", "price"]
_AMOUNTS: tuple[_Amount, ...] = get_args(_Amount)
_LONGEST_AMOUNT = 60
_TEXTS = ("title", "description", "per")
_CACHED = 16_384
"""Different texts of a kind that are read once. Few rows have an id, a price or a title that no other row has."""


def validate(
    rows: Iterable[tuple[int, Row]], grain: Grain, now: Callable[[], datetime]
) -> Iterator[UsageRow | Refusal]:
    """Check each row by itself.

    Args:
        rows: Positions and values by our column names, as `read_usage` gives them.
        grain: Whether lines stand for hours or for days.
        now: Gives the current time, aware. It is asked again only if usage is later than the last answer.

    Yields:
        For each row a `UsageRow`, or one refusal that names everything that is wrong with it.
    """
    check = _Check(grain, now)
    for position, row in rows:
        yield Refusal(position, row.reason) if isinstance(row, UnreadableRow) else check.row(position, row)


class _Check:
    """Checks rows: the current one, and what is wrong with it."""

    def __init__(self, grain: Grain, ask: Callable[[], datetime]) -> None:
        self._grain = grain
        self._ask = ask
        self._now = ask()
        self._values: Mapping[str, Any] = {}
        self._wrong: list[str] = []

    def row(self, position: int, values: Mapping[str, Any]) -> UsageRow | Refusal:
        self._values, self._wrong = values, []
        vendor, listing_id, customer_id, dimension = map(self._id, _IDS)
        vendor = vendor.lower()
        rules = rules_of(vendor)
        if len(dimension) > rules.key_length:
            self._wrong.append(f"dimension: has more than {rules.key_length} characters")
        units = self._amount("units", rules)
        price = self._amount("price", rules)
        # A column of nulls is the same as none, so a blank entitlement is no part of the key.
        entitlement = None if is_missing(self._values.get(_ENTITLEMENT)) else self._id(_ENTITLEMENT)
        title, description, per = map(self._text, _TEXTS)
        used_at, day = self._use(rules)
        if self._wrong or units is None or price is None or day is None:
            usage = self._usage((vendor, listing_id, customer_id, dimension), used_at, day, entitlement)
            return Refusal(position, "; ".join(self._wrong), usage)
        texts = (title, description, per, entitlement)
        return UsageRow(position, vendor, listing_id, customer_id, dimension, units, price, used_at, day, *texts)

    def _usage(
        self, key: tuple[str, str, str, str], used_at: datetime | None, day: date | None, entitlement: str | None
    ) -> RefusedUsage:
        """What the row is about. A text that cannot be a part of a key counts as missing."""
        start = None
        if used_at is not None:
            start = bucket_start(used_at, self._grain)
        elif self._grain == "day" and day is not None:
            start = datetime.combine(day, time(0), timezone.utc)
        vendor, listing_id, customer_id, dimension = (text if text.isprintable() else "" for text in key)
        amounts = (self._values.get(name) for name in _AMOUNTS)
        units, price = ("" if is_missing(value) else printable(str(value))[:_LONGEST_AMOUNT] for value in amounts)
        if entitlement is not None and not entitlement.isprintable():
            entitlement, start = None, None
        key = (vendor, listing_id, customer_id, dimension)
        return RefusedUsage(*key, self._grain, start, units, price, day, entitlement)

    def _id(self, name: str) -> str:
        value = self._values.get(name)
        if type(value) is str and (read := _plain_id(value)):
            return read
        if is_missing(value):
            self._wrong.append(f"{name} is missing")
            return ""
        if isinstance(value, (bool, bytes, float)) or not isinstance(value, (str, int, UUID, Decimal)):
            self._wrong.append(
                f"{name}: {_shown(value)} is not text; read the column as text, so that no digit is lost"
            )
            return ""
        if isinstance(value, Decimal) and (not value.is_finite() or value.as_tuple().exponent != 0):
            self._wrong.append(f"{name}: {value} has decimals; read the column as text")
            return ""
        text = str(value).strip()
        # This also refuses text that cannot be encoded, and the separator in the ids of lines.
        if not text.isprintable():
            self._wrong.append(f"{name}: {text!r} has characters that cannot be seen")
        return text

    def _text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None or (type(value) is str and _is_plain(value)):
            return value
        if is_missing(value):
            return None
        # They are of no use on an invoice, Postgres takes no NUL, and a terminal obeys an escape.
        text = without_controls(str(value)).strip()
        if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool) or not _can_be_sent(text):
            self._wrong.append(f"{name}: {_shown(value)} is not text")
        return text

    def _amount(self, name: _Amount, rules: VendorRules) -> Decimal | None:
        value = self._values.get(name)
        if type(value) is str and (read := _plain_amount(value, name, rules.vendor)) is not None:
            return read
        # For NaN, "is not a number" says more than "is missing".
        if is_missing(value) and not isinstance(value, (float, Decimal)):
            self._wrong.append(f"{name} is missing")
            return None
        try:
            number = read_amount(value)
        except ParseError as error:
            self._wrong.append(f"{name}: {error}")
            return None
        if problem := _amount_problem(number, name, rules):
            self._wrong.append(f"{name}: {problem}")
        return number

    def _use(self, rules: VendorRules) -> tuple[datetime | None, date | None]:
        """Moment and UTC date of use; the moment is None where the row has only a date."""
        at, on = self._read("usage_at", read_moment), self._read("usage_date", read_day)
        if at is None and on is None:
            if all(is_missing(self._values.get(name)) for name in TIMES):
                self._wrong.append("usage_at (or usage_date) is missing")
            return None, None
        moment = at if isinstance(at, datetime) else None
        day = on if at is None else (at.date() if isinstance(at, datetime) else at)
        assert day is not None  # One of the two was given.
        named = "usage_date" if at is None else "usage_at"
        if on is not None and on != day:
            self._wrong.append(f"usage_at lies on {day} (UTC), usage_date is {on}")
        self._check_future(named, moment, day, rules)
        if self._grain == "hour" and moment is None:
            self._wrong.append(f"{named}: has a date only; use --grain day")
        return moment, day

    def _read(self, name: str, read: Any) -> Any:
        value = self._values.get(name)
        if is_missing(value):
            return None
        try:
            return read(value)
        except ParseError as error:
            self._wrong.append(f"{name}: {error}")
            return None

    def _check_future(self, named: str, moment: datetime | None, day: date, rules: VendorRules) -> None:
        latest = self._now + rules.future_tolerance
        if day < latest.date() or (moment is not None and moment <= latest):
            return
        self._now = self._ask()
        latest = self._now + rules.future_tolerance
        if moment is not None and moment > latest:
            ahead = describe(moment - self._now)
            self._wrong.append(f"{named} is {ahead} in the future ({moment.isoformat()})")
        elif day > latest.date():
            self._wrong.append(f"{named} is in the future ({day})")


@lru_cache(maxsize=_CACHED)
def _plain_id(value: str) -> str:
    """A text as an id; empty if it is none, which `_Check._id` describes."""
    text = value.strip()
    return text if text.isprintable() else ""


@lru_cache(maxsize=_CACHED)
def _is_plain(value: str) -> bool:
    """Whether a text can be sent as it is."""
    return bool(value) and value == without_controls(value).strip() and _can_be_sent(value)


@lru_cache(maxsize=_CACHED)
def _plain_amount(value: str, name: _Amount, vendor: str) -> Decimal | None:
    """A text as an amount that the marketplace takes; None if it is none, which `_Check._amount` describes."""
    try:
        number = read_amount(value)
    except ParseError:
        return None
    return None if _amount_problem(number, name, rules_of(vendor)) else number


def _amount_problem(number: Decimal, name: _Amount, rules: VendorRules) -> str | None:
    return rules.units_problem(number) if name == "units" else rules.price_problem(number)


def is_missing(value: Any) -> bool:
    """Whether a value is null, blank text, or a frame's value for null."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Decimal):
        return value.is_nan()
    # NaN and NaT are the only values that do not equal themselves.
    return isinstance(value, (float, datetime)) and value != value


def _can_be_sent(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
