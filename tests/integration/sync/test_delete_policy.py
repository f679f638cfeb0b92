"""Changed and deleted rows: found by comparing with the destination, and deleted only when confirmed."""

import json
from itertools import chain

import pytest

from automatum.sync import list_sync
from tests.support.syncing import Site, with_dimensions

CHILDREN = {
    "entitlements": ("entitlement_dimensions", "entitlement_id", "dimensions"),
    "private_offers": ("private_offer_payments", "private_offer_id", "paymentSchedule"),
}


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def with_children(sandbox, table):
    name = CHILDREN[table][2]
    return [row["id"] for row in sandbox.rows.all(table) if row.get(name) or (row.get("pricing") or {}).get(name)]


def keep_off_the_list(sandbox, ids):
    """The rows stay at their own URLs."""
    for id_ in ids:
        sandbox.organizations[sandbox.organization_id].tables["customers"]._ids.remove(id_)


def children(site, table, ids, marked):
    """Number of child rows of these parents that are, or are not, marked deleted."""
    child, parent, _ = CHILDREN[table]
    kind = "NOT NULL" if marked else "NULL"
    sql = f"SELECT count(*) FROM {child} WHERE list_contains(?, {parent}) AND _deleted_at IS {kind}"
    return site.query(sql, list(ids))[0][0]


# What changed


@pytest.mark.slow
def test_an_unchanged_sync_writes_nothing_but_its_own_record(site):
    """I3: equal dumps, `_synced_at` included; one record a table and sync."""
    site.serve(customers=120, entitlements=40, private_offers=15, days=10)
    assert site.sync().code == 0
    before, packages = site.dump(), site.query("SELECT count(*) FROM _dlt_loads")[0][0]
    again = site.sync()
    assert (again.code, site.dump()) == (0, before)
    assert site.query("SELECT count(*) FROM _dlt_loads")[0][0] <= packages + 1
    assert [len(site.sweeps(table)) for table in ("customers", "entitlements", "analytics_revenue")] == [2, 2, 2]
    assert site.query("SELECT DISTINCT verdict FROM _automatum_sweeps") == [("complete",)]


@pytest.mark.slow
def test_a_change_without_a_new_timestamp_and_a_row_that_the_destination_lacks_are_found(site):
    """I1: changes are found by content; what the destination lacks arrives again, however old it is."""
    sandbox = site.serve(customers=120, entitlements=30)
    site.sync()
    ids, entitlement = sandbox.rows.ids("customers"), with_dimensions(sandbox)[0]
    sandbox.rows.change("customers", ids[3], {"companyName": "Lies Ltd"}, touch=False)
    sandbox.rows.change("entitlements", entitlement, {"dimensions": []}, touch=False)
    site.execute("DELETE FROM customers WHERE id = ?", ids[110])
    made = site.sync()
    assert made.counts("customers") == (1, 1, 0, 118)
    assert site.live("customers") == set(ids)
    assert site.query("SELECT company_name FROM customers WHERE id = ?", ids[3]) == [("Lies Ltd",)]
    assert children(site, "entitlements", [entitlement], marked=False) == 0


# What is gone


