"""Metering: the documented body (`guide/api-integration`) checked by assumed rules, and the events that follow."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from typing import Any, TypeGuard

from .answers import FieldError
from .organization import Organization
from .stamps import read_day, write_stamp

VENDORS = ("aws", "azure")
_DECIMAL = re.compile(r"\d+(\.\d+)?")


@dataclass
class Accepted:
    """A metering call that was taken in.

    Attributes:
        id: `meter_` and 8 characters.
        body: The call's body; numbers with decimals are `Decimal`.
        status: `queued`, then `confirmed` or `failed`.
        time: Seconds since 1970 by the sandbox's clock.
    """

    id: str
    organization_id: str
    client_id: str
    body: dict[str, Any]
    time: float
    status: str = "queued"


@dataclass
class MeteringLog:
    """Everything taken in, and the events about it.

    Attributes:
        accepted: Calls in order of acceptance.
        events: `metering.submitted`, `.confirmed`, `.failed`: names from `guide/notifications`, envelope assumed.
    """

    accepted: list[Accepted] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0

    def note(self, event: str, call: Accepted, calendar: float) -> None:
        """Write down an event."""
        self.made += 1
        details = call.body["details"]
        self.events.append(
            {
                "id": f"evt_{self.made:08d}",
                "event": f"metering.{event}",
                "timestamp": write_stamp(float(int(calendar))),
                "organizationId": call.organization_id,
                "data": {
                    "id": call.id,
                    "status": call.status,
                    "vendor": call.body["vendor"],
                    "listingId": call.body["listingId"],
                    "customerId": details["customer"]["id"],
                    "reportingDate": details["reportingDate"],
                    "usages": details["usages"],
                },
            }
        )


@dataclass(frozen=True)
class Billable:
    """Something that metering would accept.

    Attributes:
        prices: Price of one unit (decimal text) by dimension key.
    """

    vendor: str
    listing_id: str
    customer_id: str
    prices: dict[str, str]


def find_billable(organization: Organization) -> list[Billable]:
    """All active entitlements with dimensions, of customers that are listed, on marketplaces that take metering."""
    prices = {entry.key: entry.price for listing in organization.listings for entry in listing.dimensions}
    customers, entitlements = organization.tables["customers"], organization.tables["entitlements"]
    rows, _ = entitlements.page(1, max(len(entitlements), 1), {"status": "active"})
    found = []
    for row in rows:
        keys = [entry.get("key", entry.get("apiKey")) for entry in row.get("dimensions") or ()]
        own = {str(key): prices.get(str(key), "1") for key in keys if key is not None}
        if own and row.get("vendor") in VENDORS and str(row.get("customerId")) in customers:
            found.append(Billable(row["vendor"], row["listingId"], row["customerId"], own))
    return found


def read_body(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body with exact decimals, None if it is none."""
    try:
        value = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def check(body: dict[str, Any], organization: Organization, today: date, most: int) -> list[FieldError]:
    """Everything that is wrong with a metering body.

    Args:
        body: What was sent.
        organization: Whose listings and customers count.
        today: The current UTC date.
        most: Most entries of `details.usages`.
    """
    found: list[FieldError] = []
    if body.get("vendor") not in VENDORS:
        found.append(("vendor", f"Must be one of {', '.join(VENDORS)}"))
    if organization.listing(body.get("listingId")) is None:
        found.append(("listingId", "Listing not found"))
    details = body.get("details")
    if not isinstance(details, dict):
        return [*found, ("details", "Must be an object")]
    customer = details.get("customer")
    customer_id = customer.get("id") if isinstance(customer, dict) else None
    if not isinstance(customer_id, str) or customer_id not in organization.tables["customers"]:
        found.append(("details.customer.id", "Customer not found"))
    day = read_day(details.get("reportingDate"))
    if day is None:
        found.append(("details.reportingDate", "Must be a date in the form YYYY-MM-DD"))
    elif day > today:
        found.append(("details.reportingDate", "Must not be in the future"))
    usages = details.get("usages")
    if not isinstance(usages, list) or not 1 <= len(usages) <= most:
        return [*found, ("details.usages", f"Must hold 1 to {most} entries")]
    allowed = None if found else _dimensions(organization, str(customer_id), body["listingId"])
    return found + _check_usages(usages, allowed) + _check_charged(details.get("charged"), usages)


def _dimensions(organization: Organization, customer_id: str, listing_id: object) -> set[object]:
    """Dimension keys of the customer's active entitlements for a listing."""
    return {
        dimension.get("key", dimension.get("apiKey"))
        for entitlement in organization.tables["entitlements"].of_customer(customer_id)
        if entitlement.get("status") == "active" and entitlement.get("listingId") == listing_id
        for dimension in entitlement.get("dimensions") or ()
    }


def _check_usages(usages: list[Any], allowed: set[object] | None) -> list[FieldError]:
    found: list[FieldError] = []
    for position, usage in enumerate(usages):
        at = f"details.usages[{position}]"
        if not isinstance(usage, dict):
            found.append((at, "Must be an object"))
            continue
        key, units, price = usage.get("apiKey"), usage.get("units"), usage.get("price")
        if not isinstance(key, str) or (allowed is not None and key not in allowed):
            found.append((f"{at}.apiKey", "Not a dimension of an active entitlement of this customer"))
        if not _is_number(units) or units < 0:
            found.append((f"{at}.units", "Must be a number of at least 0"))
        if not isinstance(price, str) or not _DECIMAL.fullmatch(price):
            found.append((f"{at}.price", "Must be a decimal string"))
        found += [
            (f"{at}.{name}", "Must be a string")
            for name in ("title", "description", "per")
            if name in usage and not isinstance(usage[name], str)
        ]
    return found


def _check_charged(charged: object, usages: list[Any]) -> list[FieldError]:
    if not _is_number(charged):
        return [("details.charged", "Must be a number")]
    exact, total = Context(prec=200), Decimal(0)  # Python's own context rounds at 28 digits
    for usage in usages:
        price = usage.get("price") if isinstance(usage, dict) else None
        units = usage.get("units") if isinstance(usage, dict) else None
        if not isinstance(price, str) or not _DECIMAL.fullmatch(price) or not _is_number(units) or units < 0:
            return []  # The entry itself is reported already; a sum of the others would only mislead.
        total = exact.add(total, exact.multiply(Decimal(units), Decimal(price)))
    if charged == total:
        return []
    return [("details.charged", f"Must equal the sum of units times price, {total}")]
