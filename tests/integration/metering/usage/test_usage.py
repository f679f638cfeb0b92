"""Usage from tables, views and queries of a destination; and the numbers of rows through all batches."""

from decimal import Decimal

import dlt
import duckdb
import psycopg2
import pytest

from automatum.core.errors import ConfigurationError, DestinationError
from automatum.metering.usage import sql
from tests.support.metering_rows import MOMENT, read


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


@pytest.mark.sample(3)
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
    (line,) = read(source, pipeline=warehouse).lines
    assert (line.customer_id, line.units, line.price) == (customer, Decimal("12345678.000001"), Decimal("0.01"))
    assert line.starts_at == MOMENT.replace(minute=0)


@pytest.mark.sample(5)
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
        ("sql:SELECT FROM WHERE", "cannot be read"),
        (
            "sql:SELECT customer_id, units FROM usage",
            "lacks listing_id, vendor, dimension, price, usage_at",
        ),
    ],
)
def test_relations_and_queries_that_fail(warehouse, source, says):
    with pytest.raises(ConfigurationError, match=says):
        read(source, pipeline=warehouse)
    assert read("usage", pipeline=warehouse).rows == 1


WRITES = [
    "SELECT 1; DELETE FROM {table}",
    "DELETE FROM {table} RETURNING *",
    "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone",
    "SELECT * INTO copy FROM {table}",
    "DROP TABLE {table}",
    "COPY {table} TO '{file}'",
    "CREATE TABLE mine AS SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM {table}",
    "CALL x()",
    "SET x = 1",
    "",
    ";",
]
LEAKS = [
    "SELECT * FROM read_text('{secret}')",
    "SELECT (SELECT content FROM read_blob('{secret}')) AS customer_id",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM '{secret}.csv'",
    "SELECT * FROM 'https://127.0.0.1:9/usage.csv'",
]


@pytest.mark.parametrize("query", WRITES + LEAKS)
def test_a_query_writes_nothing_and_reads_no_file(warehouse, tmp_path, query):
    """I5, I6: exactly one SELECT, on a connection of DuckDB that reaches nothing outside of the database."""
    secret = tmp_path / "secret"
    for file in (secret, tmp_path / "secret.csv"):
        file.write_text("canary\n")
    named = {"table": "usage", "file": tmp_path / "out.csv", "secret": secret, "folder": tmp_path}
    with pytest.raises(ConfigurationError) as caught:
        read(f"sql:{query.format(**named)}", pipeline=warehouse)
    assert "canary" not in str(caught.value)
    assert read("usage", pipeline=warehouse).rows == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.sample(2)
@pytest.mark.parametrize("query", [*WRITES[:6], "SELECT set_config('default_transaction_read_only', 'off', false)"])
def test_postgres_is_read_in_a_read_only_transaction(postgres, query):
    """Also where the parser takes a function that writes for harmless."""
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA automatum; CREATE TABLE automatum.usage AS SELECT 1 AS units")
        cursor.execute(
            "CREATE FUNCTION automatum.empty() RETURNS int LANGUAGE sql AS 'DELETE FROM automatum.usage; SELECT 1'"
        )
    pipeline = dlt.pipeline("pg_usage", destination=dlt.destinations.postgres(postgres), dataset_name="automatum")
    for one in (query, "SELECT automatum.empty() AS units"):
        with pytest.raises((ConfigurationError, DestinationError)):
            read(f"sql:{one.format(table='automatum.usage', file='/tmp/x')}", pipeline=pipeline)
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM automatum.usage")
        assert cursor.fetchone() == (1,)


def test_a_query_that_breaks_off_is_an_error_not_an_end(warehouse):
    """I5: a source that ends early must never pass for a short one."""
    query = """sql:SELECT 'c' AS customer_id, 'l' AS listing_id, 'aws' AS vendor, 'd' AS dimension, 1 AS price,
        usage_at, CASE WHEN n < 20000 THEN '1' ELSE error('broken') END AS units
        FROM range(30000) t(n), usage"""
    # What DuckDB says of it depends on the moment.
    with pytest.raises((ConfigurationError, DestinationError)):
        read(query, pipeline=warehouse)


def test_a_destination_that_is_not_there(tmp_path):
    away = dlt.destinations.postgres("postgresql://user:hunter2secret@127.0.0.1:9/none")
    pipeline = dlt.pipeline("away", destination=away, dataset_name="automatum")
    with pytest.raises(DestinationError) as caught:
        read("usage", pipeline=pipeline)
    assert "hunter2secret" not in str(caught.value)


def test_rows_are_numbered_through_all_batches(monkeypatch, warehouse):
    monkeypatch.setattr(sql, "_BATCH", 50)
    query = """sql:SELECT * REPLACE (CASE WHEN n % 25 = 0 THEN '-1' ELSE '1' END AS units, 'd' || n AS dimension)
        FROM usage, range(1, 124) r(n) ORDER BY n"""
    found = read(query, pipeline=warehouse)
    assert (found.rows, len(found.lines)) == (123, 119)
    assert [refusal.rows for refusal in found.refusals] == [(25,), (50,), (75,), (100,)]


def test_usage_is_checked_against_the_tables_beside_it(warehouse):
    found = read("usage", pipeline=warehouse)
    assert (found.source, found.missing) == ("usage", ("customers", "entitlements"))
    with warehouse.sql_client() as client:
        client.execute_sql("CREATE TABLE automatum.customers (id VARCHAR, vendor VARCHAR, _deleted_at TIMESTAMPTZ)")
        client.execute_sql("INSERT INTO automatum.customers VALUES ('cust_2', 'aws', NULL)")
    found = read("usage", pipeline=warehouse)
    assert (len(found.refusals), found.lines) == (1, ())
    assert len(read("usage", pipeline=warehouse, unchecked=True).lines) == 1
