"""The quota in a file, shared: threads, processes, restarts of the machine, network file systems (I4, I6)."""

import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

from automatum.api.rate_limit import stores
from automatum.api.rate_limit.stores import SqliteStore, boot_id
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.core.errors import ConfigurationError, QuotaExhausted
from automatum.core.file_system import network_file_system
from tests.support.clocks import FakeClock
from tests.support.quota_fixtures import spend, used, warnings

MOUNTS = """\
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 259:2 / /home/local rw - xfs /dev/sdb rw
32 22 0:41 / /mnt/my\\040share rw - cifs //server/share rw
33 22 0:42 / /mnt/ssh rw - fuse.sshfs host: rw
34 22 0:43 / /mnt/bucket rw - fuse.s3fs s3 rw
35 22 0:44 / /mnt/fused rw - fuseblk /dev/sdc rw
this line makes no sense
"""


# ---- several at once


def test_two_processes_that_open_a_new_file_at_once_wait_for_each_other(path, open_one, caplog):
    clock = SystemClock()
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, other.execute, ("COMMIT",))
        timer.start()
        spend(open_one(clock=clock), Budget(clock))
        timer.join()
    assert warnings(caplog) == []


def test_threads_of_several_quotas_never_take_more_than_there_is(open_one, caplog):
    clock, taken = FakeClock(), []
    spend(open_one(((40, 3600.0),), clock=clock), Budget(clock), 4)  # the file is there
    limiters = [open_one(((40, 3600.0),), clock=clock) for _ in range(3)]

    def take(limiter):
        for _ in range(10):
            try:
                limiter.record_response(limiter.acquire(0.0, Budget(clock)))
                taken.append(1)
            except QuotaExhausted:
                return

    threads = [threading.Thread(target=take, args=(limiter,)) for limiter in limiters for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 36
    assert warnings(caplog) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_use_the_file_of_its_parent(open_one, budget):
    """It would be stuck on a lock of a thread that it lacks, or count nothing: SQLite takes the parent's locks for
    the child's own."""
    limiter = open_one()
    spend(limiter, budget)
    child = os.fork()
    if child == 0:
        refused = False
        try:
            limiter.acquire(None, budget)
        except ConfigurationError as error:
            refused = "another process" in str(error)
            limiter.close()
        finally:
            os._exit(0 if refused else 1)
    assert os.waitpid(child, 0)[1] == 0
    spend(limiter, budget)
    assert used(limiter) == used(open_one()) == [2, 2]


def test_processes_with_different_windows_share_one_count(open_one, budget):
    minute, both = open_one(((5, 60.0),)), open_one(((3, 60.0), (4, 600.0)))
    spend(minute, budget, 2)
    spend(both, budget)
    assert used(minute) == [3, 3]
    assert used(both) == [3, 3, 3]
    with pytest.raises(QuotaExhausted, match="3 requests per minute"):
        both.acquire(1.0, budget)
    spend(minute, budget, 2)


# ---- the machine starts anew


class Machine(FakeClock):
    """A clock that starts anew: the monotonic reading begins near 0, the wall clock has gone on."""

    def __init__(self, wall, uptime):
        super().__init__(epoch=wall, monotonic=uptime)


@pytest.mark.parametrize("uptime", [3.0, 999.0, 50_000.0], ids=["at once", "lower", "higher than before"])
@pytest.mark.parametrize("away", [20.0, 59.0, 61.0, 7200.0])
def test_a_restart_ages_what_was_sent_by_the_wall_clock(open_one, clock, budget, uptime, away):
    spend(open_one(), budget, 5)
    later = Machine(clock.time() + away, uptime)
    limiter = open_one(clock=later, boot="second")
    assert used(limiter)[0] == (5 if away < 60.3 else 0)
    spend(limiter, Budget(later))
    assert later.slept == pytest.approx(max(0.0, 60.3 - away), abs=0.01)


def test_a_wall_clock_that_was_set_back_meanwhile_makes_nothing_older_or_younger(open_one, clock, budget):
    spend(open_one(), budget, 5)
    later = Machine(clock.time() - 86_400, 3.0)
    limiter = open_one(clock=later, boot="second")
    assert used(limiter)[0] == 5
    spend(limiter, Budget(later))
    assert later.slept == pytest.approx(60.3, abs=0.01), "as if no time had passed, and no more"


def test_after_a_restart_time_runs_on_for_all(open_one, clock, budget):
    spend(open_one(), budget, 4)
    later = Machine(clock.time() + 30, 3.0)
    one, other = open_one(clock=later, boot="second"), open_one(clock=later, boot="second")
    assert used(one) == used(other) == [4, 4]
    spend(one, Budget(later))
    later.advance(31)
    assert used(one) == used(other) == [1, 1]
    twice = Machine(later.time() + 31, 2.0)
    assert used(open_one(clock=twice, boot="third")) == [0, 0]


def test_setting_the_machines_clock_while_it_runs_changes_nothing(open_one, clock, budget):
    spend(open_one(), budget, 5)
    for step in (86_400, -200_000):
        clock.set_wall(step)
        assert used(open_one())[0] == 5
    clock.advance(60.4)
    assert used(open_one())[0] == 0


def test_a_start_of_this_machine_has_a_name():
    assert boot_id() == boot_id()


# ---- where it may lie, and who may read it


@pytest.mark.skipif(os.name != "posix", reason="no modes here")
def test_nobody_else_may_read_the_file_or_its_folder(path, open_one, budget):
    limiter = open_one()
    spend(limiter, budget)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes["quota.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="no modes here")
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_link_in_place_of_the_file_is_refused_and_not_followed(path, open_one, budget, suffix):
    """O3: in a shared folder, anyone can put a link there beforehand."""
    path.parent.mkdir()
    target = path.parent / "somebody's"
    target.write_bytes(b"theirs")
    target.chmod(0o644)
    path.with_name(path.name + suffix).symlink_to(target)
    with pytest.raises(ConfigurationError, match="link"):
        spend(open_one(), budget)
    assert target.read_bytes() == b"theirs"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


@pytest.mark.skipif(os.name != "posix", reason="no owners here")
def test_a_file_of_another_user_is_refused_before_its_mode_is_changed(path, open_one, budget, monkeypatch):
    """O9."""
    path.parent.mkdir()
    path.write_bytes(b"")
    path.chmod(0o644)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(ConfigurationError, match="another user"):
        spend(open_one(), budget)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_bytes() == b""


def test_the_file_is_small_and_does_not_grow_for_ever(path, open_one, clock):
    limiter, budget = open_one(((100, 360.0), (1000, 3600.0))), Budget(clock)
    for _ in range(15):
        spend(limiter, budget, 100)
        clock.advance(361.8)
    limiter.close()
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("/home/me/.local/state/q.sqlite", "nfs4"),
        ("/home/local/q.sqlite", ""),
        ("/homestead/q.sqlite", ""),
        ("/mnt/my share/q.sqlite", "cifs"),
        ("/mnt/ssh/a/b/q.sqlite", "fuse.sshfs"),
        ("/mnt/bucket/q.sqlite", "fuse.s3fs"),
        ("/mnt/fused/q.sqlite", ""),
        ("/var/tmp/q.sqlite", ""),
    ],
)
def test_a_network_file_system_is_known(tmp_path, where, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(type(tmp_path)(where), mounts) == kind


def test_a_system_without_a_list_of_mounts_has_no_network_file_system(tmp_path):
    assert network_file_system(tmp_path / "q", tmp_path / "no such file") == ""


def test_a_file_on_a_network_file_system_is_refused(path, clock, monkeypatch):
    monkeypatch.setattr(stores, "network_file_system", lambda path: "nfs4")
    with pytest.raises(ConfigurationError, match=r"network file system \(nfs4\)") as caught:
        SqliteStore(path, clock)
    assert caught.value.key == "sources.automatum.quota_url"
    assert "redis://" in caught.value.next_step
    assert not path.parent.exists(), "nothing was made there"


def test_it_works_with_the_real_clock(open_one, path):
    clock = SystemClock()
    limiter = open_one(((2, 0.2),), clock=clock)
    started = clock.monotonic()
    spend(limiter, Budget(clock), 5)
    assert clock.monotonic() - started >= 0.4
    shutil.rmtree(path.parent)  # nobody holds a lock on it
