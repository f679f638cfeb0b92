"""A chunk of a sync is one load: rows, children, records of sweeps and pages together."""

import shutil
from unittest import mock

import pytest
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from automatum import SyncOptions, Target, run_sync
from tests.support.counted_loads import counted
from tests.support.many_databases import Killed
from tests.support.syncing import Site

ROWS = 12
TABLES = ("customers", "entitlements", "private_offers")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.serve(customers=ROWS, entitlements=ROWS, private_offers=ROWS)
        yield made


def incomplete_loads(site):
    """Records that a later run does not trust."""
    return site.query(
        "SELECT sweep_id FROM _automatum_sweeps WHERE load_id NOT IN (SELECT load_id FROM _dlt_loads WHERE status = 0)"
    )


@pytest.mark.slow
def test_an_unchanged_sync_writes_its_records_alone_and_they_are_complete(site):
    site.sync(*TABLES)
    before, loads = site.dump(), site.query("SELECT count(*) FROM _dlt_loads")[0][0]
    assert site.sync(*TABLES).code == 0
    assert site.dump() == before
    assert site.query("SELECT count(*) FROM _dlt_loads") == [(loads + 1,)]
    assert [len(site.sweeps(table)) for table in TABLES] == [2, 2, 2]
    assert incomplete_loads(site) == []
    assert site.query("SELECT DISTINCT schema_name, status FROM _dlt_loads") == [("automatum", 0)]


@pytest.mark.slow
def test_a_change_in_the_last_table_is_in_the_load_of_all(site):
    site.sync(*TABLES)
    site.served.sandbox.rows.insert("private_offers", {})
    with counted() as counts:
        ran = site.sync(*TABLES)
    assert counts["loads"] == 1
    assert [ran.counts(table)[0] for table in TABLES] == [0, 0, 1]
    assert len(site.live("private_offers")) == ROWS + 1
    assert incomplete_loads(site) == []
    ids = site.query("SELECT DISTINCT _dlt_load_id FROM private_offers")
    assert ids and set(ids) <= set(site.query("SELECT load_id FROM _dlt_loads"))


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["DELETE", "INSERT", "_dlt_loads", "COMMIT"])
def test_a_kill_while_a_chunk_is_written_leaves_all_or_nothing_i3_i9(site, statement):
    site.sync(*TABLES)
    for table in TABLES:
        site.served.sandbox.rows.insert(table, {})
    every = (*site.tables(), "_automatum_sweeps", "_dlt_loads")
    before = {name: site.query(f"SELECT * FROM {name} ORDER BY ALL") for name in every}
    execute, commit = DuckDbSqlClient.execute_query, DuckDbSqlClient.commit_transaction

    def dying(self, query, *arguments, **options):
        if statement in query and ("private_offers" in query or statement == "_dlt_loads") and "INTO" in query.upper():
            raise Killed
        if statement == "DELETE" and query.startswith("DELETE") and "private_offers" in query:
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
    assert {name: site.query(f"SELECT * FROM {name} ORDER BY ALL") for name in every} == before
    shutil.rmtree(site.pipelines_dir)
    site._opened = None, None
    ran = site.sync(*TABLES)
    assert ran.code == 0 and incomplete_loads(site) == []
    assert [ran.counts(table)[0] for table in TABLES] == [1, 1, 1]


@pytest.mark.slow
def test_pages_of_an_unchanged_sweep_are_written_and_resumed_from_i3(tmp_path):
    with Site(tmp_path) as site:
        site.serve(customers=450)
        site.sync("customers")
        cut = site.sync("customers", max_requests=2)
        assert site.query("SELECT count(*) FROM _automatum_pages") == [(2,)]
        shutil.rmtree(site.pipelines_dir)
        site._opened = None, None
        ran = site.sync("customers", max_requests=1)
        rest = site.sync("customers")
        # The page before a break is read again: it proves that the list has not moved.
        pages = cut.pages + ran.pages + rest.pages
        assert set(pages) == {1, 2, 3, 4, 5} and len(pages) <= 7
        assert rest.code == 0
        assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]
        assert site.query("SELECT count(*), count(DISTINCT sweep_id) FROM _automatum_sweeps") == [(2, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE _automatum_sweeps DROP COLUMN unchanged",
        "DROP TABLE _automatum_sweeps",
        "ALTER TABLE _automatum_sweeps ADD COLUMN _dlt_load_id TEXT",
    ],
)
def test_a_column_that_a_table_of_the_log_lacks_is_added_i9(site, change):
    """An older version has made the table, or the user has changed it."""
    site.sync("customers")
    site.execute(change)
    assert site.sync("customers").code == 0
    assert site.query("SELECT unchanged IS NULL FROM _automatum_sweeps ORDER BY finished_at DESC LIMIT 1") == [(False,)]


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
    # The run opens the file once. The start and the load have a client each, which connects to it.
    assert (unchanged["loads"], unchanged["connections"], unchanged["clients"]) == (1, 3, 2)


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
