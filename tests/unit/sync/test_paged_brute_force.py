"""I1: every schedule of small lists that are paged by offsets or cursors: none ends with a false `complete`.

`test_brute_force.py` does the same with page numbers. `make drift` (BRUTE=long) adds schedules with two changes, drawn
at random: there are too many to try them all.
"""

import os
import random
from collections import Counter
from itertools import chain

import pytest

from tests.support.brute_force import births_and_moves, killed, mixed, one_kind, paused, schedules, swept
from tests.support.paged_list import PagedList

SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
DRAWN = 2000 if os.environ.get("BRUTE") == "long" else 0
ROWS = range(1, 6) if DRAWN else (3, 5)
PAGE_SIZE = 2
BOUNDS = (0, 100)
LISTS = {
    "offset": {"kind": "offset"},
    "cursor that is an offset": {},
    "cursor after a row": {"keyset": True},
    "cursor, no total": {"totals": False},
    "cursor after a row, no total": {"keyset": True, "totals": False},
    "cursor that ages": {"ages": True},
}


def changes(rows):
    """Rows come in or go, also while a run pauses or none is there."""
    yield from one_kind(rows)
    yield from map(killed, one_kind(rows))
    yield from (paused(batch, kill=kill) for batch in mixed(rows) for kill in (False, True))


def moves(rows):
    return chain(births_and_moves(rows), (killed(batch) for batch in births_and_moves(rows)))


def tried(kinds, rows, rng):
    """Each schedule with one change, and in the long form some with two."""
    reads = -(-rows // PAGE_SIZE) + 2
    yield from schedules(kinds, rows, reads, 1)
    found = list(kinds(rows))
    for _ in range(DRAWN if found else 0):
        yield {place: rng.choice(found) for place in sorted(rng.sample(range(1, reads + 2), 2))}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [changes, moves])
@pytest.mark.parametrize("name", LISTS)
def test_no_schedule_ends_with_a_false_complete_i1(name, kinds):
    found, rng = Counter(), random.Random(SEED)
    for rows in ROWS:
        for schedule in tried(kinds, rows, rng):
            for bound in BOUNDS:
                source = PagedList(rows, PAGE_SIZE, **LISTS[name])
                outcome = swept(source, schedule, bound)
                found[outcome.verdict.value] += 1
                says = (
                    f"SEED={SEED}",
                    name,
                    rows,
                    bound,
                    {at: batch.says for at, batch in schedule.items()},
                    source.reads,
                )
                if outcome.verdict == "complete":
                    assert source.stable <= outcome.loaded, (*says, outcome.sweep.state.drift)
    print(f"\n{name}: {sum(found.values())} schedules, {found['complete']} complete, 0 of them false", end="")
    assert found["complete"] > 0 < found["incomplete"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_a_quiet_list_costs_one_request_a_page_i3(name, rows):
    """And as many again where no exact total proves it."""
    source = PagedList(rows, PAGE_SIZE, **LISTS[name])
    outcome = swept(source, {}, 100)
    assert (outcome.verdict, len(outcome.loaded)) == ("complete", rows)
    pages = max(1, -(-rows // PAGE_SIZE))
    full = LISTS[name].get("kind") == "offset" and rows == PAGE_SIZE
    assert len(source.reads) == (pages + full if source.totals else 2 * pages)
