"""Lines without an answer are resolved by events, or by hand (I5)."""

import json
import random
from datetime import date
from decimal import Decimal

import pytest
from automatum.metering.ledger.reconcile import resolve_by_events, resolve_by_hand
from automatum.metering.ledger.resolution import Reconciled
from automatum.metering.ledger.webhook_events import Unreadable, parse

from automatum.core.errors import ConfigurationError
from tests.support.metering_lines import event, ids, make_line, retry, states


def send(ledger, lines, state="unknown", **answer):
    """Send lines in one call."""
    with ledger.run() as run:
        run.plan(lines)
        attempt = run.claim("body", lines)
        assert attempt.lines == tuple(lines)
        run.settle(attempt, state, **answer)
    return attempt


BODY = [make_line(1, dimension="api", units="5"), make_line(1, dimension="gb", units="2.5", price="0.20")]
SAME = [make_line(2, dimension="api", units="5"), make_line(2, dimension="gb", units="2.5", price="0.20")]
OTHER = [make_line(3, dimension="api", units="5"), make_line(3, dimension="gb", units="9", price="0.20")]


@pytest.mark.parametrize(
    "kind, state, group",
    [
        ("confirmed", "confirmed", "confirmed"),
        ("submitted", "accepted", "accepted"),
        ("failed", "rejected", "rejected"),
    ],
)
def test_an_event_settles_what_was_unknown(ledger, kind, state, group):
    send(ledger, BODY)
    result = resolve_by_events(ledger, [event(BODY, kind, reason="Customer not subscribed")])
    assert set(getattr(result, group)) == ids(BODY) and result.unused == []
    for entry in ledger.reader.lines():
        assert (entry.state, entry.settled_by) == (state, "event")
        billed = state != "rejected"
        assert (entry.accepted_units, entry.accepted_hash) == (
            (entry.units, entry.payload_hash) if billed else (None, None)
        )
        assert entry.error == (None if billed else "Customer not subscribed")
    of_call = "accepted" if state == "confirmed" else state
    assert {(row.state, row.reference) for row in ledger.reader.attempts()} == {(of_call, "meter_1")}


def test_the_same_events_twice_change_nothing(ledger):
    send(ledger, BODY)
    send(ledger, SAME)
    events = [event(BODY), {"event": "customer.created", "data": {}}, event(BODY)]
    result = resolve_by_events(ledger, events)
    assert (set(result.confirmed), result.ignored) == (ids(BODY), 2)
    before = list(ledger.reader.lines())
    result = resolve_by_events(ledger, events)
    assert result == Reconciled(ignored=3)
    # Nor do other events about the same call.
    result = resolve_by_events(ledger, [event(BODY, "submitted", number=2), event(BODY, "confirmed", number=3)])
    assert (result.accepted, result.confirmed, result.unused) == ([], [], [])
    assert list(ledger.reader.lines()) == before
    assert set(states(ledger).values()) == {"confirmed", "unknown"}


@pytest.mark.parametrize("with_call", [True, False])
def test_one_event_settles_one_call_of_two_that_are_alike(ledger, with_call):
    send(ledger, BODY)
    send(ledger, SAME)
    first, second = (event(BODY, call=f"meter_{number}" if with_call else None, number=number) for number in (1, 2))
    assert set(resolve_by_events(ledger, [first]).confirmed) == ids(BODY), "the older one"
    assert set(resolve_by_events(ledger, [second, first]).confirmed) == ids(SAME)
    (event_,) = resolve_by_events(ledger, [event(BODY, call="meter_3", number=3)]).unused
    assert "no call of this ledger is left" in event_.reason


@pytest.mark.parametrize("reference", ["meter_1", None])
def test_an_accepted_line_takes_its_own_event_first(ledger, reference):
    """The event of the accepted call does not settle the unknown one."""
    send(ledger, SAME)
    send(ledger, BODY, "accepted", status_code=202, reference=reference)
    result = resolve_by_events(ledger, [event(BODY)])
    assert (set(result.confirmed), result.unused) == (ids(BODY), [])
    assert {states(ledger)[line.id] for line in SAME} == {"unknown"}
    assert set(resolve_by_events(ledger, [event(BODY, call="meter_2", number=2)]).confirmed) == ids(SAME)


