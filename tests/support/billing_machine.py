"""A vendor, a marketplace and people who do everything that can be done with a push, at random, beside a model.

The model knows nothing of our own code: it sums rows, reads the ledger's tables with sqlite3, and holds them against
the books of the marketplace (`billing_truth`).
"""

import base64
import json
import uuid
import zlib
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from automatum.core.errors import AutomatumError, ConfigurationError, PlanDiffers
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from automatum.metering.ledger.transfer import adopt, backup, restore
from automatum.metering.options import PushOptions
from automatum.metering.statement import read_statement
from automatum.metering.status import read_status
from tests.support.billing_truth import ANSWERS, DEATHS, Marketplace, Mortality, MortalWorld, read_rows
from tests.support.pushing import Books

UTC = timezone.utc
OWNER = Owner("api.example.com")
OPEN = ("unbilled", "conflict", "unknown")
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
SOURCES = ("/usage/a.csv", "/usage/b.csv")
CUSTOMERS = {
    # name: vendor, listing, entitlements that its rows may name
    "cust_1": ("aws", "lst_1", (None,)),
    "cust_2": ("azure", "lst_1", (None,)),
    "cust_3": ("aws", "lst_2", ("ent_1", "ent_2", None)),
}
DIMENSIONS = ("calls", "gigabytes", "seats")
MOMENTS = (
    datetime(2026, 11, 24, 12, 30, tzinfo=UTC),
    datetime(2026, 11, 30, 21, 10, tzinfo=UTC),  # the end of a month
    datetime(2026, 12, 31, 22, 40, tzinfo=UTC),  # the end of a year
    datetime(2028, 2, 29, 19, 5, tzinfo=UTC),
)
AMOUNTS = ("measured", "carried_in", "accepted", "confirmed", "carried_out", "unknown", "unbilled", "difference")
AMOUNTS += ("written_off",)


class Violation(AssertionError):
    """Something was billed twice, hidden, or does not add up."""


def floor(moment, grain):
    return moment.replace(minute=0, second=0, microsecond=0, hour=moment.hour if grain == "hour" else 0)


def name_of(grain, start, entitlement):
    """What a description says: which hour or day a usage measures."""
    return f"{grain} {start:%Y-%m-%dT%H} {entitlement or '-'}"


def parts_of(name):
    """Grain, start, end and entitlement of a description."""
    grain, start, entitlement = name.split(" ")
    start = datetime.strptime(start, "%Y-%m-%dT%H").replace(tzinfo=UTC)
    return grain, start, start + LENGTH[grain], None if entitlement == "-" else entitlement


def overlap(one, other):
    """Whether two keys may bill the same usage."""
    if one[:2] != other[:2] or one == other:
        return False
    (_, start, end, ours), (_, begin, stop, theirs) = parts_of(one[2]), parts_of(other[2])
    return start < stop and begin < end and (ours == theirs or None in (ours, theirs))


def key_of(row):
    """The key of a row of `metering_lines`; a line that is carried has that of the line that it is carried from."""
    return row["customer_id"], row["dimension"], row["description"]


def deadline(vendor, name, late_ok):
    """Moment from which the marketplace does not take a line, by its documents."""
    grain, start, end, _ = parts_of(name)
    hours = {"aws": 24 if late_ok else 6, "azure": 24}[vendor]
    due = (start if grain == "hour" else end) + timedelta(hours=hours)
    if vendor == "aws":
        due = min(due, (start.replace(day=28) + timedelta(days=4)).replace(day=1, hour=6))
    return due


class Ours(Books):
    """Pushes of an owner, from a ledger of their own."""

    def __init__(self, url, folder, clock):
        super().__init__(url, folder)
        self.clock, self.file = clock, Path(folder) / "ledger.sqlite"

    def open(self, write=False):
        return Ledger.open(self.url, self.clock, OWNER, begin=write and not self.used, write=write)

    @property
    def used(self):
        """Whether the ledger holds anything."""
        return self.file.exists() and any(read_rows(self.file))


