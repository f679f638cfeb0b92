"""I10: what dlt documents for any source works for this one, or is refused by name before a request; with real dlt."""

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseException
from dlt.pipeline.exceptions import PipelineStepFailed

import automatum
from automatum import Target, automatum_source
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError, ScopeMissing, Unproven
from automatum_sandbox import AppConfig
from tests.integration.sync.test_multi_org import TWO, several
from tests.support.desk import SMALL, api_requests
from tests.support.dlt_surface import WAYS, documented_rows
from tests.support.expected import differences, expected_lists
from tests.support.postgres import postgres  # noqa: F401
from tests.support.raw_api import serve_raw

ROWS = {"customers": 250, "entitlements": 230, "private_offers": 30, "days": 20}
WHOLE = ("customers", "entitlements", "private_offers", "analytics_revenue")
COLUMNS = {
    "customers": ("id", "company_name", "status"),
    "entitlements": ("id", "status"),
    "entitlement_dimensions": ("entitlement_id", "position"),
    "private_offers": ("id", "status"),
    "private_offer_payments": ("private_offer_id", "position"),
}
"""Columns that are compared."""
CHILDREN = {"entitlements": "entitlement_dimensions", "private_offers": "private_offer_payments"}


def duckdb_destination(desk):
    return dlt.destinations.duckdb(str(desk.database))


def pipeline_of(desk, destination, **options):
    return dlt.pipeline(
        "mine",
        destination=destination,
        dataset_name="automatum",
        pipelines_dir=str(desk.folder / "pipelines"),
        **options,
    )


def cause(error):
    """The error that the source raised."""
    while error is not None and not isinstance(error, automatum.AutomatumError):
        error = error.__cause__ or error.__context__
    return error


def query(pipeline, text):
    with pipeline.sql_client() as client:
        return client.execute_sql(text) or []


def live(pipeline, table, columns):
    """Columns of the rows that are not marked deleted; fails on a repeated row."""
    rows = [tuple(map(str, row)) for row in query(pipeline, f"SELECT {columns} FROM {table} WHERE _deleted_at IS NULL")]
    assert len(rows) == len(set(rows)), f"{table} has a row twice"
    return set(rows)


def contents(pipeline, tables=WHOLE):
    wanted = {*tables, *(CHILDREN[table] for table in tables if table in CHILDREN)}
    return {table: live(pipeline, table, ", ".join(names)) for table, names in COLUMNS.items() if table in wanted}


def listed(sandbox, tables=WHOLE):
    """What `contents` must be, from the API's records."""
    rows = expected_lists(sandbox)
    columns = {"customers": ("company_name", "status"), "entitlements": ("status",), "private_offers": ("status",)}
    found = {}
    for table in tables:
        if table in columns:
            found[table] = {(id_, *(str(row[one]) for one in columns[table])) for id_, row in rows[table].items()}
        if table in CHILDREN:
            found[CHILDREN[table]] = {tuple(map(str, key)) for key in rows[CHILDREN[table]]}
    return found


def change(sandbox):
    """Rows change, come and go in each list."""
    rows = sandbox.rows
    for table in ("customers", "entitlements", "private_offers"):
        first, second, *_ = ids = rows.ids(table)
        rows.change(table, first, {"status": "changed"})
        rows.delete(table, [second, ids[-1]])
        rows.insert(table)


def verdicts(pipeline, since):
    text = f"SELECT table_name, verdict FROM _automatum_sweeps WHERE finished_at > '{since.isoformat()}'"
    return dict(query(pipeline, text))


@pytest.fixture
def sandbox(start, desk):
    served = start(**ROWS)
    desk.use(served)
    return served.sandbox


@pytest.fixture(params=["duckdb", "postgres"])
def destination(request, desk):
    if request.param == "duckdb":
        return duckdb_destination(desk)
    return dlt.destinations.postgres(request.getfixturevalue("postgres"))


