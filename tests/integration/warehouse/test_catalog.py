"""The view of a history says when each version ended."""

import dlt
import pytest

from automatum import automatum_source
from automatum.endpoints import CUSTOMERS
from automatum.schema.tables import tables_of
from automatum.warehouse.catalog import update_catalog
from tests.support.desk import SMALL
from tests.support.destinations.places import DuckDb, Postgres


@pytest.fixture(params=[DuckDb("duckdb", ""), Postgres("postgres", "")], ids=lambda place: place.name)
def place(request, tmp_path):
    request.param.open(tmp_path)
    yield request.param
    request.param.close()


@pytest.mark.slow
def test_each_version_ends_where_the_next_begins_and_the_view_stops_no_refresh_i1_i10(place, desk, start):
    """Postgres drops no table that a view reads. A table of an earlier version has a column `valid_to`."""
    desk.use(served := start(**SMALL))
    desk.set(history=True, tables=["customers"])
    pipeline = dlt.pipeline(
        "mine", destination=place.destination(), dataset_name="automatum", pipelines_dir=str(desk.folder / "pipelines")
    )
    pipeline.run(automatum_source())
    with pipeline.sql_client() as client:
        client.execute_sql("ALTER TABLE customers_history ADD COLUMN valid_to TIMESTAMP WITH TIME ZONE")
    changed, gone, same = served.sandbox.rows.ids("customers")[:3]
    served.sandbox.rows.change("customers", changed, {"companyName": "Beta"})
    served.sandbox.rows.delete("customers", gone)
    pipeline.run(automatum_source())
    for _ in range(2):
        update_catalog(pipeline, tables_of(CUSTOMERS, history=True))
    kept = {}
    for row in sorted(place.rows("customers_versions"), key=lambda row: row["valid_from"]):
        kept.setdefault(row["id"], []).append(row)
    assert [len(kept[id_]) for id_ in (changed, gone, same)] == [2, 2, 1]
    for rows in kept.values():
        assert [row["valid_to"] for row in rows] == [*(row["valid_from"] for row in rows[1:]), None]
    assert [row["deleted"] for row in kept[gone]] == [False, True]

    pipeline.run(automatum_source(), refresh="drop_sources")
    update_catalog(pipeline, tables_of(CUSTOMERS, history=True))
    assert len(place.rows("customers_versions")) == len(place.rows("customers")) == SMALL["customers"] - 1
