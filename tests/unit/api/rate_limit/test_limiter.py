"""I4: no 429 of our own making, and no slower than need be."""

import logging
import math
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.limiter import IN_FLIGHT
from automatum.api.rate_limit.windows import Window
from automatum.config.settings import APPLICATION_LIMITS, ORGANIZATION_LIMITS
from automatum.core.budget import Budget
from automatum.core.errors import EXIT_MORE_TO_DO, BudgetSpent, QuotaExhausted
from tests.support.clocks import FakeClock
from tests.support.examples import examples
from tests.support.quota_stage import Server

MINUTE, HOUR = 0, 1
GENEROUS = ((10_000, 60.0), (100_000, 3600.0))
SPAN = Window("application", 1000, 3600.0).span
"""Seconds for which a request counts in the window of an hour."""
GUARD = SPAN - 3600
INSTANT = 0.01
"""Seconds; to look right before and right after something."""


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def budget(clock):
    return Budget(clock)


def vendor(clock):
    return RateLimiter(APPLICATION_LIMITS, ORGANIZATION_LIMITS, clock)


def spend(limiter, budget, count, latency=0.0, clock=None):
    for _ in range(count):
        ticket = limiter.acquire(None, budget)
        if latency:
            clock.advance(latency)
        limiter.record_response(ticket)


def answer(limiter, budget, headers, server_date):
    """One request, and what its response says."""
    limiter.record_response(limiter.acquire(None, budget), headers, server_date)


def used(limiter):
    return [window["used"] for window in limiter.window_usage()]


# ---- the property: never over the limit of an independent server, and not much slower than the best


def run(limits, count, latencies, gaps, seed, threads):
    """Send so many requests; returns the server, the seconds it took and the seconds the windows alone would take."""
    clock, rng, server = FakeClock(), random.Random(seed), Server([*limits[0], *limits[1]])
    limiter, budget = RateLimiter(*limits, clock), Budget(clock)
    best = limiter.wait_for(count)
    started, flying, idle = clock.monotonic(), [], 0.0

    def land(ticket):
        flying.remove(ticket)
        limiter.record_response(ticket)

    for _ in range(count):
        while len(flying) >= threads:
            clock.advance(0.001)
        gap = rng.uniform(0, gaps)
        idle += gap
        clock.advance(gap)
        ticket = limiter.acquire(None, budget)
        latency = rng.uniform(0, latencies)
        server.arrivals.append(clock.monotonic() + rng.choice((0.0, rng.random(), 1.0)) * latency)
        flying.append(ticket)
        clock.call_at(clock.monotonic() + latency, lambda one=ticket: land(one))
    return server, clock.monotonic() - started - idle, best


windows = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from((0.5, 1.0, 3.0, 10.0, 60.0))), min_size=1, max_size=2
).map(tuple)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, derandomize=True)
@given(
    application=windows,
    organization=windows,
    count=st.integers(1, 60),
    latencies=st.sampled_from((0.0, 0.02, 0.7, 5.0)),
    gaps=st.sampled_from((0.0, 0.0, 0.3, 4.0)),
    threads=st.sampled_from((1, 2, 8)),
    phase=st.floats(0, 60),
    seed=st.integers(0, 10_000),
)
def test_no_server_ever_counts_more_than_its_limit(
    application, organization, count, latencies, gaps, threads, phase, seed
):
    server, seconds, best = run((application, organization), count, latencies, gaps, seed, threads)
    assert server.worst(phase) <= 0
    assert seconds <= 1.01 * best + latencies * count + 0.01 * count, "slower than the windows demand"


@pytest.mark.slow
@pytest.mark.parametrize("latencies", [0.0, 0.3])
def test_the_vendors_quota_is_used_to_the_full(latencies):
    server, seconds, _ = run((APPLICATION_LIMITS, ORGANIZATION_LIMITS), 2500, latencies, 0.0, 7, 4)
    assert server.worst(17.0) <= 0
    assert seconds <= 1.02 * 7200 + 1200, "2,500 requests are two full hours and ten minutes of a third"


