"""The exported ledger: every table is there after an export, with the columns and types that are described."""

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import PushOptions, metering_usage
from automatum.config.settings import resolve_settings
from automatum.core.clock import SystemClock
from automatum.core.errors import ConfigurationError, DestinationError
from automatum.metering.export import EXPORTED, VIEWS, export_ledger
from automatum.metering.ledger.ledger import Ledger
from automatum.schema.metering_tables import METERING_TABLES
from automatum.schema.tables import owned
from automatum.warehouse.target import open_pipeline
from tests.support.entries import START, Shelf, make_entry, make_item, make_line
from tests.support.postgres import postgres  # noqa: F401  fixture

DUCKDB = {
    "text": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "date": "DATE", "bigint": "BIGINT"
}  # fmt: skip
CALL = {
    "attempt_id": "attempt_1",
    "body_id": "body_1",
    "run_id": "run_1",
    "started_at": START,
    "ended_at": START,
    "state": "accepted",
    "status_code": 202,
    "reference": "meter_1",
    "response": "{}",
    "error": None,
    "confirmed_at": None,
    "failed_at": None,
}


def call_of(entry):
    return {**CALL, "line_id": entry.id, "units": entry.line.units, "price": entry.line.price}


@pytest.fixture
def pipeline(tmp_path):
    target = dlt.destinations.duckdb(str(tmp_path / "m.duckdb"))
    return dlt.pipeline("export", str(tmp_path / "dlt"), destination=target, dataset_name="automatum")


@pytest.fixture
def query(tmp_path):
    def ask(text):
        with duckdb.connect(str(tmp_path / "m.duckdb"), read_only=True) as connection:
            return connection.execute(text).fetchall()

    return ask


def stored_type(column):
    return f"DECIMAL(38,{column.scale})" if column.type == "decimal" else DUCKDB[column.type]


@pytest.mark.parametrize("organization", [None, "acme"])
def test_every_table_and_view_is_there_also_without_rows(pipeline, query, organization):
    assert export_ledger(Shelf(), pipeline, organization) == dict.fromkeys(EXPORTED, 0)
    for table in METERING_TABLES if organization is None else map(owned, METERING_TABLES):
        found = query(
            "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns "
            f"WHERE table_schema = 'automatum' AND table_name = '{table.name}' ORDER BY ordinal_position"
        )
        assert found == [(one.name, stored_type(one), one.nullable) for one in table.columns]
        comments = query(
            "SELECT comment FROM duckdb_columns() WHERE schema_name = 'automatum' "
            f"AND table_name = '{table.name}' ORDER BY column_index"
        )
        assert comments == [(one.description,) for one in table.columns]
    for view in VIEWS:
        assert query(f"SELECT * FROM automatum.{view}") == []


@pytest.mark.parametrize("organization", [None, "acme"])
def test_dlt_knows_keys_references_and_descriptions(pipeline, organization):
    export_ledger(Shelf(), pipeline, organization)
    owner = [] if organization is None else ["organization_id"]
    for table in METERING_TABLES:
        stored = pipeline.default_schema.tables[table.name]
        assert stored["description"] == table.description
        assert [one["description"] for one in stored["columns"].values()][len(owner) :] == [
            one.description for one in table.columns
        ]
        assert [name for name, one in stored["columns"].items() if one.get("primary_key")] == [*owner, *table.key]
        referred = {one.name for one in table.columns if one.reference and one.reference.table in EXPORTED}
        assert {one["columns"][-1] for one in stored.get("references", ())} == referred


def test_m18_amounts_have_a_currency_and_refusals_and_the_journal_are_exported(pipeline, query):
    used = make_line(0, "13", "0.5")
    entry = make_entry(used, "conflict", "5", carried="6", why="differs")
    later = make_entry(make_line(30, "6", "0.5", carried_from=used.id, carry_number=1))
    refused, decided = make_item("refusal", data={"rows": [2, 3]}), make_item("decision", entry.id, closed=True)
    assert export_ledger(Shelf(entry, later, refused, decided, call_of(entry)), pipeline) == {
        "metering_lines": 2,
        "metering_attempts": 1,
        "metering_journal": 2,
    }
    names = "currency, asked_units, accepted_units, carried_units, open_units, asked_amount, accepted_amount, "
    names += "carried_amount, open_amount, state, why"
    (row,) = query(f"SELECT {names} FROM automatum.metering_lines WHERE line_id = '{entry.id}'")
    assert [str(one.normalize()) if hasattr(one, "normalize") else one for one in row] == [
        "USD", "13", "5", "6", "2", "6.5", "2.5", "3", "1", "conflict", "differs",
    ]  # fmt: skip
    kinds = query("SELECT kind, reason, data->>'$.rows[1]', closed_by FROM automatum.metering_journal ORDER BY kind")
    assert kinds == [
        ("decision", decided.reason, None, "push"),
        ("refusal", refused.reason, "3", None),
    ]


