"""Entitlements. The vendor documents no field of them: all names here are assumed (see `assumptions`)."""

from __future__ import annotations

import random
from array import array
from datetime import date, timedelta

from ..generated_rows import Record
from ..ids import Ids
from ..listings import Listing
from ..timestamps import format_timestamp, utc_date
from .customers import Customers
from .sample_data import CURRENCIES, money
from .trap_rows import TrapRows


class Entitlements(TrapRows):
    """The entitlements of one organization.

    Args:
        seed: Seed of the rows.
        count: Number of rows.
        customers: Their owners, which also set the marketplace.
        offers: Ids of the private offers, and their number.
        listings: Their listings.
    """

    table_number = 2
    statuses = ("active", "expired", "cancelled", "pending", "suspended")

    def __init__(
        self, seed: int, count: int, customers: Customers, offers: tuple[Ids, int], listings: tuple[Listing, ...]
    ) -> None:
        self._customers, self._offers, self._listings = customers, offers, listings
        self._customer = array("I")
        super().__init__("ent_", seed, customers.organization_id, count, customers.now)

    def _append(self, created: float, updated: float) -> None:
        self._customer.append(self._rng.randrange(max(len(self._customers), 1)))
        super()._append(created, updated)

    def _pick_vendor(self, index: int) -> int:
        owner = self._customer[index]
        return self._customers.vendor[owner] if owner < len(self._customers) else 0

    def customer_at(self, index: int) -> str:
        """Customer id of a row."""
        return self._customers.ids.at(self._customer[index])

    def _term(self, rng: random.Random, index: int) -> tuple[date, date]:
        # Active entitlements end within 400 days from now, so that "ends within 90 days" finds rows.
        start, today = utc_date(self.created[index]), utc_date(self.now)
        if self.status_at(index) in ("expired", "cancelled"):
            end = min(start + timedelta(days=rng.randrange(30, 730)), today - timedelta(days=1))
            return min(start, end), end
        return start, max(start, today) + timedelta(days=rng.randrange(1, 400))

    def _dimensions(self, rng: random.Random, listing: Listing, index: int) -> list[Record]:
        dimensions: list[Record] = []
        for position, dimension in enumerate(listing.dimensions[: index % 5]):
            # Both likely spellings, so that a reader of only one of them fails its tests.
            alternative = (index + position) % 4 == 1
            dimensions.append(
                {
                    "apiKey" if alternative else "key": dimension.key,
                    "name": dimension.name,
                    "units" if alternative else "quantity": rng.choice((1, 5, 100, 2.5, "12", None)),
                    "price": dimension.price if rng.random() < 0.5 else float(dimension.price),
                    "per" if alternative else "unit": dimension.unit,
                }
            )
        return dimensions

    def listing_at(self, index: int) -> Listing:
        """The listing of a row: on its marketplace if the organization has any there."""
        same = [entry for entry in self._listings if entry.vendor == self.vendor_at(index)] or self._listings
        return same[self._customer[index] % len(same)]

    def record(self, index: int) -> Record:
        """The entitlement as the API returns it."""
        rng, listing = self.rng(index), self.listing_at(index)
        start, end = self._term(rng, index)
        offers, count = self._offers
        record: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "customerId": self.customer_at(index),
            "vendor": self.vendor_at(index),
            "listingId": listing.id,
            "productName": listing.product,
            "planId": listing.plan if index % 9 else None,
            "status": self.status_at(index),
            "startDate": start.isoformat(),
            "endDate": end.isoformat() if index % 27 != 5 else None,
            "privateOfferId": offers.at(rng.randrange(count)) if count and index % 5 < 2 else None,
            "value": money(rng, index),
            "currency": rng.choice(CURRENCIES),
            "dimensions": self._dimensions(rng, listing, index),
            "createdAt": format_timestamp(self.created[index], self.timestamp_style(index)),
            "updatedAt": format_timestamp(self.updated[index], self.timestamp_style(index)),
        }
        if index % 4:
            record["autoRenew"] = index % 4 == 1
        if index % 21 == 2:
            record["agreement"] = {"id": f"agmt-{index:08d}", "terms": {"net": 30, "notes": "Über 30 Tage ⏳"}}
        return record
