"""I5: what a hostile reading of December 2026 billed twice, or hid, by the commands (M2 to M6, M8, M10)."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.loopback import Say, error
from tests.support.pushing import UTC, YES, Api, Teller, write_csv


def row(units, back=2, vendor="azure", **more):
    """Usage of one line so many hours ago; Azure takes a day whenever this runs."""
    at = datetime.now(UTC).replace(minute=10) - timedelta(hours=back)
    fields = {"customer_id": "cust_1", "listing_id": "list_1", "vendor": vendor, "dimension": "d0"}
    return {**fields, "units": str(units), "price": "0.5", "usage_at": at.isoformat(), **more}


def yesterday(units, **more):
    """Usage whose hour is too late, and whose day is not."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    return row(units, usage_at=start.isoformat(), **more)


@pytest.fixture
def api(desk):
    with Api() as found:
        desk.set(base_url=found.url, client_id="app_1", client_secret="secret_of_the_test")
        yield found


@pytest.fixture
def teller(desk, api):
    return Teller(desk)


def billed(api):
    return sum(Decimal(one["units"]) for body in api.taken for one in body["details"]["usages"])


def push(teller, rows, *arguments, code=0):
    return teller.push(rows, "--confirm", "--unchecked", *arguments, code=code)


def settle(teller, line_id, *arguments, code=0):
    return teller.run("settle", line_id, *arguments, "--unchecked", "--confirm", code=code)


@pytest.mark.slow
def test_m2_carry_bills_nothing_that_a_day_has_billed(api, teller):
    push(teller, [yesterday(100)], code=65)
    (hour,) = teller.entries("unbilled")
    push(teller, [yesterday(100)], "--grain", "day", code=65)
    assert billed(api) == 100
    assert "bills the same usage" in settle(teller, hour.id, "--carry", code=65)["refused"][0]["reason"]
    assert billed(api) == 100


@pytest.mark.slow
def test_m3_a_carried_line_is_not_sent_again_in_full(api, teller):
    push(teller, [row(9)])
    push(teller, [row(13)], code=65)
    (line,) = teller.entries("conflict")
    settle(teller, line.id, "--carry")
    settle(teller, line.id, "--not-billed", "--send", code=65)
    push(teller, [row(13)])
    assert billed(api) == 13


@pytest.mark.slow
def test_m4_carry_names_its_lines_and_keeps_to_the_limit(api, desk, teller):
    push(teller, [yesterday(10)], code=65)
    (line,) = teller.entries("unbilled")
    assert desk.run("push", "settle", "--carry", "--confirm").code != 0
    desk.set(metering_max_amount=4)
    assert "max_amount" in settle(teller, line.id, "--carry", code=65)["refused"][0]["reason"]
    assert billed(api) == 0
    desk.set(metering_max_amount=5)
    settle(teller, line.id, "--carry")
    assert billed(api) == 10


@pytest.mark.slow
@pytest.mark.parametrize("data", [{"accepted": ["d0"]}, {"status": "queued", "notFound": ["d1"]}, {"billed": False}])
def test_m5_a_no_in_the_documented_envelope_is_unknown(data, api, teller):
    api.decide = lambda number, body: (False, Say(202, {"code": 202, "data": data}))
    rows = [row(number + 1, dimension=f"d{number}") for number in range(3)]
    assert push(teller, rows, code=65)["lines"]["unknown"] == 3
    assert push(teller, rows, code=65)["requests"] == 0
    assert teller.states() == {"unknown": 3}


@pytest.mark.slow
def test_m6_an_event_that_cannot_be_placed_is_65(api, teller):
    push(teller, [row(5)])
    event = {"event": "metering.failed", "data": {"customerId": "cust_1", "usages": [{"apiKey": "d0", "units": 5}]}}
    Path("events.jsonl").write_text(json.dumps(event))
    teller.run("events", "events.jsonl", code=65)
    assert push(teller, [row(5)], code=65)["unresolved"] == {"event": 1}


@pytest.mark.slow
def test_m8_two_files_with_parts_of_one_hour_name_each_other(api, teller):
    push(teller, write_csv([row(50)], "a.csv"))
    for units in (50, 70):
        second = push(teller, write_csv([row(units)], "b.csv"), code=65)
        assert second["other_sources"][0]["other"]["source"].endswith("a.csv")
    assert billed(api) == 50


@pytest.mark.slow
def test_m10_a_422_that_took_the_others_sends_nothing_again(api, teller):
    fault = [{"field": "details.usages[0].units", "message": "no"}]
    answer = error(422, "Validation failed", errors=fault, data={"accepted": ["d1"]})
    api.decide = lambda number, body: (True, answer if number == 1 else Say(202, YES))
    rows = [row(number + 1, dimension=f"d{number}") for number in range(2)]
    push(teller, rows, code=65)
    push(teller, rows, code=65)
    assert len(api.bodies) == 1 and teller.states() == {"unbilled": 1, "unknown": 1}
