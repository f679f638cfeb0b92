"""Entitlements: the terms of `contracts`. The vendor documents no field of them: all names here are assumed."""

from __future__ import annotations

from datetime import date

from .contracts import Contract, Planner
from .customers import HISTORY_DAYS, Customers
from .generated_rows import GeneratedRows, Record
from .ids import Ids
from .listings import Listing
from .randomness import seeded_random
from .timestamps import format_timestamp

_DISCOUNTS = (5, 10, 10, 15, 20, 25)


class Entitlements(GeneratedRows):
    """The entitlements of one organization.

    Args:
        seed: Seed of the rows.
        count: Number of rows.
        customers: Their owners, which also set the marketplace. Their status is set here.
        listings: Their listings.
    """

    table_number = 2
    statuses = ("active", "expired", "cancelled", "pending", "suspended")

    def __init__(self, seed: int, count: int, customers: Customers, listings: tuple[Listing, ...]) -> None:
        super().__init__("ent_", seed, customers.organization_id, customers.now)
        self.customers, self._listings = customers, listings
        self._planner = Planner(self._rng, customers.now)
        self.contracts: list[Contract] = []
        self.offers: dict[int, int] = {}
        """Index of the private offer by index of the entitlement that it led to."""
        self.offer_ids = Ids("offer_", seed)
        for contract in self._planner.contracts(count, customers.created, HISTORY_DAYS):
            self._append(contract)
        customers.apply_contracts(self.contracts)

    def _append(self, contract: Contract) -> None:
        self.contracts.append(contract)
        self.created.append(contract.created)
        self.updated.append(contract.updated)
        owner = contract.customer
        self.vendor.append(self.customers.vendor[owner] if owner < len(self.customers) else 0)
        self.status.append(contract.status)

    def add(self, moment: float) -> int:
        """Generate an active entitlement of any customer, created at `moment`; returns its index."""
        self._append(self._planner.new(self._rng.randrange(max(len(self.customers), 1)), moment))
        return len(self) - 1

    def customer_at(self, index: int) -> str:
        """Customer id of a row."""
        return self.customers.ids.at(self.contracts[index].customer)

    def listing_at(self, index: int) -> Listing:
        """The listing of a row, on its marketplace."""
        same = [entry for entry in self._listings if entry.vendor == self.vendor_at(index)]
        return same[self.contracts[index].listing % len(same)]

    def discount_at(self, index: int) -> int:
        """Discount in percent: private offers have one."""
        if index not in self.offers:
            return 0
        return seeded_random(f"discount{self.seed}-{index}").choice(_DISCOUNTS)

    def cents_at(self, index: int) -> int:
        """Contract value of a row in cents: seats, at the listing's price, for the months of the term."""
        contract = self.contracts[index]
        price = int(self.listing_at(index).dimensions[0].price.replace(".", ""))
        return contract.seats * price * contract.months * (100 - self.discount_at(index)) // 100

    def _dimensions(self, index: int, listing: Listing) -> list[Record]:
        used = 1 + self.contracts[index].listing % len(listing.dimensions)
        dimensions: list[Record] = [
            {"key": entry.key, "name": entry.name, "price": entry.price, "unit": entry.unit}
            for entry in listing.dimensions[:used]
        ]
        # The seats are part of the contract. The other dimensions are metered.
        dimensions[0]["quantity"] = self.contracts[index].seats
        return dimensions

    def record(self, index: int) -> Record:
        """The entitlement as the API returns it."""
        contract, listing, owner = self.contracts[index], self.listing_at(index), self.contracts[index].customer
        offer = self.offers.get(index)
        record: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "customerId": self.customer_at(index),
            "vendor": self.vendor_at(index),
            "listingId": listing.id,
            "productName": listing.product,
            "planId": listing.plan,
            "status": self.status_at(index),
            "startDate": date.fromordinal(contract.start).isoformat(),
            "endDate": date.fromordinal(contract.end).isoformat(),
            "privateOfferId": None if offer is None else self.offer_ids.at(offer),
            "value": self.cents_at(index) / 100,
            "currency": self.customers.currency(owner),
            "dimensions": self._dimensions(index, listing),
            "createdAt": format_timestamp(self.created[index]),
            "updatedAt": format_timestamp(self.updated[index]),
        }
        if contract.auto_renew is not None:
            record["autoRenew"] = contract.auto_renew
        return record
