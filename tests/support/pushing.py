"""What the tests of the push share: usage that a sandbox would take, exact logs of servers, real processes."""

import contextlib
import csv
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.clock import SystemClock
from automatum.metering.ledger.events import apply_events
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import default_ledger_url
from automatum.metering.options import PushOptions
from automatum.metering.push import push
from automatum.metering.settle import settle
from automatum.metering.usage.usage import read_usage
from tests.support.clocks import FakeClock
from tests.support.desk import WIDE_LIMITS
from tests.support.loopback import Loopback, Say, token

COLUMNS = ("customer_id", "listing_id", "vendor", "dimension", "units", "price", "usage_at")
METERING = "/api/v1/metering"
LINES = ("to_send", "accepted", "rejected", "expired", "conflict", "unknown", "other_source", "refused")
UTC = timezone.utc
NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
"""A moment far from the end of any day or month."""


# Usage


def hour_of(moment, back):
    """Start of the hour that began so many hours before this one."""
    return moment.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)


def use(one, dimension, at, units, price=None):
    """One row of usage of something billable."""
    return {
        "customer_id": one.customer_id,
        "listing_id": one.listing_id,
        "vendor": one.vendor,
        "dimension": dimension,
        "units": str(units),
        "price": price or one.prices[dimension],
        "usage_at": at.isoformat(),
    }


def rows_of(sandbox, back=(1, 2), now=None, most=None, organization=None, named=False):
    """A row for everything billable in each of these hours, counted back; no two have the same units.

    Usage names its entitlement if there are several for it, or always (`named`). Hours 1 to 4 are in time on every day
    of the year: the first six hours of a month take what is that young, too.
    """
    # Right after the full hour the last hour is still open: `metering_grace_minutes`.
    now, rows, seen = now or datetime.now(UTC) - timedelta(minutes=6), [], set()
    several = ambiguous(sandbox, organization)
    for hours in back:
        for one in sandbox.metering.billable(organization):
            for dimension in one.prices:
                key = (one.customer_id, one.listing_id, dimension)
                if (*key, hours) not in seen:
                    seen.add((*key, hours))
                    at = hour_of(now, hours) + timedelta(minutes=15)
                    row = use(one, dimension, at, f"{len(rows) + 1}.{len(rows) % 10}")
                    rows.append({**row, "entitlement_id": one.entitlement_id if named or key in several else ""})
    return rows[:most]


def ambiguous(sandbox, organization=None):
    """Customers, listings and dimensions of several entitlements: their usage must name one."""
    found = Counter(
        (one.customer_id, one.listing_id, dimension)
        for one in sandbox.metering.billable(organization)
        for dimension in one.prices
    )
    return {key for key, number in found.items() if number > 1}


def write_csv(rows, path="usage.csv"):
    """The rows as a file that was written a while ago; the columns are those of the first row."""
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    # A push waits until a file was not written to for five seconds.
    before = time.time() - 120
    os.utime(path, (before, before))
    return path


def cost(rows):
    """What rows cost, by a sum that knows no rounding and nothing of our own code."""
    return sum((Fraction(str(row["units"])) * Fraction(str(row["price"])) for row in rows), Fraction(0))


def money(result):
    """What a push has charged, or would, in all currencies."""
    return sum(map(Fraction, result.charged.values()), Fraction(0))


def keys_of(rows):
    """How often each line occurs, as a server sees it: it is told a date and no hour."""
    return Counter(
        (
            row["vendor"],
            row["listing_id"],
            row["customer_id"],
            datetime.fromisoformat(row["usage_at"]).date().isoformat(),
            row["dimension"],
            Fraction(row["units"]),
            Fraction(row["price"]),
        )
        for row in rows
    )


# Servers


def exact(text):
    """JSON with decimals as they are written."""
    return json.loads(text, parse_float=Decimal)


def keys_of_bodies(bodies):
    """How often each line occurs in bodies of metering calls."""
    return Counter(
        (
            body["vendor"],
            body["listingId"],
            body["details"]["customer"]["id"],
            body["details"]["reportingDate"],
            usage["apiKey"],
            Fraction(usage["units"]),
            Fraction(usage["price"]),
        )
        for body in bodies
        for usage in body["details"]["usages"]
    )


def cost_of_bodies(bodies):
    """What bodies say that is to be charged."""
    return sum((Fraction(body["details"]["charged"]) for body in bodies), Fraction(0))


