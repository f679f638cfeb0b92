"""I8, I9: an odd value, or an odd row of the connector's own tables, stops no sync and no other table."""

import pytest

from tests.support.syncing import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as open_site:
        yield open_site


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    ["state = NULL", "state = '{}'", "state = '{'", "state = '[1]'", 'state = \'{"next": "two"}\''],
)
def test_a_page_record_without_a_state_starts_the_sweep_again_i9(site, change):
    site.serve(customers=450)
    assert site.sync("customers", max_requests=2, chunk_rows=100).code == 75
    site.execute(f"UPDATE _automatum_pages SET {change} WHERE state IS NOT NULL")
    again = site.sync("customers")
    assert (again.code, len(site.live("customers"))) == (0, 450)


@pytest.mark.slow
def test_a_sweep_row_that_holds_no_facts_stops_no_sync_i9(site):
    site.serve(customers=5)
    site.sync("customers")
    site.execute("UPDATE _automatum_sweeps SET extra = '\"none\"'")
    assert site.sync("customers").code == 0


@pytest.mark.slow
def test_a_defect_in_one_table_does_not_take_the_pages_of_another_i1(site):
    site.serve(customers=5, entitlements=5)

    def fail(run):
        if run.endpoint.table == "customers":
            raise ZeroDivisionError("a defect")

    found = site.sync("customers", "entitlements", on_page=fail)
    assert (found.code, found.tables["entitlements"]["verdict"]) == (70, "complete")
    assert "ZeroDivisionError: a defect" in found.tables["customers"]["reason"]
    assert len(site.live("entitlements")) == 5
    assert site.sync().code == 0
    assert len(site.live("customers")) == 5
