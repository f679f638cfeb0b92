"""What both writers of a chunk promise, on every kind of destination (I1, I3, I9)."""

import json
from contextlib import closing
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from automatum.core.errors import DestinationError, PackageRefused
from automatum.endpoints import ENDPOINTS
from automatum.schema.columns import POSITION
from automatum.schema.log_tables import SWEEPS_TABLE, log_tables
from automatum.schema.tables import tables_of
from automatum.warehouse.load import ATTEMPTS, ChunkTables, DuckDbWriter, Loader, PackageWriter, WriteFailed
from automatum.warehouse.target import open_pipeline
from tests.support.clocks import FakeClock
from tests.support.destinations.places import PLACES
from tests.support.many_databases import Killed

PARENT, CHILD = tables_of(next(one for one in ENDPOINTS if one.table == "entitlements"))
SOFT = (PARENT, CHILD, *log_tables())
HARD = (*tables_of(next(one for one in ENDPOINTS if one.table == "entitlements"), hard=True), *log_tables())
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
WRITERS = {
    "DuckDB, transaction": ("DuckDB", DuckDbWriter),
    "DuckDB, package": ("DuckDB", PackageWriter),
    "Postgres, package": ("Postgres", PackageWriter),
}


def parent(id_, *, at=NOON, **values):
    return {"id": id_, "_row_hash": "h", "_synced_at": at, **values}


def child(id_, position, *, at=NOON, **values):
    return {"entitlement_id": id_, POSITION: position, "_synced_at": at, **values}


def sweep(id_):
    return {"sweep_id": id_, "table_name": "entitlements", "_synced_at": NOON}


