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
from .core.endpoint import PAGE_SIZE as PAGE_SIZE
from .core.endpoint import VENDOR as VENDOR
from .core.endpoint import Child as Child
from .core.endpoint import Column as Column
from .core.endpoint import ColumnType as ColumnType
from .core.endpoint import Endpoint as Endpoint
from .core.endpoint import FieldPath as FieldPath
from .core.endpoint import Kind as Kind
from .core.endpoint import Paging as Paging

API_PREFIX = "/api/v1/"
TOKEN_PATH = "/oauth/token"

APPLICATIONS_PATH = "/oauth/applications"
"""The organization's OAuth applications, from the root of the host (`api/authentication`)."""
REGENERATE = "regenerate-secret"
"""Below an application: makes a new secret. The old one and its tokens become invalid (`api/authentication`)."""
METERING_PATH = "metering"
METERING_SCOPE = "write:metering"


METERING_FIELDS = {
    "vendor": "vendor",
    "listing_id": "listingId",
    "customer_id": "details.customer.id",
    "reporting_date": "details.reportingDate",
    "charged": "details.charged",
    "usages": "details.usages",
}
"""Our name of a field of the metering body to its dotted path there, as documented (`guide/api-integration`)."""
METERING_USAGE_FIELDS = {"dimension": "apiKey"} | {
    name: name for name in ("units", "title", "description", "per", "price")
}
"""The same for the fields of one usage, in the order in which they are sent."""
METERING_ENTITLEMENT = "details.entitlementId"
"""Path of the entitlement. Assumed, and sent only where the usage names one: the documented sample has none."""


OF_ORGANIZATION = (
    "Automatum's id of the organization that sells, such as `org_1a2b3c4d`. With several organizations: as the "
    "first sweep stored it. With one: null if the record names none."
)
"""What the column `organization_id` says."""


def _column(
    name: str,
    type_: ColumnType,
    *places: str | FieldPath,
    description: str,
    references: str = "",
    documented: bool = False,
    personal: bool = False,
) -> Column:
    found = tuple(place if isinstance(place, FieldPath) else FieldPath(place) for place in places)
    return Column(name, type_, found, documented, description, references, personal)


def _known(column: Column) -> Column:
    """A column that the vendor documents for this table."""
    return replace(column, documented=True)


_ORGANIZATION = _column(ORGANIZATION, "text", "organizationId", description=OF_ORGANIZATION)
_VENDOR = _column(VENDOR, "text", "vendor", description="The marketplace: `aws` or `azure`. Other values pass through.")
_LISTING = _column(
    "listing_id", "text", "listingId", description="Automatum's id of the listing. No table has the listings."
)
# The cloud account of a buyer. `cloudIdentifier` is the name in the nested form, on both marketplaces; the flat form
# has `awsAccountId`. What the flat form calls an Azure tenant is not documented, so both likely names are accepted.
_AWS_ACCOUNT = _column(
    "aws_account_id", "text", "awsAccountId", FieldPath("cloudIdentifier", vendor="aws"),
    personal=True,
    description="AWS account of the buyer: 12 digits as text, with leading zeros. Null on other marketplaces.",
)  # fmt: skip
_ACCOUNT = (
    _column(
        "cloud_identifier", "text", "cloudIdentifier", "awsAccountId", "azureTenantId", "tenantId",
        personal=True, description="Account of the buyer on any marketplace: an AWS account id, or an Azure tenant id.",
    ),
    _column(
        "azure_tenant_id", "text", "azureTenantId", "tenantId", FieldPath("cloudIdentifier", vendor="azure"),
        personal=True, description="Azure tenant of the buyer. Null on other marketplaces.",
    ),
)  # fmt: skip
_EMAIL = "E-mail address of the contact at the buyer."
_COMPANY = "Name of the company that buys."
_CREATED = _column("created_at", "timestamp", "createdAt", description="When the record was made at Automatum, in UTC.")
_UPDATED = _column(
    "updated_at", "timestamp", "updatedAt", description="When the record was last changed at Automatum, in UTC."
)

