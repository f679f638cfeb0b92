"""The ledger: I5, nothing billed twice, nothing silently unbilled; each call is on disk before it returns."""

import itertools
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.errors import ConfigurationError, DestinationError
from automatum.metering.export import line_rows
from automatum.metering.ledger.entries import STATES, Change, Outcome
from automatum.metering.ledger.ledger import Ledger
from tests.support.clocks import FakeClock
from tests.support.desk import await_
from tests.support.metering_lines import make_like, make_line, missing, states
from tests.support.postgres import running

LINES = [make_line(hour, dimension=dimension) for hour in range(3) for dimension in ("api_calls", "storage")]
YES = Outcome("accepted")


def only(ledger):
    """The one line in the ledger."""
    (entry,) = ledger.entries()
    return entry


def answer(run, attempt, outcome=YES, lines=None, **more):
    """Give all lines of a call, or these, one outcome."""
    run.answer(attempt, {line.id: outcome for line in lines or attempt.lines}, **more)


def send(ledger, lines, outcome=YES, **more):
    """Send lines in one call of a run of their own; the attempt."""
    with ledger.run("usage.csv", lines, "ann") as run:
        attempt = run.claim("body", lines)
        answer(run, attempt, outcome, reference=more.pop("reference", "m-1"), status_code=202)
        run.end(complete=True)
    return attempt


def ask(ledger, *lines, **more):
    """Record what a later push asks for."""
    with ledger.run("usage.csv", [], "ann") as run:
        run.record(asked=lines, **more)
        run.end(complete=True)


def bring(ledger, line, state):
    """Bring a new line to a state."""
    if state == "unbilled":
        send(ledger, [line], Outcome("unbilled", "400: units"))
    elif state == "settled":
        send(ledger, [line], Outcome("unbilled", "400: units"))
        decide(ledger, line, "settled", "never")
    elif state == "conflict":
        send(ledger, [line])
        ask(ledger, make_like(line, units=line.units + 1))
    elif state == "confirmed":
        send(ledger, [line])
        decide(ledger, line, "confirmed", "")
    elif state == "sending":
        raise AssertionError("that lasts only as long as a run")
    else:
        send(ledger, [line], Outcome(state, "lost" if state == "unknown" else ""))


def decide(ledger, line, state, why, **accepted):
    entry = ledger.fetch([line.id])[line.id]
    return ledger.settle([Change(entry, replace(entry, state=state, why=why, **accepted))], "ann", "because")


# What is written down


def test_a_line_from_claim_to_acceptance(open_ledger, clock):
    """Each step is seen, with its time, by somebody else who looks right after it."""
    ledger, other = open_ledger(), open_ledger(begin=False)
    text = {"title": "API calls", "description": "All of them", "per": "request", "currency": "USD"}
    line = make_line(units="17.50", **text, rows=3)
    with ledger.run("usage.csv", [line], "ann") as run:
        (item,) = other.items()
        assert (item.kind, item.source, item.by, item.closed_at) == ("run", "usage.csv", "ann", None)
        assert not list(other.entries())
        claimed = clock.time()
        attempt = run.claim("body-1", [line])
        assert attempt.lines == (line,)
        assert (only(other).state, only(other).attempts, only(other).attempt_id) == ("sending", 1, attempt.id)
        (row,) = other.attempts()
        assert (row["state"], row["run_id"], row["attempt_id"], row["ended_at"]) == (
            "sending",
            run.id,
            attempt.id,
            None,
        )
        clock.advance(10)
        answer(run, attempt, status_code=202, reference="meter_1", response='{"code": 202}')
        entry = only(other)
        run.end(complete=True)
    assert (entry.state, entry.why, entry.settled_by, entry.source) == ("accepted", "", "api", "usage.csv")
    assert [one.timestamp() for one in (entry.first_seen_at, entry.sent_at)] == [claimed, claimed]
    assert entry.settled_at.timestamp() == claimed + 10
    assert (entry.accepted_units, entry.accepted_price, entry.open_units) == (line.units, line.price, 0)
    assert entry.line == make_like(line, rows=0)
    assert str(entry.line.units) == "17.50", "the digits as given"
    (row,) = other.attempts()
    assert (row["state"], row["status_code"], row["reference"]) == ("accepted", 202, "meter_1")
    assert (row["units"], row["price"], row["response"]) == (line.units, line.price, '{"code": 202}')
    (item,) = other.items()
    assert (item.closed_by, item.closed_at.timestamp()) == ("push", claimed + 10)


