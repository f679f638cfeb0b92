"""The endpoints: which tables exist, which paths they are read from, and which columns they have.

Resources, columns, `check`, `discover`, `plan`, the sandbox's routes and the reference documentation are made from this
module. No other module knows the vendor's paths and field names.

Documented facts are from the vendor's pages `api/authentication` (scopes, paths) and `api/reference` (envelope,
pagination, the flat customer); the nested customer form is from the webhook sample of `guide/api-integration`.
Everything marked `documented=False` is an assumption made from the house style of those pages, and can be overridden in
configuration (`[sources.automatum.endpoints.<table>]`, see `automatum.config.settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .core.endpoint import NO_DETAIL as NO_DETAIL
from .core.endpoint import ORGANIZATION as ORGANIZATION
from .core.endpoint import VENDOR as VENDOR
from .core.endpoint import Child as Child
from .core.endpoint import Column as Column
from .core.endpoint import ColumnType as ColumnType
from .core.endpoint import Endpoint as Endpoint
from .core.endpoint import FieldPath as FieldPath
from .core.endpoint import Kind as Kind
from .core.metering_form import MeteringForm as MeteringForm
from .core.paging import PAGE_SIZE as PAGE_SIZE
from .core.paging import Paging as Paging

API_PREFIX = "/api/v1/"
TOKEN_PATH = "/oauth/token"

APPLICATIONS_PATH = "/oauth/applications"
"""The organization's OAuth applications, from the root of the host (`api/authentication`)."""
REGENERATE = "regenerate-secret"
"""Below an application: makes a new secret. The old one and its tokens become invalid (`api/authentication`)."""
METERING_PATH = "metering"
WHOLE = "$"
"""Path of the records in a body that is an array itself; the root in dlt's `data_selector`, too."""
METERING_SCOPE = "write:metering"


METERING = MeteringForm(
    path=METERING_PATH,
    fields={
        "vendor": "vendor",
        "listing_id": "listingId",
        "customer_id": "details.customer.id",
        # Assumed, and sent only where the usage names an entitlement: the documented sample has none.
        "entitlement_id": "details.entitlementId",
        "reporting_date": "details.reportingDate",
        "charged": "details.charged",
        "usages": "details.usages",
    },
    usage_fields={"dimension": "apiKey"} | {name: name for name in ("units", "title", "description", "per", "price")},
    texts=frozenset({"price"}),
    day_format="%Y-%m-%d",
)


def _column(name: str, type_: ColumnType, *places: str | FieldPath, documented: bool = False) -> Column:
    found = tuple(place if isinstance(place, FieldPath) else FieldPath(place) for place in places)
    return Column(name, type_, found, documented)


def _known(name: str, type_: ColumnType, *places: str | FieldPath) -> Column:
    return _column(name, type_, *places, documented=True)


# The cloud account of a buyer. `cloudIdentifier` is the name in the nested form, on both marketplaces; the flat form
# has `awsAccountId`. What the flat form calls an Azure tenant is not documented, so both likely names are accepted.
_ACCOUNT = (
    _column("cloud_identifier", "text", "cloudIdentifier", "awsAccountId", "azureTenantId", "tenantId"),
    _column("azure_tenant_id", "text", "azureTenantId", "tenantId", FieldPath("cloudIdentifier", vendor="azure")),
)
_AWS_ACCOUNT = Column("aws_account_id", "text", (FieldPath("awsAccountId"), FieldPath("cloudIdentifier", vendor="aws")))
_STAMPS = (_column("created_at", "timestamp", "createdAt"), _column("updated_at", "timestamp", "updatedAt"))

CUSTOMERS = Endpoint(
    table="customers",
    group="customers",
    kind="list",
    path="customers",
    scope="read:customers",
    key=("id",),
    only_in_detail=("entitlements",),
    documented=True,
    columns=(
        _known("id", "text", "id"),
        _known("organization_id", "text", "organizationId"),
        _known("vendor", "text", "vendor"),
        replace(_AWS_ACCOUNT, documented=True),
        *_ACCOUNT,
        _known("email", "text", "email", "details.contact.email"),
        _known("company_name", "text", "companyName", "details.company.name"),
        _known("status", "text", "status"),
        _known("created_at", "timestamp", "createdAt"),
        _known("updated_at", "timestamp", "updatedAt"),
    ),
)

