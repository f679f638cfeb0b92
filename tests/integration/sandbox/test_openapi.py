"""Each answer of the sandbox conforms to the connector's OpenAPI document: schemathesis asks over a real socket."""

import copy
import json
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automatum.endpoints import API_PREFIX, ENDPOINTS
from automatum.metering.model import Line
from automatum.metering.payloads import Body
from automatum_sandbox import AppConfig
from tests.integration.sandbox.conftest import NOW
from tests.support.openapi import excluded_checks, load
from tests.support.openapi_document import describe_openapi
from tests.support.openapi_document.marks import USED

DOCUMENT = describe_openapi(ENDPOINTS, "http://127.0.0.1")
OPERATIONS = sorted(
    (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and operation.get(USED) is not False
)
UNUSED = sorted(
    (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and operation.get(USED) is False
)
FEW = {"customers": 30, "entitlements": 30, "private_offers": 30, "days": 5}


@pytest.fixture
def client(fresh):
    """The plausible rows, and applications to delete."""
    return fresh(traps=False, now=NOW, limits=None, apps=tuple(AppConfig(name=f"App {n}") for n in range(12)), **FEW)


def operation(client, path, method):
    schema = load(DOCUMENT)
    schema.config.update(base_url=client.served.base_url)
    return schema[path][method.upper()]


def ids(client, path):
    """Ids that exist below a path. The first application is the one that asks."""
    if path.startswith("/oauth"):
        return [one.client_id for one in client.sandbox.apps[1:]]
    table = next(one.table for one in ENDPOINTS if path.startswith(f"{API_PREFIX}{one.path}/"))
    return client.sandbox.rows.ids(table)


def headers(client, path):
    return {} if path == "/oauth/token" else {"Authorization": client.session.headers["Authorization"]}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_conform_whatever_is_asked(client, path, method):
    """Status, content type, headers and body of each answer, refusals included; a request without token is refused."""
    from schemathesis import GenerationMode

    asked = operation(client, path, method)
    known = st.sampled_from(ids(client, path)) if "{id}" in path else st.nothing()
    statuses = Counter()
    has_input = bool(asked.query or asked.body)
    for mode in GenerationMode if has_input else [GenerationMode.POSITIVE]:

        @settings(
            max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(case=asked.as_strategy(generation_mode=mode), id_=st.none() | known)
        def ask(case, id_):
            if id_ is not None:
                case.path_parameters["id"] = id_
            response = case.call(headers=headers(client, path), timeout=10)
            statuses[response.status_code] += 1
            case.validate_response(response, excluded_checks=excluded_checks())

        ask()
    # Business rules stand before a success of these two.
    wanted = {"/oauth/token": 401, f"{API_PREFIX}metering": 400}.get(path, 200)
    assert statuses[wanted], statuses


@pytest.mark.parametrize(("path", "method"), UNUSED)
def test_the_sandbox_does_not_imitate_what_the_connector_does_not_use(client, path, method):
    assert client.call(method, path.replace("{id}", "one"), json={}).status_code == 405


def test_a_token_conforms(client):
    """The credentials that schemathesis does not know."""
    asked, known = operation(client, "/oauth/token", "post"), client.sandbox.apps[0]
    form = {"grant_type": "client_credentials", "client_id": known.client_id, "client_secret": known.secret}
    case = asked.Case(body=form, media_type="application/x-www-form-urlencoded")
    response = case.call(timeout=10)
    assert response.status_code == 200
    case.validate_response(response, excluded_checks=excluded_checks())


@pytest.mark.parametrize("status", [200, 201, 202])
def test_usage_conforms(client, status):
    """The body that a push sends is the documented one, and its success conforms, whatever its status."""
    client.sandbox.configure(metering_status=status)
    billable = client.sandbox.metering.billable()[0]
    moment = datetime(NOW.year, NOW.month, NOW.day, tzinfo=timezone.utc)
    lines = [
        Line(billable.vendor, billable.listing_id, billable.customer_id, key, "day", moment, Decimal(3), Decimal(price))
        for key, price in billable.prices.items()
    ]
    asked = operation(client, f"{API_PREFIX}metering", "post")
    payload = Body(tuple(lines)).payload()
    schema = DOCUMENT["paths"][f"{API_PREFIX}metering"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    response = client.call("POST", f"{API_PREFIX}metering", data=payload)
    assert response.status_code == status, response.text
    jsonschema.validate(json.loads(payload), schema, jsonschema.Draft202012Validator)
    asked.validate_response(response)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["array", "object"])
def test_every_row_conforms_and_has_no_field_that_is_not_described(client, shape):
    """The rows of all lists and of the report, in the list and at the URL of each row."""
    client.sandbox.configure(analytics_shape=shape)
    strict = copy.deepcopy(DOCUMENT)
    for endpoint in ENDPOINTS:
        name = "".join(word.capitalize() for word in endpoint.table.split("_"))
        forbid_others(strict["components"]["schemas"][name])
    # In `extra`: no table holds them.
    strict["components"]["schemas"]["PrivateOffers"]["properties"]["pricing"]["properties"]["dimensions"] = {}
    schema = load(strict)
    for endpoint in ENDPOINTS:
        path = f"{API_PREFIX}{endpoint.path}"
        page = client.get(path, limit=100)
        assert len(page.json()["data"]) >= 3
        schema[path]["GET"].validate_response(page)
    for path in (f"{API_PREFIX}{one.path}" for one in ENDPOINTS if one.kind == "list"):
        for id_ in ids(client, f"{path}/"):
            operation(client, f"{path}/{{id}}", "get").validate_response(client.get(f"{path}/{id_}"))


def forbid_others(schema):
    """Forbid fields that a schema does not name, at each level."""
    if "properties" in schema:
        schema["additionalProperties"] = False
        for inner in schema["properties"].values():
            forbid_others(inner)
            forbid_others(inner.get("items", {}))
