"""The quota in Redis: what can happen to the server, its clock, its memory and the way to it (I4, I6, I3)."""

import logging
import threading

import pytest

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit import redis as ours
from automatum.api.rate_limit.redis import RETRY_SECONDS, RedisStore
from automatum.api.rate_limit.state import FORMAT
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.core.errors import EXIT_UNREACHABLE, AutomatumError, QuotaExhausted, ServerUnreachable
from automatum.core.redaction import REDACTED
from tests.support.loopback import closed_port
from tests.support.quota_fixtures import WIDE, ClockedRedis, spend, used
from tests.support.redis_relay import Relay
from tests.support.valkey import Valkey

PASSWORD = "canary%40pw-7c6b5a"


@pytest.fixture
def build(clock):
    """Makes limiters on a server, one for each process, and closes them."""
    made = []

    def one(url, application=((10, 60.0),), store=ClockedRedis, clock=clock, **more):
        made.append(RateLimiter(tuple(application), WIDE, clock, store(url, "test", clock, **more)))
        return made[-1]

    yield one
    for limiter in made:
        limiter.close()


@pytest.fixture
def relay(valkey):
    made = Relay(valkey.url.removeprefix("unix://"))
    yield made
    made.close()


# ---- the server's clock and memory


@pytest.mark.parametrize("back", [1.0, 59.0, 3600.0, 1e6])
def test_a_server_whose_clock_was_set_back_makes_no_request_younger(build, valkey, clock, budget, back):
    step = [0.0]
    one, other = (build(valkey.url, server_time=lambda: clock.time() + step[0]) for _ in range(2))
    spend(one, budget, 10)
    clock.advance(30)
    spend(build(valkey.url, ((20, 60.0),), server_time=lambda: clock.time() + step[0]), budget)  # the latest time
    step[0] = -back
    assert used(one)[0] == used(other)[0] == 11, "and nothing older"
    spend(other, budget)
    assert 30 <= clock.slept <= 31.4
    clock.advance(61)
    assert used(one) == used(other) == [0, 0]


def test_a_lost_key_is_restored_by_a_process_that_knows_it(build, valkey, budget):
    one, other = build(valkey.url), build(valkey.url)
    spend(one, budget, 8)
    valkey.client.flushall()
    spend(one, budget)
    assert used(one) == used(other) == [9, 9]
    assert used(build(valkey.url)) == [9, 9]


def test_a_key_lives_as_long_as_it_is_needed_and_no_longer(build, valkey, budget):
    spend(build(valkey.url, ((10, 60.0), (100, 3600.0))), budget)
    (key,) = valkey.client.keys()
    assert key == b"automatum:quota:test"
    assert 3600 + 60 < valkey.client.pttl(key) / 1000 < 3 * 3600


@pytest.mark.parametrize("body", [b"", b"{}\n", b'{"format":%d}\n' % (FORMAT + 1), b'{"format":%d}\n' % FORMAT])
def test_a_state_that_cannot_be_read_is_not_overwritten(build, valkey, budget, body):
    valkey.client.hset("automatum:quota:test", mapping={"version": "x", "body": body})
    with pytest.raises(ServerUnreachable, match="cannot be read") as caught:
        build(valkey.url).acquire(None, budget)
    assert "delete the key" in caught.value.next_step
    assert valkey.client.hget("automatum:quota:test", "body") == body


# ---- a server that does not answer


def test_a_server_that_is_down_is_retried_for_a_bounded_time(build, clock, budget):
    limiter = build(f"redis://127.0.0.1:{closed_port()}/0")
    with pytest.raises(ServerUnreachable, match="does not answer") as caught:
        limiter.acquire(None, budget)
    assert RETRY_SECONDS <= clock.slept <= RETRY_SECONDS + 1
    assert caught.value.exit_code == EXIT_UNREACHABLE
    assert "Start the server" in caught.value.next_step
    assert "sources.automatum.quota_url" in caught.value.next_step


def test_a_server_that_comes_back_in_time_is_used(build, clock, budget):
    """The server is restarted empty: a process that knows the state brings it back."""
    server = Valkey()
    limiter = build(server.url)
    spend(limiter, budget, 3)
    path = server.url.removeprefix("unix://")
    server.client.shutdown(nosave=True)
    started = []

    def start():
        started.append(Valkey(path))

    clock.call_at(clock.monotonic() + 5, start)
    try:
        spend(limiter, budget)
        assert used(limiter) == [4, 4]
        assert 5 <= clock.slept <= 5.5
    finally:
        for one in (server, *started):
            one.stop()


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(build, relay, budget, clock, monkeypatch):
    monkeypatch.setattr(ours, "TIMEOUT", 0.2)
    monkeypatch.setattr(ours, "RETRY_SECONDS", 0.5)
    limiter = build(f"redis://127.0.0.1:{relay.port}/0")
    spend(limiter, budget)
    relay.silent = True
    with pytest.raises(ServerUnreachable, match="does not answer"):
        limiter.acquire(None, budget)


def test_an_answer_that_was_paid_for_is_not_lost_when_the_server_is_gone(build, budget, caplog):
    server = Valkey()
    limiter = build(server.url)
    ticket, other = limiter.acquire(None, budget), limiter.acquire(None, budget)
    server.stop()
    limiter.record_response(ticket, {"X-RateLimit-Remaining": "0"})
    limiter.release(other)
    limiter.block(5, "429")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 3
    assert all("does not answer" in one for one in said)
    with pytest.raises(ServerUnreachable):
        limiter.acquire(None, budget)


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("what", ["acquire", "settle"])
def test_a_change_whose_request_or_reply_is_lost_is_made_once(build, valkey, relay, budget, lost, what):
    far, near = build(f"redis://127.0.0.1:{relay.port}/0"), build(valkey.url)
    spend(far, budget)
    if what == "acquire":
        relay.lose = lost
        far.record_response(far.acquire(None, budget))
    else:
        ticket = far.acquire(None, budget)
        relay.lose = lost
        far.record_response(ticket)
    assert relay.lost == 1
    assert used(far) == used(near) == [2, 2]


