"""I5: a person decides about lines by one verb; whatever is decided, in whatever order, nothing is billed twice."""

from datetime import timedelta
from decimal import Decimal

import pytest

from automatum.core.errors import ConfigurationError
from tests.support.loopback import Say, error
from tests.support.pushing import NOON, YES, Api, Books, hour_of


@pytest.fixture
def api():
    with Api() as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def usage(units, hour=2, price="0.5", **more):
    """One row of one line."""
    at = (hour_of(NOON, hour) + timedelta(minutes=10)).isoformat()
    fields = {"customer_id": "cust_1", "listing_id": "list_1", "vendor": "aws", "dimension": "calls"}
    return [{**fields, "units": str(units), "price": price, "usage_at": at, **more}]


def answer(api, taken, say):
    api.decide = lambda number, body: (taken, say)


def yes(api):
    answer(api, True, Say(202, YES))


def refuse(api):
    answer(api, False, error(400, "Not for sale"))


def lose(api, taken):
    answer(api, taken, Say(reset=True))


def billed(api):
    """Units that the API took."""
    return sum(Decimal(one["units"]) for body in api.taken for one in body["details"]["usages"])


def only(books, **fields):
    """The one line with these values."""
    (entry,) = [one for one in books.entries().values() if all(getattr(one, name) == fields[name] for name in fields)]
    return entry


def expire(books, units, hour=8):
    """Push an hour that is too late; its line."""
    books.push(usage(units, hour=hour))
    return only(books, state="unbilled")


# Dry, and who decided


def test_nothing_is_written_or_sent_without_confirm(api, books):
    lose(api, taken=False)
    books.push(usage(13))
    entry, before = only(books, state="unknown"), len(api.bodies)
    for decision, options in (("billed", {}), ("not_billed", {}), ("not_billed", {"send": True})):
        dry = books.settle(entry.id, decision, dry=True, **options)
        assert (dry.verdict, dry.exit_code, [change.line_id for change in dry.changes]) == ("dry_run", 0, [entry.id])
    assert (len(api.bodies), books.states()) == (before, {"unknown": 1})
    assert books.items("decision", open_only=False) == []


def test_the_journal_says_who_decided_and_why(api, books):
    lose(api, taken=True)
    books.push(usage(13))
    books.settle(only(books, state="unknown").id, "billed", reason="seen in the portal")
    (item,) = books.items("decision", open_only=False)
    assert (item.by, "seen in the portal" in item.reason, item.closed_at is not None) == ("ann", True, True)


@pytest.mark.parametrize(
    ("decision", "options"),
    [("never", {}), ("billed", {"send": True}), ("carry", {"ids": []}), ("billed", {"ids": []})],
)
def test_what_makes_no_sense_is_refused(decision, options, books):
    books.push(usage(1))
    ids = options.pop("ids", ["one"])
    with pytest.raises(ConfigurationError):
        books.settle(ids, decision, **options)


def test_what_is_not_open_is_refused_with_the_reason(api, books):
    books.push(usage(13))
    entry = only(books, state="accepted")
    for decision in ("billed", "not_billed", "never", "carry"):
        refused = books.settle([entry.id, "no such id"], decision, reason="why")
        assert [id_ for id_, _ in refused.refused] == [entry.id, "no such id"]
        assert "nothing of it is open" in refused.refused[0][1] and refused.exit_code == 65
    assert books.states() == {"accepted": 1} and billed(api) == 13


def test_what_is_shown_after_a_decision_is_the_line_as_it_is_then(api, books):
    """As found: after `--carry --confirm` the line was shown as unbilled, with all of its money open."""
    entry = expire(books, 10)
    shown = ("state", "why", "carried_units", "open_amount", "after", "after_why")
    for dry, state in ((True, ("unbilled", "expired", 0, 5)), (False, ("settled", "carried", 10, 0))):
        (line,) = books.settle(entry.id, "carry", dry=dry).to_json()["changes"]
        assert tuple(line[name] for name in shown) == (*state, "settled", "carried")
    refuse(api)
    books.push(usage(13))
    yes(api)
    sent = books.settle(only(books, state="unbilled").id, "not_billed", send=True)
    (line,) = sent.to_json()["changes"]
    assert (line["state"], line["after"], line["accepted_units"], line["open_amount"]) == (
        "accepted",
        "accepted",
        13,
        0,
    )


