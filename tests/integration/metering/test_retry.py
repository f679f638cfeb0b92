"""I5: a retry sends nothing that a push would not send."""

from decimal import Decimal

import pytest

from automatum.metering.checks import Checks
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.planned import plan_again
from automatum.metering.retry import plan_retry
from tests.support.clocks import FakeClock
from tests.support.metering_lines import START, bring, make_line

DAY = [make_line(1, price="0"), make_line(2, units="100", price="1"), make_line(3, units="7", price="1")]


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite", FakeClock(), create=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("checks", "left"),
    [
        (Checks(), {}),
        (Checks(prices=True), {DAY[0].id: "the price is zero"}),
        (Checks(max_amount=Decimal(200)), {}),
        (Checks(max_amount=Decimal(100)), {line.id: "max_amount" for line in DAY}),
        (Checks(max_lines=2), {line.id: "max_lines" for line in DAY}),
        (Checks(max_lines=2, prices=True), {DAY[0].id: "the price is zero"}),
    ],
)
def test_i5_a_retry_passes_the_guards_of_a_push(checks, left, ledger):
    for line in DAY:
        bring(ledger, line, "rejected")
    plan = plan_retry(ledger, None, START.replace(hour=4), checks=checks)
    assert {entry.line_id for entry, _ in plan.left} == set(left)
    assert all(left[entry.line_id] in reason for entry, reason in plan.left)
    assert {entry.line_id for entry in plan.to_send} == {line.id for line in DAY} - set(left)


def test_a_retry_that_was_interrupted_goes_on(ledger):
    """Lines that it planned are found again, and those of a push are not."""
    rejected, planned = make_line(1), make_line(2)
    bring(ledger, rejected, "rejected")
    bring(ledger, planned, "planned")
    plan_again(ledger, [rejected.id])
    plan = plan_retry(ledger, None, START.replace(hour=4))
    assert [entry.line_id for entry in plan.to_send] == [rejected.id]


def test_a_zero_that_the_marketplace_does_not_take_is_left(ledger):
    line = make_line(1, units="0", vendor="azure")
    bring(ledger, line, "expired")
    checks = Checks(late_ok=True)
    ((_, reason),) = plan_retry(ledger, [line.id], START.replace(hour=4), expired=True, checks=checks).left
    assert "takes no zero" in reason
