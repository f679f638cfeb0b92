"""Requests over real sockets: what is sent again, what is not, who gets the token, and how long it takes."""

import gzip
import json
import logging
import random
import re
import threading
from email.utils import formatdate

import pytest
from urllib3 import BaseHTTPResponse, HTTPConnectionPool

from automatum.api.connections import Connections
from automatum.api.http import ApiResponse
from automatum.api.rate_limit import RateLimiter
from automatum.api.retry import Sender
from automatum.api.session import ApiClient
from automatum.config.settings import AutomatumSettings
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.core.errors import (
    EXIT_ACCESS,
    AccessError,
    ApiUnreachable,
    AutomatumError,
    BudgetSpent,
    CredentialsRefused,
    NotThere,
    QuotaExhausted,
    RequestRefused,
)
from automatum.core.redaction import Secret, redact_logging
from tests.support.clocks import FakeClock
from tests.support.loopback import Loopback, Say, closed_port, error, token

SECRET = "secret_canary_9f8e7d6c5b4a"
TOKEN = "opaque-canary-5e4d3c2b1a"  # not a JWT: it must be known as a secret, not recognized as one
LIST = "/api/v1/customers"
METERING = "/api/v1/metering"
FINE = Say(body={"code": 200, "data": [{"id": "cust_1"}]})


@pytest.fixture
def server():
    with Loopback() as one:
        one.say("/oauth/token", token("one"), token("two"), token("three"))
        yield one


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def build(server, clock):
    """Builds transports; closes their connections."""
    opened = []

    def one(url=None, clock=clock, limits=((1000, 60.0),), budget=None, **more):
        settings = AutomatumSettings()
        settings.client_id, settings.client_secret, settings.base_url = "app_canary", Secret(SECRET), url or server.url
        for name, value in more.items():
            setattr(settings, name, value)
        settings.check()
        opened.append(Connections())
        limiter = RateLimiter(limits, ((1000, 60.0),), clock)
        return ApiClient(Sender(settings, clock, limiter, budget or Budget(clock), opened[-1], random.Random(1)))

    yield one
    for connections in opened:
        connections.close()


@pytest.fixture
def client(build):
    return build()


# ---- the plain case


def test_a_success_is_the_whole_object_and_when_it_came(server, client, clock):
    there = int(clock.time()) - 77
    server.say(LIST, Say(body=FINE.body, headers={"Date": formatdate(there, usegmt=True)}))
    answer = client.get("customers", {"page": "3", "limit": "100"})
    assert answer.body == {"code": 200, "data": [{"id": "cust_1"}]}
    assert (answer.status, answer.received_at) == (200, clock.time())
    (seen,) = server.to(LIST)
    assert seen.query == {"page": ["3"], "limit": ["100"]}
    assert seen.headers["Authorization"] == "Bearer one"
    assert (client.budget.requests, client.budget.token_requests) == (1, 1)


@pytest.mark.parametrize("body", [{"data": [1]}, {"code": "200", "data": [1]}, {"code": None}, {"code": 202}])
def test_an_envelope_that_does_not_say_no_is_a_success(server, client, body):
    server.say(LIST, Say(body=body))
    assert client.get("customers").body == body


def test_chunked_answers_are_read(server, client):
    server.say(LIST, Say(body=FINE.body, chunked=True))
    assert client.get("customers").body == FINE.body


def test_connections_are_kept(server, client):
    server.say(LIST, FINE)
    for _ in range(5):
        client.get("customers")
    assert server.connections == 1


