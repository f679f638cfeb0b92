"""What the tables should hold, from the API's records and `research/automatum-api.md`: none of the connector's code.

The records come as the API's JSON, read with exact numbers. Each table is a dict of key to row; timestamps are
microseconds since 1970, decimals are decimals, `extra` is the parsed JSON of what has no column.
"""

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def exact(records):
    """The records as JSON text would give them, numbers as decimals."""
    return json.loads(json.dumps(records), parse_float=Decimal)


def text(value):
    return None if value is None else str(value)


def moment(value):
    if value is None:
        return None
    return (datetime.fromisoformat(value.replace("Z", "+00:00")) - _EPOCH) // timedelta(microseconds=1)


def day(value):
    return None if value is None else date.fromisoformat(value)


def money(value):
    return None if value is None else Decimal(value)


def flag(value):
    return value


def first(record, *paths):
    """The first value that is there and not null, and its path."""
    for path in paths:
        value = record
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value, path
    return None, None


def without(record, taken, named, above=""):
    """The record without what columns took, and without nulls and emptied objects at places that columns name."""
    rest = {}
    for key, value in record.items():
        path = above + key
        if path in taken or (value is None and path in named):
            continue
        if isinstance(value, dict) and value:
            value = without(value, taken, named, path + ".")
            if value is None:
                continue
        rest[key] = value
    return rest or None


def row_of(record, columns):
    """A row of these columns (name to type and paths), and `extra`."""
    row, taken = {}, set()
    for name, (kind, *paths) in columns.items():
        value, path = first(record, *paths)
        row[name] = kind(value)
        taken.add(path)
    named = {path for _, *paths in columns.values() for path in paths}
    row["extra"] = without(record, taken, named)
    return row


def account_columns(record):
    """Cloud account: flat `awsAccountId`; nested and Azure forms have `cloudIdentifier`; both fill one column each."""
    vendor = record.get("vendor")
    return {
        "aws_account_id": (text, "awsAccountId", *(["cloudIdentifier"] if vendor == "aws" else [])),
        "cloud_identifier": (text, "cloudIdentifier", "awsAccountId", "azureTenantId", "tenantId"),
        "azure_tenant_id": (
            text,
            "azureTenantId",
            "tenantId",
            *(["cloudIdentifier"] if vendor == "azure" else []),
        ),
    }


STAMPS = {"created_at": (moment, "createdAt"), "updated_at": (moment, "updatedAt")}


def customer(record):
    return row_of(
        record,
        {
            "id": (text, "id"),
            "organization_id": (text, "organizationId"),
            "vendor": (text, "vendor"),
            **account_columns(record),
            "email": (text, "email", "details.contact.email"),
            "company_name": (text, "companyName", "details.company.name"),
            "status": (text, "status"),
            **STAMPS,
        },
    )


def entitlement(record):
    columns = {
        "id": (text, "id"),
        "organization_id": (text, "organizationId"),
        "customer_id": (text, "customerId"),
        "vendor": (text, "vendor"),
        "listing_id": (text, "listingId"),
        "product_name": (text, "productName", "listingName"),
        "plan_id": (text, "planId", "plan"),
        "status": (text, "status"),
        "start_date": (day, "startDate"),
        "end_date": (day, "endDate", "expirationDate"),
        "expires_at": (moment, "expiresAt"),
        "auto_renew": (flag, "autoRenew"),
        "private_offer_id": (text, "privateOfferId", "offerId"),
        "value": (money, "value", "totalValue"),
        "currency": (text, "currency"),
        **account_columns(record),
        **STAMPS,
    }
    return row_of({key: value for key, value in record.items() if key != "dimensions"}, columns)


def private_offer(record):
    columns = {
        "id": (text, "id"),
        "organization_id": (text, "organizationId"),
        "customer_id": (text, "customerId"),
        "listing_id": (text, "listingId"),
        "vendor": (text, "vendor"),
        **account_columns(record),
        "company_name": (text, "companyName"),
        "email": (text, "email"),
        "name": (text, "name"),
        "description": (text, "description"),
        "status": (text, "status"),
        "offer_type": (text, "offerType"),
        "offer_id": (text, "offerId", "externalId"),
        "offer_url": (text, "offerUrl"),
        "expires_at": (moment, "expiresAt"),
        "expiration_date": (day, "expirationDate"),
        "start_date": (day, "startDate"),
        "end_date": (day, "endDate"),
        "discount_type": (text, "pricing.discountType"),
        "discount_percentage": (money, "pricing.discountPercentage"),
        "duration": (text, "pricing.duration"),
        "billing_term": (text, "pricing.billingTerm"),
        "total_contract_value": (money, "pricing.totalContractValue"),
        "currency": (text, "pricing.currency"),
        "replaces_offer_id": (text, "replacesOfferId"),
        "is_renewal": (flag, "isRenewal"),
        "created_by": (text, "createdBy"),
        "sent_at": (moment, "sentAt"),
        "viewed_at": (moment, "viewedAt"),
        "accepted_at": (moment, "acceptedAt"),
        "cancelled_at": (moment, "cancelledAt"),
        **STAMPS,
    }
    pricing = {key: value for key, value in record["pricing"].items() if key != "paymentSchedule"}
    return row_of({**record, "pricing": pricing}, columns)


