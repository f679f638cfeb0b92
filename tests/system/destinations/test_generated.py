"""What dlt would send to warehouses that need an account: held against each one's grammar, never sent."""

from importlib.util import find_spec

import pytest
import sqlglot

from tests.support.destinations.page import keep
from tests.support.destinations.warehouses import WAREHOUSES, created, merged, strategies, types
from tests.support.syncing import Site

TABLES = {
    "customers", "entitlements", "entitlement_dimensions", "private_offers", "private_offer_payments",
    "analytics_revenue", "customers_history", "entitlements_history", "private_offers_history",
    "analytics_revenue_history", "_automatum_sweeps", "_automatum_pages", "_automatum_rejected",
}  # fmt: skip


def installed(module):
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """dlt's schema of everything that a sync loads."""
    with Site(tmp_path_factory.mktemp("schema")) as site:
        site.serve(customers=3, entitlements=6, private_offers=4, days=1)
        assert site.sync(history=True).code == 0
        return site.pipeline().default_schema.clone()


@pytest.mark.parametrize("warehouse", WAREHOUSES, ids=lambda one: one.name)
def test_a_warehouse_gets_statements_that_it_can_read(warehouse, schema, request):
    """I1: merged by delete and insert, money exact, instants with their zone, names within bounds."""
    if not installed(warehouse.module):
        pytest.skip(f"make destinations: needs {warehouse.module}")
    client = warehouse.client(schema.clone())
    assert strategies(client).keys() == TABLES
    assert set(strategies(client).values()) == {"delete-insert"}
    tables, merges = created(client), merged(client)
    assert tables.keys() == merges.keys() == TABLES
    for statement in (one for made in (*tables.values(), *merges.values()) for one in made):
        assert sqlglot.parse(statement, dialect=warehouse.dialect), statement
    longest = max(len(name) for table, found in schema.tables.items() for name in (table, *found["columns"]))
    assert longest <= client.capabilities.max_identifier_length
    found = types(client)
    assert "38,9" in found["money"].replace(" ", "")
    if request.config.getoption("--write-table", default=False):
        keep("generated", warehouse.name, {"merge": "delete-insert", **found}, [one.name for one in WAREHOUSES])
