"""The ledger: I5, nothing billed twice, nothing silently unbilled; each call is on disk before it returns."""

import dataclasses
import itertools
from contextlib import ExitStack
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.reconcile import resolve_by_hand
from automatum.metering.ledger.states import BLOCKING, STATES, Transition
from automatum.metering.retry import plan_retry
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.errors import ConfigurationError, DestinationError
from tests.support.clocks import FakeClock
from tests.support.desk import await_
from tests.support.metering_lines import START, bring, ids, make_like, make_line, retry, states
from tests.support.postgres import running

LINES = [make_line(hour, dimension=dimension) for hour in range(3) for dimension in ("api_calls", "storage")]


def only(ledger):
    """The one line in the ledger."""
    (entry,) = ledger.reader.lines()
    return entry


# What is written down


def test_a_line_from_plan_to_acceptance(open_ledger, clock):
    """Each step is seen, with its time, by somebody else who looks right after it."""
    ledger, other = open_ledger(), open_ledger()
    line = make_line(units="17.50", title="API calls", description="All of them", per="request", rows=(3, 9))
    times = []
    with ledger.run() as run:
        times.append(clock.time())
        assert run.plan([line]).planned == (line,)
        assert (only(other).state, only(other).attempts) == ("planned", 0)
        clock.advance(10)
        times.append(clock.time())
        attempt = run.claim("body-1", [line])
        assert attempt.lines == (line,)
        assert (only(other).state, only(other).attempts, only(other).body_id) == ("sending", 1, "body-1")
        (row,) = other.reader.attempts()
        assert (row.state, row.run_id, row.attempt_id, row.ended_at) == ("sending", run.id, attempt.id, None)
        clock.advance(10)
        times.append(clock.time())
        answer = {"status_code": 202, "reference": "meter_1", "response": '{"code": 202}'}
        assert run.settle(attempt, "accepted", **answer) == (line.id,)
        entry = only(other)
    assert entry.state == "accepted" and entry.settled_by == "api"
    assert [one.timestamp() for one in (entry.first_seen_at, entry.sending_at, entry.settled_at)] == times
    assert (entry.accepted_units, entry.accepted_price, entry.accepted_hash) == (
        line.units,
        line.price,
        line.payload_hash,
    )
    assert entry.line == make_like(line, rows=())
    assert str(entry.units) == "17.50", "the digits as given"
    assert (entry.day, entry.starts_at, entry.starts_at.tzinfo) == (line.day, line.starts_at, timezone.utc)
    (row,) = other.reader.attempts()
    assert (row.state, row.status_code, row.reference, row.response) == ("accepted", 202, "meter_1", '{"code": 202}')
    assert (row.units, row.price, row.charged) == (line.units, line.price, Decimal("0.1750"))


def test_nothing_is_made_before_something_is_written(open_ledger, ledger_url, tmp_path):
    """A dry run leaves no file and no table."""
    before = sorted(tmp_path.rglob("*"))
    dry = open_ledger(create=False)
    assert dry.compare(LINES).new == tuple(LINES)
    assert (list(dry.reader.lines()), list(dry.reader.attempts()), set(dry.reader.counts().values())) == ([], [], {0})
    assert plan_retry(dry, None, START).to_send == [] and not dry.exists
    with pytest.raises(ConfigurationError, match="no ledger"), dry.run():
        pass
    with pytest.raises(ConfigurationError, match="no ledger"):
        resolve_by_hand(dry, accepted=["x"])
    assert sorted(tmp_path.rglob("*")) == before
    if "postgresql" in ledger_url:
        assert (
            running().execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database(ledger_url)) == []
        )
    open_ledger()
    assert open_ledger(create=False).exists


def database(url):
    return url.rsplit("/", 1)[1]


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
    with Ledger.open(url, FakeClock(), create=True) as ledger, ledger.run() as run:

        @settings(max_examples=60, deadline=None, derandomize=True, database=None)
        @given(units=DECIMALS, price=DECIMALS, zone=st.integers(-12, 12))
        def check(units, price, zone):
            line = make_line(next(hours), units=units, price=price)
            line = make_like(line, starts_at=line.starts_at.astimezone(timezone(timedelta(hours=zone))))
            run.plan([line])
            entry = ledger.reader.fetch([line.id])[line.id]
            assert (str(entry.units), str(entry.price)) == (format(units, "f"), format(price, "f"))
            assert entry.charged == line.charged and entry.starts_at == line.starts_at

        check()


def test_the_same_line_twice_is_a_mistake(ledger):
    with ledger.run() as run, pytest.raises(ValueError, match="summed"):
        run.plan([make_line(), make_line(units="7")])