@pytest.mark.slow
@pytest.mark.parametrize("deletes", ["soft", "hard", "ignore"])
def test_few_missing_rows_are_requested_and_deleted_with_their_children(site, deletes):
    """I2: one request each; marked, removed or left, children alike; and back to life when they reappear."""
    site.settings["deletes"] = deletes
    sandbox = site.serve(customers=5, entitlements=40, private_offers=40)
    site.sync("entitlements", "private_offers")
    gone = {table: with_children(sandbox, table)[:3] for table in CHILDREN}
    kept = {table: [sandbox.rows.get(table, id_) for id_ in ids] for table, ids in gone.items()}
    had = {table: children(site, table, ids, marked=False) for table, ids in gone.items()}
    everything = {table: set(sandbox.rows.ids(table)) for table in CHILDREN}
    assert all(had.values())
    for table, ids in gone.items():
        sandbox.rows.delete(table, ids)
    for turn in range(2):
        # The second turn costs nothing: they are known to be gone.
        made = site.sync("entitlements", "private_offers")
        asked = [*chain(*gone.values())] if deletes != "ignore" and not turn else []
        # That entitlements and offers have URLs of their own is assumed: one that is listed shows it, once a table.
        control = set(made.details) - set(asked)
        assert made.code == 0
        assert sorted(made.details) == sorted([*asked, *control])
        assert len(control) == (2 if asked else 0)
        assert control <= {*sandbox.rows.ids("entitlements"), *sandbox.rows.ids("private_offers")}
        for table, ids in gone.items():
            assert made.counts(table)[2] == (3 if asked else 0)
            assert site.live(table) == everything[table] - (set(ids) if deletes != "ignore" else set())
            assert site.dead(table) == (set(ids) if deletes == "soft" else set())
            assert children(site, table, ids, marked=False) == (had[table] if deletes == "ignore" else 0)
            assert children(site, table, ids, marked=True) == (had[table] if deletes == "soft" else 0)
    for table, records in kept.items():
        for record in records:
            sandbox.rows.put(table, record)
    made = site.sync("entitlements", "private_offers")
    for table, ids in gone.items():
        assert made.counts(table) == ((0, 0, 0, 40) if deletes == "ignore" else (3, 0, 0, 37))
        assert (site.live(table), site.dead(table)) == (everything[table], set())
        assert children(site, table, ids, marked=False) == had[table]
        assert children(site, table, ids, marked=True) == 0
    assert site.broken() == {}


@pytest.mark.slow
def test_each_of_many_missing_rows_is_asked_for_i2(site):
    """Those that two complete sweeps miss are no less asked for than those that one misses (S7)."""
    sandbox = site.serve(customers=250)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    gone, archived = ids[50:90], ids[95:98]
    sandbox.rows.delete("customers", gone)
    keep_off_the_list(sandbox, archived)
    made = site.sync("customers")
    assert made.code == 0
    assert set(gone) | set(archived) <= set(made.details)
    assert len(made.details) == len(gone) + len(archived) + 1, "each once, and one that is listed"
    assert (site.dead("customers"), site.live("customers")) == (set(gone), set(ids) - set(gone))


@pytest.mark.slow
def test_a_run_asks_for_as_many_missing_rows_as_it_may_and_says_how_many_wait_i3(site):
    sandbox = site.serve(customers=250)
    site.sync("customers")
    gone = sandbox.rows.ids("customers")[50:80]
    sandbox.rows.delete("customers", gone)
    site.settings["application_limits"] = [[51, 3600]]
    runs = [site.sync("customers") for _ in range(3)]
    assert [one.code for one in runs] == [0, 0, 0]
    assert [one.counts("customers")[2] for one in runs] == [12, 12, 6]
    assert sorted(key for one in runs for key in one.details if key in gone) == sorted(gone)
    assert "18 rows" in runs[0].tables["customers"]["reason"]
    assert runs[2].tables["customers"]["reason"] == ""
    assert site.dead("customers") == set(gone)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "gone"), [(40, 15), (100, 25), (30, 30), (3, 3)])
def test_a_large_share_is_deleted_only_with_allow_deletes(site, rows, gone):
    """I2: more than 20 % and more than 10, or an API that is empty all at once: nothing is deleted, exit 65."""
    sandbox = site.serve(customers=rows)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    sandbox.rows.delete("customers", ids[:gone])
    refused = site.sync("customers")
    assert (refused.code, refused.details, site.live("customers")) == (65, [], set(ids))
    assert f"{gone} of {rows} rows" in refused.tables["customers"]["reason"]
    assert "--allow-deletes" in refused.tables["customers"]["reason"]
    allowed = site.sync("customers", allow_deletes=True)
    assert (allowed.code, site.dead("customers")) == (0, set(ids[:gone]))
    assert set(ids[:gone]) <= set(allowed.details)
    assert site.sync("customers").code == 0


