"""The ways in for schedulers and notebooks do what the command line does, and return what it prints."""

import threading
from datetime import timedelta

import duckdb
import pytest

import automatum
from automatum import Busy, ConfigurationError, SyncOptions, Target, resolve_settings, run_sync
from tests.integration.sync.test_multi_org import several
from tests.support.desk import SMALL
from tests.support.pushing import rows_of

REPORTS = ("analytics",)


@pytest.mark.slow
def test_a_sync_in_one_call_then_a_dry_push_and_a_real_one(desk, start):
    served = start(**SMALL)
    desk.use(served)
    pages = []
    summary = run_sync(on_page=lambda run: pages.append(run.endpoint.table))
    assert (summary.verdict, summary.exit_code, summary.resume_at, summary.errors) == ("complete", 0, None, [])
    assert list(dict.fromkeys(pages)) == ["customers", "entitlements", "private_offers", "analytics_revenue"]
    rows = rows_of(served.sandbox)
    dry = automatum.run_push(rows)
    assert dry.verdict == "dry_run" and dry.lines["to_send"] == len(rows)
    assert not served.sandbox.requests.to("/api/v1/metering")
    sent = automatum.run_push(rows, automatum.PushOptions(confirm=True, new_ledger=True))
    assert sent.verdict == "complete" and sent.lines["accepted"] == len(rows)
    again = automatum.run_push(rows, automatum.PushOptions(confirm=True))
    assert again.to_json()["already_accepted"] == len(rows) and again.lines["accepted"] == 0


@pytest.mark.slow
def test_a_table_that_lists_usage_in_the_database_can_be_pushed(desk, start):
    served = start(**SMALL)
    desk.use(served)
    assert run_sync().exit_code == 0
    with pytest.raises(ConfigurationError, match="usage_by_hour"):
        automatum.run_push("usage_by_hour")
    with pytest.raises(ConfigurationError, match="neither hour nor day"):
        automatum.run_push(rows_of(served.sandbox), automatum.PushOptions(grain="week"))


@pytest.mark.slow
def test_a_connection_that_the_notebook_itself_has_open_is_refused_with_advice_i7(desk, start):
    served = start(**SMALL)
    desk.use(served)
    with duckdb.connect(str(desk.database)), pytest.raises(Busy, match=r"in this very process.*--read-copy"):
        run_sync(SyncOptions(lock_wait=0))
    assert served.sandbox.requests.all() == []
    assert run_sync().exit_code == 0


@pytest.mark.slow
def test_a_sync_ends_cleanly_when_it_is_told_to(desk, start):
    served = start(**{**SMALL, "customers": 450})
    desk.use(served)
    stop = threading.Event()
    summary = run_sync(stop=stop, on_page=lambda run: stop.set())
    assert (summary.verdict, summary.exit_code) == ("more_to_do", 75)
    assert desk.query("SELECT count(*) FROM customers") == [(100,)]
    assert run_sync().exit_code == 0
    pages = [entry.page for entry in served.sandbox.requests.to("/api/v1/customers")]
    assert pages == [1, 1, 2, 3, 4, 5]  # I3: the last page before the end of the run is read again


@pytest.mark.slow
def test_two_pipelines_of_different_names_load_different_tables_into_one_dataset(desk, start):
    """As tasks of a scheduler do."""
    desk.use(start(**SMALL))
    for table in ("customers", "private_offers"):
        summary = run_sync(SyncOptions(tables=(table,), pipeline_name=f"automatum_{table}"))
        assert summary.exit_code == 0
    assert set(desk.tables()) == {"customers", "private_offers", "private_offer_payments"}


def days(desk):
    return {day for (day,) in desk.query("SELECT DISTINCT date FROM analytics_revenue WHERE _deleted_at IS NULL")}