class Machine:
    """One world.

    Args:
        rng: Chance.
        folder: Of the ledger.

    Attributes:
        trace: What happened.
        figures: How often what happened.
    """

    def __init__(self, rng, folder):
        self.rng, self.folder = rng, Path(folder)
        self.mortality = Mortality()
        self.clock = MortalWorld(rng.choice(MOMENTS).timestamp(), self.mortality)
        self.server = Marketplace(self.mortality, lambda: self.books.file, lambda: self.now)
        self.books = Ours(self.server.url, folder, self.clock)
        self.rows = {source: [] for source in SOURCES}
        self.most = defaultdict(Decimal)
        self.lied, self.forgiven, self.closed = set(), set(), set()
        self.corrections = defaultdict(Decimal)
        self.used_events = False
        self._seen, self._options = 0, {}
        self.trace, self.figures, self._number = [], Counter(), 0

    def __enter__(self):
        self.server.__enter__()
        self.mortality.__enter__()
        with self.books.open(write=True):
            pass
        return self

    def __exit__(self, *exc):
        self.mortality.__exit__(None, None, None)
        self.server.__exit__(None, None, None)

    # Steps

    STEPS = {  # noqa: RUF012  it is not changed
        "use": 22,
        "change": 7,
        "push": 26,
        "push_and_die": 8,
        "push_a_plan": 4,
        "wait": 7,
        "judge": 7,
        "deliver": 7,
        "look": 6,
        "send_again": 5,
        "carry": 7,
        "carry_and_die": 2,
        "never": 2,
        "close_items": 3,
        "lie": 1,
        "correct": 3,
        "forget_old_rows": 1,
        "lose_and_restore": 1,
        "put_an_older_one_back": 1,
        "jump": 1,
        "state": 3,
    }

    def step(self):
        name = self.rng.choices(list(self.STEPS), list(self.STEPS.values()))[0]
        self.trace.append(f"{self.now:%m-%dT%H:%M} {name}")
        self.figures[name] += 1
        self._options = {}
        getattr(self, name)()
        self.server.answers.clear()
        self.check()

    @property
    def now(self):
        return datetime.fromtimestamp(self.clock.outside(), UTC)

    def note(self, text):
        self.trace.append(f"    {text}")

    def use(self):
        """Rows of the last hours."""
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self._number += 1
            source = self.rng.choices(SOURCES, (6, 1))[0]
            customer = self.rng.choice(list(CUSTOMERS))
            dimension = self.rng.choice(DIMENSIONS)
            back = timedelta(minutes=self.rng.choice((20, 70, 70, 70, 100, 130, 150, 200, 400, 1600)))
            row = {
                "customer": customer,
                "dimension": dimension,
                "entitlement": self.rng.choice(CUSTOMERS[customer][2]) if self.rng.random() < 0.9 else None,
                "at": self.now - back,
                "units": self._units(),
                "price": self.rng.choices(("0.01", "0.02"), (40, 1))[0],
                "broken": False,
            }
            self.rows[source].append(row)
            self.note(f"{source[-5]} {customer} {dimension} {row['entitlement']} {row['at']:%dT%H:%M} {row['units']}")

    def _units(self):
        rng = self.rng
        return rng.choice(
            (
                Decimal(rng.randint(1, 1000)),
                Decimal(rng.randint(1, 10**9)).scaleb(-6),
                Decimal(rng.randint(1, 9)).scaleb(-6),
                Decimal(0) if rng.random() < 0.2 else Decimal("0.1"),
            )
        )

    def change(self):
        """A row grows or shrinks, disappears, or cannot be read for a time."""
        source = self.rng.choice(SOURCES)
        rows = self.rows[source]
        if not rows:
            return
        # Rather a late one.
        row = rows[max(self.rng.randrange(len(rows)), self.rng.randrange(len(rows)))]
        what = self.rng.choice(("grow", "grow", "shrink", "lose", "break", "mend", "mend"))
        if what == "grow":
            row["units"] += self._units()
        elif what == "shrink":
            row["units"] = max(Decimal(0), row["units"] - self._units())
        elif what == "lose":
            rows.remove(row)
        elif what == "break":
            row["broken"] = True
        else:
            for one in rows:
                one["broken"] = False
        self.note(f"{what} {row['customer']} {row['dimension']} {row['at']:%dT%H:%M} {row['units']}")

    def push(self):
        source, grain, options = self._choose()
        self._script()
        before = self.read()
        wanted = self._wanted(source, grain)
        self._ask(wanted)
        self.server.given.clear()
        try:
            result = self.books.push(self._usage(source, grain), grain=grain, source=source, **options)
        except AutomatumError as problem:
            self.note(f"{source[-5]} {grain} raised {problem}")
            if isinstance(problem, ConfigurationError) or not problem.exit_code:
                raise
            return
        self.note(f"{source[-5]} {grain} {options or ''} {self.server.given} -> {result.line()}")
        self.figures[f"push exit {result.exit_code}"] += 1
        self.figures["lines accepted"] += len(result.sent.accepted)
        self._check_push(source, grain, wanted, result, before, options)

    def push_and_die(self):
        """The process is killed at a commit of the ledger, or around a call."""
        self.use()
        source, grain, options = self._choose()
        wanted = self._wanted(source, grain)
        self._ask(wanted)
        usage = self._usage(source, grain)
        try:
            planned = self.books.push(usage, grain=grain, source=source, dry=True, **options)
        except AutomatumError:
            return
        runs = {row["item_id"] for row in self.read()[2] if row["kind"] == "run"}
        calls = len(self.server.calls)
        self._die(lambda: self.books.push(usage, grain=grain, source=source, **options))
        lines, _, journal = self.read()
        there = {row["line_id"] for row in lines}
        ours = [row for row in journal if row["kind"] == "run" and row["item_id"] not in runs]
        left = {line.id for line in planned.plan.to_send} - there
        if left and ours and not any(row["closed_at"] for row in ours):
            told = {line_id for row in ours for line_id in ids_of(row)}
            if not left <= told:
                raise Violation(f"a killed push hides {left - told}")
        elif left and len(self.server.calls) > calls:
            refused = {row["subject"] for row in journal if row["kind"] in ("refusal", "source")}
            if left - refused and not ours:
                raise Violation(f"a killed push left {left - refused}, and no item says so")

    def _die(self, act):
        """Do something and be killed meanwhile, or not if it ends before."""
        self._script()
        way = self.rng.choice(("commit", "commit", "call"))
        if way == "call":
            script = list(self.server.answers)
            script.insert(self.rng.randrange(3), self.rng.choice(list(DEATHS)))
            self.server.answers.clear()
            self.server.answers.extend(script)
            self.mortality.arm()
        else:
            self.mortality.arm(self.rng.randint(1, 9), before=self.rng.random() < 0.5)
        self.server.given.clear()
        with suppress(KeyboardInterrupt, AutomatumError):
            act()
        died = self.mortality.dead
        self.mortality.arm()
        self.figures[f"killed at a {way}"] += died
        self.note(f"died at a {way}: {died}, after {self.mortality.commits} commits, {self.server.given}")

    def push_a_plan(self):
        """A person approves a dry run; time passes, and rows may come or change; then its digest is pushed."""
        source, grain, options = self._choose()
        try:
            dry = self.books.push(self._usage(source, grain), grain=grain, source=source, dry=True, **options)
        except AutomatumError:
            return
        asked = self._wanted(source, grain)
        self.clock.advance(self.rng.choice((0, 3600, 7200)))
        if self.rng.random() < 0.5:
            self.use()
        if self.rng.random() < 0.2:
            self.change()
        self._script()
        self.server.given.clear()
        calls = len(self.server.calls)
        self._ask(asked)
        try:
            usage = self._usage(source, grain)
            result = self.books.push(usage, grain=grain, source=source, plan=dry.digest, **options)
        except PlanDiffers:
            self.figures["plan differs"] += 1
            self.note("the plan differs")
            if len(self.server.calls) > calls:
                raise Violation("a push of another plan sent something") from None
            return
        except AutomatumError as problem:
            self.note(f"raised {problem}")
            return
        self.note(f"{source[-5]} {grain} planned {self.server.given} -> {result.line()}")
        seen = {key for call in self.server.calls[calls:] for key, _ in call.usages}
        if not seen <= set(asked):
            raise Violation(f"sent {seen - set(asked)}, which nobody approved")
        self.figures["plan pushed"] += 1

    def _choose(self):
        source = self.rng.choices(SOURCES, (5, 1))[0]
        grain = self.rng.choices(("hour", "day"), (6, 1))[0]
        options = {}
        if self.rng.random() < 0.2:
            options["late_ok"] = True
        if self.rng.random() < 0.07:
            options["max_amount"] = Decimal("0.5")
        self._options = options
        return source, grain, options

    def _script(self):
        """What the marketplace does with the next bodies."""
        if self.rng.random() < 0.5:
            names = self.rng.choices(list(ANSWERS), [20 if name == "yes" else 1 for name in ANSWERS], k=6)
            self.server.answers.extend(names)

    def wait(self):
        self.clock.advance(self.rng.choice((600, 1900, 1900, 3600, 3600, 7200, 3 * 3600, 14 * 3600)))

    def jump(self):
        """The machine's clock is wrong for a time, or is set right."""
        self.clock.set_wall(self.rng.choice((-7200, -600, 600, 7200, 30 * 3600)))

    def judge(self):
        """The marketplace bills calls that it took, or refuses them."""
        waiting = [call for call in self.server.calls if not call.verdict]
        for call in waiting[: self.rng.choice((1, 3))]:
            call.verdict = self.rng.choices(("confirmed", "failed"), (3, 1))[0]
            self.note(f"{call.id} {call.verdict} {call.usages}")

    def deliver(self):
        """Events come, in any order, some twice, some of calls that nobody knows."""
        waiting = [call for call in self.server.calls if call.verdict]
        if not waiting:
            return
        picked = self.rng.choices(waiting[-8:], k=self.rng.choice((1, 2, 5)))
        events = [(call, self.server.event(call, self.rng.randrange(2))) for call in picked]
        if self.rng.random() < 0.1:
            strange = {"id": f"evt_x{len(self.trace)}", "event": "metering.failed", "data": {"id": "m_unknown"}}
            events.append((None, strange))
        self.rng.shuffle(events)
        act = lambda: self.books.take([event for _, event in events])  # noqa: E731
        if self.rng.random() < 0.2:
            self._die(act)
        else:
            result = act()
            self.note(f"{[call and call.id for call, _ in events]}: {len(result.lines)} lines, {len(result.open)} open")
            if any(call is None for call, _ in events) and not result.open:
                raise Violation("an event that cannot be placed is forgotten")
        self._note_told()
        self.used_events = self.used_events or any(row["kind"] == "event" for row in self.read()[2])

    def _note_told(self):
        """A call's event is told once the ledger has applied it, and not while it is an open item."""
        _, attempts, _ = self.read()
        known = {row["attempt_id"]: row for row in attempts if row["confirmed_at"] or row["failed_at"]}
        for call in self.server.calls:
            row = known.get(call.attempt)
            if row and call.verdict:
                if bool(row["failed_at"]) != (call.verdict == "failed"):
                    raise Violation(f"the event of {call.id} was applied as the opposite")
                call.told = True

    # People

    def look(self):
        """A person looks into the books of the marketplace, and decides by what they say."""
        lines, attempts, _ = self.read()
        for row in self._some(lines, ("unknown", "conflict")):
            own = self._own(row, attempts)
            if row["state"] == "unknown" or not own:
                self._settle(row, "billed" if own else "not_billed")

    def correct(self):
        """A person corrects what the marketplace has, and says so."""
        lines, attempts, _ = self.read()
        for row in self._some(lines, ("conflict",))[:1]:
            own = self._own(row, attempts)
            if own and self._settle(row, "billed"):
                (after,) = (one for one in self.read()[0] if one["line_id"] == row["line_id"])
                delta = Decimal(after["accepted_units"]) - own
                self.corrections[key_of(row), row["line_id"]] += delta
                self.note(f"corrected by {delta}")

    def send_again(self):
        """What is certainly not billed is sent again, under its own hour or day."""
        lines, attempts, _ = self.read()
        ids = [row for row in self._some(lines, OPEN) if not self._own(row, attempts)]
        for row in ids[:2]:
            self._script()
            self._settle(row, "not_billed", send=True, late_ok=self.rng.random() < 0.5)

    def carry(self):
        lines, _, _ = self.read()
        for row in self._some(lines, ("unbilled", "conflict"))[:2]:
            self._script()
            limit = {"max_amount": Decimal("0.5")} if self.rng.random() < 0.1 else {}
            self._settle(row, "carry", **limit)

    def carry_and_die(self):
        lines, _, _ = self.read()
        for row in self._some(lines, ("unbilled", "conflict"))[:1]:
            self._die(lambda row=row: self._settle(row, "carry"))

    def never(self):
        lines, _, _ = self.read()
        for row in self._some(lines, OPEN)[:1]:
            if self._settle(row, "never", reason="not worth it"):
                self.forgiven.add(key_of(row))

    def lie(self):
        """A person decides without a look."""
        lines, _, _ = self.read()
        for row in self._some(lines, OPEN)[:1]:
            decision = self.rng.choice(("billed", "not_billed"))
            if self._settle(row, decision):
                self.lied.add(key_of(row))

    def close_items(self):
        """A person closes items of the journal."""
        _, _, journal = self.read()
        found = [row for row in journal if not row["closed_at"]]
        for row in self.rng.sample(found, min(len(found), 2)):
            result = self.books.settle([row["item_id"]], "never", reason="seen")
            self.note(f"closed {row['kind']} {row['subject']}: {result.refused}")
            self.closed.add((row["kind"], row["subject"]))
            if row["kind"] == "run":
                self.closed |= {("run", line_id) for line_id in ids_of(row)}
            if row["kind"] == "event":
                data = json.loads(row["data"])
                for call in self.server.calls:
                    if call.id == data.get("call"):
                        self.lied |= {key for key, _ in call.usages}

    def _some(self, lines, states):
        """Some lines in these states, and seldom one about which a person has decided before."""
        decided = self.rng.random() < 0.1
        # Each once: after the first decision, a second one would not know what has become of the line.
        found = [row for row in lines if row["state"] in states or (decided and row["settled_by"] == "hand")]
        self.rng.shuffle(found)
        return found[:4]

    def _settle(self, row, decision, **options):
        """Whether the decision was taken."""
        self.server.given.clear()
        reason = options.pop("reason", "looked it up")
        self._check_calls()
        self._options = options
        try:
            result = self.books.settle([row["line_id"]], decision, reason=reason, **options)
        except AutomatumError as problem:
            self.note(f"settle {decision} {row['line_id'][:8]} raised {problem}")
            return False
        finally:
            self._check_calls()
        what = f"{row['state']} {row['why']} {key_of(row)} asked {row['asked_units']}"
        self.note(f"settle {decision} {row['line_id'][:8]} {what}: {result.refused} {self.server.given}")
        self.figures[f"settle {decision}{' refused' if result.refused else ''}"] += 1
        self.closed |= {(item.kind, item.subject) for item in result.items}
        return bool(result.changes)

    def forget_old_rows(self):
        """The export of usage begins later than before."""
        since = self.now - timedelta(hours=self.rng.choice((6, 30)))
        for rows in self.rows.values():
            rows[:] = [row for row in rows if row["at"] >= since]

    # The ledger's file

    def lose_and_restore(self):
        """The ledger is lost; its latest backup takes its place."""
        if not self.books.used:
            return
        before = without_calls_under_way(self.read())
        copy = self.folder / f"backup-{len(self.trace)}.sqlite"
        with self.books.open() as ledger:
            backup(ledger, copy)
        lost = self.folder / f"lost-{len(self.trace)}"
        lost.mkdir()
        for file in self.folder.glob("ledger.sqlite*"):
            if file.is_file():
                file.rename(lost / file.name)
        self._refused("there is no ledger")
        restore(self.books.url, self.clock, OWNER, copy)
        with suppress(ConfigurationError):
            adopt(self.books.url, self.clock, OWNER)
        if without_calls_under_way(self.read()) != before:
            raise Violation("a restored ledger is not what it was")
        self.figures["restored"] += 1

    def put_an_older_one_back(self):
        """Someone puts an older state in the place of the ledger. Nothing is sent from it."""
        if not self.books.used:
            return
        old = self.books.file.read_bytes()
        attempts = len(self.read()[1])
        self.push()
        if len(self.read()[1]) == attempts or self.books.file.with_name("ledger.sqlite-journal").exists():
            return
        new = self.books.file.read_bytes()
        self.books.file.write_bytes(old)
        self._refused("an older ledger")
        self.books.file.write_bytes(new)
        self.figures["older refused"] += 1

    def _refused(self, why):
        calls = len(self.server.calls)
        usage = self._usage(SOURCES[0], "hour")
        with pytest.raises(ConfigurationError):
            Ledger.open(self.books.url, self.clock, OWNER, write=True).__enter__().require()
        with pytest.raises(ConfigurationError), Ledger.open(self.books.url, self.clock, OWNER, write=True) as ledger:
            from automatum.metering.push import push

            push(self.books.connect(), self.books.read(usage, source=SOURCES[0]), ledger, PushOptions())
            ledger.require()
        if len(self.server.calls) > calls:
            raise Violation(f"{why}, and a push sent something")

    # The model

    def _usage(self, source, grain):
        rows = []
        for row in self.rows[source]:
            vendor, listing, _ = CUSTOMERS[row["customer"]]
            rows.append(
                {
                    "customer_id": row["customer"],
                    "listing_id": listing,
                    "vendor": vendor,
                    "dimension": row["dimension"],
                    "units": "abc" if row["broken"] else format(row["units"], "f"),
                    "price": row["price"],
                    "usage_at": row["at"].isoformat(),
                    "entitlement_id": row["entitlement"] or "",
                    "description": name_of(grain, floor(row["at"], grain), row["entitlement"]),
                }
            )
        return rows

    def _wanted(self, source, grain):
        """Units of the closed hours or days of a source, by key; rows that cannot be read are left out."""
        found = defaultdict(Decimal)
        for row in self.rows[source]:
            start = floor(row["at"], grain)
            if not row["broken"] and start + LENGTH[grain] <= self.now:
                found[row["customer"], row["dimension"], name_of(grain, start, row["entitlement"])] += row["units"]
        return dict(found)

    def _ask(self, wanted):
        for key, units in wanted.items():
            self.most[key] = max(self.most[key], units)

    def read(self):
        return read_rows(self.books.file)

    def _own(self, row, attempts):
        """Units that the marketplace bills under the id of a line, as far as anybody can know."""
        ours = {one["attempt_id"] for one in attempts if one["line_id"] == row["line_id"]}
        found = self.corrections[key_of(row), row["line_id"]]
        for call in self.server.calls:
            if call.attempt in ours and not (call.verdict == "failed" and call.told):
                found += sum(units for key, units in call.usages if key == key_of(row))
        return found

    def _carried(self, row, lines):
        children = [one for one in lines if one["carried_from"] == row["line_id"] and one["state"] != "unbilled"]
        return sum((Decimal(one["asked_units"]) for one in children), Decimal(0))

    # What must hold

    def check(self):
        lines, attempts, journal = self.read()
        self._check_server()
        self._check_calls()
        by_id = {row["line_id"]: row for row in lines}
        called = defaultdict(list)
        for row in attempts:
            called[row["attempt_id"]].append(row["line_id"])
        for call in self.server.calls:
            if not any(line_id in by_id for line_id in called.get(call.attempt, ())):
                raise Violation(f"the marketplace took {call.id} {call.usages}, and no line of the ledger knows it")
        for row in lines:
            if key_of(row) not in self.lied:
                self._check_line(row, lines, attempts)
        sending = [row for row in lines if row["state"] == "sending"]
        if sending and not any(row["kind"] == "run" and not row["closed_at"] for row in journal):
            raise Violation(f"{sending} are being sent, and no run is open")

    def _check_server(self):
        """Nothing is billed twice."""
        billed = self.server.billed()
        for (key, _), units in self.corrections.items():
            billed[key] += units
        for key, units in billed.items():
            if units > self.most[key] and key not in self.lied:
                raise Violation(f"{units} of at most {self.most[key]} units are billed for {key}")
        by_pair = defaultdict(list)
        for key, units in billed.items():
            if units and key not in self.lied:
                by_pair[key[:2]].append(key)
        for keys in by_pair.values():
            for place, one in enumerate(keys):
                for other in keys[place + 1 :]:
                    if overlap(one, other):
                        raise Violation(f"{one} and {other} are billed for the same time")

    def _check_calls(self):
        """The calls of a push, or of a decision, came in time, and cost no more than its limit."""
        new, self._seen = self.server.calls[self._seen :], len(self.server.calls)
        cost = sum(call.charged for call in new)
        if cost > self._options.get("max_amount", cost):
            raise Violation(f"calls of {cost} were sent with the options {self._options}")
        lines, attempts, _ = self.read() if new else ((), (), ())
        own = {row["line_id"] for row in lines if not row["carried_from"]}
        of_own_time = {row["attempt_id"] for row in attempts if row["line_id"] in own}
        for call in new:
            vendor = call.body["vendor"]
            for key, _ in call.usages if call.attempt in of_own_time else ():
                if call.at >= deadline(vendor, key[2], self._options.get("late_ok", False)):
                    raise Violation(f"{key} was sent at {call.at}, too late, with the options {self._options}")

    def _check_line(self, row, lines, attempts):
        """A line says what the marketplace knows, or waits for someone."""
        asked, own, carried = Decimal(row["asked_units"]), self._own(row, attempts), self._carried(row, lines)
        accepted = Decimal(row["accepted_units"] or 0)
        where = f"{row['line_id']} {key_of(row)} {row['state']} {row['why']}"
        figures = f"asked {asked}, accepted {accepted}, carried {carried}; the marketplace has {own}"
        never = row["why"] == "never"
        if row["state"] in ("accepted", "confirmed", "settled") and not never:
            if asked != accepted + carried:
                raise Violation(f"{where}: {figures}: it does not add up")
            if own != accepted:
                raise Violation(f"{where}: {figures}")
        if never and row["accepted_units"] is not None and own != accepted:
            raise Violation(f"{where}: {figures}")
        if row["state"] == "unbilled" and own:
            raise Violation(f"{where}: {figures}: it could be sent again")
        if row["state"] == "conflict" and row["why"] == "differs" and own != accepted:
            raise Violation(f"{where}: {figures}")
        differs = (asked - accepted - carried, row["accepted_price"]) not in ((0, None), (0, row["price"]))
        if row["state"] == "conflict" and row["why"] == "differs" and asked and not differs:
            raise Violation(f"{where}: {figures}: nothing differs")

    def _check_push(self, source, grain, wanted, result, before, options):
        lines, _, journal = self.read()
        if sending := [row for row in lines if row["state"] == "sending"]:
            raise Violation(f"a push did not find that {sending} were left by one that has died")
        own = {key_of(row): row for row in lines if not row["carried_from"]}
        open_items = [row for row in journal if not row["closed_at"]]
        subjects = {row["subject"] for row in open_items}
        about = {json.loads(row["data"]).get("line_id") for row in open_items} | subjects
        runs = {line_id for row in open_items if row["kind"] == "run" for line_id in ids_of(row)}
        refused = {refusal.line_id for refusal in result.plan.refusals}
        hidden = []
        for key, units in wanted.items():
            row = own.get(key)
            if row is not None and row["source"] in (source, ""):
                if row["state"] in OPEN or row["state"] == "sending" or row["why"] == "never":
                    continue
                if Decimal(row["asked_units"]) == units:
                    continue
            line_id = row["line_id"] if row else self._id(key, grain)
            told = line_id in about or line_id in runs or {("run", line_id), ("refusal", line_id)} & self.closed
            if told or ("source", line_id) in self.closed or line_id in refused:
                continue
            if not units and CUSTOMERS[key[0]][0] == "azure":
                continue
            hidden.append((key, units, row and dict(row)))
        if hidden:
            raise Violation(f"hidden: {hidden}")
        waits = [row for row in lines if row["state"] in (*OPEN, "sending")] or open_items
        if waits and result.exit_code == 0:
            raise Violation(f"exit code 0, and {waits[0]} is open")
        if not waits and result.exit_code == 65 and not result.plan.refusals and not result.plan.sources:
            raise Violation("exit code 65, and nothing is open")
        if refused - {None} - {row["subject"] for row in journal}:
            raise Violation("a refusal is not in the journal")
        self._check_gone(source, grain, wanted, result, lines)
        self._check_sent(source, wanted, result, before, options, own)

    def _check_gone(self, source, grain, wanted, result, lines):
        """What was billed and is not used any more is a conflict (M16)."""
        if result.plan.refusals or not wanted:
            return
        spans = [parts_of(key[2]) for key in wanted]
        first, last = min(one[1] for one in spans), max(one[1] for one in spans)
        for row in lines:
            start = datetime.fromisoformat(row["starts_at"])
            ours = row["source"] == source and row["grain"] == grain and not row["carried_from"]
            billed = row["state"] in ("accepted", "confirmed") or row["why"] in ("billed", "carried")
            gone = not wanted.get(key_of(row)) and Decimal(row["asked_units"])
            if ours and first <= start <= last and gone and billed:
                raise Violation(f"{key_of(row)} is not in the usage any more, and {row['state']}")

    def _check_sent(self, source, wanted, result, before, options, own):
        """What nothing speaks against is sent."""
        if result.sent.stopped or result.plan.limit or not set(self.server.given) <= {"yes"}:
            return
        if any(row["broken"] for row in self.rows[source]):
            return
        there = {key_of(row) for row in before[0] if not row["carried_from"]}
        # After the clock was set back, rows lie in the future, and hold all lines of their customer.
        doubted = {one.about.get("customer_id") for one in result.plan.refusals if one.line_id is None}
        prices = defaultdict(set)
        for row in self.rows[source]:
            for grain in LENGTH:
                name = name_of(grain, floor(row["at"], grain), row["entitlement"])
                prices[row["customer"], row["dimension"], name].add(row["price"])
        for key, units in wanted.items():
            vendor = CUSTOMERS[key[0]][0]
            late = self.now >= deadline(vendor, key[2], options.get("late_ok", False))
            mixed = any(overlap(key, other) for other in (*wanted, *there))
            if key in there or late or mixed or len(prices[key]) > 1 or (vendor == "azure" and not units):
                continue
            if key[0] in doubted:
                continue
            if key not in own or own[key]["state"] not in ("accepted", "confirmed"):
                row = own.get(key)
                raise Violation(f"{key} with {units} was not sent: {row and dict(row)}, {result.plan.refusals}")
            self.figures["lines sent as they should"] += 1

    def _id(self, key, grain):
        """The id of a line, as it has always been."""
        vendor, listing, _ = CUSTOMERS[key[0]]
        _, start, _, entitlement = parts_of(key[2])
        parts = [vendor, listing, key[0], key[1], grain, start.isoformat()]
        parts += ["entitlement", entitlement] if entitlement else []
        return str(uuid.uuid5(uuid.UUID("a439eeb9-fc0f-4765-8284-456ffd47814a"), "\x1f".join(parts)))

    def state(self):
        """The status and the statements say what is in the tables."""
        lines, _, journal = self.read()
        with self.books.open() as ledger:
            status = read_status(ledger, self.now)
            months = {row["starts_at"][:7] for row in lines}
            statements = {month: read_statement(ledger, month).rows for month in months}
        waits = {row["line_id"] for row in lines if row["state"] in OPEN}
        waits |= {row["item_id"] for row in journal if not row["closed_at"]}
        since = (self.now - timedelta(hours=48)).isoformat(timespec="microseconds")
        if events := [row for row in journal if row["kind"] == "event"]:
            # What was sent long before the first event was sent without webhooks.
            first = datetime.fromisoformat(min(events, key=lambda row: row["item_id"])["recorded_at"])
            begin = (first - timedelta(hours=48)).isoformat(timespec="microseconds")
            accepted = [row for row in lines if row["state"] == "accepted" and row["settled_by"] != "hand"]
            waits |= {row["line_id"] for row in accepted if begin <= row["sent_at"] <= since}
        listed = {item.id for item in status.items if item.kind != "sending"}
        if listed != waits:
            raise Violation(f"the status lists {listed - waits}, and not {waits - listed}")
        if status.exit_code != (65 if waits else 0):
            raise Violation(f"exit code {status.exit_code} with {len(waits)} open items")
        for item in status.items:
            if item.entry and item.entry.open_units != (
                item.entry.line.units - (item.entry.accepted_units or 0) - item.entry.carried_units
            ):
                raise Violation(f"{item} does not add up")
        for month, rows in statements.items():
            self._check_statement(month, rows, lines)

    def _check_statement(self, month, rows, lines):
        for row in rows:
            for what in ("units", "amount"):
                sums = {name: row[f"{name}_{what}"] for name in AMOUNTS}
                used = sums.pop("measured") + sums.pop("carried_in")
                if used != sum(sums.values()):
                    raise Violation(f"the statement of {month} does not add up: {dict(row)}")
        ours = [row for row in lines if row["starts_at"].startswith(month)]
        expected = sum((Decimal(row["asked_units"]) for row in ours), Decimal(0))
        if sum(row["measured_units"] + row["carried_in_units"] for row in rows) != expected:
            raise Violation(f"the statement of {month} lacks units")
        expected = sum((Decimal(row["accepted_units"] or 0) for row in ours), Decimal(0))
        if sum(row["accepted_units"] + row["confirmed_units"] for row in rows) != expected:
            raise Violation(f"the statement of {month} lacks accepted units")


def without_calls_under_way(tables):
    """Rows of a ledger with what a restore makes of lines that were being sent."""
    return [
        [
            row
            if row.get("state") not in ("sending", "unknown")
            else {**row, "state": "unknown", "error": None, "ended_at": None}
            for row in rows
        ]
        for rows in tables
    ]


def ids_of(row):
    """Ids of the lines of a run's journal item."""
    content = zlib.decompress(base64.b64decode(row["line_ids"])) if row["line_ids"] else b""
    return [str(uuid.UUID(bytes=content[at : at + 16])) for at in range(0, len(content), 16)]
