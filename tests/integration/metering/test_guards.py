"""I5: what looks like a mistake is not sent, or is named; an approved dry run sends just what it showed."""

from datetime import timedelta
from decimal import Decimal

import pytest

from automatum.core.errors import ConfigurationError, PlanDiffers
from tests.support.loopback import Say, error
from tests.support.pushing import NOON, YES, Api, Books, hour_of, keys_of, keys_of_bodies


def row(customer=1, dimension="calls", units="5", back=1, price="0.5", **more):
    """A row of usage."""
    return {
        "customer_id": f"cust_{customer}",
        "listing_id": "list_1",
        "vendor": "aws",
        "dimension": dimension,
        "units": units,
        "price": price,
        "usage_at": (hour_of(NOON, back) + timedelta(minutes=10)).isoformat(),
        **more,
    }


@pytest.fixture
def api():
    with Api() as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def forbid(api):
    """Let the API take nothing, so that nothing is in the ledger."""
    api.decide = lambda number, body: (False, error(403, "Insufficient scope"))


def admit(api):
    api.decide = lambda number, body: (True, Say(202, YES))


# Limits


def test_i5_a_push_above_its_limit_sends_nothing_and_stays_open(api, books):
    rows = [row(customer) for customer in range(1, 4)]
    for dry in (True, False, False):
        stopped = books.push(rows, dry=dry, max_amount=Decimal("7.49"))
        assert (stopped.exit_code, stopped.lines["to_send"]) == (65, 3)
        assert "7.5 of unknown currency would be sent, more than the 7.49 of metering_max_amount" in stopped.plan.limit
    assert (api.bodies, books.states()) == ([], {})
    assert {item.kind for item in books.items()} == {"run"}
    raised = books.push(rows, max_amount=Decimal("7.5"))
    assert (raised.lines["accepted"], raised.exit_code, books.items()) == (3, 0, [])


# Unusual usage


def past(books, hours, units="5", customer=1, dimension="calls"):
    """Push usage of the hours before the last one, as if each had been pushed in time."""
    now = books.clock.time()
    for back in range(hours + 1, 1, -1):
        books.clock.set_wall(hour_of(NOON, back - 1).timestamp() + 600 - books.clock.time())
        assert books.push([row(customer, dimension, units, back)]).lines["accepted"] == 1
    books.clock.set_wall(now - books.clock.time())


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "units", "warned"), [(6, "50", False), (6, "51", True), (5, "5000", False)])
def test_m12_usage_far_above_its_median_is_sent_with_a_warning(hours, units, warned, api, books):
    """A true night of 150 units must not wait until it is too late. With fewer than six hours nothing is usual."""
    past(books, hours)
    for dry in (True, False):
        summary = books.push([row(units=units), row(2)], dry=dry)
        assert (f"{units} units, usual are 5" in str(summary.warnings)) == warned
    assert (summary.lines["accepted"], summary.exit_code) == (2, 0)
    assert "usual" not in str(books.push([row(units=units), row(2)]).warnings), "nothing is sent any more"


@pytest.mark.slow
def test_m12_a_customer_far_above_the_usual_amount_is_named(api, books):
    """Each new dimension looks harmless by itself."""
    past(books, 6)
    asked = [row(dimension=f"dim_{number}", units="9") for number in range(6)]
    summary = books.push([*asked, row(2)])
    assert (summary.lines["accepted"], summary.exit_code) == (7, 0)
    assert "cust_1" in str(summary.warnings) and "27 in all, usual are 2.5" in str(summary.warnings)


# Refused rows


def test_m7_a_line_of_which_a_row_was_refused_is_not_sent(api, books):
    rows = [row(), row(units="many"), row(2)]
    summary = books.push(rows)
    assert (summary.lines["accepted"], summary.lines["refused"] > 0, summary.exit_code) == (1, True, 65)
    assert keys_of_bodies(api.taken) == keys_of(rows[2:])
    assert "refusal" in {item.kind for item in books.items()}
    rows[1]["units"] = "7"
    mended = books.push(rows)
    assert (mended.lines["accepted"], mended.exit_code, books.items()) == (1, 0, [])


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "broken",
    [
        {"units": "ten"},
        {"dimension": None},
        {"usage_at": "yesterday"},
        {"listing_id": ""},
        {"vendor": None, "units": None},
    ],
)
def test_i5_a_partial_sum_is_not_sent(broken, api, books):
    """It cannot be raised later. A part of the key that cannot be read may be any."""
    rows = [row(1, units="3"), {**row(1, units="4"), **broken}, row(2, units="7")]
    assert books.push(rows).lines["accepted"] == 1
    assert keys_of_bodies(api.taken) == keys_of(rows[2:])
    mended = books.push([row(1, units="3"), row(1, units="4"), row(2, units="7")])
    assert mended.lines["accepted"] == 1
    assert keys_of_bodies(api.taken) == keys_of([row(1, units="7"), row(2, units="7")])


