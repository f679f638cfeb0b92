"""I5: what is asked, accepted, carried and open of a line, and the state that follows; and lines that overlap."""

from dataclasses import replace
from decimal import Decimal

import pytest

from automatum.metering.ledger.entries import Entry
from automatum.metering.ledger.rows import overlaps
from tests.support.metering_lines import START, make_like, make_line

ACCEPTED = Entry(
    make_line(units="10"),
    "accepted",
    "",
    "",
    Decimal(10),
    Decimal("0.01"),
    Decimal(0),
    "u",
    1,
    "a",
    "api",
    START,
    START,
    START,
)


@pytest.mark.parametrize(
    ("asked", "accepted", "carried", "state", "open_units"),
    [
        ("10", "10", "0", ("accepted", ""), 0),
        ("13", "10", "0", ("conflict", "differs"), 3),
        ("13", "10", "3", ("settled", "carried"), 0),
        ("13", "10", "2", ("conflict", "differs"), 1),
        ("9", "10", "0", ("conflict", "differs"), -1),
        ("0", "10", "0", ("conflict", "differs"), -10),
        ("5", None, "5", ("settled", "carried"), 0),
        ("5", None, "2", ("unbilled", "rejected"), 3),
        ("5", None, "6", ("conflict", "differs"), -1),
    ],
)
def test_the_state_follows_from_what_is_open(asked, accepted, carried, state, open_units):
    units = None if accepted is None else Decimal(accepted)
    price = None if accepted is None else ACCEPTED.accepted_price
    amounts = {"accepted_units": units, "accepted_price": price, "carried_units": Decimal(carried)}
    entry = replace(ACCEPTED, line=make_line(units=asked), **amounts)
    judged = entry.judged()
    assert (judged.state, judged.why) == state
    assert judged.open_units == open_units
    assert judged.judged() == judged


def test_a_line_that_the_usage_lost_is_settled_once_nothing_of_it_is_billed():
    """Its usage was carried, then its row was removed, and then the carried line was not billed after all."""
    lost = replace(ACCEPTED, line=make_line(units="0"), accepted_units=None, accepted_price=None)
    conflict = replace(lost, carried_units=Decimal(3)).judged()
    assert (conflict.state, conflict.open_units) == ("conflict", -3)
    after = replace(conflict, carried_units=Decimal(0)).with_carried(confirmed=False)
    assert (after.state, after.why, after.open_units) == ("settled", "never", 0)


def test_another_price_is_a_conflict_with_nothing_open():
    entry = replace(ACCEPTED, line=make_line(units="10", price="0.02")).judged()
    assert (entry.state, entry.open_units, entry.agrees) == ("conflict", 0, False)
    assert entry.error == "The usage asks for 10 at 0.02 each; 10 at 0.01 was accepted."


HOUR, DAY = make_line(7), make_line(7, grain="day")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (HOUR, HOUR, False),
        (HOUR, make_line(8), False),
        (HOUR, DAY, True),
        (make_line(24), DAY, False),
        (HOUR, make_line(7, dimension="storage", grain="day"), False),
        (HOUR, make_line(7, customer="cust_2", grain="day"), False),
        (HOUR, make_line(7, entitlement_id="e1"), True),
        (make_line(7, entitlement_id="e1"), make_line(7, entitlement_id="e2"), False),
        (make_line(7, entitlement_id="e1"), make_line(7, entitlement_id="e1", grain="day"), True),
        (make_line(7, entitlement_id="e1"), make_line(7, entitlement_id="e2", grain="day"), False),
        (make_like(HOUR, carried_from=make_line(3).id, carry_number=1), DAY, False),
    ],
)
def test_m2_lines_overlap_that_may_bill_the_same_usage(one, other, overlap):
    assert overlaps(one, other) == overlaps(other, one) == overlap
