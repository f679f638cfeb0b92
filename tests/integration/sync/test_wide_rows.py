"""Few wide rows need as much memory as many narrow ones (I1)."""

import pytest

from automatum import ConfigurationError
from automatum.sync.results import Chunk
from automatum.warehouse.duckdb_file import grow_duckdb_memory
from automatum.warehouse.target import Target
from tests.support.syncing import Site

WIDE = 100_000


@pytest.mark.slow
def test_rows_of_100_kilobytes_are_loaded_within_the_memory_limit(tmp_path, desk):
    with Site(tmp_path) as site:
        sandbox = site.serve()
        for number in range(300):
            sandbox.rows.insert("customers", {"notes": f"{number}:" + "x" * WIDE})
        target = Target(database=site.database)
        ran = site.sync("customers", destination=target.open())
        assert ran.code == 0, ran.summary.errors
        assert site.query("SELECT count(*), min(length(extra::VARCHAR)) >= 100000 FROM customers") == [(300, True)]


def test_the_memory_limit_grows_to_a_bound(tmp_path):
    pipeline = Target(database=tmp_path / "x.duckdb").pipeline()
    grown = [grow_duckdb_memory(pipeline) for _ in range(4)]
    assert grown == ["256MB", "1024MB", None, None]
    with pipeline.destination_client() as client:
        limits = client.config.credentials.global_config
    assert limits["memory_limit"] == "1024MB"


def test_a_chunk_ends_at_its_bytes():
    chunk = Chunk(max_rows=25_000, max_bytes=1000)
    assert not chunk.full(0.0)
    chunk.bytes = 1000
    assert chunk.full(0.0)


def test_the_memory_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOMATUM_DUCKDB_MEMORY", "1 GB")
    target = Target(database=tmp_path / "x.duckdb")
    assert target.open().config_params["credentials"].global_config["memory_limit"] == "1 GB"
    monkeypatch.setenv("AUTOMATUM_DUCKDB_MEMORY", "much")
    with pytest.raises(ConfigurationError, match=r"AUTOMATUM_DUCKDB_MEMORY.*512MB"):
        target.open()
