"""The phases of a run in which a fault begins, and one cell of the matrix: a fault in a phase, once or for as long."""

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial

import psycopg2

from automatum.core.clock import SystemClock
from automatum.sync import results
from tests.support.clocks import FakeClock
from tests.support.loopback import Say, error
from tests.support.pushing import METERING, YES, keys_of, keys_of_bodies, taken_by, use, write_csv

CUSTOMERS = "/api/v1/customers"
PHASES = ("check", "dry run", "first page", "middle page", "last page", "after a load", "push, before", "push, after")
"""Names of the phases, in the order of the table. A push fails before the first call is taken, or after it."""
PUSHES = PHASES[-2:]
_AT_START = ("check", "dry run", "first page", "push, before")
"""In these the token of the run is asked for anew; in the others the API refuses it first."""
_PAGES = {"middle page": 2, "last page": 3, "after a load": 2}
_LETTERS = {"sending": "s", "unknown": "u", "unbilled": "r", "conflict": "c"}
EXITS = {0, 65, 69, 75, 77, 78}


class Waits(FakeClock):
    """A clock that calls back at each wait.

    Attributes:
        on_wait: What is called.
        jump: Seconds by which the machine's clock is ahead of the server's.
    """

    on_wait = staticmethod(lambda: None)
    jump = 0.0

    def sleep(self, seconds):
        self.on_wait()
        super().sleep(seconds)


def use_clock(monkeypatch, clock):
    """Let commands in this process have this clock."""
    monkeypatch.setattr(SystemClock, "time", lambda self: clock.time() + clock.jump)
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: clock.monotonic())
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: clock.sleep(seconds))


@dataclass
class Armed:
    """A fault that waits for its phase.

    Attributes:
        times: How often it happens; None for as long as it is there.
        begin: Called when the phase begins.
    """

    fault: object
    phase: str
    times: int | None
    gate: object
    begin: object = None
    fired: int = 0
    calls: int = 0
    due: bool = field(default=False)

    def __post_init__(self):
        self.due = self.phase in _AT_START

    def answer(self, seen):
        """The fault's answer to a request; None for the honest one."""
        if seen.path == "/oauth/token":
            say = self.fault.token if self.due and self._counts(self.fault.token) else None
            self._break_wire(self.phase in _AT_START)
            return say(None) if say else None
        if seen.method == "POST":
            self.calls += 1
        if not self._is_phase(seen):
            self._break_wire(self._is_before(seen))
            return None
        first, self.due = not self.due or self.phase in _AT_START, True
        if self.begin and first:
            self.begin()
            self.begin = None
        if self.fault.say is None:
            again = self.fault.token and first and self.phase not in _AT_START and not self.fired
            return error(401, "Token expired") if again else None
        return self._honest(seen) if self._counts(self.fault.say) else None

    def _honest(self, seen):
        after = self.phase == "push, after" and self.fault.billed
        honest = self.gate.pass_on(seen) if seen.method == "GET" or after else Say(202, YES)
        honest.body = honest.body if isinstance(honest.body, bytes) else json.dumps(honest.body).encode()
        return self.fault.say(honest)

    def _counts(self, there):
        if not there or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True

    def _break_wire(self, now):
        if now and self._counts(self.fault.wire):
            break_wire = {
                "refuse": self.gate.refuse,
                "stall": self.gate.stall,
                "certificate": partial(self.gate.show_certificate, trusted=False),
            }
            break_wire[self.fault.wire]()

    def _is_phase(self, seen):
        if self.phase in PUSHES:
            late = self.phase == "push, after" and not self.fault.billed
            return seen.path == METERING and self.calls > late
        page, begins = int(seen.query.get("page", ["1"])[0]), _PAGES.get(self.phase, 1)
        return seen.path == CUSTOMERS and (page == begins or (page > begins and not self.times))

    def _is_before(self, seen):
        if self.phase == "push, after":
            return seen.path == METERING
        page = int(seen.query.get("page", ["1"])[0])
        return self.phase in _PAGES and page == _PAGES[self.phase] - 1


