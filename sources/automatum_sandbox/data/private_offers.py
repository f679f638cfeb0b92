"""Private offers. The vendor documents no field of them: all names here are assumed (see `assumptions`).

Half of them are accepted, and each of these led to an entitlement of the same customer, listing, term and value.
"""

from __future__ import annotations

import random
from datetime import date
from typing import NamedTuple

from .contracts import Contract, Status, add_months, split
from .customers import HISTORY_DAYS
from .entitlements import Entitlements
from .generated_rows import GeneratedRows, Record
from .listings import Listing
from .randomness import aws_account, azure_tenant
from .timestamps import DAY, format_timestamp, utc_date

_OPEN = ("sent", "viewed", "draft", "sent", "created", "viewed")
_ACCEPT_WITHIN_DAYS = 45
_BILLING_TERMS = {1: "monthly", 3: "quarterly", 6: "upfront", 12: "annual"}
_SELLERS = ("Priya Raman", "Tom Whitfield", "Lena Vogt", "Marco Bellini")


class Offer(NamedTuple):
    """A private offer.

    Attributes:
        created: Seconds since 1970.
        sent: When it was sent, None if it was not.
        viewed: When the buyer opened it, None if they did not.
        decided: When it was accepted, cancelled, or expired, None while it is open.
        status: Its status.
        customer: Index of the customer; None before a buyer is a customer.
        contract: Index of the entitlement that it led to; None unless accepted.
        basis: The contract that it offers.
        prospect: Number of the prospect that it is made to, from 0.
    """

    created: float
    sent: float | None
    viewed: float | None
    decided: float | None
    status: str
    customer: int | None
    contract: int | None
    basis: Contract
    prospect: int


