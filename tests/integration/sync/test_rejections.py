"""I1: a record that cannot be loaded is named in `_automatum_rejected`, and costs neither its page nor its table."""

import pytest

from tests.support.raw_api import serve_raw
from tests.support.syncing import Site

GOOD = [f'{{"id":"c{i:03d}","email":"a@example.com"}}' for i in range(150)]
DETAILS = {f"customers/c{i:03d}": record for i, record in enumerate(GOOD)}
BAD = ['{"email":"secret@example.com","name":"x"}', "null", '"text"', "null"]


@pytest.fixture
def site(tmp_path):
    with serve_raw() as api, Site(tmp_path) as open_site:
        open_site.served = api
        yield open_site


def rejected(site):
    """Reason, names of fields, and whether it is resolved."""
    return site.query(
        "SELECT reason, fields, resolved_at IS NOT NULL FROM _automatum_rejected WHERE table_name = 'customers' "
        "ORDER BY rejected_at, rejection_id"
    )


@pytest.mark.slow
def test_records_without_a_key_are_rejected_and_every_other_row_is_proven_i1(site):
    site.served.lists = {"customers": [*GOOD[:50], *BAD, *GOOD[50:]], "entitlements": ['{"id":"e"}']}
    found = site.sync("customers", "entitlements")
    assert found.code == 65
    assert {name: one["verdict"] for name, one in found.tables.items()} == {
        "customers": "incomplete",
        "entitlements": "complete",
    }
    assert found.tables["customers"]["rejected"] == 4
    assert found.tables["customers"]["reason"].startswith("4 records could not be loaded; see the table _automatum_rej")
    assert found.tables["customers"]["requests"] == 2
    assert len(site.live("customers")) == len(GOOD)
    assert sorted(one[1] for one in rejected(site)) == ["email, name", "value", "value", "value"]
    assert {(reason, resolved) for reason, _, resolved in rejected(site)} == {("the record has no id", False)}
    assert "secret@" not in str(site.query("SELECT * FROM _automatum_rejected"))


@pytest.mark.slow
def test_the_next_sync_changes_nothing_and_is_incomplete_again_i1(site):
    site.served.lists = {"customers": [*GOOD, *BAD]}
    site.sync("customers")
    before = site.query("SELECT * FROM _automatum_rejected ORDER BY ALL")
    again = site.sync("customers")
    assert (again.code, again.summary.changed, again.tables["customers"]["rejected"]) == (65, False, 4)
    assert site.query("SELECT * FROM _automatum_rejected ORDER BY ALL") == before


@pytest.mark.slow
def test_a_rejected_record_that_comes_well_is_loaded_and_its_rejection_resolved_i1(site):
    site.served.lists = {"customers": [*GOOD, *BAD]}
    site.sync("customers")
    site.served.lists = {"customers": [*GOOD, '{"id":"healed","email":"secret@example.com","name":"x"}', BAD[1]]}
    healed = site.sync("customers")
    assert (healed.code, healed.tables["customers"]["rejected"], healed.counts("customers")[0]) == (65, 1, 1)
    assert sorted(resolved for *_, resolved in rejected(site)) == [False, True, True, True]
    site.served.lists, site.served.details = {"customers": GOOD}, DETAILS
    assert site.sync("customers").code == 0
    assert {resolved for *_, resolved in rejected(site)} == {True}


@pytest.mark.slow
def test_rows_are_deleted_though_others_are_rejected_i2(site):
    site.served.lists = {"customers": [*GOOD, *BAD]}
    site.sync("customers")
    site.served.lists = {"customers": [*GOOD[3:], *BAD]}
    site.served.details = {path: record for path, record in DETAILS.items() if record in GOOD[3:]}
    assert site.sync("customers").counts("customers")[2] == 3
    assert len(site.live("customers")) == len(GOOD) - 3


@pytest.mark.slow
def test_a_sweep_with_rejected_records_is_resumed_i3(site):
    deep = f'{{"id":"deep","x":{"[" * 300}{"]" * 300}}}'  # It has a key, and is not loaded either.
    site.served.lists = {"customers": [*BAD, deep, *GOOD, *(f'{{"id":"d{i}"}}' for i in range(200))]}
    assert site.sync("customers", max_requests=2, chunk_rows=50).code == 75
    again = site.sync("customers", chunk_rows=50)
    assert (again.code, again.tables["customers"]["rejected"], again.tables["customers"]["distinct"]) == (65, 5, 355)
    assert again.summary.requests == 3, "the last page of the run before, and two more"
    assert len(site.live("customers")) == 350
    assert {resolved for *_, resolved in rejected(site)} == {False}


@pytest.mark.slow
@pytest.mark.parametrize("record", ['{"email":"here"}', '{"id":null,"email":"here"}'])
def test_a_detail_without_an_id_is_the_row_of_its_url_i2(site, record):
    """The route is assumed. Without the id, the row was loaded with none, and its package failed for ever."""
    site.served.lists = {"customers": GOOD}
    site.sync("customers")
    site.served.lists = {"customers": GOOD[1:]}
    site.served.details = {"customers/c000": record}
    assert site.sync("customers").code == 0
    assert site.query("SELECT email, _deleted_at FROM customers WHERE id = 'c000'") == [("here", None)]
