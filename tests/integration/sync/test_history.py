"""History: every version of every row, from the changes that sweeps find."""

import random
from itertools import pairwise

import pytest

from tests.support.syncing import Site, with_dimensions

NAMES = ("Alpha", "Beta", "Gamma")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.settings["history"] = True
        yield made


def versions(site, table="customers", column="company_name", key="id"):
    """Key to its versions in the view, oldest first: content, deleted, from, to."""
    found = {}
    sql = f"SELECT {key}, {column}, deleted, valid_from, valid_to FROM {table}_versions ORDER BY valid_from"
    for id_, *version in site.query(sql):
        found.setdefault(id_, []).append(tuple(version))
    return found


def told(kept):
    """Content and deletion alone; fails unless the versions follow each other without gap, the last one open."""
    for before, after in pairwise(kept):
        assert before[3] == after[2]
    assert kept[-1][3] is None
    assert all(one[3] is None or one[2] < one[3] for one in kept)
    return [(name, deleted) for name, deleted, *_ in kept]


# Row 0 goes there and back, row 1 dies and lives and dies; the others do as the seed says.
SCRIPT = [{}, {0: "Beta", 1: None}, {0: "Alpha", 1: "Alpha"}, {}, {0: "Beta", 1: None}, {0: "Beta", 1: "Gamma"}]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "deletes"), [(1, "soft"), (2, "hard"), (3, "ignore")])
def test_versions_are_what_the_api_listed(site, seed, deletes):
    """I1: insert, change, there and back, delete and reappear, against a model that knows only what was listed; I3: no
    request more than without history."""
    site.settings["deletes"] = deletes
    draw = random.Random(seed)
    sandbox = site.serve(customers=8)
    ids = sandbox.rows.ids("customers")
    for id_ in ids:
        sandbox.rows.change("customers", id_, {"companyName": "Alpha"}, touch=False)
    records = {id_: sandbox.rows.get("customers", id_) for id_ in ids}
    expected = {id_: [] for id_ in ids}
    for step in SCRIPT:
        plan = {index: draw.choice((*NAMES, None, "same", "same")) for index in range(2, 8)} | step
        for index, name in plan.items():
            listed = sandbox.rows.get("customers", ids[index])
            if name is None and listed:
                sandbox.rows.delete("customers", ids[index])
            elif name in NAMES:
                sandbox.rows.put("customers", {**records[ids[index]], "companyName": name})
        missing = [id_ for id_ in ids if not sandbox.rows.get("customers", id_)]
        known_dead = {id_ for id_ in missing if not expected[id_] or expected[id_][-1][1]}
        made = site.sync("customers")
        assert made.code == 0
        # At the first 404, a row that is listed is asked for, too.
        asked = sorted(one for one in made.details if one in missing)
        assert asked == ([] if deletes == "ignore" else sorted(set(missing) - known_dead))
        assert len(made.details) - len(asked) <= 1
        assert made.pages == [1]
        for id_ in ids:
            row, kept = sandbox.rows.get("customers", id_), expected[id_]
            if row:
                kept.append((row["companyName"], False))
            elif kept and deletes != "ignore":
                kept.append((kept[-1][0], True))
            expected[id_] = [one for i, one in enumerate(kept) if not i or one != kept[i - 1]]
    found = versions(site)
    assert {id_: told(kept) for id_, kept in found.items()} == {id_: kept for id_, kept in expected.items() if kept}
    before = site.dump()
    assert site.sync("customers").code == 0
    assert site.dump() == before
    assert site.broken() == {}


@pytest.mark.slow
def test_history_that_is_switched_on_later_covers_rows_that_did_not_change(site):
    """I1: rows that were there before have a version too."""
    sandbox = site.serve(customers=12)
    site.sync("customers", history=False)
    assert "customers_history" not in site.tables()
    for _ in range(2):
        made = site.sync("customers")
        assert (made.code, made.pages) == (0, [1])
        assert {id_: len(told(kept)) for id_, kept in versions(site).items()} == dict.fromkeys(
            sandbox.rows.ids("customers"), 1
        )
    assert made.counts("customers") == (0, 0, 0, 12)
    assert site.broken() == {}