class Written:
    """One destination, and a new working folder for each run."""

    def __init__(self, name, folder):
        kind, self.writer = WRITERS[name]
        self.place = copy(next(one for one in PLACES if one.name == kind))
        self.place.open(folder)
        self._folder, self._runs = folder, 0
        self.tables = SOFT

    def run(self, *chunks, writer=None):
        """One run that writes chunks, each a list of table and rows."""
        self._runs += 1
        destination = self.place.destination()
        pipeline = open_pipeline(destination, "automatum", str(self._folder / f"run_{self._runs}"))
        loader = Loader(pipeline, FakeClock(), writer=(writer or self.writer)(pipeline))
        schemas = {table.name: table.schema for table in self.tables}
        loader.start(self.tables)
        for chunk in chunks:
            lacking = set(loader.lacking)

            def read(chunk=chunk, lacking=lacking):
                for name, rows in chunk:
                    lacking.discard(name)
                    yield name, pa.Table.from_pylist(rows, schemas[name])

            declared = {table.name: (table, "entitlements") for table in self.tables}
            loader.load(ChunkTables({"entitlements": read()}, declared, lacking))
        return pipeline

    def rows(self, table, *columns):
        return sorted(tuple(row.get(name) for name in columns) for row in self.place.rows(table))

    def complete(self):
        """Ids of complete loads."""
        return {row["load_id"] for row in self.place.rows("_dlt_loads") if row["status"] == 0}

    def execute(self, statement):
        if self.place.name == "DuckDB":
            with duckdb.connect(str(self._folder / "marketplace.duckdb")) as connection:
                return connection.execute(statement).fetchall()
        with closing(self.place._server.connect(self.place._database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None


@pytest.fixture
def written(request, tmp_path):
    made = Written(request.param, tmp_path)
    yield made
    made.place.close()


every_writer = pytest.mark.parametrize("written", WRITERS, indirect=True)


@every_writer
def test_rows_children_and_records_have_the_id_of_one_complete_load(written):
    chunk = [
        ("entitlements", [parent("a", value=Decimal("1.123456789"), extra='{"x":1e2}'), parent("b")]),
        ("entitlement_dimensions", [child("a", 0), child("a", 1)]),
        (SWEEPS_TABLE, [sweep("s")]),
    ]
    written.run(chunk)
    assert written.rows("entitlements", "id") == [("a",), ("b",)]
    (row, _) = sorted(written.place.rows("entitlements"), key=lambda row: row["id"])
    extra = row["extra"] if isinstance(row["extra"], str) else json.dumps(row["extra"])
    assert (Decimal(row["value"]), extra.replace(" ", "")) in [
        (Decimal("1.123456789"), text) for text in ('{"x":1e2}', '{"x":100}', '{"x":100.0}')
    ]
    assert written.rows("entitlement_dimensions", POSITION) == [(0,), (1,)]
    ids = {
        row["_dlt_load_id"] for name in ("entitlements", "entitlement_dimensions") for row in written.place.rows(name)
    }
    ids |= {row["load_id"] for row in written.place.rows(SWEEPS_TABLE)}
    assert ids == written.complete()
    assert len(ids) == 1


@every_writer
def test_a_row_replaces_the_one_of_its_key_also_within_a_chunk(written):
    later = NOON + timedelta(minutes=1)
    written.run([("entitlements", [parent("a", status="old"), parent("b", status="old")])])
    twice = [parent("a", status="new", at=later + timedelta(minutes=1)), parent("a", status="mid", at=later)]
    written.run([("entitlements", twice)])
    assert written.rows("entitlements", "id", "status") == [("a", "new"), ("b", "old")]


@every_writer
def test_the_lists_of_the_parents_in_a_chunk_are_replaced(written):
    written.run([("entitlement_dimensions", [child("a", 0), child("a", 1), child("b", 0), child("c", 0)])])
    later = NOON + timedelta(minutes=1)
    written.run([("entitlement_dimensions", [child("a", 0, at=later), child("b", 0, at=later, _removed=True)])])
    assert written.rows("entitlement_dimensions", "entitlement_id", POSITION) == [("a", 0), ("c", 0)]


@every_writer
def test_rows_that_are_to_be_removed_are(written):
    written.tables = HARD
    written.run([("entitlements", [parent("a"), parent("b")])])
    written.run([("entitlements", [parent("a", at=NOON + timedelta(minutes=1), _deleted_at=NOON)])])
    assert written.rows("entitlements", "id") == [("b",)]


@every_writer
@pytest.mark.parametrize(
    "change", ["DROP TABLE automatum.entitlements", "ALTER TABLE automatum.entitlements DROP status"]
)
def test_what_a_user_has_dropped_is_made_again_i9(written, change):
    written.run([("entitlements", [parent("a", status="x")])])
    written.execute(change)
    written.run([("entitlements", [parent("b", status="x")])])
    assert ("b", "x") in written.rows("entitlements", "id", "status")


@every_writer
def test_a_later_chunk_makes_the_tables_that_an_earlier_one_left_out(written):
    written.run([(SWEEPS_TABLE, [sweep("s")])], [("entitlements", [parent("a")]), ("entitlement_dimensions", [])])
    assert written.rows("entitlements", "id") == [("a",)]
    assert written.rows("entitlement_dimensions", POSITION) == []


@every_writer
@pytest.mark.parametrize("raises", ["", "false"])
def test_refused_rows_are_named_and_nothing_of_their_chunk_counts_i1(written, monkeypatch, raises):
    monkeypatch.setenv("LOAD__RAISE_ON_FAILED_JOBS", raises)  # dlt's setting for other pipelines of a project.
    written.run([("entitlements", [parent("a")])])
    before = written.complete()
    written.execute("ALTER TABLE automatum.entitlements ADD COLUMN theirs INTEGER")
    written.execute("UPDATE automatum.entitlements SET theirs = 1")
    written.execute("ALTER TABLE automatum.entitlements ALTER COLUMN theirs SET NOT NULL")
    with pytest.raises(PackageRefused) as refused:
        written.run([(SWEEPS_TABLE, [sweep("s")]), ("entitlements", [parent("b")])])
    assert refused.value.table == "entitlements" and "theirs" in refused.value.message
    assert written.complete() == before
    assert written.rows("entitlements", "id") == [("a",)]
    written.execute("ALTER TABLE automatum.entitlements DROP COLUMN theirs")
    written.run([("entitlements", [parent("b")])])
    assert written.rows("entitlements", "id") == [("a",), ("b",)]


@every_writer
def test_a_kill_in_the_middle_leaves_nothing_that_counts_and_the_next_run_writes_it_i1_i3(written, monkeypatch):

    def chunk(at):
        children = ("entitlement_dimensions", [child("a", 0, at=at)])
        return [("entitlements", [parent("a", at=at)]), children, (SWEEPS_TABLE, [sweep("s")])]

    written.run([("entitlements", [parent("z")])])
    before, complete = written.rows("entitlements", "id"), written.complete()

    from dlt.destinations.job_client_impl import SqlJobClientBase

    def dying(*_):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(SqlJobClientBase, "complete_load", dying)
        written.run(chunk(NOON))
    if written.writer is DuckDbWriter:
        assert written.rows("entitlements", "id") == before
    assert written.complete() == complete
    written.run(chunk(NOON + timedelta(minutes=1)))
    assert written.rows("entitlements", "id") == [("a",), ("z",)]
    assert written.rows("entitlement_dimensions", POSITION) == [(0,)]
    assert written.rows(SWEEPS_TABLE, "sweep_id") == [("s",)]


@pytest.mark.parametrize("written", ["DuckDB, transaction"], indirect=True)
def test_columns_and_stored_schema_are_those_of_a_package(written, tmp_path):
    chunk = [(table.name, []) for table in SOFT]

    def described(made):
        columns = (
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'automatum' ORDER BY ALL"
        )
        ((schema,),) = made.execute(
            "SELECT schema FROM automatum._dlt_version WHERE schema_name = 'automatum' "
            "ORDER BY inserted_at DESC LIMIT 1"
        )
        tables = {
            name: {key: value for key, value in table.items() if key not in ("x-normalizer", "variant_name")}
            for name, table in json.loads(schema)["tables"].items()
        }
        return made.execute(columns), tables

    written.run([*chunk[:-1], (SWEEPS_TABLE, [sweep("s")])], [(chunk[-1][0], [])])
    other = tmp_path / "other"
    other.mkdir()
    package = Written("DuckDB, package", other)
    package.run(chunk)
    (ours, our_tables), (theirs, their_tables) = described(written), described(package)
    assert ours == theirs
    assert our_tables == their_tables


@pytest.mark.parametrize("written", ["DuckDB, transaction"], indirect=True)
def test_a_package_follows_a_transaction_and_the_other_way_round(written):
    for turn, writer in enumerate([PackageWriter, DuckDbWriter, PackageWriter]):
        at = NOON + timedelta(minutes=turn)
        written.run([("entitlements", [parent("a", status=str(turn), at=at), parent(str(turn))])], writer=writer)
    assert written.rows("entitlements", "id", "status") == [("0", None), ("1", None), ("2", None), ("a", "2")]
    assert len(written.complete()) == 3


class Failing:
    """A writer whose destination fails some times."""

    def __init__(self, *causes):
        self.causes, self.dropped = list(causes), 0

    def read(self, chunk):
        pass

    def write(self, chunk, creates):
        if self.causes:
            raise WriteFailed("load", self.causes.pop(0))

    def drop(self):
        self.dropped += 1


@pytest.mark.parametrize(("failures", "sleeps"), [(ATTEMPTS - 1, [1.0, 2.0]), (ATTEMPTS, [1.0, 2.0])])
def test_a_failure_that_may_pass_is_tried_again_a_few_times(tmp_path, failures, sleeps):
    clock, slept = FakeClock(), []
    clock.sleep = slept.append
    pipeline = open_pipeline("duckdb", "automatum", str(tmp_path))
    writer = Failing(*[RuntimeError("away")] * failures)
    chunk = ChunkTables({}, {}, set())
    if failures < ATTEMPTS:
        Loader(pipeline, clock, writer=writer).load(chunk)
    else:
        with pytest.raises(DestinationError, match="away") as failed:
            Loader(pipeline, clock, writer=writer).load(chunk)
        assert not isinstance(failed.value, PackageRefused)
    assert (slept, writer.dropped) == (sleeps, failures == ATTEMPTS)


def test_the_tables_of_a_chunk_may_have_several_resources(tmp_path):
    written = Written("DuckDB, transaction", tmp_path)
    other = replace(PARENT, name="others")
    written.tables = (*SOFT, other)
    written.run([("entitlements", [parent("a")]), ("others", [parent("b")])])
    assert written.rows("others", "id") == [("b",)]
