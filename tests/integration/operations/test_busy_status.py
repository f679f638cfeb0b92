"""A status while another program has the DuckDB file open."""

import subprocess
import sys
import threading

import pytest

from automatum.cli import options

HOLD = """
import sys, duckdb
held = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
print("open", flush=True)
sys.stdin.readline()
"""
STATUS = pytest.mark.parametrize("arguments", [(), ("--verify",)])


class Holder:
    """Another process that has the file open until it is told to end."""

    def __init__(self, database, role):
        arguments = [sys.executable, "-c", HOLD, str(database), role]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "open\n"

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.process.stdout.close()


@pytest.fixture
def synced(small, desk):
    assert desk.sync("customers").code == 0
    return desk


@STATUS
def test_beside_a_reader_it_reads_the_file(synced, arguments):
    """A notebook that opened it for reading is in nobody's way."""
    with Holder(synced.database, "reader"):
        ran = synced.run("status", "--json", *arguments)
        assert (ran.code, ran.json["tables"]["customers"]["verdict"]) == (0, "complete")
        assert "read_copy" not in ran.json


@STATUS
def test_beside_a_writer_it_reads_the_copy_and_says_so(synced, arguments, monkeypatch):
    """As old as the copy is, without a wait."""
    copy = synced.folder / "copy.duckdb"
    assert synced.sync("customers", "--read-copy", copy).code == 0
    monkeypatch.setattr(options, "READ_WAIT", 0.0)
    with Holder(synced.database, "writer"):
        ran = synced.run("status", "--json", *arguments)
        assert (ran.code, ran.json["read_copy"]["file"]) == (0, str(copy))
        assert ran.json["tables"]["customers"]["verdict"] == "complete"
        assert f"Read from its copy {copy} of 20" in synced.run("status", *arguments).says
    assert "read_copy" not in synced.run("status", "--json", *arguments).json


@STATUS
def test_beside_a_writer_without_a_copy_it_names_the_process(synced, arguments, monkeypatch):
    """Exit 75 after a bounded wait; a copy that another program made is none."""
    copy = synced.folder / "copy.duckdb"
    assert synced.sync("customers", "--read-copy", copy).code == 0
    (synced.folder / "other.duckdb").write_bytes(copy.read_bytes())
    (synced.folder / "other.duckdb").replace(copy)
    monkeypatch.setattr(options, "READ_WAIT", 0.3)
    with Holder(synced.database, "writer") as holder:
        ran = synced.run("status", *arguments)
        assert ran.code == 75
        assert f"is open in process {holder.process.pid} (python" in ran.says
        assert "--read-copy FILE" in ran.says and "--lock-wait" not in ran.err.partition("error:")[2]


def test_it_waits_for_a_writer_that_ends_soon(synced):
    with Holder(synced.database, "writer") as holder:
        timer = threading.Timer(0.5, holder.end)
        timer.start()
        assert synced.run("status", "--json").json["tables"]["customers"]["verdict"] == "complete"
        timer.join()


def test_it_reads_between_the_chunks_of_a_sync_that_is_under_way(start, desk):
    """The sync waits for an answer, and has the file open only while it loads."""
    served = start(customers=250, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    assert desk.sync("customers").code == 0
    gate, reached = threading.Event(), threading.Event()
    served.sandbox.schedule.after(1, lambda: (reached.set(), gate.wait(60)))
    with desk.start("sync", "customers", "--json") as process:
        try:
            assert reached.wait(60)
            ran = desk.run("status", "--json")
            assert process.poll() is None
        finally:
            gate.set()
        assert ran.json["tables"]["customers"]["verdict"] == "complete"
        assert process.wait(60) == 0
