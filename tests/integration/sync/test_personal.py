"""Personal data that the setting `personal` drops or hashes is in nothing that a sync writes."""

import json

import pytest

from tests.support.raw_api import serve_raw
from tests.support.syncing import Site

CANARY = "canary-7f3a"
RULES = {
    "customers.email": "hash",
    "customers.company_name": "drop",
    "customers.extra": "drop",
    "private_offers.created_by": "drop",
    "private_offers.extra": "drop",
    "entitlement_dimensions.name": "drop",
    "entitlements.extra": "drop",
    "analytics_revenue.extra": "drop",
}
CUSTOMERS = [
    {"id": "c1", "email": f"{CANARY}@example.com", "companyName": CANARY, "phone": CANARY, "status": "active"},
    {"id": "c2", "details": {"contact": {"email": f"{CANARY}@example.com"}, "company": {"name": CANARY}}},
    {"email": CANARY, "companyName": CANARY, "note": CANARY},
]
ENTITLEMENTS = [{"id": "e1", "customerId": "c1", "dimensions": [{"key": "k", "name": CANARY}], "by": {"x": CANARY}}]
OFFERS = [{"id": "o1", "customerId": "c1", "createdBy": CANARY, "pricing": {"note": CANARY, "duration": "P1Y"}}]
REVENUE = [{"date": "2026-01-02", "customerId": "c1", "revenue": 3, "contact": CANARY}]


@pytest.fixture
def site(tmp_path):
    with serve_raw() as api, Site(tmp_path) as open_site:
        open_site.served = api
        open_site.settings |= {"history": True, "personal": RULES, "personal_key": "0123456789abcdef"}
        yield open_site


def serve(site, **lists):
    site.served.lists = {name: [json.dumps(one) for one in of] for name, of in lists.items()}


def everything(site):
    """The text of all values of all tables of all datasets."""
    tables = site.query("SELECT schema_name, table_name FROM duckdb_tables()")
    assert ("automatum", "customers_history") in tables
    return "\n".join(str(site.query(f'SELECT COLUMNS(*)::VARCHAR FROM "{of}"."{name}"')) for of, name in tables)


def test_no_personal_value_is_written(site):
    serve(
        site,
        customers=CUSTOMERS,
        entitlements=ENTITLEMENTS,
        **{"private-offers": OFFERS},
        **{"analytics/revenue": REVENUE},
    )
    found = site.sync()
    assert found.tables["customers"]["rejected"] == 1
    assert CANARY not in everything(site)
    assert CANARY.encode() not in site.database.read_bytes()
    emails = site.query("SELECT DISTINCT email, length(email) FROM customers")
    assert [length for _, length in emails] == [64]
    again = site.sync()
    assert again.summary.changed is False


def test_without_the_policy_the_values_are_there(site):
    """Otherwise the search above would find nothing whatever the code does."""
    site.settings.pop("personal")
    serve(site, customers=CUSTOMERS, entitlements=ENTITLEMENTS, **{"private-offers": OFFERS})
    site.sync("customers", "entitlements", "private_offers")
    assert everything(site).count(CANARY) >= 8


def test_a_changed_policy_rewrites_the_rows_and_leaves_the_history(site):
    serve(site, customers=CUSTOMERS[:2])
    kept = site.settings.pop("personal")
    site.sync("customers")
    site.settings["personal"] = kept
    assert site.sync("customers").counts("customers")[1] == 2
    assert CANARY not in str(site.query("SELECT * FROM customers"))
    assert CANARY in str(site.query("SELECT * FROM customers_history"))
    assert site.sync("customers").summary.changed is False
