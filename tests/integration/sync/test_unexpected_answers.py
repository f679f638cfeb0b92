"""Credentials, scopes and answers that are not as expected in a sync, by the public command line."""

import pytest

from automatum_sandbox.config import AppConfig
from tests.support.desk import SMALL
from tests.support.loopback import Loopback, Say, error, token


@pytest.fixture
def vendor(desk):
    """A server that says what a test tells it to, and the desk set up for it."""
    with Loopback() as server:
        desk.set(base_url=server.url, client_id="app_one", client_secret="secret_one")
        desk.attempts(2)
        yield server


@pytest.mark.slow
def test_a_secret_that_is_regenerated_during_a_sync_is_reported_once(small, desk):
    """One error and one refused token, and not one for each of the tables that are left."""
    app = small.apps[0]

    def regenerate():
        app.secret = "secret_regenerated"
        small.tokens.revoke()

    small.schedule.after(1, regenerate)
    ran = desk.sync()
    assert ran.code == 77, ran
    assert [one["type"] for one in ran.json["errors"]] == ["CredentialsRefused"]
    assert ran.err.count("Invalid client credentials") == 1, ran.err
    assert [entry.status for entry in small.requests.to("/oauth/token")] == [200, 401]


@pytest.mark.slow
def test_a_403_names_the_scope(start, desk):
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers", "read:entitlements")),))
    desk.use(served)
    served.sandbox.faults.add("status", "/api/v1/customers", status=403, message="Insufficient scope", count=None)
    (one,) = desk.sync("customers").json["errors"]
    assert "The token grants read:customers, which this path needs" in one["next_step"]


@pytest.mark.slow
def test_a_404_within_a_list_says_which_page_and_what_to_set(vendor, desk):
    rows = [{"id": f"cust_{number}"} for number in range(100)]
    vendor.say("/oauth/token", token(scope="read:customers"))
    announced = {"page": 1, "limit": 100, "total": 250, "pages": 3}
    page = Say(body={"code": 200, "data": rows, "pagination": announced})
    vendor.say("/api/v1/customers", page, error(404, "No such page"))
    ran = desk.sync("customers")
    assert ran.code != 0
    (one,) = ran.json["errors"]
    assert "No such page (page 2)" in one["message"]
    assert "sources.automatum.endpoints.customers.total" in one["next_step"]


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("total", "most", "says"), [(5000, 5, "are one page; check"), (150, 16, "repeated in place")])
def test_an_api_that_ignores_the_page_ends_soon_and_is_incomplete_i1_i3(vendor, desk, total, most, says, named):
    """It is not asked for each of the pages: three equal ones tell."""
    rows = [{"id": f"cust_{number}"} for number in range(100)]
    announced = {"limit": 100, "total": total, "pages": -(-total // 100), **({"page": 1} if named else {})}
    vendor.say("/oauth/token", token(scope="read:customers"))
    vendor.say("/api/v1/customers", Say(body={"code": 200, "data": rows, "pagination": announced}))
    ran = desk.sync("customers")
    assert ran.code == 65, ran
    assert len(vendor.to("/api/v1/customers")) <= most
    assert says in ran.says
