"""One life of a dataset, in the order in which things happen to it; each case holds one thing about it."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import dlt
import orjson
import pytest

from automatum.api.session import connect
from automatum.core.budget import Budget
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS, Column, FieldPath
from automatum.metering.export import export_ledger
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.options import PushOptions
from automatum.metering.push import push
from automatum.metering.usage.usage import read_usage
from automatum.operations.status import read_sweeps
from automatum.operations.verify import check_rules
from automatum.sync.engine import sync
from automatum.warehouse.target import open_pipeline
from tests.support.destinations.places import DATASET
from tests.support.expected import KEYS, children_of, customer, dimension, entitlement, payment, private_offer
from tests.support.pushing import keys_of, keys_of_bodies, rows_of
from tests.support.syncing import Site, Synced

HARD = "deleted for good (`hard`)"
"""Places whose tables are files. DuckDB could read any other file, too, so a query of usage is refused there."""

VOLUME = {"customers": 230, "entitlements": 20, "private_offers": 9, "days": 3}
PAGES = 3 + 1 + 1
"""Of a sync that finds nothing: pages of 100, and the report."""
NAMES = "Ωμέγα Łódź 株式会社 شركة חברה Компания 한국 ไทย 🧪👩‍🚀 \"quoted\" 'ticks' back\\slash \t \n \x01\x7f end"
LARGEST, SMALLEST = "99999999999999999999999999999.999999999", "-0.000000001"
INSTANT = "2024-03-10T03:34:56.123457+05:30"
RATE = Decimal("0.12345678901234567890123")
"""A number in `extra` that no float holds."""

CASES = (
    "first sync",
    "resume on a fresh machine",
    "unchanged sync",
    "child lists grow, shrink, empty",
    "update",
    "non-Latin text exact",
    "time zones exact",
    "decimals exact",
    "unknown field",
    "JSON in `extra` exact",
    "deleted (`soft`)",
    "row comes back",
    "history",
    "new column of a later version",
    HARD,
    "usage pushed from it",
    "ledger exported to it",
    "verify",
    "status",
)
SHORT = CASES.index("new column of a later version")


@dataclass
class Life:
    """A place, an API, and what has happened so far.

    Attributes:
        site: Sandbox and clock.
        place: The destination under test.
        machines: Number of working folders so far.
        later: The connector is of a later version, which has a column more.
        short: It ends with the first cases, `CASES[:SHORT]`.
    """

    site: Site
    place: object
    machines: int = 0
    later: bool = False
    short: bool = False

    def __post_init__(self):
        self.site.settings.update(history=True)
        self.move()

    @property
    def sandbox(self):
        return self.site.served.sandbox

    def move(self):
        """Go on on a machine that knows nothing: a new working folder, and a new destination object."""
        self.machines += 1
        folder = self.site.folder / f"machine-{self.machines}"
        self.pipeline = open_pipeline(self.place.destination(), DATASET, str(folder))

    def connect(self, max_requests=None, **settings):
        resolved = self.site.resolved(**settings)
        made = connect(resolved, clock=self.site.clock, budget=Budget(self.site.clock, max_requests))
        if self.later:
            region = Column("region", "text", (FieldPath("region"),))
            made.endpoints = tuple(
                replace(one, columns=(*one.columns, region)) if one.table == "customers" else one
                for one in made.endpoints
            )
        return made

    def sync(self, max_requests=None, **settings):
        """One sync, a minute after the last one."""
        self.site.clock.advance(60)
        self.sandbox.requests.clear()
        connection = self.connect(max_requests, **settings)
        summary = sync(connection, self.pipeline)
        made = Synced(summary, self.sandbox.requests.to("/api/v1/"))
        assert summary.requests == len(made.entries)  # I3: what it says is what it sent
        return made

    def held(self, table, deleted=False):
        """Key to row, of the rows that are live, or of those that are marked deleted."""
        found, names = {}, KEYS[table]
        for row in self.place.rows(table):
            if (row["_deleted_at"] is not None) is deleted and not row.get("_removed"):
                key = row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)
                assert key not in found, f"{table} holds {key} twice"
                found[key] = {name: plain(name, value) for name, value in row.items()}
        return found

    def everything(self):
        """All rows of the user's tables, as they are."""
        tables = [*KEYS, "customers_history", "entitlements_history", "private_offers_history"]
        return {table: sorted(repr(sorted(row.items())) for row in self.place.rows(table)) for table in tables}

    def records(self, table):
        """What the API lists, numbers as decimals."""
        return json.loads(orjson.dumps(self.sandbox.rows.all(table)), parse_float=Decimal)

    def wrong(self):
        """Each value that is not what the API's records say: table, key, column, expected, held."""
        entitlements, offers = self.records("entitlements"), self.records("private_offers")
        wanted = {
            "customers": {one["id"]: self._customer(one) for one in self.records("customers")},
            "entitlements": {one["id"]: entitlement(one) for one in entitlements},
            "entitlement_dimensions": children_of(entitlements, lambda one: one["dimensions"], dimension),
            "private_offers": {one["id"]: private_offer(one) for one in offers},
            "private_offer_payments": children_of(offers, lambda one: one["pricing"]["paymentSchedule"], payment),
        }
        made = []
        for name, rows in wanted.items():
            found = self.held(name)
            made += [(name, key, "row", "there", "missing") for key in rows.keys() - found.keys()]
            made += [(name, key, "row", "none", "there") for key in found.keys() - rows.keys()]
            made += [
                (name, key, column, value, found[key][column])
                for key in rows.keys() & found.keys()
                for column, value in rows[key].items()
                if found[key][column] != value
            ]
        return made

    def _customer(self, record):
        if not self.later:
            return customer(record)
        known = {name: value for name, value in record.items() if name != "region"}
        return {**customer(known), "region": record.get("region")}

    def broken(self):
        """What `verify` finds; that it had something to check is held, too."""
        found = check_rules(self.pipeline, ENDPOINTS)
        assert len(found) == 15, [(one.table, one.rule) for one in found]
        return {(one.table, one.rule): one.broken for one in found if one.broken}

    def versions(self, id_):
        """Name and deletion of each version of a customer, oldest first."""
        kept = [row for row in self.place.rows("customers_history") if row["id"] == id_]
        kept.sort(key=lambda row: row["valid_from"])
        return [(row["company_name"], row["deleted"]) for row in kept]