# Who may send


def test_a_line_is_claimed_once(open_ledger):
    ledger, other = open_ledger(), open_ledger()
    with ledger.run() as run, other.run() as rival:
        run.plan(LINES)
        rival.plan(LINES)
        mine, theirs = run.claim("a", LINES[:4]), rival.claim("b", LINES[2:])
        assert (mine.lines, theirs.lines) == (tuple(LINES[:4]), tuple(LINES[4:]))
        assert run.claim("c", LINES) is None and rival.claim("d", LINES) is None


def test_what_was_planned_with_other_units_is_not_claimed(open_ledger):
    """Another push has met newer usage in between; what goes out must be what is written down."""
    ledger, other = open_ledger(), open_ledger()
    with ledger.run() as run, other.run() as rival:
        run.plan([make_line(units="5")])
        rival.plan([make_line(units="6")])
        assert run.claim("a", [make_line(units="5")]) is None
        assert rival.claim("b", [make_line(units="6.0")]).lines == (make_line(units="6.0"),)


DOINGS = {
    "plan": lambda run, ledger, line, attempt: run.plan([line]),
    "claim": lambda run, ledger, line, attempt: run.claim("again", [line]),
    "accept": lambda run, ledger, line, attempt: attempt and run.settle(attempt, "accepted"),
    "reject": lambda run, ledger, line, attempt: attempt and run.settle(attempt, "rejected"),
    "unknown": lambda run, ledger, line, attempt: attempt and run.settle(attempt, "unknown"),
    "clash": lambda run, ledger, line, attempt: attempt and run.settle(attempt, "conflict"),
    "give back": lambda run, ledger, line, attempt: attempt and run.give_back(attempt),
    "expire": lambda run, ledger, line, attempt: run.expire([line]),
    "differ": lambda run, ledger, line, attempt: run.conflict([make_like(line, units=line.units + 9)]),
    "retry": lambda run, ledger, line, attempt: retry(ledger, [line.id]),
    "retry expired": lambda run, ledger, line, attempt: retry(ledger, [line.id], expired=True),
    "accepted by hand": lambda run, ledger, line, attempt: resolve_by_hand(ledger, accepted=[line.id]),
    "not sent by hand": lambda run, ledger, line, attempt: resolve_by_hand(ledger, not_sent=[line.id]),
    "rejected by hand": lambda run, ledger, line, attempt: resolve_by_hand(ledger, rejected=[line.id]),
    "written off by hand": lambda run, ledger, line, attempt: resolve_by_hand(ledger, written_off=[line.id]),
    "refuse": lambda run, ledger, line, attempt: attempt and run.refuse(attempt, "404: No such customer"),
    "recover": lambda run, ledger, line, attempt: run.recover(),
}
ALLOWED = {
    ("planned", "claim"): "sending",
    ("planned", "expire"): "expired",
    ("sending", "accept"): "accepted",
    ("sending", "reject"): "rejected",
    ("sending", "unknown"): "unknown",
    ("sending", "clash"): "conflict",
    ("sending", "give back"): "planned",
    ("accepted", "differ"): "conflict",
    ("confirmed", "differ"): "conflict",
    ("carried", "differ"): "conflict",
    ("rejected", "retry"): "planned",
    ("rejected", "retry expired"): "planned",
    ("expired", "retry expired"): "planned",
    # Its own attempt was answered after all.
    ("unknown", "accept"): "accepted",
    ("unknown", "reject"): "rejected",
    ("unknown", "clash"): "conflict",
    ("unknown", "give back"): "planned",
    ("unknown", "accepted by hand"): "accepted",
    ("unknown", "not sent by hand"): "planned",
    ("conflict", "accepted by hand"): "accepted",
    ("unknown", "rejected by hand"): "rejected",
    ("conflict", "rejected by hand"): "rejected",
    ("writeoff", "rejected by hand"): "rejected",
    ("rejected", "written off by hand"): "writeoff",
    ("expired", "written off by hand"): "writeoff",
    ("conflict", "written off by hand"): "writeoff",
    ("unknown", "written off by hand"): "writeoff",
}
"""Written down a second time on purpose; whatever is not here changes nothing."""


@pytest.mark.slow
def test_only_the_allowed_steps_change_anything(ledger):
    """I5, every state with everything that can be done to it."""
    hours = itertools.count()
    with ledger.run() as run:
        for state in STATES:
            for name, do in DOINGS.items():
                line = make_line(next(hours))
                attempt = None
                if state == "sending":
                    run.plan([line])
                    attempt = run.claim("first", [line])
                else:
                    attempt = bring(ledger, line, state)
                assert ledger.reader.fetch([line.id])[line.id].state == state
                do(run, ledger, line, attempt)
                after = ledger.reader.fetch([line.id])[line.id].state
                assert after == ALLOWED.get((state, name), state), (state, name)