@pytest.mark.slow
def test_a_backfill_of_some_days_leaves_none_out_for_ever_i1(desk, start):
    """Days in the middle are loaded first; the next sync must not take the last of them for its cursor."""
    served = start(**{**SMALL, "days": 100})
    desk.use(served)
    every = run_sync(SyncOptions(tables=REPORTS, target=Target(dataset="all_days")))
    assert every.exit_code == 0
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT date FROM all_days.analytics_revenue").fetchall()
    wanted = {day for (day,) in found}
    last = max(wanted)
    first = run_sync(SyncOptions(tables=REPORTS, since=last - timedelta(days=20), until=last - timedelta(days=10)))
    assert first.exit_code == 0
    assert days(desk) == {day for day in wanted if last - timedelta(days=20) <= day <= last - timedelta(days=10)}
    assert run_sync(SyncOptions(tables=REPORTS)).exit_code == 0
    assert days(desk) == wanted
    # From then on the stretch of restated days is enough, whatever is filled in beside it.
    beside = last - timedelta(days=90), last - timedelta(days=80)
    assert run_sync(SyncOptions(tables=REPORTS, since=beside[0], until=beside[1])).exit_code == 0
    served.sandbox.requests.clear()
    assert run_sync(SyncOptions(tables=REPORTS)).exit_code == 0
    start_dates = [entry.query["startDate"] for entry in served.sandbox.requests.to("/api/v1/analytics")]
    assert (last - timedelta(days=60)).isoformat() < min(start_dates) <= (last - timedelta(days=35)).isoformat()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--until", "2020-01-01"), ("--since", "2999-01-01")])
def test_days_of_which_there_are_none_are_refused(desk, start, arguments):
    served = start(**SMALL)
    desk.use(served)
    assert desk.sync("analytics").code == 0
    served.sandbox.requests.clear()
    ran = desk.run("sync", "analytics", *arguments)
    assert ran.code == 78 and f"{arguments[0]}: " in ran.says, ran
    assert not served.sandbox.requests.to("/api/")


def test_days_that_end_before_they_begin_are_refused(desk, start):
    served = start(**SMALL)
    desk.use(served)
    ran = desk.run("sync", "analytics", "--since", "2026-03-01", "--until", "2026-02-01")
    assert ran.code == 78 and "--until: 2026-02-01 is before 2026-03-01" in ran.says
    assert not served.sandbox.requests.to("/api/")


@pytest.mark.slow
def test_organizations_are_synced_by_name_or_all_or_one_by_its_settings(desk, start):
    several(desk, start)
    names = SyncOptions(tables=("customers",), organizations=("globex",))
    one = run_sync(names)
    assert list(one.to_json()["organizations"]) == ["globex"] and one.exit_code == 0
    by_settings = run_sync(SyncOptions(tables=("customers",)), settings=resolve_settings(organization="acme"))
    assert by_settings.to_json()["tables"]["customers"]["inserted"] == 12
    every = run_sync(SyncOptions(tables=("customers",)))
    assert list(every.to_json()["organizations"]) == ["acme", "globex"]
    assert (every.verdict, every.changed, every.errors) == ("complete", False, [])
    assert every.requests == sum(summary.requests for summary in every.organizations.values())


def test_one_pipeline_for_several_organizations_is_refused_i7(desk, start):
    served = several(desk, start)
    with pytest.raises(ConfigurationError, match="each needs a pipeline of its own"):
        run_sync(SyncOptions(pipeline_name="mine"))
    assert served.sandbox.requests.all() == []


@pytest.mark.slow
def test_an_error_of_one_organization_is_in_the_summary_and_an_error_of_the_only_one_is_raised(desk, start):
    served = several(desk, start)
    desk.set(globex__client_id=None)
    summary = run_sync(SyncOptions(tables=("customers",)))
    ((name, error),) = summary.named_errors
    assert (name, summary.exit_code, summary.errors) == ("globex", 78, [error])
    desk.set(organizations=None, base_url=served.base_url)
    with pytest.raises(ConfigurationError, match="client_id"):
        run_sync()
