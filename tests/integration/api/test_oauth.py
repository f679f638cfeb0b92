"""One token for all, in time, and its secret nowhere else."""

import random
import threading
from email.utils import formatdate

import pytest

from automatum.api.connections import Connections
from automatum.api.oauth import TokenSource
from automatum.api.rate_limit import RateLimiter
from automatum.api.retry import Sender, do_nothing
from automatum.config.settings import AutomatumSettings
from automatum.core.budget import Budget
from automatum.core.errors import (
    EXIT_ACCESS,
    ApiUnreachable,
    BudgetSpent,
    CredentialsRefused,
    NotThere,
    QuotaExhausted,
    RequestRefused,
)
from automatum.core.redaction import Secret
from tests.support.clocks import FakeClock
from tests.support.loopback import Loopback, Say, closed_port, error, token

SECRET = "secret_7g8h9i0j1k2l3m4n5o6p"
URL = "/oauth/token"


@pytest.fixture
def server():
    with Loopback() as one:
        yield one


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def source(server, clock):
    with Connections() as connections:
        yield build(server.url, connections, clock)


def build(url, connections, clock, limits=((1000, 60.0),), budget=None, reload_credentials=None, **more):
    budget = budget or Budget(clock)
    limiter = RateLimiter(limits, ((1000, 60.0),), clock)
    settings = AutomatumSettings()
    settings.base_url, settings.client_id, settings.client_secret = url, "app_1a2b", Secret(SECRET)
    settings.request_timeout = 5.0
    for name, value in more.items():
        setattr(settings, name, value)
    sender = Sender(settings, clock, limiter, budget, connections, random.Random(1))
    one = TokenSource(sender, reload_credentials or do_nothing)
    one.limiter, one.budget = limiter, budget
    return one


def test_the_request_is_the_documented_one(server, source):
    assert source.token() == Secret("token-one")
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.query) == ("POST", URL, {})
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen.body == f"grant_type=client_credentials&client_id=app_1a2b&client_secret={SECRET}".encode()
    assert "Authorization" not in seen.headers


def test_a_token_is_kept_until_shortly_before_its_end(server, source, clock):
    server.say(URL, token("one"), token("two"))
    assert source.token() == source.token() == Secret("one")
    clock.advance(3600 - 360 - 1)
    assert source.token() == source.cached_token() == Secret("one")
    clock.advance(2)
    assert source.cached_token() is None
    assert source.token() == Secret("two")


@pytest.mark.parametrize(
    ("expires_in", "usable"),
    [
        (3600, 3240), ("3600", 3240), ("3600.0", 3240), (None, 3240), ("soon", 3240), ([], 3240), (True, 3240),
        ("nan", 3240), ("inf", 3240), (100, 50), (300, 240), (0, 3240), (-5, 3240), (3_600_000, 3240),
        (10**18, 3240), ("1e18", 3240), (-(10**18), 3240), ("9" * 5000, 3240), ("1h", 3240), ({"s": 3600}, 3240),
    ],
)  # fmt: skip
def test_a_lifetime_in_another_form_is_read(server, source, clock, expires_in, usable):
    server.say(URL, token("one", expires_in=expires_in), token("two"))
    source.token()
    clock.advance(usable - 1)
    assert source.cached_token() == Secret("one")
    clock.advance(2)
    assert source.cached_token() is None


def test_a_missing_lifetime_is_the_documented_hour(server, source, clock):
    server.say(URL, Say(body={"access_token": "one"}))
    source.token()
    clock.advance(3239)
    assert source.cached_token() == Secret("one")


def test_a_lifetime_begins_when_the_token_was_requested(server, source, clock):
    server.say(URL, Say(body=token().body, then=lambda: clock.advance(100)))
    source.token()
    clock.advance(3139)
    assert source.cached_token()
    clock.advance(2)
    assert source.cached_token() is None


@pytest.mark.parametrize(("seconds", "usable"), [(12, 4.0), (19, 0.5)])
def test_a_token_that_took_half_its_lifetime_is_used_for_half_of_the_rest(server, source, clock, seconds, usable):
    """It was asked for again and again: 49 tokens, and no request."""
    server.say(URL, Say(body=token(expires_in=20).body, then=lambda: clock.advance(seconds)))
    source.token()
    clock.advance(usable - 0.1)
    assert source.cached_token()
    clock.advance(0.2)
    assert source.cached_token() is None