@pytest.mark.slow
@pytest.mark.sample(5)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.title.strip("`")[:60])
def test_each_way_of_running_the_source_loads_every_row_or_is_refused_i1_i10(sandbox, desk, destination, way):
    pipeline_of(desk, destination).run(automatum_source())
    before = contents(pipeline_of(desk, destination))
    change(sandbox)
    sandbox.requests.clear()
    since, pipeline = datetime.now(timezone.utc), pipeline_of(desk, destination, **way.pipeline)
    if way.refused:
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(way.change(automatum_source()), **way.options)
        refusal = cause(caught.value)
        assert isinstance(refusal, ConfigurationError) and refusal.key == way.refused and refusal.next_step
        assert api_requests(sandbox) == {}
        assert contents(pipeline_of(desk, destination)) == before
        return
    pipeline.run(way.change(automatum_source()), **way.options)
    found, wanted = contents(pipeline, way.tables), listed(sandbox, way.tables)
    if way.part:
        for table, rows in found.items():
            assert rows <= wanted[table] | before[table] and rows & wanted[table]
    else:
        assert found == wanted
    expected = {table: way.verdicts.get(table, "complete") for table in way.tables}
    assert verdicts(pipeline, since) == expected
    # Whatever was left out, and whatever the log has lost, the next run finds.
    pipeline_of(desk, destination).run(automatum_source())
    assert contents(pipeline) == listed(sandbox)


def test_the_table_of_the_document_has_these_rows():
    text = (Path(__file__).parents[2] / "docs" / "dlt.md").read_text()
    missing = [row for row in documented_rows() if row not in text]
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data", "replace"])
def test_what_is_not_complete_drops_nothing_i2(desk, refresh):
    """D1, D2: the load would empty the tables before it fills them."""
    good = [f'{{"id":"c{i:03d}","email":"a@example.com"}}' for i in range(150)]
    options = {"write_disposition": "replace"} if refresh == "replace" else {"refresh": refresh}
    with serve_raw() as api:
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret, tables=["customers"])
        api.lists = {"customers": good}
        pipeline = pipeline_of(desk, duckdb_destination(desk))
        pipeline.run(automatum_source())
        api.lists = {"customers": [*good[:20], '{"email":"without a key"}']}
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(automatum_source(), **options)
        assert isinstance(cause(caught.value), Unproven)
        assert desk.query("SELECT count(*) FROM customers WHERE _deleted_at IS NULL") == [(150,)]
        api.lists = {"customers": good[:120]}
        pipeline_of(desk, duckdb_destination(desk)).run(automatum_source(), **options)
        assert desk.query("SELECT count(*) FROM customers WHERE _deleted_at IS NULL") == [(120,)]


@pytest.mark.slow
def test_a_scope_that_is_missing_empties_nothing_i2(start, desk):
    desk.use(start(**SMALL))
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    pipeline.run(automatum_source())
    desk.use(start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),)))
    for options in ({"write_disposition": "replace"}, {"refresh": "drop_data"}):
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(automatum_source(), **options)
        assert isinstance(cause(caught.value), ScopeMissing)
    assert desk.counts()["entitlements"] == SMALL["entitlements"]


@pytest.mark.slow
def test_history_goes_on_over_a_replaced_table(start, desk):
    """I2: rows that a replace leaves out end in the history; the others keep their versions."""
    desk.use(served := start(**SMALL))
    desk.set(history=True)
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    pipeline.run(automatum_source().with_resources("customers"))
    gone = served.sandbox.rows.ids("customers")[3]
    served.sandbox.rows.delete("customers", gone)
    pipeline.run(automatum_source().with_resources("customers"), write_disposition="replace")
    assert desk.query("SELECT count(*) FROM customers") == [(SMALL["customers"] - 1,)]
    versions = desk.query("SELECT deleted FROM customers_history WHERE id = ? ORDER BY valid_from", gone)
    assert versions == [(False,), (True,)]
    assert desk.query("SELECT count(*) FROM customers_history WHERE id <> ?", gone) == [(SMALL["customers"] - 1,)]
    verified = desk.run("status", "--verify", "--json")
    assert verified.code == 0, verified


