"""The types that all parts of metering share, and exact arithmetic with money."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import cached_property
from typing import Literal

Grain = Literal["hour", "day"]

NAMESPACE = uuid.UUID("a439eeb9-fc0f-4765-8284-456ffd47814a")
"""Namespace of the ids of lines. Never change it: with new ids, lines in the ledger would be billed again."""

_NAMESPACE = NAMESPACE.bytes

UNKNOWN_CURRENCY = "unknown"
"""Currency of amounts for which no synced entitlement names one."""

LENGTHS: dict[Grain, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


def exact() -> Context:
    """A decimal context that raises `decimal.Inexact` where Python's default context rounds silently at 28 digits.

    Each call returns a new context, because a context belongs to one thread.
    """
    return _EXACT.copy()


_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Only copied: a copy takes a tenth of the time of a new context."""


def format_decimal(number: Decimal) -> str:
    """A finite number as text: exact, without an exponent, without zeros at the end (`15.00` is `15`)."""
    digits = format(number, "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return "0" if digits in ("-0", "") else digits


def format_money(amount: Decimal, currency: str) -> str:
    """An amount with its currency, such as `12.5 USD`, or `3 of unknown currency`."""
    return f"{format_decimal(amount)} {'of unknown currency' if currency == UNKNOWN_CURRENCY else currency}"


def bucket_start(moment: datetime, grain: Grain) -> datetime:
    """Start of the UTC hour or day of an aware moment."""
    utc = moment.astimezone(timezone.utc)
    hour = utc.hour if grain == "hour" else 0
    return utc.replace(hour=hour, minute=0, second=0, microsecond=0)


def _uuid(parts: Iterable[str]) -> str:
    """A UUIDv5 (RFC 9562) as text. `uuid.uuid5` makes the same in three times the time, and a push needs two a line."""
    digest = bytearray(hashlib.sha1(_NAMESPACE + "\x1f".join(parts).encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows of the usage that are not sent, for one reason.

    Attributes:
        subject: Id of the line that they belong to; where their key cannot be read, a hash of the source's name and of
            what can be read. The same for the same rows of a later push.
        rows: Positions in the source: the line of a CSV file (the header is line 1), otherwise the row, from 1. At most
            ten of them.
        count: Number of rows.
        reason: What is wrong, for people; it begins with the column, such as `units: `, if it is about one.
        line_id: Id of the line; None if the key cannot be read.
        about: What can be read of customer, listing, dimension, start, units and price, as text, for people.
    """

    subject: str
    rows: tuple[int, ...]
    count: int
    reason: str
    line_id: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """Usage of one dimension by one customer in one hour or on one day. The unit of billing.

    Attributes:
        vendor: Marketplace, in lower case.
        listing_id: Automatum's id of the listing.
        customer_id: Automatum's id of the customer.
        dimension: Key of the dimension in the listing.
        grain: Hour or day.
        starts_at: Start of that hour or day, in UTC.
        units: Sum of the rows.
        price: Price of one unit.
        title: Display name of the dimension.
        description: Text.
        per: Name of the unit, such as `request`.
        rows: Number of rows of the usage that it sums.
        entitlement_id: Automatum's id of the entitlement, if the usage names one. It is a part of the key then.
        carried_from: Id of the line whose late usage this line bills; None for usage of its own hour or day.
        carry_number: 1 for the first line that is carried from that line, 2 for the second; 0 for no such line.
        currency: ISO code of the entitlement that it is billed under; `UNKNOWN_CURRENCY` if none is known.
    """

    vendor: str
    listing_id: str
    customer_id: str
    dimension: str
    grain: Grain
    starts_at: datetime
    units: Decimal
    price: Decimal
    title: str | None = None
    description: str | None = None
    per: str | None = None
    rows: int = 0
    entitlement_id: str | None = None
    carried_from: str | None = None
    carry_number: int = 0
    currency: str = UNKNOWN_CURRENCY

    @cached_property
    def id(self) -> str:
        """Id that depends only on vendor, listing, customer, dimension, grain and start; and on the entitlement, and
        the line that it is carried from, where it has them.
        """
        parts = [self.vendor, self.listing_id, self.customer_id, self.dimension, self.grain, self.starts_at.isoformat()]
        if self.entitlement_id is not None:
            parts += ["entitlement", self.entitlement_id]
        if self.carried_from is not None:
            parts += ["carried from", self.carried_from, str(self.carry_number)]
        return _uuid(parts)

    @cached_property
    def date_key(self) -> str:
        """Id of its key and date without the grain: the same for a day and its hours."""
        return _uuid((self.vendor, self.listing_id, self.customer_id, self.dimension, self.day.isoformat()))

    @property
    def ends_at(self) -> datetime:
        """End of the hour or day, exclusive."""
        return self.starts_at + LENGTHS[self.grain]

    @property
    def day(self) -> date:
        """UTC date of use, the API's `reportingDate`."""
        return self.starts_at.date()

    @property
    def charged(self) -> Decimal:
        """Units times price, exact."""
        return exact().multiply(self.units, self.price)

    def with_keys(self, line_id: str, date_key: str) -> Line:
        """This line, with the ids that the ledger has: there, texts of the key may be escaped."""
        vars(self).update(id=line_id, date_key=date_key)
        return self


def amounts(lines: Iterable[Line]) -> dict[str, Decimal]:
    """Sum of `charged` of lines, exact, by currency, in the order of the currencies."""
    context, found = exact(), dict[str, Decimal]()
    for line in lines:
        found[line.currency] = context.add(found.get(line.currency, Decimal(0)), line.charged)
    return dict(sorted(found.items()))