@pytest.mark.slow
def test_verify_accepts_a_row_that_was_deleted_before_history_was_switched_on(site):
    """`verify` is green after syncs that went well: a row marked deleted earlier has no open version to miss."""
    sandbox = site.serve(customers=12)
    site.sync("customers", history=False)
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[3])
    site.sync("customers", history=False)
    assert site.sync("customers").code == 0
    assert site.broken() == {}


@pytest.mark.slow
@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_rows_that_died_while_history_was_off_get_their_end(site, deletes):
    """I1: the history says of each row what the table says, one sync after it is switched on again."""
    site.settings["deletes"] = deletes
    sandbox = site.serve(customers=12)
    site.sync("customers")
    dead, changed = sandbox.rows.ids("customers")[3:5]
    sandbox.rows.change("customers", changed, {"companyName": "Beta"})
    site.sync("customers", history=False)
    for id_ in (dead, changed):
        sandbox.rows.delete("customers", id_)
    site.sync("customers", history=False)
    rule = ("customers_history", "the latest version is what the table holds")
    assert site.broken() == {rule: 2}
    for _ in range(2):
        assert site.sync("customers").code == 0
        assert site.broken() == {}
        assert [one[1] for one in told(versions(site)[dead])] == [False, True]
    name = "Beta" if deletes == "soft" else versions(site)[changed][0][0]
    assert told(versions(site)[changed])[-1] == (name, True)


@pytest.mark.slow
@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_a_deletion_whose_version_a_kill_kept_out_gets_it_at_the_next_sync(site, deletes, tmp_path):
    """I1, I9: a package is loaded table by table; on a fresh machine nothing loads the rest of it."""
    site.settings["deletes"] = deletes
    sandbox = site.serve(customers=12)
    site.sync("customers")
    dead = sandbox.rows.ids("customers")[3]
    sandbox.rows.delete("customers", dead)
    site.sync("customers")
    site.execute("DELETE FROM customers_history WHERE deleted")
    assert list(site.broken().values()) == [1]
    assert site.sync("customers").code == 0
    assert site.broken() == {}
    assert [one[1] for one in told(versions(site)[dead])] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [50, 50_000])
def test_a_row_that_changes_while_it_is_read_has_its_latest_content_as_the_latest_version(site, chunk_rows):
    """I1: met twice in one sweep, in one load package or in two."""
    sandbox = site.serve(customers=250, order="updated_asc")
    id_ = sandbox.rows.ids("customers")[20]
    first = sandbox.rows.get("customers", id_).get("companyName")
    site.clock.advance(60)
    for requests, name in ((1, "Beta"), (2, "Gamma")):
        sandbox.schedule.after(
            requests,
            lambda name=name: sandbox.rows.change("customers", id_, {"companyName": name}),
            path="/api/v1/customers",
        )
    assert site.sync("customers", chunk_rows=chunk_rows).code == 0
    kept = told(versions(site)[id_])
    assert kept[-1] == ("Gamma", False)
    assert kept[0] == (first, False)
    assert site.query("SELECT company_name FROM customers WHERE id = ?", id_) == [("Gamma",)]
    assert site.broken() == {}


@pytest.mark.slow
def test_an_interrupted_sync_leaves_the_same_history_as_a_whole_one(site):
    """I1: each run loads what it paid for, and nothing twice."""
    sandbox = site.serve(customers=250, entitlements=120)
    codes = []
    while not codes or codes[-1]:
        codes.append(site.sync("customers", "entitlements", max_requests=2).code)
        assert codes[-1] in (0, 75)
    assert len(codes) == 3
    changed = with_dimensions(sandbox)[0]
    sandbox.rows.change("entitlements", changed, {"productName": "Beta"})
    site.sync("customers", "entitlements")
    assert {len(told(kept)) for kept in versions(site).values()} == {1}
    kept = versions(site, "entitlements", "product_name")
    assert {id_ for id_, one in kept.items() if len(told(one)) == 2} == {changed}
    assert site.broken() == {}


@pytest.mark.slow
def test_reports_keep_versions_too(site):
    """I1: restated revenue is a new version of its row."""
    sandbox = site.serve(days=10)
    site.sync("analytics")
    sandbox.rows.restate(site.today.isoformat(), "aws", {"count": 4711})
    for _ in range(2):
        assert site.sync("analytics").code == 0
    lengths = [told(kept) for kept in versions(site, "analytics_revenue", "count", "_row_key").values()]
    assert sorted(map(len, lengths)) == [1] * 19 + [2]
    assert site.broken() == {}
