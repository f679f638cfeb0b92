"""Checks lines against the synced tables: does the customer exist, with an entitlement for what was used?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..endpoints import CUSTOMERS, ENTITLEMENTS
from ..schema.columns import DELETED_AT
from ..warehouse.sql import as_utc, read_column_names, stream_columns
from ..warehouse.sql_client import one_client
from .model import UNKNOWN_CURRENCY, Line, exact

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_ACTIVE = "active"
_NOT_BILLABLE = frozenset({"pending", "suspended", "paused", "draft"})
"""Statuses under which nothing is billed, whatever the dates. Usage of a term that has ended since can still be billed,
if it is of the days of the term."""
_DIMENSIONS = ENTITLEMENTS.children[0]
_MOST_NAMED = 5
"""Entitlements that a message names."""
_NO_PRICES: frozenset[Decimal] = frozenset()
_SYNC = "run `automatum sync` if it is new"


@dataclass(frozen=True)
class _Customer:
    vendor: str | None
    deleted: bool


@dataclass(frozen=True)
class _Entitlement:
    """An entitlement. None is a value that the API did not give; it is no reason to refuse a line."""

    id: str
    listing_id: str | None
    vendor: str | None
    status: str | None
    start: date | None
    end: date | None
    currency: str | None

    def inactive_on(self, day: date) -> str | None:
        """Why nothing of a day can be billed under it; None if it can."""
        if self.start is not None and day < self.start:
            return f"{self.id} begins on {self.start}"
        if self.end is not None and day > self.end:
            return f"{self.id} ended on {self.end}"
        if self.status in _NOT_BILLABLE or (self.end is None and self.status not in (None, _ACTIVE)):
            return f"{self.id} is {self.status}"
        return None

    def active_on(self, day: date) -> bool:
        """Whether usage of a day can be billed under it."""
        return self.inactive_on(day) is None


@dataclass(frozen=True)
class Eligibility:
    """Customers and entitlements as of the last sync.

    Attributes:
        customers: Customers by id; None if they are not known.
        entitlements: Entitlements by customer id; None if they are not known.
        dimensions: Key of each dimension to its prices, by entitlement id. A dimension without a known price has no
            prices; an entitlement whose dimensions are not known has no entry.
    """

    customers: dict[str, _Customer] | None
    entitlements: dict[str, list[_Entitlement]] | None
    dimensions: Mapping[str, Mapping[str, frozenset[Decimal]]]

    def problem(self, line: Line) -> str | None:
        """Why a line cannot be billed; None if it can."""
        return self._customer_problem(line) or self._entitlement_problem(line)

    @property
    def missing(self) -> list[str]:
        """Tables that are not synced, or empty, so that nothing was checked against them."""
        found = {CUSTOMERS.table: self.customers, ENTITLEMENTS.table: self.entitlements}
        return [table for table, content in found.items() if content is None]

    def currency(self, line: Line) -> str | None:
        """Currency of the entitlements that a line is billed under; None if they name none, or different ones."""
        named = {entitlement.currency for entitlement in self._live(line)}
        return next(iter(named)) if len(named) == 1 else None

    def charged_by_currency(self, lines: Iterable[Line]) -> dict[str, Decimal]:
        """Sum of `charged` of lines, exact, by currency; `UNKNOWN_CURRENCY` where no entitlement names one."""
        context, found = exact(), dict[str, Decimal]()
        for line in lines:
            currency = self.currency(line) or UNKNOWN_CURRENCY
            found[currency] = context.add(found.get(currency, Decimal(0)), line.charged)
        return dict(sorted(found.items()))

    def prices(self, line: Line) -> frozenset[Decimal]:
        """Prices of a line's dimension in the entitlements that it is billed under; empty if they name none."""
        own = (self.dimensions.get(entitlement.id, {}) for entitlement in self._live(line))
        known = [prices.get(line.dimension, _NO_PRICES) for prices in own]
        return known[0] if len(known) == 1 else _NO_PRICES.union(*known)

    def _live(self, line: Line) -> list[_Entitlement]:
        """The entitlements that a line is billed under."""
        return [
            entitlement
            for entitlement in (self.entitlements or {}).get(line.customer_id, [])
            if entitlement.listing_id in (None, line.listing_id)
            and entitlement.vendor in (None, line.vendor)
            and line.entitlement_id in (None, entitlement.id)
            and entitlement.active_on(line.day)
        ]

    def _customer_problem(self, line: Line) -> str | None:
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

    def _entitlement_problem(self, line: Line) -> str | None:
        if self.entitlements is None:
            return None
        own = self.entitlements.get(line.customer_id, [])
        own = [entitlement for entitlement in own if entitlement.listing_id in (None, line.listing_id)]
        if not own:
            return f"listing_id: {line.customer_id} has no entitlement for {line.listing_id}; {_SYNC}"
        if line.entitlement_id is not None:
            own = [entitlement for entitlement in own if entitlement.id == line.entitlement_id]
            if not own:
                return (
                    f"entitlement_id: {line.customer_id} has no entitlement {line.entitlement_id} for "
                    f"{line.listing_id}; {_SYNC}"
                )
        on_vendor = [entitlement for entitlement in own if entitlement.vendor in (None, line.vendor)]
        if not on_vendor:
            return f"vendor: the entitlement for {line.listing_id} is on {own[0].vendor}, not on {line.vendor}"
        active = [entitlement for entitlement in on_vendor if entitlement.active_on(line.day)]
        if not active:
            reasons = ", ".join(str(entitlement.inactive_on(line.day)) for entitlement in on_vendor[:_MOST_NAMED])
            return (
                f"listing_id: no entitlement of {line.customer_id} for {line.listing_id} was active on {line.day} "
                f"({reasons}, as of the last sync)"
            )
        # An entitlement whose dimensions are not known may have any.
        known = [self.dimensions.get(entitlement.id, {}) for entitlement in active]
        keys = set[str]().union(*known)
        if all(known) and line.dimension not in keys:
            return f"dimension: {line.dimension} is not among those of the entitlement: {', '.join(sorted(keys))}"
        # One that is known to have the dimension comes before those whose dimensions are not known.
        with_keys = list(zip(active, known, strict=True))
        having = [entitlement for entitlement, own_keys in with_keys if line.dimension in own_keys]
        fitting = having or [entitlement for entitlement, own_keys in with_keys if not own_keys]
        if line.entitlement_id is None and len(fitting) > 1:
            ids = ", ".join(sorted(entitlement.id for entitlement in fitting)[:_MOST_NAMED])
            return (
                f"entitlement_id is missing: {line.customer_id} has {len(fitting)} active entitlements for "
                f"{line.listing_id} with {line.dimension} ({ids}); name the one that was used"
            )
        return None


