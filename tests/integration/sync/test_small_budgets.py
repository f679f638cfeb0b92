"""I3: however few requests a run may send, it gets further than the one before, and repeated runs end complete."""

from collections import Counter
from datetime import timedelta

import pytest

from automatum.core.errors import ConfigurationError
from automatum.sync.options import LEAST_REQUESTS, SyncOptions
from tests.integration.sync.test_delete_policy import keep_off_the_list
from tests.support.syncing import Site

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def repeat(site, *tables, most, budget=LEAST_REQUESTS, **how):
    """Runs of a sync until one is not cut short."""
    runs = [site.sync(*tables, max_requests=budget, **how)]
    while runs[-1].code == 75 and len(runs) < most:
        runs.append(site.sync(*tables, max_requests=budget, **how))
    return runs


@pytest.mark.parametrize("budget", [0, 1, 2])
def test_fewer_requests_than_each_run_needs_are_refused_by_name(budget):
    with pytest.raises(ConfigurationError, match=f"--max-requests: {budget} is too low.*at least {LEAST_REQUESTS}"):
        SyncOptions(max_requests=budget)


@pytest.mark.parametrize("budget", [LEAST_REQUESTS, 4, 5])
def test_a_first_sync_of_all_tables_costs_a_request_a_run_more_i1_i3(site, budget):
    sandbox = site.serve(customers=750, entitlements=250, private_offers=30, days=40)
    whole = Site(site.folder / "whole")
    whole.folder.mkdir()
    whole.served = site.served
    needed = len(whole.sync().entries)
    runs = repeat(site, most=20, budget=budget)
    assert runs[-1].code == 0, [one.summary.line() for one in runs]
    assert sum(len(one.entries) for one in runs) <= needed + len(runs)
    assert all(len(one.entries) == budget for one in runs[:-1])
    assert whole.dump().keys() == site.dump().keys()
    for table in ("customers", "entitlements", "private_offers"):
        assert site.live(table) == set(sandbox.rows.ids(table))
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


def test_missing_rows_are_decided_about_one_by_one_i2(site):
    """Each run reads the last page again, asks for a row, and for one that is listed."""
    sandbox = site.serve(customers=250)
    site.sync("customers")
    gone = sandbox.rows.ids("customers")[:4]
    sandbox.rows.delete("customers", gone)
    runs = repeat(site, "customers", most=9)
    assert runs[-1].code == 0 and site.dead("customers") == set(gone), [one.summary.line() for one in runs]


def test_live_rows_off_the_list_are_not_asked_for_again_by_the_next_run(site):
    """Each is asked for once, and the list is read once more because of them."""
    sandbox = site.serve(customers=250)
    site.sync("customers")
    hidden = sandbox.rows.ids("customers")[:5]
    keep_off_the_list(sandbox, hidden)
    runs = repeat(site, "customers", most=15)
    assert runs[-1].code == 0, [one.summary.line() for one in runs]
    asked = Counter(key for one in runs for key in one.details)
    assert {key: asked[key] for key in hidden} == dict.fromkeys(hidden, 1)
    assert (site.dead("customers"), len(site.live("customers"))) == (set(), 250)
    assert "5 rows not on the list" in runs[-1].tables["customers"]["reason"]


@pytest.mark.parametrize("fault", [{"kind": "short_page", "page": 2}, {"kind": "empty_page", "page": 2}])
def test_a_page_that_stays_short_is_not_all_that_each_run_asks_for(site, fault):
    sandbox = site.serve(customers=350)
    sandbox.faults.add(path="/api/v1/customers", count=None, **fault)
    runs = repeat(site, "customers", most=30)
    assert runs[-1].code == 65, [one.summary.line() for one in runs]
    sandbox.faults.clear()
    assert repeat(site, "customers", most=4)[-1].code == 0


def test_a_list_that_moves_before_each_run_ends(site):
    """Every row is in another place than before, so that no page behind says where the border was."""
    sandbox = site.serve(customers=350)
    runs = [site.sync("customers", max_requests=LEAST_REQUESTS)]
    while runs[-1].code == 75 and len(runs) < 40:
        ids = sandbox.rows.ids("customers")
        record = sandbox.rows.get("customers", ids[len(runs)])
        sandbox.rows.delete("customers", ids[len(runs)])
        sandbox.rows.put("customers", {**record, "id": f"new_{len(runs)}"})
        runs.append(site.sync("customers", max_requests=LEAST_REQUESTS))
    assert runs[-1].code in (0, 65)
    assert repeat(site, "customers", most=9)[-1].code == 0
    assert site.live("customers") == set(sandbox.rows.ids("customers"))


def test_a_report_goes_on_within_a_window_i1(site):
    """Also where its rows are restated, and days are asked for alone."""
    sandbox = site.serve(days=300)
    whole = site.sync("analytics")
    assert whole.code == 0
    for back in (280, 150):
        day = (site.today - timedelta(days=back)).isoformat()
        sandbox.rows.restate(day, "aws", {"vendor": "gcp"})
    how = {"since": site.today - timedelta(days=299)}
    runs = repeat(site, "analytics", most=9, **how)
    assert runs[-1].code == 0, [one.summary.line() for one in runs]
    sent = [tuple(one.query.items()) for run in runs for one in run.entries]
    assert max(Counter(sent).values()) == 1, "no answer is asked for twice"
    assert site.query("SELECT count(*) FROM analytics_revenue WHERE _deleted_at IS NOT NULL") == [(2,)]


@pytest.mark.parametrize("lost", ["analytics_revenue", "_automatum_pages WHERE page = 5"])
def test_what_was_lost_between_two_runs_is_read_again_i9(site, lost):
    site.serve(days=200)
    assert site.sync("analytics", max_requests=9).code == 75
    site.execute(f"DELETE FROM {lost}")
    made = site.sync("analytics")
    assert made.code == 0
    assert len(made.entries) > 10 and site.query("SELECT count(*) FROM analytics_revenue") == [(400,)]


def test_a_report_whose_first_answers_are_too_old_proves_nothing_with_them(site):
    """A budget that does not suffice for the whole: its rows are loaded, and no run begins anew."""
    site.serve(days=300)
    runs = [site.sync("analytics", max_requests=LEAST_REQUESTS)]
    while runs[-1].code == 75 and len(runs) < 12:
        site.clock.advance(86_400 / 4)
        runs.append(site.sync("analytics", max_requests=LEAST_REQUESTS))
    assert runs[-1].code == 65 and "too long ago" in runs[-1].tables["analytics"]["reason"]
    assert len(site.live("analytics_revenue", "_row_key")) >= 600
    assert site.sync("analytics").code == 0