# Unknown lines


def test_an_unknown_line_that_was_billed_is_settled(api, books):
    lose(api, taken=True)
    books.push(usage(13))
    books.settle(only(books, state="unknown").id, "billed")
    entry = only(books, state="settled")
    assert (entry.why, entry.accepted_units, entry.open_units) == ("billed", 13, 0)
    yes(api)
    assert books.push(usage(13)).exit_code == 0 and len(api.bodies) == 1
    assert books.push(usage(18)).lines["conflict"] == 1
    books.settle(entry.id, "carry")
    assert billed(api) == 18 and books.push(usage(18)).exit_code == 0


def test_an_unknown_line_that_was_not_billed_is_sent_when_a_person_says_so(api, books):
    lose(api, taken=False)
    books.push(usage(13))
    entry = only(books, state="unknown")
    yes(api)
    books.settle(entry.id, "not_billed")
    assert books.states() == {"unbilled": 1} and billed(api) == 0
    assert books.push(usage(13)).requests == 0, "a push does not send it"
    assert books.push(usage(14)).requests == 0, "nor with other units"
    sent = books.settle(entry.id, "not_billed", send=True)
    assert (sent.verdict, [line.units for line in sent.sent.accepted]) == ("complete", [14])
    assert billed(api) == 14 and books.push(usage(14)).exit_code == 0


def test_a_wrong_decision_is_corrected_by_another(api, books):
    lose(api, taken=False)
    books.push(usage(13))
    line_id = only(books, state="unknown").id
    books.settle(line_id, "billed")
    books.settle(line_id, "not_billed")
    books.settle(line_id, "never", reason="free of charge")
    assert only(books, state="settled").why == "never"
    yes(api)
    assert books.push(usage(13)).exit_code == 0 and billed(api) == 0
    books.settle(line_id, "not_billed", send=True)
    assert billed(api) == 13 and books.states() == {"accepted": 1}
    assert books.settle(line_id, "not_billed").refused, "the API has accepted it: nobody can undo that"


def test_never_holds_while_the_asked_amount_stays(api, books):
    refuse(api)
    books.push(usage(13))
    books.settle(only(books, state="unbilled").id, "never", reason="free of charge")
    yes(api)
    assert books.push(usage(13)).exit_code == 0
    assert (books.push(usage(14)).lines["conflict"], billed(api)) == (1, 0)


# Sending


def test_a_refused_line_is_sent_again_by_a_person_alone(api, books):
    refuse(api)
    books.push(usage(13))
    yes(api)
    assert books.push(usage(13)).requests == 0
    entry = only(books, state="unbilled")
    assert books.settle(entry.id, "not_billed").refused, "without --send there is nothing to do"
    books.settle(entry.id, "not_billed", send=True)
    assert (billed(api), books.states(), books.push(usage(13)).exit_code) == (13, {"accepted": 1}, 0)


def test_i5_what_is_sent_by_hand_passes_the_checks_of_a_push(api, books):
    refuse(api)
    books.push(usage(13))
    entry = only(books, state="unbilled")
    yes(api)
    above = books.settle(entry.id, "not_billed", send=True, max_amount=Decimal(6))
    assert "more than the 6 of metering_max_amount" in above.refused[0][1]
    books.clock.advance(5 * 3600)
    late = books.settle(entry.id, "not_billed", send=True)
    assert "too late" in late.refused[0][1] and "--carry" in late.refused[0][1]
    assert (billed(api), books.states()) == (0, {"unbilled": 1})
    books.settle(entry.id, "not_billed", send=True, late_ok=True)
    assert billed(api) == 13