def test_accepted_is_left_only_for_a_conflict_or_by_events():
    """I5: `unknown`, `accepted` and `confirmed` are never claimed."""
    assert {one for one in Transition if "accepted" in one.before} == {
        Transition.DIFFER,
        Transition.CONFIRM_BY_EVENT,
        Transition.FAIL_BY_EVENT,
        Transition.CONTRADICT,
    }
    assert {one for one in Transition if "confirmed" in one.before} == {Transition.DIFFER, Transition.CONTRADICT}
    assert [one.before for one in Transition if one.after == "sending"] == [("planned",)]


def test_an_attempt_moves_only_the_lines_that_it_sent(ledger):
    """An answer that comes late does not settle what has been sent again since."""
    line = make_line()
    with ledger.run() as run:
        run.plan([line])
        late = run.claim("first", [line])
        run.settle(late, "unknown")
        resolve_by_hand(ledger, not_sent=[line.id])
        assert [row.state for row in ledger.reader.attempts()] == ["not_taken"]
        again = run.claim("second", [line])
        assert run.settle(late, "accepted") == () and run.give_back(late) == ()
        assert only(ledger).state == "sending"
        assert run.settle(again, "accepted") == (line.id,)
    assert [row.state for row in ledger.reader.attempts()] == ["not_taken", "accepted"]


def test_lines_of_one_call_are_settled_one_by_one(ledger):
    with ledger.run() as run:
        run.plan(LINES[:4])
        attempt = run.claim("body", LINES[:4])
        assert set(run.settle(attempt, "rejected", LINES[:1], status_code=400, error="units")) == ids(LINES[:1])
        assert set(run.give_back(attempt, LINES[1:], status_code=400)) == ids(LINES[1:4])
    found = {entry.line_id: entry for entry in ledger.reader.lines()}
    assert found[LINES[0].id].state == "rejected" and found[LINES[0].id].error == "units"
    assert {found[line.id].state for line in LINES[1:4]} == {"planned"}
    assert sorted((row.state, row.status_code) for row in ledger.reader.attempts()) == [("not_taken", 400)] * 3 + [
        ("rejected", 400)
    ]


def test_what_was_given_back_goes_out_again(ledger):
    line = make_line()
    with ledger.run() as run:
        run.plan([line])
        run.give_back(run.claim("a", [line]), status_code=429, error="too many")
        assert (only(ledger).state, only(ledger).error) == ("planned", "too many")
        run.settle(run.claim("b", [line]), "accepted")
    assert (only(ledger).state, only(ledger).attempts, only(ledger).error) == ("accepted", 2, None)


def test_answers_are_kept_short_and_without_secrets(ledger):
    """I6."""
    line = make_line()
    with ledger.run() as run:
        run.plan([line])
        run.settle(
            run.claim("a", [line]), "rejected", response="Bearer abcdefghijk " + "x" * 5000, error="secret_abcdefgh"
        )
    (row,) = ledger.reader.attempts()
    for entry in (only(ledger), row):
        assert len(entry.response) == 2000 and "abcdefgh" not in entry.response + entry.error


# What a push asks for against what the ledger has


def test_comparing_groups_lines_by_what_the_ledger_has(ledger):
    lines = {state: make_line(number) for number, state in enumerate(STATES)}
    attempts = {state: bring(ledger, line, state) for state, line in lines.items()}
    assert attempts["sending"] is not None
    fresh, changed = make_line(50), make_line(51)
    bring(ledger, changed, "accepted")
    asked = [*lines.values(), fresh, make_like(changed, units=Decimal("5.5"))]
    found = ledger.compare(asked)
    assert found.new == (fresh,)
    assert list(found.same) == [lines["accepted"], lines["confirmed"], lines["carried"]]
    assert [(match.line.units, match.entry.accepted_units) for match in found.changed] == [(Decimal("5.5"), Decimal(5))]
    kept = {match.entry.state: match.line for match in found.unsettled}
    # The run that brought it to `sending` is over.
    assert kept.pop("unknown") in (lines["unknown"], lines["sending"])
    assert kept == {
        state: lines[state] for state in ("planned", "rejected", "expired", "conflict", "writeoff", "canceled")
    }
    assert found.blocked == ()
    same = ledger.compare([make_like(lines["accepted"], units=Decimal("5.00"), title="another")])
    assert len(same.same) == 1, "5 and 5.00 are the same, and a title is not billed"


