"""I4: limits of another plan, by the public command line: a short wait stays short, and users see what was learned."""

import time
from contextlib import ExitStack
from datetime import datetime

import pytest

from automatum.core.clock import SystemClock
from tests.support.plan_server import PlanServer, ServedPlan

LEFT = 50.0
"""Seconds that the minute of the server still takes."""


@pytest.fixture
def offer(desk):
    """Serve a plan whose minute is over in `LEFT` seconds, and set the desk up for it."""
    with ExitStack() as servers:

        def serve(minute, hour, style, used=0):
            phase = (60 - LEFT - time.time()) % 60
            server = PlanServer(SystemClock(), minute, hour, "fixed", style, phase)
            for _ in range(used):
                server.answer()
            base_url = servers.enter_context(ServedPlan(server)).base_url
            desk.set(base_url=base_url, client_id="app_one", client_secret="secret_one")
            return server

        yield serve


@pytest.mark.slow
@pytest.mark.parametrize("style", ["tightest", "tightest, seconds", "on 429 only", "in the body only"])
def test_a_minute_that_is_used_up_costs_seconds(offer, desk, style):
    """It was taken for the hour, and the sync was to wait 3,596 s."""
    server = offer(40, 1000, style, used=39)
    ran = desk.sync("customers", "--no-wait")
    assert ran.code == 75, ran
    wait = datetime.fromisoformat(ran.json["resume_at"].replace("Z", "+00:00")).timestamp() - time.time()
    assert wait <= LEFT + 5
    assert len(server.refused) <= 1


@pytest.mark.slow
def test_plan_and_status_show_a_lower_limit(offer, desk):
    offer(40, 1000, "tightest")
    assert desk.run("plan", "customers", "--json").code == 0
    assert desk.sync("customers").code == 0
    plan, status = desk.run("plan", "customers", "--json").json, desk.run("status", "--json").json
    for (row,) in (plan["limits"], status["limits"]):
        assert (row["scope"], row["limit"], row["seconds"], row["configured"]) == ("application", 40, 60, 50)
        assert (row["source"], row["evidence"], row["applies"]) == ("X-RateLimit-Limit", "reset", True)
        assert abs(datetime.fromisoformat(row["learned_at"].replace("Z", "+00:00")).timestamp() - time.time()) < 3600
    said = (
        "The API allows 40 requests per minute for the application (X-RateLimit-Limit, ",
        "50 are configured. The connector keeps to the lower limit.",
        "Set sources.automatum.application_limits = [[40, 60], [1000, 3600]].",
    )
    for command in (["plan", "customers"], ["status"]):
        shown = desk.run(*command)
        assert all(part in shown.says for part in said), shown


@pytest.mark.slow
def test_plan_shows_a_higher_limit_and_the_setting_that_uses_it(offer, desk):
    offer(100, 5000, "named")
    shown = desk.run("plan", "customers").says
    assert "The API allows 100 requests per minute" in shown
    assert "The connector keeps to" not in shown
    assert "Set sources.automatum.application_limits = [[100, 60], [5000, 3600]]." in shown
    desk.set(application_limits=[[100, 60], [5000, 3600]])
    plan = desk.run("plan", "customers", "--json").json
    assert [row["limit"] for row in plan["windows"][:2]] == [100, 5000]
    assert {row["set"] for row in plan["limits"]} == {None}
    assert "The API allows" not in desk.run("plan", "customers").says


@pytest.mark.slow
def test_status_shows_nothing_learned_without_credentials_and_makes_no_file(offer, desk, tmp_path):
    """Its answer about the destination needs neither."""
    offer(40, 1000, "tightest")
    assert desk.sync("customers").code == 0
    for file in (tmp_path / "home").rglob("quota-*"):
        file.unlink()
    assert desk.run("status", "--json").json["limits"] == []
    assert list((tmp_path / "home").rglob("quota-*")) == []
    desk.set(client_id=None, client_secret=None)
    assert desk.run("status", "--json").json["limits"] == []