class World:
    """A user, a gate, a sandbox behind it, and the clock of all.

    Args:
        desk: The user.
        gate: The gate.
        sandbox: What is behind.
        clock: The clock.
        monkeypatch: Pytest's.
        server: A Postgres for destination and ledger; None for files in `disk`.
        relay: The way to it.

    Attributes:
        disk: Folder of the files.
        phase: The phase of the present cell.
        url: Of the database of the present cell in Postgres, by the relay.
        locks: The process that has the database.
    """

    def __init__(self, desk, gate, sandbox, clock, monkeypatch, server=None, relay=None):
        self.desk, self.gate, self.sandbox, self.clock = desk, gate, sandbox, clock
        self.server, self.relay, self.url = server, relay, ""
        self.disk = desk.folder / "disk"
        self.phase, self.locks = "", None
        self._monkeypatch = monkeypatch
        self._number = 0
        self.secrets = [one.secret for one in sandbox.apps]

    @property
    def pushes(self):
        """Whether the present phase is one of a push."""
        return self.phase in PUSHES

    @property
    def database(self):
        """File of the database, or of the ledger, of the present cell."""
        return self.disk / f"cell{self._number}.{'sqlite' if self.pushes else 'duckdb'}"

    def cell(self, fault, phase, times=None):
        """Let the fault happen in the phase, then run again without it.

        Args:
            fault: A `Fault` or a `MachineFault`.
            phase: One of `PHASES`.
            times: How often it happens; None for as long as the command runs.

        Returns:
            What came of it: the exit code, and for a push the lines that are not accepted; then those of the next run
            if they differ.
        """
        self._number, self.phase = self._number + 1, phase
        if self.server:
            direct = self.server.url(self.server.new_database())
            self.url = direct.replace(f":{self.server.port}/", f":{self.relay.port}/")
            self._monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", self.url)
        begin, end = getattr(fault, "begin", None), getattr(fault, "end", None)
        at_start = begin and fault.at_start
        self.gate.fault = armed = Armed(fault, phase, times, self.gate, begin and not at_start and partial(begin, self))
        self.clock.on_wait = self.gate.recover if times else lambda: None
        self._monkeypatch.setattr(results, "CHUNK_ROWS", 100 if phase == "after a load" else 10**6)
        self.sandbox.metering.clear()
        self._write_usage()
        try:
            if at_start:
                begin(self)
            code, said = self.run()
        finally:
            self.gate.fault = None
            self.gate.recover()
            if end:
                end(self)
        assert armed.fired or begin, "the fault did not happen"
        if self.pushes:
            return self._pushed(code)
        reads = phase in ("check", "dry run")
        assert code or reads or self._is_equal(), f"exit 0, and rows are missing: {said}"
        if code:
            again, said = self.run()
            assert again == 0, f"exit {code}, and {again} without the fault: {said}"
            assert reads or self._is_equal(), "rows are missing after a second run"
        return str(code)

    def run(self):
        """The exit code of the phase's command, and its JSON."""
        if self.phase == "check":
            asks = ["check"]
        elif self.pushes:
            self._set_ledger()
            asks = ["push", "--usage", self.desk.folder / "usage.csv", "--confirm", "--unchecked"]
            if not self._states():
                asks.append("--new-ledger")
        else:
            asks = ["sync", "customers", *(("--dry-run",) if self.phase == "dry run" else ())]
        ran = self.desk.run(*asks, "--json", *(() if self.phase == "check" else self._place()))
        text = ran.out + ran.err
        assert ran.code in EXITS, ran
        assert "Traceback" not in text, ran
        assert not [one for one in self.secrets if one in text], "a secret is shown"
        made = json.loads(ran.out) if ran.out.strip() else {}
        assert all(one.get("next_step") for one in made.get("errors") or ()), made.get("errors")
        return ran.code, made

    def _place(self):
        if self.server:
            return "--destination", "postgres"
        return "--database", self.disk / f"cell{self._number}.duckdb"

    def _set_ledger(self):
        self.desk.set(ledger_url=self.url if self.server else f"sqlite:///{self.database}")

    def begin_ledger(self):
        """Begin the ledger with a push that has nothing to send."""
        (self.desk.folder / "none.csv").write_text(",".join(self.rows[0]) + "\n")
        asks = ("--usage", self.desk.folder / "none.csv", "--confirm", "--unchecked", "--new-ledger")
        self._set_ledger()
        assert self.desk.run("push", *asks).code == 0

    def _write_usage(self):
        """A file of two lines, which are two calls."""
        found = {one.customer_id: one for one in self.sandbox.metering.billable()}
        several = [one for one in found.values() if one.prices][:2]
        moment = datetime.fromtimestamp(self.clock.time() - 2 * 3600, timezone.utc)
        self.rows = [use(one, next(iter(one.prices)), moment, f"{i + 1}.5") for i, one in enumerate(several)]
        write_csv(self.rows, self.desk.folder / "usage.csv")

    def _is_equal(self):
        sql = "SELECT id, email FROM automatum.customers WHERE _deleted_at IS NULL"
        if self.server:
            with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                found = cursor.fetchall()
        else:
            found = self.desk.query(sql, database=self.database)
        return Counter(found) == Counter((one["id"], one["email"]) for one in self.sandbox.rows.all("customers"))

    def _pushed(self, code):
        first = self._states()
        again, said = self.run()
        then, taken = self._states(), keys_of_bodies(taken_by(self.sandbox))
        assert max(taken.values(), default=0) <= 1, f"billed twice: {taken}"
        assert set(taken) <= set(keys_of(self.rows))
        assert sum(then.values()) == len(self.rows), said
        open_ = then["unknown"] + then["conflict"]
        assert then["accepted"] <= len(taken) <= then["accepted"] + open_, (then, taken)
        assert (again == 0) == (then["accepted"] == len(self.rows)), (again, then)
        now, next_ = _words(first, code), _words(then, again)
        return now if now == next_ else f"{now}→{next_}"

    def _states(self):
        ran = self.desk.run("push", "status", "--json")
        assert ran.code in EXITS, ran
        return Counter({state: number for state, number in ran.json.get("lines", {}).items() if number})


def _words(states, code):
    there = [f"{number}{_LETTERS[state]}" for state, number in sorted(states.items()) if state != "accepted"]
    return ":".join([str(code), "".join(there)]) if there else str(code)