def test_i5_a_line_whose_sending_fails_is_as_it_was(api, books):
    refuse(api)
    books.push(usage(13))
    entry = only(books, state="unbilled")
    api.decide = lambda number, body: (False, error(429, "Rate limit", headers={"Retry-After": "170"}))
    stopped = books.settle(entry.id, "not_billed", send=True, max_wait=10)
    assert (stopped.exit_code, stopped.verdict) == (75, "more_to_do")
    assert only(books, state="unbilled").why == "rejected"


# Carrying


def test_what_came_after_its_hour_is_billed_by_a_line_of_the_current_hour(api, books):
    books.push(usage(10))
    assert books.push(usage(12)).lines["conflict"] == 1
    parent = only(books, state="conflict")
    carried = books.settle(parent.id, "carry")
    (line,) = carried.to_send
    assert (line.units, line.starts_at, line.carried_from) == (2, hour_of(NOON, 0), parent.id)
    entry = books.entries()[Decimal(12)]
    assert (entry.state, entry.why, entry.carried_units, entry.open_units) == ("settled", "carried", 2, 0)
    # Neither a second carry nor a push of the same usage bills it again.
    assert books.settle(parent.id, "carry").refused and books.push(usage(12)).exit_code == 0
    assert billed(api) == 12
    # More late rows of the same hour are carried by a second line.
    books.push(usage(15))
    assert [line.units for line in books.settle(parent.id, "carry").to_send] == [3]
    assert billed(api) == 15 and books.push(usage(15)).exit_code == 0
    assert books.entries()[Decimal(15)].carried_units == 5


def test_the_hour_of_the_carried_line_is_billed_as_usual(api, books):
    books.push(usage(10))
    books.push(usage(12))
    books.settle(only(books, state="conflict").id, "carry")
    books.clock.advance(3600)
    assert books.push([*usage(12), *usage(7, hour=0)]).exit_code == 0
    assert billed(api) == 19


def test_usage_that_was_too_late_is_billed_whole_and_settled(api, books):
    entry = expire(books, 10)
    books.settle(entry.id, "carry")
    assert books.states() == {"settled": 1, "accepted": 1} and billed(api) == 10
    assert books.push(usage(10, hour=8)).exit_code == 0
    # Usage that came later still is in conflict, and is carried once more.
    assert books.push(usage(11, hour=8)).exit_code == 65
    books.settle(entry.id, "carry")
    assert books.push(usage(11, hour=8)).exit_code == 0 and billed(api) == 11


def test_a_day_is_carried_by_the_current_day_and_the_hours_of_a_customer_by_one_hour(api, books):
    """Two lines of one key may be carried to one hour."""
    books.push(usage(10, hour=40), grain="day")
    books.settle(only(books, state="unbilled").id, "carry")
    (child,) = [entry for entry in books.entries().values() if entry.line.carried_from]
    assert (child.line.grain, child.line.starts_at, billed(api)) == ("day", NOON.replace(hour=0, minute=0), 10)
    hours = [*usage(3, hour=8, customer_id="cust_2"), *usage(4, hour=9, customer_id="cust_2")]
    books.push(hours, source="hours.csv")
    late = [entry.id for entry in books.entries().values() if entry.state == "unbilled"]
    carried = books.settle(late, "carry")
    assert (len(carried.to_send), carried.exit_code, billed(api)) == (2, 0, 17)
    assert books.push(hours, source="hours.csv").exit_code == 0


def test_too_much_is_for_a_credit_and_never_sent(api, books):
    books.push(usage(10))
    books.push(usage(7))
    entry = only(books, state="conflict")
    assert "credit it in the portal" in books.settle(entry.id, "carry").refused[0][1]
    books.settle(entry.id, "billed", reason="credited in the portal")
    assert (billed(api), books.push(usage(7)).exit_code) == (10, 0)


