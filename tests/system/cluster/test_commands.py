"""I1, I4, I5, I9 beyond one machine: workers that start commands share the organizations, and die, and lose nothing.

`ORGANIZATIONS=50` is the long form (`make cluster`).
"""

import contextlib
import os
import subprocess
import time

import pytest

from tests.support.cluster import Firm, in_thread
from tests.support.cluster_pool import Pool, codes

NUMBER = int(os.environ.get("ORGANIZATIONS", "5"))

pytestmark = pytest.mark.slow


@pytest.fixture
def firm(tmp_path):
    with Firm(tmp_path, NUMBER) as made:
        yield made


@contextlib.contextmanager
def small_disk(folder, bytes_):
    """A file system of this size at a folder."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={bytes_}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def hour(firm, pool, fault_in_sync=None, fault_in_push=None):
    """What a scheduler runs each hour, while rows change; the jobs of the syncs and of the pushes."""
    firm.measure_hour()
    firm.change_each(7, 3)
    if fault_in_sync:
        firm.sandbox.schedule.after(9, fault_in_sync)
    began = time.monotonic()
    syncs = pool.run("sync")
    synced = time.monotonic()
    watching = in_thread(fault_in_push) if fault_in_push else None
    pushes = pool.run("push")
    if watching:
        watching.join(60)
    print(
        f"{NUMBER} organizations, {pool.workers} workers: {synced - began:.1f} s of syncs {dict(codes(syncs))}, "
        f"{time.monotonic() - synced:.1f} s of pushes {dict(codes(pushes))}",
        flush=True,
    )
    return syncs, pushes


def assert_exact(firm, pool):
    """0 rows lost, 0 lines billed twice or not at all, 0 requests refused."""
    assert {job.codes[-1] for job in pool.run("sync").values()} == {0}
    assert firm.wrong() == []


def test_the_organizations_of_a_firm_on_two_workers_end_exact_i1_i4_i5_i9(firm):
    pool = Pool(firm)
    syncs, pushes = hour(firm, pool)
    assert set(codes(pushes)) == {0}, [job.said for job in pushes.values()]
    # Only the organization with more pages than its limit allows comes back, and all others are done before it.
    first, *others = (syncs[name] for name in firm.names)
    assert (set(first.codes), {code for job in others for code in job.codes}) == ({0, 75}, {0}), first.said
    assert max(job.ended for job in others) < first.ended

    def kill_a_push():
        firm.delay_a_push()
        assert pool.kill("push")

    syncs, pushes = hour(firm, pool, lambda: pool.kill("sync"), kill_a_push)
    assert codes(syncs)[-9] in (1, 2)
    # Their lines wait for a person, and no others do.
    waiting = [name for name, job in pushes.items() if job.codes[-1] == 65]
    assert waiting and all(-9 in pushes[name].codes for name in waiting)
    assert sum(firm.settle(pool.ask, name) for name in waiting) > 0

    def lose_the_quota_store():
        firm.broker.kill()
        pool.on_failure = lambda worker: (setattr(pool, "on_failure", lambda worker: None), firm.broker.start())

    syncs, pushes = hour(firm, pool, lambda: in_thread(lose_the_quota_store))
    assert 69 in codes(syncs)
    assert_exact(firm, pool)


@pytest.mark.parametrize("free", [0, 48_000])
def test_a_worker_with_a_full_disk_fails_until_it_has_room_and_loses_nothing_i1_i5_i9(firm, free):
    pool = Pool(firm)
    home = pool.home(1)
    with small_disk(home, 4 << 20):
        filler = home / "filler"
        filler.write_bytes(bytes((4 << 20) - free - 4096))

        def make_room(worker):
            if pool.failed[worker] == 3:
                filler.unlink()

        pool.on_failure = make_room
        syncs, pushes = hour(firm, pool)
        assert set(pool.failed) == {1}
        said = [text for job in [*syncs.values(), *pushes.values()] for text in job.said]
        assert all("No space left" in text for text in said), said
        assert_exact(firm, pool)
