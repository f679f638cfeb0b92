"""Private offers. The vendor documents no field of them: all names here are assumed (see `assumptions`)."""

from __future__ import annotations

import random
from array import array
from datetime import timedelta

from ..generated_rows import Record
from ..listings import Listing
from ..randomness import aws_account, azure_tenant
from ..timestamps import DAY, format_timestamp, utc_date
from .customers import Customers
from .sample_data import COMPANIES, CURRENCIES, PEOPLE, money
from .trap_rows import TrapRows

_SENT = ("sent", "viewed", "accepted", "expired")


class PrivateOffers(TrapRows):
    """The private offers of one organization.

    Args:
        seed: Seed of the rows.
        count: Number of rows.
        customers: Their customers; one offer in four has none yet.
        listings: Their listings.
    """

    table_number = 3
    statuses = ("accepted", "sent", "viewed", "created", "draft", "expired", "cancelled")

    def __init__(self, seed: int, count: int, customers: Customers, listings: tuple[Listing, ...]) -> None:
        self._customers, self._listings = customers, listings
        self._customer = array("I")
        super().__init__("offer_", seed, customers.organization_id, count, customers.now)

    def _append(self, created: float, updated: float) -> None:
        self._customer.append(self._rng.randrange(max(len(self._customers), 1)))
        super()._append(created, updated)

    def customer_at(self, index: int) -> str | None:
        """Customer id of a row, None before a buyer is known."""
        return None if index % 4 == 1 else self._customers.ids.at(self._customer[index])

    def _pricing(self, rng: random.Random, index: int, listing: Listing) -> Record:
        start = utc_date(self.created[index])
        schedule: list[Record] = [
            {"date": (start + timedelta(days=30 * part)).isoformat(), "amount": money(rng, index + part)}
            for part in range(index % 4)
        ]
        return {
            "discountType": "percentage" if index % 2 else "absolute",
            "discountPercentage": rng.choice((10, 12.5, "33.333333333", None)) if index % 2 else None,
            "totalContractValue": money(rng, index),
            "currency": rng.choice(CURRENCIES),
            "billingTerm": rng.choice(("monthly", "annual", "upfront")),
            "duration": rng.choice(("12 months", "P1Y", 36)),
            "paymentSchedule": schedule,
            "dimensions": [{"key": entry.key, "price": entry.price} for entry in listing.dimensions[: index % 3]],
        }

    def _status_times(self, index: int, status: str) -> Record:
        # The times of sent, viewed and accepted are between creation and the last update.
        created, updated = self.created[index], self.updated[index]
        times: Record = {}
        if status in _SENT:
            times["sentAt"] = format_timestamp(created)
        if status in ("viewed", "accepted"):
            times["viewedAt"] = format_timestamp(created + (updated - created) / 2)
        if status in ("accepted", "cancelled"):
            times[f"{status}At"] = format_timestamp(updated)
        return times

    def record(self, index: int) -> Record:
        """The private offer as the API returns it."""
        rng, vendor, status = self.rng(index), self.vendor_at(index), self.status_at(index)
        same = [entry for entry in self._listings if entry.vendor == vendor] or self._listings
        listing, start = same[index % len(same)], utc_date(self.created[index])
        lifetime = rng.randrange(7, 120) * DAY
        expires = min(self.created[index] + lifetime, self.now - DAY) if status == "expired" else self.now + lifetime
        record: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "customerId": self.customer_at(index),
            "listingId": listing.id,
            "vendor": vendor,
            "companyName": f"{COMPANIES[(index * 7) % len(COMPANIES)]} {index}",
            "email": f"{PEOPLE[index % len(PEOPLE)]}.{index}@example.com" if index % 11 else None,
            "name": f"Offer № {index} — {listing.product}",
            "status": status,
            "offerType": rng.choice(("direct", "reseller", "channel")),
            "expiresAt": format_timestamp(float(int(expires)), self.timestamp_style(index)),
            "startDate": start.isoformat(),
            "endDate": (start + timedelta(days=365)).isoformat(),
            "pricing": self._pricing(rng, index, listing),
            "createdAt": format_timestamp(self.created[index], self.timestamp_style(index)),
            "updatedAt": format_timestamp(self.updated[index], self.timestamp_style(index)),
            **self._status_times(index, status),
        }
        record["azureTenantId" if vendor == "azure" else "awsAccountId"] = (
            azure_tenant(rng) if vendor == "azure" else aws_account(rng)
        )
        if index % 6 == 0:
            record["description"] = "Zeile eins\nline two\tтаб 𝒜"
        if index % 16 == 9:
            record["approvals"] = [{"by": "legal", "ok": True}, {"by": "财务", "ok": None}]
        return record
