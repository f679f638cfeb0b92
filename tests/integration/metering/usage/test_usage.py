"""Usage from tables, views and queries of a destination; and the numbers of rows through all batches."""

from decimal import Decimal
from pathlib import Path

import dlt
import duckdb
import pyarrow as pa
import pytest

from automatum.core.errors import ConfigurationError, DestinationError
from automatum.metering.usage import readers
from automatum.metering.usage.usage import read_usage
from tests.support.metering_rows import MOMENT, ROW, as_parquet, judge


@pytest.fixture
def warehouse(tmp_path):
    """A pipeline on a DuckDB file that holds usage in its dataset and in another schema."""
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA automatum; CREATE SCHEMA product")
        connection.execute(
            """CREATE TABLE automatum.usage AS SELECT 'cust_1' AS customer_id, 'lst_1' AS listing_id, 'aws' AS vendor,
            'api_calls' AS dimension, 12345678.000001::DECIMAL(38, 9) AS units, 0.01::DECIMAL(18, 4) AS "Price",
            TIMESTAMPTZ '2026-11-24 10:15:00+00' AS usage_at, 'x' AS further"""
        )
        connection.execute(
            "CREATE VIEW product.other AS SELECT * REPLACE ('cust_2' AS customer_id) FROM automatum.usage"
        )
    return dlt.pipeline(
        "usage_in", destination=dlt.destinations.duckdb(str(tmp_path / "w.duckdb")), dataset_name="automatum"
    )


@pytest.mark.parametrize(
    ("source", "customer"),
    [
        ("usage", "cust_1"),
        ("automatum.usage", "cust_1"),
        ("product.other", "cust_2"),
        ("w.product.other", "cust_2"),
        ("sql:SELECT * FROM usage WHERE dimension LIKE 'api%';", "cust_1"),
        ("sql: -- mine\nWITH a AS (SELECT * FROM product.other) SELECT * FROM a", "cust_2"),
        ("SQL:select * from usage", "cust_1"),
    ],
)
def test_relations_and_queries(warehouse, source, customer):
    (row,) = judge(source, pipeline=warehouse)
    assert (row.customer_id, row.units, row.used_at) == (customer, Decimal("12345678.000001"), MOMENT)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("no_such", "there is no table or view no_such in the destination"),
        ("nowhere.usage", "there is no table or view nowhere.usage"),
        ("usage; DROP TABLE usage", "is not the name of a table or view"),
        ("usage.xlsx x", "is not the name of a table or view"),
        ("", "is not the name of a table or view"),
        ("sql:DELETE FROM usage", "only a query can be read"),
        ("sql:SELECT * FROM no_such", "names something that is not there"),
        ("sql:SELECT no_such FROM usage", "no_such"),
        ("sql:SELECT FROM WHERE", "refuses the query"),
        (
            "sql:SELECT customer_id, units FROM usage",
            "lacks listing_id, vendor, dimension, price, usage_at or usage_date",
        ),
    ],
)
def test_relations_and_queries_that_fail(warehouse, source, says):
    with pytest.raises(ConfigurationError, match=says):
        read_usage(source, pipeline=warehouse)
    assert len(judge("usage", pipeline=warehouse)) == 1


def test_a_query_that_breaks_off_is_an_error_not_an_end(warehouse):
    """I5: a source that ends early must never pass for a short one."""
    query = """sql:SELECT 'c' AS customer_id, 'l' AS listing_id, 'aws' AS vendor, 'd' AS dimension, 1 AS price,
        usage_at, CASE WHEN n < 20000 THEN '1' ELSE error('broken') END AS units
        FROM range(30000) t(n), usage"""
    # What DuckDB says of it depends on the moment.
    with pytest.raises((ConfigurationError, DestinationError)):
        list(read_usage(query, pipeline=warehouse))


def test_a_destination_that_is_not_there(tmp_path):
    away = dlt.destinations.postgres("postgresql://user:hunter2secret@127.0.0.1:9/none")
    pipeline = dlt.pipeline("away", destination=away, dataset_name="automatum")
    with pytest.raises(DestinationError) as caught:
        read_usage("usage", pipeline=pipeline)
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet", "table", "frame", "sql"])
def test_rows_are_numbered_through_all_batches(form, monkeypatch, warehouse):
    count = 2 * readers.BATCH + 3
    rows = pa.table({**{name: [str(value)] * count for name, value in ROW.items() if name != "units"},
                     "units": [str(n) for n in range(1, count + 1)]})  # fmt: skip
    if form == "csv":
        rows.to_pandas().to_csv("usage.csv", index=False)
        source = "usage.csv"
    elif form == "sql":
        as_parquet(rows)
        source = f"sql:SELECT * FROM '{Path.cwd()}/usage.parquet'"
    else:
        source = {"parquet": as_parquet, "table": lambda one: one, "frame": pa.Table.to_pandas}[form](rows)
    found = list(read_usage(source, pipeline=warehouse))
    assert [(number, values["units"]) for number, values in found] == [(n, str(n)) for n in range(1, count + 1)]
