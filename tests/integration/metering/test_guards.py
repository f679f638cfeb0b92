"""I5: what looks like a mistake is not sent until a person allows it; an approved dry run sends just what it showed."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from automatum.core.errors import ConfigurationError, PlanDiffers
from automatum.metering.checks import Checks, source_name
from automatum.metering.eligibility import UNCHECKED, Eligibility
from automatum.metering.guards import price_holds
from automatum.metering.plan import digest_of
from tests.support.loopback import Say, error
from tests.support.metering_lines import make_line
from tests.support.pushing import NOON, YES, Api, Books, hour_of, keys_of, keys_of_bodies


def row(customer=1, dimension="calls", units="5", back=1, price="0.5"):
    """A row of usage."""
    return {
        "customer_id": f"cust_{customer}",
        "listing_id": "list_1",
        "vendor": "aws",
        "dimension": dimension,
        "units": units,
        "price": price,
        "usage_at": (hour_of(NOON, back) + timedelta(minutes=10)).isoformat(),
    }


@pytest.fixture
def api():
    with Api() as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def kinds(summary):
    return sorted({hold.kind for hold in summary.plan.on_hold})


def forbid(api):
    """Let the API take nothing, so that the lines stay planned."""
    api.decide = lambda number, body: (False, error(403, "Insufficient scope"))


def admit(api):
    api.decide = lambda number, body: (True, Say(202, YES))


# Limits


@pytest.mark.parametrize("limit", [{"max_lines": 2}, {"max_amount": Decimal("7.49")}])
def test_i5_a_push_above_its_limits_sends_nothing(limit, api, books):
    rows = [row(customer) for customer in range(1, 4)]
    for dry in (True, False):
        stopped = books.push(rows, dry=dry, checks=Checks(**limit))
        assert (kinds(stopped), stopped.lines["on_hold"], stopped.lines["new"]) == (["limit"], 3, 0)
        assert stopped.exit_code == 65
    assert api.bodies == []
    assert books.push(rows[:2], dry=True, checks=Checks(**limit)).lines["new"] == 2
    allowed = books.push(rows, checks=Checks(**limit, allow=frozenset({"all"}), by="ada"))
    assert (allowed.lines["accepted"], allowed.exit_code) == (3, 0)


@pytest.mark.parametrize("limit", [{"max_lines": 3}, {"max_amount": Decimal("7.5")}, {}])
def test_i5_a_push_at_its_limits_is_sent(limit, api, books):
    rows = [row(customer) for customer in range(1, 4)]
    books.push(rows, checks=Checks(max_lines=1))
    raised = books.push(rows, checks=Checks(**limit))
    assert (raised.lines["accepted"], raised.exit_code) == (3, 0)


# Unusual usage


def past(books, hours, units="5", customer=1, dimension="calls"):
    """Push usage of the hours before the last one, as if each had been pushed in time."""
    now = books.clock.time()
    for back in range(hours + 1, 1, -1):
        books.clock.set_wall(hour_of(NOON, back - 1).timestamp() + 600 - books.clock.time())
        assert books.push([row(customer, dimension, units, back)]).lines["accepted"] == 1
    books.clock.set_wall(now - books.clock.time())


UNUSUAL = Checks(unusual_factor=Decimal(10))


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "units", "found"), [(6, "50", []), (6, "51", ["unusual"]), (5, "5000", [])])
def test_i5_usage_far_above_its_median_waits_for_a_person(hours, units, found, api, books):
    """With fewer than six hours nothing is usual."""
    past(books, hours)
    asked = [row(units=units), row(2)]
    summary = books.push(asked, checks=UNUSUAL)
    assert kinds(summary) == found
    assert summary.lines["accepted"] == 2 - len(found)
    if found:
        assert f"{units} units are more than 10 times the usual 5" in summary.plan.on_hold[0].reason
        line_id = summary.plan.on_hold[0].line.id
        again = books.push(asked, checks=replace(UNUSUAL, allow=frozenset({line_id}), by="ada"))
        assert (again.lines["accepted"], again.exit_code) == (1, 0)
        assert books.push(asked, checks=UNUSUAL).exit_code == 0


@pytest.mark.slow
def test_i5_a_customer_far_above_the_usual_amount_waits_with_all_lines(api, books):
    """Each new dimension looks harmless by itself."""
    past(books, 6)
    asked = [row(dimension=f"dim_{number}", units="9") for number in range(6)]
    summary = books.push([*asked, row(2)], checks=UNUSUAL)
    assert (kinds(summary), summary.lines["on_hold"], summary.lines["accepted"]) == (["unusual"], 6, 1)
    assert "27 in all are more than 10 times the customer's usual 2.5" in summary.plan.on_hold[0].reason


# Prices


def prices(**known):
    """Synced entitlements that name these prices of `api_calls`."""
    from automatum.metering.eligibility import _Entitlement

    entitlement = _Entitlement("ent_1", "lst_1", "aws", "active", None, None, "USD")
    named = {"ent_1": {"api_calls": frozenset(map(Decimal, known["each"]))}} if known else {}
    return Eligibility(None, {"cust_1": [entitlement]}, named)


@pytest.mark.parametrize(
    ("price", "eligibility", "reason"),
    [
        ("0.01", UNCHECKED, None),
        ("0", UNCHECKED, "the price is zero"),
        ("0", prices(), "the price is zero"),
        ("0.010", prices(each=["0.01"]), None),
        ("0", prices(each=["0"]), None),
        ("0.02", prices(each=["0.01", "0.03"]), "the price is 0.02, that of the entitlement 0.01 or 0.03"),
        ("0", prices(each=["0.01"]), "the price is 0, that of the entitlement 0.01"),
    ],
)
def test_i5_a_price_that_is_zero_or_not_the_entitlements_waits_for_a_person(price, eligibility, reason):
    found = list(price_holds([make_line(price=price)], eligibility))
    assert [hold.reason for hold in found] == ([reason] if reason else [])


def test_zero_units_need_no_price():
    assert list(price_holds([make_line(units="0", price="0")], UNCHECKED)) == []


# Sources


@pytest.mark.parametrize(("units", "reason"), [("5", "looks like a repetition: a.csv"), ("7", "a.csv says 5 units")])
def test_i5_a_line_of_two_sources_waits_for_a_person(units, reason, api, books):
    """Either the first source is repeated, or one of two parts would be lost."""
    forbid(api)
    books.push([row()], checks=Checks(source="a.csv"))
    assert kinds(books.push([row()], checks=Checks(source="a.csv"))) == [], "the same source may say it again"
    admit(api)
    summary = books.push([row(units=units)], checks=Checks(source="b.csv"))
    assert kinds(summary) == ["other_source"] and reason in summary.plan.on_hold[0].reason
    assert api.taken == []
    allowed = books.push([row(units=units)], checks=Checks(source="b.csv", allow=frozenset({"all"})))
    assert allowed.lines["accepted"] == 1
    assert keys_of_bodies(api.taken) == keys_of([row(units=units)])


def test_i5_the_repetition_of_an_accepted_line_is_named(api, books):
    books.push([row()], checks=Checks(source="a.csv"))
    again = books.push([row()], checks=Checks(source="b.csv"))
    assert "accepted before from another source" in " ".join(again.as_json()["warnings"])
    assert again.exit_code == 0
    third, without = (books.push([row()], checks=Checks(source=source)).as_json() for source in ("b.csv", None))
    assert third["warnings"] == without["warnings"]


def test_sources_have_names(tmp_path):
    assert source_name("usage.csv") == source_name(tmp_path.cwd() / "usage.csv") == str(tmp_path.cwd() / "usage.csv")
    assert source_name(" usage_by_hour ") == "usage_by_hour"
    assert source_name([row()]) is None


# Approved plans


def test_i5_an_approved_plan_sends_just_what_it_showed(api, books):
    """Also after hours have closed: four eyes take time."""
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).plan.digest
    books.clock.advance(2 * 3600)
    later = [*rows, row(3, back=-1), row(3, back=0)]
    summary = books.push(later, checks=Checks(plan=digest))
    assert (summary.lines["accepted"], summary.plan.digest, summary.exit_code) == (2, digest, 0)
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
        lambda rows: [row(1), {**row(2), "title": "Another"}],
    ],
)
def test_i5_a_plan_that_has_changed_sends_nothing(change, api, books):
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).plan.digest
    with pytest.raises(PlanDiffers, match="Nothing is sent"):
        books.push(change(rows), checks=Checks(plan=digest))
    assert api.bodies == [] and books.states() == {}


def test_i5_an_interrupted_plan_goes_on_with_the_same_digest(api, books):
    """What is left of it is sent; what has changed since its approval is not."""
    rows = [row(1), row(2)]
    digest = books.push(rows, dry=True).plan.digest
    says = [error(429, "Rate limit exceeded", headers={"Retry-After": "170"})]
    api.decide = lambda number, body: (False, says[0]) if number == 2 else (True, Say(202, YES))
    first = books.push(rows, checks=Checks(plan=digest), max_wait=10)
    assert (first.lines["accepted"], first.verdict) == (1, "more_to_do")
    books.clock.advance(400)
    with pytest.raises(PlanDiffers, match="have changed since"):
        books.push([row(1), row(2, units="6")], checks=Checks(plan=digest))
    last = books.push([*rows, row(3)], checks=Checks(plan=digest))
    assert (last.lines["accepted"], len(last.plan.not_in_plan)) == (1, 1)
    assert keys_of_bodies(api.taken) == keys_of(rows)


@pytest.mark.parametrize("text", ["", "yes", "20261124T123000Z-2", "20261324T123000Z-2-0123456789abcdef"])
def test_what_is_no_digest_is_said_so(text, books):
    with pytest.raises(ConfigurationError, match="is not the digest of a plan"):
        books.push([row()], dry=True, checks=Checks(plan=text))


def test_a_digest_depends_on_the_lines_and_not_on_their_order():
    lines = [make_line(hour) for hour in range(3)]
    assert digest_of(NOON, lines) == digest_of(NOON, lines[::-1]) != digest_of(NOON, lines[:2])
    assert digest_of(NOON, lines).startswith("20261124T123000Z-3-")
