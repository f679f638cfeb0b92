"""Daily revenue by marketplace, listing and customer: the payments of the contracts, and metered usage.

Path, parameters and fields are assumed: the vendor documents only `GET /api/v1/analytics/*`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Protocol

from .contracts import Status, add_months, split
from .entitlements import Entitlements
from .generated_rows import Record
from .randomness import seeded_random

_FEE_PERCENT = 3
"""The public rate of AWS Marketplace and of Microsoft's marketplace."""

Line = tuple[str, str, str, str]
"""Marketplace, listing, customer, currency."""


class RevenueReport(Protocol):
    """The revenue of an organization."""

    def restate(self, day: str, vendor: str, fields: Record) -> None:
        """Change the records of a past day (`YYYY-MM-DD`) and marketplace, as marketplaces do."""

    def between(self, start: date, end: date, today: date) -> list[Record]:
        """Records from `start` to `end`, both included, and none after `today`."""


class Revenue:
    """The revenue of the contracts of an organization.

    Args:
        entitlements: The contracts.
        first: First day that has records.
    """

    def __init__(self, entitlements: Entitlements, first: date) -> None:
        self._entitlements, self._first = entitlements, first.toordinal()
        self._restated: dict[tuple[str, str], Record] = {}
        self._days: Mapping[int, dict[Line, list[int]]] = {}
        self._counted = -1

    def restate(self, day: str, vendor: str, fields: Record) -> None:
        """Change the records of a past day (`YYYY-MM-DD`) and marketplace, as marketplaces do."""
        self._restated[day, vendor] = {**self._restated.get((day, vendor), {}), **fields}

    def between(self, start: date, end: date, today: date) -> list[Record]:
        """Records from `start` to `end`, both included, and none after `today`."""
        if self._counted != len(self._entitlements):
            self._days, self._counted = self._by_day(), len(self._entitlements)
        days = range(max(start.toordinal(), self._first), min(end, today).toordinal() + 1)
        return [
            self._record(date.fromordinal(day).isoformat(), line, *amounts)
            for day in days
            for line, amounts in sorted(self._days.get(day, {}).items())
        ]

    def _by_day(self) -> Mapping[int, dict[Line, list[int]]]:
        days: defaultdict[int, dict[Line, list[int]]] = defaultdict(dict)
        rows = self._entitlements
        for index, contract in enumerate(rows.contracts):
            if contract.end < self._first or contract.status is Status.PENDING:
                continue
            line = (
                rows.vendor_at(index),
                rows.listing_at(index).id,
                rows.customer_at(index),
                rows.customers.currency(contract.customer),
            )
            for day, cents in self._charges(index):
                if self._first <= day <= contract.end:
                    amounts = days[day].setdefault(line, [0, 0])
                    amounts[0] += cents
                    amounts[1] += 1
        return days

    def _charges(self, index: int) -> Iterator[tuple[int, int]]:
        """Day and cents of the payments of a contract, and of its usage at the end of each of its months."""
        contract, cents = self._entitlements.contracts[index], self._entitlements.cents_at(index)
        days = contract.payment_days()
        yield from zip(days, split(cents, len(days)), strict=True)
        rng = seeded_random(f"usage{self._entitlements.seed}-{index}")
        monthly = cents / contract.months * rng.uniform(0.02, 0.25)
        for month in range(1, contract.months + 1):
            yield add_months(contract.start, month) - 1, int(monthly * rng.uniform(0.7, 1.3)) + 1

    def _record(self, day: str, line: Line, cents: int, count: int) -> Record:
        vendor, listing_id, customer_id, currency = line
        fee = (cents * _FEE_PERCENT + 50) // 100
        record: Record = {
            "date": day,
            "vendor": vendor,
            "listingId": listing_id,
            "customerId": customer_id,
            "revenue": cents / 100,
            "netRevenue": (cents - fee) / 100,
            "marketplaceFee": fee / 100,
            "currency": currency,
            "count": count,
        }
        return {**record, **self._restated.get((day, vendor), {})}