def test_refused_credentials_are_not_tried_again_for_a_minute(server, source, clock):
    """A sync of four tables reports one refusal, and sends one request."""
    server.say(URL, error(401, "Invalid client credentials"))
    raised = []
    for _ in range(4):
        with pytest.raises(CredentialsRefused) as caught:
            source.token()
        raised.append(caught.value)
    assert len(server.seen) == 1
    assert all(one is raised[0] for one in raised)
    clock.advance(61)
    server.say(URL, token("one"))
    assert source.token() == Secret("one")


def test_a_new_secret_is_found_after_a_refusal(server, clock):
    found = [("app_1a2b", Secret(SECRET))]
    with Connections() as connections:
        source = build(server.url, connections, clock, reload_credentials=lambda: found[0])
        server.say(URL, *[error(401, "Invalid client credentials")] * 2, token("one"))
        for _ in range(2):
            with pytest.raises(CredentialsRefused):
                source.token()
        found[0] = ("app_1a2b", Secret("secret_new"))
        clock.advance(61)
        assert source.token() == Secret("one")
    assert len(server.seen) == 3
    assert b"secret_new" in server.seen[-1].body


@pytest.mark.parametrize("scope", ["a b", "a,b", "a, b", " a  b ", ["a", "b"]])
def test_scopes_may_be_separated_by_commas(server, source, scope):
    server.say(URL, token(scope=scope))
    assert source.scopes() == {"a", "b"}


def test_setting_the_machines_clock_neither_ends_nor_prolongs_it(server, source, clock):
    source.token()
    clock.set_wall(100_000)
    assert source.cached_token() == Secret("token-one")
    clock.set_wall(-200_000)
    clock.advance(3300)
    assert source.cached_token() is None


def test_many_threads_share_one_request(server, source):
    got = []
    threads = [threading.Thread(target=lambda: got.append(source.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [Secret("token-one")] * 8
    assert len(server.seen) == 1


def test_two_threads_with_one_stale_token_fetch_one_new_one(server, source):
    server.say(URL, token("one"), token("two"), token("three"))
    stale = source.token()
    source.invalidate(stale)
    assert source.token() == Secret("two")
    source.invalidate(stale)
    assert source.token() == Secret("two")


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("read:customers  write:metering", {"read:customers", "write:metering"}),
        (["read:customers"], {"read:customers"}),
        ("", set()),
        (None, None),
        (7, None),
    ],
)
def test_the_granted_scopes(server, source, scope, granted):
    server.say(URL, token(scope=scope))
    assert source.scopes() == granted
    source.scopes()
    assert len(server.seen) == 1


def test_a_wrapped_token_is_taken_too(server, source):
    server.say(URL, Say(body={"code": 200, "data": {"access_token": "inside", "scope": "read:analytics"}}))
    assert source.token() == Secret("inside")
    assert source.scopes() == {"read:analytics"}


@pytest.mark.parametrize(
    "answer",
    [
        error(401, "Invalid client credentials"),
        error(400, "Invalid client credentials"),
        Say(200, {"code": 401, "message": "Invalid client credentials"}),
        Say(200, {"error": "invalid_client", "error_description": "Invalid client credentials"}),
        Say(401, {"error": "invalid_client", "error_description": "Invalid client credentials"}),
    ],
)
def test_refused_credentials_say_so_and_what_to_do(server, source, answer):
    server.say(URL, answer)
    with pytest.raises(CredentialsRefused, match="Invalid client credentials") as caught:
        source.token()
    assert caught.value.exit_code == EXIT_ACCESS
    for word in ("client_id", "regenerated", "deleted", "Settings > Integrations > API Access"):
        assert word in caught.value.next_step
    assert len(server.seen) == 1


def test_a_403_may_be_the_plan(server, source):
    server.say(URL, error(403, "Forbidden"))
    with pytest.raises(CredentialsRefused, match="Professional plan and above"):
        source.token()


def test_a_404_is_a_wrong_base_url(server, source):
    server.say(URL, error(404, "Not found"))
    with pytest.raises(NotThere, match="base_url"):
        source.token()


def test_another_4xx_is_not_repeated(server, source):
    server.say(URL, error(415, "Unsupported"))
    with pytest.raises(RequestRefused, match="answered 415: Unsupported"):
        source.token()
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"token_type": "Bearer"}, {"access_token": None}, {"access_token": ""}, {"access_token": 12},
        {"access_token": "line\r\nX-Evil: 1"}, {"access_token": "schlüssel"}, {"code": 200, "data": []},
    ],
)  # fmt: skip
def test_an_answer_without_a_usable_token_is_an_error(server, source, body):
    server.say(URL, Say(body=body))
    with pytest.raises(ApiUnreachable, match="no access_token"):
        source.token()


