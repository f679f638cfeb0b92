"""I1, I8: APIs of other shapes, each with the settings that it needs, fill a real database."""

import pytest

from tests.support.shapes.battery import SHAPES
from tests.support.shapes.cell import elsewhere, faults
from tests.support.shapes.memory import Outcome
from tests.support.shapes.server import serve
from tests.support.syncing import Site

# The lists inside records have tables of their own, which tests/integration/sync/test_other_columns.py reads.
_CONFIGURED = [pytest.param(one, id=one.name) for one in SHAPES if one.settings and one.api.table != "entitlements"]


class _Database:
    """A table of a database as the judges of a cell read it."""

    def __init__(self, site, table, key):
        self.deleted = site.dead(table, key)
        rows = site.query(f'SELECT * FROM "{table}" WHERE _deleted_at IS NULL')
        names = [name for (name,) in site.query("SELECT name FROM pragma_table_info(?)", table)]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        self.live = {row[key]: row for row in found}


@pytest.mark.slow
@pytest.mark.parametrize("shape", _CONFIGURED)
def test_the_table_in_a_database_is_the_servers(tmp_path, shape):
    with serve(shape.api()) as api, Site(tmp_path) as site:
        api.configured, site.served = True, api
        made = site.sync(api.table, **shape.settings)
        ((endpoint, result),) = made.summary.results
        outcome = Outcome.of(result)
        assert made.code == 0, made.summary.line()
        database = _Database(site, api.table, endpoint.row_key)
        assert not faults(api, database, outcome)
        assert not elsewhere(api, database.live)
        assert database.live.keys() == api.truth().keys()
