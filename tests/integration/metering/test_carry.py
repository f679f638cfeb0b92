"""I5: late usage is billed once, by a line of the current hour, and never twice, however often it is carried."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from automatum.metering.carry import find_late, record_carries
from automatum.metering.checks import Checks
from automatum.metering.ledger.decision_log import Author
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.reconcile import resolve_by_hand
from automatum.metering.push import push, send_planned
from automatum.metering.usage.usage import read_usage
from tests.support.loopback import Say
from tests.support.metering_lines import retry
from tests.support.pushing import NOON, YES, Api, Books, hour_of

ANN = Author("ann", "agreed")


@pytest.fixture
def api():
    with Api() as served:
        yield served


def usage(units, hour=1, price="0.5", **more):
    """Rows of one customer in one hour."""
    return [
        {
            "customer_id": "cust_1",
            "listing_id": "lst_1",
            "vendor": "aws",
            "dimension": "api_calls",
            "units": str(units),
            "price": price,
            "usage_at": (hour_of(NOON, hour) + timedelta(minutes=5)).isoformat(),
            **more,
        }
    ]


def billed(served):
    """Units that a server took."""
    return sum(one["units"] for body in served.taken for one in body["details"]["usages"])


class Company(Books):
    """A push whose ledger is begun by its first push."""

    def __init__(self, base_url, folder):
        super().__init__(base_url, folder)
        self._begun = False

    def bill(self, rows, **options):
        options.setdefault("new_ledger", not self._begun)
        self._begun = True
        return push(self.connect(), read_usage(rows), self.url, self.clock, checks=Checks(unchecked=True), **options)

    def late(self):
        with Ledger.open(self.url, self.clock, create=False) as ledger:
            return find_late(ledger)

    def carry(self):
        with Ledger.open(self.url, self.clock, create=False) as ledger:
            lines = record_carries(ledger, find_late(ledger), ANN)
            send_planned(self.connect(), ledger, {line.id for line in lines})
            return lines


@pytest.fixture
def company(api, tmp_path):
    return Company(api.url, tmp_path)


def test_what_came_after_its_hour_is_billed_by_a_line_of_the_current_hour(api, company):
    company.bill(usage(10))
    company.bill(usage(12))
    (one,) = company.late()
    assert (one.kind, one.difference, one.amount) == ("carry", 2, 1)
    (line,) = company.carry()
    assert (line.units, line.starts_at, line.carried_from) == (2, hour_of(NOON, 0), one.entry.line_id)
    assert billed(api) == 12 and company.states() == {"accepted": 2}
    # Neither a second carry nor a push of the same usage bills it again.
    assert company.carry() == []
    assert company.bill(usage(12)).lines["conflict"] == 0
    assert billed(api) == 12
    # More late rows of the same hour are carried by a second line.
    company.bill(usage(15))
    assert [line.units for line in company.carry()] == [3]
    company.bill(usage(15))
    assert billed(api) == 15 and company.states() == {"accepted": 3}
    with company.open() as ledger:
        total = [entry.carried_units for entry in ledger.reader.lines() if entry.line_id == one.entry.line_id]
    assert total == [5]


def test_i5_a_carry_that_is_interrupted_is_sent_by_the_next_push(api, company):
    """No usage contains the carried line, and a person has decided about it."""
    company.bill(usage(10))
    company.bill(usage(12))
    with Ledger.open(company.url, company.clock, create=False) as ledger:
        record_carries(ledger, find_late(ledger), ANN)
    assert company.bill(usage(12)).lines["accepted"] == 1
    assert billed(api) == 12


def test_the_hour_of_the_carried_line_is_billed_as_usual(api, company):
    company.bill(usage(10))
    company.bill(usage(12))
    company.carry()
    company.clock.advance(3600)
    company.bill([*usage(12), *usage(7, hour=0)])
    assert billed(api) == 19 and company.states() == {"accepted": 3}


def test_usage_that_was_too_late_is_billed_whole_and_settled(api, company):
    company.bill(usage(10, hour=8))
    assert company.states() == {"expired": 1} and billed(api) == 0
    assert [line.units for line in company.carry()] == [10]
    assert company.states() == {"carried": 1, "accepted": 1} and billed(api) == 10
    summary = company.bill(usage(10, hour=8))
    assert (summary.exit_code, len(summary.classification.same)) == (0, 1)
    # Usage that came later still is in conflict, and is carried once more.
    assert company.bill(usage(11, hour=8)).lines["conflict"] == 1
    assert [line.units for line in company.carry()] == [1]
    assert company.bill(usage(11, hour=8)).exit_code == 0
    assert billed(api) == 11


def test_too_much_is_listed_for_a_credit_and_never_sent(api, company):
    company.bill(usage(10))
    company.bill(usage(7))
    (one,) = company.late()
    assert (one.kind, one.difference, one.amount, one.line) == ("credit", -3, Decimal("-1.5"), None)
    assert company.carry() == [] and billed(api) == 10 and company.states() == {"conflict": 1}
    # Usage that goes back to what was billed before a carry is too much, too.
    company.bill(usage(12))
    company.carry()
    company.bill(usage(10))
    assert [(late.kind, late.difference) for late in company.late()] == [("credit", -2)]


def test_another_price_is_for_the_portal(api, company):
    company.bill(usage(10))
    company.bill(usage(12, price="0.6"))
    (one,) = company.late()
    assert (one.kind, one.line) == ("none", None) and "from 0.5 to 0.6" in one.reason


def test_a_conflict_whose_usage_goes_on_changing_is_carried_as_the_usage_is_now(api, company):
    company.bill(usage(10))
    for units in (20, 13):
        company.bill(usage(units))
    assert [line.units for line in company.carry()] == [3]
    assert billed(api) == 13


def test_a_conflict_that_the_marketplace_reported_is_not_carried(tmp_path, company, api):
    api.decide = lambda number, body: (False, Say(409, {"code": 409, "message": "exists"}))
    company.bill(usage(10))
    (one,) = company.late()
    assert one.kind == "none" and "not known how much" in one.reason


ANSWERS = {
    "yes": (True, Say(202, YES)),
    "lost": (True, Say(502, {"code": 502})),
    "not taken": (False, Say(502, {"code": 502})),
    "refused": (False, Say(400, {"code": 400, "message": "no"})),
}
STEPS = st.one_of(
    st.tuples(st.just("use"), st.integers(-4, 9)),
    st.tuples(st.just("push"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("carry"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("wait"), st.sampled_from([1, 7])),
)


@pytest.mark.slow
@given(steps=st.lists(STEPS, min_size=3, max_size=10))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_i5_whatever_happens_late_usage_is_billed_at_most_once_and_in_the_end_exactly_once(
    api, tmp_path_factory, steps
):
    """A server that bills what it takes never bills more than the usage was at its highest."""
    api.taken.clear()
    company = Company(api.url, tmp_path_factory.mktemp("ledger"))
    units = highest = 5

    def settle_by_truth():
        """What a person finds in the dashboard: the call of each unknown line was taken, or was not."""
        with Ledger.open(company.url, company.clock, create=False) as ledger:
            for entry in list(ledger.reader.lines(["unknown"])):
                taken = entry.attempt_id in truth
                named = {"accepted" if taken else "not_sent": [entry.line_id]}
                resolve_by_hand(ledger, **named)
            retry(ledger)

    truth = set()

    def act(step, answer):
        before = len(api.taken)
        api.decide = lambda number, body: ANSWERS[answer]
        if step == "push":
            company.bill(usage(units))
        elif company._begun:
            company.carry()
        if len(api.taken) > before and company._begun:
            with company.open() as ledger:
                truth.update(entry.attempt_id for entry in ledger.reader.attempts() if ANSWERS[answer][0])
        settle_by_truth() if company._begun else None

    for step, value in [*steps, ("push", "yes"), ("push", "yes"), ("carry", "yes"), ("push", "yes")]:
        note(f"{step} {value}: {units} used, {billed(api)} billed")
        if step == "use":
            units = max(units + value, 1)
        elif step == "wait":
            company.clock.advance(value * 3600)
        else:
            highest = max(highest, units)
            act(step, value)
        assert billed(api) <= highest
    assert billed(api) >= units
    with company.open() as ledger:
        # More than the usage is billed only where the usage went down, and then it is listed.
        over = billed(api) - units
        assert sum(-late.difference for late in find_late(ledger) if late.kind == "credit") == over