def test_ids_that_may_not_be_the_same_ids_settle_nothing(ledger):
    """That events carry the id of the API's answer is an assumption: until one does, equal calls may be confused."""
    send(ledger, BODY, "accepted", status_code=202, reference="answer-1")
    send(ledger, SAME)
    (event_,) = resolve_by_events(ledger, [event(BODY, call="event-1")]).unused
    assert "no event yet had an id that the API gave" in event_.reason
    assert {states(ledger)[line.id] for line in SAME} == {"unknown"}
    result = resolve_by_events(ledger, [event(BODY, call="event-1"), event(BODY, call="answer-1", number=2)])
    assert set(result.confirmed) == ids(SAME) | ids(BODY)


def test_a_failure_takes_an_acceptance_back(ledger):
    """2xx means queued; the marketplace refuses later."""
    send(ledger, BODY, "accepted", status_code=202, reference="meter_1")
    result = resolve_by_events(ledger, [event(BODY, "failed")])
    assert set(result.rejected) == ids(BODY)
    for entry in ledger.reader.lines():
        assert (entry.state, entry.accepted_units, entry.accepted_hash) == ("rejected", None, None)
    # Sent again and accepted: the old events, and new ones about the old call, are about the old call.
    assert retry(ledger) == [], "only by its id"
    assert set(retry(ledger, ids(BODY))) == ids(BODY)
    send(ledger, BODY, "accepted", status_code=202, reference="meter_2")
    resolve_by_events(ledger, [event(BODY, "failed"), event(BODY, "failed", number=7)])
    assert set(states(ledger).values()) == {"accepted"}
    assert set(resolve_by_events(ledger, [event(BODY, "failed", call="meter_2", number=8)]).rejected) == ids(BODY)


def test_a_failure_ends_a_conflict_about_what_had_been_accepted(ledger):
    line = make_line(units="5")
    send(ledger, [line], "accepted", status_code=202, reference="meter_1")
    with ledger.run() as run:
        run.conflict([make_line(units="6")])
    assert resolve_by_events(ledger, [event([line], "failed")]).rejected == [line.id]
    (entry,) = ledger.reader.lines()
    assert (entry.accepted_units, entry.asked_units) == (None, None)


@pytest.mark.sample(4)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("first, second", [("confirmed", "failed"), ("failed", "confirmed")])
def test_confirmed_and_failed_wait_for_a_person(ledger, at_once, first, second):
    """And until one has looked, nothing goes out, even if it was to be sent again already."""
    send(ledger, BODY)
    events = [event(BODY, first, number=1), event(BODY, second, number=2)]
    if at_once:
        result = resolve_by_events(ledger, events)
    else:
        resolve_by_events(ledger, events[:1])
        retry(ledger, ids(BODY))
        result = resolve_by_events(ledger, events[1:])
    assert set(result.conflict) == ids(BODY)
    assert set(states(ledger).values()) == {"conflict"}
    resolve_by_hand(ledger, accepted=ids(BODY))
    result = resolve_by_events(ledger, [*events, event(BODY, "confirmed", number=3)])
    assert result.conflict == [] and set(states(ledger).values()) == {"accepted"}, "the human has spoken"


@pytest.mark.sample(4)
@pytest.mark.parametrize("first, second", [("submitted", "failed"), ("failed", "submitted")])
@pytest.mark.parametrize("at_once", [True, False])
def test_submitted_and_failed_is_failed_in_any_order(ledger, at_once, first, second):
    send(ledger, BODY)
    events = [event(BODY, first, number=1), event(BODY, second, number=2)]
    for some in [events] if at_once else [events[:1], events[1:]]:
        resolve_by_events(ledger, some)
    assert set(states(ledger).values()) == {"rejected"}


def test_a_whole_call_is_found_among_its_likes(ledger):
    send(ledger, OTHER)
    send(ledger, BODY)
    assert set(resolve_by_events(ledger, [event(BODY)]).confirmed) == ids(BODY)


def test_a_whole_call_is_found_before_a_part_of_another(ledger):
    """The older call had these usages and one more: an event that names all of a call is not about it."""
    send(
        ledger,
        [make_line(4, dimension=one.dimension, units=one.units, price=one.price) for one in BODY] + [make_line(4)],
    )
    send(ledger, BODY)
    assert set(resolve_by_events(ledger, [event(BODY)]).confirmed) == ids(BODY)


def test_an_event_for_each_usage_settles_them_one_by_one(ledger):
    send(ledger, BODY)
    assert resolve_by_events(ledger, [event(BODY[1:], number=1)]).confirmed == [BODY[1].id]
    assert resolve_by_events(ledger, [event(BODY[:1], number=2)]).confirmed == [BODY[0].id]