CUSTOMERS = Endpoint(
    table="customers",
    group="customers",
    kind="list",
    path="customers",
    scope="read:customers",
    key=("id",),
    only_in_detail=("entitlements",),
    documented=True,
    description="The buyers of the organization's listings. A row is one company on one marketplace.",
    columns=(
        _known(_column("id", "text", "id", description="Automatum's id of the customer, such as `cust_1a2b3c4d`.")),
        _known(_ORGANIZATION),
        _known(_VENDOR),
        _known(_AWS_ACCOUNT),
        *_ACCOUNT,
        _known(_column("email", "text", "email", "details.contact.email", description=_EMAIL, personal=True)),
        _known(_column("company_name", "text", "companyName", "details.company.name",
            description=_COMPANY, personal=True)),
        _known(_column("status", "text", "status", description="`active` or `inactive`. Other values pass through.")),
        _known(_CREATED),
        _known(_UPDATED),
    ),
)  # fmt: skip

ENTITLEMENTS = Endpoint(
    table="entitlements",
    group="entitlements",
    kind="list",
    path="entitlements",
    scope="read:entitlements",
    key=("id",),
    description="What customers have bought. A row is the right of one customer to use one listing for one term.",
    columns=(
        _column("id", "text", "id", description="Automatum's id of the entitlement, such as `ent_1a2b3c4d`."),
        _ORGANIZATION,
        _column("customer_id", "text", "customerId", references="customers",
            description="The customer who has the entitlement."),
        _VENDOR,
        _LISTING,
        _column("product_name", "text", "productName", "listingName",
            description="Name of the product that was bought, as its listing has it."),
        _column("plan_id", "text", "planId", "plan",
            description="Plan of the listing that was bought, by its id or its name. Null if the API names none."),
        _column("status", "text", "status", description=
            "`active`, `expired` or `cancelled`, and perhaps `pending` or `suspended`. Other values pass through."),
        _column("start_date", "date", "startDate", description="First day of the term: a UTC day (assumed)."),
        _column("end_date", "date", "endDate", "expirationDate", description=
            "Last day of the term, itself a part of it: a UTC day (assumed). Null if the API states no end."),
        _column("expires_at", "timestamp", "expiresAt", description=
            "When the entitlement ends, in UTC. Null if the API gives a day in its place (`end_date`), or no end."),
        _column("auto_renew", "bool", "autoRenew", description=
            "Whether another term follows by itself. Null if the API does not say, which is not the same as false."),
        _column("private_offer_id", "text", "privateOfferId", "offerId", references="private_offers", description=
            "The private offer that led to the entitlement; assumed to be its `id`, not the marketplace's `offer_id`. "
            "Null if none did."),
        _column("value", "decimal", "value", "totalValue", description=
            "Value of the whole term, in `currency` of the row: what the customer pays, before the marketplace takes "
            "its fee (assumed)."),
        _column("currency", "text", "currency", description=
            "Currency of `value` and of the prices in `entitlement_dimensions`: an ISO 4217 code such as `USD`. "
            "Amounts are in dollars, not in cents (assumed). Null if the currency is not known."),
        _AWS_ACCOUNT,
        *_ACCOUNT,
        _CREATED,
        _UPDATED,
    ),
    children=(
        Child(
            table="entitlement_dimensions",
            parent_key="entitlement_id",
            places=("dimensions",),
            description="The dimensions that an entitlement is priced by, such as seats. A row is one of them.",
            columns=(
                _column("key", "text", "key", "apiKey",
                    description="Key of the dimension in the listing. A push names it `dimension`, the API `apiKey`."),
                _column("name", "text", "name", description="Display name of the dimension."),
                _column("quantity", "decimal", "quantity", "units", description=
                    "Quantity that the contract includes, in `unit`. Null if none is included, as for metered usage."),
                _column("price", "decimal", "price", description=
                    "Price of one `unit`, in `currency` of the entitlement. For which time it holds, such as a month, "
                    "the API does not say."),
                _column("unit", "text", "unit", "per", description="Name of one unit, such as `seat` or `request`."),
            ),
        ),
    ),
)  # fmt: skip

