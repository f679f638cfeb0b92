"""I5: a push that is killed at any moment bills nothing twice, and leaves nothing of which nobody knows.

`KILLS=100` runs it long.
"""

import os
import random
import time
from collections import Counter
from fractions import Fraction

from tests.support.desk import await_
from tests.support.postgres import postgres, running  # noqa: F401  the fixture
from tests.support.pushing import (
    METERING,
    Process,
    Teller,
    cost,
    cost_of_bodies,
    keys_of,
    keys_of_bodies,
    rows_of,
    taken_by,
    write_csv,
)

KILLS = int(os.environ.get("KILLS", "20"))
LINES = 200
SLOW = 0.01
"""Seconds that an answer takes: most kills then hit a call."""
LONGEST = 0.25
"""Longest time before a kill, as a share of the duration of a push."""
BODY = 4
"""Most lines of a body here: a listing of the sandbox has that many dimensions."""


def bodies_of(rows):
    """Calls that the rows need: one for each customer's listing and hour."""
    return len({(row["customer_id"], row["listing_id"], row["usage_at"]) for row in rows})


def serve(start, desk):
    served = start(customers=60, entitlements=80, private_offers=3, days=2)
    desk.use(served)
    return served.sandbox, rows_of(served.sandbox, back=(1, 2, 3, 4), most=LINES)


def duration_of(teller, rows):
    """Seconds that a push of these rows takes on this machine now."""
    teller.begin()
    begun = time.monotonic()
    run = start_push(teller, write_csv(rows))
    assert run.code == 0, run.err
    return time.monotonic() - begun


def start_push(teller, source):
    """The command in a process; it begins the ledger as long as that is empty."""
    new = () if teller.entries() else ("--new-ledger",)
    with teller.ledger():
        return Process(teller.desk.folder, "push", "--usage", source, *new, "--confirm", "--json")


def killed_until_done(sandbox, teller, rows, rng, kills, longest):
    """Kill pushes of one usage until one of them ends; returns how many were killed, and of those with a call open."""
    source, killed, hit = write_csv(rows), 0, 0
    teller.begin()
    while True:
        run = start_push(teller, source)
        if killed == kills or not run.kill(rng.uniform(0, longest)):
            break
        killed += 1
        hit += "sending" in teller.states()
        check_server(sandbox, rows)
    assert run.code == (65 if "unknown" in teller.states() else 0), run.err
    return killed, hit


def check_server(sandbox, rows):
    """By the server's own log no line was taken twice, and none that was not asked for."""
    seen = keys_of_bodies(taken_by(sandbox))
    assert max(seen.values(), default=0) <= 1
    assert seen <= keys_of(rows)


def settle(sandbox, teller, rows):
    """A person looks up each unknown line in the books of the marketplace; then the rest is sent."""
    billed = {(key[2], key[4], key[5]) for key in keys_of_bodies(taken_by(sandbox))}
    figures = Counter()
    for entry in teller.entries("unknown"):
        line = entry.line
        came = (line.customer_id, line.dimension, Fraction(line.units)) in billed
        figures["came" if came else "never_came"] += 1
        teller.run("settle", entry.id, *(("--billed",) if came else ("--not-billed", "--send")), "--confirm")
    states = teller.states()
    assert set(states) <= {"accepted", "settled"} and sum(states.values()) == len(rows), states
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(rows)
    assert cost_of_bodies(taken_by(sandbox)) == cost(rows)
    again = teller.push(rows, "--confirm")
    assert (again["requests"], again["token_requests"], again["already_accepted"]) == (0, 0, len(rows))
    assert teller.run("status")["open"] == []
    return figures["never_came"]


def run_rounds(start, desk, kills, ledger_urls):
    """Whole pushes, each killed as often as it takes, until there were so many kills."""
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    rng, figures = random.Random(seed), Counter()
    sandbox, rows = serve(start, desk)
    assert len(rows) == LINES
    print(f"seed {seed}")
    sandbox.faults.add("slow", METERING, seconds=SLOW, count=None)
    longest = LONGEST * duration_of(Teller(desk, next(ledger_urls)), rows)
    # On a machine that has other things to do, it may take more kills to hit a call.
    while figures["kills"] < kills or (not figures["unknown"] and figures["kills"] < 4 * kills):
        sandbox.reset()
        sandbox.faults.add("slow", METERING, seconds=SLOW, count=None)
        teller = Teller(desk, next(ledger_urls))
        killed, hit = killed_until_done(sandbox, teller, rows, rng, max(kills - figures["kills"], 5), longest)
        check_server(sandbox, rows)
        states = teller.states()
        assert set(states) <= {"accepted", "unknown"} and sum(states.values()) == LINES, states
        unknown = teller.entries("unknown")
        assert len({one.attempt_id for one in unknown}) <= killed, "more than one body a kill"
        assert len(unknown) <= BODY * killed
        never_came = settle(sandbox, teller, rows)
        check_server(sandbox, rows)
        figures += Counter(rounds=1, kills=killed, at_a_call=hit, unknown=len(unknown), never_came=never_came)
    print(dict(figures), {"bodies": bodies_of(rows)})
    return figures


def test_kills_bill_nothing_twice_and_nothing_is_left_unbilled(start, desk, tmp_path):
    urls = (f"sqlite:///{tmp_path}/ledger-{number}.sqlite" for number in range(10**6))
    figures = run_rounds(start, desk, KILLS, urls)
    assert figures["unknown"] > 0, "no kill hit a call"


def test_kills_with_a_ledger_in_postgres(start, desk, postgres):  # noqa: F811  the fixture
    run_rounds(start, desk, max(3, KILLS // 10), databases(postgres))


def databases(first):
    """URLs of new databases, one a round."""
    while True:
        yield first
        first = running().url(running().new_database())


def test_a_push_that_is_asked_to_stop_ends_between_two_calls(start, desk, tmp_path):
    """SIGTERM: exit 75, nothing unknown, the rest is an open item, and the next push sends it."""
    sandbox, rows = serve(start, desk)
    sandbox.faults.add("slow", METERING, seconds=SLOW, count=None)
    teller = Teller(desk, f"sqlite:///{tmp_path}/ledger.sqlite")
    teller.begin()
    run = start_push(teller, write_csv(rows))
    await_(lambda: len(taken_by(sandbox)) >= 5)
    run.terminate()
    assert run.code in (65, 75), run.err
    figures = run.json
    assert (figures["verdict"], figures["lines"]["unknown"]) == ("more_to_do", 0)
    assert figures["requests"] == len(taken_by(sandbox)) < bodies_of(rows)
    assert teller.states() == {"accepted": figures["lines"]["accepted"]}
    assert figures["lines"]["to_send"] == len(rows) - figures["lines"]["accepted"]
    assert [one["kind"] for one in teller.run("status", code=65)["open"]] == ["run"], "what is left is not hidden"
    sandbox.faults.clear()
    teller.push(rows, "--confirm")
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(rows)
    assert teller.run("status")["open"] == []
