"""The contracts behind entitlements, private offers and revenue: terms that are renewed, cancelled or left to end."""

from __future__ import annotations

import random
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date
from enum import IntEnum
from typing import NamedTuple

from .timestamps import DAY, utc_date

RENEWAL_RATE = 0.86
"""Share of terms that are followed by another one."""
_CANCELLED = 0.03
_SUSPENDED = 0.015
_SIGNED_EARLY = 0.35
_LONGEST_LEAD_DAYS = 30
_TERMS_PER_CUSTOMER = 1.42
"""Expected number of terms of one contract within the history; more entitlements than that are further contracts."""


class Status(IntEnum):
    """Status of a term. The value is the position in `Entitlements.statuses`."""

    ACTIVE = 0
    EXPIRED = 1
    CANCELLED = 2
    PENDING = 3
    SUSPENDED = 4


class Contract(NamedTuple):
    """One term of a contract: an entitlement.

    Attributes:
        created: Seconds since 1970; the term is agreed.
        updated: Seconds since 1970; its last change.
        customer: Index of the customer.
        listing: Number that selects one of the marketplace's listings.
        start: Ordinal of the first day.
        end: Ordinal of the last day; the day of the cancellation for a cancelled term.
        months: Agreed length.
        seats: Number of seats.
        billing: Months between two payments.
        status: Its status now.
        renewal: It follows another term.
        auto_renew: Renews automatically; None: not stated.
    """

    created: float
    updated: float
    customer: int
    listing: int
    start: int
    end: int
    months: int
    seats: int
    billing: int
    status: Status
    renewal: bool
    auto_renew: bool | None

    def payment_days(self) -> list[int]:
        """Ordinals of the days of all agreed payments."""
        return [add_months(self.start, step) for step in range(0, self.months, self.billing)]


def add_months(day: int, months: int) -> int:
    """Ordinal of the same day some months later, at most the month's last."""
    first = date.fromordinal(day)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, min(first.day, monthrange(year, month + 1)[1])).toordinal()


def split(cents: int, parts: int) -> list[int]:
    """Equal parts of an amount; the last takes the remainder."""
    return [cents // parts] * (parts - 1) + [cents - cents // parts * (parts - 1)]


class Planner:
    """Makes contracts.

    Args:
        rng: Random generator.
        now: Seconds since 1970; nothing happens after it.
    """

    def __init__(self, rng: random.Random, now: float) -> None:
        self._rng, self._now = rng, now
        self._today = utc_date(now).toordinal()

    def contracts(self, count: int, customer_created: Sequence[float], history_days: int) -> list[Contract]:
        """Exactly `count` terms, by creation.

        Args:
            count: Number of terms.
            customer_created: Time of creation of each customer, ascending.
            history_days: Days before now in which contracts of an organization without customers begin.
        """
        customers = len(customer_created)
        first = min(customers, max(round(count / _TERMS_PER_CUSTOMER), 1)) if count else 0
        buyers = [position * customers // first for position in range(first)]
        self._rng.shuffle(buyers)
        found: list[Contract] = []
        while len(found) < count:
            if buyers:
                buyer = buyers.pop()
                begin = customer_created[buyer]
            else:
                buyer = self._rng.randrange(customers) if customers else 0
                known = customer_created[buyer] if customers else self._now - history_days * DAY
                begin = known + (self._now - known) * self._rng.random()
            # Of a contract that has too many terms the earlier ones are left out, so that none ends without reason.
            found += list(self._terms(buyer, begin))[len(found) - count :]
        return _by_creation(found, self._now)

    def new(self, customer: int, moment: float) -> Contract:
        """An active contract that begins at `moment`."""
        made = self._term(customer, self._rng.randrange(1_000), moment, utc_date(moment).toordinal(), 40, False)
        return made._replace(updated=moment, status=Status.ACTIVE)

    def _terms(self, customer: int, begin: float) -> Iterator[Contract]:
        rng, created, start = self._rng, float(int(begin)), utc_date(begin).toordinal()
        listing, renewal = rng.randrange(1_000), False
        seats = min(max(rng.lognormvariate(3.9, 0.75), 5), 400)
        while True:
            term = self._term(customer, listing, created, start, int(seats), renewal)
            yield term
            lead = rng.randrange(1, _LONGEST_LEAD_DAYS) if rng.random() < _SIGNED_EARLY else 0
            created = float(int(_seconds(term.end + 1 - lead) + rng.random() * 0.5 * DAY))
            if term.status is Status.CANCELLED or created > self._now or rng.random() > RENEWAL_RATE:
                return
            start, renewal = term.end + 1, True
            seats = min(max(seats * rng.uniform(0.85, 1.45), 5), 600)

    def _term(self, customer: int, listing: int, created: float, start: int, seats: int, renewal: bool) -> Contract:
        rng = self._rng
        months = rng.choices((6, 12, 24, 36), (12, 70, 12, 6))[0]
        billing = rng.choices((1, 3, 12), (60, 15, 25))[0]
        end, updated, status = add_months(start, months) - 1, created, Status.ACTIVE
        if rng.random() < _CANCELLED and start + 45 < min(end, self._today):
            end, status = rng.randrange(start + 30, min(end, self._today)), Status.CANCELLED
            updated = _seconds(end) + rng.randrange(int(DAY))
        elif end < self._today:
            updated, status = _seconds(end + 1) + rng.randrange(60, 600), Status.EXPIRED
        elif start > self._today:
            status = Status.PENDING
        elif rng.random() < _SUSPENDED:
            status = Status.SUSPENDED
        if status in (Status.ACTIVE, Status.SUSPENDED) and rng.random() < 0.4:
            updated = created + int((self._now - created) * rng.random())
        auto_renew = rng.choices((True, False, None), (55, 38, 7))[0]
        return Contract(
            created,
            min(max(updated, created), self._now),
            customer,
            listing,
            start,
            end,
            months,
            seats,
            min(billing, months),
            status,
            renewal,
            auto_renew,
        )


def _seconds(day: int) -> float:
    return (day - date(1970, 1, 1).toordinal()) * DAY


def _by_creation(contracts: list[Contract], now: float) -> list[Contract]:
    contracts.sort(key=lambda one: one.created)
    ordered: list[Contract] = []
    for one in contracts:
        # No two in one second: ties would be ordered by id, and rows are in the order of their creation.
        created = max(one.created, ordered[-1].created + 1) if ordered else one.created
        ordered.append(one._replace(created=created, updated=max(one.updated, created)))
    return ordered
