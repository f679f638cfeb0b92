from typing import Any

import pytest

from automatum_sandbox import AppConfig, Limits, OrganizationConfig
from tests.integration.sandbox.conftest import Clock, Fresh

CUSTOMERS = "/api/v1/customers"
SMALL = Limits(app_minute=3, app_hour=5, organization_minute=100, organization_hour=100)
UNCOUNTED: dict[str, Any] = {"count_token_calls": False, "limits": SMALL}


def test_documented_limits_headers_and_refusal(fresh: Fresh) -> None:
    clock = Clock()
    client = fresh(clock)  # the token call counts
    responses = [client.get(CUSTOMERS, limit=1) for _ in range(50)]
    assert [response.status_code for response in responses] == [200] * 49 + [429]
    first, refused = responses[0].headers, responses[-1]
    assert (first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == ("1000", "998")
    assert first["X-RateLimit-Reset"] == str(int(clock.now) + 3600)  # the clock is at a full hour
    assert first["X-RateLimit-Organization-Limit"] == "10000"
    assert first["X-RateLimit-Organization-Remaining"] == "9998"
    assert refused.json() == {"code": 429, "message": "Rate limit exceeded", "retryAfter": 60}
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["X-RateLimit-Remaining"] == "950"
    assert "Date" in refused.headers


def test_token_calls_are_refused_too(fresh: Fresh) -> None:
    client = fresh(Clock(), limits=SMALL)
    assert [client.token_response().status_code for _ in range(3)] == [200, 200, 429]
    assert client.token_response().json()["message"] == "Rate limit exceeded"


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        # (seconds to move on, expected status): three a minute, starting 50 s into a fixed window
        ("fixed", [(0, 200), (0, 200), (0, 200), (9.9, 429), (0.1, 200)]),
        ("sliding", [(0, 200), (20, 200), (20, 200), (19.9, 429), (0.1, 200), (0, 429), (19.9, 429), (0.1, 200)]),
    ],
)
def test_windows(fresh: Fresh, kind: str, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    client = fresh(clock, window_kind=kind, **UNCOUNTED)
    clock.now += 50
    for seconds, status in steps:
        clock.now += seconds
        assert client.get(CUSTOMERS, limit=1).status_code == status


def test_delay_is_the_longest_of_the_full_windows(fresh: Fresh) -> None:
    clock = Clock()
    client = fresh(clock, count_token_calls=False, limits=Limits(app_minute=2, app_hour=4))
    clock.now += 30
    for seconds in (0, 60):
        clock.now += seconds
        assert [client.get(CUSTOMERS, limit=1).status_code for _ in range(2)] == [200, 200]
    refused = client.get(CUSTOMERS, limit=1)  # the minute ends in 30 s, the hour at the full hour
    assert refused.json()["retryAfter"] == 3600 - 90
    assert refused.headers["X-RateLimit-Remaining"] == "0"


def test_scaled_windows(fresh: Fresh) -> None:
    clock = Clock()
    client = fresh(clock, window_scale=0.01, delay_format="decimal", **UNCOUNTED)
    for _ in range(3):
        assert client.get(CUSTOMERS, limit=1).status_code == 200
    refused = client.get(CUSTOMERS, limit=1)
    assert refused.headers["Retry-After"] == "0.600"
    assert refused.json()["retryAfter"] == 1
    clock.now += 0.61
    assert client.get(CUSTOMERS, limit=1).status_code == 200


@pytest.mark.parametrize("counted", [False, True])
def test_refused_requests_count_only_if_configured(fresh: Fresh, counted: bool) -> None:
    clock = Clock()
    client = fresh(clock, window_kind="sliding", count_rejected=counted, **UNCOUNTED)
    for _ in range(3):
        client.get(CUSTOMERS, limit=1)
    clock.now += 30
    assert client.get(CUSTOMERS, limit=1).status_code == 429
    assert client.sandbox.limiter.used(client.sandbox.client_id, 60.0) == 3 + counted


def test_where_the_delay_is_given(fresh: Fresh) -> None:
    client = fresh(Clock(), limits=Limits(0), count_token_calls=False)
    expected = {"header": (True, False), "body": (False, True), "both": (True, True), "none": (False, False)}
    for place, found in expected.items():
        client.sandbox.configure(delay_place=place)
        response = client.get(CUSTOMERS)
        assert response.status_code == 429
        assert ("Retry-After" in response.headers, "retryAfter" in response.json()) == found


def test_delay_as_date_and_no_limit_headers(fresh: Fresh) -> None:
    client = fresh(Clock(), delay_format="date", limit_headers=False, limits=Limits(0), count_token_calls=False)
    response = client.get(CUSTOMERS)
    assert response.headers["Retry-After"] == "Thu, 15 Jan 2026 12:01:00 GMT"
    assert not [name for name in response.headers if name.lower().startswith("x-ratelimit")]


def test_without_limits(fresh: Fresh) -> None:
    client = fresh(Clock(), limits=None)
    assert {client.get(CUSTOMERS, limit=1).status_code for _ in range(60)} == {200}


def test_applications_share_the_organizations_quota_and_organizations_do_not(fresh: Fresh) -> None:
    client = fresh(
        Clock(),
        count_token_calls=False,
        limits=Limits(app_minute=3, organization_minute=4),
        apps=(AppConfig(), AppConfig(), AppConfig(organization=1)),
        organizations=(OrganizationConfig(), OrganizationConfig(customers=7)),
    )
    assert [client.get(CUSTOMERS).status_code for _ in range(4)] == [200, 200, 200, 429]
    client.log_in(1)
    assert [client.get(CUSTOMERS).status_code for _ in range(2)] == [200, 429]
    client.log_in(2)
    assert client.get(CUSTOMERS).status_code == 200


def test_organizations_see_their_own_rows(fresh: Fresh) -> None:
    client = fresh(
        apps=(AppConfig(), AppConfig(organization=1)),
        organizations=(OrganizationConfig(), OrganizationConfig(customers=7, limits=Limits(app_hour=77))),
    )
    first, second = client.sandbox.organizations
    ids = [row["id"] for row in client.get(CUSTOMERS, limit=100).json()["data"]]
    other = client.log_in(1).get(CUSTOMERS, limit=100).json()
    assert len(ids) == 60 and other["pagination"]["total"] == 7
    assert {row["organizationId"] for row in other["data"]} == {second} != {first}
    assert not set(ids) & {row["id"] for row in other["data"]}
    gone = client.get(f"{CUSTOMERS}/{ids[0]}")
    assert (gone.status_code, gone.headers["X-RateLimit-Limit"]) == (404, "77")
    assert len(client.get("/oauth/applications").json()["data"]) == 1
