"""I5: the states of a line, and the way out of each."""

import os
import re
from pathlib import Path

import pytest

from automatum.metering.ledger.states import STATES, UNRESOLVED, Transition
from tests.support.state_diagram import FIRST, state_diagram

PAGE = Path(__file__).parents[4] / "docs" / "metering.md"
_DIAGRAM = re.compile(r"```mermaid\n(stateDiagram-v2\n.*?)\n```", re.DOTALL)


def test_the_diagram_in_the_docs_is_that_of_the_code():
    """With PINS=write it is written."""
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("PINS") == "write":
        PAGE.write_text(_DIAGRAM.sub(lambda _: f"```mermaid\n{state_diagram()}\n```", text), encoding="utf-8")
        return
    (drawn,) = _DIAGRAM.findall(text)
    assert drawn == state_diagram(), "PINS=write .venv/bin/python -m pytest tests/unit/metering/ledger/test_states.py"


@pytest.mark.parametrize("state", [*UNRESOLVED, "planned"])
def test_i5_a_person_can_end_each_state_that_waits(state):
    ways = [one for one in Transition if one.by == "hand" and state in one.before and one.after != state]
    assert ways, f"nobody can end {state}"


def test_i5_each_state_is_reached_and_none_is_left_by_magic():
    reached = set(FIRST)
    for _ in STATES:
        reached |= {one.after for one in Transition if set(one.before) & reached}
    assert reached == set(STATES)
    assert {one.after for one in Transition if "sending" in one.before} >= {
        "accepted",
        "rejected",
        "unknown",
        "planned",
    }


def test_i5_nothing_is_sent_but_what_is_planned_and_nothing_unknown_is_planned_but_by_a_person_or_the_answer():
    assert [one for one in Transition if one.after == "sending"] == [Transition.CLAIM]
    assert Transition.CLAIM.before == ("planned",)
    assert {one.by for one in Transition if one.after == "planned" and "unknown" in one.before} == {"hand", "api"}
    taken = [one for one in Transition if {"accepted", "confirmed"} & set(one.before)]
    assert "planned" not in {one.after for one in taken}
