"""I7: one writer. Two runs, or a notebook that holds the file, meet in a lock, with a message and a bounded wait."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir

from automatum.core.budget import Budget
from automatum.core.clock import SystemClock, instant
from automatum.core.errors import BudgetSpent, Busy, ConfigurationError, DestinationError
from automatum.core.file_lock import exclusive_lock
from automatum.warehouse.duckdb_file import IDLE_SECONDS, open_when_free
from automatum.warehouse.target import Target, name_pipeline
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL, await_

HOLD = """
import sys, threading
from pathlib import Path
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.core.file_lock import exclusive_lock
clock = SystemClock()
with exclusive_lock(Path(sys.argv[1]), "The file", "a test", wait=0, clock=clock, budget=Budget(clock)):
    print("held", flush=True)
    sys.stdin.read()
"""
OPEN = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "ro")
print("held", flush=True)
sys.stdin.read()
"""


class Other:
    """Another process that holds something until it is told to let go."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.let_go()

    def let_go(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def take(path, wait=0.0, clock=None, budget=None):
    clock = clock or SystemClock()
    return exclusive_lock(path, "The file", "this test", wait=wait, clock=clock, budget=budget or Budget(clock))


def test_a_lock_is_refused_after_a_bounded_wait_and_names_its_holder_i7(tmp_path):
    path = tmp_path / "x.lock"
    clock = FakeClock()
    before = clock.monotonic()
    with Other(HOLD, path) as other, pytest.raises(Busy) as refused, take(path, 30, clock):
        pass
    assert clock.monotonic() - before == pytest.approx(30, abs=0.3)
    said = str(refused.value)
    assert f"a test, process {other.process.pid} on " in said and " since 20" in said and "--lock-wait" in said
    assert refused.value.exit_code == 75


def waits(caplog):
    """Messages about waits."""
    return [record.getMessage() for record in caplog.records if "Waiting for it" in record.getMessage()]


def test_a_wait_for_a_lock_is_logged_once_before_it_begins_i7(tmp_path, caplog):
    """The message names the holder and the end of the wait. Without a wait there is no message."""
    path, clock = tmp_path / "x.lock", FakeClock()
    caplog.set_level("INFO", "automatum")
    ends, first = instant(clock.time() + 30), []
    clock.call_at(clock.monotonic() + 0.1, lambda: first.extend(waits(caplog)))
    with Other(HOLD, path) as other:
        with pytest.raises(Busy), take(path, 30, clock):
            pass
        said = waits(caplog)
        assert len(said) == 1 and first == said
        assert f"The file is in use by a test, process {other.process.pid} on " in said[0]
        assert f"Waiting for it until {ends} (--lock-wait 30)." in said[0]
        caplog.clear()
        with pytest.raises(Busy), take(path, 0, clock):
            pass
    with take(path, 30, clock):
        pass
    assert waits(caplog) == []


@pytest.mark.slow
def test_a_wait_for_a_file_is_logged_once_with_command_and_start_i7(tmp_path, caplog):
    database, clock = tmp_path / "x.duckdb", FakeClock()
    duckdb.connect(str(database)).close()
    caplog.set_level("INFO", "automatum")
    with Other(OPEN, database, "ro") as other, pytest.raises(Busy):
        open_when_free(database, wait=20, clock=clock, budget=Budget(clock)).close()
    (said,) = waits(caplog)
    assert f"{database} is open in process {other.process.pid} (python" in said
    assert re.search(r", since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\)\. Waiting for it until 2023-", said), said


def test_a_lock_goes_with_its_holder_however_it_ends_i7(tmp_path):
    path = tmp_path / "x.lock"
    other = Other(HOLD, path)
    other.kill()
    with take(path):
        with pytest.raises(Busy) as refused, take(path):
            pass
        # What the killed one had written down is not told of this holder.
        assert f"this test, process {os.getpid()} on " in str(refused.value)
    with take(path):
        pass
    assert not path.with_name("x.lock.holder").exists()


def test_who_waits_gets_the_lock_when_it_is_free_i7(tmp_path):
    path = tmp_path / "x.lock"
    with Other(HOLD, path) as other:
        got = threading.Event()

        def wait():
            with take(path, 60):
                got.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.6)
        other.let_go()
        assert got.wait(30)
        waiting.join()


def test_a_wait_for_a_lock_ends_when_the_run_is_told_to_stop(tmp_path):
    path, stop = tmp_path / "x.lock", threading.Event()
    clock = SystemClock(stop)
    with Other(HOLD, path):
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(BudgetSpent), take(path, 600, clock, Budget(clock, stop=stop)):
            pass


def test_a_lock_that_cannot_be_made_is_a_matter_of_configuration(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="the lock file cannot be created"), take(tmp_path / "file" / "x.lock"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_file_that_a_notebook_has_open_is_waited_for_then_refused_i7(tmp_path, mode):
    database = tmp_path / "x.duckdb"
    duckdb.connect(str(database)).close()
    clock = FakeClock()
    before = clock.monotonic()
    with Other(OPEN, database, mode) as other, pytest.raises(Busy) as refused:
        open_when_free(database, wait=20, clock=clock, budget=Budget(clock)).close()
    assert clock.monotonic() - before == pytest.approx(20, abs=0.3)
    assert f"process {other.process.pid} (python" in str(refused.value) and "--read-copy" in str(refused.value)
    open_when_free(database, wait=0, clock=clock, budget=Budget(clock)).close()


def test_a_file_that_this_process_has_open_is_refused_at_once_i7(tmp_path):
    database, clock = tmp_path / "x.duckdb", FakeClock()
    before = clock.monotonic()
    with duckdb.connect(str(database)), pytest.raises(Busy, match="in this very process"):
        open_when_free(database, wait=60, clock=clock, budget=Budget(clock)).close()
    assert clock.monotonic() == before


def test_a_file_that_is_no_database_is_not_waited_for(tmp_path):
    database, clock = tmp_path / "x.duckdb", FakeClock()
    database.write_text("not a database, and long enough to be taken for one" * 100)
    with pytest.raises(DestinationError, match="cannot be opened"):
        open_when_free(database, wait=60, clock=clock, budget=Budget(clock)).close()


@pytest.mark.slow
def test_a_notebook_that_holds_the_file_costs_no_request_i7(desk, start):
    served = start(**SMALL)
    desk.use(served)
    duckdb.connect(str(desk.database)).close()
    with Other(OPEN, desk.database, "ro") as other:
        ran = desk.run("sync", "--lock-wait", "0.3", "--json")
        assert ran.code == 75, ran
        assert ran.json["errors"][0]["type"] == "Busy" and str(other.process.pid) in ran.says
        assert ran.json["verdict"] == "more_to_do"
    assert served.sandbox.requests.all() == []
    assert desk.sync().code == 0


def test_two_syncs_of_one_file_meet_and_the_second_costs_no_request_i7(desk, start):
    served = start(**SMALL)
    desk.use(served)
    with Other(HOLD, desk.database.with_name(desk.database.name + ".lock")):
        ran = desk.run("sync", "--lock-wait", "0.3")
        assert ran.code == 75 and "marketplace.duckdb is in use by a test, process" in ran.says, ran
    assert served.sandbox.requests.all() == []


def test_a_file_has_one_lock_by_whatever_name_it_is_called_i7(desk, start, tmp_path):
    desk.use(start(**SMALL))
    (tmp_path / "elsewhere").symlink_to(desk.folder)
    with Other(HOLD, desk.database.with_name(desk.database.name + ".lock")):
        ran = desk.run("sync", "--lock-wait", "0.1", "--database", tmp_path / "elsewhere" / desk.database.name)
        assert ran.code == 75, ran


SERVER = "postgresql://nobody:none@127.0.0.1:9/books"


def run_beside(desk, held):
    """A sync while another run holds the lock of its pipeline: `automatum_postgres_<hash of server and dataset>`."""
    target = Target("postgres", "automatum")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DESTINATION__POSTGRES__CREDENTIALS", held)
        name = name_pipeline("automatum", target.open(), "Automatum", None)  # the same schema
    with Other(HOLD, Path(get_dlt_pipelines_dir()) / f"{name}.lock"):
        return name, desk.run("sync", "--lock-wait", "0.1", "--destination", "postgres")


def test_two_runs_that_load_to_one_dataset_meet_i7(desk, start, monkeypatch):
    served = start(**SMALL)
    desk.use(served)
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", SERVER)
    name, ran = run_beside(desk, SERVER)
    assert ran.code == 75 and f"The pipeline {name} is in use by a test" in ran.says, ran
    assert served.sandbox.requests.all() == []


def test_two_runs_that_share_nothing_do_not_wait_for_each_other_i7(desk, start, monkeypatch):
    desk.use(start(**SMALL))
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", SERVER)
    _, ran = run_beside(desk, SERVER.replace("/books", "/others"))
    assert ran.code != 75 and "in use" not in ran.says, ran


def reader(database):
    """A connection that reads, as long as no other program has the file open."""
    with suppress(duckdb.IOException):
        yield duckdb.connect(str(database), read_only=True)


@pytest.mark.slow
def test_a_notebook_that_opens_the_file_during_a_sync_is_waited_for_and_nothing_is_lost_i1_i7(desk, start):
    """The sync has begun to read, and has closed the file. It is taken from it before it loads, and given back then."""
    served = start(**{**SMALL, "customers": 250})
    desk.use(served)
    assert desk.sync("customers").code == 0
    served.sandbox.rows.insert("customers", count=5)
    served.sandbox.requests.clear()
    served.sandbox.faults.add("slow", "/api/v1/customers", page=2, seconds=IDLE_SECONDS + 2)
    syncing = desk.start("sync", "customers", "--json", "--lock-wait", "60")
    try:
        await_(lambda: len(served.sandbox.requests.to("/api/v1/")) >= 1)
        readers = []
        await_(lambda: readers or readers.extend(reader(desk.database)))
        with readers[0]:
            await_(lambda: len(served.sandbox.requests.to("/api/v1/")) >= 3)
            with pytest.raises(subprocess.TimeoutExpired):
                syncing.wait(1)
        out, err = syncing.communicate(timeout=60)
    finally:
        syncing.kill()
        syncing.communicate()
    assert syncing.returncode == 0, err
    assert json.loads(out)["tables"]["customers"]["inserted"] == 5
    assert len(served.sandbox.requests.to("/api/v1/")) == 3  # I3
    assert desk.query("SELECT count(*) FROM customers") == [(255,)]


@pytest.mark.slow
@pytest.mark.parametrize("command", [("push", "--usage", "customers"), ("sync",)], ids=" ".join)
@pytest.mark.parametrize("json_", [True, False], ids=["json", "text"])
def test_each_command_that_waits_for_the_file_says_so_on_stderr_i7(desk, start, command, json_):
    """The message names the holder, and the wait is that of --lock-wait. stdout holds nothing but one JSON object.

    What only reads does not wait: `tests/integration/operations/test_busy_status.py`.
    """
    desk.use(start(**SMALL))
    duckdb.connect(str(desk.database)).close()
    with Other(OPEN, desk.database, "ro") as other:
        ran = desk.run(*command, "--lock-wait", "0.3", *(["--json"] if json_ else []))
    assert ran.code == 75, ran
    assert f"is open in process {other.process.pid} (python" in ran.err and "(--lock-wait 0.3)" in ran.err, ran
    if json_:
        assert ran.json["errors"][0]["type"] == "Busy"
    else:
        assert ran.out == "", ran


@pytest.mark.slow
def test_a_quiet_command_waits_in_silence(desk, start):
    """cron would mail each wait that ends well."""
    desk.use(start(**SMALL))
    duckdb.connect(str(desk.database)).close()
    with Other(OPEN, desk.database, "ro"):
        ran = desk.run("sync", "--lock-wait", "0.3", "--quiet")
    assert ran.code == 75 and "Waiting" not in ran.err and ran.err.count("\n") == 1, ran