def test_nothing_is_made_before_something_is_written(open_ledger, ledger_url, clock, tmp_path):
    """A dry run leaves no file and no table."""
    before = sorted(tmp_path.rglob("*"))
    for begin in (False, True):
        with Ledger.open(ledger_url, clock, begin=begin) as dry:
            assert (list(dry.entries()), list(dry.attempts()), list(dry.items())) == ([], [], [])
            assert set(dry.counts().values()) == {0} and dry.overlapping(LINES) == {} and not dry.exists
            with pytest.raises(ConfigurationError, match="no ledger"), dry.run("u", LINES, "ann"):
                pass
    assert sorted(tmp_path.rglob("*")) == before
    if "postgresql" in ledger_url:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert running().execute(query, ledger_url.rsplit("/", 1)[1]) == []
    open_ledger()
    with Ledger.open(ledger_url, clock) as ledger:
        assert ledger.exists


DECIMALS = st.decimals(min_value=0, max_value=10**12, places=6, allow_nan=False, allow_infinity=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_money_comes_back_with_every_digit(kind, tmp_path_factory):
    url = (
        f"sqlite:///{tmp_path_factory.mktemp('money')}/l"
        if kind == "sqlite"
        else running().url(running().new_database())
    )
    hours = itertools.count()
    with Ledger.open(url, FakeClock(), begin=True, write=True) as ledger, ledger.run("u", [], "ann") as run:

        @settings(max_examples=60, deadline=None, derandomize=True, database=None)
        @given(units=DECIMALS, price=DECIMALS, zone=st.integers(-12, 12))
        def check(units, price, zone):
            line = make_line(next(hours), units=units, price=price)
            line = make_like(line, starts_at=line.starts_at.astimezone(timezone(timedelta(hours=zone))))
            run.record(expired=[(line, "late")])
            entry = ledger.fetch([line.id])[line.id]
            assert (str(entry.line.units), str(entry.line.price)) == (format(units, "f"), format(price, "f"))
            assert entry.line.charged == line.charged and entry.line.starts_at == line.starts_at

        check()


def test_answers_are_kept_short_and_without_secrets(ledger):
    """I6."""
    with ledger.run("u", LINES, "ann") as run:
        attempt = run.claim("a", LINES[:1])
        error = "secret_abcdefgh " + "y" * 5000
        answer(run, attempt, Outcome("unbilled", error), response="Bearer abcdefghijk " + "x" * 5000)
        run.end(complete=True)
    (row,) = ledger.attempts()
    assert len(row["response"]) == len(row["error"]) == len(only(ledger).error) == 2000
    assert "abcdefgh" not in row["response"] + row["error"] + only(ledger).error


# Who may send


def test_a_line_is_claimed_once(open_ledger):
    ledger, other = open_ledger(), open_ledger()
    with ledger.run("u", LINES, "ann") as run, other.run("u", LINES, "bob") as rival:
        mine, theirs = run.claim("a", LINES[:4]), rival.claim("b", LINES[2:])
        assert (mine.lines, theirs.lines) == (tuple(LINES[:4]), tuple(LINES[4:]))
        assert run.claim("c", LINES) is None and rival.claim("d", LINES, again=[one.id for one in LINES]) is None


@pytest.mark.parametrize("state", [state for state in STATES if state != "sending"])
def test_only_an_unbilled_line_is_sent_again_and_only_if_it_is_named(ledger, state):
    """I5: what was accepted, or may have been, is never claimed."""
    line = make_line()
    bring(ledger, line, state)
    with ledger.run("u", [], "ann") as run:
        assert run.claim("a", [line]) is None
        again = run.claim("a", [line], again=[line.id])
        assert (again is not None) == (state == "unbilled")
        if again:
            answer(run, again)
            assert (only(ledger).state, only(ledger).attempts, only(ledger).error) == ("accepted", 2, "")


@pytest.mark.parametrize("first, second", [("hour", "day"), ("day", "hour")])
@pytest.mark.parametrize("state", [state for state in STATES if state != "sending"])
def test_the_two_grains_never_mix_for_one_key_and_date(ledger, first, second, state):
    line, other = make_line(7, grain=first), make_line(7, grain=second)
    bring(ledger, line, state)
    elsewhere = [make_line(7, grain=second, dimension="storage"), make_line(31, grain=second)]
    blocked = state != "unbilled"
    assert [entry.id for entry in ledger.overlapping([other, *elsewhere]).values()] == [line.id] * blocked
    with ledger.run("u", [], "ann") as run:
        attempt = run.claim("a", [other, *elsewhere])
        assert set(attempt.lines) == {*elsewhere, *([] if blocked else [other])}
        if not blocked:
            assert run.claim("b", [line], again=[line.id]) is None, "and the way back is closed now"


@pytest.mark.parametrize("state", ["accepted", "unknown", "unbilled"])
@pytest.mark.parametrize(("first", "second"), [(None, "ent_1"), ("ent_1", None), ("ent_1", "ent_2")])
def test_usage_with_an_entitlement_is_not_billed_again_without_one(ledger, first, second, state):
    line, other = make_line(7, entitlement_id=first), make_line(7, entitlement_id=second)
    bring(ledger, line, state)
    blocked = state != "unbilled" and None in (first, second)
    next_hour = make_line(8, entitlement_id=second)
    with ledger.run("u", [], "ann") as run:
        assert set(run.claim("a", [other, next_hour]).lines) == {next_hour, *([] if blocked else [other])}


def test_two_lines_of_one_call_do_not_bill_the_same_usage(ledger):
    hour, day = make_line(3), make_line(5, grain="day")
    with ledger.run("u", [], "ann") as run:
        assert run.claim("a", [hour, day]).lines == (hour,)


def test_an_attempt_moves_only_the_lines_that_it_sent(ledger):
    """An answer that comes late does not settle what has been sent again since. Only a yes changes it: see events."""
    line = make_line()
    with ledger.run("u", [line], "ann") as run:
        late = run.claim("first", [line])
        answer(run, late, Outcome("unknown", "no answer"))
        decide(ledger, line, "unbilled", "rejected")
        again = run.claim("second", [line], again=[line.id])
        answer(run, late, Outcome("unbilled", "400"))
        run.give_back(late, error="429")
        assert only(ledger).state == "sending"
        answer(run, again)
        assert only(ledger).state == "accepted"


# Given back


def test_a_new_line_that_was_given_back_leaves_the_ledger_and_its_calls_stay(ledger):
    line = make_line()
    with ledger.run("u", [line], "ann") as run:
        run.give_back(run.claim("a", [line]), status_code=429, error="too many")
        assert not list(ledger.entries())
        answer(run, run.claim("b", [line]))
        assert (only(ledger).state, only(ledger).attempts) == ("accepted", 2)
        run.end(complete=True)
    assert [(row["state"], row["status_code"]) for row in ledger.attempts()] == [("not_taken", 429), ("accepted", None)]


def test_a_line_that_is_being_sent_is_exported_only_once_its_push_has_ended(ledger):
    """It may be given back, and an exported row of it would stay for ever where rows are only added."""
    line = make_line()
    with ledger.run("u", [line], "ann") as run:
        run.claim("a", [line])
        assert not list(line_rows(ledger))
        run.end(complete=False, reason="killed")
    assert [row["line_id"] for row in line_rows(ledger)] == [line.id]


def test_an_unbilled_line_that_was_given_back_is_unbilled_for_the_same_reason(ledger):
    line = make_line()
    ask(ledger, expired=[(line, "6 h have passed")])
    with ledger.run("u", [line], "ann") as run:
        run.give_back(run.claim("a", [line], again=[line.id]), error="429")
        run.end(complete=True)
    assert (only(ledger).state, only(ledger).why, only(ledger).error) == ("unbilled", "expired", "6 h have passed")


def test_lines_of_one_call_are_answered_one_by_one(ledger):
    with ledger.run("u", LINES[:4], "ann") as run:
        attempt = run.claim("body", LINES[:4])
        answer(run, attempt, Outcome("unbilled", "units"), LINES[:1], status_code=400)
        run.give_back(attempt, LINES[1:3], error="split", status_code=400)
        answer(run, attempt, Outcome("conflict", "has another record"), LINES[3:4], status_code=409)
        run.end(complete=True)
    found = ledger.fetch([line.id for line in LINES])
    assert {line_id: (entry.state, entry.why) for line_id, entry in found.items()} == {
        LINES[0].id: ("unbilled", "rejected"),
        LINES[3].id: ("conflict", "refused by the marketplace"),
    }
    assert sorted(row["state"] for row in ledger.attempts()) == ["conflict", "not_taken", "not_taken", "unbilled"]


# What a push asks for against what the ledger has


def test_another_quantity_is_a_conflict_until_the_usage_agrees_again(ledger):
    line = make_line(units="5")
    send(ledger, [line])
    ask(ledger, make_like(line, units=Decimal(6)))
    entry = only(ledger)
    assert (entry.state, entry.why, entry.accepted_units, entry.line.units) == ("conflict", "differs", 5, 6)
    assert entry.open_units == 1 and "asks for 6 at 0.01" in entry.error
    ask(ledger, make_like(line, units=Decimal("5.00")))
    assert (only(ledger).state, only(ledger).error) == ("accepted", "")
    ask(ledger, make_like(line, price=Decimal("0.02")))
    assert (only(ledger).state, only(ledger).open_units) == ("conflict", 0)


def test_m16_a_billed_line_that_the_usage_does_not_contain_any_more_is_a_conflict(ledger):
    line, late = make_line(), make_line(1)
    send(ledger, [line])
    ask(ledger, expired=[(late, "too late")])
    ask(ledger, gone=[line.id, late.id])
    found = ledger.fetch([line.id, late.id])
    assert (found[line.id].state, found[line.id].open_units) == ("conflict", -5)
    assert found[late.id].line.units == 5, "nothing of it is billed"
    ask(ledger, line)
    assert ledger.fetch([line.id])[line.id].state == "accepted"


def test_a_line_that_need_not_be_billed_stays_so_while_the_usage_is_the_same(ledger):
    line = make_line()
    bring(ledger, line, "settled")
    ask(ledger, line)
    assert (only(ledger).state, only(ledger).why) == ("settled", "never")
    ask(ledger, make_like(line, units=Decimal(7)))
    assert (only(ledger).state, only(ledger).why) == ("conflict", "differs")


def test_what_is_too_late_is_written_down(ledger):
    early, sent = make_line(1), make_line(3)
    send(ledger, [sent])
    ask(ledger, expired=[(early, "6 h have passed"), (sent, "6 h have passed")])
    ask(ledger, expired=[(make_like(early, units=Decimal(8)), "7 h have passed")])
    found = ledger.fetch([early.id, sent.id])
    assert (found[early.id].state, found[early.id].why) == ("unbilled", "expired")
    assert (found[early.id].line.units, found[early.id].error) == (8, "7 h have passed")
    assert found[sent.id].state == "accepted"


# Carried


def child_of(line, units, number=1):
    return make_like(
        line, units=Decimal(units), starts_at=make_line(30).starts_at, carried_from=line.id, carry_number=number
    )


def carry(ledger, child, outcome=YES):
    with ledger.run("settle", [child], "ann") as run:
        attempt = run.claim("carry", [child])
        if attempt:
            answer(run, attempt, outcome)
        run.end(complete=True)
    return attempt


def test_asked_is_accepted_and_carried_and_open(ledger):
    line = make_line(units="13")
    send(ledger, [make_like(line, units=Decimal(10))])
    ask(ledger, line)
    assert carry(ledger, child_of(line, "4")) is None, "more than is open"
    assert carry(ledger, make_like(child_of(line, "1"), price=Decimal("0.02"))) is None, "another price"
    for number, (units, state) in enumerate([("1", ("conflict", "differs")), ("2", ("settled", "carried"))], 1):
        assert carry(ledger, child_of(line, units, number))
        entry = ledger.fetch([line.id])[line.id]
        assert (entry.state, entry.why) == state
    assert (entry.accepted_units, entry.carried_units, entry.open_units) == (10, 3, 0)
    assert carry(ledger, child_of(line, "1", 3)) is None
    assert [child.line.units for child in ledger.children([line.id])[line.id]] == [1, 2]
    ask(ledger, line)
    assert ledger.fetch([line.id])[line.id].state == "settled"


def test_i5_lines_of_one_call_do_not_carry_more_than_is_open_between_them(ledger):
    line = make_line(units="13")
    send(ledger, [make_like(line, units=Decimal(10))])
    ask(ledger, line)
    children = [child_of(line, "2", number) for number in (1, 2)]
    with ledger.run("settle", children, "ann") as run:
        attempt = run.claim("carry", children)
        assert [one.carry_number for one in attempt.lines] == [1]
        answer(run, attempt, YES)
        run.end(complete=False)


@pytest.mark.parametrize("outcome", [Outcome("unbilled", "400"), Outcome("unknown", "lost"), "given back"])
def test_a_carried_line_that_is_not_billed_opens_its_parent_again(ledger, outcome):
    late, differs = make_line(1), make_line(2)
    ask(ledger, expired=[(late, "too late")])
    send(ledger, [differs])
    ask(ledger, make_like(differs, units=Decimal(6)))
    for line, units, state in ((late, "5", ("unbilled", "expired")), (differs, "1", ("conflict", "differs"))):
        child = child_of(line, units)
        if outcome == "given back":
            with ledger.run("settle", [child], "ann") as run:
                attempt = run.claim("carry", [child])
                assert ledger.fetch([line.id])[line.id].why == "carried", "in the same transaction"
                run.give_back(attempt, error="429")
        else:
            assert carry(ledger, child, outcome)
        entry = ledger.fetch([line.id])[line.id]
        if outcome != "given back" and outcome.state == "unknown":
            assert entry.why == "carried", "the child may have been billed"
        else:
            assert (entry.state, entry.why) == state and entry.carried_units == 0


def test_m2_a_line_that_another_bills_is_not_carried(ledger):
    """An expired hour whose usage was pushed by day since."""
    hour, day = make_line(7), make_line(7, grain="day")
    ask(ledger, expired=[(hour, "too late")])
    send(ledger, [day])
    assert carry(ledger, child_of(hour, "5")) is None


def test_m2_a_line_whose_usage_was_carried_blocks_the_other_grain(ledger):
    hour, day = make_line(7, units="5"), make_line(7, grain="day")
    ask(ledger, expired=[(hour, "too late")])
    assert carry(ledger, child_of(hour, "2"))
    assert ledger.fetch([hour.id])[hour.id].state == "unbilled"
    with ledger.run("u", [], "ann") as run:
        assert run.claim("a", [day]) is None
        assert run.claim("a", [hour], again=[hour.id]) is None, "M3: a part of it is billed"


# People


def test_a_decision_is_written_with_who_and_why_and_what_was_before(ledger):
    line = make_line()
    bring(ledger, line, "unknown")
    before = only(ledger)
    assert ledger.last_call(before) == (line.units, line.price)
    assert decide(ledger, line, "settled", "billed", accepted_units=line.units, accepted_price=line.price) == [line.id]
    assert (only(ledger).why, only(ledger).settled_by, only(ledger).accepted_units) == ("billed", "hand", 5)
    (item,) = ledger.items(kinds=["decision"])
    assert (item.subject, item.by, item.reason, item.closed_by) == (line.id, "ann", "because", "ann")
    assert (item.data["before"]["state"], item.data["after"]["accepted_units"]) == ("unknown", "5")
    stale = Change(before, replace(before, state="unbilled", why="rejected"))
    assert ledger.settle([stale], "bob", "too late") == [], "it has changed since"


# Runs that died, and runs that go on


def test_lines_of_a_dead_run_are_unknown_and_those_of_a_live_run_stay(open_ledger):
    dead, living = make_line(1), make_line(2)
    with ExitStack() as stack:
        run, other = (stack.enter_context(open_ledger().run("u", [], "ann")) for _ in range(2))
        gone = stack.enter_context(ExitStack())
        lost = open_ledger()
        owner = gone.enter_context(lost.run("u", [dead, living], "ann"))
        attempt = owner.claim("a", [dead])
        theirs = other.claim("b", [living])
        assert run.recover() == 0
        forget(lost, gone)
        await_(lambda: run.recover() == 1)  # a Postgres server takes a moment to see that a client has gone
        assert states(open_ledger(begin=False)) == {dead.id: "unknown", living.id: "sending"}
        assert run.recover() == 0
        # It lived after all, and was answered.
        answer(run, attempt)
        answer(other, theirs)
        assert set(states(open_ledger(begin=False)).values()) == {"accepted"}


def forget(ledger, stack):
    """End a run as a kill does: what it holds is gone, and it writes nothing."""
    ledger.exists = False  # its last words are not heard
    stack.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_a_run_that_ends_early_leaves_no_line_sending_and_an_open_item(ledger):
    line, rest = make_line(), make_line(1)
    with pytest.raises(KeyboardInterrupt), ledger.run("u", [line, rest], "ann") as run:
        run.claim("a", [line])
        raise KeyboardInterrupt
    entry = only(ledger)
    assert (entry.state, entry.error) == ("unknown", "The run ended before it received the API's answer.")
    assert [row["state"] for row in ledger.attempts()] == ["unknown"]
    (item,) = ledger.items(open_only=True)
    assert "ended early: KeyboardInterrupt" in item.reason and missing(ledger, item.id) == [rest.id]


def test_a_run_that_lost_its_process_lock_claims_nothing(clock):
    server = running()
    name = server.new_database()
    with (
        Ledger.open(server.url(name), clock, begin=True, write=True) as ledger,
        ledger.run("u", LINES, "ann") as run,
    ):
        attempt = run.claim("a", LINES[:1])
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(DestinationError, match="ledger"):
            run.claim("b", LINES[1:2])
        # What was sent before is settled all the same.
        answer(run, attempt)
        assert ledger.counts()["sending"] == 0
    server.drop(name)


def test_locks_are_removed(ledger, tmp_path, ledger_url):
    with ledger.run("u", [], "ann"):
        pass
    assert [path.name for path in tmp_path.rglob("*.lock") if path.name != "create.lock"] == []
    if "postgresql" in ledger_url:
        assert running().execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0] == 0


