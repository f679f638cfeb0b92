"""`automatum discover`: everything that can be had, without credentials, without a request."""

import pytest

from automatum.endpoints import ENDPOINTS
from automatum.metering.export import EXPORTED
from automatum.schema.log_tables import log_tables
from tests.support.desk import SMALL

DUCKDB = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "decimal": "DECIMAL(38,9)",
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "json": "JSON",
}


def test_every_table_with_its_columns_and_types(desk):
    """No credentials, a host that nobody could reach: discovery asks nobody."""
    desk.set(base_url="https://nowhere.invalid")
    made = desk.run("discover", "--json")
    assert (made.code, made.err) == (0, "")
    tables = made.json["tables"]
    own = {table.name for table in log_tables()}
    read = {name for one in ENDPOINTS for name in (one.table, *(child.table for child in one.children))}
    assert set(tables) == {*read, *own, *EXPORTED}
    for one in ENDPOINTS:
        found = tables[one.table]
        assert (found["scope"], found["kind"], found["documented"]) == (one.scope, one.kind, one.documented)
        assert (found["path"], found["key"]) == (f"/api/v1/{one.path}", [one.row_key])
        for column in one.columns:
            facts = found["columns"][column.name]
            assert facts["type"] == column.type
            assert facts["origin"] == ("documented" if column.documented else "assumed")
            assert facts["from"] == [place.path for place in column.places]
        for child in one.children:
            assert tables[child.table]["parent"] == one.table
            assert {c.name: c.type for c in child.columns}.items() <= {
                name: facts["type"] for name, facts in tables[child.table]["columns"].items()
            }.items()


def test_the_tables_of_the_log_and_of_the_ledger_are_described_too(desk):
    tables = desk.run("discover", "--json").json["tables"]
    for kind, names in (("log", [table.name for table in log_tables()]), ("metering", EXPORTED)):
        for name in names:
            found = tables[name]
            assert (found["kind"], found["path"], found["scope"], found["documented"]) == (kind, None, None, None)
            assert {one["origin"] for one in found["columns"].values()} == {"connector"}
    assert tables["_automatum_pages"]["key"] == ["sweep_id", "page"]
    assert tables["metering_lines"]["columns"]["asked_amount"]["scale"] == 18
    customer = {"table": "customers", "column": "id"}
    assert tables["metering_lines"]["columns"]["customer_id"]["references"] == customer
    assert tables["entitlements"]["columns"]["customer_id"]["references"] == customer


def test_with_history_and_with_several_organizations(desk):
    desk.set(history=True, organizations=[{"name": "acme"}, {"name": "globex"}])
    tables = desk.run("discover", "--json").json["tables"]
    assert tables["customers_history"]["parent"] == "customers"
    assert tables["customers_history"]["key"] == ["organization_id", "id", "valid_from"]
    assert [name for name, one in tables.items() if one["key"][0] != "organization_id"] == []
    assert [name for name, one in tables.items() if one["columns"]["organization_id"]["nullable"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("history", [False, True])
def test_what_is_discovered_is_what_is_loaded(start, desk, history):
    """The columns of each table in DuckDB, with their types, are those that were announced."""
    served = start(**SMALL)
    desk.use(served)
    desk.set(history=history)
    announced = desk.run("discover", "--json").json["tables"]
    assert served.sandbox.requests.all() == []
    assert desk.sync().code == 0
    assert ("customers_history" in announced) is history
    for table in EXPORTED:  # Made by an export: `tests/integration/metering/test_export.py`.
        del announced[table]
    for table, facts in announced.items():
        columns = dict(
            desk.query(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'automatum' AND table_name = ?",
                table,
            )
        )
        assert columns == {name: DUCKDB[one["type"]] for name, one in facts["columns"].items()}


def test_overrides_show(desk):
    """A report and a path from configuration are part of the answer."""
    desk.set(
        endpoints={"entitlements": {"path": "contracts"}},
        reports=[{"name": "usage", "key": ["date", "dimension"], "columns": {"units": "decimal"}}],
    )
    tables = desk.run("discover", "--json").json["tables"]
    assert tables["entitlements"]["path"] == "/api/v1/contracts"
    assert tables["analytics_usage"]["key"] == ["_row_key"]
    assert "`date`, `dimension`" in tables["analytics_usage"]["columns"]["_row_key"]["description"]
    assert tables["analytics_usage"]["columns"]["units"]["type"] == "decimal"


def test_for_people_it_lists_and_describes_every_table_and_column(desk):
    tables = desk.run("discover", "--json").json["tables"]
    made = desk.run("discover")
    assert made.code == 0
    for name, facts in tables.items():
        assert f"{name}  (" in made.out
        assert facts["description"] in made.out
        for column, one in facts["columns"].items():
            assert any(column in line and one["description"] in line for line in made.out.splitlines())
    assert "customers.id" in made.out
