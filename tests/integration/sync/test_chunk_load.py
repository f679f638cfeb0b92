"""A sync that finds nothing to load makes no load package, and what it writes is as a package would leave it."""

import shutil
from unittest import mock

import pytest
from dlt.destinations import postgres as to_postgres
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from automatum import SyncOptions, Target, run_sync
from automatum.warehouse import records
from tests.support.counted_loads import counted
from tests.support.many_databases import Killed
from tests.support.postgres import postgres  # noqa: F401  the fixture
from tests.support.syncing import Site

ROWS = 12
TABLES = ("customers", "entitlements", "private_offers")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.serve(customers=ROWS, entitlements=ROWS, private_offers=ROWS)
        yield made


def record_types(site):
    """Name, type and whether it is null, of each column of the latest sweep."""
    columns = [name for (name, *_) in site.query("DESCRIBE _automatum_sweeps")]
    seen = ", ".join(f'typeof("{name}"), "{name}" IS NULL' for name in columns)
    return columns, site.query(f"SELECT {seen} FROM _automatum_sweeps ORDER BY finished_at DESC LIMIT 1")


def incomplete_loads(site):
    """Records that a later run does not trust."""
    return site.query(
        "SELECT sweep_id FROM _automatum_sweeps WHERE load_id NOT IN (SELECT load_id FROM _dlt_loads WHERE status = 0)"
    )


@pytest.mark.slow
def test_an_unchanged_sync_makes_no_package_and_its_records_are_complete(site):
    with counted() as first:
        site.sync(*TABLES)
    assert first["packages"] == 1
    before, loads = site.dump(), site.query("SELECT count(*) FROM _dlt_loads")[0][0]
    with counted() as second:
        assert site.sync(*TABLES).code == 0
    assert second["packages"] == 0
    assert site.dump() == before
    assert site.query("SELECT count(*) FROM _dlt_loads") == [(loads + 1,)]
    assert [len(site.sweeps(table)) for table in TABLES] == [2, 2, 2]
    assert incomplete_loads(site) == []


@pytest.mark.slow
def test_a_record_is_the_same_with_a_package_and_without_one(site):
    site.sync("customers")
    site.sync("customers")
    inserted = record_types(site)
    versions = site.query("SELECT DISTINCT schema_version_hash, schema_name, status FROM _dlt_loads")
    assert len(versions) == 1
    with mock.patch.object(records, "_DESTINATIONS", ()), counted() as counts:
        site.sync("customers")
    assert counts["packages"] == 1
    assert record_types(site) == inserted


@pytest.mark.slow
def test_a_change_in_the_last_table_makes_one_package_of_all(site):
    site.sync(*TABLES)
    site.served.sandbox.rows.insert("private_offers", {})
    with counted() as counts:
        ran = site.sync(*TABLES)
    assert counts["packages"] == 1
    assert [ran.counts(table)[0] for table in TABLES] == [0, 0, 1]
    assert len(site.live("private_offers")) == ROWS + 1
    assert incomplete_loads(site) == []
    # A parent row names its package, so that a killed load is found out.
    ids = site.query("SELECT DISTINCT _dlt_load_id FROM private_offers")
    assert ids and set(ids) <= set(site.query("SELECT load_id FROM _dlt_loads"))


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["DELETE", "INSERT", "COMMIT"])
def test_a_kill_while_records_are_written_leaves_all_or_nothing_i3_i9(site, statement):
    site.sync(*TABLES)
    before = site.query("SELECT count(*) FROM _automatum_sweeps"), site.query("SELECT count(*) FROM _dlt_loads")
    execute, commit = DuckDbSqlClient.execute_query, DuckDbSqlClient.commit_transaction

    def dying(self, query, *arguments, **options):
        if query.startswith(statement) and ("_dlt_loads" in query or statement == "DELETE"):
            raise Killed
        return execute(self, query, *arguments, **options)

    def dead(self):
        if statement == "COMMIT":
            raise Killed
        commit(self)

    with (
        mock.patch.object(DuckDbSqlClient, "execute_query", dying),
        mock.patch.object(DuckDbSqlClient, "commit_transaction", dead),
        pytest.raises(Killed),
    ):
        site.sync(*TABLES)
    after = site.query("SELECT count(*) FROM _automatum_sweeps"), site.query("SELECT count(*) FROM _dlt_loads")
    assert after == before
    shutil.rmtree(site.pipelines_dir)
    site._opened = None, None
    ran = site.sync(*TABLES)
    assert ran.code == 0 and incomplete_loads(site) == []