@pytest.mark.parametrize(
    "bad",
    [
        error(500, "oops"), error(503, "busy"), error(408, "slow"), Say(200, b"<html>login</html>"), Say(200, b"[]"),
        Say(reset=True), Say(cut=5), Say(200, {"code": 502, "message": "inner"}),
    ],
)  # fmt: skip
def test_a_passing_failure_is_retried(server, source, clock, bad):
    server.say(URL, bad, bad, token("after-all"))
    assert source.token() == Secret("after-all")
    assert source.budget.token_requests == len(server.seen) == 3
    assert 0.75 <= clock.slept <= 1.5


def test_a_lasting_failure_ends_after_the_attempts(server, source):
    server.say(URL, error(500, "oops"))
    with pytest.raises(ApiUnreachable, match="POST /oauth/token answered 500: oops") as caught:
        source.token()
    assert len(server.seen) == 6
    assert server.url in caught.value.next_step


def test_a_lasting_failure_ends_before_the_deadline(server, clock, monkeypatch):
    monkeypatch.setattr("automatum.api.retry.ATTEMPTS", 50)
    server.say(URL, Say(500, then=lambda: clock.advance(40)))
    with Connections() as connections:
        source = build(server.url, connections, clock, request_timeout=25.0)
        started = clock.monotonic()
        with pytest.raises(ApiUnreachable):
            source.token()
    assert clock.monotonic() - started <= 140
    assert len(server.seen) == 3


def test_waiting_for_quota_does_not_use_up_the_deadline(server, clock):
    server.say(URL, error(500, "oops"), error(500, "oops"), token())
    with Connections() as connections:
        assert build(server.url, connections, clock, limits=((1, 600.0),)).token() == Secret("token-one")
    assert clock.slept > 1200


def test_nobody_listens(clock):
    with Connections() as connections, pytest.raises(ApiUnreachable, match=r"gave no answer: .*refused"):
        build(f"http://127.0.0.1:{closed_port()}", connections, clock).token()


def test_a_429_is_waited_out_by_all(server, source, clock):
    server.say(URL, error(429, "Rate limit exceeded", retryAfter=60), token())
    source.token()
    assert 60 <= clock.slept <= 63


def test_a_429_longer_than_we_may_wait_is_refused(server, source):
    source.max_wait = 30
    server.say(URL, error(429, "Rate limit exceeded", retryAfter=60))
    with pytest.raises(QuotaExhausted):
        source.token()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_given_the_secret(server, source, status):
    with Loopback() as thief:
        server.say(URL, Say(status, b"", {"Location": f"{thief.url}/oauth/token?x={SECRET}"}))
        with pytest.raises(ApiUnreachable, match=r"redirect to 127\.0\.0\.1") as caught:
            source.token()
        assert thief.seen == []
        assert SECRET not in str(caught.value)
    assert len(server.seen) == 1


def test_a_redirect_within_the_host_is_not_followed_either(server, source):
    server.say(URL, Say(307, b"", {"Location": "/elsewhere"}))
    with pytest.raises(ApiUnreachable, match="redirect"):
        source.token()
    assert len(server.seen) == 1


def test_each_token_request_is_charged_to_the_quota_and_counted(server, clock):
    server.say(URL, error(500, "oops"), token())
    with Connections() as connections:
        source = build(server.url, connections, clock, limits=((1, 60.0),))
        source.token()
        assert clock.slept > 60
        assert source.budget.token_requests == 2
        assert source.budget.requests == 0
        assert [window["used"] for window in source.limiter.window_usage()] == [1, 1], "the first has aged meanwhile"


def test_a_stop_keeps_a_token_from_being_fetched(server, clock):
    stop = threading.Event()
    stop.set()
    with Connections() as connections, pytest.raises(BudgetSpent):
        build(server.url, connections, clock, budget=Budget(clock, stop=stop)).token()
    assert server.seen == []


def test_the_quota_learns_from_the_answer(server, source, clock):
    said = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(clock.time()) + 30)}
    server.say(URL, Say(body=token().body, headers={**said, "Date": formatdate(clock.time(), usegmt=True)}))
    source.token()
    assert source.limiter.window_usage()[0]["free_in"] > 29


def test_its_repr_has_no_secret(source):
    source.token()
    assert SECRET not in repr(source)
    assert SECRET not in repr(vars(source)["_grant"])
    assert "token-one" not in repr(vars(source)["_grant"])
