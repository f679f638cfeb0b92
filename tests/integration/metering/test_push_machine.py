"""I5: whatever sources, answers, events and people do, in any order, nothing is billed twice and nothing is hidden.

Each dimension has usage in one hour only, which is pushed by the hour or by the day, with an entitlement or without, by
one of two sources. So what the API billed of it can be compared with the most that any usage ever asked for.
`PUSH_STEPS` sets the number of steps of the long form.
"""

import os
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from automatum.metering.events import apply_events
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.model import Line, bucket_start
from automatum.metering.plan import Checks
from automatum.metering.push import push
from automatum.metering.settle import settle
from automatum.metering.usage.usage import Usage
from tests.support.clocks import FakeClock
from tests.support.instant_api import InstantApi

pytestmark = pytest.mark.slow

BEGIN = datetime(2026, 11, 29, 12, 30, tzinfo=timezone.utc)
"""A month ends on the way."""
SOURCES = ("/a.csv", "/b.csv")
ANSWERS = ["yes"] * 12 + ["vague", "lost", "lost before", "refused", "missing", "busy", "killed", "killed before"]


class World:
    """Usage, an API and a ledger."""

    def __init__(self, folder, seed):
        self.rng, self.clock = random.Random(seed), FakeClock(epoch=BEGIN.timestamp())
        self.api = InstantApi(self.clock)
        self.url = f"sqlite:///{folder}/ledger-{seed}"
        self.usage = {}  # (source, key) -> units; key: customer, dimension
        self.slots, self.highest, self.unplaced, self.says = {}, {}, set(), []

    def ledger(self):
        """Begun anew as long as it has no line."""
        with Ledger.open(self.url, self.clock) as ledger:
            begin = not any(ledger.counts().values())
        return Ledger.open(self.url, self.clock, write=True, begin=begin)

    @property
    def now(self):
        return datetime.fromtimestamp(self.clock.time(), timezone.utc)

    # Steps

    def use(self):
        """Usage of a new hour, or other units of an old one, or none any more."""
        source = self.rng.choice(SOURCES[:1] * 4 + SOURCES[1:])
        if self.rng.random() < 0.5 or not self.slots:
            key = (f"cust_{self.rng.randrange(2)}", f"d{len(self.slots)}")
            self.slots[key] = self.now - timedelta(hours=self.rng.choice([1, 1, 1, 2, 3, 5, 8, 20]))
        else:
            key = self.rng.choice(list(self.slots)[-6:])
        if self.rng.random() < 0.1:
            self.usage.pop((source, key), None)
        else:
            self.usage[source, key] = self.rng.randint(1, 20)

    def wait(self):
        self.clock.advance(self.rng.choice([600, 3600, 2 * 3600, 9 * 3600]))

    def push(self):
        source, grain = self.rng.choice(SOURCES[:1] * 4 + SOURCES[1:]), self.rng.choice(["hour"] * 5 + ["day"])
        named = self.rng.random() < 0.1
        mine = {key: units for (owner, key), units in self.usage.items() if owner == source}
        made = (self.line(key, units, named, grain) for key, units in mine.items())
        lines = tuple(line for line in made if line.ends_at <= self.now)
        late_ok = self.rng.random() < 0.2
        usage = Usage(lines, (), {}, 0, len(mine), (), (), (), source)
        for line in usage.lines:
            key = line.customer_id, line.dimension
            self.highest[key] = max(self.highest.get(key, 0), line.units)
        self.api.answers = self.rng.choices(ANSWERS, k=8)
        self.says.append((source, grain, named, late_ok, len(lines)))
        with self.ledger() as ledger:
            try:
                result = push(self.api, usage, ledger, Checks(late_ok=late_ok, by="ann", unchecked=True))
            except KeyboardInterrupt:
                return
            assert not ledger.counts()["sending"], "what a dead push left is found by the next one"
            if result.exit_code == 0:
                self.check_settled(ledger, usage)

    def line(self, key, units, named, grain):
        """Usage as `read_usage` sums it."""
        starts_at, entitlement = bucket_start(self.slots[key], grain), "ent_1" if named else None
        return Line("aws", "list_1", *key, grain, starts_at, Decimal(units), Decimal(1), entitlement_id=entitlement)

    def event(self):
        """The marketplace decides about a call; sometimes the event comes twice, or is about nothing."""
        waiting = [call for call in self.api.calls if not call.verdict]
        if not waiting:
            return
        call = self.rng.choice(waiting)
        call.verdict = self.rng.choice(["confirmed", "confirmed", "failed"])
        raw = {"id": f"e-{call.id}", "event": f"metering.{call.verdict}", "data": {"id": call.id}}
        self.says.append(raw)
        with self.ledger() as ledger:
            for _ in range(self.rng.choice([1, 1, 2])):
                if apply_events(ledger, [raw]).open:
                    # The ledger has no id of a call whose answer was lost. A person sees the item.
                    self.unplaced.update(call.usages)

    def decide(self):
        """A person who looks into the portal decides about a line, or closes an item."""
        with self.ledger() as ledger:
            entries = list(ledger.entries())
            items = list(ledger.items(open_only=True))
            if items and self.rng.random() < 0.2:
                self.settle(ledger, [self.rng.choice(items).id], "never")
            if not entries:
                return
            entry = self.rng.choice(
                [one for one in entries if one.state in ("unknown", "conflict", "unbilled")] or entries
            )
            decision, send = self.rng.choice([("carry", False)] * 3 + [("not_billed", True)] * 2 + [("never", False)])
            if entry.state == "unknown" or entry.why == "events disagree":
                decision, send = ("billed" if self.is_billed(ledger, entry) else "not_billed"), False
            # Nobody says of what the API took that it did not.
            if decision == "not_billed" and entry.accepted_units and self.is_billed(ledger, entry):
                return
            self.settle(ledger, [entry.id], decision, send)

    def settle(self, ledger, ids, decision, send=False):
        self.api.answers = self.rng.choices(ANSWERS, k=2)
        self.says.append((ids, decision, send))
        checks = Checks(late_ok=self.rng.random() < 0.5, by="ann", unchecked=True)
        try:
            settle(ledger, self.api, ids, decision, checks, send=send, reason="why", confirm=True, clock=self.clock)
        except KeyboardInterrupt:
            return

    def is_billed(self, ledger, entry):
        """Whether the API billed the last call of a line: each attempt is a post, in order."""
        attempts = sorted({attempt["attempt_id"] for attempt in ledger.attempts()})
        assert len(attempts) == len(self.api.posts)
        call = self.api.posts[attempts.index(entry.attempt_id)] if entry.attempt_id else None
        return call is not None and call.verdict != "failed"

    @staticmethod
    def key(line):
        return line.customer_id, line.dimension

    # What must hold

    def check(self):
        """Nothing is billed twice; the ledger has what the API has; the sums of each line add up."""
        billed = self.api.billed()
        accepted, unknown, disagree = {}, {}, set()
        with self.ledger() as ledger:
            for entry in ledger.entries():
                key = self.key(entry.line)
                accepted[key] = accepted.get(key, 0) + (entry.accepted_units or 0)
                if entry.state in ("unknown", "sending"):
                    unknown[key] = unknown.get(key, 0) + entry.line.units
                disagree |= {key} if entry.why == "events disagree" else set()
                whole = (entry.accepted_units or 0) + entry.carried_units + entry.open_units
                assert entry.line.units == whole
                if entry.state in ("accepted", "confirmed") or entry.why in ("billed", "carried"):
                    assert entry.agrees or entry.why == "never", entry
        for key, units in billed.items():
            assert units <= self.highest[key], (key, units, self.highest[key])
        for key in self.slots.keys() - self.unplaced - disagree:
            low = accepted.get(key, 0)
            assert low <= billed.get(key, 0) <= low + unknown.get(key, 0), (key, low, billed.get(key), unknown.get(key))

    def check_settled(self, ledger, usage):
        """A push that ends with 0 has nothing open: each line is billed as it is asked for, or given up by a person."""
        billed = self.api.billed()
        given_up = {self.key(entry.line) for entry in ledger.entries(states=["settled"]) if entry.why == "never"}
        closed = {item.subject for item in ledger.items(kinds=["source", "refusal"]) if item.closed_by != "push"}
        for line in usage.lines:
            if self.key(line) not in given_up | self.unplaced and line.id not in closed:
                assert billed.get(self.key(line)) == line.units, line


def run(folder, seed, steps):
    world = World(folder, seed)
    plan = [world.use] * 4 + [world.push] * 5 + [world.decide] * 3 + [world.event] * 2 + [world.wait]
    for step in range(steps):
        act = world.rng.choice(plan)
        try:
            act()
            world.check()
        except AssertionError:
            print(f"seed {seed}, step {step}: {act.__name__}; {world.says[-30:]}")
            raise
    return world


@pytest.mark.parametrize("seed", range(4))
def test_i5_nothing_is_billed_twice_and_nothing_is_hidden(seed, tmp_path):
    world = run(tmp_path, seed, 125)
    assert world.api.calls, "nothing was sent at all"


@pytest.mark.slow
@pytest.mark.skipif("PUSH_STEPS" not in os.environ, reason="PUSH_STEPS=20000 runs the long form")
def test_i5_the_long_form(tmp_path):
    steps = int(os.environ["PUSH_STEPS"])
    first = random.randrange(10**6)
    for number in range(max(1, steps // 250)):
        run(tmp_path, first + number, 250)
    assert Decimal(steps) > 0
