"""A server that never ends an answer: each request ends at its deadline, and soon after the run is told to stop."""

import threading

import pytest

from automatum.api.connections import GRACE, Connections
from automatum.api.http import HttpFailure, send
from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.core.errors import ApiUnreachable, BudgetSpent
from tests.support.raw_server import Dripping, RawServer, http

LONG = 60.0

HEADERS = (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a")
CONTINUE = (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
BODY = (b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"data": [', b" ")
NO_LENGTH = (b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"data": []}', b" ")
SILENCE = (b"", b"")
KINDS = pytest.mark.parametrize(
    "server", [HEADERS, CONTINUE, BODY, NO_LENGTH, SILENCE], ids=["headers", "continue", "body", "no length", "silence"]
)


def get(url, within, stopping=lambda: False):
    with Connections() as connections:
        return send(
            connections, "GET", url, clock=SystemClock(), timeout=LONG, within=within, headers={}, stopping=stopping
        )


@KINDS
def test_an_answer_that_never_ends_is_cut_at_its_deadline(server):
    """An answer that was cut is a failure, also where it looks whole because it has no length."""
    with Dripping(*server) as api:
        outcome = get(api.url, 0.5)
    assert isinstance(outcome, HttpFailure)
    assert outcome.sent
    assert "did not end" in outcome.detail


@pytest.mark.slow
@KINDS
def test_a_run_that_is_told_to_stop_does_not_wait_for_it(server):
    with Dripping(*server) as api:
        outcome = get(api.url, LONG, stopping=api.asked.is_set)
    assert outcome.detail == "the run was told to stop"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stop_ends_the_clients_request_in_seconds(desk, method):
    """A GET ends the run with 75. Of a POST it is not known whether it was taken, so it is not sent again (I5)."""
    stop = threading.Event()
    with Dripping(*HEADERS) as api:
        clock = SystemClock(stop)
        settings = {"base_url": api.url, "client_id": "app_1", "client_secret": "secret_canary_1"}
        session = connect(
            resolve_settings({**settings, "quota_url": "memory://", "request_timeout": LONG}),
            clock=clock,
            budget=Budget(clock, stop=stop),
        )
        threading.Thread(target=lambda: (api.asked.wait(LONG), stop.set()), daemon=True).start()
        with pytest.raises(BudgetSpent if method == "get" else ApiUnreachable):
            session.client.get("customers") if method == "get" else session.client.post("metering", b"{}")


def test_an_answer_in_the_grace_is_taken():
    """Most answers come in that time; of a POST that is cut it would not be known whether it was taken."""

    def answer(method, target, number):
        api.over.wait(GRACE / 4)
        yield http({"data": []})

    with RawServer(answer) as api:
        assert get(api.url, LONG, stopping=api.asked.is_set).body == {"data": []}


@pytest.mark.slow
def test_the_answer_to_a_new_secret_is_waited_for_though_the_run_is_to_stop(desk):
    """I6: it comes only once, and the old secret is dead."""
    stop, seen = threading.Event(), []

    def answer(method, target, number):
        if target.startswith("/oauth/token"):
            yield http({"access_token": "token-one", "token_type": "Bearer", "expires_in": 3600})
            return
        stop.set()
        api.over.wait(GRACE + 1)
        yield http({"data": {"clientSecret": "secret_canary_2"}})

    with RawServer(answer) as api:
        clock = SystemClock(stop)
        settings = {"base_url": api.url, "client_id": "app_1", "client_secret": "secret_canary_1"}
        session = connect(
            resolve_settings({**settings, "quota_url": "memory://"}), clock=clock, budget=Budget(clock, stop=stop)
        )
        session.client.post("/oauth/applications/app_1/regenerate-secret", b"{}", inspect=seen.append)
    assert b"secret_canary_2" in seen[0]
