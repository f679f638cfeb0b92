"""Rows that the destination refuses are dropped, and cost no other table its rows (I1, I9)."""

import duckdb
import pytest

from tests.support.desk import SMALL, api_requests


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
