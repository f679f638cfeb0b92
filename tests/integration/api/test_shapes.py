"""I1, I2, I8: APIs of other shapes lose no row under `complete`, and are one setting away.

`docs/internals/fidelity.md` shows what each comes to; `make fidelity` writes it.
"""

import pytest

from tests.support.shapes import page
from tests.support.shapes.battery import SHAPES
from tests.support.shapes.cell import live_through
from tests.support.shapes.memory import MemorySite
from tests.support.shapes.server import serve


def _cells(shapes):
    return [pytest.param(one, id=one.name) for one in shapes]


def lived(shape, configured):
    settings = shape.settings if configured else {}
    with serve(shape.api()) as api:
        api.configured = configured
        return live_through(api, MemorySite(api, **settings))


@pytest.mark.sample(30)
@pytest.mark.parametrize("shape", _cells(SHAPES))
def test_without_settings_no_row_is_lost_under_complete(shape):
    """I1, I2: the contents are the server's, the verdict is `incomplete`, or an error names the key."""
    cell = lived(shape, configured=False)
    assert not cell.faults, cell
    assert cell.complete or cell.worst.verdict == "incomplete" or shape.names in cell.worst.says, cell
    page.check(shape, page.of_cell(shape, cell), configured=False)


@pytest.mark.sample(20)
@pytest.mark.parametrize("shape", _cells([one for one in SHAPES if one.settings]))
def test_with_its_setting_the_table_is_the_servers(shape):
    """I1, I2, I8: each value is in its column, and what is gone is marked deleted."""
    cell = lived(shape, configured=True)
    assert cell.equal, cell
    page.check(shape, page.of_cell(shape, cell), configured=True)


def test_the_page_lists_exactly_the_servers_and_their_settings():
    assert page.table() in page.text(), "run make fidelity"
