"""The exported ledger: every table is there after an export, with the columns and types that are described."""

import dlt
import duckdb
import pytest

from automatum.metering.export import EXPORTED, export_ledger
from automatum.metering.ledger.ledger import Ledger
from automatum.schema.metering_tables import METERING_TABLES
from automatum.schema.tables import owned
from tests.support.clocks import FakeClock
from tests.support.metering_lines import bring, make_line

DUCKDB = {"text": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "date": "DATE", "bigint": "BIGINT"}


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite", FakeClock(), create=True) as opened:
        yield opened


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
def test_every_table_is_there_with_its_columns_also_without_rows(ledger, pipeline, query, organization):
    assert export_ledger(ledger, pipeline, organization) == dict.fromkeys(EXPORTED, 0)
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


@pytest.mark.parametrize("organization", [None, "acme"])
def test_dlt_knows_keys_references_and_descriptions(ledger, pipeline, organization):
    export_ledger(ledger, pipeline, organization)
    owner = [] if organization is None else ["organization_id"]
    for table in METERING_TABLES:
        stored = pipeline.default_schema.tables[table.name]
        assert stored["description"] == table.description
        assert [one["description"] for one in stored["columns"].values()][len(owner) :] == [
            one.description for one in table.columns
        ]
        assert [name for name, one in stored["columns"].items() if one.get("primary_key")] == [*owner, *table.key]
        referred = {one.name for one in table.columns if one.reference and one.reference.table in EXPORTED}
        assert {one["columns"][-1] for one in stored["references"]} == referred
        assert [one["referenced_columns"] for one in stored["references"]] == [[*owner, "line_id"]]


@pytest.mark.slow
def test_rows_name_the_load_that_wrote_them(ledger, pipeline, query):
    bring(ledger, make_line(0), "confirmed")
    assert export_ledger(ledger, pipeline) == dict.fromkeys(EXPORTED, 1)
    (first,) = query("SELECT load_id FROM automatum._dlt_loads")
    assert {one for name in EXPORTED for one in query(f"SELECT _dlt_load_id FROM automatum.{name}")} == {first}
    bring(ledger, make_line(1), "planned")
    export_ledger(ledger, pipeline)
    (last,) = query("SELECT max(load_id) FROM automatum._dlt_loads")
    assert last > first
    assert query("SELECT DISTINCT _dlt_load_id FROM automatum.metering_lines") == [last]


@pytest.mark.slow
def test_the_export_of_an_earlier_version_gets_the_column_of_the_load(ledger, pipeline, query, tmp_path):
    bring(ledger, make_line(0), "accepted")
    export_ledger(ledger, pipeline)
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        for name in EXPORTED:
            connection.execute(f"ALTER TABLE automatum.{name} DROP COLUMN _dlt_load_id")
            connection.execute(f"ALTER TABLE automatum_staging.{name} DROP COLUMN _dlt_load_id")
        connection.execute("DELETE FROM automatum._dlt_version")
    pipeline.drop()
    export_ledger(ledger, pipeline)
    (last,) = query("SELECT max(load_id) FROM automatum._dlt_loads")
    assert query("SELECT _dlt_load_id FROM automatum.metering_lines") == [last]
