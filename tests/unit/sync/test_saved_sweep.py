"""I3 and I9: what a sweep leaves in the destination is read by later runs, and by later versions."""

import json

import orjson

from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.facts import SweepFacts
from automatum.sync.results import KnownRows, Verdict
from automatum.sync.sweep import Sweep
from automatum.sync.sweep_state import SweepState
from tests.support.moving_list import MovingList

SAVED_BEFORE = {
    "next": 3,
    "last": 6,
    "total": 600,
    "pages_read": 2,
    "extra": 0,
    "ghosts": 0,
    "drift": ["page 2 repeats 1 rows"],
    "counts": {"inserted": 200, "updated": 0, "unchanged": 0, "deleted": 0},
    "again": [],
    "looking_back": [[1, 2]],
    "suspects": [1, 2147483648, 1, 2],
    "doubt": False,
    "ordered": True,
    "oldest": "2026-01-01T00:00:00+00:00",
}
"""The state of a sweep as the first versions wrote it."""


def read_pages(sweep, count):
    loaded = {}
    for _ in range(count):
        loaded.update({row.key: row.hash for row in sweep.step()})
    return loaded


def test_a_saved_state_is_read_back_as_it_was():
    state = SweepState.from_json(json.loads(json.dumps(SAVED_BEFORE)))
    assert state.looking_back == {1: 2}
    assert json.loads(orjson.dumps(state.as_json())) == SAVED_BEFORE


def test_a_resumed_sweep_reads_each_page_once():
    source = MovingList(590)
    first = Sweep(Table(CUSTOMERS), source.fetch, KnownRows())
    known = KnownRows(read_pages(first, 2))
    records, saved = first.take_records(), orjson.loads(orjson.dumps(first.saved_state))
    second = Sweep(Table(CUSTOMERS), source.fetch, known)
    assert second.resume(records, saved)
    while second.verdict is None:
        second.step()
    assert (second.verdict, source.reads) == (Verdict.COMPLETE, [1, 2, 3, 4, 5, 6])


def test_a_sweep_whose_rows_are_not_in_the_destination_starts_again():
    source = MovingList(600)
    first = Sweep(Table(CUSTOMERS), source.fetch, KnownRows())
    known = KnownRows(dict(list(read_pages(first, 2).items())[1:]))
    second = Sweep(Table(CUSTOMERS), source.fetch, known)
    assert not second.resume(first.take_records(), first.saved_state)
    assert second.state == SweepState()


def test_a_second_reading_starts_again_after_a_resume():
    source = MovingList(290)
    first = Sweep(Table(CUSTOMERS), source.fetch, KnownRows())
    known = KnownRows(read_pages(first, 4))
    first.distrust("a row is there though no page listed it")
    read_pages(first, 2)
    second = Sweep(Table(CUSTOMERS), source.fetch, known)
    assert (first.reread, first.state.again) == (True, [2, 3])
    assert second.resume(first.take_records(), first.saved_state)
    assert (second.state.again, second.state.doubt) == ([], True)
    while second.verdict is None:
        second.step()
    assert (second.verdict, source.reads) == (Verdict.COMPLETE, [1, 2, 3, 1, 1, 2, 3])


def test_facts_keep_their_keys_and_leave_out_defaults():
    facts = SweepFacts(full=True, ordered=False, candidates=("a",), session={"id": "s", "tables": ["customers"]})
    stored = {"full": True, "ordered": False, "candidates": ["a"], "session": {"id": "s", "tables": ["customers"]}}
    assert json.loads(json.dumps(facts.as_json())) == stored
    assert SweepFacts.from_json({**stored, "of a later version": 1}) == facts
    assert SweepFacts().as_json() == {}


def test_a_verdict_is_its_text():
    assert f"{Verdict.MORE_TO_DO}" == str(Verdict.MORE_TO_DO) == "more_to_do"
    assert json.dumps(Verdict.COMPLETE) == '"complete"'
