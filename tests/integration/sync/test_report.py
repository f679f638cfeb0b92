"""Dated reports: which days are requested, which rows are replaced, and which count as deleted."""

from datetime import date, timedelta

import pytest

from automatum.api.session import connect
from automatum.core.budget import Budget
from automatum.core.clock import utc
from automatum.core.errors import ConfigurationError
from automatum.endpoints import REVENUE
from automatum.operations.plan import plan
from automatum.sync.engine import sync
from automatum.sync.options import SyncOptions
from automatum.sync.report_sync import ReportSync
from automatum.sync.resume import resume_session
from tests.support.syncing import Site

PATH = "/api/v1/analytics/revenue"


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def asked(made):
    """First and last day of each request."""
    return [
        tuple(date.fromisoformat(entry.query[name]) for name in ("startDate", "endDate"))
        for entry in made.entries
        if entry.path == PATH
    ]


def counted(site, day, vendor="aws"):
    """The count of a day, and whether the row is marked deleted."""
    sql = 'SELECT "count", _deleted_at IS NOT NULL FROM analytics_revenue WHERE "date" = ? AND vendor = ?'
    return site.query(sql, day, vendor)


def restate(sandbox, day, **fields):
    """Change the record that began as the one of `aws`."""
    sandbox.rows.restate(day.isoformat(), "aws", fields)


@pytest.mark.slow
def test_the_first_sync_reads_a_year_and_the_next_what_may_be_restated(site):
    """I3: two requests a window, two more where the report begins, one for the length of ranges. I1: restated rows are
    replaced within the days that are read again, the others stay."""
    sandbox = site.serve(days=100)
    today = site.today
    first = site.sync("analytics")
    assert (first.code, len(asked(first))) == (0, 15)
    assert {(last - start).days < 90 for start, last in asked(first)} == {True}
    assert first.counts("analytics") == (200, 0, 0, 0)
    near, far = today - timedelta(days=35), today - timedelta(days=36)
    old = counted(site, far)
    for day in (near, far):
        restate(sandbox, day, count=4711)
    again = site.sync("analytics")
    assert asked(again) == [(today - timedelta(days=58), today), (far, today)], "the days before are evidence"
    assert again.counts("analytics") == (0, 1, 0, 71)
    assert (counted(site, near), counted(site, far)) == ([(4711, False)], old)
    shorter = site.sync("analytics", lookback_days=3)
    assert asked(shorter)[1] == (today - timedelta(days=4), today)
    # A backfill brings what was restated long ago.
    back = site.sync("analytics", since=far)
    assert (back.code, back.counts("analytics")[:3], counted(site, far)) == (0, (0, 1, 0), [(4711, False)])


@pytest.mark.slow
def test_the_last_loaded_day_is_the_cursor_however_long_the_pause(site):
    """I1: after 50 days without a sync the next one begins 35 days before the last loaded one, not before today."""
    site.serve(days=10)
    first = site.today
    site.sync("analytics")
    site.clock.advance(50 * 86_400)
    made = site.sync("analytics")
    assert asked(made)[1][0] == first - timedelta(days=36)
    assert (made.code, made.counts("analytics")[0]) == (0, 100)


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"report_window_days": 30}, {"since": None, "report_window_days": 110}])
def test_windows_cover_every_day(site, how):
    """I1: of a backfill and of a first sync, in ranges that are not longer than configured."""
    site.serve(days=400)
    start = site.today - (timedelta(days=365) if "since" in how else timedelta(days=200))
    made = site.sync("analytics", **{"since": start, **how})
    assert made.code == 0
    assert max((last - first).days + 1 for first, last in asked(made)) <= how.get("report_window_days", 90)
    assert site.query("SELECT count(DISTINCT _row_key), count(*) FROM analytics_revenue") == [
        (2 * min(400, (site.today - start).days + 1),) * 2
    ]


@pytest.mark.slow
@pytest.mark.parametrize("since", ["0001-01-01", "1999-12-31"])
def test_a_first_day_before_all_reports_is_refused_by_name(site, since):
    """`--since` and the setting; it was a defect (exit 70) where days were counted back from it."""
    site.serve(days=5)
    with pytest.raises(ConfigurationError, match="2000-01-01"):
        site.sync("analytics", since=date.fromisoformat(since))
    site.settings["since"] = since
    with pytest.raises(ConfigurationError, match="2000-01-01"):
        site.sync("analytics")


@pytest.mark.slow
@pytest.mark.parametrize("deletes", ["soft", "hard", "ignore"])
def test_a_missing_row_is_deleted_only_within_the_days_that_were_read(site, deletes):
    """I2: two readings miss it; what is older than they reach is left alone, and a first reading alone says nothing."""
    site.settings.update(deletes=deletes, lookback_days=10)
    sandbox = site.serve(days=60)
    site.sync("analytics")
    near, far, odd = (site.today - timedelta(days=days) for days in (2, 40, 4))
    for day in (near, far, odd):
        restate(sandbox, day, vendor="gcp")  # another key: the old one is not reported any more
    sandbox.schedule.after(1, lambda: restate(sandbox, odd, vendor="aws"), path=PATH)
    made = site.sync("analytics")
    assert (made.code, len(asked(made))) == (0, 3 if deletes == "ignore" else 5)
    assert made.counts("analytics")[2] == (0 if deletes == "ignore" else 1)
    lives = {day: [dead for _, dead in counted(site, day)] for day in (near, far, odd)}
    assert lives == {near: {"soft": [True], "hard": [], "ignore": [False]}[deletes], far: [False], odd: [False]}
    # And back to life.
    restate(sandbox, near, vendor="aws")
    assert site.sync("analytics").code == 0
    assert [dead for _, dead in counted(site, near)] == [False]


