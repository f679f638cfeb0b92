"""Rows that the destination refuses are dropped, and cost no other table its rows (I1, I9)."""

from contextlib import closing

import duckdb
import psycopg2
import pytest

from tests.support.desk import SMALL, api_requests
from tests.support.postgres import postgres  # noqa: F401


@pytest.fixture
def poisoned(desk, small):
    """A desk whose table of customers takes no row any more."""
    assert desk.sync().code == 0
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("ALTER TABLE automatum.customers ADD COLUMN theirs INTEGER DEFAULT 1")
        connection.execute("ALTER TABLE automatum.customers ALTER COLUMN theirs SET NOT NULL")
        connection.execute("ALTER TABLE automatum.customers ALTER COLUMN theirs DROP DEFAULT")
    for table in ("customers", "entitlements", "private_offers"):
        small.rows.insert(table, {})
    small.requests.clear()
    return small


def rows(desk, table):
    return desk.query(f"SELECT count(*) FROM {table} WHERE _deleted_at IS NULL")[0][0]


@pytest.mark.slow
def test_a_table_that_takes_no_rows_costs_no_other_table_its_rows_i1(desk, poisoned):
    ran = desk.sync()
    assert ran.code == 69, ran
    (error,) = ran.json["errors"]
    assert (error["type"], error["table"]) == ("PackageRefused", "customers"), ran
    assert "read" in error["next_step"] and "theirs" in error["message"]
    assert rows(desk, "entitlements") == SMALL["entitlements"] + 1
    assert rows(desk, "private_offers") == SMALL["private_offers"] + 1
    # The next run does not begin with what was refused, and asks for no page of a list more than twice.
    poisoned.rows.insert("entitlements", {})
    poisoned.requests.clear()
    again = desk.sync()
    assert again.code == 69 and rows(desk, "entitlements") == SMALL["entitlements"] + 2
    lists = [count for path, count in api_requests(poisoned).items() if "analytics" not in path]
    assert max(lists) <= 2
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("ALTER TABLE automatum.customers DROP COLUMN theirs")
    assert desk.sync().code == 0
    assert rows(desk, "customers") == SMALL["customers"] + 1


@pytest.mark.slow
def test_a_refused_load_leaves_the_tables_of_others_and_shows_no_row(desk, small, postgres, monkeypatch):  # noqa: F811
    """dbt gives models with the schema `staging` the schema in which dlt stages rows, which was dropped."""
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres)
    assert desk.sync("customers", "--destination", "postgres").code == 0
    with closing(psycopg2.connect(postgres)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE automatum_staging.stg_plans AS SELECT 1 AS plan")
        cursor.execute("ALTER TABLE automatum.customers ADD CONSTRAINT theirs CHECK (email <> 'canary@example.com')")
    small.rows.insert("customers", {"email": "canary@example.com"})
    ran = desk.run("sync", "customers", "--destination", "postgres", "--json")
    assert ran.code == 69 and "theirs" in ran.says, ran
    assert "canary" not in ran.out + ran.err
    with closing(psycopg2.connect(postgres)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT plan FROM automatum_staging.stg_plans")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("ALTER TABLE automatum.customers DROP CONSTRAINT theirs")
    assert desk.sync("customers", "--destination", "postgres").code == 0
