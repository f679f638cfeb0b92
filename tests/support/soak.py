"""Simulated days of syncs and pushes: one clock for both sides, a vendor that changes and fails, processes that die."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from unittest import mock

import dlt

from automatum.core.errors import AutomatumError
from tests.support.clocks import FakeClock
from tests.support.destinations.places import DuckDb
from tests.support.expected import _EPOCH, KEYS, expected_lists
from tests.support.pushing import UTC, Books, keys_of, keys_of_bodies, rows_of, taken_by
from tests.support.syncing import HOUR, Site

LISTS = {"customers": 110, "entitlements": 60, "private_offers": 20}
"""Rows of each list at the beginning: four pages."""
FAULTS = ("status", "reset", "truncate", "html", "code", "revoke", "lost_answer", "error_after", "empty_page")
SHARE = 0.05
"""Share of requests that fail."""
CHANGES = 0.01
"""Share of rows that change in a minute."""
EVERY = 300.0
"""Seconds from one sync to the next."""
KILLED = 1 / 24
"""Share of syncs and pushes that are killed."""
OFFERED = 3
"""Pushes that offer the usage of an hour: the later ones find what a killed one has left."""
TABLES = ("_automatum_sweeps", "_automatum_pages", "_dlt_loads", *KEYS)
LEDGER = ("metering_lines", "metering_attempts", "metering_journal")
MOMENTS = ("extract", "normalize", "load", "page")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.soak", "dlt.destinations.impl.duckdb.duckdb", "pyarrow.parquet"])


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_sync(folder, settings, url, epoch, moment, after, page):
    """One sync, in the child, that dies before or after a step, or at a page."""
    from dlt.pipeline import Pipeline

    from automatum.warehouse.load import DuckDbWriter

    def dying(real):
        def function(*arguments, **options):
            if after:
                real(*arguments, **options)
            _die()

        return function

    seen = []

    def on_page(*_):
        seen.append(1)
        if moment == "page" and len(seen) == page:
            _die()

    with Site(folder) as site, ExitStack() as stack:
        site.clock = FakeClock(epoch=epoch)
        site.settings = settings
        if moment != "page":
            for owner, name in ((Pipeline, moment), (DuckDbWriter, "write" if moment == "load" else "read")):
                stack.enter_context(mock.patch.object(owner, name, dying(getattr(owner, name))))
        site.served = Known(settings)
        site.sync(*LISTS, destination=destination_at(url), on_page=on_page)


def _killed_push(folder, settings, epoch, rows, commit, where):
    """One push, in the child, that dies around a commit of the ledger."""
    from tests.support.dying import _listen

    books = Books(settings["base_url"], folder, **{name: settings[name] for name in settings if name != "base_url"})
    books.clock = FakeClock(epoch=epoch)
    _listen(commit, where)
    books.push(rows)


def destination_at(url):
    """dlt's destination: the URL of a Postgres database, or the path of a DuckDB file."""
    make = dlt.destinations.postgres if url.startswith("postgresql:") else dlt.destinations.duckdb
    return make(url)


class Known:
    """An API in another process."""

    def __init__(self, settings):
        self.base_url, self.client_id = settings["base_url"], settings["client_id"]
        self.client_secret = settings["client_secret"]