def test_netrc_never_replaces_the_token(server, build, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.say(LIST, FINE)
    server.say(METERING, FINE)
    client = build()
    client.get("customers")
    client.post("metering", b"{}")
    assert [seen.headers.get("Authorization") for seen in server.seen] == [None, "Bearer one", "Bearer one"]


# ---- what is sent again


@pytest.mark.parametrize(
    "bad",
    [
        error(500, "oops"), error(502, "oops"), error(599, "oops"), error(408, "slow"),
        Say(reset=True), Say(cut=0), Say(cut=20), Say(cut=20, chunked=True), Say(cut=0, chunked=True),
        Say(200, b"<html><h1>Sign in</h1></html>"), Say(200, b""), Say(200, b'{"data": [1,'), Say(200, b"1"),
        Say(200, b"null"), Say(200, b"[1]"), Say(200, b"\xff\xfe{}"), Say(204, b""),
        Say(200, {"code": 500, "message": "inner"}), Say(200, {"code": "503"}), Say(200, {"code": 0, "data": []}),
        Say(200, {"code": "DONE", "data": []}),
    ],
)  # fmt: skip
def test_a_passing_failure_is_retried(server, client, clock, bad):
    server.say(LIST, bad, bad, FINE)
    assert client.get("customers").body == FINE.body
    assert len(server.to(LIST)) == client.budget.requests == 3
    assert 0.75 <= clock.slept <= 1.5, "half to all of 0.5 s, then of 1 s"


def test_a_lasting_failure_ends_after_the_attempts(server, client, clock, caplog):
    server.say(LIST, error(503, "Service down"))
    with (
        caplog.at_level(logging.INFO, "automatum"),
        pytest.raises(ApiUnreachable, match="GET /api/v1/customers answered 503: Service down") as caught,
    ):
        client.get("customers")
    assert len(server.to(LIST)) == 6
    assert 7.75 <= clock.slept <= 15.5
    assert "Tried 6 times" in caught.value.next_step
    said = [record.message for record in caplog.records if "; attempt " in record.message]
    assert [re.search(r"attempt (\d) of 6", one)[1] for one in said] == ["2", "3", "4", "5", "6"]


def test_a_lasting_failure_ends_before_the_deadline(server, build, clock, monkeypatch):
    server.say(LIST, Say(500, then=lambda: clock.advance(50)))
    monkeypatch.setattr("automatum.api.retry.ATTEMPTS", 100)
    started = clock.monotonic()
    with pytest.raises(ApiUnreachable):
        build().get("customers")
    assert len(server.to(LIST)) == 3
    assert clock.monotonic() - started <= 155


def test_an_error_says_that_the_answer_is_html(server, client):
    server.say(
        LIST, Say(200, b"<html><style>p {}</style><body><h1>Sign &amp; in</h1><script>x()</script></body></html>")
    )
    with pytest.raises(ApiUnreachable, match="answered 200: not JSON but HTML: Sign & in"):
        client.get("customers")


@pytest.mark.parametrize("body", [b'{"data": [{"email": "ada@example.com"', b"id,email\ncust_1,ada@example.com\n"])
def test_broken_records_are_not_shown(server, client, body):
    server.say(LIST, Say(200, body))
    with pytest.raises(ApiUnreachable, match=f"{len(body)} bytes that are not a JSON object") as caught:
        client.get("customers")
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize("code", [0, 1, -1, 20000, "DONE", [1]])
def test_a_code_that_is_no_http_status_is_no_success_i2(server, client, code):
    """I2: an empty list beside it is not taken for a list without rows."""
    server.say(LIST, Say(body={"code": code, "data": [], "message": "fine"}))
    with pytest.raises(ApiUnreachable) as caught:
        client.get("customers")
    assert f'"code": {json.dumps(code)} in its body (fine)' in caught.value.message


def test_a_code_that_is_no_http_status_leaves_a_post_unknown(server, client):
    """I5."""
    server.say(METERING, Say(body={"code": 0}))
    with pytest.raises(ApiUnreachable, match="not known"):
        client.post("metering", b"{}")
    assert len(server.to(METERING)) == 1


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("read:entitlements", "Add the scope read:customers under Settings"),
        ("read:customers", "The token grants read:customers, which this path needs, so the plan or the path"),
        (None, "Add the scope read:customers under Settings"),
    ],
)
def test_a_403_names_the_scope_that_the_path_needs(server, client, scopes, expected):
    server.say("/oauth/token", token(scope=scopes))
    server.say(LIST, error(403, "Insufficient scope for this endpoint"))
    with pytest.raises(AccessError) as caught:
        client.get("customers", scope="read:customers")
    assert expected in caught.value.next_step


