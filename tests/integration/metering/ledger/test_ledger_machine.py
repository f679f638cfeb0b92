"""I5 under any sequence of steps: two pushes, an API that loses answers, kills, events, carries, restores, a person.

The model knows nothing of the ledger's states. It counts what the API took under each id, and what was asked for.
"""

import os
import random
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from automatum.metering.ledger import transfer
from automatum.metering.ledger.entries import TAKEN, Change, Outcome
from automatum.metering.ledger.events import apply_events
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Note, Owner
from automatum.metering.ledger.rows import overlaps
from automatum.metering.ledger.tables import METADATA
from tests.support.clocks import FakeClock
from tests.support.metering_lines import make_like, make_line
from tests.support.postgres import running

POOL = [make_line(hour, units="5", dimension=key) for hour in range(4) for key in ("api", "gb")]
POOL += [make_line(0, grain="day", dimension="api", units="20")]
POOL += [make_line(hour, units="5", dimension="gb", entitlement_id=f"ent_{hour % 2}") for hour in range(3)]
OURS = Owner("api.example.com")
SEED, STEPS = 8, 70
WALKS = int(os.environ.get("WALKS", "14"))
"""290 in `make push`: 20,000 steps."""
SEEN = Counter()
"""What the walks came to, to see that they come to something."""


class Call:
    """A call that was claimed.

    Attributes:
        taken: Whether the API has it.
        failed: Whether the marketplace has refused it since.
    """

    def __init__(self, side, attempt, run):
        self.id, self.side, self.attempt, self.run = f"meter_{attempt.id}", side, attempt, run
        self.taken = self.failed = self.answered = False