PRIVATE_OFFERS = Endpoint(
    table="private_offers",
    group="private_offers",
    kind="list",
    path="private-offers",
    scope="read:private-offers",
    key=("id",),
    description="Offers with a price of their own to single buyers. A row is one offer, also if it was not accepted.",
    columns=(
        _column("id", "text", "id", description=
            "Automatum's id of the offer, such as `offer_1a2b3c4d`. The marketplace's id is `offer_id`."),
        _ORGANIZATION,
        _column("customer_id", "text", "customerId", references="customers",
            description="The customer that the offer is made to. Null if the buyer is no customer yet."),
        _LISTING,
        _VENDOR,
        _AWS_ACCOUNT,
        *_ACCOUNT,
        _column("company_name", "text", "companyName", description=_COMPANY, personal=True),
        _column("email", "text", "email", description=_EMAIL, personal=True),
        _column("name", "text", "name", personal=True, description="Name of the offer, as the seller has chosen it."),
        _column("description", "text", "description", personal=True,
            description="Text about the offer. Null if it has none."),
        _column("status", "text", "status", description=
            "`draft`, `created` or `pending`, `sent`, `viewed`, `accepted`, `expired`, `cancelled`. Other values pass "
            "through. An accepted offer is assumed to stay `accepted` when its contract ends."),
        _column("offer_type", "text", "offerType", description=
            "Who sells: `direct`, or by way of a partner, such as `reseller` or `channel`. Other values pass through."),
        _column("offer_id", "text", "offerId", "externalId", description=
            "The marketplace's id of the offer, such as `offer-1a2b3c4d5e6f7` on AWS. Null until the offer is there."),
        _column("offer_url", "text", "offerUrl", description="Address at which the buyer accepts the offer."),
        # The date to accept by and the term of the contract are two different things everywhere; never merge them.
        _column("expires_at", "timestamp", "expiresAt", description=
            "Until when the buyer can accept the offer, in UTC. It is not the end of the contract (`end_date`). Null "
            "if the API gives a day in its place (`expiration_date`), or no end."),
        _column("expiration_date", "date", "expirationDate", description=
            "Last day on which the buyer can accept the offer: a UTC day (assumed). Null if the API gives a time in "
            "its place (`expires_at`), or no end."),
        _column("start_date", "date", "startDate",
            description="First day of the contract: a UTC day (assumed). Null if the API states none."),
        _column("end_date", "date", "endDate", description=
            "Last day of the contract, itself a part of it: a UTC day (assumed). Null if the API states none."),
        _column("discount_type", "text", "pricing.discountType", "discountType",
            description="`percentage` or `absolute`. Other values pass through. Null without a discount."),
        _column("discount_percentage", "decimal", "pricing.discountPercentage", "discountPercentage", description=
            "Discount on the public price in percent: 12.5 is 12.5 %. Null for a discount of another type, or none."),
        _column("duration", "text", "pricing.duration", "duration",
            description="Length of the contract, as the API writes it, such as `12 months` or `P1Y`."),
        _column("billing_term", "text", "pricing.billingTerm", "billingTerm", description=
            "How often the buyer pays: `monthly`, `quarterly`, `annual`, `upfront`. Other values pass through."),
        _column("total_contract_value", "decimal", "pricing.totalContractValue", "totalContractValue", description=
            "What the buyer pays for the whole contract, in `currency` of the row: after the discount, and before the "
            "marketplace takes its fee (assumed)."),
        _column("currency", "text", "pricing.currency", "currency", description=
            "Currency of `total_contract_value`, and of payments that name none: an ISO 4217 code such as `USD`. "
            "Amounts are in dollars, not in cents (assumed). Null if the currency is not known."),
        _column("replaces_offer_id", "text", "replacesOfferId", references="private_offers", description=
            "The private offer that this one replaces; assumed to be its `id`, not the marketplace's `offer_id`. Null "
            "if it replaces none."),
        _column("is_renewal", "bool", "isRenewal", description=
            "Whether the contract follows another one. Null if the API does not say, which is not the same as false."),
        _column("created_by", "text", "createdBy", personal=True,
            description="Who made the offer at the seller, as the API names the person."),
        _column("sent_at", "timestamp", "sentAt",
            description="When the offer was sent to the buyer, in UTC. Null if it was not."),
        _column("viewed_at", "timestamp", "viewedAt",
            description="When the buyer opened the offer, in UTC. Null if that is not known."),
        _column("accepted_at", "timestamp", "acceptedAt",
            description="When the buyer accepted the offer, in UTC. Null if it was not accepted."),
        _column("cancelled_at", "timestamp", "cancelledAt",
            description="When the offer was cancelled, in UTC. Null if it was not cancelled."),
        _CREATED,
        _UPDATED,
    ),
    children=(
        Child(
            table="private_offer_payments",
            parent_key="private_offer_id",
            places=("pricing.paymentSchedule", "paymentSchedule"),
            description="The payments that a private offer agrees on. A row is one payment; an offer may have none.",
            columns=(
                _column("date", "date", "date", description="Day on which the payment is due, in UTC (assumed)."),
                _column("amount", "decimal", "amount", description=
                    "What the buyer pays, in `currency` of the row, or else of the offer. Positive (assumed)."),
                _column("currency", "text", "currency", description=
                    "Currency of `amount`: an ISO 4217 code such as `USD`. Null if the payment names none; then that "
                    "of the offer holds (assumed)."),
            ),
        ),
    ),
)  # fmt: skip