def test_tokens_that_expire_in_every_wait_end_the_request(server, build):
    """Each token takes the one request of the window, and is no longer valid when the next may go."""
    client = build(limits=((1, 60.0),))
    server.say("/oauth/token", token(expires_in=60))
    with pytest.raises(ApiUnreachable, match="5 tokens in a row expired") as caught:
        client.get("customers")
    assert len(server.to("/oauth/token")) == 5
    assert server.to(LIST) == []
    assert "application_limits" in caught.value.next_step


def test_nobody_listens(build):
    with pytest.raises(ApiUnreachable, match=r"gave no answer: .*refused"):
        build(f"http://127.0.0.1:{closed_port()}").get("customers")


def test_a_server_that_hangs_is_given_up_in_time(server, build):
    server.say(LIST, Say(hang=True))
    clock = SystemClock()
    started = clock.monotonic()
    with pytest.raises(ApiUnreachable, match=r"no answer within 0\.2 s"):
        build(clock=clock, request_timeout=0.2).get("customers")
    assert clock.monotonic() - started < 3


@pytest.mark.slow
def test_an_answer_that_trickles_is_given_up_in_time(server, build, monkeypatch):
    server.say(LIST, Say(trickle=0.05))
    monkeypatch.setattr("automatum.api.retry.ATTEMPTS", 1)
    clock = SystemClock()
    started = clock.monotonic()
    with pytest.raises(ApiUnreachable, match="did not end"):
        build(clock=clock, request_timeout=0.25).get("customers")
    assert 0.9 < clock.monotonic() - started < 3


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_of_an_absurd_size_is_refused_at_once(server, client, clock, packed):
    """After decompression; another attempt would bring the same."""
    body = b'{"data": ["' + b"x" * (17 << 20) + b'"]}'
    server.say(LIST, Say(200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else Say(200, body))
    with pytest.raises(ApiUnreachable, match="more than 16 MiB came") as caught:
        client.get("customers")
    assert "report_window_days" in caught.value.next_step
    assert len(server.to(LIST)) == 1
    assert clock.slept == 0


@pytest.mark.parametrize("one", [b"{},", b"[],"])
def test_an_answer_that_would_take_too_much_memory_is_not_parsed(server, client, one):
    """Three bytes of the body become 100 of memory, and more."""
    server.say(LIST, Say(200, b'{"data": [' + one * 310_000 + b"1]}"))
    with pytest.raises(ApiUnreachable, match="more than 300,000 objects and lists came"):
        client.get("customers")
    assert len(server.to(LIST)) == 1


def test_a_503_may_name_its_wait(server, client, clock):
    server.say(LIST, Say(503, headers={"Retry-After": "20"}), FINE)
    client.get("customers")
    assert clock.slept == pytest.approx(20)


def test_a_503_that_names_more_than_we_have_is_given_up_at_once(server, client, clock):
    server.say(LIST, Say(503, headers={"Retry-After": "900"}), FINE)
    with pytest.raises(ApiUnreachable, match="asks to wait 900 s"):
        client.get("customers")
    assert clock.slept == 0


def test_an_absurd_wait_is_bounded_in_the_message(server, client):
    server.say(LIST, Say(503, headers={"Retry-After": "1e300"}))
    with pytest.raises(ApiUnreachable, match="asks to wait 7200 s"):
        client.get("customers")


def test_waiting_for_quota_does_not_use_up_the_deadline(server, build, clock):
    server.say(LIST, error(500, "oops"), error(500, "oops"), FINE)
    build(limits=((1, 600.0),)).get("customers")
    assert clock.slept > 1800


# ---- 429


def slept_after(server, client, clock, **answer):
    server.say(LIST, Say(429, **answer), FINE)
    client.get("customers")
    return clock.slept


def at(clock, seconds):
    return formatdate(clock.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "7"}, {}, 7),
        ({"Retry-After": "2.5"}, {}, 2.5),
        ({}, {"retryAfter": 60}, 60),
        ({}, {"retryAfter": "8"}, 8),
        ({"Retry-After": "5"}, {"retryAfter": 9}, 9),
        ({"Retry-After": "9"}, {"retryAfter": 5}, 9),
        ({}, {}, 60),
        ({"Retry-After": "soon"}, {"retryAfter": None}, 60),
        ({"Retry-After": "nan"}, {"retryAfter": True}, 60),
        ({"Retry-After": "99999999"}, {}, 7200),
    ],
)
def test_a_429_is_waited_out(server, client, clock, headers, body, wait):
    slept = slept_after(server, client, clock, headers=headers, body={"code": 429, "message": "Slow", **body})
    assert wait <= slept <= wait + min(3.0, 0.05 * wait) + 0.001