class PrivateOffers(GeneratedRows):
    """The private offers of one organization.

    Args:
        count: Number of rows.
        entitlements: The entitlements that accepted offers led to; they learn their offers here.
        listings: Listings of the organization.
    """

    table_number = 3
    statuses = ("accepted", "sent", "viewed", "created", "draft", "expired", "cancelled")

    def __init__(self, count: int, entitlements: Entitlements, listings: tuple[Listing, ...]) -> None:
        super().__init__("offer_", entitlements.seed, entitlements.organization_id, entitlements.now)
        self._entitlements, self._customers, self._listings = entitlements, entitlements.customers, listings
        self._first_prospect = len(self._customers)
        self._offers: list[Offer] = []
        for offer in sorted(self._plan(count), key=lambda one: one.created):
            self._append(offer)

    def _plan(self, count: int) -> list[Offer]:
        contracts = self._entitlements.contracts
        accepted = min(round(count * 0.5), len(contracts))
        still_open = min(round(count * 0.17), count - accepted)
        cancelled = round((count - accepted - still_open) * 0.35)
        offers = [self._accepted(index) for index in self._rng.sample(range(len(contracts)), accepted)]
        ending = self._contracts_that_end_soon()
        offers += [
            self._open(
                _OPEN[prospect % len(_OPEN)], prospect, self._rng.choice(ending) if ending and prospect % 3 else None
            )
            for prospect in range(still_open)
        ]
        for number in range(count - len(offers)):
            offers.append(self._lost("cancelled" if number < cancelled else "expired", still_open + number))
        return offers

    def _append(self, offer: Offer) -> None:
        # Whole seconds, none twice; see `GeneratedRows`.
        created = float(int(offer.created))
        self.created.append(max(created, self.created[-1] + 1) if self.created else created)
        last = max(self.created[-1], *(moment or 0.0 for moment in (offer.sent, offer.viewed, offer.decided)))
        self.updated.append(float(int(last)))
        owner = offer.customer
        if offer.contract is not None:
            self._entitlements.offers[offer.contract] = len(self._offers)
            self.vendor.append(self._entitlements.vendor[offer.contract])
        else:
            self.vendor.append(self._rng.randrange(2) if owner is None else self._customers.vendor[owner])
        self.status.append(self.statuses.index(offer.status))
        self._offers.append(offer)

    def add(self, moment: float) -> int:
        """Generate an offer that is sent to a prospect at `moment`; returns its index."""
        offer = self._open("sent", len(self), None)
        self._append(offer._replace(created=moment, sent=moment, viewed=None))
        return len(self) - 1

    def _contracts_that_end_soon(self) -> list[Contract]:
        today = utc_date(self.now).toordinal()
        return [
            one
            for one in self._entitlements.contracts
            if one.status is Status.ACTIVE and today < one.end < today + 120 and one.customer < len(self._customers)
        ]

    def _accepted(self, index: int) -> Offer:
        basis, rng = self._entitlements.contracts[index], self._rng
        decided = basis.created - rng.randrange(2, 60)
        sent = decided - rng.uniform(0.5, 30) * DAY
        viewed = sent + (decided - sent) * rng.random()
        customer = basis.customer if basis.customer < len(self._customers) else None
        return Offer(sent - rng.uniform(0.02, 4) * DAY, sent, viewed, decided, "accepted", customer, index, basis, 0)

    def _open(self, status: str, prospect: int, renewed: Contract | None) -> Offer:
        # Young enough that the time to accept has not passed.
        created = self.now - self._rng.uniform(2, _ACCEPT_WITHIN_DAYS - 5) * DAY
        steps = ("created", "sent", "viewed").index(status) if status != "draft" else 0
        sent = created + self._rng.uniform(0.02, 1) * DAY if steps > 0 else None
        viewed = sent + self._rng.uniform(0.05, 0.95) * DAY if sent is not None and steps > 1 else None
        if renewed is not None and self._customers.created[renewed.customer] < created:
            follows = renewed._replace(start=renewed.end + 1, renewal=True)
            return Offer(created, sent, viewed, None, status, renewed.customer, None, follows, prospect)
        return Offer(created, sent, viewed, None, status, None, None, self._first_contract(created), prospect)

    def _lost(self, status: str, prospect: int) -> Offer:
        rng = self._rng
        created = self.now - rng.uniform(_ACCEPT_WITHIN_DAYS + 10, HISTORY_DAYS) * DAY
        sent: float | None = created + rng.uniform(0.02, 4) * DAY
        viewed = created + rng.uniform(4, 12) * DAY if rng.random() < 0.55 else None
        decided = (sent or 0) + _ACCEPT_WITHIN_DAYS * DAY
        if status == "cancelled":
            decided = created + rng.uniform(13, 40) * DAY
            if rng.random() < 0.3:
                sent, viewed = None, None
        known = self._customers.known_at(created)
        customer = rng.randrange(known) if known and rng.random() < 0.4 else None
        return Offer(created, sent, viewed, decided, status, customer, None, self._first_contract(created), prospect)

    def _first_contract(self, moment: float) -> Contract:
        rng, start = self._rng, utc_date(moment).toordinal() + _ACCEPT_WITHIN_DAYS
        months, billing = rng.choice((12, 12, 12, 24)), rng.choice((1, 3, 12))
        seats = int(min(max(rng.lognormvariate(3.9, 0.7), 10), 400))
        end = add_months(start, months) - 1
        return Contract(
            moment, moment, 0, rng.randrange(1_000), start, end, months, seats, billing, Status.PENDING, False, None
        )

    def customer_at(self, index: int) -> str | None:
        """Customer id of a row, None before a buyer is known."""
        owner = self._offers[index].customer
        return None if owner is None else self._customers.ids.at(owner)

    def _listing(self, index: int) -> Listing:
        offer = self._offers[index]
        if offer.contract is not None:
            return self._entitlements.listing_at(offer.contract)
        same = [entry for entry in self._listings if entry.vendor == self.vendor_at(index)]
        return same[offer.basis.listing % len(same)]

    def _pricing(self, rng: random.Random, index: int, listing: Listing, currency: str) -> Record:
        offer, basis = self._offers[index], self._offers[index].basis
        if offer.contract is not None:
            discount = self._entitlements.discount_at(offer.contract)
            cents = self._entitlements.cents_at(offer.contract)
        else:
            discount, price = rng.choice((5, 10, 15, 20)), int(listing.dimensions[0].price.replace(".", ""))
            cents = basis.seats * price * basis.months * (100 - discount) // 100
        days = basis.payment_days()
        return {
            "discountType": "percentage",
            "discountPercentage": discount,
            "totalContractValue": cents / 100,
            "currency": currency,
            "billingTerm": "upfront" if len(days) == 1 else _BILLING_TERMS[basis.billing],
            "duration": f"{basis.months} months",
            "paymentSchedule": [
                {"date": date.fromordinal(day).isoformat(), "amount": part / 100}
                for day, part in zip(days, split(cents, len(days)), strict=True)
            ],
            "dimensions": [{"key": "seats", "quantity": basis.seats, "price": listing.dimensions[0].price}],
        }

    def record(self, index: int) -> Record:
        """The private offer as the API returns it."""
        offer, rng, listing, owner = self._offers[index], self.rng(index), self._listing(index), None
        vendor, basis, status = self.vendor_at(index), offer.basis, self.status_at(index)
        owner = offer.customer
        buyer = self._customers.company(self._first_prospect + offer.prospect if owner is None else owner)
        if owner is not None:
            field, account = self._customers.account(owner)
        elif vendor == "azure":
            field, account = "azureTenantId", azure_tenant(rng)
        else:
            field, account = "awsAccountId", aws_account(rng)
        expires = int(offer.sent or self.created[index]) + _ACCEPT_WITHIN_DAYS * DAY
        record: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "customerId": self.customer_at(index),
            "listingId": listing.id,
            "vendor": vendor,
            field: account,
            "companyName": buyer.name,
            "email": buyer.email,
            "name": f"{listing.product} for {buyer.name}, {basis.seats} seats",
            "status": status,
            "offerType": rng.choices(("direct", "reseller"), (85, 15))[0],
            "offerId": f"offer-{rng.getrandbits(52):013x}" if status not in ("draft", "created") else None,
            "isRenewal": basis.renewal,
            "createdBy": _SELLERS[index % len(_SELLERS)],
            "expiresAt": format_timestamp(float(expires)),
            "startDate": date.fromordinal(basis.start).isoformat(),
            "endDate": date.fromordinal(add_months(basis.start, basis.months) - 1).isoformat(),
            "pricing": self._pricing(rng, index, listing, buyer.currency),
            "createdAt": format_timestamp(self.created[index]),
            "updatedAt": format_timestamp(self.updated[index]),
        }
        times = {"sentAt": offer.sent, "viewedAt": offer.viewed}
        if status in ("accepted", "cancelled"):
            times[f"{status}At"] = offer.decided
        record |= {name: format_timestamp(float(int(moment))) for name, moment in times.items() if moment is not None}
        return record
