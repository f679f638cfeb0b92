"""I5: a process that is killed at any commit of its ledger, or around any call, bills nothing twice and hides nothing.

SQLite and Postgres, one process and two. `DEATHS=long` takes more bodies and all places in both.
"""

import os
import shutil
import signal
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.desk import WIDE_LIMITS
from tests.support.dying import PLACES, Dying
from tests.support.loopback import Say
from tests.support.postgres import postgres, running  # noqa: F401  the fixture
from tests.support.pushing import CONTEXT, UTC, YES, Api, Teller, hour_of, keys_of, keys_of_bodies, write_csv

LONG = os.environ.get("DEATHS") == "long"
BODIES = 8 if LONG else 2
MOST = 100
"""More commits than any command here has."""


def make_rows(bodies=BODIES, hours=1):
    """Two dimensions of some customers; no two rows have the same units."""
    at = hour_of(datetime.now(UTC) - timedelta(minutes=6), hours) + timedelta(minutes=15)
    return [
        {
            "customer_id": f"cust_{number}",
            "listing_id": "lst_1",
            "vendor": "azure",
            "dimension": dimension,
            "units": f"{2 * number + place}.5",
            "price": "0.01",
            "usage_at": at.isoformat(),
        }
        for number in range(1, bodies + 1)
        for place, dimension in enumerate(("calls", "seats"))
    ]


class World:
    """A marketplace, a user, and a ledger of their own for each death."""

    def __init__(self, desk, urls):
        self.desk, self._urls, self.victim = desk, urls, None
        self.api = Api(self._decide)
        self.deaths = {}

    @contextmanager
    def served(self):
        with self.api:
            limits = {"application_limits": WIDE_LIMITS}
            self.desk.set(base_url=self.api.url, client_id="app_1", client_secret="secret_of_the_app", **limits)
            yield self

    def begin(self):
        """A new ledger, and a marketplace that knows nothing."""
        self.api.bodies.clear()
        self.api.taken.clear()
        self.deaths = {}
        self.teller = Teller(self.desk, next(self._urls))
        self.teller.begin()
        return self.teller

    def lose(self):
        """The disk, or the server, of the ledger is gone."""
        url = self.teller.url
        if url.startswith("sqlite"):
            path = Path(url.removeprefix("sqlite:///"))
            path.unlink()
            shutil.rmtree(f"{path}.locks")
        else:
            self.teller = Teller(self.desk, next(self._urls))

    def run(self, *arguments, death=None, go=None):
        """A command of the push in a process of its own."""
        given = ("push", *arguments, "--confirm", "--json")
        with self.teller.ledger():
            self.victim = Dying(self.desk.folder, *given, death=death, go=go)
        return self.victim

    def push(self, *arguments):
        """A command of the push in this process."""
        with self.teller.ledger():
            return self.desk.run("push", *arguments)

    def _decide(self, number, body):
        taken = self.deaths.get(number)
        if taken is None:
            return True, Say(202, {**YES, "data": {"id": f"call-{number}", "status": "queued"}})
        return taken, Say(reset=True, then=lambda: os.kill(self.victim.pid, signal.SIGKILL))

    def check(self, rows):
        """By the marketplace's own books nothing is billed twice, and nothing that was not asked for."""
        seen = keys_of_bodies(self.api.taken)
        assert max(seen.values(), default=0) <= 1, seen
        assert seen <= keys_of(rows)

    def check_nothing_is_hidden(self, rows):
        """Unless nothing at all was done, the status says 65 until all is billed."""
        ran = self.push("status", "--json")
        done = self.teller.states() == {"accepted": len(rows)}
        untouched = not self.teller.entries() and not self.api.bodies and not ran.json["open"]
        assert done or untouched or ran.code == 65, ran

    def settle(self, rows):
        """Push again, and let a person look up what is unknown, until all is billed."""
        self.teller.push(rows, "--unchecked", "--confirm", *self._new(), code=self._code())
        assert "sending" not in self.teller.states()
        unknown = self.teller.entries("unknown")
        assert len({entry.attempt_id for entry in unknown}) <= 2, "a killed process leaves one body, and there are two"
        taken = {(key[2], key[4], key[5]) for key in keys_of_bodies(self.api.taken)}
        for entry in unknown:
            line = entry.line
            known = (line.customer_id, line.dimension, Fraction(line.units)) in taken
            words = ("--billed",) if known else ("--not-billed", "--send", "--unchecked")
            self.teller.run("settle", entry.id, *words, "--confirm")
        figures = self.teller.push(rows, "--unchecked", "--confirm")
        assert figures["requests"] == 0
        assert keys_of_bodies(self.api.taken) == keys_of(rows)
        assert self.teller.run("status")["open"] == []
        return len(unknown)

    def _new(self):
        return ("--new-ledger",) if not self.teller.entries() else ()

    def _code(self):
        """Exit code of the next push: 65 if something becomes, or is, unknown."""
        return 65 if set(self.teller.states()) & {"sending", "unknown"} else 0


