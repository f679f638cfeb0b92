"""Reading beside a sync: a copy that is always whole, and never in anybody's way (I7)."""

import os
import stat
from pathlib import Path
from typing import ClassVar

import duckdb
import pytest

from automatum import Target
from automatum.core.budget import Budget
from automatum.core.errors import Busy, ConfigurationError, DestinationError
from automatum.warehouse.duckdb_file import IDLE_SECONDS, USER_AGENT, OpenFile, refresh_copy
from automatum.warehouse.target import check_copy_path
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL

NAMES = [".copy.duckdb.made", ".x.duckdb.copy", "copy.duckdb", "x.duckdb"]


def numbers(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(1000)")
    return path


def test_a_reader_keeps_what_it_has_open_and_the_next_reads_the_new(database, tmp_path):
    copy = tmp_path / "copy.duckdb"
    refresh_copy(database, copy)
    with duckdb.connect(str(copy), read_only=True) as reader:
        with duckdb.connect(str(database)) as connection:
            connection.execute("INSERT INTO numbers SELECT range FROM range(500)")
        refresh_copy(database, copy)
        assert reader.execute("SELECT count(*) FROM numbers").fetchone() == (1000,)
    assert numbers(copy) == 1500
    assert sorted(one.name for one in tmp_path.glob("*duckdb*")) == NAMES


def test_what_is_in_the_log_alone_is_in_the_copy_i1(database, tmp_path):
    """A process that was killed leaves its last transactions in the write-ahead log."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO numbers VALUES (-1)")
    assert database.with_name("x.duckdb.wal").stat().st_size > 0
    refresh_copy(database, tmp_path / "copy.duckdb")
    assert numbers(tmp_path / "copy.duckdb") == 1001


def test_a_copy_has_the_mode_of_the_file_and_what_a_kill_left_goes(database, tmp_path):
    """I6: who may not read the file may not read its copy either."""
    copy, left = tmp_path / "copy.duckdb", tmp_path / ".copy.duckdb.new-left"
    left.write_bytes(b"half a copy")
    for mode in (0o600, 0o640):
        database.chmod(mode)
        refresh_copy(database, copy)
        assert stat.S_IMODE(copy.stat().st_mode) == mode
    assert not left.exists()
    assert numbers(copy) == 1000


@pytest.mark.parametrize("kind", ["link", "file", "folder"])
def test_what_no_sync_has_made_is_not_replaced_by_a_copy(database, tmp_path, kind):
    """O6: a wrong path costs no file, also where a copy was before."""
    victim, copy = tmp_path / "victim", tmp_path / "copy.duckdb"
    refresh_copy(database, copy)
    victim.write_text("precious")
    if kind == "folder":
        copy.unlink()
        copy.mkdir()
    elif kind == "link":
        copy.unlink()
        copy.symlink_to(victim)
    else:
        victim.replace(copy)
        victim = copy
    with pytest.raises(ConfigurationError):
        refresh_copy(database, copy)
    with pytest.raises(ConfigurationError):
        check_copy_path(Target(database=database), copy)
    assert kind == "folder" or victim.read_text() == "precious"


def test_a_copy_is_replaced_also_after_a_kill_at_the_last_moment(database, tmp_path, monkeypatch):
    copy = tmp_path / "copy.duckdb"
    refresh_copy(database, copy)
    replace = Path.replace

    def dying(path, to):
        if to == copy:
            raise KeyboardInterrupt
        replace(path, to)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", dying)
        refresh_copy(database, copy)
    refresh_copy(database, copy)
    assert numbers(copy) == 1000


@pytest.mark.slow
def test_nothing_that_a_sync_makes_can_be_read_by_others(desk, start, tmp_path, monkeypatch):
    """I6: with the most open umask, the database, dlt's folder, locks and the copy are for their owner alone."""
    desk.use(start(**SMALL))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "made"))
    before, pipelines = os.umask(0), tmp_path / "made" / "pipelines"
    try:
        made = desk.sync("--read-copy", tmp_path / "read.duckdb")
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert made.code == 0, made
    found = [tmp_path / "read.duckdb", *desk.folder.rglob("*.duckdb*"), *pipelines.rglob("*")]
    assert len(found) > 5
    assert [str(path) for path in found if path.stat().st_mode & 0o077] == []
    assert list(pipelines.rglob("completed_jobs/*")) == []  # The rows that were loaded are gone.


def test_a_copy_that_cannot_be_made_leaves_the_old_one(database, tmp_path):
    copy = tmp_path / "copy.duckdb"
    refresh_copy(database, copy)
    database.write_bytes(b"no database at all, but long enough to be looked at" * 200)
    with pytest.raises(DestinationError, match="cannot be copied"):
        refresh_copy(database, copy)
    assert numbers(copy) == 1000
    assert sorted(one.name for one in tmp_path.glob("*duckdb*")) == NAMES


