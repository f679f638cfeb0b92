"""Real processes that race for the same lines, or are killed at any moment (I5)."""

import random
from collections import Counter

import pytest

from automatum.core.clock import SystemClock
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from tests.support.desk import await_
from tests.support.ledger_racing import BODY, CONTEXT, Racer, all_lines, claim_grain, push, taken
from tests.support.metering_lines import ids, make_line, states

KILLS = 25
SEED = 5


@pytest.fixture
def clock():
    return SystemClock()


def test_two_pushes_at_once_send_no_line_twice(ledger_url, tmp_path, open_ledger):
    """They even make the ledger at the same time."""
    count, go, api = 300, CONTEXT.Event(), tmp_path / "api"
    racers = [Racer(push, ledger_url, count, order, go, api) for order in ("forwards", "backwards")]
    for one in racers:
        one.ready()
    go.set()
    for one in racers:
        one.end()
    sent = [line for _, lines in taken(api) for line in lines]
    assert Counter(sent) == Counter(ids(all_lines(count)))
    assert set(states(open_ledger(begin=False)).values()) == {"accepted"}
    assert len({run for run, _ in taken(api)}) == 2, "only one of them sent anything: that was no race"


def test_two_pushes_at_once_never_mix_grains(ledger_url, tmp_path, open_ledger):
    count, go, api = 60, CONTEXT.Event(), tmp_path / "api"
    racers = [Racer(claim_grain, ledger_url, count, grain, go, api) for grain in ("hour", "day")]
    for one in racers:
        one.ready()
    go.set()
    for one in racers:
        one.end()
    planned = taken(api)
    assert sorted(int(day) for day, _ in planned) == list(range(count)), "each date in one grain"
    assert len(list(open_ledger(begin=False).entries())) == count


def test_a_kill_leaves_questions_and_never_gaps(ledger_url, tmp_path, open_ledger):
    """Kill -9 at random moments: what was under way is `unknown` at the next run, what the living hold stays."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    count, api = 40, tmp_path / "api"
    ledger = open_ledger()
    living = open_ledger()
    kept, interrupted, unknown = make_line(5000), 0, set()
    with living.run("usage.csv", [kept]) as owner:
        held = owner.claim("kept", [kept])
        for number in range(KILLS):
            go, calls = CONTEXT.Event(), len(taken(api))
            racer = Racer(push, ledger_url, count, "forwards", go, api).ready()
            go.set()
            if number % 2:
                # While it begins, perhaps; or, however slow this machine is, while it sends.
                await_(lambda calls=calls: len(taken(api)) > calls)
            interrupted += racer.kill(chance.uniform(0, 0.1))
            before = states(ledger)
            with ledger.run("usage.csv", []) as run:
                recovered = recover(run, ledger, kept)
                after = states(ledger)
                assert recovered <= BODY, "more than one body by one kill"
                assert after.pop(kept.id) == "sending", "its owner lives"
                assert {one for one, state in before.items() if state == "sending"} - {kept.id} == {
                    one for one, state in after.items() if state == "unknown" and before[one] != "unknown"
                }
                unknown |= {one for one, state in after.items() if state == "unknown"}
                sent = Counter(line for _, lines in taken(api) for line in lines)
                assert set(sent.values()) <= {1}, "sent twice"
                assert {after[line] for line in sent} <= {"accepted", "unknown"}
                assert {line for line, state in after.items() if state == "accepted"} <= set(sent)
                # So that there is always something to kill.
                count = max(count, len(after) + 60)
        owner.answer(held, {kept.id: Outcome("accepted")})
        owner.end(complete=True)
    print(f"{interrupted} of {KILLS} were killed under way, {len(unknown)} lines became unknown")
    assert interrupted > KILLS // 2 and len(unknown) >= BODY
    # The last one gets to its end, with all that is not a question.
    go = CONTEXT.Event()
    racer = Racer(push, ledger_url, count, "forwards", go, api).ready()
    go.set()
    racer.end()
    assert set(states(ledger).values()) == {"accepted", "unknown"}
    sent = Counter(line for _, lines in taken(api) for line in lines)
    assert set(sent.values()) == {1}
    assert ids(all_lines(count)) - set(sent) <= unknown


def recover(run, ledger, kept):
    """Lines that became unknown: at once in SQLite; a Postgres server takes a moment to see that its client is gone."""
    found = run.recover()

    def over():
        nonlocal found
        found += run.recover()
        return {line for line, state in states(ledger).items() if state == "sending"} == {kept.id}

    await_(over)
    return found


def test_a_ledger_is_made_whole_or_not_at_all(tmp_path):
    """Many processes make the same one, and some are killed meanwhile."""
    chance = random.Random(SEED)
    for number in range(8):
        url = f"sqlite:///{tmp_path}/{number}/ledger"
        go = CONTEXT.Event()
        racers = [Racer(claim_grain, url, 1, "hour", go, tmp_path / "none") for _ in range(3)]
        go.set()
        racers[0].kill(chance.uniform(0, 0.03))
        for one in racers[1:]:
            one.end()
        with Ledger.open(url, SystemClock()) as ledger:
            counts = ledger.counts()
            assert counts["accepted"] + counts["sending"] == 1