class Soak:
    """A vendor, a warehouse, a ledger, and the processes between them.

    Args:
        folder: Where files go.
        place: The destination, opened.
        seed: Of everything random.
        ledger_url: Of the ledger; None for a file.

    Attributes:
        figures: What was measured at moments: simulated hours, and sizes and counts by name.
        seconds: Real seconds of each complete sync in this process, in order.
        codes: How syncs and pushes ended.
    """

    def __init__(self, folder, place, seed, ledger_url=None):
        self.folder, self.place, self.random = folder, place, random.Random(seed)
        self._destination = destination_at(self._warehouse)
        self.site = Site(folder)
        self.sandbox = self.site.serve(days=0, seed=seed, traps=False, **LISTS)
        known = self.site.served
        self.site.settings |= {
            "base_url": known.base_url,
            "client_id": known.client_id,
            "client_secret": known.client_secret,
        }
        self.books = Books(known.base_url, folder, client_id=known.client_id, client_secret=known.client_secret)
        if ledger_url:
            self.books.url = ledger_url
        self.books.clock = self.site.clock
        self.usage, self.codes, self.seconds, self.figures = [], Counter(), [], []
        self.faults = self.requests = self._units = 0
        self.seen, self.ever, self._known_before = set(), self._live(), None
        # Rows that are never deleted: without them there would be no usage after a day.
        billable = self.sandbox.metering.billable()
        self._lasting = {id_ for one in billable[::2] for id_ in (one.customer_id, one.entitlement_id)}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.site.__exit__(*exc)

    @property
    def _warehouse(self):
        place = self.place
        return str(place._file) if isinstance(place, DuckDb) else place._server.url(place._database)

    # The vendor

    def _live(self):
        return {(table, id_) for table in LISTS for id_ in self.sandbox.rows.ids(table)}

    def change(self):
        """Insert, change or delete a row."""
        rows = self.sandbox.rows
        table = self.random.choices(list(LISTS), weights=list(LISTS.values()))[0]
        ids = rows.ids(table)
        kind = self.random.choice(("insert", "change", "change", "delete"))
        if kind == "insert" or len(ids) < LISTS[table] / 2:
            self.ever |= {(table, id_) for id_ in rows.insert(table)}
        elif kind == "delete":
            rows.delete(table, self.random.choice([id_ for id_ in ids if id_ not in self._lasting]))
        else:
            self._units += 1
            rows.change(table, self.random.choice(ids), {"note": f"changed {self._units}"})

    def _break(self, path="/api/v1/"):
        """Choose the requests that will fail."""
        self.sandbox.faults.clear()
        for number in range(60):
            if self.random.random() < SHARE:
                kind = self.random.choice(FAULTS)
                # A 429 says that a POST was not taken, and it is sent again: after one that was, nothing could help.
                statuses = (500, 502, 503) if kind == "error_after" else (500, 502, 503, 429)
                self.sandbox.faults.add(kind, path, after=number, status=self.random.choice(statuses))

    def _count(self):
        self.faults += sum(fault.fired for fault in self.sandbox.faults.all())
        self.requests += len(self.sandbox.requests.to("/api/v1/"))
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()

    # The user

    def run(self, hours, measure_every=6, minutes=float("inf")):
        """So many hours of it, or what real minutes allow; at the end two syncs and two pushes without faults."""
        clock, start = self.site.clock, self.site.clock.monotonic()
        ends = time.monotonic() + 60 * minutes
        last_push = last_measured = start
        for turn in range(int(hours * HOUR / EVERY)):
            if time.monotonic() >= ends:
                break
            for _ in range(self._number_of_changes()):
                self.change()
            self.sync(killed=self.random.random() < KILLED)
            if clock.monotonic() - last_push >= HOUR:
                last_push += HOUR
                self._use()
                self.push(killed=self.random.random() < KILLED)
            if turn == 11 or clock.monotonic() - last_measured >= measure_every * HOUR:
                last_measured = clock.monotonic()
                self.measure((last_measured - start) / HOUR)
            clock.advance(max(0.0, start + (turn + 1) * EVERY - clock.monotonic() - 60))
        self.measure((clock.monotonic() - start) / HOUR)
        self._finish()

    def _number_of_changes(self):
        mean = CHANGES * sum(LISTS.values()) * EVERY / 60
        return int(mean) + (self.random.random() < mean % 1)

    def _finish(self):
        for _ in range(2):
            assert self.sync(quiet=True) == 0, self.codes
        self.push(quiet=True)
        self.push(quiet=True)

    def sync(self, killed=False, quiet=False):
        """One sync; its exit code, the name of an error, or None for a kill."""
        before = self._live()
        if not quiet:
            self._break()
        began = time.perf_counter()
        code = self._die_in_sync() if killed else self._sync(quiet)
        if code == 0:
            self.seconds.append(time.perf_counter() - began)
        self._count()
        self.codes[f"sync {code}"] += 1
        # A sync after one that did not end may take over what that one has read.
        if code == 0 and self._known_before == 0:
            self.seen |= before & self._live()
        self._known_before = code
        return code

    def _sync(self, quiet):
        def on_page(*_):
            if not quiet and self.random.random() < 0.1:
                self.change()

        try:
            return self.site.sync(*LISTS, destination=self._destination, on_page=on_page).code
        except AutomatumError as error:
            return error.exit_code

    def _die_in_sync(self):
        moment, after, page = self.random.choice(MOMENTS), self.random.random() < 0.5, self.random.randint(1, 5)
        epoch = self.site.clock.time()
        self.site.clock.advance(60)
        self._in_child(_killed_sync, self.folder, self.site.settings, self._warehouse, epoch, moment, after, page)
        self.site._opened = None, None  # The next one is another process.

    def _in_child(self, function, *arguments):
        child = _CONTEXT.Process(target=function, args=arguments)
        child.start()
        child.join(60)
        assert child.exitcode in (0, 1, -signal.SIGKILL), child.exitcode
        self.codes[f"killed {child.exitcode == -signal.SIGKILL}"] += 1

    def _use(self):
        now = datetime.fromtimestamp(self.site.clock.time(), UTC)
        rows = rows_of(self.sandbox, (1,), now)
        for row in rows:
            self._units += 1
            row["units"] = str(self._units)  # Never the same twice: the server is told a date and no hour.
        self.usage.append(rows)

    def push(self, killed=False, quiet=False):
        """Push the usage of the last hours."""
        rows = [row for hour in self.usage[-OFFERED:] for row in hour]
        if not quiet:
            self._break("/api/v1/metering")
        if killed and self.codes:
            settings = {**self.books.settings, "ledger_url": self.books.url}
            commit, where = self.random.randint(2, 8), self.random.choice(("before", "after", "later"))
            self._in_child(_killed_push, self.folder, settings, self.site.clock.time(), rows, commit, where)
            code = None
        else:
            try:
                code = self.books.push(rows).exit_code
            except AutomatumError as error:
                code = error.exit_code
        self._count()
        self.codes[f"push {code}"] += 1

    # What came of it

    def wrong(self):
        """Where tables and the sandbox's rows differ."""
        found = []
        for table, rows in expected_lists(self.sandbox).items():
            held = self.place.rows(table)
            keys = KEYS[table]
            live = [row for row in held if row["_deleted_at"] is None]
            by_key = {tuple(row[key] for key in keys) if keys[1:] else row[keys[0]]: row for row in live}
            if len(by_key) != len(live):
                found.append((table, "a key twice"))
            found += [(table, key, "missing or too much") for key in by_key.keys() ^ rows.keys()]
            for key in by_key.keys() & rows.keys():
                found += [
                    (table, key, name, value, by_key[key][name])
                    for name, value in rows[key].items()
                    if _plain(by_key[key][name], name) != value
                ]
            if table in LISTS:
                dead = {(table, row["id"]) for row in held} - {(table, id_) for id_ in rows}
                should = {one for one in self.seen if one[0] == table} - {(table, id_) for id_ in rows}
                found += [(one, "is not marked as deleted") for one in should - dead]
                found += [(one, "was never there") for one in dead - self.ever]
        return found

    def billing(self):
        """Lines that were billed, and those that are open by the ledger; fails on any that are neither or both."""
        asked, taken = keys_of([row for hour in self.usage for row in hour]), keys_of_bodies(taken_by(self.sandbox))
        assert max(taken.values(), default=0) <= 1, "billed twice"
        assert taken <= asked, "billed, and not asked for"
        with self.books.open() as ledger:
            entries = {Fraction(one.line.units): one for one in ledger.entries()}
        states = Counter()
        for key in asked:
            entry = entries.get(key[5])
            assert entry is not None, f"{key} is not in the ledger"
            known = entry.state in ("accepted", "confirmed")
            assert known == (key in taken) or entry.state == "unknown", (key, entry.state)
            states[entry.state] += 1
        return dict(states)

    def measure(self, hours):
        """Note sizes and counts."""
        found = {
            "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
            "memory MB": round(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6, 1),
            "warehouse MB": round(self._warehouse_bytes() / 1e6, 2),
            "working folder MB": round(_bytes_in(self.site.pipelines_dir) / 1e6, 2),
            "files of the folder": sum(1 for path in self.site.pipelines_dir.rglob("*") if path.is_file()),
        }
        if self.books.url.startswith("sqlite"):
            found["ledger MB"] = round(sum(path.stat().st_size for path in self.folder.glob("ledger.sqlite*")) / 1e6, 2)
        found |= {table: len(self.place.rows(table)) for table in TABLES}
        found |= self._ledger_rows()
        recent = sorted(self.seconds[-12:])
        found["ms of a sync"] = round(1000 * recent[len(recent) // 2]) if recent else 0
        self.figures.append((round(hours, 2), found))
        print(f"{hours:.1f} hours: {found}", flush=True)

    def _warehouse_bytes(self):
        if isinstance(self.place, DuckDb):
            return sum(path.stat().st_size for path in self.folder.glob("marketplace.duckdb*"))
        return self.place._server.execute(f"SELECT pg_database_size('{self.place._database}')")[0][0]

    def _ledger_rows(self):
        import sqlalchemy

        if not self.usage:
            return dict.fromkeys(LEDGER, 0)
        engine = sqlalchemy.create_engine(self.books.url.replace("postgresql:", "postgresql+psycopg2:"))
        with engine.connect() as connection:
            counts = {
                name: connection.execute(sqlalchemy.text(f"SELECT count(*) FROM {name}")).scalar() for name in LEDGER
            }
        engine.dispose()
        return counts

    def report(self):
        """The figures as text: first, last, and the growth a day between them."""
        (began, first), (ended, last) = self.figures[0], self.figures[-1]
        days = max(ended - began, 1e-9) / 24
        lines = [f"{ended:.1f} simulated hours, {self.requests} requests, {self.faults} faults, {dict(self.codes)}"]
        lines += [
            f"{name:>24} {first[name]:>10} {last[name]:>10} {(last[name] - first[name]) / days:>12.1f} a day"
            for name in last
        ]
        return "\n".join(lines)


def _plain(value, name):
    if isinstance(value, datetime):
        return round((value - _EPOCH).total_seconds() * 1e6)
    if name == "extra" and isinstance(value, str):
        from decimal import Decimal

        return json.loads(value, parse_float=Decimal)
    return value


def _bytes_in(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
