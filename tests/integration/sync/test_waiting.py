"""Waiting well: what was paid for is loaded first, the wait is shown, and nobody has to sleep through it."""

import io
from datetime import datetime, timezone

import pytest
from rich.console import Console

from automatum.api.session import connect
from automatum.cli import progress as progress_bars
from automatum.core.budget import Budget
from automatum.core.errors import EXIT_MORE_TO_DO
from automatum.sync.engine import sync
from automatum.sync.options import SyncOptions
from tests.support.clocks import FakeClock
from tests.support.desk import VOLUME
from tests.support.syncing import Site


@pytest.fixture(autouse=True)
def no_reserve(monkeypatch):
    """The runs below may spend each request of their small windows."""
    monkeypatch.setattr("automatum.api.oauth.METERING_RESERVE", 0.0)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.serve(customers=450)
        yield made


@pytest.mark.slow
def test_what_was_read_is_loaded_before_a_long_wait_and_not_after_it(site):
    """I3: a kill in the middle of a wait costs nothing."""
    session = connect(site.resolved(application_limits=[[3, 240]]), clock=site.clock)
    held = []
    session.client.limiter.on_wait = lambda seconds, reason: held.append(
        site.query("SELECT count(*) FROM customers")[0][0]
    )
    summary = sync(session, site.pipeline(), SyncOptions(tables=("customers",)))
    assert summary.verdict == "complete"
    assert held == [200], "a token and two pages, then the wait"


@pytest.mark.slow
def test_a_short_wait_is_not_worth_a_load_package(site):
    session = connect(site.resolved(application_limits=[[3, 3]]), clock=site.clock)
    sync(session, site.pipeline(), SyncOptions(tables=("customers",)))
    assert site.query("SELECT count(DISTINCT load_id) FROM _dlt_loads") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--max-wait", "0"], ["--max-wait", "30"]])
def test_a_run_that_must_not_wait_loads_and_says_when_to_come_back(start, desk, options):
    desk.use(start(**VOLUME))
    desk.set(application_limits=[[6, 60]])
    ran = desk.sync(*options)
    assert ran.code == EXIT_MORE_TO_DO
    assert ran.json["verdict"] == "more_to_do"
    ahead = datetime.fromisoformat(ran.json["resume_at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert 30 < ahead.total_seconds() < 62
    assert desk.counts()["customers"] == 250
    again = desk.sync(*options)
    assert again.code == EXIT_MORE_TO_DO, "another process meets the same windows"
    assert again.json["verdict"] == "more_to_do"
    assert again.json["resume_at"] >= ran.json["resume_at"]


@pytest.mark.slow
def test_a_wait_shows_beside_the_progress_bar(site):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200)
    clock = FakeClock(epoch=1_700_000_000.0)
    settings = site.resolved(application_limits=[[3, 60]])
    session = connect(settings, clock=clock, budget=Budget(clock))
    with progress_bars.Progress(console=console) as progress:
        sync(session, site.pipeline(), SyncOptions(tables=("customers",)), on_page=progress.on_page)
        progress.on_wait(60.0, "quota of the application: 3 requests per minute is used up")
        progress._bars.refresh()
    assert "until 22:15" in screen.getvalue()
