"""I4: one quota for all who share it, wherever it is kept. The same tests for memory, SQLite and Redis."""

import threading

import pytest

from automatum.api.rate_limit.limiter import IN_FLIGHT
from automatum.api.rate_limit.windows import Window
from automatum.core.budget import Budget
from automatum.core.errors import BudgetSpent, QuotaExhausted
from tests.support.quota_fixtures import WIDE, spend, used

MINUTE = Window("application", 3, 60.0).span
"""Seconds for which a request counts in a window of a minute, guard included."""
GUARD = Window("application", 10, 3600.0).span - 3600
"""Seconds by which a request counts longer than an hour in a window of that length."""


def taker(limiter, budget, order, name, after=0.0, count=1, **more):
    """An actor that comes after so many seconds and notes its name and the time for each request that it may send."""

    def act():
        if after:
            limiter._clock.sleep(after)
        for _ in range(count):
            ticket = limiter.acquire(None, budget, **more)
            order.append((name, limiter._clock.monotonic()))
            limiter.record_response(ticket)

    return act


def names(order):
    return [name for name, _ in order]


# ---- one count for all


def test_requests_of_one_count_for_the_other(shop, budget, clock):
    one, other = shop.limiter(), shop.limiter()
    spend(one, budget, 2)
    spend(other, budget)
    assert used(one) == used(other) == [3, 3]
    with pytest.raises(QuotaExhausted, match="application: 3 requests per minute"):
        one.acquire(1.0, budget)
    clock.advance(MINUTE)
    assert used(one) == used(other) == [0, 0]


def test_a_request_counts_from_before_it_is_sent_and_ages_from_its_answer(shop, budget, clock):
    one, other = shop.limiter(((1, 60.0),)), shop.limiter(((1, 60.0),))
    ticket = one.acquire(None, budget)
    with pytest.raises(QuotaExhausted):
        other.acquire(1.0, budget)
    clock.advance(30)
    other.record_response(ticket)  # a ticket is known to all
    spend(other, budget)
    assert clock.slept == pytest.approx(MINUTE, abs=0.01)


def test_a_released_request_does_not_count(shop, budget, clock):
    one, other = shop.limiter(((1, 60.0),)), shop.limiter(((1, 60.0),))
    one.release(one.acquire(None, budget))
    spend(other, budget)
    assert clock.slept == 0


def test_a_response_recorded_twice_or_after_a_release_does_not_count(shop, budget):
    limiter = shop.limiter()
    ticket, gone = limiter.acquire(None, budget), limiter.acquire(None, budget)
    limiter.release(gone)
    for one in (ticket, ticket, gone):
        limiter.record_response(one)
    assert used(limiter) == [1, 1]


def test_a_lost_request_begins_to_age(shop, budget, clock):
    one, other = shop.limiter(((1, 60.0),)), shop.limiter(((1, 60.0),))
    one.acquire(None, budget)
    clock.advance(IN_FLIGHT)
    assert used(other) == [1, 1]
    spend(other, budget)
    assert clock.slept == pytest.approx(MINUTE, abs=0.01)


def test_state_and_forecast_change_nothing_and_are_the_same_for_all(shop, budget):
    one, other = shop.limiter(), shop.limiter()
    spend(one, budget, 2)
    for _ in range(3):
        assert one.window_usage() == other.window_usage()
        assert one.wait_for(4) == other.wait_for(4) == pytest.approx(MINUTE, abs=0.01)
    assert other.wait_for(1) == 0
    assert used(one) == [2, 2]


def test_the_forecast_is_the_time_that_the_requests_take(shop, budget, clock):
    one, other = shop.limiter(((4, 10.0), (9, 60.0))), shop.limiter(((4, 10.0), (9, 60.0)))
    spend(one, budget, 3)
    forecast = other.wait_for(20)
    spend(other, budget, 20)
    assert clock.slept == pytest.approx(forecast, abs=0.1)


# ---- what the server says


def test_a_block_applies_to_all(shop, budget, clock):
    one, other = shop.limiter(), shop.limiter()
    one.block(90, "held by one")
    with pytest.raises(QuotaExhausted, match="held by one"):
        other.acquire(10, budget)
    spend(other, budget)
    assert clock.slept == pytest.approx(90, abs=0.01)