def test_the_views_answer_what_was_billed_what_is_usual_and_who_is_silent(pipeline, query):
    entries = [make_entry(make_line(hour, str(hour + 1))) for hour in range(40)]
    export_ledger(Shelf(*entries), pipeline)
    (month, measured, accepted) = query(
        "SELECT month::VARCHAR, measured_units, accepted_units FROM automatum.metering_statement"
    )[0]
    assert (month, measured, accepted) == ("2026-11-01", 820, 820)
    assert query("SELECT lines, median_units FROM automatum.metering_usual") == [(30, 25)]
    (lines, last_at, hours) = query("SELECT lines, last_at, silent_hours FROM automatum.metering_silence")[0]
    assert (lines, last_at) == (40, entries[-1].line.starts_at)
    assert hours == query(f"SELECT floor(epoch(now() - TIMESTAMPTZ '{last_at}') / 3600)")[0][0]


@pytest.mark.slow
def test_an_export_is_not_loaded_to_the_ledgers_own_tables(postgres, tmp_path):  # noqa: F811
    """As found: dlt added columns to the tables of the ledger, and replaced their rows."""
    target = dlt.destinations.postgres(credentials=postgres)
    pipeline = dlt.pipeline("export", str(tmp_path / "dlt"), destination=target, dataset_name="public")
    with Ledger.open(postgres, SystemClock(), begin=True, write=True) as ledger:
        with pytest.raises(ConfigurationError, match="the schema of a ledger"):
            export_ledger(ledger, pipeline)
        given = {"ledger_url": postgres, "client_id": "app", "client_secret": "secret"}
        resource = metering_usage([], PushOptions(), settings=resolve_settings(given))
        with pytest.raises(PipelineStepFailed, match="the schema of a ledger"):
            pipeline.run(resource)


@pytest.mark.slow
def test_the_views_are_made_in_postgres_too(postgres, tmp_path):  # noqa: F811
    target = dlt.destinations.postgres(credentials=postgres)
    pipeline = dlt.pipeline("export", str(tmp_path / "dlt"), destination=target, dataset_name="automatum")
    entries = [make_entry(make_line(hour, str(hour + 1))) for hour in range(3)]
    for _ in range(2):
        export_ledger(Shelf(*entries), pipeline)
    with pipeline.sql_client() as client:
        statement = client.execute_sql("SELECT month, lines, measured_units, accepted_units FROM metering_statement")
        usual = client.execute_sql("SELECT lines, median_units FROM metering_usual")
        (silent,) = client.execute_sql("SELECT last_at, silent_hours FROM metering_silence")
    assert [(str(row[0]), *row[1:]) for row in statement] == [("2026-11-01", 3, 6, 6)]
    assert usual == [(3, 2)]
    assert silent[0].timestamp() == entries[-1].line.starts_at.timestamp() and silent[1] > 0


@pytest.mark.slow
def test_rows_name_the_load_that_wrote_them(pipeline, query):
    entry = make_entry()
    export_ledger(Shelf(entry, call_of(entry), make_item("refusal")), pipeline)
    (first,) = query("SELECT load_id FROM automatum._dlt_loads")
    assert {one for name in EXPORTED for one in query(f"SELECT _dlt_load_id FROM automatum.{name}")} == {first}
    export_ledger(Shelf(entry, make_entry(make_line(1))), pipeline)
    (last,) = query("SELECT max(load_id) FROM automatum._dlt_loads")
    assert last > first
    assert query("SELECT DISTINCT _dlt_load_id FROM automatum.metering_lines") == [last]


@pytest.mark.slow
def test_the_export_of_an_earlier_version_gets_the_new_columns(pipeline, query, tmp_path):
    export_ledger(Shelf(make_entry()), pipeline)
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        for view in VIEWS:
            connection.execute(f"DROP VIEW automatum.{view}")
        for schema in ("automatum", "automatum_staging"):
            connection.execute(f"ALTER TABLE {schema}.metering_lines DROP COLUMN _dlt_load_id")
            connection.execute(f"ALTER TABLE {schema}.metering_lines DROP COLUMN open_amount")
        connection.execute("DELETE FROM automatum._dlt_version")
    pipeline.drop()
    export_ledger(Shelf(make_entry()), pipeline)
    (last,) = query("SELECT max(load_id) FROM automatum._dlt_loads")
    assert query("SELECT _dlt_load_id, open_amount FROM automatum.metering_lines") == [(*last, 0)]


def test_a_number_that_does_not_fit_is_refused(pipeline):
    with pytest.raises(DestinationError, match="does not fit"):
        export_ledger(Shelf(make_entry(make_line(units="9" * 30))), pipeline)


def test_rows_that_the_destination_refuses_are_an_error_whatever_dlts_settings_say(tmp_path, monkeypatch):
    monkeypatch.setenv("LOAD__RAISE_ON_FAILED_JOBS", "false")
    pipeline = open_pipeline(dlt.destinations.duckdb(str(tmp_path / "m.duckdb")), "automatum", str(tmp_path / "dlt"))
    export_ledger(Shelf(), pipeline)
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        connection.execute("ALTER TABLE automatum.metering_lines ADD COLUMN theirs INTEGER")
        connection.execute("ALTER TABLE automatum.metering_lines ALTER COLUMN theirs SET NOT NULL")
    with pytest.raises(DestinationError, match="theirs"):
        export_ledger(Shelf(make_entry()), pipeline)
