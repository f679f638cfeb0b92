"""I7: two machines that sync one dataset on a real Postgres meet in a lock. Each is a process of its own."""

import re
import signal
import threading
import time

import dlt
import psycopg2
import pytest

from automatum.endpoints import ENDPOINTS
from automatum.operations.verify import check_rules
from automatum.warehouse.target import open_pipeline
from automatum_sandbox import SandboxConfig, serve
from tests.support.postgres import postgres  # noqa: F401  the fixture

pytestmark = pytest.mark.slow
ROWS = {"customers": 350, "entitlements": 0, "private_offers": 0, "days": 0}
TO_POSTGRES = ("sync", "customers", "--destination", "postgres", "--json")


@pytest.fixture
def machines(desk, postgres, tmp_path, monkeypatch):  # noqa: F811
    """Starts a sync on one machine after the other, each with a working folder of its own."""
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres)
    started = []

    def start(*options):
        folder = tmp_path / f"machine_{len(started)}"
        with monkeypatch.context() as machine:
            machine.setenv("DLT_DATA_DIR", str(folder))
            started.append(desk.start(*TO_POSTGRES, *options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def serve_slowly(latency, **options):
    return serve(SandboxConfig(limits=None, latency=latency, **{**ROWS, **options}))


def reads_pages(served, process):
    """Wait until a process has asked for its first page: then it has its locks."""
    ends = time.monotonic() + 60
    while not served.sandbox.requests.to("/api/v1/customers"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        threading.Event().wait(0.02)


def query(url, text):
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchone()


def live(url):
    return query(url, "SELECT count(*), count(DISTINCT id) FROM automatum.customers WHERE _deleted_at IS NULL")


def test_the_second_machine_waits_its_time_and_says_who_syncs(desk, machines, postgres):  # noqa: F811
    with serve_slowly(2.0) as served:
        desk.use(served)
        first = machines()
        reads_pages(served, first)
        second = machines("--lock-wait", "0", "--dataset", "AUTOMATUM")  # the same schema
        said = second.communicate(timeout=60)
        assert second.returncode == 75, said
        text = " ".join("".join(said).split())
        assert re.search(rf"customers\) by automatum, process {first.pid} on \S+, since 20\d\d-", text), text
        first.send_signal(signal.SIGKILL)
        first.communicate()
        third = machines("--lock-wait", "0")
        assert third.wait(60) == 0, third.communicate()
    assert live(postgres) == (350, 350)


def test_two_machines_at_once_leave_one_row_a_key_and_one_version_a_change_i1(desk, machines, postgres, tmp_path):  # noqa: F811
    desk.set(history="true")
    with serve_slowly(0.3) as served:
        desk.use(served)
        assert machines().wait(90) == 0
        for id_ in served.sandbox.rows.ids("customers")[:200]:
            served.sandbox.rows.change("customers", id_, {"companyName": "Renamed"})
        both = [machines("--lock-wait", "60") for _ in "12"]
        assert [one.wait(90) for one in both] == [0, 0], [one.communicate() for one in both]
    assert live(postgres) == (350, 350)
    pipeline = open_pipeline(dlt.destinations.postgres(postgres), "automatum", str(tmp_path / "verify"))
    customers = [one for one in ENDPOINTS if one.table == "customers"]
    assert not [one for one in check_rules(pipeline, customers, "soft") if one.broken]
    assert query(postgres, "SELECT count(*) FROM automatum.customers_history") == (550,)


def test_different_tables_do_not_wait_for_each_other(desk, machines, tmp_path, monkeypatch):
    with serve_slowly(2.0, entitlements=3) as served:
        desk.use(served)
        first = machines()
        reads_pages(served, first)
        monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "other"))
        other = desk.start("sync", "entitlements", "--destination", "postgres", "--lock-wait", "0")
        assert other.wait(60) == 0, other.communicate()
        assert first.wait(60) == 0
        other.communicate()