@pytest.mark.slow
def test_a_small_share_is_deleted_without_allow_deletes(site):
    """I2: the bound is 20 % and more than 10 rows: 10 of 30 go, and so do 20 of 100."""
    sandbox = site.serve(customers=30, private_offers=100)
    site.sync("customers", "private_offers")
    gone = sandbox.rows.ids("customers")[:10], sandbox.rows.ids("private_offers")[:20]
    sandbox.rows.delete("customers", gone[0])
    sandbox.rows.delete("private_offers", gone[1])
    assert site.sync("customers", "private_offers").code == 0
    assert (site.dead("customers"), site.dead("private_offers")) == (set(gone[0]), set(gone[1]))


@pytest.mark.slow
@pytest.mark.parametrize("table", CHILDREN)
def test_child_rows_that_are_lost_in_the_destination_come_back(site, table):
    """I1: the parent is there and unchanged; a gap is seen by `verify`, a lost end by the next sync."""
    sandbox = site.serve(entitlements=30, private_offers=30, traps=True)
    site.sync(table)
    child, parent, _ = CHILDREN[table]
    before = children(site, table, sandbox.rows.ids(table), False)
    (long,) = site.query(f"SELECT {parent} FROM {child} GROUP BY ALL ORDER BY count(*) DESC LIMIT 1")[0]
    for lost in (f"{parent} = '{long}' AND position = 0", f"{parent} <> '{long}'"):
        site.execute(f"DELETE FROM {child} WHERE {lost}")
        gap = {(child, "no gap in a list"): 1} if "position" in lost else {}
        assert site.broken() == gap
        assert site.sync(table).code == 0
        assert children(site, table, sandbox.rows.ids(table), False) == before
    made = site.sync(table)
    assert (made.counts(table)[:3], site.broken()) == ((0, 0, 0), {})


# Never


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "fault", "code"),
    [
        ({"max_requests": 1}, None, 75),
        ({}, {"kind": "status", "page": 2, "status": 500}, 69),
        ({}, {"kind": "short_page", "page": 2}, 65),
        ({}, {"kind": "empty_page", "page": 3}, 65),
    ],
)
def test_an_interrupted_failed_or_incomplete_sweep_deletes_nothing(site, how, fault, code):
    """I2; and the next whole one does."""
    sandbox = site.serve(customers=250)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    sandbox.rows.delete("customers", ids[:3])
    if fault:
        sandbox.faults.add(path="/api/v1/customers", count=None, **fault)
    made = site.sync("customers", **how)
    assert (made.code, made.details, site.live("customers")) == (code, [], set(ids))
    sandbox.faults.clear()
    assert (site.sync("customers").code, site.dead("customers")) == (0, set(ids[:3]))


@pytest.mark.slow
@pytest.mark.parametrize(("status", "code"), [(500, 65), (403, 65), (405, 65), (429, 75)])
def test_only_a_404_confirms_a_deletion(site, status, code):
    """I2: only a 404 says that a row is gone. The next sync finds the others."""
    sandbox = site.serve(customers=30)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    sandbox.rows.delete("customers", ids[:2])
    sandbox.faults.add("status", "/api/v1/customers/", status=status, count=None)
    made = site.sync("customers")
    assert made.code == code
    assert (site.live("customers"), made.counts("customers")[2]) == (set(ids), 0)
    if code == 65:
        assert made.tables["customers"]["verdict"] == "incomplete"
        assert "a row at its own URL" in made.tables["customers"]["reason"]
    sandbox.faults.clear()
    sandbox.rows.change("customers", ids[9], {"companyName": "Meanwhile"}, touch=False)
    assert (site.sync("customers").code, site.dead("customers")) == (0, set(ids[:2]))
    site.sync("customers")
    assert site.query("SELECT id FROM customers WHERE company_name = 'Meanwhile'") == [(ids[9],)]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["created_asc", "random"])
