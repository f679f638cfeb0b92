import time

import pytest
import requests

from tests.integration.sandbox.conftest import Client
from tests.integration.sandbox.test_metering import good_body

CUSTOMERS, METERING = "/api/v1/customers", "/api/v1/metering"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_status(client: Client, status: int) -> None:
    client.sandbox.faults.add("status", CUSTOMERS, status=status, headers={"Retry-After": "7"})
    response = client.get(CUSTOMERS)
    assert (response.status_code, response.json()["code"]) == (status, status)
    assert response.headers["Retry-After"] == "7"
    assert client.get(CUSTOMERS).status_code == 200


def test_reset(client: Client) -> None:
    client.sandbox.faults.add("reset", CUSTOMERS)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        client.get(CUSTOMERS)
    assert [entry.status for entry in client.sandbox.requests.to(CUSTOMERS)] == [0]
    assert client.get(CUSTOMERS).status_code == 200


def test_truncation(client: Client) -> None:
    client.sandbox.faults.add("truncate", CUSTOMERS)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.get(CUSTOMERS)
    assert client.get(CUSTOMERS).status_code == 200


def test_html(client: Client) -> None:
    client.sandbox.faults.add("html", CUSTOMERS)
    response = client.get(CUSTOMERS)
    assert response.status_code == 200 and response.headers["Content-Type"].startswith("text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_envelope_code(client: Client) -> None:
    client.sandbox.faults.add("code", CUSTOMERS, status=503, message="Upstream down")
    response = client.get(CUSTOMERS)
    assert response.status_code == 200
    assert response.json() == {"code": 503, "message": "Upstream down"}


def test_slow(client: Client) -> None:
    client.sandbox.faults.add("slow", CUSTOMERS, seconds=0.2)
    before = time.monotonic()
    assert client.get(CUSTOMERS).status_code == 200
    assert time.monotonic() - before >= 0.2


def test_latency_delays_each_response(client: Client) -> None:
    client.sandbox.configure(latency=0.1)
    before = time.monotonic()
    assert client.get(CUSTOMERS).status_code == client.get(CUSTOMERS).status_code == 200
    assert time.monotonic() - before >= 0.2


def test_stop_does_not_wait_for_a_slow_response(fresh: object) -> None:
    client = fresh()  # type: ignore[operator]
    client.sandbox.faults.add("slow", CUSTOMERS, seconds=30)
    with pytest.raises(requests.ReadTimeout):
        client.session.get(client.served.base_url + CUSTOMERS, timeout=0.1)
    before = time.monotonic()
    client.served.stop()
    assert time.monotonic() - before < 0.8


@pytest.mark.parametrize(("given", "status"), [({}, 307), ({"status": 302}, 302)])
def test_redirect(client: Client, given: dict[str, int], status: int) -> None:
    client.sandbox.faults.add("redirect", CUSTOMERS, location="http://127.0.0.1:9/elsewhere", **given)
    response = client.get(CUSTOMERS)
    assert (response.status_code, response.headers["Location"]) == (status, "http://127.0.0.1:9/elsewhere")


def test_revoked_token_stays_revoked(client: Client) -> None:
    client.sandbox.faults.add("revoke", CUSTOMERS)
    assert [client.get(CUSTOMERS).status_code for _ in range(2)] == [401, 401]
    assert client.log_in().get(CUSTOMERS).status_code == 200


def test_a_call_whose_response_is_lost_is_accepted(client: Client) -> None:
    client.sandbox.faults.add("lost_answer", METERING)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", METERING, json=good_body(client))
    assert len(client.sandbox.metering.accepted) == 1


def test_reset_before_acceptance(client: Client) -> None:
    client.sandbox.faults.add("reset", METERING)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", METERING, json=good_body(client))
    assert client.sandbox.metering.accepted == []


def test_error_after_acceptance(client: Client) -> None:
    client.sandbox.faults.add("error_after", METERING)
    assert client.call("POST", METERING, json=good_body(client)).status_code == 500
    assert len(client.sandbox.metering.accepted) == 1


@pytest.mark.parametrize(("kind", "rows"), [("empty_page", 0), ("short_page", 99)])
def test_empty_and_short_pages(client: Client, kind: str, rows: int) -> None:
    client.sandbox.faults.add(kind, CUSTOMERS, page=2)  # type: ignore[arg-type]
    bodies = [client.get(CUSTOMERS, page=page, limit=100).json() for page in (1, 2, 2)]
    assert [len(body["data"]) for body in bodies] == [100, rows, 100]
    assert bodies[1]["pagination"] == {"page": 2, "limit": 100, "total": 250, "pages": 3}


def test_token_endpoint_can_fail(client: Client) -> None:
    client.sandbox.faults.add("status", "/oauth/token", status=503)
    assert [client.token_response().status_code for _ in range(2)] == [503, 200]


def test_after_count_page_and_method(client: Client) -> None:
    fault = client.sandbox.faults.add("status", CUSTOMERS, page=1, method="GET", after=1, count=2)
    statuses = [client.get(CUSTOMERS, **query).status_code for query in ({}, {"page": 2}, {}, {"page": 1}, {})]
    assert statuses == [200, 200, 500, 500, 200]
    assert (fault.seen, fault.fired) == (3, 2)
    client.sandbox.faults.add("status", CUSTOMERS, count=None)
    assert {client.get(CUSTOMERS).status_code for _ in range(4)} == {500}
    client.sandbox.faults.clear()
    assert client.get(CUSTOMERS).status_code == 200


def test_a_fault_counts_as_a_request_and_a_refusal_uses_no_fault(client: Client) -> None:
    client.sandbox.faults.add("status", CUSTOMERS)
    before = client.get("/api/v1/entitlements").headers["X-RateLimit-Remaining"]
    assert int(client.get(CUSTOMERS).headers["X-RateLimit-Remaining"]) == int(before) - 1
    client.sandbox.faults.add("status", CUSTOMERS)
    client.session.headers["Authorization"] = "Bearer wrong"
    assert client.get(CUSTOMERS).status_code == 401
    assert client.log_in().get(CUSTOMERS).status_code == 500
