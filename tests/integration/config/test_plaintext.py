"""I6: nothing crosses a network in the clear unless the user allows it, and no request to loopback meets a proxy."""

import pytest

from automatum.api.rate_limit.redis import RedisStore
from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.engines import parse_url, postgres_engine
from tests.support.clocks import FakeClock
from tests.support.loopback import Loopback, Say
from tests.support.postgres import postgres  # noqa: F401


def elsewhere(url):
    """The same server, by the name of another machine."""
    return url.replace("127.0.0.1", "db.example.com") + "?hostaddr=127.0.0.1"


def test_a_ledger_on_another_machine_needs_tls(desk, postgres):  # noqa: F811
    """By psycopg2's own word on the connection, whatever the URL says."""
    url = elsewhere(postgres)
    with pytest.raises(ConfigurationError, match=r"connection to db\.example\.com is not encrypted") as caught:
        postgres_engine(parse_url(url)).connect()
    assert "sslmode=require" in caught.value.next_step
    desk.set(plaintext_hosts=["db.example.com"])
    with postgres_engine(parse_url(url)).connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.slow
def test_a_warehouse_on_another_machine_needs_tls(desk, start, postgres, monkeypatch):  # noqa: F811
    """Before a request is spent."""
    served = start(customers=2, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", elsewhere(postgres))
    made = desk.sync("--destination", "postgres")
    assert made.code == 78
    assert "destination.postgres.credentials" in made.says
    assert served.sandbox.requests.to("/api/v1/") == []
    desk.set(plaintext_hosts=["db.example.com"])
    assert desk.sync("--destination", "postgres").code == 0


@pytest.mark.parametrize("url", ["redis://cache.example.com:1/0", "valkey://:canary-secret@10.1.2.3:1/0"])
def test_a_quota_on_another_machine_needs_tls(desk, url):
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match="is not encrypted") as caught:
        RedisStore(url, "x", FakeClock())
    assert "rediss://" in caught.value.next_step
    assert "canary" not in str(caught.value)
    desk.set(plaintext_hosts=["cache.example.com", "10.1.2.3"])
    assert RedisStore(url, "x", FakeClock())
    assert RedisStore(url.replace("://", "s://", 1), "x", FakeClock())


def test_requests_to_loopback_meet_no_proxy(desk, monkeypatch):
    """A proxy's loopback is another machine: it would get the client secret in the clear."""
    with Loopback() as api, Loopback() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        api.say("/api/v1/customers", Say(body={"code": 200, "data": []}))
        settings = {"base_url": api.url, "client_id": "app_1", "client_secret": "secret_canary_1"}
        clock = FakeClock()
        session = connect(resolve_settings({**settings, "quota_url": "memory://"}), clock=clock, budget=Budget(clock))
        assert session.client.get("customers").body["data"] == []
        assert proxy.seen == []
        assert [one.path for one in api.seen] == ["/oauth/token", "/api/v1/customers"]