def test_another_price_is_for_the_portal(api, books):
    books.push(usage(10))
    books.push(usage(12, price="0.6"))
    assert "from 0.5 to 0.6" in books.settle(only(books, state="conflict").id, "carry").refused[0][1]


def test_i5_another_price_of_what_was_carried_is_for_the_portal_too(api, books):
    entry = expire(books, 10)
    books.settle(entry.id, "carry")
    assert books.push(usage(12, hour=8, price="0.6")).exit_code == 65
    assert "from 0.5 to 0.6" in books.settle(entry.id, "carry").refused[0][1]
    assert billed(api) == 10


def test_what_is_carried_heals_when_the_usage_goes_back(api, books):
    entry = expire(books, 10)
    books.settle(entry.id, "carry")
    for rows in (usage(11, hour=8), usage(10, hour=8, price="0.6"), usage(7, hour=8)):
        assert books.push(rows).exit_code == 65
        assert books.push(rows).exit_code == 65, "it stays open"
        assert books.push(usage(10, hour=8)).exit_code == 0
    assert billed(api) == 10


def test_a_conflict_that_was_given_up_can_be_opened_and_carried(api, books):
    books.push(usage(10))
    books.push(usage(12))
    parent = only(books, state="conflict")
    books.settle(parent.id, "never", reason="free of charge")
    assert "opens it again" in books.settle(parent.id, "carry").refused[0][1]
    books.settle(parent.id, "billed")
    books.settle(parent.id, "carry")
    assert billed(api) == 12 and books.push(usage(12)).exit_code == 0


def test_a_carried_line_that_is_given_up_opens_the_line_that_it_bills(api, books):
    books.push(usage(10))
    books.push(usage(12))
    parent = only(books, state="conflict")
    lose(api, taken=False)
    books.settle(parent.id, "carry")
    child = only(books, state="unknown")
    books.settle(child.id, "not_billed")
    books.settle(child.id, "never", reason="free of charge")
    assert (books.entries()[Decimal(12)].state, books.entries()[Decimal(12)].open_units) == ("conflict", 2)
    assert parent.id in books.settle(child.id, "billed").refused[0][1]


def test_a_conflict_that_the_marketplace_reported_is_not_carried(api, books):
    answer(api, False, Say(409, {"code": 409, "message": "exists"}))
    books.push(usage(10))
    assert "not known how much" in books.settle(only(books, state="conflict").id, "carry").refused[0][1]


def test_i5_a_carry_whose_line_is_refused_opens_the_line_again(api, books):
    books.push(usage(10))
    books.push(usage(12))
    parent = only(books, state="conflict")
    refuse(api)
    refused = books.settle(parent.id, "carry")
    assert (refused.exit_code, refused.verdict) == (65, "incomplete")
    assert (books.entries()[Decimal(12)].state, books.entries()[Decimal(12)].open_units) == ("conflict", 2)
    yes(api)
    child = books.entries()[Decimal(2)]
    for decision, options in (("not_billed", {"send": True}), ("carry", {})):
        assert parent.id in books.settle(child.id, decision, **options).refused[0][1], "its parent is carried anew"
    books.settle(parent.id, "carry")
    books.settle(child.id, "never", reason="another line bills it")
    assert billed(api) == 12 and books.push(usage(12)).exit_code == 0


@pytest.mark.parametrize("late", ["unknown", "accepted"])
def test_m3_a_carried_line_is_never_sent_again_in_full(late, api, books):
    """18 or 22 of 13 were billed that way."""
    books.push(usage(9))
    books.push(usage(13))
    parent = only(books, state="conflict")
    lose(api, taken=True) if late == "unknown" else yes(api)
    books.settle(parent.id, "carry")
    yes(api)
    assert books.settle(parent.id, "not_billed", send=True).refused
    books.push(usage(13))
    books.push(usage(14))
    opened = books.settle(parent.id, "not_billed", send=True)
    assert "--carry bills the rest" in opened.refused[0][1]
    books.settle(parent.id, "carry")
    assert billed(api) == 14


