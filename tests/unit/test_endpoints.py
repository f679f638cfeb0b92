"""The one table says what the vendor documents (`automatum-api.md`, §1.2, §1.5, §1.6), and is sound in itself."""

import re

import pytest

from automatum import endpoints as table
from automatum.endpoints import API_PREFIX, ENDPOINTS, PAGE_SIZE, SCOPES, TOKEN_PATH

DOCUMENTED_CUSTOMER = {
    "id": "text",
    "organizationId": "text",
    "vendor": "text",
    "awsAccountId": "text",
    "email": "text",
    "companyName": "text",
    "status": "text",
    "createdAt": "timestamp",
    "updatedAt": "timestamp",
}
READ = {
    "customers": ("read:customers", "customers"),
    "entitlements": ("read:entitlements", "entitlements"),
    "private_offers": ("read:private-offers", "private-offers"),
    "analytics": ("read:analytics", "analytics/revenue"),
}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def test_customers_are_as_documented():
    """The flat fields of §1.6, each in the column of its name, and no other field is called documented."""
    customers = ENDPOINTS[0]
    assert customers.table == "customers"
    assert customers.documented
    documented = {one.name: one for one in customers.columns if one.documented}
    assert set(documented) == {snake(name) for name in DOCUMENTED_CUSTOMER}
    for name, kind in DOCUMENTED_CUSTOMER.items():
        column = documented[snake(name)]
        assert (column.type, column.places[0].path, column.places[0].vendor) == (kind, name, None)
    assert customers.parameters == {"page": "page", "limit": "limit"}
    assert (customers.records, customers.total) == (("data",), "pagination.total")


def test_paths_scopes_and_page_size_are_as_documented():
    assert (API_PREFIX, TOKEN_PATH, PAGE_SIZE) == ("/api/v1/", "/oauth/token", 100)
    assert set(SCOPES) == {
        "read:customers",
        "write:customers",
        "read:entitlements",
        "read:analytics",
        "write:metering",
        "read:private-offers",
        "write:private-offers",
    }
    assert len(SCOPES) == 7
    assert {one.group: (one.scope, one.path) for one in ENDPOINTS} == READ
    assert (table.METERING_PATH, table.METERING_SCOPE) == ("metering", "write:metering")
    assert tuple(READ) == tuple(dict.fromkeys(endpoint.group for endpoint in ENDPOINTS))


def test_nothing_else_is_called_documented():
    """What is assumed says so: the vendor shows no field of the other tables."""
    for one in ENDPOINTS[1:]:
        assert not one.documented
        assert not any(column.documented for column in one.columns)
        assert not any(column.documented for child in one.children for column in child.columns)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
def test_each_endpoint_is_sound(endpoint):
    """Scopes exist, keys are columns, names are unique and not the connector's own."""
    assert endpoint.scope in SCOPES
    names = [column.name for column in endpoint.columns]
    assert len(names) == len(set(names))
    assert set(endpoint.key) <= set(names)
    assert endpoint.key
    assert all(column.places for column in endpoint.columns)
    assert not {"extra", "_row_hash", "_synced_at", "_deleted_at", "_row_key"} & set(names)
    assert set(endpoint.parameters) == ({"page", "limit"} if endpoint.kind == "list" else {"start", "end"})
    assert not endpoint.path.startswith("/")
    for child in endpoint.children:
        own = [column.name for column in child.columns]
        assert len(own) == len(set(own))
        assert child.parent_key not in own
        assert not {"position", "extra", "_removed"} & set(own)


def test_table_names_are_unique():
    names = [name for one in ENDPOINTS for name in (one.table, *(child.table for child in one.children))]
    assert len(names) == len(set(names))
    assert all(snake(name) == name for name in names)