@pytest.mark.parametrize("named", ["0", "-10", "Tue, 01 Jan 2019 00:00:00 GMT"])
def test_a_429_that_names_no_time_at_all_is_backed_off_from(server, client, clock, named):
    assert 0.25 <= slept_after(server, client, clock, headers={"Retry-After": named}) <= 0.55


def test_a_date_to_come_back_at_is_read_against_the_servers_date(server, client, clock):
    headers = {"Date": at(clock, -5000), "Retry-After": at(clock, -4980)}
    assert 20 <= slept_after(server, client, clock, headers=headers) <= 21


@pytest.mark.parametrize(
    ("named", "refusals", "wait"), [({}, 1, 50), ({"Retry-After": "5"}, 1, 5), ({"Retry-After": "5"}, 2, 50)]
)
def test_the_reset_of_an_exhausted_bucket_is_waited_for(server, client, clock, named, refusals, wait):
    """Its reset may be that of the hour where the minute is meant, so a time that a 429 names is tried first."""
    there = int(clock.time()) - 5000
    headers = {
        "Date": formatdate(there, usegmt=True),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(there + 50),
        **named,
    }
    server.say(LIST, *[Say(429, headers=headers)] * refusals, FINE)
    client.get("customers")
    assert wait <= clock.slept <= wait + 7


def test_the_reset_of_another_bucket_is_not(server, client, clock):
    headers = {
        "Date": at(clock, 0),
        "Retry-After": "5",
        "X-RateLimit-Remaining": "10",
        "X-RateLimit-Reset": str(int(clock.time()) + 50),
    }
    assert 5 <= slept_after(server, client, clock, headers=headers) <= 5.3


def test_a_429_in_the_envelope_is_one(server, client, clock):
    server.say(LIST, Say(200, {"code": 429, "message": "Rate limit exceeded", "retryAfter": 11, "data": None}), FINE)
    assert client.get("customers").body == FINE.body
    assert 11 <= clock.slept <= 12


@pytest.mark.slow
def test_unnamed_waits_double_and_end(server, client, clock):
    server.say(LIST, error(429, "Rate limit exceeded"))
    with pytest.raises(QuotaExhausted, match="429 10 times in a row: Rate limit exceeded") as caught:
        client.get("customers")
    assert len(server.to(LIST)) == 10
    waits = [min(7200, 60 * 2**n) for n in range(9)]
    assert sum(waits) <= clock.slept <= sum(waits) + 27
    assert caught.value.resume_at >= clock.time() + 7200


def test_a_429_blocks_the_other_threads_too(server, client, clock):
    server.say(LIST, Say(429, headers={"Retry-After": "100"}), FINE)
    client.tokens.max_wait = 50
    with pytest.raises(QuotaExhausted, match="answered 429") as caught:
        client.get("customers")
    assert clock.time() + 100 <= caught.value.resume_at <= clock.time() + 103
    with pytest.raises(QuotaExhausted):
        client.get("entitlements")
    assert len(server.to("/api/v1/entitlements")) == 0


# ---- the token


def test_a_token_that_expires_during_a_wait_is_not_sent(server, build, clock):
    server.say(LIST, FINE)
    client = build(limits=((2, 3600.0),))
    client.get("customers")
    clock.advance(60)
    client.get("customers")
    assert [seen.headers["Authorization"] for seen in server.to(LIST)] == ["Bearer one", "Bearer two"]
    assert len(server.to("/oauth/token")) == 2
    assert client.budget.requests == 2