# ---- waiting


def test_the_51st_request_of_a_minute_waits_for_the_first_to_age(clock, budget):
    limiter = vendor(clock)
    spend(limiter, budget, 50)
    assert clock.slept == 0
    spend(limiter, budget, 1)
    assert 60 < clock.slept < 61


def test_a_request_ages_from_its_answer_and_not_from_its_sending(clock, budget):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock)
    ticket = limiter.acquire(None, budget)
    clock.advance(30)
    limiter.record_response(ticket)
    spend(limiter, budget, 1)
    assert 60 < clock.slept < 61


def test_a_request_without_a_response_begins_to_age(clock, budget):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock, in_flight=40)
    lost = limiter.acquire(None, budget)
    clock.advance(40)
    spend(limiter, budget, 1)
    assert 60 < clock.slept < 61
    limiter.record_response(lost)
    assert limiter.window_usage()[0]["used"] == 2, "an answer that comes after all counts from now on"


def test_a_request_without_a_response_for_an_hour_is_forgotten(clock, budget):
    limiter = vendor(clock)
    lost = limiter.acquire(None, budget)
    clock.advance(IN_FLIGHT + SPAN - INSTANT)
    assert used(limiter)[HOUR] == 1
    clock.advance(2 * INSTANT)
    assert used(limiter) == [0, 0, 0, 0]
    spend(limiter, budget, 1)
    limiter.record_response(lost)
    assert used(limiter) == [1, 1, 1, 1]


def test_a_response_that_is_recorded_twice_counts_once(clock, budget):
    limiter = vendor(clock)
    ticket = limiter.acquire(None, budget)
    limiter.record_response(ticket)
    limiter.record_response(ticket)
    assert used(limiter) == [1, 1, 1, 1]


def test_a_released_request_does_not_count(clock, budget):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock)
    limiter.release(limiter.acquire(None, budget))
    spend(limiter, budget, 1)
    assert clock.slept == 0


def test_a_wait_that_is_longer_than_allowed_is_refused(clock, budget):
    limiter = RateLimiter(((10, 3600.0),), GENEROUS, clock)
    spend(limiter, budget, 10)
    clock.advance(600)
    with pytest.raises(QuotaExhausted, match=r"application: 10 requests per hour") as caught:
        limiter.acquire(60.0, budget)
    assert clock.slept == 0
    assert caught.value.resume_at - clock.time() == pytest.approx(SPAN - 600)
    assert caught.value.exit_code == EXIT_MORE_TO_DO
    assert "Run again after 2023-11-14T23:13:2" in caught.value.next_step


def test_the_time_already_waited_counts_towards_the_limit(clock, budget):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock)
    spend(limiter, budget, 1)
    clock.call_at(clock.monotonic() + 30, lambda: limiter.block(40, "held"))
    with pytest.raises(QuotaExhausted, match="held"):
        limiter.acquire(65.0, budget)


def test_a_wait_that_outlasts_the_run_is_refused_at_once(clock):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock)
    budget = Budget(clock, max_seconds=30)
    spend(limiter, budget, 1)
    with pytest.raises(QuotaExhausted, match="30 s left"):
        limiter.acquire(None, budget)
    assert clock.slept == 0


def test_a_stop_ends_a_wait_within_a_second_and_charges_nothing(clock):
    limiter, stop = RateLimiter(((1, 3600.0),), GENEROUS, clock), threading.Event()
    budget = Budget(clock, stop=stop)
    spend(limiter, budget, 1)
    clock.call_at(clock.monotonic() + 100, stop.set)
    with pytest.raises(BudgetSpent):
        limiter.acquire(None, budget)
    assert 100 <= clock.slept <= 101
    assert limiter.window_usage()[0]["used"] == 1


def test_setting_the_machines_clock_changes_nothing(clock, budget):
    limiter = RateLimiter(((1, 60.0),), GENEROUS, clock)
    spend(limiter, budget, 1)
    clock.set_wall(100_000)
    spend(limiter, budget, 1)
    assert 60 < clock.slept < 61


