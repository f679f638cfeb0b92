"""I5: what a person plans again does not bill the usage of an hour twice, by the hour and by the day."""

import pytest
from automatum.metering.ledger.decision_log import NOBODY
from automatum.metering.ledger.decisions import undo
from automatum.metering.ledger.planned import cancel, keep, plan_again
from automatum.metering.retry import plan_retry

from tests.support.metering_lines import START, bring, make_line, retry, states

RIVALS = [
    (make_line(1), make_line(1, grain="day", units="50")),
    (make_line(1), make_line(1, entitlement_id="ent_1")),
]


@pytest.mark.parametrize("rivals", RIVALS, ids=["hour and day", "with and without entitlement"])
@pytest.mark.parametrize("refused", [("rejected", "rejected"), ("expired", "expired"), ("rejected", "expired")])
def test_i5_a_retry_of_an_hour_and_its_day_plans_neither(ledger, rivals, refused):
    """Both were refused, so neither blocks the other. A retry that names one of them plans it."""
    for line, state in zip(rivals, refused, strict=True):
        bring(ledger, line, state)
    before = states(ledger)
    chosen = plan_retry(ledger, None, START, expired=True)
    assert chosen.to_send == [] and {entry.line_id for entry, _ in chosen.left} == set(before)
    assert all("name one of them" in reason for _, reason in chosen.left)
    assert plan_again(ledger, list(before)) == [] and states(ledger) == before
    assert retry(ledger, [rivals[0].id], expired=True) == [rivals[0].id]
    assert retry(ledger, [rivals[1].id], expired=True) == [], "the first is planned now"


@pytest.mark.parametrize("rivals", RIVALS, ids=["hour and day", "with and without entitlement"])
def test_i5_to_keep_an_hour_and_its_day_keeps_neither(ledger, rivals):
    for line in rivals:
        bring(ledger, line, "canceled")
    assert keep(ledger, [line.id for line in rivals]) == []
    assert keep(ledger, [rivals[1].id]) == [rivals[1].id]


@pytest.mark.parametrize("state", ["planned", "accepted", "unknown"])
def test_i5_a_cancel_is_not_undone_once_the_day_is_planned_or_sent(ledger, state):
    hour, day = RIVALS[0]
    bring(ledger, hour, "planned")
    cancel(ledger, [hour.id])
    bring(ledger, day, state)
    ((line_id, reason),) = undo(ledger, [hour.id], NOBODY).refused
    assert line_id == hour.id and "by the day" in reason
    assert states(ledger) == {hour.id: "canceled", day.id: state}
