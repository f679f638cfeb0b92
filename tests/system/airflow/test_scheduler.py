"""A real scheduler, API server and DAG processor, LocalExecutor, Postgres: two organizations, a quota that fills."""

import contextlib
import os
import re
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from automatum_sandbox import Limits, SandboxConfig, serve
from tests.support.airflow.telling import NAMES, connections, id_of, two_organizations, variables
from tests.support.postgres import PASSWORD, running

SCALE = 1 / 120
"""The minute takes half a second, the hour 30."""
HOUR = 3600 * SCALE
LIMITS = Limits(app_minute=10, app_hour=20, organization_minute=100_000, organization_hour=100_000)
OURS = [[10, 60 * SCALE], [20, HOUR]]
VOLUME = {"customers": 1_450, "entitlements": 1_250, "private_offers": 120, "days": 130}
"""15, 13, 2 pages and a report for each organization: two windows of the hour at least, tokens apart."""
EARLIEST = 12.0
"""Seconds; by default 30. Beyond the race of Airflow's scheduler, and within the hour of this test."""
OPTIONS = {"pipelines_dir": "temporary", "earliest_return": EARLIEST}
"""Of the variable `automatum_dag`."""
TABLES = ("customers", "entitlements", "private_offers")


@pytest.fixture(scope="module")
def warehouse():
    """Name of a database for the tables, on the server that also holds Airflow's own."""
    name = running().new_database()
    yield name
    running().drop(name)


@pytest.fixture(scope="module")
def served():
    options = two_organizations(limits=LIMITS, window_scale=SCALE, window_kind="sliding", **VOLUME)
    with serve(SandboxConfig(**options)) as made:
        yield made


@pytest.fixture(scope="module")
def deployment(installation, warehouse, served):
    """Airflow at work, and told everything; its DAGs are paused."""
    postgres = {"conn_type": "postgres", "host": "127.0.0.1", "port": running().port, "login": "postgres"}
    installation.configure(
        connections={
            **connections(served, OURS),
            "automatum_warehouse": {**postgres, "password": PASSWORD, "schema": warehouse},
        },
        variables=variables(**OPTIONS),
        pools={
            name: {"slots": slots, "description": "", "include_deferred": False}
            for name, slots in (("automatum", 2), ("automatum_reports", 1))
        },
    )
    installation.start()
    yield installation
    installation.stop()


def scheduled(deployment, dag):
    """Unpause a DAG and wait for the run that the scheduler makes; its id."""
    deployment.airflow("dags", "unpause", dag, "--yes")
    wanted = "SELECT run_id FROM dag_run WHERE dag_id = %s AND run_type = 'scheduled'"
    deployment.wait(lambda: deployment.query(wanted, dag), 60)
    return deployment.query(wanted, dag)[0][0]


def ended(deployment, run, seconds=400):
    """Wait for a run's end; its state."""
    deployment.wait(lambda: deployment.state(run) in ("success", "failed"), seconds)
    return deployment.state(run)


def overlapping(one, other):
    """Whether two tasks were in worker slots at the same time."""
    return any(a.began < b.ended and b.began < a.ended for a in one for b in other)


