"""A marketplace that keeps its own books, and a process that dies between two commits, for the machine of the push."""

import sqlite3
from collections import defaultdict, deque
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, event

from tests.support.clocks import FakeClock
from tests.support.loopback import Say, error
from tests.support.pushing import Api


class Mortality:
    """Kills the process that pushes, as kill -9 would, at a commit of its ledger or around a call; then it stays dead.

    It listens to SQLAlchemy's own events. Whatever the dead process still tries, a transaction, a call, a look at the
    clock, does not happen.

    Attributes:
        dead: Whether it was killed.
        commits: Number of commits that wrote, since it was armed.
    """

    def __init__(self):
        self.dead, self.commits = False, 0
        self._left = self._before = None

    def arm(self, commits=None, before=False):
        """Live on, or again; die at a commit that writes, before or after it is on disk."""
        self.dead, self.commits, self._left, self._before = False, 0, commits, before

    def begin(self, connection):
        self.check()

    def commit(self, connection):
        self.check()
        if not connection.get_execution_options().get("automatum_writes"):
            return
        self.commits += 1
        if self.commits == self._left:
            self.dead = True
            if self._before:
                self.check()

    def check(self):
        if self.dead:
            raise KeyboardInterrupt

    def __enter__(self):
        event.listen(Engine, "begin", self.begin)
        event.listen(Engine, "commit", self.commit)
        return self

    def __exit__(self, *exc):
        event.remove(Engine, "begin", self.begin)
        event.remove(Engine, "commit", self.commit)


class MortalWorld(FakeClock):
    """A clock that a dead process cannot read."""

    def __init__(self, epoch, mortality):
        super().__init__(epoch=epoch)
        self.mortality = mortality

    def time(self):
        self.mortality.check()
        return super().time()

    def outside(self):
        """The time for those who live."""
        return super().time()


# Answers: whether the marketplace takes the body, and what it says. `die` is called before it answers.


def _yes(number, body, die):
    return True, Say(202, {"code": 202, "data": {"id": f"m{number}", "status": "queued"}})


def _error(taken, status, message, **more):
    return lambda number, body, die: (taken, error(status, message, **more))


def _say(taken, say):
    return lambda number, body, die: (taken, say)


def _names_one(number, body, die):
    if len(body["details"]["usages"]) < 2:
        return _yes(number, body, die)
    named = [{"field": "details.usages[0].units", "message": "Too many"}]
    return False, error(400, "Invalid", errors=named)


def _data_beside_no(number, body, die):
    return True, Say(422, {"code": 422, "message": "One of them failed", "data": {"id": f"m{number}", "accepted": 1}})


def _no_in_envelope(number, body, die):
    return False, Say(200, {"code": 200, "data": {"id": f"m{number}", "meteringStatus": "FAILED"}})


def _die_before(number, body, die):
    die()
    return False, Say(reset=True)


def _die_after(number, body, die):
    die()
    return True, Say(202, {"code": 202, "data": {"id": f"m{number}", "status": "queued"}})


ANSWERS = {
    "yes": _yes,
    "empty": _say(True, Say(202, b"")),
    "lost": _say(True, Say(reset=True)),
    "vague": _say(True, Say(200, {})),
    "broken": _error(True, 502, "Bad gateway"),
    "data beside no": _data_beside_no,
    "no in the envelope": _no_in_envelope,
    "refused": _error(False, 400, "Not for sale"),
    "invalid": _error(False, 422, "Invalid"),
    "names one": _names_one,
    "known": _error(False, 409, "Already there"),
    "missing": _error(False, 404, "No such customer"),
    "busy": _error(False, 429, "Too many requests", headers={"Retry-After": "1"}),
    "down": _error(False, 503, "Down"),
    "dropped": _say(False, Say(reset=True)),
}
"""What a marketplace may do with a body. Those that die are drawn apart."""
DEATHS = {"die before": _die_before, "die after": _die_after}


class Call:
    """A body that the marketplace took.

    Attributes:
        id: Its id at the marketplace.
        body: The body.
        attempt: The attempt of the ledger that was under way; only those who look for the truth of a line use it.
        at: Moment at which it was taken.
        verdict: None as long as it is queued; then `confirmed` or `failed`.
        told: Whether the event of the verdict was delivered.
    """

    def __init__(self, number, body, attempt, at):
        self.id, self.body, self.attempt, self.at = f"m{number}", body, attempt, at
        self.verdict, self.told = None, False

    @property
    def usages(self):
        """Pairs of key and units. The description of a usage says which hour or day it measures."""
        customer = self.body["details"]["customer"]["id"]
        return [
            ((customer, one["apiKey"], one["description"]), Decimal(str(one["units"])))
            for one in self.body["details"]["usages"]
        ]

    @property
    def charged(self):
        """Its money."""
        return sum(Decimal(str(one["units"])) * Decimal(one["price"]) for one in self.body["details"]["usages"])


class Marketplace(Api):
    """Takes bodies and bills them, and answers as it was told to.

    Args:
        mortality: Of the process that calls.
        ledger: A function that returns the file of its ledger.
        now: A function that returns the time.

    Attributes:
        answers: Names of the next answers; `yes` after them.
        given: Names of the answers that were given, since the last `forget`.
        calls: The calls that it took.
    """

    def __init__(self, mortality, ledger, now):
        super().__init__(self._answer)
        self.answers, self.given, self.calls = deque(), [], []
        self._mortality, self._file, self._now = mortality, ledger, now

    def _answer(self, number, body):
        if self._mortality.dead:
            return False, Say(reset=True)
        name = self.answers.popleft() if self.answers else "yes"
        self.given.append(name)
        taken, say = {**ANSWERS, **DEATHS}[name](number, body, self._die)
        if taken:
            self.calls.append(Call(number, body, sending(self._file()), self._now()))
        return taken, say

    def _die(self):
        self._mortality.dead = True

    def billed(self):
        """Units that are billed, or will be, by key."""
        found = defaultdict(Decimal)
        for call in self.calls:
            if call.verdict != "failed":
                for key, units in call.usages:
                    found[key] += units
        return found

    def event(self, call, shape=0):
        """The event of a call's verdict, in one of the shapes that the documents allow."""
        details = call.body["details"]
        usages = [{name: usage[name] for name in ("apiKey", "units", "price")} for usage in details["usages"]]
        data = {"id": call.id, "vendor": call.body["vendor"], "details": {"usages": usages}}
        if shape:
            data = {"meteringId": call.id, "status": call.verdict}
        return {"id": f"evt_{call.id}_{call.verdict}", "event": f"metering.{call.verdict}", "data": data}


def sending(file):
    """Id of the latest attempt that waits for its answer."""
    with _reading(file) as connection:
        return connection.execute("SELECT max(attempt_id) FROM metering_attempts WHERE state = 'sending'").fetchone()[0]


class _reading:  # noqa: N801  it is used like a function
    """A connection that reads a ledger with none of our own code."""

    def __init__(self, file):
        self._connection = sqlite3.connect(f"{Path(file).as_uri()}?mode=ro", uri=True)
        self._connection.row_factory = sqlite3.Row

    def __enter__(self):
        return self._connection

    def __exit__(self, *exc):
        self._connection.close()


def read_rows(file):
    """Lines, attempts and open journal items of a ledger file, each as dicts."""
    with _reading(file) as connection:
        return [
            [dict(row) for row in connection.execute(query)]
            for query in (
                "SELECT * FROM metering_lines",
                "SELECT * FROM metering_attempts",
                "SELECT * FROM metering_journal",
            )
        ]
