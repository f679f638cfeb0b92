"""I4: a server that refuses bursts which its limits allow refuses once, and is then asked evenly; for a day.

Long form: `AUTOMATUM_LONG=1` tries 20 times as many.
"""

import math
import os
import random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.window import Window
from automatum.api.rate_limit.windows import BURST_MEMORY
from automatum.config.settings import APPLICATION_LIMITS
from automatum.core.budget import Budget
from tests.support.clocks import FakeClock
from tests.support.quota_fixtures import WIDE, spend

LONG = 20 if os.environ.get("AUTOMATUM_LONG") else 1


class Counters:
    """Estimates a sliding window from the counts of two fixed ones, as Cloudflare's and many gateways' limiters do."""

    def __init__(self, limit, seconds, phase=0.0, burst=None):
        self.limit, self.seconds, self.phase, self.counts = limit, seconds, phase, {}

    def _estimate(self, moment):
        index, into = divmod(moment + self.phase, self.seconds)
        before, now = self.counts.get(index - 1, 0), self.counts.get(index, 0)
        return before * (1 - into / self.seconds) + now

    def wait(self, moment):
        """Seconds until it would take one more; 0 for now."""
        if self._estimate(moment) + 1 <= self.limit + 1e-9:
            return 0.0
        step = self.seconds / (100 * self.limit)
        return next(k * step for k in range(1, 10**6) if self._estimate(moment + k * step) + 1 <= self.limit + 1e-9)

    def take(self, moment):
        index = (moment + self.phase) // self.seconds
        self.counts[index] = self.counts.get(index, 0) + 1


class Tokens:
    """A bucket of few tokens that is filled evenly."""

    def __init__(self, limit, seconds, phase=0.0, burst=1):
        self.rate, self.most = limit / seconds, min(burst, limit)
        self.tokens, self.last = float(self.most), 0.0

    def _held(self, moment):
        return min(self.most, self.tokens + (moment - self.last) * self.rate)

    def wait(self, moment):
        lacking = 1 - self._held(moment)
        return 0.0 if lacking <= 1e-9 else lacking / self.rate

    def take(self, moment):
        self.tokens, self.last = self._held(moment) - 1, moment


class Leak:
    """A bucket that leaks one request at a time: the theoretical arrival of the next (GCRA)."""

    def __init__(self, limit, seconds, phase=0.0, burst=1):
        self.pause, self.slack, self.next = seconds / limit, (min(burst, limit) - 1) * seconds / limit, -math.inf

    def wait(self, moment):
        early = self.next - self.slack - moment
        return early if early > 1e-9 else 0.0

    def take(self, moment):
        self.next = max(self.next, moment) + self.pause


class Client:
    """Sends what the quota allows, at a server's mercy; enters each 429 as `RetryPolicy.wait_after_429` does."""

    def __init__(self, limits, servers, latency, seed):
        self.clock = FakeClock()
        self.limiter, self.budget = RateLimiter(tuple(limits), WIDE, self.clock), Budget(self.clock)
        self.servers, self.latency, self.rng = servers, latency, random.Random(seed)
        self.refused = []

    def send(self):
        """Until it is taken."""
        while True:
            ticket = self.limiter.acquire(None, self.budget)
            latency = self.rng.uniform(0, self.latency)
            arrives = self.rng.choice((0.0, self.rng.random(), 1.0)) * latency
            self.clock.advance(arrives)
            wait = max(server.wait(self.clock.monotonic()) for server in self.servers)
            if not wait:
                for server in self.servers:
                    server.take(self.clock.monotonic())
            self.clock.advance(latency - arrives)
            self.limiter.record_response(ticket)
            if not wait:
                return
            self.refused.append(self.clock.monotonic())
            self.limiter.block(wait, "answered 429", headers={}, retry_after=wait)


@pytest.mark.slow
@settings(max_examples=60 * LONG, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from((Counters, Tokens, Leak)),
    limit=st.integers(2, 60),
    seconds=st.sampled_from((1.0, 10.0, 60.0)),
    phase=st.floats(0, 60),
    burst=st.integers(1, 10),
    latency=st.sampled_from((0.0, 0.05, 2.0)),
    idle=st.sampled_from((0.0, 0.3, 5.0)),
    seed=st.integers(0, 10_000),
)
def test_a_server_that_takes_no_bursts_refuses_once_at_most(kind, limit, seconds, phase, burst, latency, idle, seed):
    client = Client([(limit, seconds), (10**6, 3600.0)], [kind(limit, seconds, phase, burst)], latency, seed)
    rng, started = random.Random(seed), client.clock.monotonic()
    for _ in range(4 * limit):
        client.clock.advance(rng.choice((0.0, rng.uniform(0, idle))))
        client.send()
        if client.clock.monotonic() > started + 3600:
            break
    note(f"refused at {client.refused}")
    assert len(client.refused) <= 1


