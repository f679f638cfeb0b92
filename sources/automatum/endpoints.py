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
from dataclasses import dataclass, field, replace
from typing import Literal

from .core.metering_form import MeteringForm as MeteringForm
from .core.paging import PAGE_SIZE as PAGE_SIZE
from .core.paging import Paging as Paging

ColumnType = Literal["text", "timestamp", "date", "decimal", "bigint", "bool"]
Kind = Literal["list", "report"]

API_PREFIX = "/api/v1/"
TOKEN_PATH = "/oauth/token"

APPLICATIONS_PATH = "/oauth/applications"
"""The organization's OAuth applications, from the root of the host (`api/authentication`)."""
REGENERATE = "regenerate-secret"
"""Below an application: makes a new secret. The old one and its tokens become invalid (`api/authentication`)."""
METERING_PATH = "metering"
ORGANIZATION = "organization_id"
"""Column of the organization that a row belongs to."""
VENDOR = "vendor"
"""Column, and field of a record, of the marketplace: `aws`, `azure`."""
WHOLE = "$"
"""Path of the records in a body that is an array itself; the root in dlt's `data_selector`, too."""
METERING_SCOPE = "write:metering"
NO_DETAIL = "none"
"""The `detail_path` of records that have no URLs of their own."""


@dataclass(frozen=True)
class FieldPath:
    """Where a value may be found in a record.

    Attributes:
        path: Dotted JSON path, such as `details.company.name`.
        vendor: The path counts only for records of this marketplace; None for all.
        vendor_at: Where the record names its marketplace.
    """

    path: str
    vendor: str | None = None
    vendor_at: str = field(default=VENDOR, repr=False)  # The row hash covers the other fields as they are printed.


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Column name: the snake_case of the vendor's name.
        type: `text`, `timestamp` (UTC, microseconds), `date`, `decimal` (38, 9), `bigint`, `bool`.
        places: Where its value may be found; the first that is present and not null wins.
        documented: True where the vendor's reference shows the field.
        formats: Formats of its times, in the order in which they are tried (`automatum.schema.moments`). Empty: ISO
            8601, and epoch numbers that are safe to guess.
    """

    name: str
    type: ColumnType
    places: tuple[FieldPath, ...]
    documented: bool = False
    formats: tuple[str, ...] = field(
        default=(), repr=False
    )  # The row hash covers the other fields as they are printed.


@dataclass(frozen=True)
class Child:
    """A table made of a list inside each record; its rows follow their parent in the same load package.

    Attributes:
        table: Table name.
        parent_key: Column that holds the parent's key.
        places: Dotted paths at which the list may be found; the first that holds a list wins.
        columns: Columns of one entry. `position` (0-based, bigint) is added: with the parent's key it is the row's key.
    """

    table: str
    parent_key: str
    places: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Endpoint:
    """A list or a report of the API.

    Attributes:
        table: Table that it fills.
        group: Name on the command line: `analytics` for each report, the table's name for the lists.
        kind: `list` is swept page by page; `report` is read by date range.
        path: Below `/api/v1/`, without a leading slash.
        scope: OAuth scope that grants it (`api/authentication`, table of scopes).
        key: Columns that identify a record. More than one, or a nullable one, is condensed to `_row_key`.
        columns: Columns of the table.
        children: Tables made of lists inside its records.
        records: Dotted paths at which the list of records may be found in the answer; the first that holds a list wins.
        total: Where the number of records is announced: a dotted path, or `header:` and a header's name.
        pages: Where the number of pages is announced, in the same way.
        parameters: Our name to the vendor's query parameter: `limit`, and `page`, `offset` or `cursor`, for lists;
            `start`, `end`, and `page`, `limit` if it has pages, for reports.
        paging: How pages are asked for.
        params: Further query parameters of each request for a list or a report.
        filters: Column to the query parameter that filters a list by it. The rows are filtered again on this side.
        newest_first: Set by the user: the list is ordered by `updatedAt`, newest first. Used once it is proven.
        exact_total: The announced total is the number of rows that are listed. If not, two equal readings prove a list.
        only_in_detail: Keys that a record has at its own URL and not in the list.
        detail_path: Path of a record's own URL, below `/api/v1/`, with a column in braces, such as `customers/{id}`.
            Empty: `path` and the column `id` (see `own_column`). `none`: records have no URLs of their own.
        documented: True where the vendor's reference shows path, parameters and fields; False where they are assumed,
            or set by the user.
        volatile: Dotted paths whose values change all the time and do not matter: neither the row hash nor the history
            sees their changes. They are loaded when anything else changes.
        detail: Dotted path of the record in the answer of its own URL (lists only); `$` for the answer itself.
        date_format: Format of the days in a request for a report, as `strftime` writes them.
        naming: How the vendor writes names: `camelCase` as documented, or `snake_case`.
        by_organization: The table holds the rows of several organizations, and `organization_id` is part of all keys.
    """

    table: str
    group: str
    kind: Kind
    path: str
    scope: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    children: tuple[Child, ...] = ()
    records: tuple[str, ...] = ("data",)
    total: str = "pagination.total"
    pages: str = "pagination.pages"
    parameters: Mapping[str, str] = field(default_factory=lambda: {"page": "page", "limit": "limit"})
    paging: Paging = field(default_factory=Paging)
    params: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=lambda: {"status": "status", "vendor": "vendor"})
    newest_first: bool = False
    exact_total: bool = True
    only_in_detail: tuple[str, ...] = ()
    detail_path: str = ""
    documented: bool = False
    volatile: tuple[str, ...] = ()
    detail: str = "data"
    date_format: str = "%Y-%m-%d"
    naming: str = "camelCase"
    by_organization: bool = False

    @property
    def row_key(self) -> str:
        """Name of the one column that identifies a row of an organization in the destination."""
        return self.key[0] if len(self.key) == 1 else "_row_key"

    @property
    def own_path(self) -> str:
        """Path of a record's own URL, with a column in braces; empty if records have no URLs of their own."""
        if self.detail_path:
            return "" if self.detail_path == NO_DETAIL else self.detail_path
        names = [column.name for column in self.columns]
        name = "id" if "id" in names else self.key[0]
        return f"{self.path}/{{{name}}}" if name == "id" or len(self.key) == 1 else ""

    @property
    def own_column(self) -> str:
        """Column whose value is in a record's own URL; empty if records have no URLs of their own."""
        return self.own_path.partition("{")[2].partition("}")[0]

    def find_column(self, name: str) -> Column | None:
        """The column with this name, None if there is none."""
        return next((column for column in self.columns if column.name == name), None)

    def key_with(self, *names: str) -> tuple[str, ...]:
        """These columns, and `organization_id` before them where the table holds several organizations."""
        return (ORGANIZATION, *names) if self.by_organization else names


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
