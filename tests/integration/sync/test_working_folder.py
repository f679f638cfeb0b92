"""dlt's working folder may be stale, foreign or gone: no sync fails, waits or skips a row because of it (I9)."""

import pytest

from automatum.sync import results
from tests.support.desk import SMALL


@pytest.fixture
def small(desk, start):
    served = start(**SMALL)
    desk.use(served)
    return served.sandbox


def complete(desk, *arguments):
    ran = desk.sync(*arguments)
    assert ran.code == 0, ran
    return ran.json


def count(desk, table, database=None):
    return desk.query(f'SELECT count(*) FROM "{table}" WHERE _deleted_at IS NULL', database=database)[0][0]


@pytest.mark.slow
def test_a_second_database_with_fewer_tables_i9(desk, small):
    complete(desk)
    other = desk.folder / "b.duckdb"
    complete(desk, "customers", "private_offers", "--database", other)
    complete(desk)
    complete(desk, "--database", other)
    assert count(desk, "customers", other) == SMALL["customers"]


@pytest.mark.slow
def test_a_database_that_is_deleted_and_made_again_i9(desk, small):
    complete(desk)
    desk.database.unlink()
    complete(desk, "customers")
    complete(desk)
    assert count(desk, "entitlements") == SMALL["entitlements"]


@pytest.mark.slow
def test_a_database_without_history_after_a_database_with_history_i9(desk, small):
    desk.set(history="true")
    complete(desk)
    desk.set(history=None)
    other = desk.folder / "b.duckdb"
    complete(desk, "--database", other)
    desk.database.unlink()
    complete(desk)
    complete(desk)


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [True, False])
def test_a_wrong_key_that_is_taken_back_i9(desk, start, fresh, monkeypatch):
    """The column that was the key stayed required in dlt's schema, so that no new file could be loaded."""
    desk.use(start(**{**SMALL, "customers": 250}))
    monkeypatch.setattr(results, "CHUNK_ROWS", 100)
    complete(desk)
    desk.set(endpoints={"customers": {"key": "uuid"}})
    other, third = desk.folder / "b.duckdb", desk.folder / "c.duckdb"
    assert desk.sync("customers", "--database", other).code != 0
    desk.set(endpoints=None)
    if fresh:
        other.unlink(missing_ok=True)
    for database in (other, third):
        complete(desk, "customers", "--database", database)
        assert count(desk, "customers", database) == 250


@pytest.mark.slow
def test_a_table_that_is_dropped_i9(desk, small):
    import duckdb

    complete(desk)
    for table in ("customers", "entitlement_dimensions", "_automatum_sweeps"):
        with duckdb.connect(str(desk.database)) as connection:
            connection.execute(f"DROP TABLE automatum.{table}")
        complete(desk)
        complete(desk)
    assert count(desk, "customers") == SMALL["customers"]


@pytest.mark.slow
def test_a_dataset_that_is_dropped_i9(desk, small):
    import duckdb

    complete(desk)
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("DROP SCHEMA automatum CASCADE")
    complete(desk, "customers")
    complete(desk)
    assert count(desk, "entitlements") == SMALL["entitlements"]
