"""I1, I2, I8: APIs of other shapes lose no row under `complete`, and are one setting away."""

import pytest

from tests.support.shapes.battery import SHAPES
from tests.support.shapes.cell import live_through
from tests.support.shapes.memory import MemorySite
from tests.support.shapes.server import serve

# Cells whose setting or message does not exist yet.
_PLAIN = {
    "offset and limit",
    "cursor in the body",
    "cursor in the body, no total",
    "no paging: all rows at once",
    "the first page is 0",
    "cursor in a header",
    "next link in the body",
    "next link in the body, without the host",
    "Link header",
    "Link header, no total",
    "limit is ignored: 20 rows a page, no total",
    "no total and no pages",
    "pages without total",
    "total counts the rows of the page",
    "no total, and another order at each request",
    "no total, 204 behind the last page",
    "no total, the last page again behind it",
    "an empty list is a 204",
    "own URLs answer 404 for all rows",
    "the id is _id",
    "the id is customerId",
    "the id is in another object",
    "an id counts for one marketplace",
}
_SET = {
    "offset and limit",
    "cursor in the body",
    "cursor in the body, no total",
    "no paging: all rows at once",
    "at most 20 rows a page",
    "the first page is 0",
    "cursor in a header",
    "next link in the body",
    "next link in the body, without the host",
    "Link header",
    "Link header, no total",
    "limit is ignored: 20 rows a page",
    "limit is ignored: 20 rows a page, no total",
    "total counts the rows of the page",
    "total in a header",
    "no total, and another order at each request",
    "no total, 204 behind the last page",
    "no total, the last page again behind it",
}


def _cells(shapes, waiting):
    later = pytest.mark.xfail(reason="the setting or message is not there yet", strict=False)
    return [pytest.param(one, id=one.name, marks=[later] if one.name in waiting else []) for one in shapes]


def lived(shape, settings, configured):
    with serve(shape.api()) as api:
        api.configured = configured
        return live_through(api, MemorySite(api, **{**shape.always, **settings}))


@pytest.mark.parametrize("shape", _cells(SHAPES, _PLAIN))
def test_without_settings_no_row_is_lost_under_complete(shape):
    """I1, I2: the contents are the server's, or the verdict is not `complete` and the message names the key."""
    cell = lived(shape, {}, configured=False)
    assert not cell.faults, cell
    assert cell.complete or shape.names in cell.worst.says, cell


@pytest.mark.parametrize("shape", _cells([one for one in SHAPES if one.settings], _SET))
def test_with_its_setting_the_table_is_the_servers(shape):
    """I1, I2, I8: each value is in its column, and what is gone is marked deleted."""
    cell = lived(shape, shape.settings, configured=True)
    assert cell.equal, cell
