"""I5: what a push did not send, and usage that was refused, stay open until they are pushed or a person closes them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from automatum.metering.ledger.entries import Outcome
from automatum.metering.model import Refusal
from tests.support.metering_lines import make_like, make_line, missing

LINES = [make_line(hour) for hour in range(3)]
TYPED = Refusal(LINES[0].id, (3, 4), 2, "units: 'many' is not a plain number", LINES[0].id, {"customer_id": "cust_1"})
BROKEN = Refusal("a-hash", (5,), 1, "the row has 9 fields where the header has 7")


def push(ledger, *, source="a.csv", lines=(), send=(), complete=True, **record):
    with ledger.run(source, lines, "ann") as run:
        run.record(**record)
        if send:
            attempt = run.claim("body", send)
            run.answer(attempt, {line.id: Outcome("accepted") for line in attempt.lines})
        run.end(complete=complete, reason="" if complete else "the time is over")


def open_items(ledger, kind):
    return list(ledger.items(kinds=[kind], open_only=True))


# Runs


def test_a_run_is_open_until_each_of_its_lines_is_in_the_ledger(ledger):
    push(ledger, lines=LINES, send=LINES[:1], complete=False)
    (item,) = open_items(ledger, "run")
    assert item.reason == "This push ended early: the time is over. Push the usage again."
    assert (item.data, item.source) == ({"lines": 3}, "a.csv")
    assert missing(ledger, item.id) == sorted(line.id for line in LINES[1:])
    push(ledger, source="b.csv", lines=LINES[1:2], send=LINES[1:2])
    assert len(open_items(ledger, "run")) == 1, "one is missing still"
    push(ledger, expired=[(LINES[2], "too late")])
    assert not open_items(ledger, "run")


def test_a_push_that_is_under_way_waits_for_nobody(ledger):
    """Its item would else be an alarm of `push status` each hour; and nobody may close it meanwhile."""
    with ledger.run("a.csv", LINES, "ann") as run:
        assert list(ledger.items(kinds=["run"])) and not open_items(ledger, "run")
        run.end(complete=False, reason="the time is over")
    assert open_items(ledger, "run")


def test_a_run_without_lines_leaves_no_item(ledger):
    push(ledger, lines=[])
    assert not list(ledger.items())


def test_a_line_that_was_refused_instead_is_accounted_for(ledger):
    push(ledger, lines=LINES[:1], refusals=[TYPED])
    assert not open_items(ledger, "run") and open_items(ledger, "refusal")


def test_a_refusal_that_a_person_closed_before_accounts_for_nothing_later(ledger, clock):
    """The row was mended, and the push that should send it ended early: another source must not close that."""
    push(ledger, refusals=[TYPED])
    (item,) = open_items(ledger, "refusal")
    ledger.close_items([item.id], "ann", "not worth it")
    clock.advance(60)
    push(ledger, lines=LINES[:1], complete=False)
    push(ledger, source="b.csv", lines=LINES[1:2], send=LINES[1:2])
    assert [item.source for item in open_items(ledger, "run")] == ["a.csv"]


def test_a_person_closes_a_run(ledger):
    push(ledger, lines=LINES)
    (item,) = open_items(ledger, "run")
    assert ledger.close_items([item.id, "nowhere"], "ann", "they were test data") == [item.id]
    assert ledger.close_items([item.id], "bob", "again") == []
    (item,) = ledger.items()
    assert (item.closed_by, item.closed_reason) == ("ann", "they were test data")


# Refusals


def test_the_same_rows_again_are_one_item(ledger, clock):
    push(ledger, refusals=[TYPED, BROKEN])
    clock.advance(3600)
    push(ledger, refusals=[replace(TYPED, count=3), BROKEN])
    typed, broken = open_items(ledger, "refusal")
    assert (typed.subject, typed.source, typed.by) == (LINES[0].id, "a.csv", "ann")
    assert (typed.data["count"], typed.data["rows"], typed.data["line_id"]) == (3, [3, 4], LINES[0].id)
    assert broken.data["line_id"] is None
    push(ledger, source="b.csv", refusals=[BROKEN])
    assert len(open_items(ledger, "refusal")) == 3, "of another source"


def test_a_refusal_is_closed_when_its_line_is_sent(ledger):
    push(ledger, refusals=[TYPED, BROKEN])
    push(ledger, lines=LINES, send=LINES, refusals=[BROKEN])
    (left,) = open_items(ledger, "refusal")
    assert left.subject == "a-hash"


def test_a_file_that_is_pushed_whole_closes_what_has_no_line(ledger):
    ended, later = (replace(LINES[0], starts_at=ledger.now() - timedelta(hours=hours)) for hours in (1, 0))
    push(ledger, refusals=[TYPED, BROKEN])
    push(ledger, source="b.csv", whole=ended)
    push(ledger, whole=None)
    push(ledger, refusals=[TYPED], whole=ended)
    push(ledger, whole=later)
    assert len(open_items(ledger, "refusal")) == 2
    push(ledger, whole=ended)
    (left,) = open_items(ledger, "refusal")
    assert left.subject == LINES[0].id, "its line was never sent"


def test_a_closed_refusal_stays_closed_while_the_same_rows_are_pushed(ledger):
    push(ledger, refusals=[TYPED])
    ledger.close_items([item.id for item in ledger.items()], "ann", "not to be billed")
    push(ledger, refusals=[replace(TYPED, rows=(4, 5))])
    assert not open_items(ledger, "refusal"), "the rows have only moved"
    push(ledger, refusals=[replace(TYPED, count=5)])
    assert open_items(ledger, "refusal"), "other usage was not meant"


# Second sources


@pytest.mark.parametrize("units", ["5", "7"])
def test_m8_a_second_source_is_an_open_item_that_names_both(ledger, units):
    line = LINES[0]
    push(ledger, lines=[line], send=[line])
    entry = ledger.fetch([line.id])[line.id]
    for _ in range(2):
        push(ledger, source="b.csv", sources=[(make_like(line, units=type(line.units)(units)), entry)])
    (item,) = open_items(ledger, "source")
    assert (item.subject, item.source, item.data["other_source"]) == (line.id, "b.csv", "a.csv")
    assert (item.data["units"], item.data["other_units"]) == (units, "5")
    assert f"b.csv has {units} units" in item.reason and "a.csv asked for with 5" in item.reason
    assert ledger.fetch([line.id])[line.id] == entry
    ledger.close_items([item.id], "ann", "the same rows")
    push(ledger, source="b.csv", sources=[(make_like(line, units=type(line.units)(units)), entry)])
    assert not open_items(ledger, "source")
    push(ledger, source="b.csv", sources=[(make_like(line, units=line.units + 9), entry)])
    assert open_items(ledger, "source")
