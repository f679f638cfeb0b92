"""Lines against the synced tables: does the customer exist, and hold what was used?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timezone
from typing import TYPE_CHECKING, Any

from ..endpoints import CUSTOMERS, ENTITLEMENTS
from ..schema.columns import DELETED_AT
from ..warehouse.sql import as_utc, read_columns
from .model import Line

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_ACTIVE = "active"
_DIMENSIONS = ENTITLEMENTS.children[0]
_SYNC = "run `automatum sync` if it is new"


@dataclass(frozen=True)
class _Customer:
    vendor: str | None
    deleted: bool


@dataclass(frozen=True)
class _Entitlement:
    """One entitlement; None is what the API did not say, and counts for the customer."""

    id: str
    listing_id: str | None
    vendor: str | None
    status: str | None
    start: date | None
    end: date | None

    def active_on(self, day: date) -> bool:
        if self.start is not None and day < self.start:
            return False
        if self.status is None and self.end is None:
            return True
        return self.status == _ACTIVE or (self.end is not None and day <= self.end)


@dataclass(frozen=True)
class Eligibility:
    """Who may be billed for what, as of the last sync.

    Attributes:
        customers: By id; None if that is not known.
        entitlements: By customer's id; None if that is not known.
        dimensions: Keys by the entitlement's id; it has no entry for one whose dimensions are not known.
    """

    customers: dict[str, _Customer] | None
    entitlements: dict[str, list[_Entitlement]] | None
    dimensions: dict[str, set[str]]

    def why_not(self, line: Line) -> str | None:
        """Why a line cannot be billed; None if nothing speaks against it."""
        return self._why_not_customer(line) or self._why_not_entitlement(line)

    def _why_not_customer(self, line: Line) -> str | None:
        if self.customers is None:
            return None
        customer = self.customers.get(line.customer_id)
        if customer is None:
            return f"customer_id: {line.customer_id} is not among the synced customers; {_SYNC}"
        if customer.deleted:
            return f"customer_id: {line.customer_id} was deleted"
        if customer.vendor not in (None, line.vendor):
            return f"vendor: {line.customer_id} is a customer on {customer.vendor}, not on {line.vendor}"
        return None

    def _why_not_entitlement(self, line: Line) -> str | None:
        if self.entitlements is None:
            return None
        own = self.entitlements.get(line.customer_id, [])
        own = [one for one in own if one.listing_id in (None, line.listing_id)]
        if not own:
            return f"listing_id: {line.customer_id} has no entitlement for {line.listing_id}; {_SYNC}"
        here = [one for one in own if one.vendor in (None, line.vendor)]
        if not here:
            return f"vendor: the entitlement for {line.listing_id} is on {own[0].vendor}, not on {line.vendor}"
        active = [one for one in here if one.active_on(line.day)]
        if not active:
            return f"listing_id: no entitlement of {line.customer_id} for {line.listing_id} was active on {line.day}"
        # An entitlement whose dimensions are not known may hold any.
        known = [self.dimensions.get(one.id, set()) for one in active]
        held = set[str]().union(*known)
        if all(known) and line.dimension not in held:
            return f"dimension: {line.dimension} is not among those of the entitlement: {', '.join(sorted(held))}"
        return None


def read_eligibility(pipeline: SupportsPipeline, organization_id: str | None = None) -> Eligibility | None:
    """Read the synced tables, once.

    What is not known is not checked: a table that is not there or is empty, a column that is null throughout. The API's
    fields for entitlements are assumptions.

    Args:
        pipeline: The pipeline that syncs them.
        organization_id: Whose rows, where the tables hold those of several organizations.

    Returns:
        What they hold; None if there are neither customers nor entitlements. An organization beside others that are
        synced has no customers until it is synced itself.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    customers = _read_customers(pipeline, organization_id)
    if customers is None and organization_id is not None and _read_customers(pipeline, None):
        # Others' customers are known: until its own are, whatever it is told to bill may be theirs.
        customers = {}
    entitlements = _read_entitlements(pipeline, organization_id)
    if customers is None and entitlements is None:
        return None
    dimensions: dict[str, set[str]] = defaultdict(set)
    if entitlements is not None:
        columns = (_DIMENSIONS.parent_key, "key")
        for parent, key in read_columns(pipeline, _DIMENSIONS.table, columns, organization_id=organization_id):
            if parent and key:
                dimensions[parent].add(key)
    return Eligibility(customers, entitlements, dict(dimensions))


def _read_customers(pipeline: SupportsPipeline, organization_id: str | None) -> dict[str, _Customer] | None:
    rows = read_columns(pipeline, CUSTOMERS.table, ("id", "vendor", DELETED_AT), organization_id=organization_id)
    found: dict[str, _Customer] = {}
    for id_, vendor, deleted_at in rows:
        found[id_] = _Customer(_lower(vendor), deleted_at is not None)
    return found or None


def _read_entitlements(pipeline: SupportsPipeline, organization_id: str | None) -> dict[str, list[_Entitlement]] | None:
    columns = (
        "id",
        "customer_id",
        "listing_id",
        "vendor",
        "status",
        "start_date",
        "end_date",
        "expires_at",
        DELETED_AT,
    )
    found: dict[str, list[_Entitlement]] = defaultdict(list)
    linked = False
    for id_, customer_id, listing_id, vendor, status, start, end, expires_at, deleted_at in read_columns(
        pipeline, ENTITLEMENTS.table, columns, organization_id=organization_id
    ):
        linked = linked or bool(customer_id)
        if customer_id and deleted_at is None:
            last = _day(end) or _day(expires_at)
            found[customer_id].append(
                _Entitlement(id_, listing_id or None, _lower(vendor), _lower(status), _day(start), last)
            )
    return dict(found) if linked else None


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None


def _day(value: Any) -> date | None:
    return as_utc(value).astimezone(timezone.utc).date() if value else None
