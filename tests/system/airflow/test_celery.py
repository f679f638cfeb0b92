"""I1, I4, I5 on a real distributed engine: Celery workers, Valkey as broker and quota store, all else in Postgres.

`ORGANIZATIONS=50 WORKERS=2` is the long form (`make cluster`).
"""

import os
import time
from collections import Counter

import pytest

from tests.support.airflow.celery import CeleryInstallation
from tests.support.cluster import Firm, in_thread
from tests.support.cluster_pool import Pool

NUMBER = int(os.environ.get("ORGANIZATIONS", "5"))
WORKERS = int(os.environ.get("WORKERS", "2"))
PATIENCE = 600 + 60 * NUMBER
"""Seconds for a run on two busy cores."""
LISTS = ("customers", "entitlements", "private_offers")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("ORGANIZATIONS" not in os.environ, reason="`make cluster` runs it: it takes minutes"),
]


@pytest.fixture
def firm(tmp_path):
    with Firm(tmp_path, NUMBER) as made:
        yield made


@pytest.fixture
def deployment(firm, tmp_path):
    folder = tmp_path / "airflow"
    folder.mkdir()
    with CeleryInstallation(folder, firm, WORKERS) as made:
        made.configure_firm(new_ledger=True)
        made.start()
        made.airflow("dags", "unpause", "automatum", "--yes")
        yield made


def ended(deployment, run):
    """Wait for a run's end; how often each (task, state) came up, and the seconds."""
    deployment.wait(lambda: deployment.state(run) in ("success", "failed"), PATIENCE)
    began, end = deployment.query("SELECT start_date, end_date FROM dag_run WHERE run_id = %s", run)[0]
    states = Counter((task, state) for (task, _), (state, _) in deployment.tasks(run).items())
    seconds = (end - began).total_seconds()
    print(f"{NUMBER} organizations, {WORKERS} workers: {seconds:.0f} s; {dict(states)}", flush=True)
    return states


def first_run(deployment):
    """Id of the run that the scheduler makes of its own accord."""
    wanted = "SELECT run_id FROM dag_run WHERE dag_id = 'automatum'"
    deployment.wait(lambda: deployment.query(wanted), 300)
    return deployment.query(wanted)[0][0]


def test_killed_workers_and_a_lost_broker_lose_no_row_and_bill_nothing_twice_i1_i4_i5(firm, deployment):
    firm.measure_hour()
    run = first_run(deployment)
    states = ended(deployment, run)
    assert states == Counter({(task, "success"): NUMBER for task in (*LISTS, "analytics", "push")}) + Counter(
        {("organizations", "success"): 1}
    )
    # Only the organization with more pages than its limit allows comes back.
    assert {number for _, number in deployment.reschedules(run)} == {0}
    deployment.configure_firm()
    firm.measure_hour()
    firm.change_each(7, 3)
    killed = []

    def kill(task, most):
        numbers = deployment.workers_of(task)[:most]
        for number in numbers:
            deployment.kill_worker(number)
            killed.append(task)
        return numbers

    def kill_and_start(task, most):
        numbers = kill(task, most)
        for number in numbers:
            deployment.start_worker(number)
        return numbers

    def break_things():
        deployment.wait(lambda: any(kill(task, 1) for task in LISTS), PATIENCE)
        firm.broker.kill()
        asked = len(firm.sandbox.requests.all())
        end = time.monotonic() + 20
        deployment.wait(lambda: time.monotonic() > end, 30)
        print(f"without a broker: {len(firm.sandbox.requests.all()) - asked} requests", flush=True)
        firm.broker.start()
        # Only now: a worker that finds no broker when it starts ends.
        for number in set(range(WORKERS)) - set(deployment.workers):
            deployment.start_worker(number)
        firm.delay_a_push()
        deployment.wait(lambda: kill_and_start("push", WORKERS), 60)

    run = deployment.trigger("automatum")
    breaking = in_thread(break_things)
    states = ended(deployment, run)
    breaking.join(60)
    assert killed[0] in LISTS and set(killed[1:]) == {"push"}, killed
    assert {state for (task, state) in states if task != "push"} == {"success"}
    assert states["push", "failed"] <= WORKERS  # 65: their lines wait for a person.
    desk = Pool(firm)
    assert sum(firm.settle(desk.ask, name) for name in firm.names) > 0
    states = ended(deployment, deployment.trigger("automatum"))
    assert {state for _, state in states} == {"success"}
    assert firm.wrong() == []