@pytest.mark.slow
@settings(max_examples=6 * LONG, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from((Counters, Tokens, Leak)),
    phase=st.floats(0, 3600),
    burst=st.integers(1, 60),
    latency=st.sampled_from((0.0, 0.5)),
    seed=st.integers(0, 10_000),
)
def test_the_vendors_two_windows_cost_one_refusal_each_at_most(kind, phase, burst, latency, seed):
    servers = [kind(*limit, phase, burst) for limit in APPLICATION_LIMITS]
    client = Client(APPLICATION_LIMITS, servers, latency, seed)
    started, sent = client.clock.monotonic(), 0
    while client.clock.monotonic() < started + 3500:
        client.send()
        sent += 1
    note(f"{sent} sent, refused at {client.refused}")
    assert len(client.refused) <= 2
    assert sent >= 900, "spread evenly, and no slower than that"


# ---- when it begins, when it ends


SMALL = ((4, 60.0), (10, 3600.0))
EVEN, EVENER = (Window("application", 1, seconds / (limit - 1)).span for limit, seconds in SMALL)
DAY = BURST_MEMORY * Window("application", *SMALL[1]).span
GATE = 1.0


@pytest.fixture
def limiter(clock):
    return RateLimiter(SMALL, WIDE, clock)


def pause(limiter, budget, clock):
    """Seconds between two requests, when there is no gate."""
    spend(limiter, budget)
    before = clock.slept
    spend(limiter, budget)
    return clock.slept - before


@pytest.mark.parametrize("headers", [{}, {"X-RateLimit-Remaining": "7"}, {"X-RateLimit-Remaining": "absurd"}])
def test_a_429_that_no_window_explains_spreads_requests(limiter, budget, clock, headers):
    limiter.block(GATE, "429", headers=headers)
    assert pause(limiter, budget, clock) == pytest.approx(EVEN, abs=0.01)


@pytest.mark.parametrize(
    "headers",
    [{"X-RateLimit-Remaining": "0"}, {"X-RateLimit-Organization-Remaining": "0", "X-RateLimit-Remaining": "5"}, None],
    ids=["application", "organization", "no 429"],
)
def test_a_429_that_headers_explain_does_not_spread_them(limiter, budget, clock, headers):
    limiter.block(GATE, "429", headers=headers)
    assert pause(limiter, budget, clock) == 0


def test_a_429_during_a_block_changes_nothing(limiter, budget, clock):
    for _ in range(8):  # all were under way when the first was refused
        limiter.block(GATE, "429", headers={})
        clock.advance(0.1)
    assert pause(limiter, budget, clock) == pytest.approx(EVEN, abs=0.01)


@pytest.mark.parametrize(("times", "expected"), [(1, EVEN), (2, EVENER), (3, EVENER), (9, EVENER)])
def test_further_429s_spread_the_next_window_and_no_third_one(limiter, budget, clock, times, expected):
    for _ in range(times):
        limiter.block(GATE, "429", headers={})
        clock.advance(GATE)
    assert pause(limiter, budget, clock) == pytest.approx(expected, abs=0.01)


def test_spreading_ends_after_a_day(limiter, budget, clock):
    assert 86_400 <= DAY <= 1.01 * 86_400
    limiter.block(GATE, "429", headers={})
    clock.advance(DAY - 30)
    assert pause(limiter, budget, clock) == pytest.approx(EVEN, abs=0.01)
    clock.advance(61)
    assert pause(limiter, budget, clock) == 0


def test_after_a_day_the_first_429_spreads_again(limiter, budget, clock):
    for _ in range(2):
        limiter.block(GATE, "429", headers={})
        clock.advance(2 * GATE)
    clock.advance(DAY)
    limiter.block(GATE, "429", headers={})
    clock.advance(GATE)
    assert pause(limiter, budget, clock) == pytest.approx(EVEN, abs=0.01)


def test_an_absurd_wait_blocks_and_spreads_nothing(limiter, budget, clock):
    for seconds in (math.nan, math.inf, -1.0, 0.0):
        limiter.block(seconds, "429", headers={})
    assert pause(limiter, budget, clock) == 0


def test_a_window_of_one_request_can_be_spread_too(clock, budget):
    limiter = RateLimiter(((1, 10.0),), WIDE, clock)
    limiter.block(GATE, "429", headers={})
    clock.advance(GATE)
    assert pause(limiter, budget, clock) == pytest.approx(20.1, abs=0.01)