@pytest.fixture(params=["sqlite", "postgres"])
def world(request, desk, tmp_path):
    def urls():
        if request.param == "sqlite":
            yield from (f"sqlite:///{tmp_path}/ledger-{number}.sqlite" for number in range(10**6))
        yield request.getfixturevalue("postgres")
        while True:
            yield running().url(running().new_database())

    with World(desk, urls()).served() as made:
        made.is_sqlite = request.param == "sqlite"
        yield made


def places_of(world):
    """All places in the long form; two on SQLite, and one on Postgres, in the short form."""
    return PLACES if LONG else PLACES[: 2 if world.is_sqlite else 1]


@pytest.mark.slow
def test_a_push_that_is_killed_at_a_commit(world):
    rows, figures = make_rows(), Counter()
    source = write_csv(rows)
    for place in places_of(world):
        for commit in range(1, MOST):
            world.begin()
            run = world.run("--usage", source, "--unchecked", "--new-ledger", death=(commit, place))
            if not run.killed:
                assert run.code == 0, run.said
                break
            world.check(rows)
            world.check_nothing_is_hidden(rows)
            unknown = world.settle(rows)
            figures += Counter({"kills": 1, "unknown": unknown, f"kills {place}": 1})
        assert commit > 2 * BODIES, "each body has two commits"
    print(dict(figures))
    assert figures["unknown"] >= BODIES


@pytest.mark.slow
def test_a_push_that_is_killed_around_a_call(world):
    rows = make_rows()
    source = write_csv(rows)
    for number in range(1, BODIES + 1):
        for taken in (False, True):
            world.begin()
            world.deaths = {number: taken}
            run = world.run("--usage", source, "--unchecked", "--new-ledger")
            assert run.killed, run.said
            world.deaths = {}
            world.check(rows)
            world.check_nothing_is_hidden(rows)
            assert world.settle(rows) == 2, "the body of the call is unknown"


@pytest.mark.slow
def test_two_pushes_of_which_one_is_killed(world):
    """The other one sends each line that the dead one had not claimed, and never one that it had."""
    rows, killed = make_rows(max(BODIES, 4)), 0
    source = write_csv(rows)
    for commit in range(2, 2 * BODIES + 3, 1 if LONG else 3):
        for place in PLACES[: 3 if LONG else 1]:
            world.begin()
            go = CONTEXT.Event()
            arguments = ("--usage", source, "--unchecked", "--new-ledger")
            other = world.run(*arguments, go=go)
            victim = world.run(*arguments, death=(commit, place), go=go)
            go.set()
            killed += victim.killed
            late = other.code == 78 and "there is a ledger" in str(other.said)  # The victim had sent lines before.
            assert other.code in (0, 65) or late, other.said
            world.check(rows)
            world.check_nothing_is_hidden(rows)
            world.settle(rows)
    assert killed


