"""The forecast: what a sync will ask for and how long that takes, held against the sync itself."""

import json
import random
from datetime import date, timedelta

import pytest

from automatum import SyncOptions, resolve_settings, run_sync
from automatum.api.rate_limit.windows import Lane, finish, keeps_up
from automatum.api.session import connect
from automatum.core.errors import EXIT_ACCESS, EXIT_CONFIGURATION, EXIT_MORE_TO_DO
from automatum.operations.plan import plan
from automatum.sync.results import Verdict
from automatum_sandbox import AppConfig, Sandbox, SandboxConfig, serve
from automatum_sandbox.config import Limits
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL, api_requests

MORE = 5
"""Requests of a report beyond two a window: what proves the window in which it begins, and the length of ranges."""


@pytest.mark.slow
def test_it_asks_each_table_once_and_foresees_the_requests(large, desk):
    """I3."""
    forecast = desk.run("sync", "--dry-run", "--json").json
    assert set(api_requests(large).values()) == {1}
    assert forecast["spent"] == 5, "a page or day each, and a token"
    assert forecast["requests"] == 3 + 5 + 2 + 12
    assert {name: table["requests"] for name, table in forecast["tables"].items()} == {
        "customers": 3,
        "entitlements": 5,
        "private_offers": 2,
        "analytics_revenue": 12,
    }
    assert forecast["tables"]["customers"]["announced"] == 250
    assert not list(desk.folder.glob("*.duckdb")), "asking makes no file"
    ran = desk.sync().json
    assert 0 <= ran["requests"] - forecast["requests"] <= MORE
    assert ran["token_requests"] == forecast["token_requests"]


def test_one_table_costs_one_request(large, desk):
    forecast = desk.run("sync", "--dry-run", "customers", "--json").json
    assert api_requests(large) == {"customers": 1}
    assert (forecast["requests"], list(forecast["tables"])) == (3, ["customers"])


@pytest.mark.slow
def test_it_knows_what_an_interrupted_sync_has_done(large, desk):
    desk.sync("--max-requests", "5")
    forecast = desk.run("sync", "--dry-run", "--json").json
    rest = desk.sync().json
    assert rest["verdict"] == "complete"
    assert forecast["requests"] == 3 + 5 + 2 + 12 - 5 + 1, "the last page is read again"
    assert 0 <= rest["requests"] - forecast["requests"] <= MORE
    assert forecast["tables"]["customers"]["note"] == "read earlier in this sync"
    assert forecast["tables"]["entitlements"]["note"] == "goes on at page 2"


@pytest.mark.slow
def test_it_foresees_a_backfill(large, desk):
    since = (date.today() - timedelta(days=365)).isoformat()
    forecast = desk.run("sync", "--dry-run", "analytics", "--since", since, "--json").json
    assert forecast["requests"] == 12
    assert 0 <= desk.sync("analytics", "--since", since).json["requests"] - 12 <= MORE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fixed", "sliding"])
def test_the_forecast_comes_true(desk, kind):
    """I4: requests within 5 %, time within 10 %, at windows that are partly full when it is made.

    Server and client share a clock that moves only when the client waits, so the machine's load is no part of it. By
    the sandbox's log, from the first to the last answer.
    """
    clock = FakeClock()
    limits = Limits(app_minute=20, app_hour=60, organization_minute=500, organization_hour=10_000)
    config = SandboxConfig(
        customers=9000, entitlements=0, private_offers=0, days=0, limits=limits, window_kind=kind
    )  # fmt: skip
    with serve(Sandbox(config, time=clock.time)) as served:
        desk.use(served)
        desk.set(application_limits=[[20, 60], [60, 3600]])
        forecast = plan(connect(resolve_settings(), clock=clock), None, SyncOptions(tables=("customers",)))
        asked = len(served.sandbox.requests.all())
        ran = run_sync(SyncOptions(tables=("customers",)), clock=clock)
        log = served.sandbox.requests.all()[asked:]
    seconds = log[-1].time - log[0].time
    print(f"{kind}: the run over the forecast: requests {ran.requests / forecast.requests:.3f}, ", end="")
    print(f"seconds {seconds / forecast.seconds:.3f}")
    assert ran.verdict is Verdict.COMPLETE
    assert not [entry for entry in log if entry.status == 429]
    assert ran.requests == pytest.approx(forecast.requests, rel=0.05)
    assert seconds == pytest.approx(forecast.seconds, rel=0.1)


@pytest.mark.slow
def test_it_says_what_is_used_and_kept_for_a_push(large, desk):
    desk.set(application_limits=[[50, 60], [1000, 3600]])
    desk.sync("customers")
    forecast = desk.run("sync", "--dry-run", "customers", "--json").json
    assert [row["used"] for row in forecast["windows"][:2]] == [4 + 2, 4 + 2], "three pages and a token, in another run"
    assert [row["reserved"] for row in forecast["windows"][:2]] == [5, 100]


@pytest.mark.slow
def test_nothing_is_kept_for_a_push_that_is_not_granted(start, desk):
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),))
    desk.use(served)
    forecast = desk.run("sync", "--dry-run", "--json").json
    assert set(forecast["skipped"]) == {"entitlements", "private_offers", "analytics_revenue"}
    assert {row["reserved"] for row in forecast["windows"]} == {0}


def test_the_shortest_interval_of_a_schedule(large, desk, monkeypatch):
    """22 requests and a token: 5 a minute allow them every five minutes."""
    monkeypatch.setattr("automatum.api.oauth.METERING_RESERVE", 0.0)
    desk.set(application_limits=[[5, 60], [1000, 3600]], quota_url="memory://")
    assert desk.run("sync", "--dry-run", "--json").json["shortest_interval_seconds"] == 300
    said = desk.run("sync", "--dry-run").says
    assert "22 requests and one for a token" in said
    assert "The shortest interval of a schedule is 5 min." in said


def test_without_a_scope_or_room_it_says_so(small, desk, monkeypatch):
    monkeypatch.setattr("automatum.api.oauth.METERING_RESERVE", 0.0)
    desk.set(application_limits=[[2, 60]])
    ran = desk.run("sync", "--dry-run", "--max-wait", "0", "--json")
    assert ran.code == EXIT_MORE_TO_DO
    (error,) = ran.json["errors"]
    assert error["resume_at"] > "2026"
    assert desk.run("sync", "--dry-run", "nonsense").code == EXIT_CONFIGURATION


def test_a_named_table_must_be_granted(start, desk):
    desk.use(start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),)))
    assert desk.run("sync", "--dry-run", "entitlements").code == EXIT_ACCESS


@pytest.mark.slow
def test_the_judgement_on_schedules_agrees_with_a_simulation_of_a_day():
    """Drawn at random: who keeps up over 30 windows keeps up for ever; who falls behind falls further behind."""
    rng = random.Random(4)
    for _ in range(300):
        limits = [(rng.randint(1, 20), rng.choice((1.0, 5.0))), (rng.randint(10, 60), rng.choice((20.0, 60.0)))]
        count, every, each = rng.randint(1, 80), rng.uniform(1, 150), rng.choice((0.0, 0.1))
        lanes = [Lane(*limit) for limit in limits]
        lags = []
        for turn in range(int(30 * 60 / every) + 3):
            end = finish(lanes, turn * every, count, each)
            lags.append(end - (turn + 1) * every)
        verdict = keeps_up([Lane(*limit) for limit in limits], count, each, every)
        assert verdict == (max(lags) <= 1e-9), (limits, count, every, each, json.dumps(lags[-3:]))
