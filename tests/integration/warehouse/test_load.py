"""What an interrupted run has left in dlt's working folder goes where it belongs, or nowhere (I1, I9)."""

import json
import shutil
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


@pytest.mark.slow
@pytest.mark.parametrize("step", ["extract", "load"])
def test_what_a_killed_run_has_read_is_loaded_by_the_next_one_i3(site, step, caplog):
    site.sync("customers")
    strange = left_behind(site, step)
    site.served.sandbox.rows.delete("customers", strange)
    with caplog.at_level("INFO", "automatum"):
        assert site.sync("customers").code == 0
    assert "loading what an earlier run left behind" in caplog.text
    assert strange_rows(site) == 1


def replace_by_earlier_copy(site):
    shutil.copyfile(site.folder / "earlier", site.database)


def drop_customers(site):
    site.execute("DROP TABLE customers")


def load_elsewhere(site):
    """Another machine syncs to the same dataset."""
    site.pipelines_dir, here = site.folder / "elsewhere", site.pipelines_dir
    site.sync("customers")
    site.pipelines_dir, site._opened = here, (None, None)


CHANGES = {
    "another application": lambda site: site.serve(customers=ROWS, seed=99),
    "another database": lambda site: setattr(site, "database", site.folder / "another.duckdb"),
    "deleted": lambda site: site.database.unlink(),
    "an earlier copy": replace_by_earlier_copy,
    "a dropped table": drop_customers,
    "loaded elsewhere": load_elsewhere,
    "history": lambda site: site.settings.update(history=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_read_for_another_state_of_the_dataset_is_not_loaded_i1(site, change, caplog):
    site.sync("customers")
    shutil.copyfile(site.database, site.folder / "earlier")
    site.served.sandbox.rows.insert("customers", {})
    site.sync("customers")
    strange = left_behind(site)
    site.served.sandbox.rows.delete("customers", strange)
    CHANGES[change](site)
    site.settings["deletes"] = "ignore"
    with caplog.at_level("INFO", "automatum"):
        site.sync("customers")
    assert "loading what an earlier run left behind" not in caplog.text
    assert "dropped" in caplog.text
    assert strange_rows(site) == 0
    with duckdb.connect(str(site.database)) as connection:
        assert connection.execute("SELECT count(*) FROM automatum.customers").fetchone()[0] >= ROWS


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["state.json", "automatum.json", "schemas", "load"])
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
@pytest.mark.parametrize("damage", [{"loads": "many more"}, {"failures": "some"}, {"loads": 3, "failures": None}])
def test_odd_values_in_the_note_of_a_run_end_no_sync_i9(site, damage):
    site.sync("customers")
    left_behind(site)
    path = site.pipelines_dir / "automatum" / "automatum.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    assert site.sync("customers").code == 0
    assert strange_rows(site) == 1


def test_no_copy_of_what_was_loaded_stays_in_the_staging_dataset(site):
    site.sync("customers")
    (staged,) = site.query("SELECT count(*) FROM automatum_staging.customers")
    (loaded,) = site.query("SELECT count(*) FROM customers")
    assert (staged, loaded) == ((0,), (ROWS,))


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