def dimension(entry):
    return row_of(
        entry,
        {
            "key": (text, "key", "apiKey"),
            "name": (text, "name"),
            "quantity": (money, "quantity", "units"),
            "price": (money, "price"),
            "unit": (text, "unit", "per"),
        },
    )


def payment(entry):
    return row_of(entry, {"date": (day, "date"), "amount": (money, "amount"), "currency": (text, "currency")})


def revenue(record):
    return row_of(
        record,
        {
            "date": (day, "date"),
            "period": (text, "period"),
            "vendor": (text, "vendor"),
            "listing_id": (text, "listingId"),
            "customer_id": (text, "customerId"),
            "currency": (text, "currency"),
            "revenue": (money, "revenue", "grossRevenue"),
            "net_revenue": (money, "netRevenue"),
            "marketplace_fee": (money, "marketplaceFee"),
            "count": (flag, "count"),
        },
    )


def children_of(records, list_of, child):
    return {
        (record["id"], position): child(entry) for record in records for position, entry in enumerate(list_of(record))
    }


def expected_lists(sandbox):
    """The five tables that come from lists, from what the sandbox lists."""
    customers, entitlements, offers = (
        exact(sandbox.rows.all(table)) for table in ("customers", "entitlements", "private_offers")
    )
    return {
        "customers": {one["id"]: customer(one) for one in customers},
        "entitlements": {one["id"]: entitlement(one) for one in entitlements},
        "entitlement_dimensions": children_of(entitlements, lambda one: one["dimensions"], dimension),
        "private_offers": {one["id"]: private_offer(one) for one in offers},
        "private_offer_payments": children_of(offers, lambda one: one["pricing"]["paymentSchedule"], payment),
    }


KEYS = {
    "customers": ("id",),
    "entitlements": ("id",),
    "entitlement_dimensions": ("entitlement_id", "position"),
    "private_offers": ("id",),
    "private_offer_payments": ("private_offer_id", "position"),
    "analytics_revenue": ("date", "vendor"),
}
SQL_TYPES = {
    text: "VARCHAR",
    moment: "TIMESTAMP WITH TIME ZONE",
    day: "DATE",
    money: "DECIMAL(38,9)",
}


def held(desk, table, columns):
    """What the table holds: key to row of these columns. Fails on a repeated key and on a row marked deleted."""
    types = dict(
        desk.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'automatum' AND table_name = ?",
            table,
        )
    )
    if not types:
        return {}
    stamp = "TIMESTAMP WITH TIME ZONE"
    read = [f'epoch_us("{name}")' if types[name] == stamp else f'"{name}"' for name in columns]
    key = KEYS[table]
    rows = desk.query(f'SELECT {", ".join(key)}, "_deleted_at"::VARCHAR, {", ".join(read)} FROM "{table}"')
    found = {}
    for row in rows:
        id_ = row[0] if len(key) == 1 else row[: len(key)]
        assert id_ not in found, f"{table} holds {id_} twice"
        assert row[len(key)] is None, f"{table} {id_} is marked deleted"
        values = dict(zip(columns, row[len(key) + 1 :], strict=True))
        if values["extra"] is not None:
            values["extra"] = json.loads(values["extra"], parse_float=Decimal)
        found[id_] = values
    return found


def differences(desk, expected):
    """Each value that is not as it should be: table, key, column, expected, held."""
    wrong = []
    for table, rows in expected.items():
        columns = list(next(iter(rows.values()))) if rows else ["extra"]
        found = held(desk, table, columns)
        wrong += [(table, key, "row", "there", "missing") for key in rows.keys() - found.keys()]
        wrong += [(table, key, "row", "none", "there") for key in found.keys() - rows.keys()]
        for key in rows.keys() & found.keys():
            wrong += [
                (table, key, name, value, found[key][name])
                for name, value in rows[key].items()
                if not _same(value, found[key][name])
            ]
    return wrong


def _same(expected, found):
    numbers = (int, Decimal)
    kind = type(expected) is type(found) or (isinstance(expected, numbers) and isinstance(found, numbers))
    return kind and expected == found
