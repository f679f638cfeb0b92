"""The view of a history says when each version ended, also over the table of an earlier version of the connector."""

import pytest

from tests.support.destinations.places import DuckDb, Postgres
from tests.support.syncing import Site


@pytest.fixture(params=[DuckDb("duckdb", ""), Postgres("postgres", "")], ids=lambda place: place.name)
def place(request, tmp_path):
    request.param.open(tmp_path)
    yield request.param
    request.param.close()


@pytest.mark.slow
def test_each_version_ends_where_the_next_begins_i1(place, tmp_path):
    with Site(tmp_path) as site:
        sandbox = site.serve(customers=3)
        changed, gone, same = sandbox.rows.ids("customers")
        made = site.sync("customers", destination=place.destination(), history=True)
        sandbox.rows.change("customers", changed, {"companyName": "Beta"})
        sandbox.rows.delete("customers", gone)
        for _ in range(2):
            site.sync("customers", destination=place.destination(), history=True)
        kept = {}
        for row in sorted(place.rows("customers_versions"), key=lambda row: row["valid_from"]):
            kept.setdefault(row["id"], []).append(row)
        assert [len(kept[id_]) for id_ in (changed, gone, same)] == [2, 2, 1]
        for rows in kept.values():
            assert [row["valid_to"] for row in rows] == [*(row["valid_from"] for row in rows[1:]), None]
        assert [row["deleted"] for row in kept[gone]] == [False, True]
        assert made.code == 0