@pytest.mark.sample(10)
@pytest.mark.parametrize("first, second", [("hour", "day"), ("day", "hour")])
@pytest.mark.parametrize("state", STATES)
def test_the_two_grains_never_mix_for_one_key_and_date(ledger, first, second, state):
    line, other = make_line(7, grain=first), make_line(9, grain=second)
    with ledger.run() as outer:
        if state == "sending":
            outer.plan([line])
            outer.claim("body", [line])
        else:
            bring(ledger, line, state)
        blocked = state not in ("rejected", "expired", "canceled")
        assert blocked == (state in BLOCKING)
        elsewhere = [make_line(9, grain=second, dimension="storage"), make_line(33, grain=second)]
        seen = ledger.compare([other, *elsewhere])
        made = outer.plan([other, *elsewhere])
        assert [match.entry.line_id for match in seen.blocked] == [line.id] * blocked
        assert [match.line for match in made.blocked] == [other] * blocked
        assert set(made.planned) == {*elsewhere, *([] if blocked else [other])}
        if not blocked:
            # And the way back is closed now.
            assert retry(ledger, [line.id], expired=True) == []
            assert states(ledger)[line.id] == state


@pytest.mark.sample(8)
@pytest.mark.parametrize("state", ["planned", "accepted", "unknown", "rejected", "expired"])
@pytest.mark.parametrize(("first", "second"), [(None, "ent_1"), ("ent_1", None), ("ent_1", "ent_2")])
def test_i5_usage_with_an_entitlement_is_not_billed_again_without_one(ledger, first, second, state):
    """A user who adds the column must not bill the hours again that were billed without it; two entitlements may."""
    line, other = make_line(7, entitlement_id=first), make_line(7, entitlement_id=second)
    bring(ledger, line, state)
    blocked = state in BLOCKING and None in (first, second)
    next_hour = make_line(8, entitlement_id=second)
    seen = ledger.compare([other, next_hour])
    assert [match.entry.line_id for match in seen.blocked] == [line.id] * blocked
    with ledger.run() as run:
        assert set(run.plan([other, next_hour]).planned) == {next_hour, *([] if blocked else [other])}
    assert ledger.reader.fetch([next_hour.id])[next_hour.id].line == next_hour


def test_both_grains_at_once_are_a_mistake(ledger):
    with ledger.run() as run:
        with pytest.raises(ValueError, match="both grains"):
            run.plan([make_line(3), make_line(5, grain="day")])
        assert ledger.reader.counts()["planned"] == 0


def test_planning_again_takes_the_units_of_today(ledger):
    with ledger.run() as run:
        run.plan([make_line(units="5")])
        assert run.plan([make_line(units="6", title="new")]).planned == (make_line(units="6", title="new"),)
        assert (only(ledger).units, only(ledger).title, only(ledger).charged) == (6, "new", Decimal("0.06"))
        run.settle(run.claim("a", [make_line(units="6")]), "accepted")
        (match,) = run.plan([make_line(units="7")]).other_state
    assert (match.entry.state, only(ledger).units, only(ledger).accepted_units) == ("accepted", 6, 6)


def test_a_changed_quantity_is_a_conflict_until_a_person_decides(ledger):
    line, more, most = make_line(units="5"), make_line(units="6"), make_line(units="7")
    bring(ledger, line, "accepted")
    with ledger.run() as run:
        assert run.conflict([line], "same") == ()
        assert run.conflict([more], "5 were accepted, 6 are asked for") == (line.id,)
        entry = only(ledger)
        assert (entry.state, entry.accepted_units, entry.asked_units) == ("conflict", 5, 6)
        assert entry.error == "5 were accepted, 6 are asked for"
        assert resolve_by_hand(ledger, accepted=[line.id]).accepted == [line.id]
        found = ledger.compare([more])
        assert len(found.same) == 1, "it would come up again at every run"
        assert run.conflict([more]) == ()
        assert len(ledger.compare([most]).changed) == 1
        assert run.conflict([most]) == (line.id,)
    assert only(ledger).accepted_units == 5


def test_what_is_too_late_is_written_down(ledger):
    early, planned, sent = make_line(1), make_line(2), make_line(3)
    bring(ledger, planned, "planned")
    bring(ledger, sent, "accepted")
    with ledger.run() as run:
        assert set(run.expire([early, planned, sent], "6 h have passed")) == ids([early, planned])
        assert set(run.expire([make_like(early, units=Decimal(8))])) == {early.id}
    found = {entry.line_id: entry for entry in ledger.reader.lines()}
    assert (found[planned.id].error, found[sent.id].state) == ("6 h have passed", "accepted")
    assert found[early.id].units == 8
    assert retry(ledger) == []
    assert set(retry(ledger, expired=True)) == ids([early, planned])