class Billing:
    """Two pushes on one ledger, the API, the marketplace and a person who knows what the API has."""

    def __init__(self, url, chance):
        self.url, self.chance = url, chance
        self.calls, self.asked = [], {}
        self.most = defaultdict(Decimal)
        self.ledgers = [self.open(begin=True) for _ in range(2)]
        self.managers, self.runs = [None, None], [None, None]
        for side in (0, 1):
            self.begin(side)

    def open(self, begin=False):
        return Ledger.open(self.url, FakeClock(), OURS, begin=begin, write=True)

    def begin(self, side):
        self.managers[side] = self.ledgers[side].run("u", [], "ann")
        self.runs[side] = self.managers[side].__enter__()

    def step(self):
        doings = [self.push] * 6 + [self.take] * 4 + [self.answer] * 4 + [self.decide] * 2 + [self.carry] * 2
        doings += [self.event] * 2 + [self.kill, self.recover, self.forget_usage, self.restore]
        doing = self.chance.choice(doings)
        doing()
        self.check()

    # Steps

    def push(self):
        """A push asks for some lines, with units that may have changed, and sends what it may."""
        side = self.chance.randrange(2)
        known = self.ledgers[side].fetch([line.id for line in POOL])
        wanted, again = [], set()
        for line in self.chance.sample(POOL, 3):
            units = self.asked.get(line.id, line.units) + (self.chance.random() < 0.2)
            line = make_like(line, units=Decimal(units))
            entry = known.get(line.id)
            if entry is None or entry.state == "unbilled":
                if self.chance.random() < 0.2 and not (entry and entry.carried_units):
                    self.runs[side].record(expired=[(line, "too late")])
                    self.ask(line)
                    SEEN["expired"] += 1
                    continue
                wanted.append(line)
                again |= {line.id} if entry else set()
            else:
                self.runs[side].record(asked=[line])
                after = self.ledgers[side].fetch([line.id])[line.id]
                if after.line.units == line.units:
                    self.ask(line)
                SEEN["asked again"] += 1
        self.claim(side, wanted, again)

    def claim(self, side, lines, again=()):
        attempt = self.runs[side].claim("body", lines, again) if lines else None
        if attempt:
            for line in attempt.lines:
                if not line.carried_from:
                    self.ask(line)
            self.calls.append(Call(side, attempt, self.runs[side]))
            SEEN["claimed"] += 1
        SEEN["left out"] += len(lines) - len(attempt.lines if attempt else ())
        return attempt

    def ask(self, line):
        self.asked[line.id] = line.units
        self.most[line.id] = max(self.most[line.id], line.units)

    def take(self):
        """A call arrives."""
        waiting = [call for call in self.flying() if not call.taken]
        if waiting:
            self.chance.choice(waiting).taken = True

    def answer(self):
        if not self.flying():
            return
        call = self.chance.choice(self.flying())
        call.answered = True
        ids = [line.id for line in call.attempt.lines]
        reference = call.id if self.chance.random() < 0.7 else None
        if self.chance.random() < 0.4:
            outcome = Outcome("unknown", "lost")
        elif call.taken:
            outcome = Outcome("accepted")
        elif self.chance.random() < 0.5:
            SEEN["given back"] += 1
            call.run.give_back(call.attempt, error="429")
            return
        else:
            outcome = Outcome("unbilled", "400")
        SEEN[f"{outcome.state}, {'taken' if call.taken else 'not taken'}"] += 1
        call.run.answer(call.attempt, dict.fromkeys(ids, outcome), reference=reference, status_code=202)

    def event(self):
        """The marketplace's verdict about a call that was taken, or a repetition of one."""
        calls = [call for call in self.calls if call.taken and call.answered]
        if not calls:
            return
        call = self.chance.choice(calls)
        kind = "failed" if call.failed else self.chance.choice(["submitted", "confirmed", "failed"])
        if kind == "failed" and (call.failed or not getattr(call, "confirmed", False)):
            if not self.has(call):
                return  # The ledger could not place it, and nobody would know that it is not billed.
            call.failed = True
        elif kind == "confirmed":
            call.confirmed = True
        elif kind == "failed":
            return
        event = {"id": f"{kind} {call.id}", "event": f"metering.{kind}", "data": {"id": call.id, "reason": "why"}}
        result = apply_events(self.ledgers[0], [event])
        SEEN[f"{kind}, {'open' if result.open else 'known' if result.known else 'placed'}"] += 1

    def has(self, call):
        return any(row["reference"] == call.id for row in self.ledgers[0].attempts())

    def decide(self):
        """A person settles what is unknown, or disagrees, as the API has it."""
        changes = []
        for entry in self.ledgers[0].entries(states=["unknown", "conflict"]):
            if self.chance.random() < 0.5:
                continue
            units, price = self.billed(entry.id), entry.line.price
            if entry.state == "conflict" and entry.why == "differs":
                continue
            if not units:
                after = replace(entry, state="unbilled", why="rejected", accepted_units=None, accepted_price=None)
            elif entry.line.units == units + entry.carried_units:
                after = replace(entry, state="settled", why="billed", accepted_units=units, accepted_price=price)
            else:
                after = replace(entry, state="conflict", why="differs", accepted_units=units, accepted_price=price)
            changes.append(Change(entry, after))
        SEEN["decided"] += len(self.ledgers[0].settle(changes, "ann", "as the portal says"))

    def carry(self):
        """A person bills what is open of a line by another one."""
        entries = [
            entry
            for entry in self.ledgers[0].entries(states=["unbilled", "conflict"])
            if entry.open_units > 0 and not entry.line.carried_from and entry.why in ("differs", "expired", "rejected")
        ]
        if not entries:
            return
        entry = self.chance.choice(entries)
        number = len(self.ledgers[0].children([entry.id]).get(entry.id, ())) + 1
        units = self.chance.choice([entry.open_units, Decimal(1), entry.open_units + 1])
        made = {"carried_from": entry.id, "carry_number": number, "starts_at": make_line(30).starts_at}
        child = make_like(entry.line, units=units, **made)
        self.ledgers[0].settle([Change(entry, entry, child)], "ann", "late")
        SEEN["carried" if self.claim(0, [child]) else "not carried"] += 1

    def forget_usage(self):
        """A push whose usage lacks a line."""
        line = self.chance.choice(POOL)
        self.runs[0].record(gone=[line.id])
        if (entry := self.ledgers[0].fetch([line.id]).get(line.id)) and not entry.line.units:
            self.asked[line.id] = Decimal(0)
            SEEN["gone"] += 1

    def kill(self, side=None):
        side = self.chance.randrange(2) if side is None else side
        SEEN["killed, taken"] += any(call.taken for call in self.flying() if call.side == side)
        self.ledgers[side].exists = False
        self.managers[side].__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        self.ledgers[side].exists = True
        for call in self.flying():
            call.answered = call.answered or call.side == side
        self.begin(side)

    def recover(self):
        self.runs[self.chance.randrange(2)].recover()

    def restore(self):
        """The disk is lost, and the ledger comes back from a backup of this moment."""
        if "postgresql" in self.url or self.chance.random() < 0.7 or not self.calls:
            return
        for side in (0, 1):
            self.kill(side)
        path = Path(self.ledgers[0].location)
        backup = path.with_name("backup")
        backup.unlink(missing_ok=True)
        transfer.backup(self.ledgers[0], backup)
        self.close()
        for file in path.parent.glob(f"{path.name}*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        transfer.restore(self.url, FakeClock(), OURS, backup)
        self.ledgers = [self.open() for _ in range(2)]
        for side in (0, 1):
            self.begin(side)
        SEEN["restored"] += 1

    # What must hold

    def flying(self):
        return [call for call in self.calls if not call.answered]

    def billed(self, line_id):
        """What the API has under an id."""
        lines = (line for call in self.calls if call.taken and not call.failed for line in call.attempt.lines)
        return sum((line.units for line in lines if line.id == line_id), Decimal(0))

    def check(self):
        entries = {entry.id: entry for entry in self.ledgers[0].entries()}
        billed = {}
        for entry in entries.values():
            billed[entry.id] = self.billed(entry.id)
            self.state_is_true(entry, billed[entry.id])
        families = defaultdict(Decimal)
        for call in self.calls:
            if call.taken and not call.failed:
                for line in call.attempt.lines:
                    assert line.id in entries, "sent, and not in the ledger"
                    families[line.carried_from or line.id] += line.units
        for line_id, units in families.items():
            assert units <= self.most[line_id], "more was billed than was ever asked for"
        for one in POOL:
            for other in POOL:
                assert not (overlaps(one, other) and families[one.id] and families[other.id]), "the same usage twice"
        for line_id, units in self.asked.items():
            if line_id in entries:
                assert entries[line_id].line.units == units

    def state_is_true(self, entry, billed):
        total = (entry.accepted_units or 0) + entry.carried_units + entry.open_units
        assert total == entry.line.units, "asked = accepted + carried + open"
        if entry.state == "unbilled":
            assert not billed, "unbilled, and the API has it"
        elif entry.state in TAKEN or entry.why in ("billed", "carried", "differs"):
            assert (entry.accepted_units or 0) == billed
        if entry.state in TAKEN or entry.why in ("billed", "carried"):
            assert entry.agrees

    def end(self):
        """Everybody stops, and what can be settled is: then the ledger says what the API has."""
        try:
            for side in (0, 1):
                self.kill(side)
            while any(entry.state == "sending" for entry in self.ledgers[0].entries()):
                self.runs[0].recover()
            for _ in range(20):
                self.decide()
            self.check()
            left = {(entry.state, entry.why) for entry in self.ledgers[0].entries()}
            assert not any(state == "unknown" for state, _ in left)
            for entry in self.ledgers[0].entries():
                assert (entry.accepted_units or 0) == self.billed(entry.id)
        finally:
            self.close()

    def close(self):
        for manager, ledger in zip(self.managers, self.ledgers, strict=True):
            manager.__exit__(None, None, None)
            ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind, walks", [("sqlite", WALKS), ("postgres", WALKS // 3)])
def test_whatever_happens_nothing_is_billed_twice_or_hidden(kind, walks, tmp_path):
    """I5. Random walks: a state machine of hypothesis finds nothing here, since few of its steps come to anything."""
    print(f"seed {SEED}")
    SEEN.clear()
    database = running().new_database() if kind == "postgres" else None
    for walk in range(walks):
        url = running().url(database) if database else f"sqlite:///{tmp_path}/{walk}/ledger"
        for table in METADATA.sorted_tables if database else ():
            running().execute(f"DROP TABLE IF EXISTS {table.name}", database)
        Note(f"127.0.0.1:{running().port}/{database}", None).forget()
        billing = Billing(url, random.Random(f"{SEED} {walk}"))
        try:
            for _ in range(STEPS):
                billing.step()
        finally:
            billing.end()
    print(dict(SEEN))
    assert len(SEEN) >= (18 if database else 21), "too little happened"
    if database:
        running().drop(database)