def taken_by(sandbox):
    """The bodies that a sandbox took."""
    return [call.body for call in sandbox.metering.accepted]


def sent_to(sandbox):
    """The log entries of the metering calls that reached a sandbox."""
    return sandbox.requests.to(METERING)


def write_events(sandbox, path="events.jsonl"):
    """A sandbox's metering events, one a line."""

    def number(value):
        # As text, which keeps each digit; `read_events` takes both.
        return str(value)

    Path(path).write_text("".join(json.dumps(event, default=number) + "\n" for event in sandbox.metering.events))
    return path


YES = {"code": 202, "data": {"status": "queued"}}


class Api(Loopback):
    """A server that answers metering calls as a test decides.

    Args:
        decide: Given the number of the call, from 1, and its body: whether the call is taken, and the answer. By
            default all are taken.
        scope: What its tokens grant.

    Attributes:
        bodies: Bodies of all calls.
        taken: Those that were taken.
    """

    def __init__(self, decide=None, scope="read:customers write:metering"):
        super().__init__()
        self.decide = decide or (lambda number, body: (True, Say(202, YES)))
        self.bodies, self.taken = [], []
        self.say("/oauth/token", token(scope=scope))

    def _next(self, seen):
        if seen.path != METERING:
            return super()._next(seen)
        with self._lock:
            self.seen.append(seen)
            body = exact(seen.body)
            self.bodies.append(body)
            taken, say = self.decide(len(self.bodies), body)
            if taken:
                self.taken.append(body)
            return say


def first(taken, say, *, times=1):
    """Answer the first calls like this, and take all others."""
    return lambda number, body: (taken, say) if number <= times else (True, Say(202, YES))


# Pushes in this process


class Books:
    """A push without the command: its clock stands still at NOON, its ledger is a file of its own.

    Args:
        base_url: Of the API.
        folder: Where the ledger is.
        settings: Further settings.
    """

    def __init__(self, base_url, folder, **settings):
        self.clock = FakeClock(epoch=NOON.timestamp())
        self.url = settings.pop("ledger_url", f"sqlite:///{folder}/ledger.sqlite")
        self.settings = {
            "base_url": base_url,
            "client_id": "app_test",
            "client_secret": "secret_of_the_test",
            "application_limits": json.loads(WIDE_LIMITS),
            "quota_url": "memory://",
            **settings,
        }

    @classmethod
    def at(cls, served, folder, **settings):
        """For a sandbox."""
        known = served.sandbox.apps[0]
        return cls(served.base_url, folder, client_id=known.client_id, client_secret=known.secret, **settings)

    def connect(self, **options):
        settings = resolve_settings(self.settings)
        return connect(settings, clock=self.clock, budget=Budget(self.clock), **options)

    def read(self, rows, *, grain="hour", source="usage.csv", mapping=None):
        """The usage, without a grace period, and without synced tables."""
        now = datetime.fromtimestamp(self.clock.time(), UTC)
        return read_usage(
            rows,
            pipeline=None,
            grain=grain,
            until=now,
            now=now,
            mapping=mapping,
            source=source,
            organization_id=None,
            unchecked=True,
            clock=self.clock,
        )

    def push(self, rows, *, dry=False, max_wait=None, grain="hour", source="usage.csv", **options):
        """Push rows; the first push begins the ledger."""
        session = None if dry else self.connect(max_wait=max_wait)
        usage = self.read(rows, grain=grain, source=source)
        with self.open(write=not dry) as ledger:
            return push(session, usage, ledger, PushOptions(**options), by="ann")

    def settle(self, ids, decision, *, dry=False, send=False, reason="", max_wait=None, **options):
        """Decide about lines, by their ids or their units."""
        ids = [ids] if isinstance(ids, str) else ids
        with self.open(write=True) as ledger:
            return settle(
                ledger,
                None if dry else self.connect(max_wait=max_wait),
                ids,
                decision,
                PushOptions(confirm=not dry, **options),
                send=send,
                reason=reason,
                by="ann",
                clock=self.clock,
            )

    def take(self, events):
        """Apply the vendor's events."""
        with self.open(write=True) as ledger:
            return apply_events(ledger, events)

    def open(self, write=False):
        begin = write and not self._exists()
        return Ledger.open(self.url, self.clock, None, begin=begin, write=write)

    def _exists(self):
        with Ledger.open(self.url, self.clock, None) as ledger:
            return ledger.exists

    def entries(self):
        """The ledger's lines by the units that they ask for."""
        with self.open() as ledger:
            return {entry.line.units: entry for entry in ledger.entries()}

    def states(self):
        with self.open() as ledger:
            return {state: number for state, number in ledger.counts().items() if number}

    def items(self, *kinds, open_only=True):
        with self.open() as ledger:
            return list(ledger.items(kinds=kinds or None, open_only=open_only))

    def accepted(self):
        """What the lines cost that the ledger holds as accepted."""
        with self.open() as ledger:
            lines = list(ledger.entries(states=["accepted"]))
        return sum((Fraction(one.accepted_units) * Fraction(one.accepted_price) for one in lines), Fraction(0))

    def attempts(self):
        with self.open() as ledger:
            return list(ledger.attempts())