def test_a_full_quota_reschedules_the_tasks_and_the_run_ends_complete(deployment, served, warehouse):
    """I1, I3, I4: no slot is held for the quota, no retry is spent, no request is refused or sent twice."""
    run = scheduled(deployment, "automatum")
    assert ended(deployment, run) == "success"
    tasks, stays, reschedules = deployment.tasks(run), deployment.executions(run), deployment.reschedules(run)
    for number, name in enumerate(NAMES):
        for table in (*TABLES, "analytics"):
            assert tasks[table, number] == ("success", 1), (name, table)  # the first try, however often it came back
        assert tasks["push", number][0] == "skipped"  # no usage was named
    named = deployment.query(
        "SELECT DISTINCT map_index, rendered_map_index FROM task_instance "
        "WHERE run_id = %s AND task_id = 'each.customers'",
        run,
    )
    assert sorted(named) == list(enumerate(NAMES))  # in the grid
    # The quota did fill, and who met that came back when it had room, not before.
    assert {number for _, number in reschedules} == {0, 1}
    for key, told in reschedules.items():
        began = [stay.began for stay in stays[key]]
        assert len(began) == len(told) + 1 and [stay.rescheduled for stay in stays[key]] == [True] * len(told) + [False]
        for (said, until), back in zip(told, began[1:], strict=True):
            assert until - said >= EARLIEST - 1 and back >= until
    # Two tasks of one organization shared its quota at the same time.
    assert any(overlapping(stays["customers", number], stays["entitlements", number]) for number in range(len(NAMES)))
    # What was waited for was not waited for in a slot, but for the second that `NO_WAIT` stands for.
    said = [line["event"] for lines in deployment.logs(run).values() for line in lines]
    assert all(int(found[1]) <= 1 for found in map(re.compile(r"waiting (\d+) s").match, said) if found)
    waited = sum(until - said for told in reschedules.values() for said, until in told)
    longest = max(stay.ended - stay.began for key in reschedules for stay in stays[key])
    times = sum(map(len, reschedules.values()))
    print(f"rescheduled {times} times, for {waited:.0f} s in all; longest stay in a slot {longest:.1f} s")
    assert waited > HOUR
    # By the sandbox's own journal.
    entries = served.sandbox.requests.all()
    assert not [entry for entry in entries if entry.status == 429]
    lists = [entry for entry in entries if entry.page and "analytics" not in entry.path]
    pages = Counter((entry.app, entry.path, entry.page) for entry in lists)
    assert len(pages) == len(NAMES) * (15 + 13 + 2)
    # A task that comes back reads one page again, the last one: it shows that the list has not moved. And until the
    # first table of an organization has its verdict, each task asks the first page of customers for its id.
    apps, again = [app.client_id for app in served.sandbox.apps], Counter()
    for (app, path, page), times in pages.items():
        asked_for_id = path.endswith("/customers") and page == 1
        again[path.rpartition("/")[2].replace("-", "_"), apps.index(app)] += 0 if asked_for_id else times - 1
    assert all(number <= len(reschedules.get(key, ())) for key, number in again.items()), (again, reschedules)
    for name in NAMES:
        for table in TABLES:
            id_ = id_of(served.sandbox, name)
            found = running().execute(f"SELECT id FROM automatum.{table} WHERE organization_id = '{id_}'", warehouse)
            expected = served.sandbox.rows.ids(table, id_)
            assert Counter(one for (one,) in found) == Counter(expected)


