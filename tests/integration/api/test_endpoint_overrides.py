"""I8: an API that differs from the assumptions is synced by configuration alone."""

import json
import re

import pytest

from tests.support.desk import SMALL, WIDE_LIMITS, api_requests
from tests.support.loopback import Loopback, Say, token


def page(records, total, pages):
    return Say(body={"code": 200, "data": {"items": records, "count": total, "pages": pages}})


TOML = """
[sources.automatum.endpoints.entitlements]
path = "contracts"
records = "data.items"
total = "data.count"
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
        server.say("/api/v1/analytics/metered", Say(body={"code": 200, "data": {"rows": rows}}))
        desk.set(
            base_url=server.url,
            tables=["entitlements", "analytics_usage"],
            client_id="app_1",
            client_secret="secret_1234567890",
            application_limits=WIDE_LIMITS,
        )
        if way == "toml":
            (desk.folder / ".dlt").mkdir()
            (desk.folder / ".dlt" / "config.toml").write_text(TOML, encoding="utf-8")
        else:
            different = {"path": "contracts", "records": "data.items", "total": "data.count"}
            different |= {"key": "contractNo", "parameters": {"page": "p", "limit": "per_page"}}
            usage = {"name": "usage", "path": "analytics/metered", "records": "data.rows"}
            usage |= {
                "parameters": {"start": "from", "end": "to"},
                "key": ["date", "dimension"],
            }
            desk.set(endpoints={"entitlements": different}, reports=[{**usage, "columns": {"units": "decimal"}}])
        for unchanged in (0, 130):
            made = desk.sync()
            figures = made.json
            assert figures["tables"]["entitlements"]["verdict"] == "complete", made
            assert figures["tables"]["entitlements"]["announced"] == 130
            assert figures["tables"]["entitlements"]["unchanged"] == unchanged

        asked = [one.query for one in server.to("/api/v1/contracts")]
        assert asked == [{"p": [str(number)], "per_page": ["100"]} for number in (1, 2, 1, 2)]
        query = server.to("/api/v1/analytics/metered")[0].query
        assert set(query) == {"from", "to"}
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", days[0]) for days in query.values())
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