def test_a_lost_reply_while_others_go_on_counts_too_much_at_most(build, valkey, relay, budget):
    far, near = build(f"redis://127.0.0.1:{relay.port}/0"), build(valkey.url)
    spend(near, budget, 2)
    relay.lose = "reply"
    seen = []
    thread = threading.Thread(target=lambda: seen.append(far.acquire(None, budget)))
    thread.start()
    spend(near, budget, 2)
    thread.join()
    assert used(near)[0] in (5, 6)


# ---- the password


@pytest.fixture
def all_that_is_said(caplog):
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(record.getMessage() + repr(record.args) for record in caplog.records)


def leaks(text):
    return [part for part in (PASSWORD, "canary@pw", "canary", "7c6b5a") if part in text]


@pytest.fixture
def guarded(valkey):
    """A server that wants a password; its socket's path."""
    valkey.client.config_set("requirepass", "another one")
    yield valkey.url.removeprefix("unix://")
    valkey.client.config_set("requirepass", "")


@pytest.mark.parametrize("where", ["user", "query", "refused"])
def test_the_password_is_in_no_error_log_or_repr(build, budget, all_that_is_said, guarded, where):
    url = {
        "user": f"redis://me:{PASSWORD}@127.0.0.1:{closed_port()}/0",
        "query": f"redis://127.0.0.1:{closed_port()}/0?password={PASSWORD}",
        "refused": f"unix://:{PASSWORD}@{guarded}",
    }[where]
    limiter = build(url)
    with pytest.raises(ServerUnreachable) as caught:
        limiter.acquire(None, budget)
    texts = (str(caught.value), repr(caught.value), repr(limiter), repr(limiter._store), repr(limiter._store._client))
    assert not leaks("\n".join(texts)), texts
    said = all_that_is_said()
    assert "does not answer" in said
    assert not leaks(said)


@pytest.mark.parametrize(
    "password", ["canary/7c6b5a", "canary#7c6b5a", "canary?7c6b5a", "12/canary7c6b5a", "canary[7c6b5a"]
)
def test_a_password_that_should_have_been_quoted_is_not_shown(clock, budget, password):
    url = f"redis://:{password}@127.0.0.1:{closed_port()}/0"
    with pytest.raises(AutomatumError) as caught:
        RateLimiter(((10, 60.0),), WIDE, clock, RedisStore(url, "test", clock)).acquire(None, budget)
    assert not leaks(str(caught.value).replace(REDACTED, "")), str(caught.value)


# ---- many at once


def test_threads_never_exceed_the_limit(build, valkey, clock):
    limiters = [build(valkey.url, ((30, 3600.0),)) for _ in range(3)]
    taken = []

    def take(limiter):
        for _ in range(10):
            try:
                limiter.record_response(limiter.acquire(0.0, Budget(clock)))
                taken.append(1)
            except QuotaExhausted:
                return

    threads = [threading.Thread(target=take, args=(limiter,)) for limiter in limiters for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 30


def hurry(limiter, counts, place, until):
    clock, budget = SystemClock(), Budget(SystemClock())
    while clock.monotonic() < until:
        limiter.record_response(limiter.acquire(None, budget))
        counts[place] += 1


@pytest.mark.slow
def test_no_process_starves_when_many_change_the_state(build, valkey):
    """Eight that do nothing else: each comes through again and again, though all swap the same key."""
    clock, counts = SystemClock(), [0] * 8
    limiters = [build(valkey.url, ((10**6, 60.0),), store=RedisStore, clock=clock) for _ in counts]
    until = clock.monotonic() + 1.5
    threads = [threading.Thread(target=hurry, args=(one, counts, i, until)) for i, one in enumerate(limiters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used(limiters[0])[0] == sum(counts)
    assert min(counts) >= 3, counts


@pytest.mark.slow
def test_a_distant_process_is_not_starved_by_near_ones(build, valkey, relay):
    """5 ms away from the server, against two whose answers take 10 ms, as no API is faster."""
    relay.delay = 0.0025
    clock, done = SystemClock(), threading.Event()
    far = build(f"redis://127.0.0.1:{relay.port}/0", ((10**6, 60.0),), store=RedisStore, clock=clock)
    near = [build(valkey.url, ((10**6, 60.0),), store=RedisStore, clock=clock) for _ in range(2)]

    def steady(limiter):
        while not done.is_set():
            ticket = limiter.acquire(None, Budget(clock))
            done.wait(0.01)
            limiter.record_response(ticket)

    threads = [threading.Thread(target=steady, args=(limiter,)) for limiter in near]
    for thread in threads:
        thread.start()
    started = clock.monotonic()
    try:
        spend(far, Budget(clock), 10)
        seconds = clock.monotonic() - started
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert seconds < 5


def test_it_works_with_the_real_clock_and_says_the_servers_time(build, valkey):
    clock = SystemClock()
    limiter = build(valkey.url, ((2, 0.2),), store=RedisStore, clock=clock)
    started = clock.monotonic()
    spend(limiter, Budget(clock), 5)
    assert clock.monotonic() - started >= 0.4
    seconds, micros = valkey.client.time()
    assert limiter._store._state.last == pytest.approx(seconds + micros / 1e6, abs=5)
