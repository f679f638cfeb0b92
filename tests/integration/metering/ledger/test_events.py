"""Events settle the lines of the call whose id the ledger holds; everything else is an open item (I5, M6)."""

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest

from automatum.metering.ledger.entries import Change, Outcome
from automatum.metering.ledger.events import apply_events
from tests.support.metering_lines import make_like, make_line

LINES = [make_line(1, dimension="api"), make_line(1, dimension="gb")]


def send(ledger, state="accepted", lines=LINES, reference="m-1", again=()):
    with ledger.run("u", lines, "ann") as run:
        attempt = run.claim("body", lines, again)
        outcome = Outcome(state, "" if state == "accepted" else "why")
        run.answer(attempt, {line.id: outcome for line in lines}, reference=reference)
        run.end(complete=True)


def hear(ledger, kind, call="m-1", **more):
    return apply_events(ledger, [{"id": f"{kind} {call}", "event": f"metering.{kind}", "data": {"id": call, **more}}])


def seen(ledger, line=LINES[0]):
    entry = ledger.fetch([line.id])[line.id]
    return entry.state, entry.why


def decide(ledger, line, state, why, units=None):
    entry = ledger.fetch([line.id])[line.id]
    price = None if units is None else line.price
    after = replace(entry, state=state, why=why, accepted_units=units, accepted_price=price)
    assert ledger.settle([Change(entry, after)], "ann", "because")


@pytest.mark.parametrize(
    ("state", "kind", "after"),
    [
        ("accepted", "submitted", ("accepted", "")),
        ("accepted", "confirmed", ("confirmed", "")),
        ("accepted", "failed", ("unbilled", "rejected")),
        ("unknown", "submitted", ("accepted", "")),
        ("unknown", "confirmed", ("confirmed", "")),
        ("unknown", "failed", ("unbilled", "rejected")),
        ("unbilled", "confirmed", ("conflict", "events disagree")),
        ("unbilled", "submitted", ("conflict", "events disagree")),
        ("unbilled", "failed", ("unbilled", "rejected")),
        ("conflict", "failed", ("conflict", "refused by the marketplace")),
        ("conflict", "confirmed", ("conflict", "events disagree")),
    ],
)
def test_what_an_event_makes_of_a_line(ledger, state, kind, after):
    send(ledger, state)
    result = hear(ledger, kind, reason="no such customer")
    assert result.lines == [line.id for line in LINES] and not result.open
    assert seen(ledger) == after
    entry = ledger.fetch([LINES[0].id])[LINES[0].id]
    if after[0] in ("accepted", "confirmed"):
        assert (entry.accepted_units, entry.open_units) == (5, 0)
    if (state, kind) == ("accepted", "failed"):
        assert entry.accepted_units is None and "no such customer" in entry.error and entry.settled_by == "event"
    (item,) = ledger.items(kinds=["event"])
    assert item.closed_by == "event"


def test_order_and_repetition_do_not_matter(ledger):
    order = [("submitted",), ("confirmed",), ("failed",)]
    ends = set()
    for number, kinds in enumerate(itertools.permutations(kind for (kind,) in order)):
        lines = [make_line(number, dimension="api")]
        send(ledger, lines=lines, reference=f"m-{number}", state="unknown")
        for kind in (*kinds, *kinds):
            hear(ledger, kind, f"m-{number}")
        ends.add(seen(ledger, lines[0]))
    assert ends == {("conflict", "events disagree")}
    for number, kinds in enumerate(itertools.permutations(["submitted", "failed"]), 10):
        lines = [make_line(number, dimension="api")]
        send(ledger, lines=lines, reference=f"m-{number}", state="unknown")
        assert [hear(ledger, kind, f"m-{number}").known for kind in (*kinds, *kinds)] == [0, 0, 1, 1]
        assert seen(ledger, lines[0]) == ("unbilled", "rejected")


@pytest.mark.parametrize("kind, call", [("confirmed", "m-2"), ("refused", "m-1"), ("failed", "")])
def test_m6_an_event_that_cannot_be_placed_is_an_open_item(ledger, kind, call):
    send(ledger)
    for _ in range(2):
        result = hear(ledger, kind, call)
        (item,) = ledger.items(kinds=["event"], open_only=True)
        assert result.open == [item] and result.lines == []
    assert seen(ledger) == ("accepted", "")
    ledger.close_items([item.id], "ann", "seen in the portal")
    assert hear(ledger, kind, call).known


def test_an_event_that_is_faster_than_the_answer_is_applied_by_it(ledger):
    with ledger.run("u", LINES, "ann") as run:
        attempt = run.claim("body", LINES)
        assert hear(ledger, "submitted").open and hear(ledger, "confirmed").open
        run.answer(attempt, {line.id: Outcome("accepted") for line in LINES}, reference="m-1")
        run.end(complete=True)
    assert seen(ledger) == ("confirmed", "")
    assert not list(ledger.items(open_only=True))


def test_an_event_names_dimensions_of_the_call(ledger):
    send(ledger)
    hear(ledger, "failed", usages=[{"apiKey": "gb"}])
    assert (seen(ledger, LINES[0]), seen(ledger, LINES[1])) == (("accepted", ""), ("unbilled", "rejected"))
    assert "did not contain" in hear(ledger, "confirmed", usages=[{"apiKey": "cpu"}]).open[0].reason


def test_an_id_of_two_calls_proves_nothing(ledger):
    send(ledger)
    send(ledger, lines=[make_line(2)])
    assert "several calls" in hear(ledger, "confirmed").open[0].reason


