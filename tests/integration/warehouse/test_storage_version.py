"""A new DuckDB file has a storage version that older DuckDBs read, whoever of us creates it; an existing one stays."""

import dlt
import duckdb
import pytest

from automatum import Target, automatum_source
from automatum.operations.demo import run_demo
from automatum.warehouse.duckdb_file import STORAGE_VERSION

READ_BY_ALL = f"{STORAGE_VERSION}+"


def storage_version(path):
    """As DuckDB names it: the lowest version that reads the file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        ((tags,),) = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    return tags["storage_version"]


def newest(folder):
    """What this DuckDB writes if it is told to write its newest format."""
    path = folder / "newest_of_all.duckdb"
    duckdb.connect(str(path), config={"storage_compatibility_version": "latest"}).close()
    return storage_version(path)


def test_a_sync_and_its_copy(small, desk):
    assert newest(desk.folder) != READ_BY_ALL
    copy = desk.folder / "copy.duckdb"
    assert desk.sync("--database", str(desk.database), "--read-copy", str(copy), "customers").code == 0
    assert (storage_version(desk.database), storage_version(copy)) == (READ_BY_ALL, READ_BY_ALL)


def test_a_pipeline_of_a_target_creates_its_file_when_it_loads(small, desk):
    pipeline = Target(database=desk.database).pipeline()
    assert not desk.database.exists()
    pipeline.run(automatum_source().with_resources("customers"))
    assert storage_version(desk.database) == READ_BY_ALL
    with duckdb.connect(str(desk.database)) as connection:  # as a notebook opens it
        assert connection.execute("SELECT count(*) FROM automatum.customers").fetchone() == (12,)
        pipeline.run(automatum_source().with_resources("customers"))


def test_the_demo(desk):
    run_demo(desk.folder / "demo.duckdb")
    assert storage_version(desk.folder / "demo.duckdb") == READ_BY_ALL


def test_a_file_in_a_newer_format_keeps_working(small, desk):
    duckdb.connect(str(desk.database), config={"storage_compatibility_version": "latest"}).close()
    assert desk.sync("customers").code == 0
    Target(database=desk.database).pipeline().run(automatum_source().with_resources("customers"))
    assert storage_version(desk.database) == newest(desk.folder)
    assert desk.counts()["customers"] == 12


def test_a_query_creates_no_file(desk):
    assert desk.run("status").code == 78
    assert not desk.database.exists()


def test_a_read_only_destination_creates_no_file(desk, monkeypatch):
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS__READ_ONLY", "true")
    pipeline = Target(database=desk.database).pipeline()
    with pytest.raises(Exception, match="database does not exist"), pipeline.sql_client() as client:
        client.execute_sql("SELECT 1")
    assert not desk.database.exists()
    assert isinstance(pipeline, dlt.Pipeline)
