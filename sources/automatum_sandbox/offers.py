"""Private offers. The vendor documents no field of them: all names here are assumed (see `behaviour`)."""

from __future__ import annotations

import random
from array import array
from datetime import timedelta

from .customers import Customers, aws_account, azure_tenant
from .listings import Listing
from .rows import Record, Rows
from .stamps import DAY, day_of, write_stamp
from .words import COMPANIES, CURRENCIES, PEOPLE, money

_SENT = ("sent", "viewed", "accepted", "expired")


class Offers(Rows):
    """The private offers of one organization.

    Args:
        seed: Seed of the rows.
        count: Number of rows.
        customers: Whom they may be for; one offer in four has no customer yet.
        listings: What they are for.
    """

    kind = 3
    statuses = ("accepted", "sent", "viewed", "created", "draft", "expired", "cancelled")

    def __init__(self, seed: int, count: int, customers: Customers, listings: tuple[Listing, ...]) -> None:
        self._customers, self._listings = customers, listings
        self._customer = array("I")
        super().__init__("offer_", seed, customers.organization_id, count, customers.now)

    def _append(self, created: float, updated: float) -> None:
        self._customer.append(self._build.randrange(max(len(self._customers), 1)))
        super()._append(created, updated)

    def customer_at(self, index: int) -> str | None:
        """Customer id of a row, None before a buyer is known."""
        return None if index % 4 == 1 else self._customers.ids.at(self._customer[index])

    def _pricing(self, draw: random.Random, index: int, listing: Listing) -> Record:
        start = day_of(self.created[index])
        schedule: list[Record] = [
            {"date": (start + timedelta(days=30 * part)).isoformat(), "amount": money(draw, index + part)}
            for part in range(index % 4)
        ]
        return {
            "discountType": "percentage" if index % 2 else "absolute",
            "discountPercentage": draw.choice((10, 12.5, "33.333333333", None)) if index % 2 else None,
            "totalContractValue": money(draw, index),
            "currency": draw.choice(CURRENCIES),
            "billingTerm": draw.choice(("monthly", "annual", "upfront")),
            "duration": draw.choice(("12 months", "P1Y", 36)),
            "paymentSchedule": schedule,
            "dimensions": [{"key": entry.key, "price": entry.price} for entry in listing.dimensions[: index % 3]],
        }

    def _steps(self, index: int, status: str) -> Record:
        # The sent, viewed and accepted moments lie between creation and the last update.
        created, updated = self.created[index], self.updated[index]
        moments: Record = {}
        if status in _SENT:
            moments["sentAt"] = write_stamp(created)
        if status in ("viewed", "accepted"):
            moments["viewedAt"] = write_stamp(created + (updated - created) / 2)
        if status in ("accepted", "cancelled"):
            moments[f"{status}At"] = write_stamp(updated)
        return moments

    def record(self, index: int) -> Record:
        """The private offer as the API returns it."""
        draw, vendor, status = self.draw(index), self.vendor_at(index), self.status_at(index)
        same = [entry for entry in self._listings if entry.vendor == vendor] or self._listings
        listing, start = same[index % len(same)], day_of(self.created[index])
        lifetime = draw.randrange(7, 120) * DAY
        expires = min(self.created[index] + lifetime, self.now - DAY) if status == "expired" else self.now + lifetime
        made: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "customerId": self.customer_at(index),
            "listingId": listing.id,
            "vendor": vendor,
            "companyName": f"{COMPANIES[(index * 7) % len(COMPANIES)]} {index}",
            "email": f"{PEOPLE[index % len(PEOPLE)]}.{index}@example.com" if index % 11 else None,
            "name": f"Offer № {index} — {listing.product}",
            "status": status,
            "offerType": draw.choice(("direct", "reseller", "channel")),
            "expiresAt": write_stamp(float(int(expires)), self.style(index)),
            "startDate": start.isoformat(),
            "endDate": (start + timedelta(days=365)).isoformat(),
            "pricing": self._pricing(draw, index, listing),
            "createdAt": write_stamp(self.created[index], self.style(index)),
            "updatedAt": write_stamp(self.updated[index], self.style(index)),
            **self._steps(index, status),
        }
        made["azureTenantId" if vendor == "azure" else "awsAccountId"] = (
            azure_tenant(draw) if vendor == "azure" else aws_account(draw)
        )
        if index % 6 == 0:
            made["description"] = "Zeile eins\nline two\tтаб 𝒜"
        if index % 16 == 9:
            made["approvals"] = [{"by": "legal", "ok": True}, {"by": "财务", "ok": None}]
        return made