def test_a_live_row_that_a_shift_hid_is_loaded_and_not_deleted(site, order):
    """I1, I2: one row deleted on a page that was read, one appended: the total stands, and a live row is on no page."""
    sandbox = site.serve(customers=250, entitlements=600, order=order)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    hidden, deleted = ids[100], ids[5]

    def shift():
        sandbox.rows.delete("customers", deleted)
        sandbox.rows.insert("customers")
        sandbox.rows.change("customers", hidden, {"companyName": "Hidden"}, touch=False)

    assert sandbox.rows.get("entitlements", sandbox.rows.ids("entitlements")[0])["customerId"]
    sandbox.rows.change("entitlements", sandbox.rows.ids("entitlements")[0], {"customerId": hidden})
    sandbox.schedule.after(1, shift, path="/api/v1/customers")
    made = site.sync("customers")
    # Changed once: had the detail's own keys got into the hash, the second reading would have changed it again.
    assert (made.details, made.counts("customers")[:3]) == ([hidden, deleted], (1, 1, 1))
    assert site.dead("customers") == {deleted}
    assert site.live("customers") == set(sandbox.rows.ids("customers"))
    ((name, extra),) = site.query("SELECT company_name, extra FROM customers WHERE id = ?", hidden)
    assert (name, "entitlements" in json.loads(extra or "{}")) == ("Hidden", False)
    after = site.sync("customers")
    assert (after.code, after.counts("customers")) == (0, (0, 0, 0, 250))


@pytest.mark.slow
def test_a_row_that_the_api_keeps_off_the_list_does_not_cost_a_second_reading_each_time(site):
    """I3: an API may hide a row (an archived one) and still answer at its URL. Two readings of the list show that
    nothing else is missing; after that the row is known to be off the list."""
    sandbox = site.serve(customers=150)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    keep_off_the_list(sandbox, [ids[5]])
    first = site.sync("customers")
    assert (first.details, site.live("customers")) == ([ids[5]], set(ids))
    later = [site.sync("customers") for _ in range(2)]
    assert [one.code for one in later] == [0, 0]
    assert site.live("customers") == set(ids)
    assert [one.pages for one in later] == [[1, 2], [1, 2]]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "status"), [("customers", 403), ("customers", 404), ("entitlements", 405)])
def test_where_urls_do_not_tell_nothing_is_deleted_and_the_setting_is_named_i2(site, table, status):
    """A row that is listed is not at its own URL either, so what is answered there says nothing about the others."""
    sandbox = site.serve(customers=30, entitlements=30)
    site.sync(table)
    sandbox.faults.add("status", f"/api/v1/{table}/", status=status, count=None)
    gone = sandbox.rows.ids(table)[3:6]
    sandbox.rows.delete(table, gone)
    for _ in range(2):
        made = site.sync(table)
        assert (made.code, made.tables[table]["verdict"], site.dead(table)) == (65, "incomplete", set())
        assert f"sources.automatum.endpoints.{table}.detail_path" in made.tables[table]["reason"]
    site.settings["endpoints"] = {table: {"detail_path": "none"}}
    made = site.sync(table)  # which agrees with the sync before
    assert (made.code, made.details, site.dead(table)) == (0, [], set(gone))


@pytest.mark.slow
def test_a_row_off_a_list_that_is_too_long_to_be_read_again_does_not_stop_every_sync(site, monkeypatch):
    """I1, I2: the next sync is the second reading."""
    monkeypatch.setattr(list_sync, "REREAD_PAGES", 1)
    sandbox = site.serve(customers=150)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    keep_off_the_list(sandbox, [ids[5]])
    first = site.sync("customers")
    assert first.code == 65
    assert "1 live row on no page of the list" in first.tables["customers"]["reason"]
    sandbox.rows.delete("customers", ids[7])
    later = [site.sync("customers") for _ in range(2)]
    assert [one.code for one in later] == [0, 0]
    assert (site.dead("customers"), site.live("customers")) == ({ids[7]}, set(ids) - {ids[7]})
    # The row that is gone, one that is listed, and the row off the list in its turn.
    assert [(one.pages, len(one.details)) for one in later] == [([1, 2], 3), ([1, 2], 1)]