def test_a_long_wait_is_logged_once_with_reason_and_end(clock, budget, caplog):
    limiter, waits = RateLimiter(((1, 60.0),), GENEROUS, clock), []
    limiter.on_wait = lambda seconds, reason: waits.append((seconds, reason))
    with caplog.at_level(logging.INFO, "automatum"):
        spend(limiter, budget, 2)
    assert [record.message for record in caplog.records] == [
        "waiting 61 s, until 2023-11-14T22:14:21Z: quota of the application: 1 requests per minute is used up"
    ]
    assert waits == [(pytest.approx(60.3), "quota of the application: 1 requests per minute is used up")]


def test_a_short_wait_is_not_logged(clock, budget, caplog):
    limiter = RateLimiter(((1, 0.5),), GENEROUS, clock)
    with caplog.at_level(logging.INFO, "automatum"):
        spend(limiter, budget, 2)
    assert caplog.records == []
    assert clock.slept > 0.5


def test_the_organizations_windows_count_too(clock, budget):
    limiter = RateLimiter(GENEROUS, ((3, 60.0),), clock)
    spend(limiter, budget, 3)
    with pytest.raises(QuotaExhausted, match="organization: 3 requests per minute"):
        limiter.acquire(1.0, budget)


def test_threads_never_exceed_the_limit(clock, budget):
    limiter, taken = RateLimiter(((40, 3600.0),), GENEROUS, clock), []

    def take():
        for _ in range(15):
            try:
                limiter.record_response(limiter.acquire(0.0, budget))
                taken.append(1)
            except QuotaExhausted:
                return

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 40


# ---- what the server says


def headers(limit=None, remaining=None, reset=None, org_limit=None, org_remaining=None):
    names = {
        "X-RateLimit-Limit": limit,
        "X-RateLimit-Remaining": remaining,
        "X-RateLimit-Reset": reset,
        "X-RateLimit-Organization-Limit": org_limit,
        "X-RateLimit-Organization-Remaining": org_remaining,
    }
    return {name: str(value) for name, value in names.items() if value is not None}


def test_fewer_requests_left_than_counted_apply_to_the_hour_only(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 400), clock.time())
    assert used(limiter) == [1, 600, 1, 1]
    answer(limiter, budget, headers(1000, 399), clock.time())
    assert used(limiter) == [2, 601, 2, 2], "the same news twice is no news"
    clock.advance(SPAN - INSTANT)
    assert used(limiter)[HOUR] == 601
    clock.advance(2 * INSTANT)
    assert used(limiter)[HOUR] == 0


def test_more_requests_left_than_counted_are_ignored(clock, budget):
    limiter = vendor(clock)
    spend(limiter, budget, 29)
    answer(limiter, budget, headers(5000, 4999, None, 90_000, 90_000), clock.time())
    assert used(limiter) == [30, 30, 30, 30]
    assert [window["limit"] for window in limiter.window_usage()] == [50, 1000, 500, 10000]


def test_requests_of_other_programs_are_forgotten_at_the_reset(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 400, clock.time() + 600), clock.time())
    clock.advance(600 + GUARD - INSTANT)
    assert used(limiter)[HOUR] == 600
    clock.advance(2 * INSTANT)
    assert used(limiter)[HOUR] == 1


def test_no_requests_left_blocks_until_the_reset(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 0, clock.time() + 600), clock.time())
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(600 + GUARD)


def test_a_reset_later_than_the_own_count_applies(clock, budget):
    limiter = RateLimiter(((10, 3600.0),), GENEROUS, clock)
    spend(limiter, budget, 9)
    clock.advance(3000)
    answer(limiter, budget, headers(10, 0, clock.time() + 2000), clock.time())
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(2000 + GUARD)


