"""What a sync costs, counted, so that a slow machine changes nothing: calls for each row, packages for each chunk."""

import pytest

from tests.support.counted import count_calls_of_all_threads
from tests.support.counted_loads import counted
from tests.support.syncing import Site

FEW, MANY = 200, 500
"""Two and five pages."""


def calls_of(folder, rows):
    """Calls of the connector's functions by two syncs of so many entitlements: the first, and an unchanged one."""
    with Site(folder) as site:
        site.serve(entitlements=rows, traps=False)
        first, second = (count_calls_of_all_threads(lambda: site.sync("entitlements")) for _ in range(2))
        assert len(site.live("entitlements")) == rows
    return first, second


@pytest.mark.slow
def test_a_row_takes_a_bounded_number_of_calls(tmp_path):
    """Rows are converted, hashed and compared by the page. A function that is called for each value is called twenty
    times a row: an entitlement has so many.

    Measured: 4 calls a row and its share of a page by the first sync, and 8 by an unchanged one.
    """
    few, many = ([*calls_of(tmp_path / f"{rows}", rows)] for rows in (FEW, MANY))
    for of_few, of_many, most in zip(few, many, (8, 14), strict=True):
        more = of_many - of_few
        assert sum(more.values()) <= most * (MANY - FEW), more.most_common(20)


@pytest.mark.slow
def test_a_page_takes_a_bounded_number_of_functions(tmp_path):
    """Those between the client and the load that are called more often for more pages.

    Measured: 61, and 97 before a record became a row of columns at once.
    """
    with_client = ("api.rate_limit", "api.http", "api.client", "api.connections", "api.oauth", "core.")
    few, many = (calls_of(tmp_path / f"{rows}", rows)[0] for rows in (FEW, MANY))
    functions = {name for name in many - few if not name.startswith(with_client) and "." in name}
    own = {name for name in functions if name.split(".")[0] in ("api", "schema", "sync", "warehouse")}
    assert 30 < len(own) <= 70, sorted(own)


@pytest.mark.slow
@pytest.mark.parametrize(("chunk_rows", "loads"), [(200, 3), (1000, 1)])
def test_a_chunk_is_one_load(tmp_path, chunk_rows, loads):
    """A chunk ends with the page that fills it, and a sync of one chunk makes one load."""
    with Site(tmp_path) as site, counted() as counts:
        site.serve(customers=MANY)
        assert site.sync("customers", chunk_rows=chunk_rows).code == 0
        assert len(site.live("customers")) == MANY
    assert counts["loads"] == loads