@pytest.mark.slow
def test_the_rows_of_other_organizations_are_not_dropped_i1(start, desk):
    """A table of several organizations is refreshed and replaced for all of them, or not at all."""
    several(desk, start)
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    for name in TWO:
        pipeline.run(automatum_source(settings=resolve_settings(organization=name)))
    before = desk.counts()
    for options in ({"refresh": "drop_sources"}, {"write_disposition": "replace"}):
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(automatum_source(settings=resolve_settings(organization=TWO[0])), **options)
        refusal = cause(caught.value)
        assert isinstance(refusal, ConfigurationError) and refusal.key == next(iter(options))
    assert desk.counts() == before


@pytest.mark.slow
def test_a_whole_schema_is_stored_after_every_run_i10(start, desk):
    """D3, D4, D10, D11, D13: every table is there and named, also without rows and after an unchanged sync."""
    desk.use(served := start(**{**SMALL, "private_offers": 0}))
    tables = {
        "customers", "entitlements", "entitlement_dimensions", "private_offers", "private_offer_payments",
        "analytics_revenue", "_automatum_sweeps", "_automatum_pages", "_automatum_rejected",
    }  # fmt: skip
    for expected in ("first", "unchanged", "changed", "unchanged"):
        if expected == "changed":
            served.sandbox.rows.insert("customers")
        ran = desk.sync()
        assert ran.code == 0
        dataset = automatum.dataset(Target(database=desk.database))
        assert tables <= set(dataset.tables)
        assert tables <= set(dlt.dataset(duckdb_destination(desk), "automatum").tables)
        attached = dlt.attach(ran.json["pipeline"])
        assert len(attached.dataset().table("customers").fetchall()) == desk.counts()["customers"]
        assert sorted(one.name for one in desk.folder.glob("*.duckdb")) == ["marketplace.duckdb"]
        joined = dataset.table("entitlements").join("customers").fetchall()
        assert len(joined) == SMALL["entitlements"]
        (last,) = desk.query("SELECT max(load_id) FROM automatum._dlt_loads")[0]
        assert len(dataset.table("customers").from_loads([last]).fetchall()) == (
            {"first": SMALL["customers"], "changed": 1}.get(expected, 0)
        )
        shown = subprocess.run(
            [Path(sys.executable).with_name("dlt"), "pipeline", ran.json["pipeline"], "schema"],
            capture_output=True, text=True, check=True, env=os.environ,
        )  # fmt: skip
        assert "_automatum_rejected:" in shown.stdout
    assert desk.query("SELECT * FROM _automatum_rejected WHERE resolved_at IS NULL") == []


@pytest.mark.slow
@pytest.mark.parametrize("destination", ["duckdb", "postgres"], indirect=True)
def test_comments_arrive_and_are_kept_up_to_date(small, desk, destination, request):
    """`COMMENT ON` for every table and column, after the first sync and after one that changes nothing."""
    if "postgres" in str(type(destination)):
        desk._monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", request.getfixturevalue("postgres"))
        where = ("--destination", "postgres")
        text = (
            "SELECT count(*), count(col_description(a.attrelid, a.attnum)) FROM pg_attribute a "
            "WHERE a.attrelid = 'automatum.customers'::regclass AND a.attnum > 0"
        )
        one = "SELECT col_description('automatum.customers'::regclass, 1)"
    else:
        where = ()
        columns = "FROM duckdb_columns() WHERE schema_name = 'automatum' AND table_name = 'customers'"
        text, one = f"SELECT count(*), count(comment) {columns}", f"SELECT comment {columns} AND column_name = 'id'"
    assert desk.sync(*where).code == 0
    pipeline = pipeline_of(desk, destination)
    ((columns, comments),) = query(pipeline, text)
    assert columns == comments > 10
    ((described,),) = query(pipeline, one)
    query(pipeline, "COMMENT ON COLUMN automatum.customers.id IS NULL")
    assert desk.sync(*where).code == 0
    assert query(pipeline, one) == [(described,)]