@pytest.mark.slow
def test_a_long_wait_for_a_token_does_not_make_the_request_uncounted(server, build, clock):
    server.say(LIST, FINE)
    used_up = {"X-RateLimit-Remaining": "0"}
    refusal = error(429, "Rate limit exceeded", retryAfter=7200, headers=used_up)
    server.say("/oauth/token", token("one"), refusal, token("two"))
    client = build(limits=((2, 3600.0),))
    client.get("customers")
    clock.advance(60)
    client.get("customers")
    assert [seen.headers["Authorization"] for seen in server.to(LIST)] == ["Bearer one", "Bearer two"]
    assert client.limiter.window_usage()[0]["used"] == 2


def test_a_retry_after_a_long_wait_is_signed_anew(server, client, clock):
    server.say(LIST, Say(429, headers={"Retry-After": "3500"}), FINE)
    client.get("customers")
    assert [seen.headers["Authorization"] for seen in server.to(LIST)] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("no", [error(401, "Token expired"), Say(200, {"code": 401, "message": "Token expired"})])
def test_a_401_is_answered_with_one_new_token(server, client, no):
    server.say(LIST, no, FINE)
    assert client.get("customers").body == FINE.body
    assert [seen.headers["Authorization"] for seen in server.to(LIST)] == ["Bearer one", "Bearer two"]


def test_a_second_401_is_the_end(server, client):
    server.say(LIST, error(401, "Token expired"))
    with pytest.raises(CredentialsRefused, match="401 to a fresh token too: Token expired") as caught:
        client.get("customers")
    assert caught.value.exit_code == EXIT_ACCESS
    assert (len(server.to(LIST)), len(server.to("/oauth/token"))) == (2, 2)


def test_each_request_has_its_own_second_chance(server, client):
    server.say(LIST, error(401, "Token expired"), FINE, error(401, "Token expired"), FINE)
    client.get("customers")
    client.get("customers")
    assert len(server.to("/oauth/token")) == 3


def test_refused_credentials_reach_the_caller(server, client):
    server.say("/oauth/token", error(401, "Invalid client credentials"))
    with pytest.raises(CredentialsRefused, match="Invalid client credentials"):
        client.get("customers")
    assert client.budget.requests == 0


# ---- refusals


@pytest.mark.parametrize(
    "answer",
    [
        error(403, "Insufficient scope for this endpoint"),
        Say(200, {"code": 403, "message": "Insufficient scope for this endpoint"}),
    ],
)
def test_a_403_names_the_scope_and_the_plan(server, client, answer):
    server.say(LIST, answer)
    with pytest.raises(AccessError, match="GET /api/v1/customers answered 403: Insufficient scope") as caught:
        client.get("customers")
    assert caught.value.exit_code == EXIT_ACCESS
    assert "Add the scope" in caught.value.next_step
    assert "Professional" in caught.value.next_step
    assert len(server.to(LIST)) == 1


def test_a_404_is_not_repeated(server, client):
    with pytest.raises(NotThere, match="GET /api/v1/nowhere answered 404: Not in the script"):
        client.get("nowhere")
    assert len(server.to("/api/v1/nowhere")) == 1


@pytest.mark.parametrize("status", [400, 405, 409, 410, 422])
def test_another_4xx_carries_its_fields_and_is_not_repeated(server, client, status):
    fields = [{"field": "limit", "message": "must be at most 100"}, "stray", {"field": "page"}]
    server.say(LIST, error(status, "Validation failed", errors=fields))
    with pytest.raises(RequestRefused, match=r"Validation failed .*limit: must be at most 100") as caught:
        client.get("customers")
    assert caught.value.fields == (("limit", "must be at most 100"), ("page", ""))
    assert caught.value.status == status
    assert len(server.to(LIST)) == 1


