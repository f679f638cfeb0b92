"""I4: several who share a quota, in any order of events, never send more than an independent server allows.

Long form: `AUTOMATUM_LONG=1` plays 20 times as many.
"""

import os
import random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from automatum.core.budget import Budget
from automatum.core.errors import QuotaExhausted
from tests.support.quota_fixtures import Shop
from tests.support.quota_stage import Server, Stage

LONG = 20 if os.environ.get("AUTOMATUM_LONG") else 1
IN_FLIGHT = 20.0

limits = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from((0.5, 1.0, 3.0, 10.0))),
    min_size=1,
    max_size=2,
    unique_by=lambda w: w[1],
)


@pytest.fixture
def workshop():
    """Makes shops whose limiters share one state in memory. `tests/integration` plays the same on SQLite and Redis."""
    return lambda: Shop("memory", Stage(), None, None)


class Client:
    """A process with a share of the work: sends, waits for the answer, sometimes loses a ticket or takes it back."""

    def __init__(self, limiter, clock, server, seed, count, latency, push):
        self.limiter, self.clock, self.server = limiter, clock, server
        self.rng, self.count, self.latency, self.push = random.Random(seed), count, latency, push
        self.finished = None

    def work(self):
        rng, budget = self.rng, Budget(self.clock)
        self.clock.sleep(rng.uniform(0, 2))
        for _ in range(self.count):
            ticket = self.limiter.acquire(None, budget, from_reserve=self.push)
            fate = rng.random()
            if fate < 0.05:
                self.limiter.release(ticket)
                continue
            self.send(ticket, lost=fate > 0.97)
            if rng.random() < 0.3:
                self.clock.sleep(rng.uniform(0, 1))
        self.finished = self.clock.monotonic()

    def send(self, ticket, lost):
        latency = self.rng.uniform(0, self.latency)
        counted = self.rng.choice((0.0, self.rng.random(), 1.0)) * latency
        self.server.arrivals.append(self.clock.monotonic() + counted)
        self.clock.sleep(latency)
        if not lost:
            self.limiter.record_response(ticket)


def check_play(workshop, application, organization, clients, count, latency, share, phase, seed):
    shop = workshop()
    clock, server = shop.clock, Server([*application, *organization])
    players = []
    for place in range(clients):
        limiter = shop.limiter(application, organization, in_flight=IN_FLIGHT)
        limiter.reserve = share
        players.append(Client(limiter, clock, server, seed + place, count, latency, push=share > 0 and place == 0))
    clock.play(*(player.work for player in players))
    shop.close()
    note(f"{len(server.arrivals)} requests in {clock.monotonic() - 1000:.1f} s")
    assert server.worst(phase) <= 0, "more than the server allows"
    assert all(player.finished for player in players)


@pytest.mark.slow
@pytest.mark.parametrize("kind_of_latency", ["short", "long"])
def test_no_server_ever_counts_more_than_its_limit_for_all_callers(workshop, kind_of_latency):
    latencies = (0.0, 0.02) if kind_of_latency == "short" else (0.7, 5.0)

    @settings(max_examples=12 * LONG, deadline=None, derandomize=True, database=None)
    @given(
        application=limits,
        organization=limits,
        clients=st.integers(2, 4),
        count=st.integers(1, 8),
        latency=st.sampled_from(latencies),
        share=st.sampled_from((0.0, 0.3)),
        phase=st.floats(0, 10),
        seed=st.integers(0, 10_000),
    )
    def check(**play):
        check_play(workshop, **play)

    check()


@pytest.mark.parametrize("seed", range(2 * LONG))
def test_no_caller_gets_much_less_than_the_others(workshop, seed):
    """There is no queue, so chance decides who gets the next free request: nobody gets twice as many as another."""
    shop, sent = workshop(), [0, 0, 0, 0]
    clock, end = shop.clock, shop.clock.monotonic() + 120

    def greedy(place):
        limiter, rng = shop.limiter(((5, 3.0),)), random.Random(f"{seed} {place}")

        def work():
            while clock.monotonic() < end:
                ticket = limiter.acquire(None, Budget(clock))
                clock.sleep(rng.uniform(0.01, 0.1))
                limiter.record_response(ticket)
                sent[place] += 1

        return work

    clock.play(*(greedy(place) for place in range(len(sent))))
    shop.close()
    assert sum(sent) >= 0.9 * 5 * 120 / 3.015
    assert max(sent) <= 2 * min(sent), f"seed {seed}: {sent}"


def events(workshop):
    """A state machine that uses three limiters of one state in turn. None of them may wait."""

    class Machine(RuleBasedStateMachine):
        @initialize(application=limits)
        def begin(self, application):
            self.shop = workshop()
            self.clock, self.application = self.shop.clock, application
            self.limiters = [self.shop.limiter(application, in_flight=IN_FLIGHT) for _ in range(3)]
            self.budget = Budget(self.clock)
            self.flying = []  # ticket, when it was allowed
            self.young = []  # requests that count: when each began to age at the earliest
            self.server = Server(application)

        def teardown(self):
            if hasattr(self, "shop"):
                self.shop.close()

        def counted(self, seconds):
            """Requests younger than a window, told apart from all that the quota believes."""
            now = self.clock.monotonic()
            flights = [min(now, at + IN_FLIGHT) for _, at in self.flying]
            return sum(now - began < seconds for began in [*self.young, *flights])

        @rule(by=st.integers(0, 2))
        def acquire(self, by):
            room = all(self.counted(seconds) < limit for limit, seconds in self.application)
            try:
                ticket = self.limiters[by].acquire(0.0, self.budget)
            except QuotaExhausted:
                return
            assert room, "allowed although the window is full"
            self.flying.append((ticket, self.clock.monotonic()))
            self.server.arrivals.append(self.clock.monotonic())

        @precondition(lambda self: self.flying)
        @rule(
            by=st.integers(0, 2),
            which=st.integers(0, 100),
            remaining=st.none() | st.integers(0, 8),
            resets=st.sampled_from((None, 0.7, 4.0)),
        )
        def settle(self, by, which, remaining, resets):
            ticket, _ = self.flying.pop(which % len(self.flying))
            said = {} if remaining is None else {"X-RateLimit-Remaining": str(remaining)}
            if resets:
                said["X-RateLimit-Reset"] = str(self.clock.time() + resets)
            self.limiters[by].record_response(ticket, said, self.clock.time())
            self.young.append(self.clock.monotonic())

        @rule(seconds=st.sampled_from((0.001, 0.3, 0.5, 1.0, 3.1, 10.1)))
        def time_passes(self, seconds):
            self.clock.advance(seconds)

        @rule(by=st.integers(0, 2))
        def restart(self, by):
            """A process ends and another begins: it knows what is stored."""
            self.limiters[by] = self.shop.limiter(self.application, in_flight=IN_FLIGHT)

        @invariant()
        def all_see_the_same_and_no_less_than_there_is(self):
            if not hasattr(self, "shop"):
                return
            states = [limiter.window_usage() for limiter in self.limiters]
            assert states[0] == states[1] == states[2]
            for (_, seconds), window in zip(self.application, states[0], strict=False):
                assert window["used"] >= self.counted(seconds)
            assert self.server.worst(0.0) <= 0

    return Machine


@pytest.mark.slow
def test_no_order_of_events_counts_a_request_too_little(workshop):
    run_state_machine_as_test(
        events(workshop),
        settings=settings(
            max_examples=15 * LONG, stateful_step_count=30, deadline=None, derandomize=True, database=None
        ),
    )
