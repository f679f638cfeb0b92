"""What `status --verify` finds, and that it finds nothing where nothing is wrong."""

import shutil

import duckdb
import pytest

from automatum.endpoints import ENDPOINTS, ENTITLEMENTS
from automatum.operations.verify import check_rules
from tests.support.syncing import Site, with_dimensions

HELD = "the latest version is what the table holds"
LISTED = "as many live rows as the last sweep listed"
HISTORY = "entitlements_history"
TWO = "id IN (SELECT id FROM entitlements_history GROUP BY id HAVING count(*) = 2)"
LAST = f"{TWO} AND valid_from = (SELECT max(valid_from) FROM {HISTORY} WHERE {TWO})"

PLANTED = {
    "a key twice": (
        "INSERT INTO entitlements SELECT * FROM entitlements LIMIT 1",
        {("entitlements", "one row a key"): 1},
    ),
    "a child without its parent": (
        "UPDATE entitlement_dimensions SET entitlement_id = 'ent_nobody' WHERE position = 0 AND entitlement_id = "
        "(SELECT min(entitlement_id) FROM entitlement_dimensions)",
        {("entitlement_dimensions", "its parent is there"): 1, ("entitlement_dimensions", "no gap in a list"): 1},
    ),
    "no version at all": (
        f"DELETE FROM {HISTORY} WHERE id = (SELECT min(id) FROM {HISTORY})",
        {(HISTORY, HELD): 1},
    ),
    "another content than the table's": (
        f"UPDATE {HISTORY} SET _version = 'other' WHERE {LAST}",
        {(HISTORY, HELD): 1},
    ),
    "gone here and open there": (
        f"UPDATE entitlements SET _deleted_at = now() WHERE id = (SELECT min(id) FROM {HISTORY} WHERE {TWO})",
        {(HISTORY, HELD): 1, ("entitlements", LISTED): 1},
    ),
    "a live row that is not there": (
        f"DELETE FROM entitlements WHERE id IN (SELECT id FROM {HISTORY} WHERE {TWO})",
        {(HISTORY, HELD): 1, ("entitlements", LISTED): 1, ("entitlement_dimensions", "its parent is there"): 1},
    ),
}


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.settings["history"] = True
        yield made


@pytest.mark.slow
def test_each_planted_fault_is_found_and_nothing_else(site):
    """Green after syncs; then every fault by itself, in a copy of the file."""
    sandbox = site.serve(customers=10, entitlements=20, private_offers=8, days=3)
    site.sync()
    sandbox.rows.change("entitlements", with_dimensions(sandbox)[0], {"productName": "New"}, touch=False)
    site.sync()
    assert site.broken() == {}
    checked = {(one.table, one.rule) for one in check_rules(site.pipeline(), ENDPOINTS)}
    # Every table that is there is looked at, by the rules that concern it.
    rules = {rule for _, found in PLANTED.values() for rule in found}
    assert rules <= checked
    assert {table for table, _ in checked} == set(site.tables())
    sound = site.database
    for fault, (statement, expected) in PLANTED.items():
        site.database = sound.with_name("planted.duckdb")
        shutil.copy(sound, site.database)
        site.execute(statement)
        assert site.broken((ENTITLEMENTS,)) == expected, fault


@pytest.mark.slow
def test_the_command(site, desk):
    """0 when sound, 65 when not, 78 without a file; sends no request and needs no credentials."""
    assert desk.run("status", "--verify").code == 78
    assert not desk.database.exists()
    site.serve(customers=10)
    site.sync()
    sound = desk.run("status", "--verify", "--database", site.database, "--json")
    assert sound.code == 0
    site.execute("INSERT INTO customers SELECT * FROM customers LIMIT 1")
    with duckdb.connect(str(site.database)) as connection:
        assert connection.execute("SELECT count(*) FROM automatum.customers").fetchall() == [(11,)]
    broken = desk.run("status", "--verify", "--database", site.database, "--json")
    assert broken.code == 65
    assert sound.json != broken.json
    shown = desk.run("status", "--verify", "--database", site.database)
    assert shown.code == 65
    assert "one row a key" in shown.says