@pytest.mark.slow
@pytest.mark.parametrize("decision", ["carry", "send"])
def test_a_decision_that_is_killed_while_it_sends(decision, world):
    """`push settle --carry` and `--send`, killed at each commit: what they bill is billed once."""
    for place in places_of(world):
        for commit in range(1, MOST):
            line_id, asked = _open_line(world, decision)
            words = ("--carry",) if decision == "carry" else ("--not-billed", "--send")
            run = world.run("settle", line_id, *words, "--unchecked", death=(commit, place))
            if not run.killed:
                assert run.code == 0, run.said
                break
            assert _billed(world) <= asked
            done = _billed(world) == asked and not _open(world)
            assert world.push("status").code == (0 if done else 65)
            _finish(world, line_id, asked)
        assert commit > 4
    assert _billed(world) == asked


def _open_line(world, decision):
    """A line of which something is open: accepted with less, or refused; its id and the units that it asks for."""
    teller = world.begin()
    (row, _), asked = make_rows(1), Fraction("9.5")
    world.row = row  # a moment later it may be that of another hour
    if decision == "send":
        refuse = {"code": 400, "message": "Not for sale"}
        world.api.decide = lambda number, body: (False, Say(400, refuse))
        teller.push([{**row, "units": "9.5"}], "--unchecked", "--confirm", "--new-ledger", code=65)
        world.api.decide = world._decide
    else:
        teller.push([row], "--unchecked", "--confirm", "--new-ledger")
        teller.push([{**row, "units": "9.5"}], "--unchecked", "--confirm", code=65)
    (entry,) = teller.entries()
    return entry.id, asked


def _billed(world):
    return sum(Fraction(usage["units"]) for body in world.api.taken for usage in body["details"]["usages"])


def _open(world):
    return (
        world.teller.entries("unknown", "conflict", "unbilled", "sending")
        or world.push("status", "--json").json["open"]
    )


def _finish(world, line_id, asked):
    """A person goes on after the death, by what the marketplace has, until all is billed once."""
    teller = world.teller
    source = write_csv([{**world.row, "units": "9.5"}])
    again = ("--usage", source, "--unchecked", "--confirm")
    assert world.push(*again).code in (0, 65)
    assert world.push(*again).code == (65 if _open(world) else 0)
    for entry in teller.entries("unknown"):
        taken = Fraction(entry.line.units) in {
            Fraction(usage["units"]) for body in world.api.taken for usage in body["details"]["usages"]
        }
        teller.run("settle", entry.id, "--billed" if taken else "--not-billed", "--confirm")
    (entry,) = (one for one in teller.entries() if one.id == line_id)
    if entry.open_units:
        teller.run("settle", line_id, "--carry", "--unchecked", "--confirm")
    for item in teller.run("status", code=65 if _open(world) else 0)["open"]:
        if item["kind"] in ("run", "unbilled"):  # a child that was given up; the run that died before its claim
            teller.run("settle", item["id"], "--never", "--reason", "carried otherwise", "--confirm")
    assert teller.run("status")["open"] == []
    assert _billed(world) == asked


@pytest.mark.slow
def test_m1_a_restore_that_is_killed_leaves_no_ledger_that_a_push_takes_for_its_own(world, tmp_path):
    rows = make_rows()
    source = write_csv(rows)
    for place in places_of(world):
        for commit in range(1, MOST):
            teller = world.begin()
            teller.push(rows, "--unchecked", "--confirm", "--new-ledger")
            copy = tmp_path / f"backup-{place}-{commit}.sqlite"
            assert world.push("ledger", "backup", copy).code == 0
            world.lose()
            with world.teller.ledger():
                run = Dying(world.desk.folder, "push", "ledger", "restore", "--from", copy, death=(commit, place))
            died = run.killed
            assert died or run.code == 0, run.said
            ran = world.push("--usage", source, "--unchecked", "--confirm")
            assert ran.code == 78 or world.teller.states() == {"accepted": len(rows)}, ran
            world.check(rows)
            if not died:
                break
