"""What an interrupted run has left in dlt's working folder is dropped, and read again (I1, I9)."""

from pathlib import Path

import duckdb
import pytest

from automatum import Target
from tests.support.desk import forget_run
from tests.support.many_databases import Killed, killed_at
from tests.support.syncing import Site

ROWS = 12


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.serve(customers=ROWS)
        yield made


def left_behind(site, step="load", **settings):
    """A row that was read and not loaded, as after a kill."""
    (strange,) = site.served.sandbox.rows.insert("customers", {"companyName": "Strange"})
    with pytest.raises(Killed), killed_at(step, after=step == "extract"):
        site.sync("customers", **settings)
    site._opened = None, None
    return strange


def strange_rows(site):
    return site.query("SELECT count(*) FROM customers WHERE company_name = 'Strange'")[0][0]


@pytest.mark.parametrize("step", ["extract", "load"])
def test_what_a_killed_run_has_read_is_dropped_and_read_again_i1_i3_i9(site, step):
    site.sync("customers")
    strange = left_behind(site, step)
    site.served.sandbox.rows.delete("customers", strange)
    ran = site.sync("customers")
    assert (ran.code, ran.pages) == (0, [1])
    assert strange_rows(site) == 0
    assert len(site.live("customers")) == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["state.json", "schemas", "load"])
def test_a_damaged_working_folder_is_emptied_i9(site, damage):
    site.sync("customers")
    left_behind(site)
    path = site.pipelines_dir / "automatum" / damage
    if path.is_dir():
        for file in [one for one in path.rglob("*") if one.is_file()]:
            file.write_text("{")
    else:
        path.write_text("{")
    assert site.sync("customers").code == 0
    assert strange_rows(site) == 1


@pytest.mark.slow
def test_a_script_that_runs_in_two_folders_fills_a_file_in_each(tmp_path, monkeypatch):
    """dlt resolves a relative path against the folder of the first run."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        forget_run()
        Target(database=Path("marketplace.duckdb")).pipeline().run([{"folder": folder}], table_name="ran")
    for folder in ("a", "b"):
        with duckdb.connect(str(tmp_path / folder / "marketplace.duckdb")) as connection:
            assert connection.execute("SELECT folder FROM automatum.ran").fetchall() == [(folder,)]
