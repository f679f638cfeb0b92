"""A real scheduler, API server and DAG processor, LocalExecutor, Postgres: two organizations, a quota that fills."""

from collections import Counter

import pytest

from automatum_sandbox import Limits, SandboxConfig, serve
from tests.postgres import PASSWORD, running

from .telling import NAMES, connections, id_of, two_organizations, variables

SCALE = 1 / 120
"""The minute takes half a second, the hour 30."""
HOUR = 3600 * SCALE
LIMITS = Limits(app_minute=10, app_hour=20, organization_minute=100_000, organization_hour=100_000)
OURS = [[10, 60 * SCALE], [20, HOUR]]
VOLUME = {"customers": 1_450, "entitlements": 1_250, "private_offers": 120, "days": 5}
"""15, 13, 2 pages and a report for each organization: two windows of the hour at least, tokens apart."""
EARLIEST = 12.0
"""Seconds; by default 30. Beyond the race of Airflow's scheduler, and within the hour of this test."""
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
        variables=variables(pipelines_dir="temporary", earliest_return=EARLIEST),
        pools={"automatum": {"slots": 2, "description": "requests to Automatum", "include_deferred": False}},
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
    # The quota did fill, and who met that came back when it had room, not before.
    assert {number for _, number in reschedules} == {0, 1}
    for key, told in reschedules.items():
        began = [stay.began for stay in stays[key]]
        assert len(began) == len(told) + 1 and [stay.rescheduled for stay in stays[key]] == [True] * len(told) + [False]
        for (said, until), back in zip(told, began[1:], strict=True):
            assert until - said >= EARLIEST - 1 and back >= until
    # Two tasks of one organization shared its quota at the same time.
    assert any(overlapping(stays["customers", number], stays["entitlements", number]) for number in range(len(NAMES)))
    # What was waited for was not waited for in a slot.
    waited = sum(until - said for told in reschedules.values() for said, until in told)
    longest = max(stay.ended - stay.began for key in reschedules for stay in stays[key])
    times = sum(map(len, reschedules.values()))
    print(f"rescheduled {times} times, for {waited:.0f} s in all; longest stay in a slot {longest:.1f} s")
    assert longest < HOUR / 2 and waited > HOUR
    # By the sandbox's own journal.
    entries = served.sandbox.requests()
    assert not [entry for entry in entries if entry.status == 429]
    lists = [entry for entry in entries if entry.page and "analytics" not in entry.path]
    pages = Counter((entry.app, entry.path, entry.page) for entry in lists)
    assert set(pages.values()) == {1} and len(pages) == len(NAMES) * (15 + 13 + 2)
    for name in NAMES:
        for table in TABLES:
            found = running().execute(f"SELECT id FROM automatum.{table} WHERE organization_id = '{name}'", warehouse)
            expected = served.sandbox.ids(table, id_of(served.sandbox, name))
            assert Counter(one for (one,) in found) == Counter(expected)
