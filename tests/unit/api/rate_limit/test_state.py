"""The state of the rate limiter."""

import pytest

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.state import LimiterState
from automatum.api.rate_limit.stores import Store
from automatum.core.budget import Budget
from tests.support.clocks import FakeClock
from tests.support.quota_fixtures import WIDE, spend


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
    limiter = RateLimiter(((100_000, 60.0),), WIDE, clock, Store(clock, state))
    spend(limiter, Budget(clock), 5000)
    state.log = log = _Log(state.log)
    assert limiter.wait_for(count, 0.5) == pytest.approx(count * 0.5)
    assert log.reads <= 100


def test_a_clock_that_goes_back_repeats_no_time():
    state = LimiterState()
    assert [state.now(reading) for reading in (100.0, 40.0, 41.0, 141.0)] == [100.0, 100.0, 101.0, 201.0]