UNCHECKED = Eligibility(None, None, {})
"""Nothing is known of customers and entitlements, so nothing is checked."""


def read_eligibility(pipeline: SupportsPipeline, organization_id: str | None = None) -> Eligibility:
    """Read the synced tables.

    Missing data is not checked: a table that is missing or empty, a column that is always null. The API's field names
    for entitlements are assumptions.

    Args:
        pipeline: The pipeline that syncs the tables.
        organization_id: Organization of the rows, if the tables contain several organizations.

    Returns:
        Their content; `UNCHECKED` if there are neither customers nor entitlements. If the tables contain only other
        organizations, this one has no customers until it is synced.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    with one_client(pipeline):
        return _read_eligibility(pipeline, organization_id)


def _read_eligibility(pipeline: SupportsPipeline, organization_id: str | None) -> Eligibility:
    customers = _read_customers(pipeline, organization_id)
    if customers is None and organization_id is not None and _read_customers(pipeline, None):
        # Only other organizations are synced, so this usage may be for their customers.
        customers = {}
    entitlements = _read_entitlements(pipeline, organization_id)
    if customers is None and entitlements is None:
        return UNCHECKED
    dimensions = {} if entitlements is None else _read_dimensions(pipeline, organization_id)
    return Eligibility(customers, entitlements, dimensions)


def _read_dimensions(
    pipeline: SupportsPipeline, organization_id: str | None
) -> dict[str, dict[str, frozenset[Decimal]]]:
    """Prices of the dimensions by entitlement and key.

    There may be hundreds of thousands, but few different keys and prices, so equal ones are one object.
    """
    columns = [_DIMENSIONS.parent_key, "key"]
    if {*columns, "price"} <= read_column_names(pipeline, _DIMENSIONS.table):
        columns.append("price")
    found: dict[str, dict[str, frozenset[Decimal]]] = {}
    keys: dict[str, str] = {}
    single: dict[Any, frozenset[Decimal]] = {None: _NO_PRICES}
    for parent, key, *named in stream_columns(pipeline, _DIMENSIONS.table, columns, organization_id=organization_id):
        if parent and key:
            price = named[0] if named else None
            if price not in single:
                single[price] = frozenset({Decimal(str(price))})
            own = found.setdefault(parent, {})
            before = own.get(key)
            own[keys.setdefault(key, key)] = before | single[price] if before else single[price]
    return found


def _read_customers(pipeline: SupportsPipeline, organization_id: str | None) -> dict[str, _Customer] | None:
    rows = stream_columns(pipeline, CUSTOMERS.table, ("id", "vendor", DELETED_AT), organization_id=organization_id)
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
        "currency",
        DELETED_AT,
    )
    found: dict[str, list[_Entitlement]] = defaultdict(list)
    linked = False
    for id_, customer_id, listing_id, vendor, status, start, end, expires_at, currency, deleted_at in stream_columns(
        pipeline, ENTITLEMENTS.table, columns, organization_id=organization_id
    ):
        linked = linked or bool(customer_id)
        if customer_id and deleted_at is None:
            last = _day(end) or _day(expires_at)
            found[customer_id].append(
                _Entitlement(
                    id_, listing_id or None, _lower(vendor), _lower(status), _day(start), last, currency or None
                )
            )
    return dict(found) if linked else None


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None


def _day(value: Any) -> date | None:
    return as_utc(value).astimezone(timezone.utc).date() if value else None