def test_retrying_all_takes_the_rejected_ones(ledger):
    lines = {state: make_line(number) for number, state in enumerate(STATES) if state != "sending"}
    for state, line in lines.items():
        bring(ledger, line, state)
    assert retry(ledger) == [lines["rejected"].id]
    assert retry(ledger, ["no such line"]) == []


def test_a_decision_settles_each_named_line_or_says_why_not(ledger):
    one, two, three = make_line(1), make_line(2), make_line(3)
    for line in (one, two):
        bring(ledger, line, "unknown")
    bring(ledger, three, "rejected")
    result = resolve_by_hand(ledger, accepted=[one.id, three.id, "nowhere"], not_sent=[two.id])
    assert (result.accepted, result.planned) == ([one.id], [two.id])
    assert dict(result.refused) == {
        three.id: "it is rejected; only unknown or conflict lines can be resolved so",
        "nowhere": "not in the ledger; only unknown or conflict lines can be resolved so",
    }
    entry = ledger.reader.fetch([one.id])[one.id]
    assert (entry.settled_by, entry.accepted_units, entry.accepted_hash) == ("hand", one.units, one.payload_hash)
    assert sorted(row.state for row in ledger.reader.attempts()) == ["accepted", "not_taken", "rejected"]
    both = resolve_by_hand(ledger, accepted=[two.id], not_sent=[two.id])
    assert (both.accepted, both.planned, len(both.refused)) == ([], [], 1)


# Runs that died, and runs that go on


def test_lines_of_a_dead_run_are_unknown_and_those_of_a_live_run_stay(open_ledger):
    dead, living = make_line(1), make_line(2)
    with ExitStack() as stack:
        run, other = (stack.enter_context(open_ledger().run()) for _ in range(2))
        gone = stack.enter_context(ExitStack())
        lost = open_ledger()
        owner = gone.enter_context(lost.run())
        owner.plan([dead, living])
        attempt = owner.claim("a", [dead])
        theirs = other.claim("b", [living])
        assert run.recover() == 0
        forget(lost, gone)
        await_(lambda: run.recover() == 1)  # a Postgres server takes a moment to see that a client has gone
        assert states(open_ledger()) == {dead.id: "unknown", living.id: "sending"}
        assert {row.line_id: row.state for row in open_ledger().reader.attempts()} == {
            dead.id: "unknown",
            living.id: "sending",
        }
        assert run.recover() == 0
        # It lived after all, and was answered.
        assert run.settle(attempt, "accepted") == (dead.id,)
        assert other.settle(theirs, "accepted") == (living.id,)


def forget(ledger, stack):
    """End a run as a kill does: what it holds is gone, and it writes nothing."""
    ledger.database.exists = False  # its last words are not heard
    stack.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_a_run_that_ends_early_leaves_no_line_sending(ledger):
    line = make_line()
    with pytest.raises(KeyboardInterrupt), ledger.run() as run:
        run.plan([line])
        run.claim("a", [line])
        raise KeyboardInterrupt
    entry = only(ledger)
    assert (entry.state, entry.error) == ("unknown", "The run ended before it received the API's answer.")
    assert [row.state for row in ledger.reader.attempts()] == ["unknown"]


def test_a_run_that_lost_its_sign_of_life_claims_nothing(clock):
    server = running()
    name = server.new_database()
    with Ledger.open(server.url(name), clock, create=True) as ledger, ledger.run() as run:
        run.plan(LINES)
        attempt = run.claim("a", LINES[:1])
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(DestinationError, match="ledger"):
            run.claim("b", LINES[1:2])
        # What was sent before is settled all the same.
        assert run.settle(attempt, "accepted") == (LINES[0].id,)
        assert ledger.reader.counts()["sending"] == 0
    server.drop(name)


def test_locks_are_taken_away(ledger, tmp_path, ledger_url):
    with ledger.run():
        pass
    assert [path.name for path in tmp_path.rglob("*.lock") if path.name != "create.lock"] == []
    if "postgresql" in ledger_url:
        assert running().execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0] == 0


def test_lines_know_their_fields():
    """`bring` and the comparison above rest on it."""
    assert dataclasses.is_dataclass(make_line()) and make_line(25).starts_at == START + timedelta(hours=25)
