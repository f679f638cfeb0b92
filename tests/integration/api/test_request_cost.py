"""The work of one request, counted, because seconds depend on the machine: calls, connections, changes of the quota."""

import logging
import random
import sys
from collections import Counter

import pytest

from automatum.api.connections import Connections
from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.stores import SqliteStore
from automatum.api.retry import Sender
from automatum.api.session import ApiClient
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.endpoints import API_PREFIX
from tests.support.loopback import Loopback, Say

PAGES = 20
ROWS = [{"id": f"cust_{number}", "name": "Ada", "email": "ada@example.com"} for number in range(100)]
LIMITS = {
    "X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "990", "X-RateLimit-Organization-Limit": "10000",
    "X-RateLimit-Organization-Remaining": "9900", "Date": "Fri, 27 Nov 2026 04:00:00 GMT",
}  # fmt: skip


class CountedStore(SqliteStore):
    """Counts changes and readings of the state."""

    changes = 0

    def change(self, work):
        self.changes += 1
        return super().change(work)


@pytest.fixture
def server():
    with Loopback() as one:
        one.say(
            API_PREFIX + "customers",
            Say(body={"code": 200, "message": "Customers retrieved", "data": ROWS}, headers=LIMITS),
        )
        yield one


@pytest.fixture
def store(tmp_path):
    one = CountedStore(tmp_path / "quota.sqlite", SystemClock())
    yield one
    one.close()


@pytest.fixture
def client(server, store):
    clock = SystemClock()
    given = {"base_url": server.url, "client_id": "app_1a2b", "client_secret": "secret_canary_1"}
    limits = ((1000, 60.0), (1000, 3600.0))
    with Connections() as connections:
        limiter = RateLimiter(limits, limits, clock, store)
        yield ApiClient(Sender(resolve_settings(given), clock, limiter, Budget(clock), connections, random.Random(1)))


def read(client):
    for number in range(1, PAGES + 1):
        client.get("customers", {"page": str(number), "limit": "100"})


def test_a_page_is_one_request_on_one_connection_and_two_changes_of_the_count_i3_i4(server, store, client):
    """One before it is sent, and one with its response."""
    read(client)
    assert len(server.seen) == 1 + PAGES, "a token and the pages"
    assert server.connections == 1
    assert store.changes == 2 * (1 + PAGES)


def calls(work):
    """The Python functions that the work calls in this thread, with their numbers."""
    found = Counter()

    def count(frame, event, argument):
        if event == "call":
            found[frame.f_code.co_name] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_a_page_takes_a_bounded_number_of_calls(client, caplog):
    """Measured: 640 of urllib3, http.client and the connector. With `requests` it was 2,000."""
    caplog.set_level(logging.WARNING)
    read(client)
    found = calls(lambda: read(client))
    assert sum(found.values()) <= 900 * PAGES, found.most_common(40)
    for nothing in ("redact", "shorten", "getproxies", "_load_certificates", "parse_deep_json"):
        assert found[nothing] == 0, "nothing is logged and nothing is new, so nothing is redacted or looked up"
