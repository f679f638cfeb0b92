"""Old data is noticed: by `status`, by a sync that cannot finish, by a monitor, and in the metrics (O4)."""

import json
import os
import signal
import threading
import time
from datetime import datetime, timedelta, timezone

import duckdb
import pytest

from automatum_sandbox import AppConfig
from automatum_sandbox.config import OrganizationConfig
from tests.support.crontab import read_crontab
from tests.support.desk import SMALL, WIDE_LIMITS
from tests.support.loopback import Loopback, Say


def grow_old(desk, hours, **where):
    """Set the clock of the recorded sweeps back, where columns have these values."""
    past = datetime.now(timezone.utc) - timedelta(hours=hours)
    with duckdb.connect(str(desk.database)) as connection:
        chosen = " AND ".join(["true", *(f"{column} = ?" for column in where)])
        update = f"UPDATE automatum._automatum_sweeps SET finished_at = ? WHERE {chosen}"
        connection.execute(update, [past, *where.values()])


def test_status_ends_with_65_and_the_table_and_its_age(small, desk):
    assert desk.sync("customers", "private_offers").code == 0
    assert desk.run("status", "--max-age", "26h").code == 0
    grow_old(desk, 72, table_name="customers")
    ran = desk.run("status", "--max-age", "26h")
    assert ran.code == 65
    assert "No complete sweep within 26 h: customers (3 d ago)" in ran.says
    assert "private_offers (" not in ran.says
    quiet = desk.run("status", "--max-age", "26h", "--quiet")
    assert (quiet.code, quiet.out, len(quiet.err.splitlines())) == (65, "", 1)
    assert desk.run("status").code == 0, "without a bound nothing is too old"


@pytest.mark.parametrize("age", ["soon", "26", "-1h", "0d"])
def test_what_is_no_age_is_refused_before_a_request_in_the_same_words(small, desk, age):
    assert desk.sync("customers").code == 0
    small.requests.clear()
    option = desk.run("status", "--max-age", age)
    desk.set(max_age=age)
    setting = desk.run("sync")
    assert (option.code, setting.code) == (78, 78)
    said = f"{age!r} is not an age. next: Write it as 90min, 26h or 2d."
    assert f"--max-age: {said}" in option.says
    assert f"sources.automatum.max_age: {said}" in setting.says
    assert small.requests.all() == []


def test_a_sync_that_cannot_finish_ends_with_65_once_data_is_old(start, desk):
    """75 counts as success for systemd, so it must not hide an outage."""
    desk.use(start(**{**SMALL, "customers": 850}))
    assert desk.sync("customers").code == 0
    desk.set(max_age="26h")
    assert desk.run("sync", "customers", "--max-requests", "3").code == 75
    grow_old(desk, 72)
    ran = desk.run("sync", "customers", "--max-requests", "3")
    assert ran.code == 65
    assert "customers (3 d ago)" in ran.says


def test_the_age_of_another_organization_does_not_count(start, desk):
    """A task of Airflow syncs one of them."""
    organizations = (OrganizationConfig(seed=1), OrganizationConfig(seed=2))
    apps = (AppConfig("acme"), AppConfig("globex", organization=1))
    served = start(**{**SMALL, "customers": 450}, organizations=organizations, apps=apps)
    sandbox = served.sandbox
    desk.set(base_url=served.base_url, application_limits=WIDE_LIMITS, max_age="26h")
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    for name, app in zip(("acme", "globex"), sandbox.apps, strict=True):
        desk.set(**{f"{name}__client_id": app.client_id, f"{name}__client_secret": app.secret})
    assert desk.sync("customers").code == 0
    grow_old(desk, 72, organization_id=list(sandbox.organizations)[1])
    bound = ("--max-requests", "3")
    assert desk.run("sync", "customers", "--organization", "acme", *bound).code == 75
    assert desk.run("sync", "customers", "--organization", "globex", *bound).code == 65
    assert desk.run("status").code == 65
    desk.set(organizations=[{"name": "acme"}])
    assert desk.run("status").code == 0, "globex was removed from the settings"
    desk.set(organizations=[{"name": "acme"}, {"name": "globus"}])
    assert desk.run("status").code == 65, "globex may have got another name"