ENTITLEMENTS = Endpoint(
    table="entitlements",
    group="entitlements",
    kind="list",
    path="entitlements",
    scope="read:entitlements",
    key=("id",),
    columns=(
        _column("id", "text", "id"),
        _column("organization_id", "text", "organizationId"),
        _column("customer_id", "text", "customerId"),
        _column("vendor", "text", "vendor"),
        _column("listing_id", "text", "listingId"),
        _column("product_name", "text", "productName", "listingName"),
        _column("plan_id", "text", "planId", "plan"),
        _column("status", "text", "status"),
        _column("start_date", "date", "startDate"),
        _column("end_date", "date", "endDate", "expirationDate"),
        _column("expires_at", "timestamp", "expiresAt"),
        _column("auto_renew", "bool", "autoRenew"),
        _column("private_offer_id", "text", "privateOfferId", "offerId"),
        _column("value", "decimal", "value", "totalValue"),
        _column("currency", "text", "currency"),
        _AWS_ACCOUNT,
        *_ACCOUNT,
        *_STAMPS,
    ),
    children=(
        Child(
            table="entitlement_dimensions",
            parent_key="entitlement_id",
            places=("dimensions",),
            columns=(
                _column("key", "text", "key", "apiKey"),
                _column("name", "text", "name"),
                _column("quantity", "decimal", "quantity", "units"),
                _column("price", "decimal", "price"),
                _column("unit", "text", "unit", "per"),
            ),
        ),
    ),
)

PRIVATE_OFFERS = Endpoint(
    table="private_offers",
    group="private_offers",
    kind="list",
    path="private-offers",
    scope="read:private-offers",
    key=("id",),
    columns=(
        _column("id", "text", "id"),
        _column("organization_id", "text", "organizationId"),
        _column("customer_id", "text", "customerId"),
        _column("listing_id", "text", "listingId"),
        _column("vendor", "text", "vendor"),
        _AWS_ACCOUNT,
        *_ACCOUNT,
        _column("company_name", "text", "companyName"),
        _column("email", "text", "email"),
        _column("name", "text", "name"),
        _column("description", "text", "description"),
        _column("status", "text", "status"),
        _column("offer_type", "text", "offerType"),
        _column("offer_id", "text", "offerId", "externalId"),
        _column("offer_url", "text", "offerUrl"),
        # The date to accept by and the term of the contract are two different things everywhere; never merge them.
        _column("expires_at", "timestamp", "expiresAt"),
        _column("expiration_date", "date", "expirationDate"),
        _column("start_date", "date", "startDate"),
        _column("end_date", "date", "endDate"),
        _column("discount_type", "text", "pricing.discountType", "discountType"),
        _column("discount_percentage", "decimal", "pricing.discountPercentage", "discountPercentage"),
        _column("duration", "text", "pricing.duration", "duration"),
        _column("billing_term", "text", "pricing.billingTerm", "billingTerm"),
        _column("total_contract_value", "decimal", "pricing.totalContractValue", "totalContractValue"),
        _column("currency", "text", "pricing.currency", "currency"),
        _column("replaces_offer_id", "text", "replacesOfferId"),
        _column("is_renewal", "bool", "isRenewal"),
        _column("created_by", "text", "createdBy"),
        _column("sent_at", "timestamp", "sentAt"),
        _column("viewed_at", "timestamp", "viewedAt"),
        _column("accepted_at", "timestamp", "acceptedAt"),
        _column("cancelled_at", "timestamp", "cancelledAt"),
        *_STAMPS,
    ),
    children=(
        Child(
            table="private_offer_payments",
            parent_key="private_offer_id",
            places=("pricing.paymentSchedule", "paymentSchedule"),
            columns=(
                _column("date", "date", "date"),
                _column("amount", "decimal", "amount"),
                _column("currency", "text", "currency"),
            ),
        ),
    ),
)

REVENUE = Endpoint(
    table="analytics_revenue",
    group="analytics",
    kind="report",
    path="analytics/revenue",
    scope="read:analytics",
    key=("date", "period", "vendor", "listing_id", "customer_id", "currency"),
    # A bare array, or an object of totals with a series in it: neither is documented.
    records=("data", "data.series", "data.records", "data.items", "data.rows", "data.results", "data.data"),
    parameters={"start": "startDate", "end": "endDate", "page": "page", "limit": "limit"},
    filters={},
    columns=(
        _column("date", "date", "date"),
        _column("period", "text", "period"),
        _column("vendor", "text", "vendor"),
        _column("listing_id", "text", "listingId"),
        _column("customer_id", "text", "customerId"),
        _column("currency", "text", "currency"),
        _column("revenue", "decimal", "revenue", "grossRevenue"),
        _column("net_revenue", "decimal", "netRevenue"),
        _column("marketplace_fee", "decimal", "marketplaceFee"),
        _column("count", "bigint", "count"),
    ),
)

ENDPOINTS: tuple[Endpoint, ...] = (CUSTOMERS, ENTITLEMENTS, PRIVATE_OFFERS, REVENUE)

SCOPES: tuple[str, ...] = (
    "read:customers",
    "write:customers",
    "read:entitlements",
    "read:analytics",
    "write:metering",
    "read:private-offers",
    "write:private-offers",
)
"""All scopes of the vendor's table (`api/authentication`)."""

FILTER_VALUES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "customers": {"status": ("active", "inactive"), "vendor": ("aws", "azure")}
}
"""Documented values of the filters of a list, by table (`api/reference`)."""
UNSENT_PARAMETERS: Mapping[str, tuple[str, ...]] = {"customers": ("search",)}
"""Documented query parameters that the connector does not send, by table (`api/reference`)."""