def test_long_words_are_shortened(server, client):
    server.say(LIST, Say(400, b"<p>" + b"words " * 1000))
    with pytest.raises(RequestRefused) as caught:
        client.get("customers")
    assert len(caught.value.detail) <= 230
    assert "<p>" not in caught.value.detail


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_gets_nothing(server, client, status):
    with Loopback() as thief:
        server.say(LIST, Say(status, b"", {"Location": f"{thief.url}/api/v1/customers?secret=1"}))
        with pytest.raises(ApiUnreachable, match=r"redirect to 127\.0\.0\.1, which is not followed") as caught:
            client.get("customers")
        assert thief.seen == []
    assert "secret=1" not in str(caught.value)


@pytest.mark.parametrize(
    "location", ["", "http://[", "https://127.0.0.1/x", "//other.example/x", "ftp://127.0.0.1/", f"{LIST}/"]
)
def test_no_redirect_is_followed_i6(server, client, location):
    server.say(LIST, Say(302, b"", {"Location": location}))
    with pytest.raises(ApiUnreachable, match="not followed"):
        client.get("customers")
    assert len(server.to(LIST)) == 1


# ---- POST


@pytest.mark.parametrize(
    "bad",
    [
        error(500, "oops"), error(503, "busy", headers={"Retry-After": "1"}), error(408, "slow"), Say(reset=True),
        Say(cut=5), Say(200, b"<html>"), Say(200, b""), Say(200, {"code": 500, "message": "inner"}),
        Say(307, b"", {"Location": METERING}), Say(hang=True),
    ],
)  # fmt: skip
def test_a_post_of_unknown_outcome_is_never_sent_again(server, build, clock, bad):
    server.say(METERING, bad, FINE)
    with pytest.raises(ApiUnreachable):
        build(request_timeout=0.3).post("metering", b'{"usages": []}')
    assert len(server.to(METERING)) == 1
    assert clock.slept == 0


def test_a_post_arrives_as_it_was_written(server, client):
    server.say(METERING, Say(202, {"code": 202, "data": {"queued": True}}))
    answer = client.post("metering", b'{"quantity": 0.10}')
    assert (answer.status, answer.body["data"]) == (202, {"queued": True})
    (seen,) = server.to(METERING)
    assert (seen.method, seen.body) == ("POST", b'{"quantity": 0.10}')
    assert seen.headers["Content-Type"] == "application/json"


def test_a_post_is_sent_again_after_a_429(server, client, clock):
    server.say(METERING, error(429, "Rate limit exceeded", retryAfter=5), FINE)
    assert client.post("metering", b"{}").body == FINE.body
    assert clock.slept >= 5


def test_a_post_is_sent_again_after_a_401_with_a_new_token(server, client):
    server.say(METERING, error(401, "Token expired"), FINE)
    assert client.post("metering", b"{}").body == FINE.body
    assert len(server.to(METERING)) == 2


def test_a_post_is_sent_again_where_nobody_listened(server, build, clock):
    client = build()
    client.tokens.token()
    client._sender.settings.base_url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(ApiUnreachable, match="refused"):
        client.post("metering", b"{}")
    assert client.budget.requests == 6


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refused_post_is_refused(server, client, status):
    server.say(METERING, error(status, "No"))
    with pytest.raises((RequestRefused, AccessError)):
        client.post("metering", b"{}")
    assert len(server.to(METERING)) == 1


def test_each_post_has_a_connection_of_its_own(server, client):
    server.say(LIST, FINE)
    server.say(METERING, FINE)
    client.get("customers")
    client.post("metering", b"{}")
    client.post("metering", b"{}")
    assert server.connections == 3


# ---- bounds


def test_the_run_ends_before_the_request_that_would_be_too_many(server, build, clock):
    server.say(LIST, FINE)
    client = build(budget=Budget(clock, max_requests=2))
    client.get("customers")
    client.get("customers")
    with pytest.raises(BudgetSpent):
        client.get("customers")
    assert len(server.to(LIST)) == 2


def test_a_spent_run_neither_waits_nor_fetches_a_token(server, build, clock):
    client = build(budget=Budget(clock, max_requests=0))
    client.limiter.block(3600, "held")
    with pytest.raises(BudgetSpent):
        client.get("customers")
    assert clock.slept == 0
    assert server.seen == []


