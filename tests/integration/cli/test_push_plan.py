"""I5: `push plan` and `push cancel`, and the options of a push that a person uses for lines on hold."""

import pytest

from tests.support.pushing import Teller, rows_of, taken_by, write_csv


@pytest.fixture
def teller(desk):
    return Teller(desk)


@pytest.mark.slow
def test_i5_lines_on_hold_are_listed_kept_and_canceled(small, desk, teller):
    rows = rows_of(small, most=3)
    stopped = teller.push(rows, "--confirm", "--max-lines", "2", code=65)
    assert [one["kind"] for one in stopped["on_hold"]] == ["limit"] * 3
    ids = [one["line_id"] for one in stopped["on_hold"]]
    listed = desk.run("push", "plan")
    assert listed.code == 65 and "3 lines on hold" in listed.says and all(one in listed.says for one in ids), listed
    assert desk.run("push", "plan", "keep", "no-such-line").code == 78
    assert desk.run("push", "cancel").code == 78
    assert desk.run("push", "--usage", "usage.csv", "--max-amount", "1,000").code == 78
    canceled = desk.run("push", "cancel", ids[0], "--reason", "wrong file", "--json")
    assert canceled.json == {"canceled": [ids[0]]}
    assert "1 line kept" in desk.run("push", "plan", "keep", ids[1]).says
    assert taken_by(small) == []
    allowed = desk.run("push", "--usage", write_csv(rows), "--confirm", "--allow", ids[2], "--max-lines", "1", "--json")
    assert allowed.code == 0, allowed
    assert (allowed.json["lines"]["accepted"], allowed.json["canceled"]) == (2, 1)
    assert desk.run("push", "plan", "--json").json["on_hold"] == []


@pytest.mark.slow
def test_i5_an_approved_plan_is_sent_by_its_digest(small, desk, teller):
    rows = rows_of(small, most=2)
    teller.begin()
    shown = desk.run("push", "--usage", write_csv(rows))
    digest = teller.push(rows)["plan"]
    assert digest[:8] in shown.says and "--plan" in shown.says
    changed = desk.run("push", "--usage", write_csv([*rows[:1]]), "--confirm", "--plan", digest)
    assert changed.code == 65 and "Nothing is sent" in changed.says, changed
    assert taken_by(small) == []
    sent = teller.push(rows, "--confirm", "--plan", digest)
    assert (sent["lines"]["accepted"], sent["plan"]) == (2, digest)
