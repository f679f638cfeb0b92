"""Clones of the source load as the source does: the schema has another name, and each organization its own dataset."""

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import automatum_source, resolve_settings
from automatum.core.errors import ConfigurationError
from automatum_sandbox.config import AppConfig, OrganizationConfig
from tests.support.desk import SMALL, WIDE_LIMITS

pytestmark = pytest.mark.slow
acme = automatum_source.clone(name="acme", section="acme")
TABLES = {"customers", "entitlements", "entitlement_dimensions", "private_offers", "private_offer_payments"}
CHANGING = ("_synced_at", "_dlt_load_id", "_deleted_at")


@pytest.fixture
def two(start, desk, monkeypatch):
    """Two organizations: `automatum_source` reads the first, the clone the second."""
    served = start(
        **SMALL,
        organizations=(OrganizationConfig(seed=100), OrganizationConfig(seed=101)),
        apps=(AppConfig(organization=0), AppConfig(organization=1)),
    )
    desk.use(served)
    settings = {"base_url": served.base_url, "application_limits": WIDE_LIMITS}
    for key, value in {**settings, **credentials(served, 1)}.items():
        monkeypatch.setenv(f"SOURCES__ACME__{key.upper()}", value)
    return served


def credentials(two, which):
    app = two.sandbox.apps[which]
    return {"client_id": app.client_id, "client_secret": app.secret}


@pytest.fixture
def pipeline(desk):
    def pipeline(dataset="automatum", name="mine"):
        return dlt.pipeline(
            name,
            destination=dlt.destinations.duckdb(str(desk.database)),
            dataset_name=dataset,
            pipelines_dir=str(desk.folder / "pipelines"),
        )

    return pipeline


def contents(desk, dataset="automatum"):
    """The rows of each table without what differs between two loads, and how many of them are marked deleted."""
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY ALL", [dataset]
        ).fetchall()
        tables = [name for (name,) in names if not name.startswith("_")]
        found = {}
        for table in tables:
            rows = connection.execute(f'FROM {dataset}."{table}"')
            keep = [at for at, column in enumerate(rows.description) if column[0] not in CHANGING]
            found[table] = sorted(str([row[at] for at in keep]) for row in rows.fetchall())
        return found


def deleted(desk, dataset="automatum"):
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        return connection.execute(f"SELECT count(_deleted_at) FROM {dataset}.customers").fetchone()[0]


def refused(run):
    with pytest.raises(PipelineStepFailed) as caught:
        run()
    error = caught.value
    while not isinstance(error, ConfigurationError):
        error = error.__cause__ or error.__context__
    return error


@pytest.mark.parametrize("one_pipeline", [True, False])
def test_two_organizations_in_two_datasets_i1_i2(two, desk, pipeline, one_pipeline):
    """The clone fills its dataset as the source itself does with these credentials, at first and after changes."""

    def load(source, dataset):
        made = pipeline() if one_pipeline else pipeline(dataset, f"mine_{dataset}")
        made.run(source, dataset_name=dataset)

    second = two.sandbox.apps[1].organization_id
    for _ in range(2):
        load(automatum_source(), "automatum")
        load(acme(), "acme")
        pipeline("reference", "reference").run(automatum_source(**credentials(two, 1)))
        assert contents(desk, "acme") == contents(desk, "reference") != contents(desk)
        assert contents(desk, "acme").keys() >= TABLES
        assert deleted(desk, "acme") == deleted(desk, "reference")
        first = two.sandbox.rows.ids("customers", organization=second)[0]
        two.sandbox.rows.delete("customers", first, organization=second)
        two.sandbox.rows.change("entitlements", two.sandbox.rows.ids("entitlements", organization=second)[3], {
            "dimensions": [{"key": "one", "units": 1}]
        }, organization=second)  # fmt: skip
    assert (deleted(desk), deleted(desk, "acme")) == (0, 1)
    tables = dlt.dataset(dlt.destinations.duckdb(str(desk.database)), "acme", schema="acme").tables
    assert set(tables) >= TABLES


@pytest.mark.parametrize("clone", [acme, automatum_source.clone(section="acme")], ids=["name", "section"])
def test_another_organization_into_the_same_dataset_is_refused_i1_i2(two, desk, pipeline, clone):
    pipeline().run(automatum_source())
    before = contents(desk)
    own, other = (app.organization_id for app in two.sandbox.apps)
    for run in (lambda: pipeline().run(clone()), lambda: pipeline().run([automatum_source(), clone()])):
        error = refused(run)
        assert contents(desk) == before
        assert not pipeline().has_pending_data
    assert error.key == "sources.acme.client_id"
    pipeline().run(automatum_source())
    assert contents(desk) == before and deleted(desk) == 0
    error = refused(lambda: pipeline().run(clone()))
    assert own in error.message and other in error.message
    assert error.key == "sources.acme.client_id"


