"""The body of a metering call: documented in `guide/api-integration`, checked by assumed rules."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Context, Decimal
from typing import Any, TypeGuard

from .data.organization import Organization
from .data.timestamps import parse_date
from .responses import FieldError

VENDORS = ("aws", "azure")
_DECIMAL = re.compile(r"\d+(\.\d+)?")


def read_body(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body with exact decimals, None if it is not a JSON object."""
    try:
        value = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def find_errors(body: dict[str, Any], organization: Organization, today: date, max_usages: int) -> list[FieldError]:
    """Find all errors of a metering body.

    Args:
        body: The JSON object of the request.
        organization: Owner of the listings and customers.
        today: The current UTC date.
        max_usages: Maximum length of `details.usages`.
    """
    errors: list[FieldError] = []
    if body.get("vendor") not in VENDORS:
        errors.append(("vendor", f"Must be one of {', '.join(VENDORS)}"))
    if organization.listing(body.get("listingId")) is None:
        errors.append(("listingId", "Listing not found"))
    details = body.get("details")
    if not isinstance(details, dict):
        return [*errors, ("details", "Must be an object")]
    customer = details.get("customer")
    customer_id = customer.get("id") if isinstance(customer, dict) else None
    if not isinstance(customer_id, str) or customer_id not in organization.tables["customers"]:
        errors.append(("details.customer.id", "Customer not found"))
    day = parse_date(details.get("reportingDate"))
    if day is None:
        errors.append(("details.reportingDate", "Must be a date in the form YYYY-MM-DD"))
    elif day > today:
        errors.append(("details.reportingDate", "Must not be in the future"))
    usages = details.get("usages")
    if not isinstance(usages, list) or not 1 <= len(usages) <= max_usages:
        return [*errors, ("details.usages", f"Must hold 1 to {max_usages} entries")]
    allowed = None
    if not errors:
        allowed = _dimensions(organization, str(customer_id), body["listingId"], details.get("entitlementId"))
    return errors + _check_usages(usages, allowed) + _check_charged(details.get("charged"), usages)


def _dimensions(
    organization: Organization, customer_id: str, listing_id: object, entitlement_id: object
) -> set[object]:
    """Dimension keys of the customer's active entitlements for a listing, or of the one that the call names."""
    return {
        dimension.get("key", dimension.get("apiKey"))
        for entitlement in organization.tables["entitlements"].of_customer(customer_id)
        if entitlement.get("status") == "active"
        and entitlement.get("listingId") == listing_id
        and entitlement_id in (None, entitlement.get("id"))
        for dimension in entitlement.get("dimensions") or ()
    }


def _check_usages(usages: list[Any], allowed: set[object] | None) -> list[FieldError]:
    errors: list[FieldError] = []
    for position, usage in enumerate(usages):
        at = f"details.usages[{position}]"
        if not isinstance(usage, dict):
            errors.append((at, "Must be an object"))
            continue
        key, units, price = usage.get("apiKey"), usage.get("units"), usage.get("price")
        if not isinstance(key, str) or (allowed is not None and key not in allowed):
            errors.append((f"{at}.apiKey", "Not a dimension of an active entitlement of this customer"))
        if not _is_number(units) or units < 0:
            errors.append((f"{at}.units", "Must be a number of at least 0"))
        if not isinstance(price, str) or not _DECIMAL.fullmatch(price):
            errors.append((f"{at}.price", "Must be a decimal string"))
        errors += [
            (f"{at}.{name}", "Must be a string")
            for name in ("title", "description", "per")
            if name in usage and not isinstance(usage[name], str)
        ]
    return errors


def _check_charged(charged: object, usages: list[Any]) -> list[FieldError]:
    if not _is_number(charged):
        return [("details.charged", "Must be a number")]
    exact, total = Context(prec=200), Decimal(0)  # Python's own context rounds at 28 digits
    for usage in usages:
        price = usage.get("price") if isinstance(usage, dict) else None
        units = usage.get("units") if isinstance(usage, dict) else None
        if not isinstance(price, str) or not _DECIMAL.fullmatch(price) or not _is_number(units) or units < 0:
            return []  # _check_usages reports this entry, and the sum of the others is meaningless.
        total = exact.add(total, exact.multiply(Decimal(units), Decimal(price)))
    if charged == total:
        return []
    return [("details.charged", f"Must equal the sum of units times price, {total}")]