@pytest.mark.slow
def test_a_sync_leaves_a_copy_with_what_it_loaded(desk, start, tmp_path):
    served = start(**SMALL)
    desk.use(served)
    copy = tmp_path / "read.duckdb"
    assert desk.sync("--read-copy", copy).code == 0
    with duckdb.connect(str(copy), read_only=True) as reader:
        served.sandbox.rows.insert("customers", count=3)
        assert desk.sync("--read-copy", copy).code == 0
        assert reader.execute("SELECT count(*) FROM automatum.customers").fetchone() == (12,)
    assert desk.query("SELECT count(*) FROM customers", database=copy) == [(15,)]


class Timer:
    """In place of a timer of `threading`: its time comes when the test says so."""

    made: ClassVar[list] = []

    def __init__(self, seconds, function):
        self.seconds, self.function, self.running = seconds, function, False
        self.made.append(self)

    def start(self):
        self.running = True

    def cancel(self):
        self.running = False


@pytest.fixture
def opened(database, monkeypatch):
    """The file, and the connections to it that were opened."""
    connections, real = [], duckdb.connect
    monkeypatch.setattr(Timer, "made", [])
    monkeypatch.setenv("AUTOMATUM_DUCKDB_MEMORY", "8MB")

    def connect(*given, **named):
        connections.append(real(*given, **named))
        return connections[-1]

    monkeypatch.setattr(duckdb, "connect", connect)
    clock = FakeClock()
    file = OpenFile(database, wait=0, clock=clock, budget=Budget(clock), timer=Timer)
    yield file, connections
    file.close()


def is_closed(database):
    """Whether this process has the file closed: otherwise it admits no connection of another configuration."""
    try:
        duckdb.connect(str(database), config={"custom_user_agent": "reader"}).close()
    except duckdb.ConnectionException:
        return False
    return True


def test_blocks_that_follow_each_other_open_the_file_once(opened, database):
    file, connections = opened
    for _ in range(3):
        with file():
            pass
    assert len(connections) == 1 and not is_closed(database)
    assert [one.running for one in Timer.made] == [False, False, True]


def test_a_file_that_is_idle_is_closed_and_opened_again_i7(opened, database):
    """Others can read it while a run reads a long list from the API."""
    file, connections = opened
    with file():
        pass
    (timer,) = Timer.made
    assert (timer.seconds, timer.daemon) == (IDLE_SECONDS, True)
    timer.function()
    assert is_closed(database)
    connections.clear()
    with file():
        assert len(connections) == 1 and not is_closed(database)


@pytest.mark.slow
def test_a_file_that_takes_much_memory_is_closed_at_once(opened, database):
    """Many organizations: what is loaded stays in memory, and DuckDB refuses a limit below what it uses."""
    file, connections = opened
    columns = ", ".join(f"repeat('x', 20) || range AS column_{number}" for number in range(15))
    for organization in range(40):
        with file(), duckdb.connect(str(database), config={"custom_user_agent": USER_AGENT}) as connection:
            connection.execute("SET memory_limit = '8MB'")
            connection.execute(f"CREATE SCHEMA organization_{organization}")
            for table in range(5):
                name = f"organization_{organization}.table_{table}"
                connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM range(50)")
    assert len(connections) - 40 < 10  # It stays open for several organizations.


def test_a_timer_that_comes_late_does_not_close_a_file_in_use(opened, database):
    file, _ = opened
    with file():
        pass
    with file(), file():
        Timer.made[0].function()
        assert not is_closed(database)


def test_a_file_that_another_program_has_open_is_refused_and_then_opened_i7(opened, database):
    file, _ = opened
    with duckdb.connect(str(database)), pytest.raises(Busy), file():
        pass
    with file():
        pass


def test_a_writer_that_ends_leaves_the_file_closed_i7(database):
    clock = FakeClock()
    writer = Target(database=database).exclusive_writer("test", clock, Budget(clock), 0)
    with pytest.raises(ZeroDivisionError), writer as file:
        with file():
            pass
        assert not is_closed(database)
        raise ZeroDivisionError
    assert is_closed(database)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--read-copy", "marketplace.duckdb"), "is the database itself"),
        (("--read-copy", "nowhere/x.duckdb"), "there is no folder nowhere"),
        (("--read-copy", "x.duckdb", "--destination", "filesystem"), "is for DuckDB files alone"),
    ],
)
def test_a_copy_that_makes_no_sense_is_refused_before_a_request(desk, start, arguments, said):
    served = start(**SMALL)
    desk.use(served)
    ran = desk.sync(*arguments)
    assert ran.code == 78 and said in ran.says, ran
    assert served.sandbox.requests.all() == []
