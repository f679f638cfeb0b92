"""I9: sweep rows and page records that another version, or a person, has changed stop no sync."""

import pytest

from tests.support.syncing import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as open_site:
        yield open_site


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


def test_a_sweep_row_that_holds_no_facts_stops_no_sync_i9(site):
    site.serve(customers=5)
    site.sync("customers")
    site.execute("UPDATE _automatum_sweeps SET extra = '\"none\"'")
    assert site.sync("customers").code == 0