def test_the_reset_is_read_against_the_servers_date(clock, budget):
    limiter = vendor(clock)
    there = clock.time() - 5000
    answer(limiter, budget, headers(1000, 0, there + 600), there)
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(600 + GUARD)


def test_without_a_date_the_reset_is_read_against_our_clock(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 0, clock.time() + 600), None)
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(600 + GUARD)


@pytest.mark.sample(4)
@pytest.mark.parametrize("reset", [None, "", "soon", "nan", "inf", "-inf", "-5", "1642334400", "1e300", 9e12, "45"])
def test_an_absurd_reset_does_not_block(clock, budget, reset):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 0, reset), clock.time())
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(SPAN), "nothing left and no reset: as if all had been used just now"


@pytest.mark.parametrize("remaining", ["-1", "", "many", "nan", "3.5", "1e2", "9" * 40, "٣"])
def test_an_absurd_number_of_requests_left_is_ignored(clock, budget, remaining):
    limiter = vendor(clock)
    spend(limiter, budget, 2)
    answer(limiter, budget, headers(None, remaining, clock.time() + 60, None, remaining), clock.time())
    assert used(limiter) == [3, 3, 3, 3]
    assert limiter.window_usage()[HOUR]["free_in"] == 0


def test_the_first_of_two_headers_of_one_name_counts(clock, budget):
    """A gateway adds its own below those of the API."""
    limiter = vendor(clock)
    said = HTTPHeaderDict(headers(1000, 400))
    said.add("x-ratelimit-remaining", "999")
    answer(limiter, budget, said, clock.time())
    assert used(limiter)[HOUR] == 600


@pytest.mark.parametrize("limit", ["0", "-1", "", "lots", "nan", "12.5", "9" * 40])
def test_an_absurd_limit_is_ignored(clock, budget, limit):
    limiter = vendor(clock)
    answer(limiter, budget, headers(limit, 990, None, limit), clock.time())
    assert used(limiter) == [1, 10, 1, 1]


def test_a_lower_limit_than_configured_is_kept_to_until_the_reset(clock, budget):
    """It is not remembered: each response says again what is left."""
    limiter = vendor(clock)
    answer(limiter, budget, headers(200, 199, clock.time() + 1800), clock.time())
    assert [window["limit"] for window in limiter.window_usage()] == [50, 1000, 500, 10000]
    assert used(limiter) == [1, 801, 1, 1]
    clock.advance(1800 + GUARD + INSTANT)
    assert used(limiter)[HOUR] == 1


def test_the_window_of_a_limit_of_which_no_setting_knows_is_that_of_its_reset(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(40, 39, clock.time() + 30), clock.time())
    assert used(limiter) == [11, 1, 1, 1], "40 a minute, not 40 an hour"


def test_headers_about_the_minute_are_not_taken_for_the_hour(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(50, 20, clock.time() + 45), clock.time())
    assert used(limiter) == [30, 1, 1, 1]


def test_no_requests_left_for_the_organization_blocks_for_a_minute(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(1000, 999, None, 10000, 0), clock.time())
    spend(limiter, budget, 1)
    assert 59 < clock.slept < 61
    assert used(limiter) == [2, 2, 2, 2]


def test_few_requests_left_for_the_organization_apply_for_a_minute(clock, budget):
    limiter = vendor(clock)
    answer(limiter, budget, headers(org_limit=10000, org_remaining=2), clock.time())
    spend(limiter, budget, 2)
    assert clock.slept == 0
    spend(limiter, budget, 1)
    assert 59 < clock.slept < 61


def test_a_response_without_headers_changes_nothing(clock, budget):
    limiter = vendor(clock)
    spend(limiter, budget, 1)
    answer(limiter, budget, {}, None)
    assert used(limiter) == [2, 2, 2, 2]


def test_a_block_applies_to_all_and_a_shorter_one_does_not_shorten_it(clock, budget):
    limiter = vendor(clock)
    limiter.block(90, "long")
    limiter.block(5, "short")
    with pytest.raises(QuotaExhausted, match="long"):
        limiter.acquire(10, budget)
    spend(limiter, budget, 1)
    assert clock.slept == pytest.approx(90)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -5.0, 0.0])
