"""A machine's clock that was ahead once: what a sync stamped with a time in the future is not trusted later."""

import pytest

from tests.support.syncing import HOUR, Site

AHEAD = 7 * 24 * HOUR


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def sync_ahead(site, *names, **how):
    """One sync by a clock that is a week ahead."""
    site.clock.set_wall(AHEAD)
    made = site.sync(*names, **how)
    site.clock.set_wall(-AHEAD)
    return made


@pytest.mark.slow
def test_an_interrupted_sync_is_resumed(site):
    """I3: the page records of an interrupted sync are younger than its last verdict only by the right clock."""
    site.serve(customers=450)
    assert sync_ahead(site, "customers").code == 0
    assert site.sync("customers", max_requests=2).code == 75
    resumed = site.sync("customers")
    assert (resumed.code, resumed.pages) == (0, [2, 3, 4, 5])


@pytest.mark.slow
def test_a_sync_that_the_wrong_clock_interrupted_is_read_again(site):
    """I1: its pages say nothing about the present; what comes after them is not skipped."""
    sandbox = site.serve(customers=250)
    assert sync_ahead(site, "customers", max_requests=2).code == 75
    again = site.sync("customers")
    assert (again.code, again.pages) == (0, [1, 2, 3])
    assert site.live("customers") == set(sandbox.rows.ids("customers"))
    assert site.sync("customers").pages == [1, 2, 3]


@pytest.mark.slow
def test_rows_without_urls_that_a_sync_of_the_future_missed_wait_for_one_of_the_present(site):
    """I2: two syncs of the right clock have to agree."""
    sandbox = site.serve(customers=60)
    site.settings["endpoints"] = {"customers": {"detail_path": "none"}}
    assert site.sync("customers").code == 0
    gone = sandbox.rows.ids("customers")[:5]
    sandbox.rows.delete("customers", gone)
    assert sync_ahead(site, "customers").code == 0
    assert (site.sync("customers").code, site.dead("customers")) == (0, set())
    assert (site.sync("customers").code, site.dead("customers")) == (0, set(gone))