@pytest.mark.slow
def test_verify_counts_the_live_rows(large, desk):
    """The rule that would have found rows that a load dropped while the verdict said complete."""
    desk.sync()
    assert desk.run("status", "--verify").code == 0
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("DELETE FROM automatum.customers WHERE id IN (SELECT id FROM automatum.customers LIMIT 7)")
    found = desk.run("status", "--verify", "--json")
    assert found.code == 65
    broken = {(one["table"], one["rule"]): one["broken"] for one in found.json["findings"] if one["broken"]}
    assert broken == {("customers", "as many live rows as the last sweep listed"): 7}
    assert desk.sync().code == 0
    assert desk.run("status", "--verify").code == 0
    large.rows.delete("customers", large.rows.ids("customers")[:3])
    assert desk.sync().code == 0
    assert desk.run("status", "--verify").code == 0


@pytest.mark.slow
def test_dlts_own_load_ids_and_file_formats(small, desk):
    """`NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID` and `loader_file_format` change nothing that we rely on."""
    desk._monkeypatch.setenv("NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID", "true")
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    for _ in range(2):
        pipeline.run(automatum_source(), loader_file_format="parquet")
        small.rows.insert("entitlements")
    pipeline.run(automatum_source())
    assert differences(desk, expected_lists(small)) == []
    ids = {load_id for (load_id,) in desk.query("SELECT DISTINCT _dlt_load_id FROM entitlements")}
    assert len(ids) == 3 and ids <= {load_id for (load_id,) in desk.query("SELECT load_id FROM _dlt_loads")}


@pytest.mark.slow
def test_a_first_load_under_a_frozen_contract(small, desk):
    pipeline_of(desk, duckdb_destination(desk)).run(automatum_source(), schema_contract="freeze")
    assert differences(desk, expected_lists(small)) == []


@pytest.mark.slow
def test_steps_apart_and_a_dropped_working_folder(small, desk):
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    for _ in range(2):
        pipeline.extract(automatum_source())
        pipeline.normalize()
        pipeline.load()
        small.rows.insert("customers")
    pipeline.drop()
    pipeline.run(automatum_source())
    assert differences(desk, expected_lists(small)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DEV_MODE", "REFRESH"])
def test_a_command_refuses_modes_of_a_pipeline_i10(small, desk, name):
    """Each package of a sync would drop the tables of the one before."""
    desk.sync()
    desk._monkeypatch.setenv(name, {"DEV_MODE": "true", "REFRESH": "drop_sources"}[name])
    ran = desk.sync()
    assert ran.code == 78 and name in ran.says
    desk._monkeypatch.delenv(name)
    assert desk.counts()["customers"] == SMALL["customers"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LOAD__RAISE_ON_FAILED_JOBS", "MINE__LOAD__RAISE_ON_FAILED_JOBS"])
def test_a_load_that_would_hide_refused_rows_is_refused_i1_i10(small, desk, name):
    """dlt would record the load, and with it the verdict `complete`, without the rows that the destination refuses."""
    pipeline = pipeline_of(desk, duckdb_destination(desk))
    desk._monkeypatch.setenv(name, "false")
    with pytest.raises(PipelineStepFailed) as refused:
        pipeline.run(automatum_source())
    assert cause(refused.value).key == "raise_on_failed_jobs" and "load.raise_on_failed_jobs" in str(refused.value)
    assert api_requests(small) == {}


def test_a_dataset_that_is_not_there_makes_no_file(desk):
    with pytest.raises(ConfigurationError):
        automatum.dataset(Target(database=desk.database))
    assert list(desk.folder.glob("*.duckdb")) == []


@pytest.mark.slow
def test_readers_of_a_dataset_do_not_write(small, desk):
    desk.sync()
    dataset = automatum.dataset(Target(database=desk.database))
    with dataset.sql_client as client, pytest.raises(DatabaseException, match="read-only"):
        client.execute_sql("DELETE FROM customers")
    assert desk.counts()["customers"] == SMALL["customers"]
