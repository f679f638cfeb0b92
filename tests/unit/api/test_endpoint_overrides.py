"""I8: what is assumed of the API can be corrected in the configuration, and a wrong correction is named."""

import pytest

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS

pytestmark = pytest.mark.usefixtures("fresh_settings")


def resolved(**settings):
    found = resolve_endpoints(resolve_settings({"client_id": "app_1", "client_secret": "secret_123456", **settings}))
    return {one.table: one for one in found}


def test_nothing_said_is_nothing_changed():
    assert tuple(resolved().values()) == ENDPOINTS


@pytest.mark.parametrize(
    ("table", "changes", "attribute", "value"),
    [
        ("entitlements", {"path": "/contracts/"}, "path", "contracts"),
        ("entitlements", {"records": "data.items"}, "records", ("data.items",)),
        ("entitlements", {"records": ["a", "b.c"]}, "records", ("a", "b.c")),
        ("customers", {"total": "meta.count"}, "total", "meta.count"),
        ("customers", {"pages": "meta.pages"}, "pages", "meta.pages"),
        ("customers", {"parameters": {"page": "p"}}, "parameters", {"page": "p", "limit": "limit"}),
        ("analytics_revenue", {"parameters": {"end": "to"}}, "parameters", {"start": "startDate", "end": "to"}),
        ("private_offers", {"key": "offerId"}, "key", ("offer_id",)),
        ("analytics_revenue", {"key": ["date", "customerId"]}, "key", ("date", "customer_id")),
    ],
)
def test_each_setting_changes_one_thing(table, changes, attribute, value):
    """The table that is named, the attribute that is named, and nothing else."""
    found = resolved(endpoints={table: changes})
    assert getattr(found[table], attribute) == value
    plain = {one.table: one for one in ENDPOINTS}
    assert {name: one for name, one in found.items() if name != table} == {
        name: one for name, one in plain.items() if name != table
    }
    same = {"path", "records", "total", "pages", "parameters", "key", "scope", "kind", "children"} - {attribute}
    assert all(getattr(found[table], name) == getattr(plain[table], name) for name in same)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"endpoints": {"nope": {}}}, "endpoints.nope"),
        ({"endpoints": {"entitlement_dimensions": {"path": "x"}}}, "endpoints.entitlement_dimensions"),
        ({"endpoints": {"customers": "x"}}, "endpoints.customers"),
        ({"endpoints": {"customers": {"pth": "x"}}}, "endpoints.customers.pth"),
        ({"endpoints": {"customers": {"path": ""}}}, "endpoints.customers.path"),
        ({"endpoints": {"customers": {"path": 5}}}, "endpoints.customers.path"),
        ({"endpoints": {"customers": {"records": []}}}, "endpoints.customers.records"),
        ({"endpoints": {"customers": {"records": [1]}}}, "endpoints.customers.records"),
        ({"endpoints": {"customers": {"total": None}}}, "endpoints.customers.total"),
        ({"endpoints": {"customers": {"parameters": {"start": "x"}}}}, "endpoints.customers.parameters"),
        ({"endpoints": {"customers": {"parameters": {"page": 1}}}}, "endpoints.customers.parameters.page"),
        ({"endpoints": {"customers": {"parameters": "p"}}}, "endpoints.customers.parameters"),
        ({"endpoints": {"customers": {"key": []}}}, "endpoints.customers.key"),
        ({"endpoints": {"customers": {"columns": {"a": "text"}}}}, "endpoints.customers.columns"),
        ({"endpoints": {"analytics_revenue": {"total": "x"}}}, "endpoints.analytics_revenue.total"),
        ({"endpoints": {"analytics_revenue": {"parameters": {"page": "x"}}}}, "endpoints.analytics_revenue.parameters"),
        ({"endpoints": {"analytics_revenue": {"columns": {"a": "money"}}}}, "endpoints.analytics_revenue.columns"),
        ({"reports": [{"path": "x"}]}, "reports[0]"),
        ({"reports": ["usage"]}, "reports[0]"),
        ({"reports": [{"name": 5}]}, "reports[0].name"),
        ({"reports": [{"name": "revenue"}, {"name": "Two Words"}]}, "reports[1].name"),
        ({"reports": [{"name": "usage", "nope": 1}]}, "reports[0].nope"),
        ({"reports": [{"name": "usage", "columns": {"units": "number"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "parameters": {"from": "x"}}]}, "reports[0].parameters"),
        # Columns that the connector makes itself, or twice the same: found out here, not by the destination.
        ({"reports": [{"name": "usage", "columns": {"extra": "text"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "columns": {"_row_hash": "text"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "key": ["unit", "unit"]}]}, "reports[0].key"),
        ({"reports": [{"name": "usage"}, {"name": "usage"}]}, "reports[1].name"),
    ],
)
def test_what_makes_no_sense_is_named(settings, key):
    """78 and the key, to the part that is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        resolved(**settings)
    assert caught.value.key == f"sources.automatum.{key}"
    assert caught.value.exit_code == 78


def test_a_further_report():
    """Its own table beside the revenue report, with the key's and its own columns."""
    found = resolved(
        reports=[
            {"name": "usage", "key": ["date", "dimension"], "columns": {"usedUnits": "decimal"}},
            {"name": "revenue", "path": "analytics/income"},
        ]
    )
    usage = found["analytics_usage"]
    assert (usage.group, usage.kind, usage.scope) == ("analytics", "report", "read:analytics")
    assert (usage.path, usage.key) == ("analytics/usage", ("date", "dimension"))
    kinds = {column.name: column.type for column in usage.columns}
    assert kinds["used_units"] == "decimal"
    assert kinds["date"] == "date"
    assert kinds["dimension"] == "text"
    assert "revenue" not in kinds
    assert found["analytics_revenue"].path == "analytics/income"
    assert [column.name for column in found["analytics_revenue"].columns] == [c.name for c in ENDPOINTS[3].columns]
