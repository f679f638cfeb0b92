"""I1, I2: the rows of another organization never come into a dataset, and never mark its rows deleted."""

import duckdb
import pytest

from automatum_sandbox.config import AppConfig, OrganizationConfig
from tests.support.desk import SMALL

pytestmark = pytest.mark.slow


@pytest.fixture
def two(start):
    """A sandbox with two organizations that have an application each, and different rows."""
    organizations = (OrganizationConfig(seed=100), OrganizationConfig(seed=101))
    return start(**SMALL, organizations=organizations, apps=(AppConfig(organization=0), AppConfig(organization=1)))


def ids(two):
    return [app.organization_id for app in two.sandbox.apps]


def execute(desk, statement):
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("USE automatum")
        connection.execute(statement)


@pytest.mark.parametrize("remembers", ["fact", "rows"])
def test_credentials_of_another_organization_are_refused_before_a_row_is_loaded_i1_i2(two, desk, remembers):
    """Reports name no organization, and are refused with the lists. An earlier version stored no fact."""
    own, other = ids(two)
    desk.use(two)
    assert desk.sync().code == 0
    if remembers == "rows":
        execute(desk, "UPDATE _automatum_sweeps SET extra = NULL")
    before = desk.dump()
    desk.use(two, app=1)
    for arguments in ((), ("--allow-deletes",), ("entitlements",)):
        ran = desk.sync(*arguments)
        assert ran.code == 78, ran
        assert own in ran.says and other in ran.says and "--dataset" in ran.says and "accept_organization" in ran.says
        assert len(ran.json["errors"]) == 1, "the tables share one error"
        assert desk.dump() == before
    assert desk.sync("--dataset", "other").code == 0, "the way out that the message names"
    desk.use(two)
    ran = desk.sync()
    assert ran.code == 0 and ran.json["tables"]["customers"]["unchanged"] == SMALL["customers"], ran


def test_an_id_that_the_vendor_has_changed_is_accepted_by_name_and_then_is_the_only_one(two, desk):
    _, other = ids(two)
    desk.use(two)
    assert desk.sync("customers").code == 0
    desk.use(two, app=1)
    desk.set(accept_organization="org_typo")
    assert desk.sync("customers").code == 78
    desk.set(accept_organization=other)
    assert desk.sync("customers").code in (0, 65), "all rows of the old id are missing from the list"
    desk.set(accept_organization=None)
    assert desk.sync("customers").code in (0, 65)
    desk.use(two)
    assert desk.sync("customers").code == 78


def test_an_organization_in_a_list_of_several_stays_the_same_whatever_its_name_here(two, desk):
    """The entry has no `organization_id`: what the records name is in `extra`, and pinned all the same."""
    own, other = ids(two)
    desk.use(two)
    desk.set(client_id=None, client_secret=None, organizations=[{"name": "acme"}])
    for app in (0, 1):
        known = two.sandbox.apps[app]
        desk.set(acme__client_id=known.client_id, acme__client_secret=known.secret)
        ran = desk.sync("customers")
        assert ran.code == (78 if app else 0), ran
        if not app:
            before = desk.dump()
            execute(desk, "UPDATE _automatum_sweeps SET extra = NULL")
    assert own in ran.says and other in ran.says and "acme" in ran.says
    assert desk.dump() == before


def test_a_report_alone_asks_whose_credentials_these_are_if_the_application_is_another(two, desk):
    """No record of a report names its organization. The same application costs no request more (I3)."""
    desk.use(two)
    assert desk.sync().code == 0
    ran = desk.sync("analytics")
    assert ran.code == 0, ran
    before = desk.dump()
    desk.use(two, app=1)
    ran = desk.sync("analytics")
    assert ran.code == 78 and ran.json["requests"] == 2, ran
    assert desk.dump() == before
