"""A run ends before it exceeds its own limits."""

import threading

import pytest

from automatum.core.budget import Budget, wait_slice
from automatum.core.clock import SystemClock
from automatum.core.errors import EXIT_MORE_TO_DO, BudgetSpent
from tests.support.clocks import FakeClock


def test_the_request_after_the_last_one_is_refused_and_not_counted():
    budget = Budget(FakeClock(), max_requests=2)
    budget.charge_request()
    budget.check_request()
    budget.charge_request()
    for refuse in (budget.charge_request, budget.check_request):
        with pytest.raises(BudgetSpent, match="budget of 2 requests") as caught:
            refuse()
    assert budget.requests == 2
    assert "Run again" in caught.value.next_step
    assert caught.value.exit_code == EXIT_MORE_TO_DO


def test_no_request_at_all_can_be_allowed():
    with pytest.raises(BudgetSpent):
        Budget(FakeClock(), max_requests=0).charge_request()


def test_token_requests_are_counted_apart():
    budget = Budget(FakeClock(), max_requests=1)
    for _ in range(3):
        budget.charge_token_request()
    budget.charge_request()
    assert (budget.requests, budget.token_requests) == (1, 3)


def test_the_deadline_ends_the_run_and_names_itself():
    clock = FakeClock()
    budget = Budget(clock, max_seconds=90)
    clock.advance(89)
    budget.check()
    assert budget.remaining_seconds() == pytest.approx(1)
    clock.advance(1)
    for refuse in (budget.check, budget.charge_request, budget.charge_token_request):
        with pytest.raises(BudgetSpent, match="90 seconds"):
            refuse()
    assert budget.remaining_seconds() == 0
    assert (budget.requests, budget.token_requests) == (0, 0)


def test_setting_the_machines_clock_does_not_move_the_deadline():
    clock = FakeClock()
    budget = Budget(clock, max_seconds=90)
    clock.set_wall(86_400)
    budget.check()


def test_without_bounds_nothing_is_refused():
    budget = Budget(FakeClock())
    assert budget.remaining_seconds() is None
    for _ in range(1000):
        budget.charge_request()


def test_a_stop_ends_the_run():
    stop = threading.Event()
    budget = Budget(FakeClock(), stop=stop)
    budget.check()
    stop.set()
    with pytest.raises(BudgetSpent, match="told to stop"):
        budget.check()


def test_a_pause_lasts_as_long_as_asked_for():
    clock = FakeClock()
    Budget(clock).pause(7.25)
    assert clock.slept == pytest.approx(7.25)


def test_a_stop_ends_a_pause_within_a_second():
    clock, stop = FakeClock(), threading.Event()
    clock.call_at(clock.monotonic() + 100, stop.set)
    with pytest.raises(BudgetSpent, match="told to stop"):
        Budget(clock, stop=stop).pause(3600)
    assert 100 <= clock.slept <= 101


def test_the_deadline_ends_a_pause():
    clock = FakeClock()
    with pytest.raises(BudgetSpent):
        Budget(clock, max_seconds=5).pause(3600)
    assert clock.slept == pytest.approx(5)


def test_a_stop_ends_a_real_sleep_at_once():
    stop = threading.Event()
    clock = SystemClock(stop)
    threading.Timer(0.05, stop.set).start()
    started = clock.monotonic()
    with pytest.raises(BudgetSpent):
        Budget(clock, stop=stop).pause(60)
    assert clock.monotonic() - started < 0.9


def test_a_slice_always_moves_the_clock():
    assert wait_slice(1e-15, Budget(FakeClock())) > 1e-6
    assert wait_slice(500.0, Budget(FakeClock())) <= 1.0


def test_threads_never_share_the_last_request():
    budget = Budget(FakeClock(), max_requests=500)
    refused = []

    def spend():
        for _ in range(200):
            try:
                budget.charge_request()
            except BudgetSpent:
                refused.append(1)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.requests == 500
    assert len(refused) == 300