def test_retries_count_towards_the_runs_requests(server, build, clock):
    server.say(LIST, error(500, "oops"))
    with pytest.raises(BudgetSpent):
        build(budget=Budget(clock, max_requests=3)).get("customers")
    assert len(server.to(LIST)) == 3


def test_a_stop_ends_a_wait_between_attempts(server, build, clock):
    stop = threading.Event()
    server.say(
        LIST, Say(503, headers={"Retry-After": "60"}, then=lambda: clock.call_at(clock.monotonic() + 5, stop.set))
    )
    with pytest.raises(BudgetSpent, match="told to stop"):
        build(budget=Budget(clock, stop=stop)).get("customers")
    assert clock.slept <= 6


def test_a_refused_wait_charges_no_request(server, build, clock):
    server.say(LIST, FINE)
    client = build(limits=((2, 3600.0),))
    client.get("customers")
    client.tokens.max_wait = 60
    with pytest.raises(QuotaExhausted):
        client.get("customers")
    assert client.budget.requests == 1
    assert [window["used"] for window in client.limiter.window_usage()] == [2, 2]


def test_a_request_ages_from_its_answer(server, build, clock):
    server.say(LIST, Say(body=FINE.body, then=lambda: clock.advance(10)))
    client = build(limits=((2, 60.0),))
    client.get("customers")
    clock.advance(30)
    assert client.limiter.wait_for(2) == pytest.approx(30.3)


def test_threads_share_one_transport(server, client):
    server.say(LIST, FINE)
    threads = [threading.Thread(target=lambda: [client.get("customers") for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.budget.requests == len(server.to(LIST)) == 20
    assert len(server.to("/oauth/token")) == 1
    assert [window["used"] for window in client.limiter.window_usage()] == [21, 21]


# ---- I6


def failing_calls(server, client, thief):
    """One call of each failing kind."""
    location = {"Location": f"{thief.url}/?client_secret={SECRET}"}
    echo = f"bad token {TOKEN} of {SECRET}"
    for answer in (
        error(401, echo), error(403, echo), error(404, echo), error(500, echo), error(400, echo),
        error(429, echo, headers={"Retry-After": "1"}), Say(reset=True), Say(cut=3),
        Say(200, f"<p>{echo}</p>".encode()), Say(302, b"", location), Say(200, {"code": 502, "message": echo}),
        Say(400, json.dumps({"code": 400, "message": "no", "errors": [{"field": "x", "message": echo}]}).encode()),
    ):  # fmt: skip
        server.say(LIST, answer)
        server.say(METERING, answer)
        yield lambda: client.get("customers", {"page": "1"})
        yield lambda: client.post("metering", b"{}")
    for answer in (error(401, echo), error(500, echo), error(403, echo), Say(307, b"", location), Say(200, b"{}")):
        server.say("/oauth/token", answer)
        yield lambda: (client.tokens.invalidate(client.tokens.cached_token()), client.get("customers"))


def everything_in(error, seen=None):
    """All that hangs on an exception, its context and cause included."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (repr(error), str(error), repr(error.args), repr(vars(error)))
    for value in (*error.args, *vars(error).values()):
        assert not isinstance(value, (ApiResponse, BaseHTTPResponse, HTTPConnectionPool)), value
    yield from everything_in(error.__context__, seen)
    yield from everything_in(error.__cause__, seen)


def test_neither_secret_nor_token_is_in_any_log_or_error(server, client, caplog):
    redact_logging()
    server.say("/oauth/token", token(TOKEN))
    failed = 0
    with Loopback() as thief, caplog.at_level(logging.DEBUG):
        for call in failing_calls(server, client, thief):
            with pytest.raises(AutomatumError) as caught:
                call()
            failed += 1
            assert caught.value.__context__ is None
            text = "\n".join(everything_in(caught.value))
            assert SECRET not in text
            assert TOKEN not in text
            json.dumps(caught.value.to_json())
        assert thief.seen == []
    assert failed == 29
    logs = "\n".join(f"{record.getMessage()} {record.exc_text} {vars(record)}" for record in caplog.records)
    assert "GET /api/v1/customers page=1: 500" in logs
    assert SECRET not in logs
    assert TOKEN not in logs