# Unknown calls


def test_unknown_calls_in_a_row_are_counted_until_one_has_another_outcome(ledger, clock):
    with ledger.run("u", LINES, "ann") as run:
        for number, line in enumerate(LINES[:3]):
            clock.advance(1)
            answer(run, run.claim("a", [line]), Outcome("unknown", f"lost {number}"))
        calls = ledger.unknown_calls()
        assert [(ended.timestamp(), error) for ended, error in calls] == [
            (clock.time() - ago, f"lost {2 - ago}") for ago in range(3)
        ]
        decide(ledger, LINES[2], "unbilled", "rejected")
        assert ledger.unknown_calls() == []
        run.claim("a", [LINES[4]])
    assert ledger.unknown_calls() == [], "it was lost with its run, which blames no API"


# Pages


def test_entries_are_read_in_pages(ledger, monkeypatch):
    monkeypatch.setattr("automatum.metering.ledger.ledger._PAGE", 4)
    send(ledger, LINES)
    late = make_line(9)
    ask(ledger, expired=[(late, "too late")])
    carry(ledger, child_of(late, "2"))
    entries = list(ledger.entries())
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries) and len(entries) == 8
    assert {entry.carried_units for entry in entries if entry.id == late.id} == {2}
    assert entries == list(ledger.fetch([entry.id for entry in entries]).values()) or {
        entry.id: entry for entry in entries
    } == ledger.fetch([entry.id for entry in entries])
    assert len(list(ledger.entries(states=["accepted"]))) == 7
    assert len(list(ledger.entries(source="settle"))) == 1
    assert len(list(ledger.attempts())) == 7
    hour = LINES[0].starts_at
    assert len(list(ledger.entries(starts_in=(hour, hour + timedelta(hours=1))))) == 2


def test_an_entry_knows_what_is_open():
    """`bring` and the tests above rest on it."""
    assert replace(make_line()).starts_at == make_line(0).starts_at
