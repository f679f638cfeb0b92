from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from automatum_sandbox import AppConfig
from tests.integration.sandbox.conftest import NOW, Client, Fresh

METERING = "/api/v1/metering"
Body = dict[str, Any]


def good_body(client: Client, units: float = 3) -> Body:
    """A body in the documented form that is accepted."""
    one = client.sandbox.metering.billable()[0]
    key, price = next(iter(one.prices.items()))
    usage = {"apiKey": key, "units": units, "title": "Calls", "description": "", "per": "request", "price": price}
    return {
        "vendor": one.vendor,
        "listingId": one.listing_id,
        "details": {
            "customer": {"id": one.customer_id},
            "reportingDate": NOW.date().isoformat(),
            "charged": float(Decimal(price) * Decimal(str(units))),
            "usages": [usage],
        },
    }


def test_accepted(client: Client) -> None:
    body = good_body(client)
    response = client.call("POST", METERING, json=body)
    assert response.status_code == 202
    data = response.json()["data"]
    assert response.json()["code"] == 202
    assert set(data) == {"id", "status", "vendor", "listingId", "createdAt"}
    assert data["id"].startswith("meter_") and data["status"] == "queued"
    (call,) = client.sandbox.metering.accepted
    assert (call.id, call.body["details"]["usages"][0]["units"]) == (data["id"], 3)
    assert client.sandbox.requests.to(METERING)[0].body == response.request.body.decode()  # type: ignore[union-attr]


def test_events_follow(client: Client) -> None:
    id_ = client.call("POST", METERING, json=good_body(client)).json()["data"]["id"]
    events = client.sandbox.metering.events
    assert [event["event"] for event in events] == ["metering.submitted", "metering.confirmed"]
    assert set(events[0]) == {"id", "event", "timestamp", "organizationId", "data"}
    assert events[0]["id"].startswith("evt_") and events[0]["id"] != events[1]["id"]
    assert [event["data"]["id"] for event in events] == [id_, id_]
    assert client.sandbox.metering.accepted[0].status == "confirmed"


def test_manual_outcome(client: Client) -> None:
    client.sandbox.configure(metering_outcome="manual")
    id_ = client.call("POST", METERING, json=good_body(client)).json()["data"]["id"]
    assert [event["event"] for event in client.sandbox.metering.events] == ["metering.submitted"]
    client.sandbox.metering.settle(id_, "failed")
    assert client.sandbox.metering.events[-1]["event"] == "metering.failed"
    with pytest.raises(KeyError):
        client.sandbox.metering.settle("meter_unknown", "failed")


@pytest.mark.parametrize("status", [200, 201])
def test_status_is_an_option(client: Client, status: int) -> None:
    client.sandbox.configure(metering_status=status)
    response = client.call("POST", METERING, json=good_body(client))
    assert (response.status_code, response.json()["code"]) == (status, status)


def test_sent_twice_is_accepted_twice(client: Client) -> None:
    body = good_body(client)
    assert [client.call("POST", METERING, json=body).status_code for _ in range(2)] == [202, 202]
    assert len(client.sandbox.metering.accepted) == 2


def test_sums_are_exact(client: Client) -> None:
    body = good_body(client)
    details = body["details"]
    details["usages"] = [{**details["usages"][0], "units": units, "price": "0.1"} for units in (1, 2)]
    details["charged"] = 0.3  # 0.1 + 0.2 is not 0.3 in floats
    assert client.call("POST", METERING, json=body).status_code == 202
    details["charged"] = 0.30000000000000004
    assert client.call("POST", METERING, json=body).json()["errors"][0]["field"] == "details.charged"


def _set(path: str, value: object) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        *way, last = path.split(".")
        at: Any = body
        for step in way:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("vendor", "gcp", "vendor"),
        ("listingId", "list_zzzzzzzz", "listingId"),
        ("details", None, "details"),
        ("details.customer", {"id": "cust_zzzzzzzz"}, "details.customer.id"),
        ("details.customer", "cust_1", "details.customer.id"),
        ("details.reportingDate", "2026-01-16", "details.reportingDate"),
        ("details.reportingDate", "2026-1-5", "details.reportingDate"),
        ("details.reportingDate", 20260115, "details.reportingDate"),
        ("details.charged", "3", "details.charged"),
        ("details.charged", 1e6, "details.charged"),
        ("details.usages", [], "details.usages"),
        ("details.usages", [{}] * 26, "details.usages"),
        ("details.usages", ["x"], "details.usages[0]"),
        ("details.usages.0.apiKey", "no_dimension", "details.usages[0].apiKey"),
        ("details.usages.0.units", -1, "details.usages[0].units"),
        ("details.usages.0.units", True, "details.usages[0].units"),
        ("details.usages.0.units", "3", "details.usages[0].units"),
        ("details.usages.0.price", 0.5, "details.usages[0].price"),
        ("details.usages.0.price", "cheap", "details.usages[0].price"),
        ("details.usages.0.title", 5, "details.usages[0].title"),
    ],
)
def test_each_rule(client: Client, path: str, value: object, field: str) -> None:
    body = good_body(client)
    _set(path, value)(body)
    response = client.call("POST", METERING, json=body)
    assert response.status_code == 400
    assert response.json()["code"] == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert client.sandbox.metering.accepted == []


def test_dimension_must_be_of_an_active_entitlement(fresh: Fresh) -> None:
    client = fresh()
    body = good_body(client)
    for row in client.sandbox.rows.all("entitlements"):
        if row["customerId"] == body["details"]["customer"]["id"]:
            client.sandbox.rows.change("entitlements", row["id"], {"status": "expired"})
    response = client.call("POST", METERING, json=body)
    assert response.json()["errors"][0]["field"] == "details.usages[0].apiKey"


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'{"vendor": NaN}'])
def test_no_json_object(client: Client, sent: bytes) -> None:
    assert client.call("POST", METERING, data=sent).status_code == 400


def test_scope(fresh: Fresh) -> None:
    client = fresh(apps=(AppConfig(scopes=("read:customers",)),))
    response = client.call("POST", METERING, json=good_body(client))
    assert response.json() == {"code": 403, "message": "Insufficient scope for this endpoint"}
