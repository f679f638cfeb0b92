"""Metering calls that were accepted, their events, and the usage that would be accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from .data.organization import Organization, find_organization
from .data.timestamps import format_timestamp
from .metering_body import VENDORS


@dataclass
class AcceptedCall:
    """An accepted metering call.

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


@dataclass(frozen=True)
class Billable:
    """A listing and customer for which metering accepts usage.

    Attributes:
        prices: Price of one unit (decimal text) by dimension key.
        entitlement_id: The entitlement under which it does.
    """

    vendor: str
    listing_id: str
    customer_id: str
    prices: dict[str, str]
    entitlement_id: str


class Metering:
    """The accepted calls and their events.

    Args:
        organizations: Organizations by id.
        lock: Lock of the sandbox.
        calendar: The sandbox's time in seconds since 1970.
    """

    def __init__(
        self,
        organizations: Mapping[str, Organization],
        lock: AbstractContextManager[Any],
        calendar: Callable[[], float],
    ) -> None:
        self._organizations, self._lock, self._calendar = organizations, lock, calendar
        self._accepted: list[AcceptedCall] = []
        self._events: list[dict[str, Any]] = []

    @property
    def accepted(self) -> list[AcceptedCall]:
        """Accepted calls, oldest first."""
        with self._lock:
            return list(self._accepted)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Events, oldest first.

        `metering.submitted`, `.confirmed`, `.failed`: names from `guide/notifications`, envelope assumed.
        """
        with self._lock:
            return list(self._events)

    def billable(self, organization: str | None = None) -> list[Billable]:
        """Usage that metering accepts, of one organization (its id), by default the first.

        These are the active entitlements with dimensions, of customers in the list, on marketplaces with metering.
        """
        with self._lock:
            return _find_billable(find_organization(self._organizations, organization))

    def accept(self, call: AcceptedCall) -> None:
        """Add an accepted call and its event `metering.submitted`."""
        with self._lock:
            self._accepted.append(call)
            self._add_event("submitted", call)

    def settle(self, meter_id: str, outcome: Literal["confirmed", "failed"]) -> None:
        """Confirm or fail an accepted call, and add its event.

        Raises:
            KeyError: There is no such call.
        """
        with self._lock:
            for call in self._accepted:
                if call.id == meter_id:
                    call.status = outcome
                    self._add_event(outcome, call)
                    return
        raise KeyError(meter_id)

    def clear(self) -> None:
        """Forget all calls and events."""
        with self._lock:
            self._accepted.clear()
            self._events.clear()

    def _add_event(self, event: str, call: AcceptedCall) -> None:
        details = call.body["details"]
        self._events.append(
            {
                "id": f"evt_{len(self._events) + 1:08d}",
                "event": f"metering.{event}",
                "timestamp": format_timestamp(float(int(self._calendar()))),
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


def _find_billable(organization: Organization) -> list[Billable]:
    prices = {listing.id: {entry.key: entry.price for entry in listing.dimensions} for listing in organization.listings}
    customers, entitlements = organization.tables["customers"], organization.tables["entitlements"]
    rows, _ = entitlements.page(1, max(len(entitlements), 1), {"status": "active"})
    found = []
    for row in rows:
        keys = [entry.get("key", entry.get("apiKey")) for entry in row.get("dimensions") or ()]
        known = prices.get(str(row.get("listingId")), {})
        own = {str(key): known.get(str(key), "1") for key in keys if key is not None}
        if own and row.get("vendor") in VENDORS and str(row.get("customerId")) in customers:
            found.append(Billable(row["vendor"], row["listingId"], row["customerId"], own, row["id"]))
    return found
