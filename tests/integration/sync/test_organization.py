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


def test_credentials_of_another_organization_are_refused_before_a_row_is_loaded_i1_i2(two, desk):
    """Reports name no organization, and are refused with the lists."""
    own, other = ids(two)
    desk.use(two)
    assert desk.sync().code == 0
    before = desk.dump()
    desk.use(two, app=1)
    for arguments in ((), ("--allow-deletes",), ("entitlements",)):
        ran = desk.sync(*arguments)
        assert ran.code == 78, ran
        assert own in ran.says and other in ran.says and "--dataset" in ran.says
        assert len(ran.json["errors"]) == 1, "the tables share one error"
        assert desk.dump() == before
    assert desk.sync("--dataset", "other").code == 0, "the way out that the message names"
    desk.use(two)
    ran = desk.sync()
    assert ran.code == 0 and ran.json["tables"]["customers"]["unchanged"] == SMALL["customers"], ran


def test_an_organization_in_a_list_of_several_stays_the_same_whatever_its_name_here(two, desk):
    """The credentials of another organization under its name are refused, though no row would be mixed."""
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


def list_names(two, desk, **names):
    """Let the settings list organizations: a local name, and the application of the sandbox that it has."""
    desk.set(client_id=None, client_secret=None, organizations=[{"name": name} for name in names])
    for name, app in names.items():
        known = two.sandbox.apps[app]
        desk.set(**{f"{name}__client_id": known.client_id, f"{name}__client_secret": known.secret})


def owners(desk, table="customers"):
    return dict(desk.query(f"SELECT organization_id, count(*) FROM {table} WHERE _deleted_at IS NULL GROUP BY ALL"))


def test_another_name_in_the_settings_changes_nothing_i1(two, desk):
    """S8: each row was live twice. The name is local; `organization_id` may be set later."""
    own, other = ids(two)
    desk.use(two)
    list_names(two, desk, acme=0, globex=1)
    assert desk.sync().code == 0
    before = owners(desk), owners(desk, "analytics_revenue")
    assert set(before[0]) == {own, other}
    for entries in ({"initech": None, "globex": None}, {"initech": own, "globex": other}):
        list_names(two, desk, initech=0, globex=1)
        given = [{"name": name, **({"organization_id": id_} if id_ else {})} for name, id_ in entries.items()]
        desk.set(organizations=given)
        ran = desk.sync()
        assert ran.code == 0, ran
        unchanged = {name: one["tables"]["customers"]["unchanged"] for name, one in ran.json["organizations"].items()}
        assert unchanged == dict.fromkeys(entries, SMALL["customers"])
        assert (owners(desk), owners(desk, "analytics_revenue")) == before
    assert set(desk.run("status", "--json").json["organizations"]) == {"initech", "globex"}


def test_a_dataset_that_has_the_local_name_keeps_it_i1(two, desk):
    """The version before stored the local name in place of the vendor's id."""
    own, _ = ids(two)
    desk.use(two)
    list_names(two, desk, acme=0)
    assert desk.sync().code == 0
    for table in ("customers", "entitlements", "private_offers", "analytics_revenue", "_automatum_sweeps"):
        execute(desk, f"UPDATE {table} SET organization_id = 'acme'")
    execute(desk, """UPDATE _automatum_sweeps SET extra = replace(extra, '"name":"acme"', '"name":""')""")
    list_names(two, desk, initech=0)
    desk.set(organizations=[{"name": "initech", "organization_id": own}])
    ran = desk.sync()
    assert ran.code == 0, ran
    assert owners(desk) == {"acme": SMALL["customers"]}


def test_two_entries_of_one_organization_are_refused_i1(two, desk):
    desk.use(two)
    list_names(two, desk, acme=0)
    assert desk.sync().code == 0
    before = desk.dump()
    again = two.sandbox.apps[0]
    desk.set(initech__client_id=again.client_id, initech__client_secret=again.secret)
    desk.set(organizations=[{"name": "initech"}, {"name": "acme"}])
    desk.set(acme__client_id=two.sandbox.apps[1].client_id, acme__client_secret=two.sandbox.apps[1].secret)
    ran = desk.sync("--organization", "initech")
    assert ran.code == 78 and "are the same organization" in ran.says, ran
    assert desk.dump() == before


def test_an_interrupted_first_sync_does_not_ask_again_whose_credentials_these_are_i3(start, desk):
    """The page that names the organization is the first one of the sweep, and its record names it in the next run."""
    apps = (AppConfig(organization=0), AppConfig(organization=1))
    organizations = (OrganizationConfig(seed=100), OrganizationConfig(seed=101))
    two = start(**SMALL | {"customers": 950}, organizations=organizations, apps=apps)
    desk.use(two)
    list_names(two, desk, acme=0)
    codes = [75]
    while codes[-1] == 75 and len(codes) < 9:
        codes.append(desk.sync("customers", "--max-requests", "3").code)
    pages = [one.page for one in two.sandbox.requests.to("/api/v1/customers")]
    assert codes[-1] == 0 and pages == [1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10], (codes, pages)
    assert owners(desk) == {ids(two)[0]: 950}


def test_other_credentials_are_refused_before_the_first_verdict_i1(start, desk):
    """A bounded run has loaded a page, and no sweep has its verdict."""
    apps = (AppConfig(organization=0), AppConfig(organization=1))
    organizations = (OrganizationConfig(seed=100), OrganizationConfig(seed=101))
    two = start(**SMALL | {"customers": 450}, organizations=organizations, apps=apps)
    own, other = ids(two)
    desk.use(two)
    assert desk.sync("customers", "--max-requests", "3").code == 75
    before = desk.dump()
    desk.use(two, app=1)
    ran = desk.sync("customers")
    assert ran.code == 78 and own in ran.says and other in ran.says, ran
    assert desk.dump() == before


@pytest.mark.parametrize("table", ["entitlements", "analytics", "customers"])
def test_credentials_without_customers_are_refused_from_any_table_i1_i2(start, desk, table):
    """S12: no record names the organization. Another application is a question for the user."""
    empty = OrganizationConfig(seed=101, customers=0, entitlements=0, private_offers=0)
    apps = AppConfig(organization=0), AppConfig(organization=1)
    served = start(**SMALL, organizations=(OrganizationConfig(seed=100), empty), apps=apps)
    desk.use(served)
    assert desk.sync().code == 0
    before = desk.dump()
    desk.use(served, app=1)
    ran = desk.sync(table)
    assert ran.code == 78 and "read:customers" in ran.says, ran
    assert desk.dump() == before
