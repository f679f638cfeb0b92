"""I5: refused usage is in the ledger, with its key and reason, until a push takes it or a person dismisses it."""

import pytest
from automatum.metering.ledger.decision_log import Author
from automatum.metering.ledger.decisions import read_decisions, undo
from automatum.metering.ledger.refusals import dismiss, find_refusals, open_refusals, record_refusals

from automatum.core.errors import ConfigurationError
from automatum.metering.model import Refusal, RefusedUsage
from tests.support.metering_lines import make_line

ANN = Author("ann", "a test customer")
LINE, OTHER = make_line(1), make_line(2, customer="cust_2")


def refusal(line=LINE, row=1, reason="units: 'abc' is not a number"):
    return Refusal(row, reason, line.refused_usage)


def test_a_refusal_is_open_until_a_push_takes_its_line(ledger, clock):
    record_refusals(ledger, [refusal(), refusal(row=2, reason="price is missing"), refusal(OTHER)], [])
    first = min(open_refusals(ledger), key=lambda one: one.customer_id)
    assert (first.line_id, first.rows, first.reason) == (LINE.id, 2, "units: 'abc' is not a number; price is missing")
    assert (first.customer_id, first.dimension, first.starts_at) == (LINE.customer_id, LINE.dimension, LINE.starts_at)
    assert ledger.reader.unresolved() == {"refused": 2}
    clock.sleep(60)
    record_refusals(ledger, [refusal(OTHER)], [LINE.id, OTHER.id])
    (left,) = open_refusals(ledger)
    assert (left.line_id, (left.last_seen_at - left.first_seen_at).total_seconds()) == (OTHER.id, 60)
    record_refusals(ledger, [], [OTHER.id])
    assert (open_refusals(ledger), ledger.reader.unresolved()) == ([], {})
    record_refusals(ledger, [refusal()], [])
    assert [one.line_id for one in open_refusals(ledger)] == [LINE.id], "and is open again"


def test_a_row_without_a_readable_key_waits_for_a_person(ledger):
    typed = Refusal(3, "customer_id is missing", RefusedUsage("aws", "lst_1", "", "api", units="5"))
    broken = Refusal(4, "has 9 fields where the header has 7")
    for _ in range(2):
        record_refusals(ledger, [typed, broken], [LINE.id])
    assert ledger.reader.unresolved() == {"refused": 2}, "the same rows again are the same refusals"
    assert {(one.line_id, one.units) for one in open_refusals(ledger)} == {(None, "5"), (None, None)}


def test_a_dismissed_refusal_stays_so_while_the_same_file_is_pushed(ledger):
    record_refusals(ledger, [refusal(), refusal(OTHER)], [])
    ids = find_refusals(ledger, ["customer_id=cust_1"])
    assert dismiss(ledger, ids, ANN) == [LINE.id]
    record_refusals(ledger, [refusal(), refusal(OTHER)], [])
    assert [one.line_id for one in open_refusals(ledger)] == [OTHER.id]
    (decision,) = read_decisions(ledger)
    assert (decision.subject, decision.subject_id, decision.decided_by) == ("refusal", LINE.id, "ann")
    record_refusals(ledger, [refusal(), refusal(row=2)], [])
    assert ledger.reader.unresolved() == {"refused": 2}, "other usage was not meant"


def test_a_dismissal_is_undone(ledger):
    record_refusals(ledger, [refusal()], [])
    dismiss(ledger, find_refusals(ledger, ["all"]), ANN)
    assert undo(ledger, [LINE.id], ANN).refused == ()
    assert ledger.reader.unresolved() == {"refused": 1}
    dismiss(ledger, [LINE.id], ANN)
    record_refusals(ledger, [], [LINE.id])
    ((_, reason),) = undo(ledger, [LINE.id], ANN).refused
    assert "a push has closed it since" in reason


@pytest.mark.parametrize("selector", ["no-such-id", "colour=red", "customer_id=cust_9"])
def test_a_typo_dismisses_nothing(selector, ledger):
    record_refusals(ledger, [refusal()], [])
    with pytest.raises(ConfigurationError):
        find_refusals(ledger, [selector])