def asked(made):
    """Ids of rows that a sync has asked for at their own URLs."""
    return [one for one in made.details if one != "revenue"]


def pages_of(made):
    """Numbers of requests for lists, and for reports and their proofs."""
    reports = sum("/analytics/" in entry.path for entry in made.entries)
    return len(made.entries) - reports, reports


def plain(name, value):
    """A value as `expected` writes it."""
    if name == "extra":
        return None if value is None else json.loads(value, parse_float=Decimal)
    if isinstance(value, datetime):
        assert value.tzinfo, f"{name} has no zone"
        return (value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    return value


def live(life):
    """Live it; yields each case when it holds."""
    yield from _begin(life)
    yield from _change(life)
    if life.short:
        return
    yield from _grow(life)
    yield from _remove(life)
    yield from _push(life)


def _begin(life):
    sandbox = life.sandbox
    sandbox.rows.change("customers", sandbox.rows.ids("customers")[0], {"region": "EMEA"}, touch=False)
    assert life.sync(max_requests=2).code == 75
    life.move()
    made = life.sync()
    assert (made.code, made.summary.errors) == (0, [])
    # The last page of the interrupted run is read again, to show that the list stands.
    assert [entry.page for entry in made.entries if entry.path.endswith("customers")] == [2, 3], (
        "a page was paid for twice"
    )
    pages, reports = pages_of(made)
    assert (pages, reports > 0) == (PAGES - 1, True)
    assert life.wrong() == []
    assert len(life.place.rows("analytics_revenue")) == 2 * VOLUME["days"]
    yield "first sync"
    yield "resume on a fresh machine"
    before, packages = life.everything(), len(life.pipeline.list_completed_load_packages())
    again = life.sync()
    assert (again.code, pages_of(again)[0], asked(again)) == (0, PAGES, [])
    assert life.everything() == before, "an unchanged sync wrote to the user's tables"
    assert len(life.pipeline.list_completed_load_packages()) <= packages + 1
    if not life.short:
        life.move()
        assert pages_of(life.sync())[0] == PAGES
        assert life.everything() == before, "on a fresh machine, an unchanged sync wrote to the user's tables"
    yield "unchanged sync"


def _change(life):
    sandbox = life.sandbox
    ids, offers = sandbox.rows.ids("customers"), sandbox.rows.ids("private_offers")
    lists = [one for one in sandbox.rows.all("entitlements") if len(one["dimensions"]) > 1][:3]
    empty = next(one for one in sandbox.rows.all("entitlements") if not one["dimensions"])
    entry = {"key": "added", "name": "Añadido", "quantity": "1.5", "price": "0.000000001", "unit": "unit"}
    sandbox.rows.change("customers", ids[1], {"companyName": NAMES}, touch=False)
    sandbox.rows.change("customers", ids[2], {"companyName": "Later", "createdAt": INSTANT}, touch=False)
    odd = {"ключ": ["値", {"🗝": "a\"b\\c'd"}], "rate": orjson.Fragment(str(RATE)), "big": 2**53 + 1, "none": None}
    for number in (3, 4):
        sandbox.rows.change("customers", ids[number], {"novel": odd}, touch=False)
    for id_, value in zip(offers, (LARGEST, SMALLEST), strict=False):
        pricing = {**sandbox.rows.get("private_offers", id_)["pricing"], "totalContractValue": value}
        sandbox.rows.change("private_offers", id_, {"pricing": pricing}, touch=False)
    sandbox.rows.change("entitlements", lists[0]["id"], {"dimensions": lists[0]["dimensions"][:1]}, touch=False)
    sandbox.rows.change("entitlements", lists[1]["id"], {"dimensions": []}, touch=False)
    sandbox.rows.change("entitlements", lists[2]["id"], {"dimensions": [*lists[2]["dimensions"], entry]}, touch=False)
    sandbox.rows.change("entitlements", empty["id"], {"dimensions": [entry, entry]}, touch=False)
    made = life.sync()
    assert (made.code, asked(made)) == (0, [])
    assert [made.counts(name)[:3] for name in ("customers", "entitlements", "private_offers")] == [
        (0, 4, 0), (0, 4, 0), (0, 2, 0),
    ]  # fmt: skip
    wrong = life.wrong()
    assert not [one for one in wrong if one[0] == "entitlement_dimensions"]
    yield "child lists grow, shrink, empty"
    customers, values = life.held("customers"), life.held("private_offers")
    assert customers[ids[2]]["company_name"] == "Later"
    yield "update"
    assert customers[ids[1]]["company_name"] == NAMES
    yield "non-Latin text exact"
    instant = datetime(2024, 3, 9, 22, 4, 56, 123457, timezone.utc)
    assert customers[ids[2]]["created_at"] == plain("created_at", instant)
    yield "time zones exact"
    assert [values[id_]["total_contract_value"] for id_ in offers[:2]] == [Decimal(LARGEST), Decimal(SMALLEST)]
    yield "decimals exact"
    assert customers[ids[3]]["extra"]["novel"] == {**odd, "rate": RATE}
    yield "unknown field"
    assert wrong == []
    yield from _delete(life, ids, lists[2]["id"])


def _delete(life, ids, entitlement_id):
    """A row whose `extra` is exact, and one with children: marked, as they were; and back again."""
    sandbox = life.sandbox
    gone = [("customers", ids[4]), ("customers", ids[2]), ("entitlements", entitlement_id)]
    records = [(table, sandbox.rows.get(table, id_)) for table, id_ in gone]
    before = [life.held(table)[id_] for table, id_ in gone]
    children = {key: row for key, row in life.held("entitlement_dimensions").items() if key[0] == entitlement_id}
    assert len(children) >= 3
    for table, id_ in gone:
        sandbox.rows.delete(table, id_)
    made = life.sync()
    assert (made.code, made.counts("customers")[2], made.counts("entitlements")[2]) == (0, 2, 1)
    marked = [life.held(table, deleted=True)[id_] for table, id_ in gone]
    own = {"_deleted_at", "_synced_at", "_dlt_load_id"}
    for was, now in zip(before, marked, strict=True):
        assert {name: was[name] for name in was.keys() - own} == {name: now[name] for name in now.keys() - own}
    assert marked[0]["extra"]["novel"]["rate"] == RATE
    yield "JSON in `extra` exact"
    buried = life.held("entitlement_dimensions", deleted=True)
    for key, was in children.items():
        assert {name: was[name] for name in was.keys() - own} == {name: buried[key][name] for name in was.keys() - own}
    assert life.wrong() == []
    assert (asked(life.sync()), life.broken()) == ([], {})
    yield "deleted (`soft`)"
    for table, record in records:
        sandbox.rows.put(table, record)
    assert life.sync().code == 0
    assert life.wrong() == []
    for table, id_ in gone:
        assert id_ not in life.held(table, deleted=True)
    assert not [key for key in life.held("entitlement_dimensions", deleted=True) if key in children]
    yield "row comes back"
    first = records[1][1]["companyName"]
    told = life.versions(ids[2])
    assert told[1:] == [(first, False), (first, True), (first, False)]
    assert told[0][0] != first
    assert life.broken() == {}
    yield "history"


def _grow(life):
    """Rows that did not change get the column of a later version."""
    life.later = True
    life.move()
    made = life.sync()
    assert (made.code, made.counts("customers"), asked(made)) == (0, (0, VOLUME["customers"], 0, 0), [])
    assert life.held("customers")[life.sandbox.rows.ids("customers")[0]]["region"] == "EMEA"
    assert life.wrong() == []
    assert life.sync().counts("customers") == (0, 0, 0, VOLUME["customers"])
    yield "new column of a later version"
    for later in (False, True):
        life.later = later
        made = life.sync()
        assert (made.code, made.counts("customers"), life.wrong()) == (0, (0, VOLUME["customers"], 0, 0), [])


def _remove(life):
    sandbox = life.sandbox
    id_ = next(one["id"] for one in sandbox.rows.all("entitlements") if len(one["dimensions"]) > 1)
    customer_id = sandbox.rows.ids("customers")[5]
    sandbox.rows.delete("customers", customer_id)
    sandbox.rows.delete("entitlements", id_)
    made = life.sync(deletes="hard")
    assert (made.code, made.counts("customers")[2], made.counts("entitlements")[2]) == (0, 1, 1)
    assert customer_id not in {row["id"] for row in life.place.rows("customers")}
    assert id_ not in {row["id"] for row in life.place.rows("entitlements")}
    assert id_ not in {row["entitlement_id"] for row in life.place.rows("entitlement_dimensions")}
    assert life.wrong() == []
    yield HARD


def _push(life):
    site, sandbox = life.site, life.sandbox
    life.move()
    rows = rows_of(sandbox, now=datetime.fromtimestamp(site.clock.time(), timezone.utc))
    assert rows
    typed = [{**row, "units": Decimal(row["units"]), "price": Decimal(row["price"])} for row in rows]
    usage = dlt.pipeline(
        "usage",
        destination=life.place.destination(),
        dataset_name=DATASET,
        pipelines_dir=str(site.folder / "usage"),
    )
    file_format = "parquet" if usage.destination.destination_name == "filesystem" else None
    usage.run(typed, table_name="usage_rows", write_disposition="replace", loader_file_format=file_format)
    url = f"sqlite:///{site.folder}/ledger.db"

    def report(source, begin):
        now = datetime.fromtimestamp(site.clock.time(), timezone.utc)
        found = read_usage(
            source,
            pipeline=life.pipeline,
            grain="hour",
            until=now,
            now=now,
            mapping=None,
            source="usage_rows",
            organization_id=None,
            unchecked=False,
            clock=site.clock,
        )
        with Ledger.open(url, site.clock, begin=begin, write=True) as ledger:
            return push(life.connect(), found, ledger, PushOptions())

    result = report("usage_rows", begin=True)
    assert (result.exit_code, result.plan.refusals, result.errors) == (0, [], [])
    bodies = [call.body for call in sandbox.metering.accepted]
    assert keys_of_bodies(bodies) == keys_of(rows)  # I5
    if life.place.name == "DuckLake":
        with pytest.raises(ConfigurationError, match="cannot be read where the tables are files"):
            report("sql:SELECT * FROM usage_rows", begin=False)
        again = report("usage_rows", begin=False)
    else:
        again = report("sql:SELECT * FROM usage_rows", begin=False)
    assert again.exit_code == 0
    assert len(sandbox.metering.accepted) == len(bodies), "what was accepted was sent again"
    yield "usage pushed from it"
    with Ledger.open(url, site.clock) as ledger:
        lines = {entry.id: entry.line.charged for entry in ledger.entries()}
        for _ in range(2):
            export_ledger(ledger, life.pipeline)
    exported = life.place.rows("metering_lines")
    assert {row["line_id"]: row["asked_amount"] for row in exported} == lines
    assert len(exported) == len(lines) == len(life.place.rows("metering_attempts"))
    yield "ledger exported to it"
    assert life.broken() == {}
    yield "verify"
    figures = read_sweeps(life.pipeline, site.clock.time())
    verdicts = {table: one["verdict"] for table, one in figures["tables"].items()}
    assert verdicts == dict.fromkeys(("customers", "entitlements", "private_offers", "analytics_revenue"), "complete")
    assert figures["under_way"] == {}, "pages of sweeps that are over count as under way"
    yield "status"