def test_i5_a_row_without_a_customer_stops_no_line(api, books):
    assert books.push([row(1), row(2, customer_id=None)]).lines["accepted"] == 1


def test_i5_a_refused_row_says_nothing_about_what_was_accepted(api, books):
    """The sum lacks the row, so it is no difference."""
    rows = [row(), row(units="7")]
    books.push(rows)
    rows[1]["units"] = "seven"
    assert books.push(rows).lines["conflict"] == 0
    assert books.states() == {"accepted": 1}


# Sources


@pytest.mark.parametrize("units", ["5", "7"])
def test_m8_a_line_of_two_sources_is_neither_sent_nor_dropped(units, api, books):
    """Equal units may be a repetition, or the other half of the hour."""
    books.push([row()], source="a.csv")
    for dry in (True, False, False):
        summary = books.push([row(units=units), row(2)], dry=dry, source="b.csv")
        assert (summary.lines["other_source"], summary.lines["conflict"], summary.exit_code) == (1, 0, 65)
        (shown,) = summary.to_json()["other_sources"]
        other = shown["other"]
        assert (shown["asked_units"], other["source"], other["asked_units"]) == (Decimal(units), "a.csv", 5)
    assert keys_of_bodies(api.taken) == keys_of([row(), row(2)])
    (item,) = books.items("source")
    assert "a.csv" in item.reason and "b.csv" in item.reason and units in item.reason
    assert books.push([row()], source="a.csv").exit_code == 65, "until a person decides"
    closed = books.settle(item.subject, "never", reason="a repetition")
    assert (closed.exit_code, books.items(), books.states()) == (0, [], {"accepted": 2})
    again = books.push([row(units=units), row(2)], source="b.csv")
    assert (again.exit_code, again.requests) == (0, 0), "a person has decided about these units"
    assert books.push([row(units="9"), row(2)], source="b.csv").exit_code == 65, "and not about others"


def test_m8_one_source_for_both_parts_carries_the_second(api, books):
    """The way out that the item names: both parts in one usage, under one name."""
    books.push([row()], source="hour")
    both = books.push([row(), row(units="2")], source="hour")
    assert both.lines["conflict"] == 1
    (entry,) = books.entries().values()
    assert books.settle(entry.id, "carry").exit_code == 0
    assert sum(Decimal(use["units"]) for body in api.taken for use in body["details"]["usages"]) == 7


@pytest.mark.parametrize(
    ("other", "source", "waits"),
    [
        (row(2, units="7"), "b.csv", "other_source"),
        (row(2, units="7"), "a.csv", "conflict"),
        (row(2, entitlement_id="ent_1"), "b.csv", "refused"),
        (row(2), "a.csv", None),
    ],
)
def test_m8_a_line_that_another_push_sends_meanwhile_is_compared_with_it(other, source, waits, api, books, tmp_path):
    """As found: it counted as being sent by the other push, with exit code 0, whatever the other one sent."""
    with Api() as second:

        def decide(number, body):
            if number == 1:
                assert Books(second.url, tmp_path).push([other], source=source).exit_code == 0
            return True, Say(202, YES)

        api.decide = decide
        summary = books.push([row(back=2), row(2)], source="a.csv")
    assert keys_of_bodies(api.taken + second.taken) == keys_of([row(back=2), other])
    assert {name for name in ("other_source", "conflict", "refused") if summary.lines[name]} == {waits} - {None}
    assert sum(summary.unresolved.values()) == bool(waits)
    assert summary.exit_code == (65 if waits else 0)


def test_i5_other_units_of_a_line_that_is_being_sent_are_for_the_next_push(api, books, tmp_path):
    """Until its call ends nobody can say what is open; 0 would hide the difference from a scheduler."""
    others = []

    def decide(number, body):
        others.append(Books(api.url, tmp_path).push([row(units="7")], source="a.csv"))
        return True, Say(202, YES)

    api.decide = decide
    assert books.push([row()], source="a.csv").exit_code == 0
    (other,) = others
    assert (other.exit_code, other.verdict, other.requests) == (75, "more_to_do", 0)
    assert "1 line with other units" in other.line()
    again = books.push([row(units="7")], source="a.csv")
    assert (again.exit_code, again.lines["conflict"], len(api.taken)) == (65, 1, 1)


# What is gone, and what overlaps


def test_m16_a_line_that_the_usage_does_not_contain_any_more_is_a_conflict(api, books):
    rows = [row(1), row(2), row(3)]
    books.push(rows)
    for dry in (True, False, False):
        gone = books.push([row(1), row(3)], dry=dry)
        assert (gone.lines["conflict"], gone.exit_code, gone.requests) == (1, 65, 0)
    assert books.states() == {"accepted": 2, "conflict": 1}
    (entry,) = [one for one in books.entries().values() if one.state == "conflict"]
    assert (entry.line.units, entry.accepted_units, entry.open_units) == (0, 5, -5)
    assert "If its source came only in part, push it whole: that closes this." in entry.error
    assert books.push(rows).exit_code == 0, "it heals when the row is there again"
    assert books.states() == {"accepted": 3}


