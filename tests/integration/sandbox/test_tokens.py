import base64
import hashlib
import json

import pytest
import requests

from automatum_sandbox import AppConfig
from tests.integration.sandbox.conftest import NOW, Client, Clock, Fresh

CUSTOMERS = "/api/v1/customers"


def test_token_response_is_the_documented_one_without_envelope(client: Client) -> None:
    response = client.token_response()
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["scope"].split()[:2] == ["read:customers", "write:customers"]
    header = body["access_token"].split(".")[0]
    assert header == "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # as the vendor's sample begins
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("wrong", [{"client_secret": "secret_wrong"}, {"client_id": "app_unknown"}])
def test_wrong_credentials(client: Client, wrong: dict[str, str]) -> None:
    response = client.token_response(**wrong)
    assert response.status_code == 401
    assert response.json() == {"code": 401, "message": "Invalid client credentials"}


def test_wrong_grant_names_the_field(client: Client) -> None:
    response = client.token_response(grant_type="password")
    assert response.status_code == 400
    assert response.json()["code"] == 400
    assert [error["field"] for error in response.json()["errors"]] == ["grant_type"]


def test_a_json_body_is_refused(client: Client) -> None:
    response = client.call("POST", "/oauth/token", json={"grant_type": "client_credentials"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "Content-Type"


def test_token_expires_after_its_seconds(fresh: Fresh) -> None:
    clock = Clock()
    client = fresh(clock, token_seconds=90)
    clock.now += 89.9
    assert client.get(CUSTOMERS).status_code == 200
    clock.now += 0.1
    response = client.get(CUSTOMERS)
    assert response.status_code == 401
    assert response.json() == {"code": 401, "message": "Token expired"}


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic abc", "Bearer "])
def test_no_valid_token(client: Client, header: str | None) -> None:
    client.session.headers["Authorization"] = header  # type: ignore[assignment]
    response = client.get(CUSTOMERS)
    assert response.status_code == 401
    assert response.json() == {"code": 401, "message": "Invalid token"}


def test_missing_scope_and_new_scopes_need_a_new_token(fresh: Fresh) -> None:
    client = fresh(apps=(AppConfig(scopes=("read:entitlements",)),))
    assert client.token_response().json()["scope"] == "read:entitlements"
    assert client.get("/api/v1/entitlements").status_code == 200
    for path in (CUSTOMERS, "/api/v1/private-offers", "/api/v1/analytics/revenue"):
        response = client.get(path)
        assert response.status_code == 403
        assert response.json() == {"code": 403, "message": "Insufficient scope for this endpoint"}
    own = f"/oauth/applications/{client.sandbox.client_id}"
    assert client.call("PUT", own, json={"scopes": ["read:customers"]}).status_code == 200
    assert client.get(CUSTOMERS).status_code == 403
    client.log_in()
    assert client.get(CUSTOMERS).status_code == 200
    assert client.get("/api/v1/entitlements").status_code == 403


def test_applications_are_listed_without_secrets(fresh: Fresh) -> None:
    client = fresh(apps=(AppConfig("one"), AppConfig("two", ("read:customers",))))
    response = client.get("/oauth/applications")
    assert response.json()["code"] == 200
    assert [app["name"] for app in response.json()["data"]] == ["one", "two"]
    assert response.json()["data"][1]["scopes"] == ["read:customers"]
    assert "secret_" not in response.text
    one = client.get(f"/oauth/applications/{client.sandbox.client_id}").json()["data"]
    assert one["clientId"] == client.sandbox.client_id
    assert one["lastUsedAt"].startswith(NOW.date().isoformat())
    assert client.get("/oauth/applications/app_unknown").status_code == 404


def test_update_application(fresh: Fresh) -> None:
    client = fresh()
    own = f"/oauth/applications/{client.sandbox.client_id}"
    body = {"name": "Updated Name", "description": "New description", "scopes": ["read:customers", "write:metering"]}
    data = client.call("PUT", own, json=body).json()["data"]
    assert {name: data[name] for name in body} == body
    refused = client.call("PUT", own, json={"scopes": ["read:customers", "read:everything"]})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "scopes[1]"


def test_regenerating_a_secret_invalidates_the_old_secret_and_all_tokens(fresh: Fresh) -> None:
    client = fresh()
    old = client.sandbox.client_secret
    data = client.call("POST", f"/oauth/applications/{client.sandbox.client_id}/regenerate-secret").json()["data"]
    assert data["clientSecret"] == client.sandbox.client_secret != old
    assert client.get(CUSTOMERS).json() == {"code": 401, "message": "Invalid token"}
    assert client.token_response(client_secret=old).json() == {"code": 401, "message": "Invalid client credentials"}
    assert client.log_in().get(CUSTOMERS).status_code == 200


def test_deleted_application_is_gone(fresh: Fresh) -> None:
    client = fresh(apps=(AppConfig("one"), AppConfig("two")))
    assert client.call("DELETE", f"/oauth/applications/{client.sandbox.client_id}").status_code == 200
    assert client.get(CUSTOMERS).status_code == 401
    assert client.token_response().json()["message"] == "Invalid client credentials"
    assert client.log_in(1).get(CUSTOMERS).status_code == 200


def test_revoked_message_is_an_option(fresh: Fresh) -> None:
    client = fresh(revoked_message="Token expired")
    assert client.sandbox.tokens.revoke() == 1
    assert client.get(CUSTOMERS).json()["message"] == "Token expired"


def test_log_contains_no_token(client: Client) -> None:
    client.get(CUSTOMERS)
    token = str(client.session.headers["Authorization"])
    log = requests.get(f"{client.served.base_url}/_sandbox/requests", timeout=5).text
    kept = client.sandbox.requests.to(CUSTOMERS)[0].authorization
    assert kept == hashlib.sha256(token.encode()).hexdigest()[:16]
    assert token.split()[1] not in log
