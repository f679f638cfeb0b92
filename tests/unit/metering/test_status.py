"""Each open item of the ledger names its money, its reason, and the command that closes it (I5)."""

import shlex
from datetime import timedelta
from decimal import Decimal

import pytest

from automatum.metering.status import CONFIRM_WITHIN, read_status
from tests.support.entries import START, Shelf, make_entry, make_item, make_line

NOW = START + timedelta(hours=3)
PORTAL = "--reason 'corrected in the portal' --confirm"


def status(*found, now=NOW):
    return read_status(Shelf(*found), now)


def only(*found, now=NOW):
    (item,) = status(*found, now=now).items
    return item


def words(item):
    """The command without the program, with the id as X."""
    program, push, settle, *rest = shlex.split(item.command)
    assert (program, push, settle) == ("automatum", "push", "settle")
    return ["X" if word == item.id else word for word in rest]


def test_a_ledger_in_which_all_is_settled_is_complete():
    taken = [make_entry(make_line(number), state) for number, state in enumerate(("accepted", "confirmed", "settled"))]
    found = status(*taken, make_item("run", closed=True))
    assert (found.exit_code, found.unresolved, found.items) == (0, {}, [])
    assert found.lines["accepted"] == found.lines["confirmed"] == 1


@pytest.mark.parametrize(
    ("entry", "command"),
    [
        (make_entry(state="unknown"), "X --billed --confirm"),
        (make_entry(state="unbilled", why="rejected"), "X --not-billed --send --confirm"),
        (make_entry(state="conflict", why="refused by the marketplace"), "X --billed --confirm"),
        (make_entry(state="conflict", accepted="3", why="differs"), "X --carry --confirm"),
        (make_entry(state="conflict", accepted="9", why="differs"), f"X --billed {PORTAL}"),
        (make_entry(state="conflict", accepted="3", price="2", why="differs"), f"X --billed {PORTAL}"),
        (make_entry(make_line(units="0"), "conflict", "3", why="differs"), f"X --billed {PORTAL}"),
        (
            make_entry(make_line(units="1"), "conflict", "3", carried="2", why="differs"),
            "X --never --reason 'credited in the portal' --confirm",
        ),
        (
            make_entry(make_line(units="0"), "unbilled", why="expired"),
            "X --never --reason 'nothing of it is to be billed' --confirm",
        ),
        (
            make_entry(make_line(carried_from="L", carry_number=1), "unbilled", why="rejected"),
            "X --never --reason 'the line L is open again' --confirm",
        ),
    ],
)
def test_m17_each_line_has_the_command_that_closes_it(entry, command):
    assert words(only(entry)) == shlex.split(command)


def test_m17_a_line_that_only_carry_can_bill_says_so():
    expired = make_entry(state="unbilled", why="expired", sent_at=None)
    assert words(only(expired, now=NOW)) == ["X", "--not-billed", "--send", "--confirm"]
    late = ["X", "--not-billed", "--send", "--late-ok", "--confirm"]
    assert words(only(expired, now=NOW + timedelta(hours=5))) == late
    assert words(only(expired, now=NOW + timedelta(days=2))) == ["X", "--carry", "--confirm"]


def test_m17_an_item_shows_the_open_difference_with_its_currency_beside_what_was_billed():
    entry = make_entry(make_line(units="70", price="2"), "conflict", "50", carried="5", why="differs")
    shown = only(entry).to_json()
    names = ("asked_units", "accepted_units", "carried_units", "open_units", "open_amount", "currency")
    assert [shown[name] for name in names] == [70, 50, 5, 15, 30, "USD"]
    assert (shown["customer_id"], shown["listing_id"], shown["dimension"]) == ("cust_1", "lst_1", "api_calls")
    assert shown["starts_at"] == entry.line.starts_at
    assert "differs" in shown["why"]
    found = status(entry, make_entry(make_line(1, currency="EUR"), "unknown"))
    assert found.amounts == {"conflict": {"USD": Decimal(30)}, "unknown": {"EUR": Decimal("0.05")}}


def test_what_is_over_billed_is_not_set_off_against_what_is_not_billed():
    """As found: 20 USD too many for one customer and 15 too few for another were shown as -5."""
    over = make_entry(make_line(units="10", price="2"), "conflict", "20", why="differs")
    under = make_entry(make_line(1, units="10", price="3"), "conflict", "5", why="differs")
    found = status(over, under).to_json()
    assert found["amounts"] == {"conflict": {"USD": Decimal(15)}}
    assert found["over_billed"] == {"conflict": {"USD": Decimal(20)}}


def test_m17_lines_of_several_customers_are_items_of_their_own():
    lines = [make_line(number, customer=f"cust_{number}") for number in range(3)]
    found = status(*(make_entry(line, "unbilled", why="expired") for line in lines))
    assert {(item.id, item.to_json()["customer_id"]) for item in found.items} == {
        (line.id, line.customer_id) for line in lines
    }
    assert found.unresolved == {"unbilled": 3}


@pytest.mark.parametrize(
    ("kind", "name"), [("run", "run"), ("refusal", "refusal"), ("source", "source"), ("event", "event")]
)
def test_a_journal_item_is_65_until_it_is_closed(kind, name):
    item = make_item(kind)
    found = status(item)
    assert (found.exit_code, found.unresolved) == (65, {name: 1})
    assert words(found.items[0])[:4] == ["X", "--never", "--confirm", "--reason"]
    assert found.items[0].why == item.reason
    assert status(make_item(kind, closed=True)).exit_code == 0


def test_what_is_known_of_refused_rows_is_shown():
    item = make_item("refusal", data={"about": {"customer_id": "cust_9", "units": "x"}})
    shown = only(item).to_json()
    assert (shown["customer_id"], shown["units"], shown["dimension"]) == ("cust_9", "x", None)


def test_a_line_in_a_call_waits_for_nobody():
    found = status(make_entry(state="sending"))
    assert (found.exit_code, found.items[0].command) == (0, "")


# M16


def test_m16_an_accepted_line_that_no_event_confirms_in_time_is_an_alarm_once_events_are_used():
    entry, event = make_entry(), make_item("event", closed=True)
    late = entry.sent_at + CONFIRM_WITHIN
    assert status(entry, now=late).items == [], "without webhooks nothing is ever confirmed"
    assert status(entry, event, now=late - timedelta(seconds=1)).items == []
    found = status(entry, event, now=late)
    assert (found.exit_code, found.unresolved) == (65, {"unconfirmed": 1})
    assert words(found.items[0]) == ["X", "--billed", "--confirm"]
    assert found.amounts == {"unconfirmed": {"USD": entry.line.charged}}
    assert status(make_entry(state="confirmed"), event, now=late).items == []
    assert status(make_entry(settled_by="hand"), event, now=late).items == [], "a person has said so"
