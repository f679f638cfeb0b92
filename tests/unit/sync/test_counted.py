"""How much work a sweep is: what it does once a page, once a row, and not at all."""

from automatum.api.pages import Page
from automatum.endpoints import ENTITLEMENTS
from automatum.schema.arrow_tables import Table
from automatum.sync.results import KnownRows, Verdict
from automatum.sync.sweep import Sweep
from tests.support.counted import count_calls

PAGES, SIZE = 20, 100


def read(known):
    """Sweeps a quiet list; returns the rows to load, and the hashes."""
    records = [{"id": f"e{i}", "startDate": "2026-01-15", "dimensions": [{"units": i}]} for i in range(PAGES * SIZE)]

    def fetch(number):
        return Page(number, records[(number - 1) * SIZE : number * SIZE], len(records), PAGES, 1.7e9 + number)

    sweep, rows = Sweep(Table(ENTITLEMENTS), fetch, KnownRows(known)), []
    while sweep.verdict is None:
        rows += sweep.step()
    assert sweep.verdict is Verdict.COMPLETE
    return rows


def test_a_sweep_looks_once_for_the_keys_of_a_page_and_serializes_each_row_once():
    rows = []
    calls = count_calls(lambda: rows.extend(read({})))
    assert len(rows) == PAGES * SIZE
    # One page more, because a full last page does not tell that the list ends.
    assert calls["schema.arrow_tables.hashes"] == PAGES + 1
    assert calls["schema.json_text.dumps"] == PAGES * SIZE
    assert calls["orjson.dumps"] == PAGES * SIZE + PAGES + 1  # The keys of each page are packed.
    assert not calls["schema.coerce.convert"]


def test_an_unchanged_row_is_serialized_once_and_nothing_else():
    known = {row.key: row.hash for row in read({})}
    calls = count_calls(lambda: read(known))
    assert calls["schema.json_text.dumps"] == PAGES * SIZE
    assert not any(name.startswith(("schema.coerce.", "schema.layout.read", "pyarrow.")) for name in calls)
