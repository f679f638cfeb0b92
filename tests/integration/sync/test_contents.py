"""I1, I8: the tables hold what the API holds, value by value, by a path that shares no code with the connector."""

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import requests

from tests.support.desk import VOLUME
from tests.support.expected import KEYS, SQL_TYPES, day, differences, expected_lists, moment, money, revenue, text

TRAPS = {
    "customers": [
        {"id": "cust_zeros000", "vendor": "aws", "awsAccountId": "000000000001", "status": "active"},
        {"id": "cust_number00", "vendor": "aws", "awsAccountId": 123456789012, "status": None, "email": ""},
        {
            "id": "cust_nested00",
            "vendor": "azure",
            "cloudIdentifier": "00aa",
            "details": {"company": {"name": "株式会社"}, "contact": {"email": "a@b.c"}},
        },
        {"id": "cust_unknown0", "vendor": "oracle", "status": "limbo", "créé par": {"a.b": [1, {"c": None}]}, "x": []},
    ],
    "entitlements": [
        {
            "id": "ent_spelling0",
            "vendor": "aws",
            "dimensions": [{"apiKey": "z"}, {"key": "a", "tiers": [{"from": 1, "price": "0.10"}]}, {"units": "1e2"}],
            "expirationDate": "2027-02-28",
            "totalValue": "12345678901234567890.123456789",
            "expiresAt": "2027-02-28T23:59:59.123456+05:30",
        },
    ],
    "private_offers": [
        {
            "id": "offer_order00",
            "vendor": "azure",
            "pricing": {
                "paymentSchedule": [
                    {"date": "2026-12-31", "amount": "3", "currency": "EUR", "due": True},
                    {"date": "2026-01-01", "amount": 0.1},
                ],
                "dimensions": [],
            },
            "isRenewal": False,
        },
    ],
}


def revenue_by_http(sandbox, base_url):
    """The report as any client reads it."""
    token = requests.post(
        f"{base_url}/oauth/token",
        data={
            "grant_type": "client_credentials",
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
        },
        timeout=5,
    ).json()["access_token"]
    today = datetime.now(timezone.utc).date()
    span = {"startDate": (today - timedelta(days=365)).isoformat(), "endDate": today.isoformat()}
    answer = requests.get(
        f"{base_url}/api/v1/analytics/revenue",
        params=span,
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    ).json(parse_float=Decimal)["data"]
    return answer if isinstance(answer, list) else answer["series"]


@pytest.mark.parametrize("shape", ["array", pytest.param("object", marks=pytest.mark.slow)])
def test_every_value_of_every_table_is_the_apis(start, desk, shape):
    """I1, I8: nothing lost, nothing rounded, the unknown in `extra`; a report as an array or inside an object."""
    served = start(**VOLUME, analytics_shape=shape)
    sandbox = served.sandbox
    for table, records in TRAPS.items():
        for record in records:
            sandbox.rows.put(table, record)
    desk.use(served)
    assert desk.sync().code == 0
    expected = expected_lists(sandbox)
    assert differences(desk, expected) == []

    records = revenue_by_http(sandbox, served.base_url)
    assert len(records) == 2 * VOLUME["days"]
    rows = {(date.fromisoformat(one["date"]), one["vendor"]): revenue(one) for one in records}
    assert differences(desk, {"analytics_revenue": rows}) == []

    # The data has what makes this test worth its time.
    customers = sandbox.rows.all("customers")
    assert any(str(one.get("awsAccountId", "")).startswith("0") for one in customers)
    assert any("details" in one for one in customers)
    assert any(row["extra"] for row in expected["customers"].values())
    assert {type(one["value"]) for one in sandbox.rows.all("entitlements") if "value" in one} >= {
        str,
        float,
        type(None),
    }
    assert any(key[1] > 2 for key in expected["entitlement_dimensions"])
    assert any(key[1] > 1 for key in expected["private_offer_payments"])


@pytest.mark.slow
def test_columns_have_the_types_that_keep_values_exact(small, desk):
    """I1: money is decimal(38, 9), timestamps carry a zone, dates are dates, account ids are text; `extra` is JSON."""
    assert desk.sync().code == 0
    wanted = {
        "customers": {"id": text, "aws_account_id": text, "cloud_identifier": text, "created_at": moment},
        "entitlements": {"value": money, "start_date": day, "end_date": day, "updated_at": moment},
        "entitlement_dimensions": {"quantity": money, "price": money, "key": text},
        "private_offers": {"total_contract_value": money, "expires_at": moment, "end_date": day, "duration": text},
        "private_offer_payments": {"date": day, "amount": money},
        "analytics_revenue": {"date": day, "revenue": money, "net_revenue": money, "marketplace_fee": money},
    }
    for table, columns in wanted.items():
        found = dict(
            desk.query(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'automatum' AND table_name = ?",
                table,
            )
        )
        assert {name: found[name] for name in columns} == {name: SQL_TYPES[kind] for name, kind in columns.items()}
        assert found["extra"] == "JSON"
        assert found["_synced_at"] == found["_deleted_at"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.slow
def test_rows_are_unique_by_key_and_every_child_has_its_parent(large, desk):
    """I1: no row twice; a child's parent is there."""
    assert desk.sync().code == 0
    for table, key in KEYS.items():
        columns = ", ".join(key)
        assert desk.query(f"SELECT {columns} FROM {table} GROUP BY ALL HAVING count(*) > 1") == []
    assert desk.query("SELECT entitlement_id FROM entitlement_dimensions EXCEPT SELECT id FROM entitlements") == []
    assert desk.query("SELECT private_offer_id FROM private_offer_payments EXCEPT SELECT id FROM private_offers") == []
    assert desk.query("SELECT count(*) - count(DISTINCT _row_key) FROM analytics_revenue") == [(0,)]


@pytest.mark.slow
def test_a_value_that_its_column_cannot_hold_is_kept_beside_it(small, desk):
    """I8: what is not exactly a decimal, a date or a timestamp neither fails the sync nor is lost."""
    id_ = small.rows.ids("entitlements")[0]
    small.rows.change("entitlements", id_, {"value": "call us", "endDate": "2026-05-01T10:00:00Z", "createdAt": "soon"})
    assert desk.sync().code == 0
    ((value, created, extra),) = desk.query(
        "SELECT value, created_at::VARCHAR, extra FROM entitlements WHERE id = ?", id_
    )
    assert (value, created) == (None, None)
    kept = json.loads(extra)
    assert {key: kept[key] for key in ("value", "endDate", "createdAt")} == {
        "value": "call us",
        "endDate": "2026-05-01T10:00:00Z",
        "createdAt": "soon",
    }
