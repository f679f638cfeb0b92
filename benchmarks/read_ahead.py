"""What reading ahead within a table would save: `python benchmarks/read_ahead.py [IN_FLIGHT ...]`, default 2 4.

Simulated: a backfill of so many requests under the vendor's limits, the quota's own rules deciding when each is sent,
with answers that take so long each; one at a time, and with several in flight. Prints the time to finish one at a time,
and for each number in flight that time over the time with so many in flight: 2.00 is twice as fast.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clocks import FakeClock

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit import limiter as quota_module
from automatum.config.settings import APPLICATION_LIMITS, ORGANIZATION_LIMITS
from automatum.core.budget import Budget

COUNTS = (20, 100, 250, 1000, 2500)
LATENCIES = (0.1, 0.3, 1.0, 2.0)


def finish(count, latency, in_flight):
    """Seconds until the last answer."""
    clock = FakeClock()
    quota, budget = RateLimiter(APPLICATION_LIMITS, ORGANIZATION_LIMITS, clock), Budget(clock)
    started, flying = clock.monotonic(), []

    def land(entry):
        flying.remove(entry)
        quota.record_response(entry[1])

    for _ in range(count):
        while len(flying) >= in_flight:
            clock.advance(flying[0][0] - clock.monotonic())
        ticket = quota.acquire(None, budget)
        entry = (clock.monotonic() + latency, ticket)
        flying.append(entry)
        clock.call_at(entry[0], lambda one=entry: land(one))
    if flying:
        clock.advance(flying[-1][0] - clock.monotonic())
    return clock.monotonic() - started


def main() -> None:
    """Measure and print."""
    flights = [int(one) for one in sys.argv[1:]] or [2, 4]
    # Under a clock that jumps, a wait need not be cut into seconds. In flight, answers move its end: look each second.
    quota_module.wait_slice = lambda wait, budget: max(0.001, min(wait, 1.0))
    print(f"requests  answer s  one at a time, s{''.join(f'   over {one} in flight' for one in flights)}")
    for count in COUNTS:
        for latency in LATENCIES:
            alone = finish(count, latency, 1)
            ratios = "".join(f"{alone / finish(count, latency, one):>19.2f}" for one in flights)
            print(f"{count:8}  {latency:8.1f}  {alone:16.1f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
