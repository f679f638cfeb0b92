"""I2: a 404 at a row's own URL counts only where rows are known to have URLs, and a row is asked for by its own id."""

import json

import pytest

from tests.support.raw_api import serve_raw
from tests.support.syncing import Site

ROWS = [{"id": f"c{at:02d}", "vendor": "aws", "awsAccountId": f"{at:012d}", "ref": f"R-{at}"} for at in range(12)]


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made, serve_raw() as api:
        made.served = api
        yield made


def show(api, path, rows, details, name="id"):
    """List rows, and have details of others."""
    api.lists[path] = [json.dumps(row) for row in rows]
    api.details = {f"{path}/{row[name]}": json.dumps(row) for row in details}


def dead(site):
    return {row for (row,) in site.query("SELECT id FROM customers WHERE _deleted_at IS NOT NULL")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        {},
        {"key": "awsAccountId"},
        {"key": ["vendor", "id"]},
        {"path": "clients"},
        {"key": "awsAccountId", "detail_path": "customers/{awsAccountId}"},
    ],
)
def test_a_live_row_that_is_not_listed_is_not_deleted_by_a_404_of_an_overridden_endpoint_i2(site, override):
    """Rows have no URLs where they are asked for: every 404 there says nothing."""
    site.settings["endpoints"] = {"customers": override}
    path = override.get("path", "customers")
    show(site.served, path, ROWS, [])
    assert site.sync("customers").code == 0
    show(site.served, path, ROWS[1:], [])
    made = site.sync("customers")
    assert (made.code, dead(site)) == (65, set())
    assert "detail_path" in made.tables["customers"]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "name"),
    [
        ({"key": "awsAccountId"}, "awsAccountId"),
        ({"key": ["vendor", "id"]}, "id"),
        ({"key": ["vendor", "awsAccountId"], "detail_path": "customers/{awsAccountId}"}, "awsAccountId"),
        ({"key": "ref"}, "ref"),
    ],
)
def test_a_row_is_asked_for_by_an_id_of_its_own_i2(site, override, name):
    """The live row is found at its URL, and the deleted one is not: both are decided at once."""
    site.settings["endpoints"] = {"customers": override}
    show(site.served, "customers", ROWS, ROWS, name)
    assert site.sync("customers").code == 0
    show(site.served, "customers", ROWS[2:], ROWS[1:], name)
    assert site.sync("customers").code == 0
    assert dead(site) == {"c00"}


@pytest.mark.slow
def test_records_without_urls_of_their_own_cost_no_request_i2(site):
    """`detail_path = "none"`: the next sync decides."""
    site.settings["endpoints"] = {"customers": {"detail_path": "none"}}
    show(site.served, "customers", ROWS, ROWS)
    site.sync("customers")
    show(site.served, "customers", ROWS[1:], ROWS[1:])
    first = site.sync("customers")
    assert (first.code, first.tables["customers"]["requests"], dead(site)) == (0, 1, set())
    assert "a later sync decides" in first.tables["customers"]["reason"]
    site.sync("customers")
    assert dead(site) == {"c00"}


@pytest.mark.slow
def test_urls_that_were_known_at_another_path_are_proven_again_i2(site):
    """Rows off the list, too: their 404 at a new path says nothing about them."""
    show(site.served, "customers", ROWS, ROWS)
    site.settings["endpoints"] = {"customers": {"key": ["vendor", "id"]}}
    site.sync("customers")
    show(site.served, "customers", ROWS[2:], ROWS[1:])
    site.sync("customers")
    assert dead(site) == {"c00"}
    site.settings["endpoints"] = {"customers": {"key": ["vendor", "id"], "detail_path": "moved/{id}"}}
    for _ in range(3):
        site.sync("customers")
        assert dead(site) == {"c00"}