REVENUE = Endpoint(
    table="analytics_revenue",
    group="analytics",
    kind="report",
    path="analytics/revenue",
    scope="read:analytics",
    key=("date", "period", "vendor", "listing_id", "customer_id", "currency"),
    # A bare array, or an object of totals with a series in it: neither is documented.
    records=("data", "data.series", "data.records", "data.items", "data.rows", "data.results", "data.data"),
    parameters={"start": "startDate", "end": "endDate"},
    description="Revenue by day, marketplace, listing, customer and currency. Rows of past days may change (assumed).",
    columns=(
        _column("date", "date", "date", description=
            "Day that the row is about: a UTC day (assumed). Null if the API gives a `period` in its place."),
        _column("period", "text", "period", description=
            "Week, month or other time that the row is about, as the API writes it. Null if it is a day (`date`)."),
        _VENDOR,
        _column("listing_id", "text", "listingId", description=
            "Automatum's id of the listing that the row is about. Null if the row sums up listings (assumed)."),
        _column("customer_id", "text", "customerId", references="customers",
            description="The customer that the row is about. Null if the row sums up customers (assumed)."),
        _column("currency", "text", "currency", description=
            "Currency of all amounts of the row: an ISO 4217 code such as `USD`. Amounts are in dollars, not in cents "
            "(assumed). Null if the currency is not known."),
        _column("revenue", "decimal", "revenue", "grossRevenue", description=
            "What customers pay, in `currency` of the row, before the marketplace takes its fee. Negative for a refund "
            "(assumed). Whether it is charged, invoiced or disbursed is not documented."),
        _column("net_revenue", "decimal", "netRevenue", description=
            "`revenue` less `marketplace_fee`, in `currency` of the row. Negative for a refund (assumed)."),
        _column("marketplace_fee", "decimal", "marketplaceFee", description=
            "Fee that the marketplace keeps of `revenue`, in `currency` of the row. It has the sign of `revenue` "
            "(assumed)."),
        _column("count", "bigint", "count", description="Number of charges that the row sums up (assumed)."),
    ),
)  # fmt: skip

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

UNSENT_PARAMETERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "customers": {"status": ("active", "inactive"), "vendor": ("aws", "azure"), "search": ()}
}
"""Documented query parameters that the connector does not send, and their values, by table (`api/reference`)."""
