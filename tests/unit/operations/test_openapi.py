"""The OpenAPI document: valid, current in docs/internals/openapi.yaml, every part marked as documented or assumed.

After a change of what the connector knows of the API, regenerate the document: `make openapi`.
"""

import io
import os

import yaml

from automatum.api.overrides import resolve_endpoints
from automatum.config.base_url import DEFAULT_BASE_URL
from automatum.config.settings import AutomatumSettings
from automatum.endpoints import API_PREFIX, CUSTOMERS, ENDPOINTS, SCOPES
from tests.support import ROOT
from tests.support.openapi import validate, write_yaml
from tests.support.openapi_document import describe_openapi
from tests.support.openapi_document.marks import CONFIGURED, DOCUMENTED, SOURCE, USED

SNAPSHOT = ROOT / "docs/internals/openapi.yaml"
DOCUMENT = describe_openapi(ENDPOINTS, DEFAULT_BASE_URL)
METHODS = {"get", "put", "post", "delete"}


def with_overrides(reports=None, **overrides):
    """The document of these overrides."""
    settings = AutomatumSettings()
    settings.endpoints, settings.reports = overrides, reports
    return describe_openapi(resolve_endpoints(settings), "https://gateway.example.com/automatum")


def operations(document=DOCUMENT):
    """Each operation with its path and method."""
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def fields(schema, path=""):
    """Dotted path to schema of each field, through lists."""
    for name, inner in schema.get("properties", {}).items():
        at = f"{path}.{name}".lstrip(".")
        if "properties" not in inner:
            yield at, inner
        yield from fields(inner, at)
        yield from fields(inner.get("items", {}), f"{at}[]")


def record(table, document=DOCUMENT):
    return dict(fields(document["components"]["schemas"][table]))


def parameters(path, document=DOCUMENT):
    return {one["name"]: one for one in document["paths"][path]["get"]["parameters"]}


def test_it_is_valid():
    validate(DOCUMENT)


def test_the_document_in_docs_is_current():
    written = io.StringIO()
    write_yaml(DOCUMENT, written)
    found = written.getvalue()
    if os.environ.get("OPENAPI") == "write":
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == found, "run: make openapi"
    assert yaml.safe_load(found) == DOCUMENT


def test_operation_ids_are_unique():
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


def test_every_operation_parameter_and_field_is_marked_and_a_documented_part_names_its_page():
    marked = [operation for _, _, operation in operations()]
    marked += [one for _, _, operation in operations() for one in operation.get("parameters", ())]
    marked += [one for item in DOCUMENT["paths"].values() for one in item.get("parameters", ())]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name != "Error":
            marked += [one for _, one in fields(schema)]
    assert len(marked) > 150
    for one in marked:
        assert isinstance(one[DOCUMENTED], bool), one
        assert (
            one[SOURCE] if one[DOCUMENTED] else "/" not in one.get(SOURCE, "").split(" ")[0] or "assumed" in one[SOURCE]
        )


def test_the_documented_fields_are_those_of_the_flat_customer():
    """`api/reference` shows these and no other field of a record."""
    shown = {path for path, one in record("Customers").items() if one[DOCUMENTED]}
    assert shown == {
        *("id", "organizationId", "vendor", "awsAccountId", "email", "companyName", "status", "createdAt", "updatedAt")
    }
    for name in ("Entitlements", "PrivateOffers", "AnalyticsRevenue", "Application"):
        assert not any(one[DOCUMENTED] for one in record(name).values()), name


def test_every_place_of_every_column_is_described():
    for endpoint in ENDPOINTS:
        described = record("".join(map(str.capitalize, endpoint.table.split("_"))))
        for column in endpoint.columns:
            for place in column.places:
                assert column.name in described[place.path]["x-automatum-columns"]
        for child in endpoint.children:
            for place in child.places:
                for column in child.columns:
                    assert f"{place}[].{column.places[0].path}" in described


def test_every_scope_is_used_by_an_operation_and_what_the_connector_does_not_use_is_marked():
    asked = {scope for _, _, one in operations() for need in one["security"] for scope in need.get("oauth2", ())}
    assert asked == set(SCOPES)
    unused = {(path, method) for path, method, one in operations() if one.get(USED) is False}
    assert unused == {
        (f"{API_PREFIX}{path}", method)
        for path, method in (
            *(("customers", "post"), ("customers/{id}", "put")),
            *(("private-offers", "post"), ("private-offers/{id}", "put")),
        )
    }
    assert parameters("/api/v1/customers")["search"][USED] is False


def test_overrides_show_and_are_marked():
    document = with_overrides(
        entitlements={"path": "contracts", "records": "items", "parameters": {"page": "p"}, "total": "meta.count"},
        customers={"key": "account"},
        reports=[{"name": "usage", "key": ["date", "dimension"], "columns": {"units": "decimal"}}],
    )
    validate(document)
    assert document["servers"] == [{"url": "https://gateway.example.com/automatum"}]
    assert "/api/v1/entitlements" not in document["paths"]
    operation = document["paths"]["/api/v1/contracts"]["get"]
    assert operation[CONFIGURED] is True
    assert operation[DOCUMENTED] is False
    found = parameters("/api/v1/contracts", document)
    assert CONFIGURED in found["p"]
    assert CONFIGURED not in found["limit"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["required"] == ["items"]
    assert answer["properties"]["meta"]["properties"]["count"]["type"] == "integer"
    account = record("Customers", document)["account"]
    assert account[CONFIGURED] is True
    assert document["components"]["schemas"]["Customers"]["required"] == ["account"]
    assert set(record("AnalyticsUsage", document)) == {
        *("date", "period", "vendor", "listingId", "customerId", "currency", "dimension", "units")
    }
    assert all(one[CONFIGURED] for one in record("AnalyticsUsage", document).values())


def test_the_table_of_endpoints_is_not_changed():
    """The parts of the document are its own: two documents are equal."""
    assert describe_openapi(ENDPOINTS, DEFAULT_BASE_URL) == DOCUMENT
    assert CUSTOMERS is ENDPOINTS[0]


def test_a_constant_query_shows_and_is_marked():
    document = with_overrides(analytics_revenue={"path": "analytics/revenue?groupBy=day"})
    validate(document)
    found = parameters("/api/v1/analytics/revenue", document)
    assert (found["groupBy"]["schema"]["const"], found["groupBy"][CONFIGURED]) == ("day", True)
    assert "groupBy" not in parameters("/api/v1/analytics/revenue")