def test_a_line_that_counts_as_billed_is_sent_after_the_two_decisions_that_are_named(api, books):
    lose(api, taken=False)
    books.push(usage(13))
    entry = only(books, state="unknown")
    books.settle(entry.id, "billed")
    assert "--not-billed alone first" in books.settle(entry.id, "not_billed", send=True).refused[0][1]
    yes(api)
    books.settle(entry.id, "not_billed")
    assert books.settle(entry.id, "not_billed", send=True).exit_code == 0
    assert billed(api) == 13


def test_m3_what_was_carried_of_an_expired_line_is_not_sent_again(api, books):
    entry = expire(books, 5)
    books.settle(entry.id, "carry")
    books.push(usage(13, hour=8))
    for _ in range(2):
        assert books.settle(entry.id, "not_billed", send=True, late_ok=True).refused
        books.push(usage(13, hour=8), late_ok=True)
    assert billed(api) == 5
    books.settle(entry.id, "carry")
    assert billed(api) == 13


def test_m4_a_carry_keeps_to_max_amount_and_names_its_lines(api, books):
    rows = [*usage(10, hour=8), *usage(20, hour=9)]
    books.push(rows)
    ids = [entry.id for entry in books.entries().values()]
    above = books.settle(ids, "carry", max_amount=Decimal("14.99"))
    assert (len(above.refused), above.exit_code, billed(api)) == (2, 65, 0)
    with pytest.raises(ConfigurationError, match="no line is named"):
        books.settle([], "carry")
    books.settle(ids, "carry", max_amount=Decimal(15))
    assert billed(api) == 30 and books.push(rows).exit_code == 0


@pytest.mark.parametrize("way", ["day", "entitlement"])
def test_m2_what_another_line_bills_is_not_carried(way, api, books):
    """200 for 100: an expired hour whose usage was then pushed by day, or with an entitlement."""
    entry = expire(books, 100, hour=13)
    if way == "day":
        sent = books.push(usage(100, hour=13), grain="day", late_ok=True)
    else:
        sent = books.push(usage(100, hour=13, entitlement_id="ent_1"), late_ok=True)
    assert sent.lines["accepted"] == 1
    for decision, options in (("carry", {}), ("not_billed", {"send": True, "late_ok": True})):
        refused = books.settle(entry.id, decision, **options)
        assert "bills the same usage" in refused.refused[0][1]
    assert billed(api) == 100


def test_m2_what_was_carried_is_not_pushed_by_another_line(api, books):
    entry = expire(books, 100, hour=13)
    books.settle(entry.id, "carry")
    for options in ({"grain": "day"}, {}):
        rows = usage(100, hour=13, **({} if options else {"entitlement_id": "ent_1"}))
        assert books.push(rows, late_ok=True, **options).lines["refused"] == 1
    assert billed(api) == 100


# Journal items


def test_a_journal_item_is_closed_by_never_alone(api, books):
    books.push(usage("many"))
    (item,) = books.items("refusal")
    assert "only --never closes it" in books.settle(item.id, "billed").refused[0][1]
    closed = books.settle(item.id, "never", reason="a test row")
    assert (closed.exit_code, [one.id for one in closed.items], books.items()) == (0, [item.id], [])


def test_a_line_that_cannot_be_given_up_keeps_the_items_about_it(api, books):
    """The usage of a second source would be hidden by a decision that was refused."""
    lose(api, taken=True)
    books.push(usage(10), source="first.csv")
    entry = only(books, state="unknown")
    books.push(usage(5), source="second.csv")
    (item,) = books.items("source")
    refused = books.settle(entry.id, "never", reason="not worth it")
    assert [id_ for id_, _ in refused.refused] == [entry.id] and refused.items == []
    assert books.items("source") == [item]
    assert books.settle(item.id, "never", reason="a copy").items == [item]
