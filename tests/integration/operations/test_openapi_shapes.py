"""The OpenAPI document with the settings of a user describes the API that they have: the servers of the battery."""

import pytest
import requests

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.api.metering_overrides import resolve_metering
from automatum.api.pages import page_parameters
from automatum.config.settings import AutomatumSettings
from automatum.endpoints import API_PREFIX
from automatum.operations.openapi import describe_openapi
from tests.support.openapi import load, validate
from tests.support.shapes import lists, records, reports
from tests.support.shapes.server import serve

SHAPES = [one for one in (*lists.SHAPES, *records.SHAPES, *reports.SHAPES) if "endpoints" in one.settings]
QUICK = {"Link header", "records at data.items, total beside them", "the id is _id"}


def described(shape, base_url="https://api.example.com"):
    """The endpoint of a shape with its settings, and the document."""
    settings = AutomatumSettings()
    for name, value in shape.settings.items():
        setattr(settings, name, value)
    endpoints = resolve_endpoints(settings)
    (endpoint,) = [one for one in endpoints if one.table == shape.api.table]
    return endpoint, describe_openapi([endpoint], base_url, resolve_metering(settings))


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", [pytest.param(one, id=one.name, marks=[] if one.name in QUICK else [pytest.mark.slow]) for one in SHAPES]
)
def test_the_document_with_a_setting_describes_the_api_that_needs_it(shape):
    """Valid; the first page conforms; and so does the answer of a row's own URL."""
    endpoint, document = described(shape)
    validate(document)
    schema = load(document)
    with serve(shape.api()) as api:
        path = API_PREFIX + endpoint.path
        days = {"start": "2023-10-01", "end": "2023-10-31"}
        words = endpoint.parameters
        query = page_parameters(endpoint, 1) if endpoint.kind == "list" else {words[name]: days[name] for name in days}
        names = {one["name"] for one in document["paths"][path]["get"]["parameters"]}
        assert set(query) <= names
        page = requests.get(api.base_url + path, params=query, timeout=10)
        schema[path]["GET"].validate_response(page)
        if endpoint.kind == "list" and endpoint.own_path:
            row = next(iter(api.rows.values()))
            one = requests.get(
                f"{api.base_url}{API_PREFIX}{endpoint.own_path.partition('{')[0]}{api.own(row)}", timeout=10
            )
            schema[API_PREFIX + endpoint.own_path]["GET"].validate_response(one)
