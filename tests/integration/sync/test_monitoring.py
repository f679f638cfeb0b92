"""Errors and durations of the API, and the age of the client secret, as the destination keeps them (I9)."""

import logging

import pytest

from automatum.operations.status import read_sweeps
from tests.support.syncing import HOUR, Site

DAY = 24 * HOUR
COUNTED = ("http_401", "http_403", "http_404", "http_429", "http_5xx", "network_errors", "retries")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


def recorded(site, *columns):
    return site.query(f"SELECT {', '.join(columns)} FROM _automatum_sweeps ORDER BY finished_at, table_name")


def warned(caplog):
    return [one.getMessage() for one in caplog.records if "client secret has been in use" in one.getMessage()]


@pytest.mark.slow
def test_refusals_failures_and_retries_are_counted_by_table(site):
    sandbox = site.serve(customers=250, private_offers=3)
    sandbox.faults.add("status", "/api/v1/customers", status=503, count=2)
    sandbox.faults.add("status", "/api/v1/private-offers", status=429)
    made = site.sync("customers", "private_offers")
    assert made.code == 0
    assert recorded(site, "table_name", *COUNTED) == [
        ("customers", 0, 0, 0, 0, 2, 0, 2),
        ("private_offers", 0, 0, 0, 1, 0, 0, 1),
    ]
    ((p50, p95, most),) = recorded(site, "latency_p50_ms", "latency_p95_ms", "latency_max_ms")[:1]
    assert 0 <= p50 <= p95 <= most
    api = made.summary.to_json()["api"]
    assert (api["http_5xx"], api["http_429"], api["retries"]) == (2, 1, 3)
    recent = read_sweeps(site.pipeline(), site.clock.time())["tables"]["customers"]["recent"]
    assert (recent["sweeps"], recent["requests"], recent["http_5xx"], recent["retries"]) == (1, 5, 2, 2)


@pytest.mark.slow
def test_a_dataset_of_an_earlier_version_is_read_and_gets_the_columns(site):
    site.serve(customers=3)
    site.sync("customers")
    for name in (*COUNTED, "latency_p50_ms", "latency_p95_ms", "latency_max_ms"):
        site.execute(f"ALTER TABLE _automatum_sweeps DROP COLUMN {name}")
    site.execute("UPDATE _automatum_sweeps SET extra = json_merge_patch(extra, '{\"secret\": null}')")
    before = read_sweeps(site.pipeline(), site.clock.time())
    assert before["tables"]["customers"]["recent"] is None
    assert before["secret"] is None
    assert site.sync("customers").code == 0
    assert recorded(site, "http_429") == [(None,), (0,)]
    assert read_sweeps(site.pipeline(), site.clock.time())["tables"]["customers"]["recent"]["sweeps"] == 2


@pytest.mark.slow
def test_a_secret_in_use_for_too_long_is_warned_of_once_a_day_until_it_is_rotated(site, caplog):
    """The page's 30 days (`api/authentication`); counted from the first sync that used it."""
    caplog.set_level(logging.WARNING, "automatum")
    sandbox = site.serve(customers=3, private_offers=3)
    site.sync("customers")
    site.clock.advance(29 * DAY)
    site.sync("private_offers")
    assert warned(caplog) == []
    site.clock.advance(1 * DAY)
    site.sync("customers")
    assert len(warned(caplog)) == 1
    assert "30 days or more" in warned(caplog)[0]
    site.clock.advance(60)
    site.sync("customers")
    assert len(warned(caplog)) == 1  # The same day.
    secret = read_sweeps(site.pipeline(), site.clock.time())["secret"]
    assert secret["age_days"] == 30
    assert "automatum apps rotate" in secret["advice"]

    app = sandbox.tokens.apps[site.served.client_id]
    rotated = sandbox.tokens.new_secret(app, site.clock.time())
    site.clock.advance(1 * DAY)
    caplog.clear()
    site.sync("customers", client_secret=rotated)
    assert warned(caplog) == []
    assert read_sweeps(site.pipeline(), site.clock.time())["secret"]["age_days"] == 0


@pytest.mark.slow
def test_the_destination_holds_no_secret(site):
    """I6: eight hex digits of a hash tell two secrets apart, and lead to none."""
    site.serve(customers=3)
    site.sync("customers")
    assert site.served.client_secret not in str(site.query("SELECT * FROM _automatum_sweeps"))
    ((extra,),) = recorded(site, "extra ->> '$.secret.mark'")
    assert len(extra) == 8