def test_an_absurd_block_is_ignored(clock, budget, seconds):
    limiter = vendor(clock)
    limiter.block(seconds, "absurd")
    spend(limiter, budget, 1)
    assert clock.slept == 0


def test_requests_that_expire_before_the_answer_are_not_taken_for_those_of_other_programs(clock, budget):
    limiter = RateLimiter(((10, 60.0),), GENEROUS, clock)
    spend(limiter, budget, 4)
    clock.advance(60)
    answer(limiter, budget, headers(10, 5), clock.time())
    clock.advance(1)
    assert used(limiter)[0] == 1


# ---- telling how long


@pytest.mark.slow
def test_the_forecast_is_the_time_that_the_requests_take(clock, budget):
    limiter = vendor(clock)
    spend(limiter, budget, 20)
    for count in (1, 30, 31, 200, 1500):
        forecast = limiter.wait_for(count)
        other = FakeClock()
        twin = vendor(other)
        spend(twin, Budget(other), 20)
        spend(twin, Budget(other), count)
        assert forecast == pytest.approx(other.slept, abs=0.1), count


def test_the_forecast_includes_blocks_pending_requests_and_other_programs(clock, budget):
    limiter = vendor(clock)
    assert limiter.wait_for(0) == limiter.wait_for(-3) == limiter.wait_for(50) == 0
    limiter.acquire(None, budget)
    assert limiter.wait_for(50) > 60
    answer(limiter, budget, headers(1000, 10, clock.time() + 900), clock.time())
    assert limiter.wait_for(12) == pytest.approx(900 + GUARD)
    limiter.block(1200, "held")
    assert limiter.wait_for(1) == pytest.approx(1200)


def test_the_state_says_when_a_request_is_allowed(clock, budget):
    limiter = vendor(clock)
    spend(limiter, budget, 50)
    clock.advance(20)
    minute, hour, *_ = limiter.window_usage()
    assert minute == {
        "window": "application: 50 requests per minute",
        "scope": "application",
        "reserved": 0,
        "limit": 50,
        "seconds": 60.0,
        "used": 50,
        "free_in": pytest.approx(40.3),
    }
    assert (hour["used"], hour["free_in"]) == (50, 0.0)


def test_the_reserve_is_a_share_of_the_limit_that_the_server_announces_if_it_is_the_lower(clock, budget):
    limiter = RateLimiter(((10_000, 60.0),), (), clock)
    limiter.reserve = 0.1
    date = clock.time()
    for left in range(49, 4, -1):
        said = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(date + 60)}
        answer(limiter, budget, said, date)
    assert clock.time() == date, "45 of 50 requests are sent at once"
    assert limiter.window_usage()[0]["reserved"] == 5
    with pytest.raises(QuotaExhausted, match="but for 5 kept for metering"):
        limiter.acquire(0.0, budget)
    limiter.acquire(0.0, budget, from_reserve=True)


def test_a_limit_that_is_announced_higher_than_the_configured_one_enlarges_no_reserve(clock, budget):
    limiter = RateLimiter(((50, 60.0),), (), clock)
    limiter.reserve = 0.1
    said = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999", "X-RateLimit-Reset": str(clock.time() + 60)}
    answer(limiter, budget, said, clock.time())
    assert limiter.window_usage()[0]["reserved"] == 5


def test_the_reserve_is_for_a_push_alone(clock, budget):
    limiter = RateLimiter(((10, 60.0),), GENEROUS, clock)
    limiter.reserve = 0.2
    spend(limiter, budget, 8)
    with pytest.raises(QuotaExhausted, match="2 kept for metering"):
        limiter.acquire(1.0, budget)
    for _ in range(2):
        limiter.acquire(1.0, budget, from_reserve=True)
    with pytest.raises(QuotaExhausted):
        limiter.acquire(1.0, budget, from_reserve=True)
