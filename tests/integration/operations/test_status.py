"""What the last syncs did, asked of the destination alone."""

from datetime import datetime, timezone

import pytest

from automatum.core.errors import EXIT_UNREACHABLE
from automatum.operations.status import read_sweeps
from tests.support.syncing import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def asked(site, later=0.0):
    return read_sweeps(site.pipeline(), site.clock.time() + later)


@pytest.mark.slow
def test_it_shows_the_last_sweep_of_each_table_its_age_and_cost(site):
    """The latest one counts; figures are those of the summary."""
    sandbox = site.serve(customers=120, days=3)
    site.sync()
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[0])
    sandbox.rows.insert("customers")
    at = site.clock.time() + 60
    made = site.sync("customers")
    shown = asked(site, later=90)
    assert set(shown["tables"]) == {"customers", "entitlements", "private_offers", "analytics_revenue"}
    assert shown["under_way"] == {}
    one, figures = shown["tables"]["customers"], made.tables["customers"]
    assert one["age_seconds"] == 90
    assert one["finished_at"] == datetime.fromtimestamp(at, timezone.utc)
    # Two pages, the URL of the row that is gone, and that of a listed one, which proves that rows have URLs.
    assert (one["verdict"], one["reason"], one["requests"], one["pages"]) == ("complete", "", 4, 2)
    assert (one["announced"], one["distinct_keys"]) == (120, 120)
    assert {name: one[name] for name in ("inserted", "updated", "deleted", "unchanged")} == {
        name: figures[name] for name in ("inserted", "updated", "deleted", "unchanged")
    }
    assert (one["inserted"], one["deleted"]) == (1, 1)
    assert shown["tables"]["analytics_revenue"]["age_seconds"] == 150


@pytest.mark.slow
def test_it_tells_why_a_sweep_was_not_complete(site):
    """I2: the refused deletion is still to be seen afterwards."""
    sandbox = site.serve(customers=40)
    site.sync("customers")
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[:15])
    site.sync("customers")
    one = asked(site)["tables"]["customers"]
    assert one["verdict"] == "incomplete"
    assert "--allow-deletes" in one["reason"]


@pytest.mark.slow
def test_a_sweep_under_way_is_shown_until_it_is_done(site):
    """I3: what an interrupted sync has paid for; its page records go once they have served."""
    site.serve(customers=350)
    site.sync("customers", max_requests=2)
    shown = asked(site)
    assert shown["tables"] == {}
    assert {name: (one["pages"], one["announced"]) for name, one in shown["under_way"].items()} == {
        "customers": (2, 350)
    }
    assert shown["under_way"]["customers"]["last_read_at"].timestamp() == pytest.approx(site.clock.time(), abs=1)
    assert site.sync("customers").pages == [2, 3, 4]
    shown = asked(site)
    assert (shown["under_way"], shown["tables"]["customers"]["requests"]) == ({}, 5)
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


@pytest.mark.slow
def test_a_sweep_that_nobody_goes_on_with_is_not_under_way_for_ever(site):
    """An interrupted sweep that got too old gives way to a new one, and its page records with it."""
    site.serve(customers=350)
    site.sync("customers", max_requests=2)
    site.clock.advance(80 * 3600)
    assert site.sync("customers").pages == [1, 2, 3, 4]
    assert asked(site)["under_way"] == {}
    assert site.query("SELECT count(*) FROM _automatum_pages") == [(0,)]


@pytest.mark.slow
def test_figures_and_marks_of_an_earlier_version_do_not_matter(site):
    """It counted answers and durations in columns of their own, and stored since when the client secret was in use."""
    site.serve(customers=3)
    site.sync("customers")
    counted = ("http_401", "http_403", "http_404", "http_429", "http_5xx", "network_errors", "retries")
    for name in (*counted, "latency_p50_ms", "latency_p95_ms", "latency_max_ms"):
        site.execute(f"ALTER TABLE _automatum_sweeps ADD COLUMN {name} BIGINT")
        site.execute(f"UPDATE _automatum_sweeps SET {name} = 0")
    mark = '{"secret": {"mark": "0123abcd", "since": "2026-01-01T00:00:00+00:00"}}'
    site.execute(f"UPDATE _automatum_sweeps SET extra = json_merge_patch(extra, '{mark}')")
    before = asked(site)
    assert before["tables"]["customers"]["verdict"] == "complete" and "secret" not in before
    again = site.sync("customers")
    assert (again.code, again.tables["customers"]["unchanged"]) == (0, 3)
    assert site.query("SELECT http_429 FROM _automatum_sweeps ORDER BY finished_at") == [(0,), (None,)]


def test_a_destination_that_was_never_synced_has_nothing_to_show(site):
    """No table, no error."""
    site.served = None
    assert asked(site) == {"tables": {}, "under_way": {}}


@pytest.mark.slow
def test_the_command(small, desk):
    """One JSON object, the same figures for people; 78 without a file, and none is made by asking."""
    missing = desk.run("status", "--json")
    assert (missing.code, desk.database.exists()) == (78, False)
    assert missing.json["errors"][0]["exit_code"] == 78
    assert "marketplace.duckdb" in missing.says
    assert desk.sync("customers").code == 0
    small.requests.clear()
    ran = desk.run("status", "--json")
    assert ran.code == 0
    assert ran.json["tables"]["customers"]["verdict"] == "complete"
    assert ran.json["ledgers"] == [], "nothing was pushed"
    assert 0 <= ran.json["tables"]["customers"]["age_seconds"] < 600
    shown = desk.run("status")
    assert shown.code == 0
    assert "customers" in shown.says
    assert "complete" in shown.says
    assert small.requests.all() == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [("status",), ("status", "--verify"), ("sync", "customers")])
def test_a_warehouse_that_is_away_exits_69_before_a_request_is_spent(small, desk, monkeypatch, command):
    """I1: also where dlt lets the driver's own error through, as for Postgres."""
    url = "postgresql://loader:hush-hush@127.0.0.1:9/warehouse"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    ran = desk.run(*command, "--destination", "postgres")
    assert ran.code == EXIT_UNREACHABLE
    assert "The destination cannot be reached" in ran.says
    assert "hush-hush" not in ran.says
    assert small.requests.to("/api/v1/") == []