@pytest.mark.parametrize("others", [[], [row(3, back=2)]])
def test_m16_a_corrected_zero_that_the_marketplace_does_not_take_is_a_conflict(others, books):
    """Azure takes no zeros, so they are no lines; the hour that they are in is in the usage all the same."""
    books.push([row(vendor="azure"), *others])
    corrected = books.push([row(vendor="azure", units="0"), *others])
    assert (corrected.lines["conflict"], corrected.exit_code) == (1, 65)
    assert "nothing of it any more; 5 at 0.5 was accepted" in corrected.plan.waiting[0].error


@pytest.mark.parametrize(
    ("rows", "source"),
    [
        ([row(1), row(3)], "other.csv"),
        ([row(3, back=2)], "usage.csv"),
        ([row(1), row(3), row(2, units="x")], "usage.csv"),
    ],
)
def test_m16_nothing_is_gone_by_another_source_another_hour_or_an_unreadable_row(rows, source, books):
    books.push([row(1), row(2), row(3)])
    books.push(rows, source=source)
    assert "conflict" not in books.states()


def test_m2_a_day_does_not_bill_hours_again_whatever_became_of_them(api, books):
    books.push([row(units="13")])
    books.clock.advance(24 * 3600)
    day = books.push([row(units="13")], grain="day")
    assert (day.lines["refused"], day.lines["conflict"], day.exit_code, len(api.taken)) == (1, 0, 65, 1)
    assert "by the hour already" in day.plan.refusals[0].reason


def test_m2_usage_with_an_entitlement_does_not_bill_again_what_was_billed_without(api, books):
    books.push([row(units="13")])
    named = books.push([row(units="13", entitlement_id="ent_1")])
    assert (named.lines["refused"], named.lines["conflict"], named.exit_code, len(api.taken)) == (1, 0, 65, 1)
    both = books.push([row(2, units="3", entitlement_id="ent_1"), row(2, units="4")])
    assert (both.lines["refused"], both.lines["accepted"]) == (2, 0), "the row that names none may belong to the other"


# Approved plans


def test_i5_an_approved_plan_sends_just_what_it_showed(api, books):
    """Also after hours have closed: four eyes take time."""
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).digest
    books.clock.advance(2 * 3600)
    later = [*rows, row(3, back=-1), row(3, back=0)]
    summary = books.push(later, plan=digest)
    assert (summary.lines["accepted"], summary.digest, summary.exit_code) == (2, digest, 0)
    assert keys_of_bodies(api.taken) == keys_of(rows)
    assert books.push(later).lines["accepted"] == 2


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [row(1), row(2, units="6")],
        lambda rows: [row(1), row(2, price="0.6")],
        lambda rows: [row(1)],
        lambda rows: [*rows, row(3)],
    ],
)
def test_i5_a_plan_that_has_changed_sends_nothing(change, api, books):
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).digest
    with pytest.raises(PlanDiffers, match="Nothing is sent"):
        books.push(change(rows), plan=digest)
    assert api.bodies == [] and books.states() == {}


def test_i5_an_interrupted_plan_goes_on_with_the_same_digest(api, books):
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).digest
    wait = error(429, "Rate limit exceeded", headers={"Retry-After": "170"})
    api.decide = lambda number, body: (False, wait) if number == 2 else (True, Say(202, YES))
    first = books.push(rows, plan=digest, max_wait=10)
    assert (first.lines["accepted"], first.verdict) == (1, "more_to_do")
    books.clock.advance(400)
    with pytest.raises(PlanDiffers, match="have changed"):
        books.push([row(1), row(2, units="6")], plan=digest)
    last = books.push(rows, plan=digest)
    assert (last.lines["accepted"], last.exit_code) == (1, 0)
    assert keys_of_bodies(api.taken) == keys_of(rows)


def test_m11_a_dry_run_has_its_digest_whatever_else_is_open(api, books):
    api.decide = lambda number, body: (False, error(400, "no"))
    books.push([row(1)])
    dry = books.push([row(2)], dry=True, source="other.csv")
    assert (dry.exit_code, dry.lines["to_send"]) == (65, 1)
    admit(api)
    assert books.push([row(2)], plan=dry.digest, source="other.csv").lines["accepted"] == 1


@pytest.mark.parametrize("text", ["", "yes", "20261124T12Z-2", "20261324T12Z-2-0123456789abcdef"])
def test_what_is_no_digest_is_said_so(text, books):
    with pytest.raises(ConfigurationError, match="is not the digest of a plan"):
        books.push([row()], dry=True, plan=text)
