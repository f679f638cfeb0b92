"""Entitlements. The vendor documents no field of them: all names here are assumed (see `behaviour`)."""

from __future__ import annotations

import random
from array import array
from datetime import date, timedelta

from .customers import Customers
from .ids import Ids
from .listings import Listing
from .rows import Record, Rows
from .stamps import day_of, write_stamp
from .words import CURRENCIES, money


class Entitlements(Rows):
    """The entitlements of one organization.

    Args:
        seed: Seed of the rows.
        count: Number of rows.
        customers: Whom they belong to; the marketplace is theirs.
        offers: Ids of the private offers and how many there are.
        listings: What they are for.
    """

    kind = 2
    statuses = ("active", "expired", "cancelled", "pending", "suspended")

    def __init__(
        self, seed: int, count: int, customers: Customers, offers: tuple[Ids, int], listings: tuple[Listing, ...]
    ) -> None:
        self._customers, self._offers, self._listings = customers, offers, listings
        self._customer = array("I")
        super().__init__("ent_", seed, customers.organization_id, count, customers.now)

    def _append(self, created: float, updated: float) -> None:
        self._customer.append(self._build.randrange(max(len(self._customers), 1)))
        super()._append(created, updated)

    def _pick_vendor(self, index: int) -> int:
        owner = self._customer[index]
        return self._customers.vendor[owner] if owner < len(self._customers) else 0

    def customer_at(self, index: int) -> str:
        """Customer id of a row."""
        return self._customers.ids.at(self._customer[index])

    def _term(self, draw: random.Random, index: int) -> tuple[date, date]:
        # Active ones end between now and 400 days on, so "ends within 90 days" is never empty; the others are over.
        start, today = day_of(self.created[index]), day_of(self.now)
        if self.status_at(index) in ("expired", "cancelled"):
            end = min(start + timedelta(days=draw.randrange(30, 730)), today - timedelta(days=1))
            return min(start, end), end
        return start, max(start, today) + timedelta(days=draw.randrange(1, 400))

    def _dimensions(self, draw: random.Random, listing: Listing, index: int) -> list[Record]:
        made: list[Record] = []
        for position, dimension in enumerate(listing.dimensions[: index % 5]):
            # Both spellings that seem likely are served, so that a reader of one of them shows.
            alternative = (index + position) % 4 == 1
            made.append(
                {
                    "apiKey" if alternative else "key": dimension.key,
                    "name": dimension.name,
                    "units" if alternative else "quantity": draw.choice((1, 5, 100, 2.5, "12", None)),
                    "price": dimension.price if draw.random() < 0.5 else float(dimension.price),
                    "per" if alternative else "unit": dimension.unit,
                }
            )
        return made

    def listing_at(self, index: int) -> Listing:
        """The listing of a row: one of its marketplace, if there is any."""
        same = [entry for entry in self._listings if entry.vendor == self.vendor_at(index)] or self._listings
        return same[self._customer[index] % len(same)]

    def record(self, index: int) -> Record:
        """The entitlement as the API returns it."""
        draw, listing = self.draw(index), self.listing_at(index)
        start, end = self._term(draw, index)
        offers, count = self._offers
        made: Record = {
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
            "privateOfferId": offers.at(draw.randrange(count)) if count and index % 5 < 2 else None,
            "value": money(draw, index),
            "currency": draw.choice(CURRENCIES),
            "dimensions": self._dimensions(draw, listing, index),
            "createdAt": write_stamp(self.created[index], self.style(index)),
            "updatedAt": write_stamp(self.updated[index], self.style(index)),
        }
        if index % 4:
            made["autoRenew"] = index % 4 == 1
        if index % 21 == 2:
            made["agreement"] = {"id": f"agmt-{index:08d}", "terms": {"net": 30, "notes": "Über 30 Tage ⏳"}}
        return made
