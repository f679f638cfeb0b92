"""The assets of `pipelines/automatum_dagster.py` and of other definitions, materialized by a real dagster-dlt."""

import importlib.util

import dagster as dg
import pytest
from dagster_dlt import DagsterDltResource, dlt_assets
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import Target, automatum_source
from automatum.core.errors import ConfigurationError
from automatum.endpoints import SCOPES
from automatum_sandbox import AppConfig
from tests.support import ROOT
from tests.support.desk import SMALL, api_requests
from tests.support.expected import differences, expected_lists

DAGSTER_FILE = ROOT / "pipelines" / "automatum_dagster.py"
TABLES = ("customers", "entitlements", "private_offers", "analytics_revenue")
REPORT = "analytics/revenue"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # Dagster's own


def key(table):
    """The name that dagster-dlt gives to the asset of a table."""
    return dg.AssetKey(f"dlt_automatum_{table}")


def load_definitions():
    """Import the file as Dagster does when it loads a code location."""
    spec = importlib.util.spec_from_file_location("automatum_dagster", DAGSTER_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assets_of(desk, run, source=None):
    """Definitions of a user's own: `run` gets dagster-dlt's resource and the context, and returns events."""
    made = source or automatum_source()

    @dlt_assets(dlt_source=made, dlt_pipeline=Target(database=desk.database).pipeline(), name="automatum")
    def automatum(context: dg.AssetExecutionContext, dlt: DagsterDltResource):
        yield from run(dlt, context)

    return automatum


def materialize(assets, **options):
    """Materialize assets in this process; the metadata of each materialization, by table."""
    done = dg.materialize([assets], resources={"dlt": DagsterDltResource()}, **options)
    assert done.success
    prefix = "dlt_automatum_"
    return {
        one.asset_key.to_user_string().removeprefix(prefix): {name: found.value for name, found in one.metadata.items()}
        for one in done.asset_materializations_for_node("automatum")
    }


def columns_of(desk, table):
    return [name for (name,) in desk.query("SELECT column_name FROM (DESCRIBE SELECT * FROM query_table(?))", table)]


def test_definitions_load_without_credentials_and_a_run_needs_them(desk):
    """Loading sends no request and writes no file; the error of a run names the missing setting."""
    module = load_definitions()
    assert {spec.key for spec in module.automatum_assets.specs} == {key(table) for table in TABLES}
    assert {one.asset_key for spec in module.automatum_assets.specs for one in spec.deps} == {
        dg.AssetKey(f"automatum_{table}") for table in TABLES
    }
    assert all(spec.description for spec in module.automatum_assets.specs)
    assert list(desk.folder.iterdir()) == []
    with pytest.raises(ConfigurationError, match=r"sources\.automatum\.client_id"):
        materialize(module.automatum_assets)
    # Without the placeholders of the file, loading would need the credentials.
    with pytest.raises(ConfigurationError, match=r"sources\.automatum\.client_id"):
        automatum_source()


def test_a_first_run_an_unchanged_run_and_a_run_after_changes(small, desk):
    """I1, I3: all in one process. What is loaded, and what Dagster shows of it."""
    assets = load_definitions().automatum_assets
    assert api_requests(small) == {}
    first = materialize(assets)
    assert differences(desk, expected_lists(small)) == []
    assert {table: found["rows_loaded"] for table, found in first.items()} == {
        **{table: SMALL[table] for table in TABLES[:3]},
        "analytics_revenue": 2 * SMALL["days"],
    }
    assert {found["dagster/table_name"] for found in first.values()} == {f"duckdb.automatum.{name}" for name in TABLES}
    before = desk.dump()

    unchanged = materialize(assets)
    assert desk.dump() == before
    assert set(unchanged) == set(TABLES)
    for found in unchanged.values():
        assert "rows_loaded" not in found and found["jobs"] == []
    for found in (first, unchanged):
        for table in TABLES:
            shown = [column.name for column in found[table]["dagster/column_schema"].columns]
            assert sorted(shown) == sorted(columns_of(desk, table))

    small.rows.change("customers", small.rows.ids("customers")[3], {"companyName": "Changed"}, touch=False)
    small.rows.insert("entitlements")
    changed = materialize(assets)
    assert differences(desk, expected_lists(small)) == []
    assert {table: found.get("rows_loaded") for table, found in changed.items()} == {
        "customers": 1,
        "entitlements": 1,
        "private_offers": None,
        "analytics_revenue": None,
    }
    asked = api_requests(small)
    assert asked.pop(REPORT) < 40  # Windows of a year, with their proofs.
    assert asked == dict.fromkeys(("customers", "entitlements", "private-offers"), 3)


def test_a_selection_reads_only_its_tables(small, desk):
    """I3: children come with their parent."""
    found = materialize(load_definitions().automatum_assets, selection=[key("entitlements")])
    assert set(found) == {"entitlements"}
    assert api_requests(small) == {"entitlements": 1}
    wanted = expected_lists(small)
    tables = ("entitlements", "entitlement_dimensions")
    assert differences(desk, {name: wanted[name] for name in tables}) == []
    assert set(desk.tables()) == set(tables)


def test_a_table_that_the_scopes_lack_fails_the_run_only_if_it_is_named(start, desk):
    """As for any pipeline: otherwise it is skipped with a warning, and Dagster shows its asset as materialized."""
    scopes = tuple(scope for scope in SCOPES if scope != "read:private-offers")
    served = start(**SMALL, apps=(AppConfig("limited", scopes=scopes),))
    desk.use(served)
    found = materialize(load_definitions().automatum_assets)
    assert set(found) == set(TABLES)
    assert [table for table in TABLES if "rows_loaded" not in found[table]] == ["private_offers"]
    desk.set(tables=["private_offers"])
    with pytest.raises(PipelineStepFailed, match="read:private-offers"):
        materialize(load_definitions().automatum_assets, selection=[key("private_offers")])


def test_row_counts_of_dagster_dlt_fail_where_a_table_has_not_changed(small, desk):
    """Upstream: dagster-dlt finds the table to count in the load jobs, and raises if there are none.

    See the pull requests 33575 and 34158 of dagster-io/dagster. The rows are loaded all the same.
    """
    assets = assets_of(desk, lambda dlt, context: dlt.run(context, dlt_source=automatum_source()).fetch_row_count())
    first = materialize(assets)
    assert {table: found["dagster/row_count"] for table, found in first.items()} == {
        table: found["rows_loaded"] for table, found in first.items()
    }
    small.rows.change("customers", small.rows.ids("customers")[3], {"companyName": "Changed"}, touch=False)
    with pytest.raises(Exception, match="Missing jobs metadata to retrieve row count"):
        materialize(assets)
    assert differences(desk, expected_lists(small)) == []


def test_one_source_for_several_runs_of_a_process_fails(small, desk):
    """Upstream: dagster-dlt takes names and types out of the columns of the schema that it shows.

    See the issue 34052 of dagster-io/dagster. A new process, which Dagster starts for each run, is not affected, nor is
    a run with a source of its own.
    """
    assets = assets_of(desk, lambda dlt, context: dlt.run(context))
    materialize(assets)
    assert differences(desk, expected_lists(small)) == []
    with pytest.raises(PipelineStepFailed, match="KeyError"):
        materialize(assets)
    materialize(assets_of(desk, lambda dlt, context: dlt.run(context)))
    assert differences(desk, expected_lists(small)) == []