def test_a_report_that_was_renamed_is_named_with_the_way_out(small, desk):
    """`automatum sync` cannot help, and the alarm would never end."""
    desk.set(reports=[{"name": "takings", "path": "analytics/revenue"}])
    assert desk.sync("analytics").code == 0
    desk.set(reports=[{"name": "income", "path": "analytics/revenue"}])
    assert desk.sync("analytics").code == 0
    grow_old(desk, 72, table_name="analytics_takings")
    ran = desk.run("status", "--max-age", "26h")
    assert ran.code == 65
    assert "do not read analytics_takings: list those to watch in sources.automatum.tables." in ran.says
    desk.set(tables=["analytics_income", "analytics_revenue"])
    assert desk.run("status", "--max-age", "26h").code == 0


def test_a_file_that_nobody_wrote_to_is_old_although_it_cannot_be_read(small, desk):
    """A notebook keeps it open."""
    assert desk.sync("customers").code == 0
    old = time.time() - 72 * 3600
    os.utime(desk.database, (old, old))
    with duckdb.connect(str(desk.database)):
        desk.set(max_age="26h")
        ran = desk.run("sync", "customers", "--lock-wait", "0")
        assert ran.code == 65
        assert "was last written 3 d ago" in ran.says
        desk.set(max_age="7d")
        assert desk.run("sync", "customers", "--lock-wait", "0").code == 75


def test_a_monitor_hears_of_the_start_and_of_the_end(small, desk):
    with Loopback() as monitor:
        for path in ("/ping/1/start", "/ping/1", "/ping/1/fail"):
            monitor.say(path, Say(200, b"OK"))
        options = ("--notify-on", "ping")
        desk.set(notify_url=f"{monitor.url}/ping/1")
        assert desk.run("sync", "customers", *options).code == 0
        assert desk.run("sync", "customers", "--max-requests", "3", *options).code in (0, 75)
        desk.set(client_secret="another_secret")
        assert desk.run("sync", "customers", *options).code == 77
        assert [one.path for one in monitor.seen] == [
            *("/ping/1/start", "/ping/1"),
            *("/ping/1/start", "/ping/1"),
            *("/ping/1/start", "/ping/1/fail"),
        ]
    desk.set(notify_url=None)
    refused = desk.run("sync", "--notify-on", "ping")
    assert refused.code == 78 and "notify_url" in refused.says


def test_metrics_are_numbers_in_a_file_of_our_own(small, desk):
    metrics = desk.folder / "automatum.prom"
    assert desk.run("sync", "customers", "--metrics", metrics, "--quiet").code == 0
    text = metrics.read_text()
    assert 'automatum_rows{command="sync",table="customers",change="inserted"} 12\n' in text
    assert 'automatum_exit_code{command="sync"} 0\n' in text
    assert text.count("# TYPE automatum_rows gauge") == 1
    assert metrics.stat().st_mode & 0o777 == 0o644
    assert desk.run("status", "--metrics", metrics).code == 0
    assert 'automatum_complete_timestamp_seconds{command="status",table="customers"}' in metrics.read_text()
    link = desk.folder / "link.prom"
    link.symlink_to(desk.database)
    refused = desk.run("sync", "--metrics", link)
    assert refused.code == 78 and "is a link" in refused.says


def test_the_log_is_json_lines_with_the_time(small, desk):
    ran = desk.run("sync", "customers", "--debug", "--log-json", "--json")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    assert lines and all(set(one) == {"time", "level", "message"} for one in lines)
    assert any("GET /api/v1/customers" in one["message"] for one in lines)


def test_a_killed_sync_is_noticed_by_the_line_of_the_crontab_and_by_the_monitor(start, desk):
    """SIGKILL: the monitor hears of a start without an end, and the data grows old; then cron mails one line."""
    served = start(**SMALL)
    desk.use(served)
    desk.set(max_age="6h")
    assert desk.sync("customers").code == 0
    grow_old(desk, 7)
    gate, reached = threading.Event(), threading.Event()
    served.sandbox.schedule.after(1, lambda: (reached.set(), gate.wait(60)))
    with Loopback() as monitor:
        monitor.say("/ping/1/start", Say(200, b"OK"))
        options = ("--notify-on", "ping")
        desk.set(notify_url=f"{monitor.url}/ping/1")
        with desk.start("sync", "customers", "--quiet", *options) as process:
            try:
                assert reached.wait(60)
                process.kill()
                assert process.wait(30) == -signal.SIGKILL
            finally:
                gate.set()
        assert [one.path for one in monitor.seen] == ["/ping/1/start"]
    desk.set(notify_url=None)
    (line,) = [one for one in read_crontab().jobs if "automatum status" in one.command]
    ran = desk.run(*line.arguments)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (65, "", 1)
    assert "customers (7 h ago)" in ran.err
