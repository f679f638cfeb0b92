"""The limiters of several applications: who may send soonest, and one count for the organization (I4)."""

import pytest

from automatum.api.rate_limit import RateLimiter
from automatum.config.settings import APPLICATION_LIMITS, ORGANIZATION_LIMITS
from automatum.core.budget import Budget
from automatum.core.errors import QuotaExhausted
from tests.support.clocks import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


def build(clock, count, application=APPLICATION_LIMITS, organization=ORGANIZATION_LIMITS):
    shared = RateLimiter((), organization, clock)
    made = [RateLimiter(application, (), clock, shared=shared) for _ in range(count)]
    made[0].pooled = made
    return made


def spend(limiters, clock, count, each=0.0):
    """Send so many requests in turns; returns how many each limiter allowed."""
    sent, budget = dict.fromkeys(limiters, 0), Budget(clock)
    for number in range(count):
        at = number % len(limiters)
        chosen, ticket = limiters[0].acquire_first([*limiters[at:], *limiters[:at]], None, budget)
        clock.advance(each)
        chosen.record_response(ticket)
        sent[chosen] += 1
    return list(sent.values())


def test_the_first_that_may_send_now_sends(clock):
    one, two, three = build(clock, 3, ((2, 60.0),))
    budget = Budget(clock)
    assert [one.acquire_first((two, three, one), None, budget)[0] for _ in range(5)] == [two, two, three, three, one]
    assert clock.slept == 0


def test_if_all_have_to_wait_it_is_the_one_that_waits_least(clock):
    one, two = build(clock, 2, ((1, 60.0),))
    spend([one], clock, 1)
    clock.advance(20)
    spend([two], clock, 1)
    chosen, _ = one.acquire_first((two, one), None, Budget(clock))
    assert chosen is one
    assert clock.slept == pytest.approx(40.3, abs=0.1)


def test_a_block_of_one_is_that_ones(clock):
    one, two = build(clock, 2)
    one.block(600, "a 429")
    assert one.wait_for(1) == 0.0
    assert one.wait_for(1, alone=True) == 600
    assert one.acquire_first((one, two), 0.0, Budget(clock))[0] is two
    two.block(600, "again a 429", organization=True)
    clock.advance(1)
    assert build(clock, 1)[0].wait_for(1) == 0
    assert one.wait_for(1) == 599


def test_the_organization_is_counted_once_for_all(clock):
    limiters = build(clock, 3, ((10, 60.0),), ((12, 60.0),))
    spend(limiters, clock, 12)
    assert [one["used"] for one in limiters[0].window_usage()] == [4, 12]
    assert limiters[0].wait_for(1) == pytest.approx(60.3, abs=0.1)
    with pytest.raises(QuotaExhausted, match="organization: 12 requests"):
        limiters[0].acquire_first(limiters, 0.0, Budget(clock))
    assert [one.window_usage()[0]["used"] for one in limiters] == [4, 4, 4], "what was not allowed is not counted"


def test_what_is_released_is_released_for_the_organization(clock):
    one, two = build(clock, 2, ((10, 60.0),), ((1, 60.0),))
    one.release(one.acquire(None, Budget(clock)))
    two.acquire(0.0, Budget(clock))


def test_the_header_of_the_organization_holds_for_all(clock):
    one, two = build(clock, 2)
    ticket = one.acquire(None, Budget(clock))
    limits = {"X-RateLimit-Organization-Limit": "10000", "X-RateLimit-Organization-Remaining": "0"}
    one.record_response(ticket, limits, clock.time())
    assert two.wait_for(1) == pytest.approx(60, abs=1)


def test_the_header_of_an_application_holds_for_that_one(clock):
    one, two = build(clock, 2)
    ticket = one.acquire(None, Budget(clock))
    limits = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(clock.time() + 900)}
    one.record_response(ticket, limits, clock.time())
    assert one.wait_for(1, alone=True) > 890
    assert two.wait_for(1) == 0


@pytest.mark.parametrize(("count", "each"), [(150, 0.0), (201, 0.1), (1_000, 0.0), (4_100, 0.3)])
def test_the_forecast_is_the_time_that_the_requests_take(clock, count, each):
    limiters = build(clock, 4)
    spend(limiters, clock, 77, 0.05)
    ahead, started = limiters[0].wait_for(count, each), clock.monotonic()
    spend(limiters, clock, count, each)
    assert clock.monotonic() - started == pytest.approx(ahead, rel=0.02, abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("each", [0.05, 0.35])
def test_a_million_rows_take_ten_hours_with_one_application(clock, each):
    assert 10 < million(clock, 1, each) < 10.1


@pytest.mark.slow
@pytest.mark.parametrize("each", [0.05, 0.35])
def test_a_million_rows_take_an_hour_with_ten(clock, each):
    assert million(clock, 10, each) < 1.01


def million(clock, count, each):
    """Hours of 10,000 pages, a token for each application and the pages by which they join."""
    started = clock.monotonic()
    spend(build(clock, count), clock, 10_000 + 2 * count, each)
    return (clock.monotonic() - started) / 3600