def test_what_could_be_either_stays_unknown(ledger):
    send(ledger, BODY)
    send(ledger, OTHER)
    result = resolve_by_events(ledger, [event(BODY[:1])])
    assert result.confirmed == [] and "2 different calls" in result.unused[0].reason
    assert set(states(ledger).values()) == {"unknown"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"vendor": "azure"},
        {"listingId": "lst_2"},
        {"customerId": "cust_2"},
        {"reportingDate": "2026-11-21"},
        {"usages": [{"apiKey": "api", "units": 5}, {"apiKey": "gb", "units": Decimal("2.51")}]},
        {"usages": [{"apiKey": "api", "units": 5}, {"apiKey": "gb", "units": Decimal("2.5"), "price": "0.21"}]},
        {"usages": [{"apiKey": "api", "units": 5}, {"apiKey": "seats", "units": Decimal("2.5")}]},
        {"usages": [{"apiKey": one, "units": 5} for one in ("api", "gb", "seats")]},
    ],
)
def test_what_differs_in_anything_is_another_call(ledger, changes):
    send(ledger, BODY)
    result = resolve_by_events(ledger, [event(BODY, **changes)])
    assert result.confirmed == [] and len(result.unused) == 1
    assert set(states(ledger).values()) == {"unknown"}


@pytest.mark.parametrize(
    "shape",
    [
        lambda one: {"type": one["event"], "data": one["data"]},
        lambda one: {**one, "event": "Metering.Confirmed", "data": json.dumps(one["data"], default=str)},
        lambda one: {**one, "data": nested(one["data"])},
        lambda one: {**one, "data": {**one["data"], "vendor": "AWS", "reportingDate": date(2026, 11, 20)}},
        lambda one: {
            **one,
            "data": {**one["data"], "usages": [{"apiKey": "api", "units": "5.00"}, {"apiKey": "gb", "units": 2.5}]},
        },
    ],
)
def test_events_are_read_in_every_likely_form(ledger, shape):
    send(ledger, BODY)
    assert set(resolve_by_events(ledger, [shape(event(BODY))]).confirmed) == ids(BODY)


def nested(data):
    """As in the body of the call."""
    details = {"customer": {"id": data["customerId"]}, "reportingDate": data["reportingDate"], "usages": data["usages"]}
    return {"id": data["id"], "vendor": data["vendor"], "listingId": data["listingId"], "details": details}


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"usages": []}, "no usages"),
        ({"usages": [{"apiKey": "api"}]}, "no units"),
        ({"usages": [{"apiKey": "api", "units": "many"}]}, "not a number"),
        ({"usages": [{"apiKey": "api", "units": "NaN"}]}, "not a number"),
        ({"usages": [{"apiKey": "api", "units": True}]}, "no units"),
        ({"usages": ["api"]}, "not an object"),
        ({"usages": [{"apiKey": "api", "units": 1}] * 2}, "twice"),
        ({"customerId": None}, "no customerId"),
        ({"reportingDate": "yesterday"}, "not a date"),
        ({"vendor": {}}, "no vendor"),
    ],
)
def test_events_that_cannot_be_read_are_reported(ledger, changes, says):
    result = resolve_by_events(ledger, [{"event": "other"}, event(BODY, **changes)])
    (event_,) = result.unused
    assert event_.position == 2 and says in event_.reason
    (none, found) = parse([{"event": "metering.other"}, {"event": "metering.failed", "data": 3}])
    assert none is None and isinstance(found, Unreadable)


def test_submitted_without_an_id_proves_nothing(ledger):
    """Or it and a later `confirmed` would be taken for two calls."""
    send(ledger, BODY)
    send(ledger, SAME)
    result = resolve_by_events(ledger, [event(BODY, "submitted", call=None), event(BODY, call=None, number=2)])
    assert len(result.unused) == 1 and set(result.confirmed) == ids(BODY)


def test_a_call_that_is_under_way_keeps_events_about_its_likes_waiting(ledger, open_ledger):
    """The event may be about the one that is still to be answered."""
    send(ledger, BODY)
    with open_ledger().run() as run:
        run.plan(SAME)
        attempt = run.claim("body", SAME)
        (event_,) = resolve_by_events(ledger, [event(BODY)]).unused
        assert "under way" in event_.reason
        run.settle(attempt, "accepted", status_code=202, reference="meter_1")
    assert set(resolve_by_events(ledger, [event(BODY)]).confirmed) == ids(SAME)
    assert {states(ledger)[line.id] for line in BODY} == {"unknown"}


