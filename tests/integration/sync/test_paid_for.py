"""What an interrupted or refused sync has read counts in the next one (I3)."""

from collections import Counter
from datetime import timedelta

import pytest

from automatum.api.retry import ATTEMPTS
from tests.integration.sync.test_report import asked
from tests.support.syncing import HOUR, Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_the_pages_before_an_error_are_not_read_again(site):
    """I3: a sweep that failed at page 3 goes on there, and reads the page before it again."""
    sandbox = site.serve(customers=450)
    sandbox.faults.add("status", "/api/v1/customers", page=3, status=500, count=None)
    assert site.sync("customers").code == 69
    sandbox.faults.clear()
    again = site.sync("customers")
    assert (again.code, again.pages) == (0, [2, 3, 4, 5])


@pytest.mark.slow
def test_allow_deletes_holds_for_a_table_that_an_earlier_run_settled(site):
    """I2: the sync is still open because of another table, and the refused table was finished before."""
    sandbox = site.serve(customers=60, entitlements=250)
    site.sync()
    for id_ in sandbox.rows.ids("customers")[:30]:
        sandbox.rows.delete("customers", id_)
    first = site.sync(max_requests=2)
    assert (first.code, first.tables["customers"]["verdict"]) == (75, "incomplete")
    rest = site.sync(allow_deletes=True)
    assert rest.code == 0
    assert len(site.dead("customers")) == 30


@pytest.mark.slow
@pytest.mark.parametrize("backfill", [False, True])
def test_the_windows_of_a_report_that_were_read_are_not_read_again(site, backfill):
    """I3: a run that ends after some of the windows goes on with the others; I1: nothing is missing in the end."""
    site.serve(days=400)
    site.settings["report_window_days"] = 90
    how = {"since": site.today - timedelta(days=350)} if backfill else {}
    first, rest = (asked(site.sync("analytics", **bound, **how)) for bound in ({"max_requests": 4}, {}))
    windows = [*first, *rest][::2]
    assert windows == sorted(windows)
    assert (len(first), len(rest)) == (4, 8)
    assert site.sweeps("analytics_revenue")[-1][0] == "complete"
    assert site.query("SELECT count(*) FROM analytics_revenue") == [(2 * (351 if backfill else 366),)]
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


@pytest.mark.slow
def test_rows_that_were_found_missing_before_an_interruption_are_deleted_after_it(site):
    """I1: what the first windows found out belongs to the verdict of the whole reading."""
    sandbox = site.serve(days=300)
    site.sync("analytics")
    lost = site.today - timedelta(days=250)
    sandbox.rows.restate(lost.isoformat(), "aws", {"vendor": "gcp"})
    how = {"since": site.today - timedelta(days=299)}
    assert site.sync("analytics", max_requests=6, **how).code == 75
    made = site.sync("analytics", **how)
    assert (made.code, made.counts("analytics")[2]) == (0, 1)
    sql = 'SELECT vendor FROM analytics_revenue WHERE "date" = ? AND _deleted_at IS NOT NULL'
    assert site.query(sql, lost) == [("aws",)]


@pytest.mark.slow
def test_a_backfill_which_reads_the_lists_too_goes_on_as_one_of_everything_does(site):
    """I3: each page once, but the last one before the end of the run."""
    sandbox = site.serve(customers=590, entitlements=250, days=30)
    how = {"since": site.today - timedelta(days=20)}
    first = site.sync("customers", "entitlements", max_requests=2, **how)
    assert (first.code, first.pages) == (75, [1, 2])
    assert site.sync("private_offers").code == 0
    rest = site.sync("customers", "entitlements", **how)
    pages = [entry.page for entry in rest.entries if entry.path == "/api/v1/customers"]
    assert (rest.code, pages) == (0, [2, 3, 4, 5, 6])
    assert site.live("customers") == set(sandbox.rows.ids("customers"))
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


@pytest.mark.slow
def test_windows_with_missing_rows_do_not_keep_a_report_from_ending(site):
    """I3, and a way out: each run has requests for one such window, and there are several."""
    sandbox = site.serve(days=300)
    site.sync("analytics")
    site.settings["report_window_days"] = 60
    lost = [site.today - timedelta(days=back) for back in (280, 200, 150, 90)]
    for day in lost:
        sandbox.rows.restate(day.isoformat(), "aws", {"vendor": "gcp"})
    how = {"since": site.today - timedelta(days=299), "max_requests": 4}
    codes = [site.sync("analytics", **how).code]
    while codes[-1] == 75 and len(codes) < 12:
        codes.append(site.sync("analytics", **how).code)
    assert codes[-1] == 0, codes
    sql = "SELECT \"date\" FROM analytics_revenue WHERE vendor = 'aws' AND _deleted_at IS NOT NULL ORDER BY 1"
    assert [day for (day,) in site.query(sql)] == lost


@pytest.mark.slow
def test_more_candidates_than_requests_are_decided_in_several_runs(site):
    """I3: what a run has learned of rows at their own URLs is not asked again, but for a listed row with each run."""
    sandbox = site.serve(customers=150)
    site.sync("customers")
    gone = sandbox.rows.ids("customers")[:15]
    sandbox.rows.delete("customers", gone)
    runs = [site.sync("customers", max_requests=6)]
    while runs[-1].code == 75 and len(runs) < 6:
        runs.append(site.sync("customers", max_requests=6))
    assert [one.code for one in runs] == [75] * (len(runs) - 1) + [0]
    details = [key for one in runs for key in one.details]
    assert sorted(key for key in details if key in gone) == sorted(gone)
    assert len(details) - len(gone) <= len(runs)
    assert site.dead("customers") == set(gone)
    assert site.broken() == {}
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


@pytest.mark.slow
def test_a_row_that_comes_back_between_two_runs_is_live_after_the_next_sync(site):
    """I2: a 404 of an earlier run is no evidence of later; nor is the place on a page that is not read again."""
    sandbox = site.serve(customers=150)
    site.sync("customers")
    gone = sandbox.rows.ids("customers")[:15]
    records = [sandbox.rows.get("customers", id_) for id_ in gone]
    sandbox.rows.delete("customers", gone)
    assert site.sync("customers", max_requests=6).code == 75
    for record in records:
        sandbox.rows.put("customers", record)
    site.clock.advance(HOUR)
    # As many others go, so that the total does not tell.
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[60:75])
    for _ in range(2):
        site.sync("customers")
    assert site.live("customers") == set(sandbox.rows.ids("customers"))


def test_a_server_that_is_down_is_waited_for_once_a_run_and_not_once_a_table_i4(site):
    sandbox = site.serve(customers=5, entitlements=5, private_offers=5, days=3)
    for path in ("customers", "entitlements", "private-offers", "analytics/revenue"):
        sandbox.faults.add("status", f"/api/v1/{path}", status=503, count=None)
    made = site.sync()
    asked = Counter(entry.path for entry in made.entries)
    assert made.code == 69
    assert (len(asked), sorted(asked.values())) == (4, [1, 1, 1, ATTEMPTS])
    sandbox.faults.clear()
    sandbox.faults.add("status", "/api/v1/entitlements", status=503, count=None)
    asked = Counter(entry.path.split("/")[3] for entry in site.sync("customers", "entitlements").entries)
    assert asked == {"customers": 1, "entitlements": ATTEMPTS}
