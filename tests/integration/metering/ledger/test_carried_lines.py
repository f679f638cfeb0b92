"""I5: a line that carries late usage and the line that it is carried from, on each kind of ledger."""

from automatum.metering.carry import find_late, record_carries
from automatum.metering.ledger.decision_log import Author
from automatum.metering.ledger.decisions import undo
from automatum.metering.ledger.reconcile import resolve_by_hand

from tests.support.metering_lines import bring, make_like, make_line, states

ANN = Author("ann", "agreed")


def test_i5_no_undo_brings_back_what_another_line_bills(ledger):
    line = make_line(1)
    bring(ledger, line, "conflict")
    resolve_by_hand(ledger, accepted=[line.id])
    with ledger.run() as run:
        run.conflict([make_like(line, units=line.units + 4)])
    (carried,) = record_carries(ledger, find_late(ledger), ANN)
    assert states(ledger) == {line.id: "accepted", carried.id: "planned"}
    assert undo(ledger, [line.id], ANN).refused == ((line.id, "another line bills its late usage since"),)


def test_two_carries_at_once_bill_once(ledger):
    line = make_line(1)
    bring(ledger, line, "conflict")
    first, second = find_late(ledger), find_late(ledger)
    assert len(record_carries(ledger, first)) == 1
    assert record_carries(ledger, second) == []


def test_a_carried_line_that_came_too_late_is_carried_itself(ledger, clock):
    line = make_line(1)
    bring(ledger, line, "conflict")
    (carried,) = record_carries(ledger, find_late(ledger))
    with ledger.run() as run:
        run.expire([carried])
    clock.advance(86400)
    (again,) = record_carries(ledger, find_late(ledger))
    assert (again.units, again.carried_from) == (1, carried.id)
    assert states(ledger) == {line.id: "accepted", carried.id: "carried", again.id: "planned"}
