"""I5: each decision of a person is kept with who, when and why, and can be undone until the line is sent."""

import pytest
from automatum.metering.ledger.decisions import Author, last_of, read_decisions, undo
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.reconcile import TRANSITIONS, resolve_by_events, resolve_by_hand
from automatum.metering.ledger.states import STATES, Transition
from sqlalchemy import text

from tests.support.metering_lines import bring, event, make_line, retry, states

ANN = Author("ann", "saw it in the portal")
BY_HAND = [(decision, state) for decision, transition in TRANSITIONS.items() for state in transition.before]


def everything(ledger):
    """The lines and calls of a ledger, whole."""
    return list(ledger.reader.lines()), list(ledger.reader.attempts())


@pytest.mark.sample(5)
@pytest.mark.parametrize(("decision", "state"), BY_HAND)
def test_i5_a_decision_is_kept_and_undone_to_the_last_column(decision, state, ledger, clock):
    line = make_line(units="12345.678901")
    bring(ledger, line, state)
    before = everything(ledger)
    clock.sleep(60)
    resolve_by_hand(ledger, **{decision: [line.id]}, reason="saw it in the portal", by="ann")
    first, after = read_decisions(ledger), states(ledger)[line.id]
    *_, entry = first
    assert (entry.subject_id, entry.decision, entry.before, entry.after) == (line.id, decision, state, after)
    assert (entry.decided_by, entry.reason, entry.undone_at) == ("ann", "saw it in the portal", None)
    clock.sleep(60)
    result = undo(ledger, [line.id], Author("bob", "wrong line"))
    assert ([one.decision for one in result.undone], result.refused) == ([decision], ())
    assert everything(ledger) == before
    undone, undoing = list(read_decisions(ledger))[-2:]
    assert (undone.undone_by, undone.undone_at) == ("bob", ledger.database.now())
    assert (undoing.decision, undoing.before, undoing.after, undoing.reason) == ("undo", after, state, "wrong line")


def test_decisions_are_undone_one_after_another(ledger):
    line = make_line()
    bring(ledger, line, "unknown")
    resolve_by_hand(ledger, rejected=[line.id])
    resolve_by_hand(ledger, written_off=[line.id])
    seen = []
    for _ in range(2):
        undo(ledger, [line.id], ANN)
        seen.append(states(ledger)[line.id])
    assert seen == ["rejected", "unknown"]
    ((id_, reason),) = undo(ledger, [line.id], ANN).refused
    assert (id_, reason) == (line.id, "nobody has decided about it")


def test_i5_a_decision_stands_once_the_line_was_sent(ledger):
    """Undone, the line would be unknown about a call that was answered since."""
    line = make_line()
    bring(ledger, line, "unknown")
    resolve_by_hand(ledger, not_sent=[line.id])
    with ledger.run() as run:
        run.settle(run.claim("body", [line]), "accepted", status_code=202)
    ((_, reason),) = undo(ledger, [line.id], ANN).refused
    assert (reason, states(ledger)) == ("it was sent since", {line.id: "accepted"})


def test_a_decision_stands_once_an_event_has_settled_the_line(ledger):
    line = make_line()
    bring(ledger, line, "unknown")
    resolve_by_hand(ledger, accepted=[line.id])
    resolve_by_events(ledger, [event([line])])
    ((_, reason),) = undo(ledger, [line.id], ANN).refused
    assert (reason, states(ledger)) == ("it is confirmed now, no longer accepted", {line.id: "confirmed"})


def test_i5_what_was_called_not_sent_and_became_too_late_may_be_unknown_again(ledger):
    line = make_line()
    bring(ledger, line, "unknown")
    resolve_by_hand(ledger, not_sent=[line.id])
    with ledger.run() as run:
        run.plan([make_line(units="6")])
        run.expire([make_line(units="6")])
    assert undo(ledger, [line.id], ANN).refused == ()
    (entry,) = ledger.reader.lines()
    assert (entry.state, entry.units) == ("unknown", line.units), "with the units that were sent"


def test_a_retry_is_a_decision_too(ledger):
    rejected, other = make_line(1), make_line(2)
    bring(ledger, rejected, "rejected")
    bring(ledger, other, "rejected")
    assert len(retry(ledger, author=ANN)) == 2
    assert last_of(ledger) == sorted([rejected.id, other.id])
    undo(ledger, [rejected.id], ANN)
    assert states(ledger) == {rejected.id: "rejected", other.id: "planned"}


def test_the_last_command_is_found(ledger):
    lines = [make_line(hour) for hour in range(3)]
    for line in lines:
        bring(ledger, line, "unknown")
    resolve_by_hand(ledger, accepted=[lines[0].id])
    resolve_by_hand(ledger, rejected=[line.id for line in lines[1:]])
    assert last_of(ledger) == sorted(line.id for line in lines[1:])
    undo(ledger, last_of(ledger), ANN)
    assert last_of(ledger) == [lines[0].id]


def test_a_reason_holds_no_secret(ledger):
    """I6."""
    line = make_line()
    bring(ledger, line, "unknown")
    resolve_by_hand(ledger, accepted=[line.id], reason="client_secret=abcdefghijklmnop")
    (entry,) = read_decisions(ledger)
    assert "abcdefghijklmnop" not in entry.reason


def test_i5_every_state_that_waits_has_a_way_out_by_hand():
    """And what is final has none but an event, or usage that differs."""
    ways = {state: {one for one in Transition if one.by == "hand" and state in one.before} for state in STATES}
    # `planned` is sent, expires or is canceled; `sending` ends with its process, as `unknown` if not otherwise.
    final = {"sending", "accepted", "confirmed", "carried"}
    assert {state for state, found in ways.items() if not found} == final


def test_a_ledger_of_the_second_version_takes_the_new_states(ledger_url, clock):
    """An upgrade keeps every line; Postgres gets a column that is wide enough."""
    line = make_line()
    with Ledger.open(ledger_url, clock, create=True) as ledger:
        bring(ledger, line, "accepted")
        before = everything(ledger)
        with ledger.database.write() as connection:
            connection.execute(text("DROP TABLE metering_decisions"))
            connection.execute(text("DROP TABLE metering_refusals"))
            if "postgresql" in ledger_url:
                connection.execute(text("ALTER TABLE metering_lines ALTER COLUMN state TYPE VARCHAR(8)"))
            connection.execute(text("UPDATE metering_schema SET version = 2"))
    with Ledger.open(ledger_url, clock, create=False) as ledger:
        assert everything(ledger) == before
        resolve_by_events(ledger, [event([line])])
        assert states(ledger) == {line.id: "confirmed"}