@pytest.mark.parametrize("clone", [acme, automatum_source.clone(section="acme")], ids=["name", "section"])
@pytest.mark.parametrize("names", [(), ("analytics_revenue",)], ids=["all", "report"])
def test_two_applications_in_one_run_to_a_new_dataset_are_refused_i1(two, desk, pipeline, clone, names):
    """Dlt loads nothing before it has read both, so the dataset does not tell yet whose it is."""
    sources = [one.with_resources(*(names or one.resources)) for one in (automatum_source(), clone())]
    for given in (sources, sources[::-1]):
        error = refused(lambda given=given: pipeline().run(given))
        assert all(app.client_id in error.message for app in two.sandbox.apps)
        assert error.key in ("sources.acme.client_id", "sources.automatum.client_id")  # dlt sorts them by name
        assert not pipeline().has_pending_data
        assert not desk.database.exists() or contents(desk) == {}
    pipeline().run(automatum_source())
    pipeline("acme").run(clone())
    assert contents(desk).keys() == contents(desk, "acme").keys()


def test_packages_that_wait_for_their_load_count_too(two, desk, pipeline):
    """I1. `extract`, `normalize` and `load` one by one."""
    waiting = pipeline()
    waiting.extract(automatum_source())
    for step in (waiting.normalize, waiting.load):
        error = refused(lambda: waiting.extract(acme()))
        assert two.sandbox.apps[0].client_id in error.message
        step()
    assert len(contents(desk)["customers"]) == SMALL["customers"]
    assert two.sandbox.apps[0].organization_id in refused(lambda: waiting.extract(acme())).message


def test_organizations_of_a_list_in_one_run(two, desk, pipeline):
    """Their rows have keys of their own."""
    desk.set(organizations=[{"name": "first"}, {"name": "second"}], client_id=None, client_secret=None)
    for which, name in enumerate(("first", "second")):
        desk.set(**{f"{name}__{key}": value for key, value in credentials(two, which).items()})
    pipeline().run([automatum_source(settings=resolve_settings(organization=name)) for name in ("first", "second")])
    assert desk.query("SELECT organization_id, count(*) FROM customers GROUP BY ALL ORDER BY ALL") == [
        ("first", SMALL["customers"]),
        ("second", SMALL["customers"]),
    ]


def test_one_organization_under_another_name_keeps_its_rows_i1_i3(two, desk, pipeline):
    """`automatum sync` has loaded them, and finds them unchanged afterwards."""
    assert desk.sync().code == 0
    before = contents(desk)
    for _ in range(2):
        pipeline().run(automatum_source.clone(name="renamed")())
        assert contents(desk) == before
    ran = desk.sync()
    assert ran.code == 0
    assert all(table["unchanged"] and not table["inserted"] for table in ran.json["tables"].values()), ran
    assert desk.run("status", "--verify").code == 0


def test_one_organization_twice_in_one_run(two, desk, pipeline):
    """I1: two applications would be refused; one is one organization."""
    pipeline().run([automatum_source(), automatum_source.clone(name="again")()])
    assert len(contents(desk)["customers"]) == SMALL["customers"]
    assert desk.sync().code == 0
    assert deleted(desk) == 0


def test_a_dataset_for_each_schema_is_refused_i1(two, desk, pipeline, monkeypatch):
    """dlt would load a clone to `automatum_again`, and the rows of `automatum` would count as there already."""
    monkeypatch.setenv("USE_SINGLE_DATASET", "false")
    again = automatum_source.clone(name="again")
    pipeline().run(automatum_source())
    before = contents(desk)
    error = refused(lambda: pipeline().run(again()))
    assert error.key == "USE_SINGLE_DATASET" and "again" in error.message and "dataset_name" in error.next_step
    error = refused(lambda: pipeline(name="new").run([automatum_source(), again()]))
    assert error.key == "USE_SINGLE_DATASET"
    assert contents(desk) == before
    pipeline().run(automatum_source())
    pipeline("automatum_again", "other").run(again())
    assert contents(desk, "automatum_again") == contents(desk) == before