def test_requests_of_other_programs_count_for_all_until_the_reset(shop, budget, clock):
    one, other = shop.limiter(((10, 3600.0),)), shop.limiter(((10, 3600.0),))
    said = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset": str(clock.time() + 600)}
    one.record_response(one.acquire(None, budget), said, clock.time())
    assert used(other)[0] == 6
    clock.advance(600 + GUARD - 0.01)
    assert used(other)[0] == 6
    clock.advance(0.02)
    assert used(other)[0] == 1


def test_an_exhausted_window_blocks_all(shop, budget, clock):
    one, other = shop.limiter(((10, 3600.0),)), shop.limiter(((10, 3600.0),))
    said = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(clock.time() + 600)}
    one.record_response(one.acquire(None, budget), said, clock.time())
    spend(other, budget)
    assert clock.slept == pytest.approx(600 + GUARD, abs=0.01)


# ---- the end of a wait


def test_a_stop_ends_a_wait_and_delays_nobody(shop, budget, clock):
    order, stop = [], threading.Event()
    first, second = shop.limiter(((1, 10.0),)), shop.limiter(((1, 10.0),))
    spend(first, budget)
    clock.call_at(clock.monotonic() + 8.2, stop.set)

    def stopped():
        with pytest.raises(BudgetSpent):
            first.acquire(None, Budget(clock, stop=stop))
        order.append(("stopped", clock.monotonic()))

    clock.play(stopped, taker(second, budget, order, "second", after=0.1))
    assert names(order) == ["stopped", "second"]
    assert order[0][1] - 1000 <= 9.21, "within a second"
    assert order[1][1] - 1000 == pytest.approx(10.05, abs=0.01)
    assert used(first)[0] == 1, "and nothing was charged"


# ---- the reserve


def test_general_requests_leave_the_reserve(shop, budget):
    general, push = shop.limiter(((10, 60.0),)), shop.limiter(((10, 60.0),))
    general.reserve = push.reserve = 0.2
    spend(general, budget, 8)
    with pytest.raises(QuotaExhausted, match="but for 2 kept for metering"):
        general.acquire(1.0, budget)
    spend(push, budget, 2, from_reserve=True)
    with pytest.raises(QuotaExhausted):
        push.acquire(1.0, budget, from_reserve=True)
    assert general.window_usage()[0]["reserved"] == 2


def test_the_reserve_is_free_also_when_a_push_has_sent(shop, budget):
    """What a push spends counts for all, so that as much as before is free for the next push."""
    general, push = shop.limiter(((10, 60.0),)), shop.limiter(((10, 60.0),))
    general.reserve = push.reserve = 0.2
    spend(push, budget, 2, from_reserve=True)
    spend(general, budget, 6)
    with pytest.raises(QuotaExhausted, match="but for 2 kept for metering"):
        general.acquire(1.0, budget)
    spend(push, budget, 2, from_reserve=True)
    assert used(general)[0] == 10


def test_a_waiting_backfill_does_not_delay_a_push(shop, budget, clock):
    order, general, push = [], shop.limiter(((10, 60.0),)), shop.limiter(((10, 60.0),))
    general.reserve = push.reserve = 0.2
    spend(general, budget, 8)
    clock.play(
        taker(general, budget, order, "backfill"),
        taker(push, budget, order, "push", after=1.0, from_reserve=True),
    )
    assert names(order) == ["push", "backfill"]
    assert order[0][1] - 1000 == pytest.approx(1.0, abs=0.01)


# ---- processes that know different windows


def test_what_is_remembered_is_enough_for_the_longest_window_of_all(shop, budget, clock):
    short, long = shop.limiter(((5, 10.0),), WIDE), shop.limiter(((5, 10.0), (6, 600.0)), WIDE)
    spend(long, budget)
    clock.advance(100)
    spend(short, budget, 4)
    clock.advance(100)
    spend(short, budget)
    assert used(long) == [1, 6, 1]
    with pytest.raises(QuotaExhausted, match="6 requests per 600 seconds"):
        long.acquire(1.0, budget)
