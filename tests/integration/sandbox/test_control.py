"""The control plane, in process and over HTTP."""

from typing import Any

import pytest
import requests

from automatum_sandbox import BEHAVIOUR
from tests.integration.sandbox.conftest import NOW, Client, Fresh
from tests.integration.sandbox.test_metering import good_body

CUSTOMERS = "/api/v1/customers"


def control(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    response = requests.request(method, f"{client.served.base_url}/_sandbox{path}", json=body, timeout=5)
    assert response.status_code == 200, response.text
    return response.json()


def test_change_insert_delete_now(fresh: Fresh) -> None:
    client = fresh()
    sandbox, ids = client.sandbox, client.sandbox.rows.ids("customers")
    sandbox.rows.change("customers", ids[0], {"companyName": "新"})
    sandbox.rows.delete("customers", ids[1])
    (new,) = sandbox.rows.insert("customers", {"companyName": "New"})
    row = client.get(f"{CUSTOMERS}/{ids[0]}").json()["data"]
    assert row["companyName"] == "新" and row["updatedAt"].startswith(NOW.date().isoformat())
    assert client.get(f"{CUSTOMERS}/{ids[1]}").status_code == 404
    listed = client.get(CUSTOMERS, limit=100).json()
    assert [entry["id"] for entry in listed["data"]] == [ids[0], *ids[2:], new]
    assert listed["data"][-1]["companyName"] == "New"
    assert listed["pagination"]["total"] == 60
    with pytest.raises(KeyError):
        sandbox.rows.delete("customers", ids[1])
    with pytest.raises(ValueError, match="unknown table"):
        sandbox.rows.ids("invoices")


def test_filters_see_changes(fresh: Fresh) -> None:
    client = fresh()
    id_ = client.get(CUSTOMERS, status="active").json()["data"][0]["id"]
    client.sandbox.rows.change("customers", id_, {"status": "inactive"})
    assert id_ not in [row["id"] for row in client.get(CUSTOMERS, status="active", limit=100).json()["data"]]
    assert id_ in [row["id"] for row in client.get(CUSTOMERS, status="inactive", limit=100).json()["data"]]


def test_a_customers_entitlements_follow_changes(fresh: Fresh) -> None:
    client = fresh()
    entitlement = client.sandbox.rows.all("entitlements")[0]
    path = f"{CUSTOMERS}/{entitlement['customerId']}"
    before = [row["id"] for row in client.get(path).json()["data"]["entitlements"]]
    client.sandbox.rows.delete("entitlements", entitlement["id"])
    (new,) = client.sandbox.rows.insert("entitlements", {"customerId": entitlement["customerId"]})
    after = [row["id"] for row in client.get(path).json()["data"]["entitlements"]]
    assert after == [id_ for id_ in before if id_ != entitlement["id"]] + [new] != before


def test_change_after_the_nth_request(fresh: Fresh) -> None:
    client = fresh()
    ids = client.sandbox.rows.ids("customers")
    client.sandbox.schedule.after(2, lambda: client.sandbox.rows.delete("customers", ids[0]), path=CUSTOMERS)
    totals = []
    for path in (CUSTOMERS, "/api/v1/entitlements", CUSTOMERS, CUSTOMERS, CUSTOMERS):
        totals.append(client.get(path).json()["pagination"]["total"])
    assert totals == [60, 80, 60, 59, 59]


def test_scheduled_over_http(fresh: Fresh) -> None:
    client = fresh()
    body = {"op": "insert", "table": "customers", "count": 3, "after": 1}
    assert control(client, "POST", "/rows", body) == {"scheduled": True}
    assert [client.get(CUSTOMERS).json()["pagination"]["total"] for _ in range(3)] == [60, 63, 63]


def test_rows_over_http(fresh: Fresh) -> None:
    client = fresh()
    rows = control(client, "GET", "/rows/customers")
    first, second = rows[0]["id"], rows[1]["id"]
    change = {"op": "change", "table": "customers", "id": first, "record": {"status": "inactive"}}
    assert control(client, "POST", "/rows", change) == {"ids": [first]}
    control(client, "POST", "/rows", {"op": "delete", "table": "customers", "ids": [second]})
    control(client, "POST", "/rows", {"op": "put", "table": "customers", "record": {"id": "cust_new"}})
    after = {row["id"]: row for row in control(client, "GET", "/rows/customers")}
    assert after[first]["status"] == "inactive" and second not in after and after["cust_new"] == {"id": "cust_new"}
    control(client, "POST", "/revenue", {"date": "2026-01-15", "vendor": "aws", "record": {"count": 0}})
    assert client.get("/api/v1/analytics/revenue").json()["data"][-2]["count"] == 0


def test_faults_over_http(client: Client) -> None:
    made = control(client, "POST", "/faults", {"kind": "status", "path": CUSTOMERS, "status": 503, "count": None})
    assert client.get(CUSTOMERS).status_code == 503
    assert control(client, "GET", "/faults")[0]["fired"] == 1
    assert control(client, "DELETE", f"/faults?number={made['number']}") == []
    assert client.get(CUSTOMERS).status_code == 200


def test_log_and_stats(client: Client) -> None:
    client.get(CUSTOMERS, page=2, limit=5)
    client.get(f"{CUSTOMERS}/{client.sandbox.rows.ids('customers')[0]}")
    client.sandbox.faults.add("status", CUSTOMERS, status=429)
    client.get(CUSTOMERS)
    entry = control(client, "GET", f"/requests?path={CUSTOMERS}")[0]
    assert (entry["method"], entry["query"], entry["page"]) == ("GET", {"page": "2", "limit": "5"}, 2)
    assert (entry["status"], entry["app"], entry["body"]) == (200, client.sandbox.client_id, None)
    assert [e.fault for e in client.sandbox.requests.all()] == [None, None, "status"]
    stats = control(client, "GET", "/stats")
    assert stats["by_path"] == {CUSTOMERS: 2, f"{CUSTOMERS}/:id": 1}
    assert (stats["requests"], stats["rate_limited"], stats["tokens"]) == (3, 1, 0)
    assert control(client, "DELETE", "/requests") == []
    assert client.sandbox.requests.stats()["requests"] == 0


def test_metering_over_http(client: Client) -> None:
    control(client, "PATCH", "/config", {"metering_outcome": "manual"})
    id_ = client.call("POST", "/api/v1/metering", json=good_body(client)).json()["data"]["id"]
    (call,) = control(client, "GET", "/metering")
    assert (call["id"], call["status"]) == (id_, "queued")
    event = control(client, "POST", f"/metering/{id_}", {"outcome": "confirmed"})
    assert control(client, "GET", "/events")[-1] == event
    assert event["event"] == "metering.confirmed"
    assert control(client, "GET", "/billable")[0]["customer_id"] == client.sandbox.metering.billable()[0].customer_id


def test_configure(client: Client) -> None:
    control(client, "PATCH", "/config", {"limits": {"app_minute": 0}})
    assert client.get(CUSTOMERS).status_code == 429
    control(client, "PATCH", "/config", {"limits": None})
    assert client.get(CUSTOMERS).status_code == 200
    with pytest.raises(ValueError, match="customers"):
        client.sandbox.configure(customers=5)


def test_revoke_reset_and_credentials_over_http(client: Client) -> None:
    assert control(client, "GET", "/credentials")[0]["clientSecret"] == client.sandbox.client_secret
    assert control(client, "POST", "/tokens/revoke")["revoked"] >= 1
    assert client.get(CUSTOMERS).status_code == 401
    control(client, "POST", "/reset")
    assert client.sandbox.requests.all() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "explode"}),
        ("/faults", {"kind": "status", "colour": "red"}),
        ("/rows", {"op": "delete", "table": "customers", "id": "cust_unknown"}),
        ("/rows", {"op": "polish", "table": "customers"}),
        ("/rows", {}),
    ],
)
def test_a_wrong_call_reports_its_error(client: Client, path: str, body: dict[str, Any]) -> None:
    response = requests.post(f"{client.served.base_url}/_sandbox{path}", json=body, timeout=5)
    assert response.status_code == 400
    assert response.json()["message"]


def test_control_plane_is_not_counted_and_not_logged(client: Client) -> None:
    listed = control(client, "GET", "")
    assert len(listed["behaviour"]) == len(BEHAVIOUR)
    assert client.sandbox.requests.all() == []
    assert client.get(CUSTOMERS).headers["X-RateLimit-Remaining"] == "999"
