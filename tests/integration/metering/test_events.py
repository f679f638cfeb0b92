"""I5: an event is applied by the call id that the ledger holds; every other event about metering stays open."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.events import read_events
from automatum.metering.webhook_signature import verified_events
from tests.support.loopback import Say, error
from tests.support.pushing import NOON, Api, Books, hour_of


def usage(dimensions=3, customer=1):
    at = (hour_of(NOON, 2) + timedelta(minutes=10)).isoformat()
    fields = {"customer_id": f"cust_{customer}", "listing_id": "list_1", "vendor": "aws", "usage_at": at}
    return [
        {**fields, "dimension": f"d{one}", "units": f"{customer}{one}", "price": "0.5"} for one in range(dimensions)
    ]


@pytest.fixture
def api():
    """An API that names its calls."""
    with Api(lambda number, body: (True, Say(202, {"code": 202, "data": {"id": f"m_{number}"}}))) as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def event(kind, call="m_1", number=1, **data):
    return {"id": f"evt_{number}", "event": f"metering.{kind}", "data": {"id": call, **data}}


PLACED = [
    event("failed"),
    event("failed", status="failed", reason="CustomerNotSubscribed"),
    event("failed", usages=[{"apiKey": f"d{one}", "units": f"1{one}", "price": 0.50} for one in range(3)]),
    {"event": "metering.failed", "data": {"meteringId": "m_1", "id": "evt_9", "error": {"message": "no"}}},
    {"type": "metering.failed", "data": {"metering_id": "m_1"}},
    {"event": "metering.failed", "data": {"details": {"id": "m_1", "usages": []}}},
    {"event": "Metering.Failed", "data": '{"id": "m_1"}'},
]
OPEN = [
    {"event": "metering.failed", "data": {"usages": [{"apiKey": "d0"}], "customerId": "cust_1"}},
    {"event": "metering.failed", "meteringId": "m_1"},
    {"event": "metering.failed", "data": ["m_1"]},
    {"event": "metering.failed", "data": {"call": "m_1"}},
    {"event": "metering_failed", "data": {"id": "m_1"}},
    {"event": "metering.rejected", "data": {"id": "m_1"}},
    {"event": "metering.usage.failed", "data": {"id": "m_1"}},
    {"name": "metering.failed", "data": {"id": "m_1"}},
    {"event": {"type": "metering.failed"}, "data": {"id": "m_1"}},
    event("failed", call="m_77"),
    event("failed", call=True),
    event("failed", usages=[{"apiKey": f"d{one}"} for one in range(4)]),
    event("failed", usages=[{"units": 3}]),
    event("confirmed", usages=[{"apiKey": "d0", "units": 7}]),
    event("confirmed", usages=[{"apiKey": f"d{one}", "units": f"1{one}", "price": "0.4"} for one in range(3)]),
    event("confirmed", usages=[{"apiKey": "d0", "units": "many"}]),
    event("confirmed", usages=[{"apiKey": "d0", "units": Decimal("1e99999999")}]),
    event("confirmed", call=True, more=Decimal("1e99999999")),
    {"event": "metering.failed", "data": "[" * 5_000},
    event("submitted", status="failed"),
    event("confirmed", status="partially_confirmed"),
]


@pytest.mark.parametrize("raw", PLACED, ids=lambda raw: str(raw)[:80])
def test_m6_a_failure_that_names_its_call_is_applied(raw, api, books):
    books.push([*usage(), *usage(customer=2)])
    applied = books.take([raw])
    assert (applied.placed, applied.exit_code, len(applied.lines)) == (1, 0, 3)
    assert books.states() == {"accepted": 3, "unbilled": 3}
    again = books.take([raw])
    assert (again.known, again.placed, again.exit_code) == (1, 0, 0), "another delivery"
    pushed = books.push([*usage(), *usage(customer=2)])
    assert (pushed.exit_code, pushed.requests) == (65, 0), "what failed is sent by a person alone"


@pytest.mark.parametrize("raw", OPEN, ids=lambda raw: str(raw)[:80])
def test_m6_an_event_that_cannot_be_placed_stays_open(raw, api, books):
    """None of them changes a line, and none is forgotten, however often it comes."""
    books.push(usage())
    for _ in range(2):
        applied = books.take([raw])
        assert (applied.placed, applied.exit_code) == (0, 65)
        assert books.states() == {"accepted": 3}
    (item,) = books.items("event")
    assert item.reason
    assert books.push(usage()).exit_code == 65
    assert books.settle(item.id, "never", reason="the vendor says that it is a test").exit_code == 0
    assert books.push(usage()).exit_code == 0


def test_json_that_is_nested_too_deeply_is_named(tmp_path):
    file = tmp_path / "events.jsonl"
    file.write_text('{"event": "metering.failed", "data": ' + "[" * 100_000)
    with pytest.raises(ConfigurationError, match=r"line 1 is not JSON: .*too deeply"):
        list(read_events(file))
    call = {"headers": {}, "body": "[" * 100_000}
    with pytest.raises(ConfigurationError, match="event 1 has a body that is not a JSON object"):
        list(verified_events([call], None))


def test_an_event_does_not_fill_the_ledger(books):
    books.push(usage())
    books.take([event("confirmed", call="m_77", usages=[{"apiKey": "d0", "units": Decimal("1e999999")}])])
    assert len(json.dumps([item.data for item in books.items("event")], default=str)) < 1_000


def test_an_event_that_names_some_usages_of_its_call_is_about_those(books):
    books.push(usage())
    assert len(books.take([event("failed", usages=[{"apiKey": "d1"}])]).lines) == 1
    assert books.states() == {"accepted": 2, "unbilled": 1}


def test_m6_an_event_whose_id_is_that_of_another_is_not_forgotten(books):
    """The id on top may be that of the organization."""
    books.push([*usage(), *usage(customer=2)])
    books.take([event("failed", call="m_1")])
    assert len(books.take([event("failed", call="m_2")]).lines) == 3
    assert books.states() == {"unbilled": 6}


def test_events_about_other_things_are_ignored(books):
    books.push(usage())
    applied = books.take([{"event": "customer.created", "data": {"id": "m_1"}}, {"type": "entitlement.updated"}])
    assert (applied.ignored, applied.exit_code, books.items()) == (2, 0, [])


def test_a_confirmation_settles_an_unknown_line_whose_call_is_known(api, books):
    """An answer whose form is not known may have the id of the call all the same."""
    api.decide = lambda number, body: (True, Say(202, {"code": 202, "data": {"id": "m_1", "state": "?"}}))
    books.push(usage())
    assert books.states() == {"unknown": 3}
    books.take([event("submitted")])
    assert books.states() == {"accepted": 3}
    books.take([event("confirmed", number=2, status="confirmed")])
    assert books.states() == {"confirmed": 3}
    assert books.push(usage()).exit_code == 0


@pytest.mark.parametrize("order", [("confirmed", "failed"), ("failed", "confirmed")])
def test_i5_events_that_contradict_each_other_are_a_conflict(order, books):
    books.push(usage())
    for number, kind in enumerate(order):
        books.take([event(kind, number=number)])
    assert books.states() == {"conflict": 3}
    assert books.push(usage()).requests == 0


def test_a_call_that_was_refused_is_not_confirmed_silently(api, books):
    api.decide = lambda number, body: (False, error(400, "no"))
    books.push(usage())
    assert books.take([event("confirmed")]).exit_code == 65
    assert books.states() == {"unbilled": 3}


@pytest.mark.parametrize("since", ["", "grown", "carried", "price"])
@pytest.mark.parametrize("known", [False, True])
def test_i5_a_failure_does_not_undo_the_word_of_a_person(known, since, api, books):
    """It could be sent again, though a person has seen it at the marketplace; whatever became of its usage since."""
    if known:
        books.push(usage(1))
    else:
        api.decide = lambda number, body: (True, Say(202, {"code": 202, "data": {"id": "m_1", "state": "?"}}))
    books.push([{**usage(1)[0], "units": "25"}])
    (line,) = books.entries().values()
    books.settle(line.id, "billed")
    if since:
        changed = {"price": "0.6"} if since == "price" else {"units": "40"}
        books.push([{**usage(1)[0], "units": "25", **changed}])
        assert books.states() == {"conflict": 1}
    if since == "carried":
        api.decide = lambda number, body: (True, Say(202, {"code": 202, "data": {"id": "m_9"}}))
        books.settle(line.id, "carry", unchecked=True)
    books.take([event("failed")])
    line = next(one for one in books.entries().values() if one.id == line.id)
    assert (line.state, line.why, line.accepted_units) == ("conflict", "events disagree", Decimal(25))
