"""Cost of the rate limiter for each request: `python benchmarks/quota.py [SECONDS]`, default 1 second for each figure.

Prints µs for `acquire` and `record_response`: in memory, in SQLite, and in Redis on a unix socket of this machine (the
server of the tests), with an empty state and with 1,000 requests in it, as after an hour at the vendor's limits. If
pyrate-limiter is installed, it is measured too, in memory. Each figure is the median of seven rounds; `ratio` compares
with the first row of the same run.
"""

import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.valkey import Valkey

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.redis import RedisStore
from automatum.api.rate_limit.stores import SqliteStore, Store
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock

ROUNDS = 7
ENTRIES = 1000
CLOCK = SystemClock()
# As many windows as the vendor has, so wide that no request waits.
APPLICATION, ORGANIZATION = ((10**8, 60.0), (10**8, 3600.0)), ((10**8, 60.0), (10**8, 3600.0))


def limiter_on(store, entries):
    """Functions that send one request on a state with `entries` requests, and that restore the state."""
    limiter, budget = RateLimiter(APPLICATION, ORGANIZATION, CLOCK, store), Budget(CLOCK)

    def fill(state, now):
        state.log.extend(now - (entries - place) * 3.5 for place in range(entries))
        state.changed = True

    store.change(fill)

    def once():
        limiter.record_response(limiter.acquire(None, budget))

    return once, lambda: restore(store, entries)


def restore(store, entries):
    """Cut the state back to `entries` requests, so that it does not grow with the rounds."""

    def cut(state, now):
        del state.log[entries:]
        state.changed = True

    store.change(cut)


def micros(once, reset, seconds):
    """Median µs of one call."""
    found = []
    for _ in range(ROUNDS):
        calls, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / ROUNDS:
            for _ in range(10):
                once()
            calls += 10
            if calls % 100 == 0:
                reset()  # a hundredth of the cost at most, the same for all
        found.append((time.perf_counter() - started) / calls * 1e6)
    return statistics.median(found)


def pyrate():
    """One acquisition of pyrate-limiter with the same windows."""
    from pyrate_limiter import Duration, Limiter, Rate

    limiter = Limiter([Rate(10**8, Duration.MINUTE), Rate(10**9, Duration.HOUR)])
    return lambda: limiter.try_acquire("one"), lambda: None


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    server, rows = Valkey(), []
    with tempfile.TemporaryDirectory() as folder:
        for entries in (0, ENTRIES):
            for name, store in (
                ("memory", Store(CLOCK)),
                ("SQLite", SqliteStore(Path(folder) / f"{entries}.sqlite", CLOCK)),
                ("Redis", RedisStore(server.url, f"bench-{entries}", CLOCK)),
            ):
                rows.append((name, entries, micros(*limiter_on(store, entries), seconds)))
                store.close()
    server.stop()
    if find_spec("pyrate_limiter"):
        rows.append(("pyrate-limiter", 0, micros(*pyrate(), seconds)))
    print(f"{'store':15} {'entries':>7} {'µs':>8} {'ratio':>7}")
    for name, entries, cost in rows:
        print(f"{name:15} {entries:7} {cost:8.0f} {cost / rows[0][2]:7.1f}")


if __name__ == "__main__":
    main()