def test_an_event_of_an_earlier_call_of_a_line_that_was_sent_again(ledger):
    """It was billed twice, by a person's error: that must not stay unseen."""
    for kind, after in (("failed", ("accepted", "")), ("confirmed", ("conflict", "events disagree"))):
        line = make_line(5 if kind == "failed" else 6)
        send(ledger, "unknown", [line], f"first {kind}")
        decide(ledger, line, "unbilled", "rejected")
        send(ledger, "accepted", [line], f"second {kind}", again=[line.id])
        hear(ledger, kind, f"first {kind}")
        assert seen(ledger, line) == after


@pytest.mark.parametrize(
    ("why", "kind", "after"),
    [
        ("billed", "confirmed", ("confirmed", "")),
        ("billed", "failed", ("conflict", "events disagree")),
        ("never", "failed", ("settled", "never")),
        ("never", "confirmed", ("conflict", "events disagree")),
    ],
)
def test_an_event_after_a_persons_word(ledger, why, kind, after):
    send(ledger, "unknown")
    decide(ledger, LINES[0], "settled", why, Decimal(5) if why == "billed" else None)
    hear(ledger, kind)
    assert seen(ledger) == after


def test_a_confirmed_line_that_differed_is_confirmed_again_when_the_usage_agrees(ledger):
    send(ledger)
    hear(ledger, "confirmed")
    for line, state in ((make_like(LINES[0], units=Decimal(6)), "conflict"), (LINES[0], "confirmed")):
        with ledger.run("u", [], "ann") as run:
            run.record(asked=[line])
            run.end(complete=True)
        assert seen(ledger)[0] == state


def test_a_failed_call_opens_what_was_carried_beside_it(ledger):
    line = LINES[0]
    send(ledger)
    with ledger.run("u", [], "ann") as run:
        run.record(asked=[make_like(line, units=Decimal(8))])
        run.end(complete=True)
    child = make_like(line, units=Decimal(3), starts_at=make_line(9).starts_at, carried_from=line.id, carry_number=1)
    send(ledger, lines=[child], reference="m-2")
    assert seen(ledger) == ("settled", "carried")
    hear(ledger, "failed")
    entry = ledger.fetch([line.id])[line.id]
    assert (entry.state, entry.open_units, entry.carried_units) == ("unbilled", 5, 3)
    hear(ledger, "failed", "m-2")
    assert ledger.fetch([line.id])[line.id].open_units == 8


def test_a_call_that_was_taken_after_a_person_said_no_and_sent_again_is_a_conflict(ledger):
    """The API accepted it, a person found that it was not billed, and it was sent again: both calls are billed then."""
    line = LINES[0]
    send(ledger, lines=[line])
    decide(ledger, line, "unbilled", "rejected")
    send(ledger, lines=[line], reference="m-2", again=[line.id])
    assert seen(ledger) == ("accepted", "")
    hear(ledger, "confirmed", "m-1")
    assert seen(ledger) == ("conflict", "events disagree")


def carry(ledger, line, units):
    late = make_like(line, starts_at=make_line(9).starts_at, units=Decimal(units), carried_from=line.id, carry_number=1)
    send(ledger, lines=[late], reference="c-1")
    return late


def test_a_call_that_was_taken_after_its_usage_was_carried_is_a_conflict(ledger):
    line = LINES[0]
    send(ledger, "unknown", [line])
    decide(ledger, line, "unbilled", "rejected")
    carry(ledger, line, "5")
    assert seen(ledger) == ("settled", "carried")
    hear(ledger, "confirmed", "m-1")
    assert seen(ledger) == ("conflict", "events disagree")


def test_a_carried_line_that_was_taken_after_all_opens_the_line_that_was_billed_meanwhile(ledger):
    line = LINES[0]
    send(ledger, "unbilled", [line])
    late = carry(ledger, line, "5")
    decide(ledger, late, "unbilled", "rejected")
    assert seen(ledger) == ("unbilled", "rejected")
    send(ledger, lines=[line], reference="m-2", again=[line.id])
    hear(ledger, "confirmed", "c-1")
    assert seen(ledger, late) == ("conflict", "events disagree")
    assert seen(ledger) == ("conflict", "differs")
    assert ledger.fetch([line.id])[line.id].open_units == -5


def test_news_of_a_carried_line_does_not_close_a_disagreement(ledger):
    line = LINES[0]
    send(ledger, lines=[line])
    with ledger.run("u", [], "ann") as run:
        run.record(asked=[make_like(line, units=Decimal(8))])
        run.end(complete=True)
    carry(ledger, line, "3")
    assert seen(ledger) == ("settled", "carried")
    hear(ledger, "confirmed", "m-1")
    hear(ledger, "failed", "m-1")
    assert seen(ledger) == ("conflict", "events disagree")
    hear(ledger, "confirmed", "c-1")
    assert seen(ledger) == ("conflict", "events disagree")


@pytest.mark.parametrize("again", [False, True])
def test_an_answer_after_a_persons_word_is_not_forgotten(ledger, again):
    """The run lost its lock, another one took it for dead, and a person decided; then the answer came."""
    line = LINES[0]
    with ledger.run("u", [line], "ann") as slow:
        attempt = slow.claim("body", [line])
        slow.end(complete=False)
        decide(ledger, line, "unbilled", "rejected")
        if again:
            send(ledger, lines=[line], reference="m-2", again=[line.id])
        slow.answer(attempt, {line.id: Outcome("accepted")}, reference="m-1")
    assert seen(ledger) == ("conflict", "events disagree")
