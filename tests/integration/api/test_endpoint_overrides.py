"""I8: what had to be assumed about the API can be corrected in configuration, and a wrong correction is named."""

import json

import pytest

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS
from tests.support.desk import SMALL, WIDE_LIMITS, api_requests
from tests.support.loopback import Loopback, Say, token


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


def page(records, total, pages):
    return Say(body={"code": 200, "data": {"items": records, "count": total, "pages": pages}})


TOML = """
[sources.automatum.endpoints.entitlements]
path = "contracts"
records = "data.items"
total = "data.count"
pages = "data.pages"
key = "contractNo"
parameters = { page = "p", limit = "per_page" }

[[sources.automatum.reports]]
name = "usage"
path = "analytics/metered"
records = "data.rows"
parameters = { start = "from", end = "to" }
key = ["date", "dimension"]
columns = { units = "decimal" }
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["toml", "environment"])
def test_an_api_that_is_different_syncs_by_configuration_alone(desk, way):
    """I8: another path, other parameters, records and totals elsewhere, another key, a report that nobody foresaw."""
    with Loopback() as server:
        server.say("/oauth/token", token(scope="read:entitlements read:analytics"))
        contracts = [{"contractNo": f"{n:05d}", "value": "1.10", "dimensions": [{"key": "a"}]} for n in range(130)]
        pages = page(contracts[:100], 130, 2), page(contracts[100:], 130, 2)
        server.say("/api/v1/contracts", *pages, *pages)
        rows = [
            {"date": "2026-01-01", "dimension": "calls", "units": "2.5", "note": "n"},
            {"date": "2026-01-01", "dimension": "gb", "units": 7},
        ]
        server.say("/api/v1/analytics/metered", Say(body={"code": 200, "data": {"total": 9, "rows": rows}}))
        server.say("/api/v1/analytics/revenue", Say(status=404, body={"code": 404, "message": "Route not found"}))
        desk.set(
            base_url=server.url,
            client_id="app_1",
            client_secret="secret_1234567890",
            application_limits=WIDE_LIMITS,
            organization_limits=WIDE_LIMITS,
        )
        if way == "toml":
            (desk.folder / ".dlt").mkdir()
            (desk.folder / ".dlt" / "config.toml").write_text(TOML, encoding="utf-8")
        else:
            different = {"path": "contracts", "records": "data.items", "total": "data.count", "pages": "data.pages"}
            different |= {"key": "contractNo", "parameters": {"page": "p", "limit": "per_page"}}
            usage = {"name": "usage", "path": "analytics/metered", "records": "data.rows"}
            usage |= {"parameters": {"start": "from", "end": "to"}, "key": ["date", "dimension"]}
            desk.set(endpoints={"entitlements": different}, reports=[{**usage, "columns": {"units": "decimal"}}])
        for unchanged in (0, 130):
            made = desk.sync()
            assert made.code == 0, made
            figures = made.json
            assert figures["tables"]["entitlements"]["announced"] == 130
            assert figures["tables"]["entitlements"]["unchanged"] == unchanged
        assert set(figures["skipped"]) == {"customers", "private_offers", "analytics_revenue"}

        asked = [one.query for one in server.to("/api/v1/contracts")]
        assert asked == [{"p": [str(number)], "per_page": ["100"]} for number in (1, 2, 1, 2)]
        assert set(server.to("/api/v1/analytics/metered")[0].query) == {"from", "to"}
    found = desk.query("SELECT contract_no, value::VARCHAR FROM entitlements ORDER BY ALL")
    assert found == [(f"{n:05d}", "1.100000000") for n in range(130)]
    assert desk.query("SELECT count(*), count(DISTINCT entitlement_id) FROM entitlement_dimensions") == [(130, 130)]
    usage = desk.query("SELECT date::VARCHAR, dimension, units::VARCHAR, extra FROM analytics_usage ORDER BY ALL")
    assert [(*row[:3], row[3] and json.loads(row[3])) for row in usage] == [
        ("2026-01-01", "calls", "2.500000000", {"note": "n"}),
        ("2026-01-01", "gb", "7.000000000", None),
    ]


@pytest.mark.slow
def test_records_that_are_elsewhere_name_the_key_that_says_where(start, desk):
    """78: an answer whose records are not where they should be names the setting, and the other tables sync."""
    served = start(**SMALL)
    desk.use(served)
    desk.set(endpoints={"customers": {"records": "data.items"}})
    made = desk.sync()
    assert made.code == 78
    assert "sources.automatum.endpoints.customers.records" in made.err
    assert "data" in made.err
    assert desk.counts()["entitlements"] == SMALL["entitlements"]
    assert api_requests(served.sandbox)["customers"] == 1