def test_a_failure_waits_while_its_line_goes_out_again(ledger, open_ledger):
    send(ledger, BODY, "rejected", reference="meter_1")
    retry(ledger)
    with open_ledger().run() as run:
        attempt = run.claim("again", BODY)
        (event_,) = resolve_by_events(ledger, [event(BODY, "failed")]).unused
        assert "just now" in event_.reason
        run.settle(attempt, "accepted", reference="meter_2")
    assert resolve_by_events(ledger, [event(BODY, "failed")]).unused == []
    assert set(states(ledger).values()) == {"accepted"}


def test_an_event_that_contradicts_a_refusal_is_reported(ledger):
    send(ledger, BODY, "rejected", status_code=400, reference="meter_1")
    result = resolve_by_events(ledger, [event(BODY)])
    assert result.confirmed == [] and "the line is rejected" in result.unused[0].reason


@pytest.mark.slow
def test_the_order_of_events_does_not_matter(ledger):
    """The last word on each line is the same, however they come."""
    bodies = [[make_line(24 * number, dimension="api", units=str(number + 1))] for number in range(12)]
    for lines in bodies:
        send(ledger, lines)
    events = []
    for number, lines in enumerate(bodies):
        kinds = ["submitted", "failed" if number % 3 == 0 else "confirmed"]
        events += [event(lines, kind, f"meter_{number}", f"{number}-{kind}") for kind in kinds[: 1 + (number % 4 > 0)]]
    random.Random(3).shuffle(events)
    for start in range(0, len(events), 5):
        resolve_by_events(ledger, events[start : start + 5])
    for number, lines in enumerate(bodies):
        taken = "confirmed" if number % 4 else "accepted"
        expected = "rejected" if number % 3 == 0 and number % 4 else taken
        assert states(ledger)[lines[0].id] == expected


def test_a_line_accepted_by_hand_takes_its_event(ledger):
    send(ledger, BODY)
    send(ledger, SAME)
    resolve_by_hand(ledger, accepted=ids(BODY))
    assert set(resolve_by_events(ledger, [event(BODY)]).confirmed) == ids(BODY)
    assert {states(ledger)[line.id] for line in SAME} == {"unknown"}


def test_a_line_that_a_person_calls_not_sent_takes_no_event(ledger):
    send(ledger, BODY)
    resolve_by_hand(ledger, not_sent=ids(BODY))
    result = resolve_by_events(ledger, [event(BODY)])
    assert len(result.unused) == 1 and set(states(ledger).values()) == {"planned"}


def test_a_ledger_that_was_never_made_has_nothing_to_settle(open_ledger):
    with pytest.raises(ConfigurationError, match="no ledger"):
        resolve_by_events(open_ledger(create=False), [event(BODY)])


def test_a_confirmed_line_in_conflict_is_confirmed_again_once_a_person_accepts_it(ledger):
    """I5. Queued and billed are two states, and a conflict about later usage forgets neither."""
    line = make_line(units="5")
    send(ledger, [line], "accepted", status_code=202, reference="meter_1")
    assert resolve_by_events(ledger, [event([line])]).confirmed == [line.id]
    with ledger.run() as run:
        run.conflict([make_line(units="6")])
    assert states(ledger) == {line.id: "conflict"}
    resolve_by_hand(ledger, accepted=[line.id])
    (entry,) = ledger.reader.lines()
    assert (entry.state, entry.accepted_units) == ("confirmed", line.units)


def test_a_confirmation_keeps_the_time_of_the_answer(ledger, clock):
    send(ledger, BODY, "accepted", status_code=202, reference="meter_1")
    (answered,) = {attempt.ended_at for attempt in ledger.reader.attempts()}
    clock.sleep(3600)
    resolve_by_events(ledger, [event(BODY)])
    assert {attempt.ended_at for attempt in ledger.reader.attempts()} == {answered}


def test_a_line_that_was_accepted_once_is_planned_again_only_by_its_id(ledger):
    """I5. Neither a failed event, nor changed usage, nor a retry of all lines sends it again."""
    once, never = make_line(1), make_line(2)
    send(ledger, [once], "accepted", status_code=202, reference="meter_1")
    send(ledger, [never], "rejected", status_code=400)
    resolve_by_events(ledger, [event([once], "failed")])
    comparison = ledger.compare([make_line(1, units="6"), make_line(2, units="6")])
    assert comparison.accepted_once == {once.id}
    assert retry(ledger) == [never.id]
    assert retry(ledger, [once.id]) == [once.id]