@pytest.mark.slow
def test_pages_of_an_unchanged_sweep_are_written_without_a_package_and_resumed_from_i3(tmp_path):
    with Site(tmp_path) as site:
        site.serve(customers=450)
        site.sync("customers")
        with counted() as counts:
            cut = site.sync("customers", max_requests=2)
        assert (counts["packages"], site.query("SELECT count(*) FROM _automatum_pages")) == (0, [(2,)])
        shutil.rmtree(site.pipelines_dir)
        site._opened = None, None
        with counted() as counts:
            ran = site.sync("customers", max_requests=1)
            rest = site.sync("customers")
        assert counts["packages"] == 0
        assert sorted(cut.pages + ran.pages + rest.pages) == [1, 2, 3, 4, 5]
        assert rest.code == 0
        assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]
        assert site.query("SELECT count(*), count(DISTINCT sweep_id) FROM _automatum_sweeps") == [(2, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE _automatum_sweeps DROP COLUMN retries",
        "DROP TABLE _automatum_sweeps",
        "ALTER TABLE _automatum_sweeps ADD COLUMN _dlt_load_id TEXT",
    ],
)
def test_records_for_which_a_column_is_missing_go_into_a_package_i9(site, change):
    """An older version has made the table, or the user has changed it."""
    site.sync("customers")
    site.execute(change)
    with counted() as counts:
        assert site.sync("customers").code == 0
    assert counts["packages"] == 1
    assert site.query("SELECT retries FROM _automatum_sweeps ORDER BY finished_at DESC LIMIT 1") == [(0,)]


def run(site):
    """A sync as the command line runs it, with the lock of the file."""
    options = SyncOptions(tables=TABLES, target=Target(database=site.database), pipelines_dir=str(site.pipelines_dir))
    site.clock.advance(60)
    with counted() as counts:
        assert run_sync(options, settings=site.resolved(), clock=site.clock).exit_code == 0
    return counts


@pytest.mark.slow
def test_a_sync_opens_the_destination_as_often_however_many_tables_it_has(site):
    run(site)
    unchanged = run(site)
    # The run opens the file once. The start and the records have a client each, which connects to it.
    assert (unchanged["packages"], unchanged["connections"], unchanged["clients"]) == (0, 3, 2)
    site.served.sandbox.rows.insert("customers", {})
    assert run(site)["packages"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "rows"), [(0, 100_000), (61, 100_000), (0, ROWS)])
def test_what_was_read_early_is_read_again_when_it_is_old_i1(site, seconds, rows, monkeypatch):
    """Another machine may have loaded the table while the tables before it were read. Behind a large table, the others
    are read when they have their turn."""
    site.sync(*TABLES)
    monkeypatch.setattr("automatum.sync.engine._EARLY_ROWS", rows)
    late = seconds > 0 or rows == ROWS

    def on_page(table_run):
        if table_run.endpoint.table == "customers":
            site.clock.advance(seconds)
            site.execute("UPDATE private_offers SET _row_hash = 'changed'")

    assert site.sync(*TABLES, on_page=on_page).counts("private_offers")[1] == (ROWS if late else 0)
    if not late:
        assert site.sync(*TABLES).counts("private_offers")[1] == ROWS


@pytest.mark.slow
def test_an_unchanged_sync_to_postgres_makes_no_package(site, postgres):  # noqa: F811
    place = to_postgres(postgres)
    site.sync(*TABLES, destination=place)
    with counted() as counts:
        ran = site.sync(*TABLES, destination=place)
    assert ran.code == 0 and counts["packages"] == 0
    assert [ran.counts(table) for table in TABLES] == [(0, 0, 0, ROWS)] * 3
    site.served.sandbox.rows.delete("customers", site.served.sandbox.rows.all("customers")[0]["id"])
    assert site.sync(*TABLES, destination=place).counts("customers") == (0, 0, 1, ROWS - 1)