def task_processes(deployment):
    """Processes in which tasks run: children of the executor's workers, which are the scheduler's children."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text()
            parents[int(text.split(" ", 1)[0])] = int(text.rpartition(")")[2].split()[1])
    workers = {pid for pid, parent in parents.items() if parent == deployment.scheduler}
    return [pid for pid, parent in parents.items() if parent in workers]


def test_a_killed_task_is_retried_and_asks_for_one_chunk_again_at_most(deployment, served, warehouse):
    """I1, I3: kill -9 in the middle of a list, on a worker whose disk is gone with it."""
    served.sandbox.requests.clear()
    killed = []

    def kill():
        for pid in task_processes(deployment):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    served.sandbox.schedule.after(12, kill, path="/api/v1/customers")
    deployment.configure(variables=variables(**OPTIONS, dataset="second"))  # Only an administrator names it.
    try:
        run = deployment.trigger("automatum", tables=["customers"])
        assert ended(deployment, run) == "success"
    finally:
        deployment.configure(variables=variables(**OPTIONS))
    assert killed
    tasks = deployment.tasks(run)
    assert {tasks["customers", number][0] for number in range(len(NAMES))} == {"success"}
    assert max(tasks["customers", number][1] for number in range(len(NAMES))) == 2
    asked = Counter((entry.app, entry.page) for entry in served.sandbox.requests.to("/api/v1/customers"))
    again = Counter(app for (app, _), times in asked.items() for _ in range(times - 1))
    back = {
        app.client_id: len(deployment.executions(run)["customers", at]) for at, app in enumerate(served.sandbox.apps)
    }
    # A chunk, the page on its way, and for each stay in a slot the last page, and the first one for the id.
    assert all(number <= 300 / 100 + 1 + 2 * back[app] for app, number in again.items()), (again, back)
    for name in NAMES:
        id_ = id_of(served.sandbox, name)
        found = running().execute(f"SELECT id FROM second.customers WHERE organization_id = '{id_}'", warehouse)
        expected = served.sandbox.rows.ids("customers", id_)
        assert Counter(one for (one,) in found) == Counter(expected)


def months_ago(number):
    """First and last day of a month before this one."""
    last = datetime.now(timezone.utc).date().replace(day=1) - timedelta(days=1)
    for _ in range(number - 1):
        last = last.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def test_a_backfill_reads_each_month_of_the_reports_again_and_nothing_else(deployment, served, warehouse):
    """A request and its proof for each month and organization; what was restated long ago arrives; no list is read."""
    scheduled(deployment, "automatum_reports")  # the month that has ended, of its own accord
    first, last = months_ago(3)[0], months_ago(2)[1]
    day = f"{months_ago(3)[1]:%Y-%m-%d}"
    served.sandbox.rows.restate(day, "aws", {"revenue": 123456.78}, organization=id_of(served.sandbox, NAMES[0]))
    wanted = f"SELECT count(*) FROM automatum.analytics_revenue WHERE date = '{day}' AND revenue = 123456.78"
    assert running().execute(wanted, warehouse) == [(0,)]
    deployment.wait(lambda: not deployment.query("SELECT 1 FROM dag_run WHERE state IN ('queued', 'running')"), 60)
    served.sandbox.requests.clear()
    for dag in ("automatum_reports", "automatum"):
        # A day is enough to see that lists are left alone.
        until = last if dag == "automatum_reports" else first
        made = deployment.airflow(
            "backfill", "create", "--dag-id", dag, "--from-date", f"{first}", "--to-date", f"{until}"
        )
        assert made.returncode == 0, made.stdout + made.stderr
    runs = "SELECT dag_id, state FROM dag_run WHERE run_type = 'backfill'"
    deployment.wait(lambda: {state for _, state in deployment.query(runs)} == {"success"}, 120)
    assert Counter(dag for dag, _ in deployment.query(runs)) == {"automatum_reports": 2, "automatum": 1}
    asked = Counter((entry.path, *sorted(entry.query.values())) for entry in served.sandbox.requests.to("/api/v1/"))
    assert {path for path, *_ in asked} == {"/api/v1/analytics/revenue"}
    # Each is asked for from a day before its first one on, and once more with earlier days, which proves it.
    months = {(f"{begin - timedelta(days=1)}", f"{end}") for begin, end in (months_ago(3), months_ago(2))}
    proofs = {(f"{begin - timedelta(days=23)}", f"{end}") for begin, end in (months_ago(3), months_ago(2))}
    assert {(first, last): number for (_, first, last), number in asked.items()} == dict.fromkeys(
        months | proofs, len(NAMES)
    )
    assert running().execute(wanted, warehouse) == [(1,)]


def test_no_secret_is_in_logs_xcoms_or_rendered_fields(deployment, served):
    """I6: everything that the runs before have left behind, but Airflow's own encrypted connections."""
    secrets = {PASSWORD, *(app.secret for app in served.sandbox.apps)}
    texts = {path: path.read_text(errors="replace") for path in deployment.folder.rglob("*.log")}
    tables = [name for (name,) in deployment.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        texts[table] = "\n".join(text for (text,) in deployment.query(f'SELECT one::text FROM "{table}" one'))
    assert any("customers: complete" in text or "Coming back at" in text for text in texts.values())  # it is read
    assert NAMES[0] in texts["xcom"]
    assert [place for place, text in texts.items() if any(secret in text for secret in secrets)] == []
