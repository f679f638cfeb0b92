"""Many organizations on several workers: `python benchmarks/cluster.py [ORGANIZATIONS ...]`, default 5 20 50.

For each number, workers sync organizations of different size to one Postgres, count their requests in one Valkey, and
push the usage of an hour: a command for each organization and step, by one and by two workers; and one `automatum sync`
for all organizations. The API answers at once and has no limits that matter. Checks rows and bills. Prints seconds and
CPU seconds for an organization, and at the end what one of them takes in the store and in the databases.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import redis
from tests.support.cluster import WIDE, Firm
from tests.support.cluster_pool import Pool, codes
from tests.support.postgres import running


def measure(number: int) -> None:
    """Measure one number of organizations."""
    with tempfile.TemporaryDirectory() as folder, Firm(Path(folder), number, latency=0, narrow=WIDE) as firm:
        print(f"\n{number} organizations: seconds and CPU seconds for one of them", flush=True)
        pools = {workers: Pool(firm, workers) for workers in (1, 2)}
        timed("first sync, 2 workers", number, lambda: succeed(pools[2], "sync"))
        for workers, pool in pools.items():
            firm.measure_hour()
            timed(f"unchanged, {workers} workers", number, lambda pool=pool: succeed(pool, "sync"))
            timed(f"push, {workers} workers", number, lambda pool=pool: succeed(pool, "push"))
            pools[2].pushed |= pool.pushed
        timed("unchanged, one command", number, lambda: one_command(pools[1]))
        assert firm.wrong() == []
        with redis.Redis.from_url(firm.broker.url) as client:
            print(f"quota store: {client.info('memory')['used_memory_dataset'] / number / 1e3:.0f} kB for one of them")
        for name in (firm.warehouse, firm.ledgers):
            size = running().execute(f"SELECT pg_database_size('{name}')")[0][0]
            print(f"database: {size / number / 1e3:.0f} kB for one of them")


def succeed(pool: Pool, kind: str) -> None:
    """Run a job for each organization, once."""
    jobs = pool.run(kind)
    assert set(codes(jobs)) == {0}, [job.said for job in jobs.values()]


def one_command(pool: Pool) -> None:
    """Sync all organizations, one after the other, in one process."""
    process = pool.start(["sync", "--destination", "postgres", "--json"], "all")
    out, err = process.communicate()
    assert process.returncode == 0, out + err


def timed(step: str, number: int, run) -> None:
    """Run a step and print what it takes for one organization."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{step:>24}: {seconds / number:6.2f} s, {used / number:6.2f} s of CPU", flush=True)


if __name__ == "__main__":
    for given in sys.argv[1:] or ("5", "20", "50"):
        measure(int(given))
