"""The source as plain dlt objects: in a script, in part, without a pipeline, to any destination."""

import dlt
import duckdb
import pyarrow as pa
import pyarrow.dataset
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import automatum_source
from automatum.core.errors import ConfigurationError, ScopeMissing
from automatum_sandbox import AppConfig
from tests.support.desk import SMALL, VOLUME, api_requests
from tests.support.expected import differences, expected_lists
from tests.support.loopback import closed_port

RESOURCES = {"customers", "entitlements", "private_offers", "analytics_revenue"}


@pytest.fixture
def pipeline(desk):
    """A user's own pipeline into the desk's DuckDB file."""
    return dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(desk.database)),
        dataset_name="automatum",
        pipelines_dir=str(desk.folder / "pipelines"),
    )


def all_rows(resource):
    """The rows that a resource yields by itself: its own, and its children's."""
    found = {}
    for item in resource:
        assert isinstance(item, pa.Table)
        found.setdefault("children" if "position" in item.column_names else "own", []).append(item)
    return {name: pa.concat_tables(tables).to_pylist() for name, tables in found.items()}


@pytest.mark.slow
def test_a_script_loads_everything(large, desk, pipeline):
    """I1, I3: `pipeline.run(automatum_source())`, as often as one likes."""
    pipeline.run(automatum_source())
    assert differences(desk, expected_lists(large)) == []
    assert desk.counts()["analytics_revenue"] == 2 * VOLUME["days"]
    before = desk.dump()
    asked = api_requests(large)
    del asked["analytics/revenue"]
    assert asked == {"customers": 3, "entitlements": 5, "private-offers": 2}
    large.rows.change("customers", large.rows.ids("customers")[7], {"companyName": "Changed"}, touch=False)
    pipeline.run(automatum_source())
    after = desk.dump()
    assert {name: rows for name, rows in after.items() if name != "customers"} == {
        name: rows for name, rows in before.items() if name != "customers"
    }
    assert differences(desk, expected_lists(large)) == []


@pytest.mark.slow
def test_one_source_runs_twice(small, desk, pipeline):
    """A source object that was used is as good as new: each run reads again."""
    source = automatum_source()
    pipeline.run(source)
    small.rows.insert("customers")
    pipeline.run(source)
    assert differences(desk, expected_lists(small)) == []


@pytest.mark.slow
def test_some_resources(small, desk, pipeline):
    """I3: `.with_resources` reads what it names; children come with their parent."""
    source = automatum_source()
    assert set(source.resources) == RESOURCES
    pipeline.run(source.with_resources("entitlements"))
    assert set(desk.tables()) == {"entitlements", "entitlement_dimensions"}
    assert api_requests(small) == {"entitlements": 1}
    pipeline.run(automatum_source(tables=["customers", "analytics"]))
    assert set(api_requests(small)) == {"entitlements", "customers", "analytics/revenue"}


@pytest.mark.slow
def test_a_limit_and_development_mode(large, desk):
    """`add_limit` loads a part and concludes nothing from it; `dev_mode` starts afresh."""
    options = {
        "destination": dlt.destinations.duckdb(str(desk.database)),
        "pipelines_dir": str(desk.folder / "pipelines"),
    }
    pipeline = dlt.pipeline("mine", dataset_name="automatum", **options)
    pipeline.run(automatum_source().with_resources("customers", "entitlements").add_limit(1))
    assert 0 < desk.counts()["customers"] <= VOLUME["customers"]
    assert desk.query("SELECT count(*) FROM customers WHERE _deleted_at IS NOT NULL") == [(0,)]
    # Whatever the limit cut off, children of a parent that is there already among it, comes with the next run.
    pipeline.run(automatum_source().with_resources("customers", "entitlements"))
    wanted = expected_lists(large)
    tables = ("customers", "entitlements", "entitlement_dimensions")
    assert differences(desk, {name: wanted[name] for name in tables}) == []

    fresh = dlt.pipeline("fresh", dataset_name="trial", dev_mode=True, **options)
    fresh.run(automatum_source().with_resources("customers"))
    assert fresh.dataset_name.startswith("trial_")
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        count = connection.execute(f'SELECT count(*) FROM "{fresh.dataset_name}".customers').fetchall()
    assert count == [(VOLUME["customers"],)]


@pytest.mark.slow
def test_a_notebook_needs_no_pipeline(large, desk, pipeline):
    """I1: a resource by itself yields all rows, before and after a pipeline has loaded them in the same process."""
    pipeline_has_run = False
    for _ in range(2):
        rows = all_rows(automatum_source().customers)["own"]
        assert {row["id"] for row in rows} == set(large.rows.ids("customers"))
        assert len(rows) == VOLUME["customers"]
        entitlements = all_rows(automatum_source().entitlements)
        assert len(entitlements["own"]) == VOLUME["entitlements"]
        assert len(entitlements["children"]) == sum(len(one["dimensions"]) for one in large.rows.all("entitlements"))
        if not pipeline_has_run:
            assert not desk.database.exists()
            pipeline.run(automatum_source())
            pipeline_has_run = True


def test_arguments_win_over_the_environment(start, desk):
    """What is passed is what is used; the rest still comes from configuration."""
    served = start(**SMALL)
    desk.use(served)
    desk.set(
        base_url=f"http://127.0.0.1:{closed_port()}",
        client_id="app_wrong",
        client_secret="secret_of_somebody_else",
        tables=["entitlements"],
        since="2000-01-01",
    )
    source = automatum_source(
        client_id=served.client_id,
        client_secret=served.client_secret,
        base_url=served.base_url,
        tables=["customers", "analytics"],
    )
    assert set(source.resources) == {"customers", "analytics_revenue"}
    assert len(all_rows(source.customers)["own"]) == SMALL["customers"]
    assert list(source.analytics_revenue)
    # Days before the first one are asked for, too: they prove that the answers are not cut.
    starts = [entry.query["startDate"] for entry in served.sandbox.requests.to("/api/v1/analytics")]
    assert "1999-10-01" < min(starts) <= "2000-01-01"


@pytest.mark.slow
def test_what_is_not_granted(start, desk, pipeline):
    """I8: left out with a warning, unless it was named: then the run fails, and says which scope."""
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),))
    desk.use(served)
    pipeline.run(automatum_source())
    assert desk.tables() == ["customers"]
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(automatum_source(tables=["customers", "analytics"]))
    causes = []
    error = caught.value
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    (missing,) = [one for one in causes if isinstance(one, ScopeMissing)]
    assert "read:analytics" in str(missing)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"base_url": "http://api.automatum.io"}, "base_url"),
        ({"tables": ["nope"]}, "tables"),
        ({"since": "soon"}, "since"),
    ],
)
def test_arguments_that_make_no_sense_are_named(small, desk, arguments, key):
    """A `ConfigurationError` with the key, before any request."""
    with pytest.raises(ConfigurationError) as caught:
        automatum_source(**arguments)
    assert caught.value.key == f"sources.automatum.{key}"
    assert small.requests.all() == []


def test_missing_credentials_are_named(desk):
    with pytest.raises(ConfigurationError) as caught:
        automatum_source()
    assert "client_id" in caught.value.key