@pytest.mark.slow
def test_an_empty_answer_deletes_nothing(site):
    """I2: an outage that answers with nothing is refused, as it would be for a list."""
    sandbox = site.serve(days=60)
    site.sync("analytics")
    before = site.dump()
    sandbox.faults.add("empty_page", PATH, count=None)
    made = site.sync("analytics")
    assert (made.code, site.dump()) == (65, before)
    assert "72 of 72 rows" in made.tables["analytics"]["reason"]
    assert "--allow-deletes" in made.tables["analytics"]["reason"]
    sandbox.faults.clear()
    assert site.sync("analytics").code == 0
    sandbox.faults.add("empty_page", PATH, count=None)
    assert site.sync("analytics", allow_deletes=True).code == 0
    ((oldest,),) = site.query('SELECT min("date") FROM analytics_revenue WHERE _deleted_at IS NOT NULL')
    assert oldest == site.today - timedelta(days=35)


@pytest.mark.slow
def test_an_object_with_a_series_is_read_like_an_array(site, tmp_path):
    """I8: neither shape is documented."""
    dumps = []
    for shape in ("array", "object"):
        (tmp_path / shape).mkdir()
        with Site(tmp_path / shape) as one:
            one.serve(days=15, analytics_shape=shape)
            assert one.sync("analytics").code == 0
            dumps.append([row[:-4] for row in one.dump()["analytics_revenue"]])
    assert len(dumps[0]) == 30
    assert dumps[0] == dumps[1]


@pytest.mark.slow
def test_a_report_that_the_api_does_not_know_is_skipped(site, caplog):
    """I8: a 404 is a warning, at this sync and at the next; the lists are read each time."""
    sandbox = site.serve(customers=20, days=5)
    sandbox.faults.add("status", "/api/v1/analytics", status=404, count=None)
    for name in ("Before", "After"):
        sandbox.rows.change("customers", sandbox.rows.ids("customers")[0], {"companyName": name})
        made = site.sync()
        assert (made.code, set(made.summary.skipped)) == (0, {"analytics"})
        assert "analytics_revenue is skipped" in caplog.text
        assert made.tables["customers"]["requests"] == 1
        assert site.query("SELECT count(*) FROM customers WHERE company_name = ?", name) == [(1,)]
    sandbox.faults.clear()
    assert site.sync().counts("analytics")[0] == 10


@pytest.mark.slow
def test_records_that_share_a_key_make_the_report_incomplete(site):
    """I1, I2: two records of one key are incomplete, with the advice; and an incomplete report deletes nothing."""
    sandbox = site.serve(days=10)
    site.sync("analytics")
    day = site.today - timedelta(days=3)
    sandbox.rows.restate(day.isoformat(), "azure", {"vendor": "aws"})
    made = site.sync("analytics")
    assert made.code == 65
    assert "sources.automatum.endpoints.analytics_revenue.key" in made.tables["analytics"]["reason"]
    assert made.counts("analytics")[2] == 0
    assert [dead for _, dead in counted(site, day, "azure")] == [False]


@pytest.mark.slow
def test_a_key_that_is_not_unique_is_reported_and_can_be_configured(tmp_path):
    """I1: the key that the advice asks for tells the records apart."""
    for key, code in ((["date", "currency"], 65), (["date", "vendor"], 0)):
        folder = tmp_path / key[1]
        folder.mkdir()
        with Site(folder) as site:
            site.serve(days=4)
            made = site.sync("analytics", endpoints={"analytics_revenue": {"key": key}})
            assert (made.code, made.tables["analytics"]["distinct"]) == (code, 4 if code else 8)


@pytest.mark.slow
def test_a_report_that_is_skipped_stays_skipped_when_its_sync_goes_on(site):
    """I8: the run ended before its other table was read. The next run goes on with that, and reports no error."""
    sandbox = site.serve(customers=5, days=3)
    sandbox.faults.add("status", "/api/v1/analytics", status=404, count=None)
    site.sync("customers", "analytics")
    site.execute("DELETE FROM _automatum_sweeps WHERE table_name = 'customers'")
    session, tables = connect(site.resolved(), clock=site.clock), ("customers", "analytics_revenue")
    left = resume_session(site.pipeline(), tables, utc(site.clock.time()))
    run = ReportSync(REVENUE, session)
    run.result = left.finished["analytics_revenue"]
    assert run.done
    assert (run.result.verdict, run.result.error) == (None, None)
    assert "404" in run.result.skipped


@pytest.mark.slow
def test_days_that_do_not_exist_are_refused_before_a_request(site):
    """I3: a range begins with `--since`, and not in the future."""
    sandbox = site.serve(customers=5, days=10)
    site.sync()
    with pytest.raises(ConfigurationError, match="--until"):
        SyncOptions(until=site.today)
    for pipeline in (None, site.pipeline()):
        options = SyncOptions(since=site.today + timedelta(days=1))
        sandbox.requests.clear()
        session = connect(site.resolved(), clock=site.clock, budget=Budget(site.clock))
        with pytest.raises(ConfigurationError, match="--since"):
            sync(session, pipeline, options) if pipeline else plan(session, None, options)
        assert sandbox.requests.all() == []


@pytest.mark.slow
def test_an_earlier_first_day_is_read_once(site):
    """I1: `since` was moved back: the days before the old one were never read."""
    site.serve(days=100)
    site.settings["since"] = (site.today - timedelta(days=50)).isoformat()
    site.sync("analytics")
    tail = asked(site.sync("analytics"))
    site.settings["since"] = (site.today - timedelta(days=90)).isoformat()
    earlier = site.sync("analytics")
    assert asked(earlier)[0][0] <= site.today - timedelta(days=90)
    assert counted(site, site.today - timedelta(days=90))
    assert asked(site.sync("analytics")) == tail
