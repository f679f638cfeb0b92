"""The stored state of the rate limiter: earlier and later versions share one file or Redis key."""

import orjson
import pytest

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.state import LimiterState
from automatum.api.rate_limit.stores import MemoryStore
from automatum.config.settings import APPLICATION_LIMITS
from automatum.core.budget import Budget
from tests.support.clocks import FakeClock
from tests.support.quota_fixtures import WIDE, spend, used

EARLIER = {
    "format": 1,
    "sizes": [0, 0],
    "flying": [],
    "born": 7,
    "waiting": [],
    "others": {"application 3600": [[1500.0, 3]]},
    "adopted": {"application 3600": 40},
    "gate": [0.0, ""],
    "smooth": [0, 0.0],
    "clock": [3618.0, 1000.0, 0.0],
}
"""What the version before `limits` wrote, and all that it needs to read."""


def stored(state):
    return orjson.loads(state.dumps().partition(b"\n")[0])


def test_the_state_of_an_earlier_version_is_read_without_its_mistake():
    """It took 40 a minute for 40 an hour, and the first sync after the upgrade would wait for an hour."""
    clock = FakeClock()
    state = LimiterState.loads(orjson.dumps(EARLIER) + b"\n")
    limiter = RateLimiter(APPLICATION_LIMITS, WIDE, clock, MemoryStore(clock, state))
    assert used(limiter)[:2] == [0, 3]
    spend(limiter, Budget(clock), 45)
    assert clock.slept == 0


def test_an_earlier_version_reads_what_this_one_writes():
    clock = FakeClock()
    state = LimiterState()
    limiter = RateLimiter(APPLICATION_LIMITS, WIDE, clock, MemoryStore(clock, state))
    limiter.observe({"X-RateLimit-Limit": "40", "X-RateLimit-Reset": "6"}, clock.time())
    found = stored(state)
    assert set(EARLIER) <= set(found)
    assert {name: type(value) for name, value in EARLIER.items()} == {name: type(found[name]) for name in EARLIER}


@pytest.mark.parametrize("more", [{}, {"colour": "blue"}])
def test_limits_survive_and_fields_of_a_later_version_are_ignored(more):
    clock = FakeClock()
    state = LimiterState()
    limiter = RateLimiter(APPLICATION_LIMITS, WIDE, clock, MemoryStore(clock, state))
    limiter.observe({"X-RateLimit-Limit": "40", "X-RateLimit-Reset": "6"}, clock.time())
    rest = stored(state)
    rest["limits"][0].update(more)
    again = RateLimiter(
        APPLICATION_LIMITS, WIDE, clock, MemoryStore(clock, LimiterState.loads(orjson.dumps(rest) + b"\n"))
    )
    assert again.learned() == limiter.learned()
    assert again.window_usage()[0]["limit"] == 40


class _Log:
    """A log that counts how much of it is read."""

    def __init__(self, times):
        self._times, self.reads = times, 0

    def __len__(self):
        return len(self._times)

    def __getitem__(self, place):
        self.reads += 1
        return self._times[place]


@pytest.mark.parametrize("count", [1, 50])
def test_a_forecast_without_a_full_window_reads_almost_nothing_of_the_log(count):
    """It is asked for once a page. It read the whole log: 2 s for 1,000 pages."""
    clock = FakeClock()
    state = LimiterState()
    limiter = RateLimiter(((100_000, 60.0),), WIDE, clock, MemoryStore(clock, state))
    spend(limiter, Budget(clock), 5000)
    state.general = log = _Log(state.general)
    assert limiter.wait_for(count, 0.5) == pytest.approx(count * 0.5)
    assert log.reads <= 100