class Teller:
    """A user who pushes by the command.

    Args:
        desk: Their shell.
        ledger_url: Of the ledger; None for the default one.
    """

    def __init__(self, desk, ledger_url=None):
        self.desk = desk
        self._url = ledger_url

    @property
    def url(self):
        return self._url or default_ledger_url(resolve_settings(with_credentials=False))

    @property
    def has_ledger(self):
        with Ledger.open(self.url, SystemClock(), None) as ledger:
            return ledger.exists

    def begin(self):
        """Begin the ledger, before processes push to it."""
        with Ledger.open(self.url, SystemClock(), None, begin=True, write=True):
            pass

    @contextlib.contextmanager
    def ledger(self):
        """Commands in the block use this ledger."""
        if not self._url:
            yield
            return
        self.desk.set(ledger_url=self._url)
        yield
        self.desk.set(ledger_url=None)

    def push(self, usage, *arguments, code=0):
        """Push rows, or a source by its name; the JSON, with exact decimals. The first push begins the ledger."""
        source = usage if isinstance(usage, str) else write_csv(usage)
        if "--confirm" in arguments and not self.has_ledger:
            arguments = (*arguments, "--new-ledger")
        with self.ledger():
            ran = self.desk.run("push", "--usage", source, "--json", *arguments)
        assert ran.code == code, ran
        return exact(ran.out)

    def run(self, name, *arguments, code=0):
        """A subcommand; its JSON."""
        with self.ledger():
            ran = self.desk.run("push", name, "--json", *arguments)
        assert ran.code == code, ran
        return exact(ran.out)

    def entries(self, *states):
        with Ledger.open(self.url, SystemClock(), None) as ledger:
            return list(ledger.entries(states=states or None))

    def states(self):
        return dict(Counter(entry.state for entry in self.entries()))


def counts(summary, **expected):
    """Assert the numbers of lines; those that are not named are 0."""
    assert summary["lines"] == {**dict.fromkeys(LINES, 0), **expected}, summary


# Pushes in processes of their own

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.pushing", "automatum.cli.main", "automatum.metering.run", "psycopg2"])


def _command(environment, folder, out, arguments, started, go):
    """The command, in the child."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from automatum.cli.main import app

    started.set()
    go.wait(60)
    with Path(out).open("w") as sys.stdout, Path(out + ".err").open("w") as sys.stderr:
        app([str(one) for one in arguments])


class Process:
    """The command in a process of its own; forked from a server that has imported everything.

    Args:
        folder: Where it runs, and where its output goes.
        arguments: Of the command.
        go: It waits for this event; None to begin at once.
    """

    _number = 0

    def __init__(self, folder, *arguments, go=None):
        Process._number += 1
        self.out = f"{folder}/process-{Process._number}.out"
        started = CONTEXT.Event()
        if go is None:
            go = CONTEXT.Event()
            go.set()
        self._process = CONTEXT.Process(
            target=_command, args=(dict(os.environ), str(folder), self.out, arguments, started, go)
        )
        self._process.start()
        assert started.wait(60)

    def kill(self, after):
        """Kill -9 after so many seconds, if it has not ended; whether it was killed."""
        self._process.join(after)
        alive = self._process.exitcode is None
        if alive:
            self._process.kill()
            self._process.join(60)
            alive = self._process.exitcode == -9
        return alive

    def terminate(self):
        """Send SIGTERM."""
        self._process.terminate()

    @property
    def code(self):
        self._process.join(120)
        return self._process.exitcode

    @property
    def json(self):
        return exact(Path(self.out).read_text())

    @property
    def err(self):
        return Path(self.out + ".err").read_text()
