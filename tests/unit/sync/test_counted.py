"""How much work a sweep is: what it does once a page, once a row, and not at all."""

from automatum.api.pages import Page
from automatum.endpoints import ENTITLEMENTS
from automatum.schema.arrow_tables import Table
from automatum.sync.results import KnownRows, Verdict
from automatum.sync.sweep import Sweep
from tests.support.counted import count_calls

PAGES, SIZE = 20, 100


def read(known):
    """Sweeps a quiet list; returns the rows to load: keys and hashes."""
    records = [{"id": f"e{i}", "startDate": "2026-01-15", "dimensions": [{"units": i}]} for i in range(PAGES * SIZE)]

    def fetch(number):
        some = records[(number - 1) * SIZE : number * SIZE]
        return Page(number=number, records=some, total=len(records), read_at=1.7e9 + number)

    sweep, loaded = Sweep(Table(ENTITLEMENTS), fetch, KnownRows(known), 100, SIZE), {}
    while sweep.verdict is None:
        for rows in sweep.step():
            loaded.update(zip(rows.keys, rows.hashes, strict=True))
    assert sweep.verdict is Verdict.COMPLETE
    return loaded


def test_a_sweep_identifies_each_page_once_and_serializes_each_row_once():
    rows = {}
    calls = count_calls(lambda: rows.update(read({})))
    assert len(rows) == PAGES * SIZE
    # One page more, because a full last page does not tell that the list ends.
    assert calls["schema.arrow_tables.identify"] == PAGES + 1
    assert calls["orjson.dumps"] == PAGES * SIZE
    assert not any(name.startswith(("pyarrow.", "schema.coerce.")) for name in calls)


def test_an_unchanged_row_is_serialized_once_and_nothing_else():
    known = read({})
    calls = count_calls(lambda: read(known))
    assert calls["orjson.dumps"] == PAGES * SIZE
    assert calls["sync.changes.take"] == PAGES + 1
    assert not any(name.startswith(("pyarrow.", "schema.coerce.")) for name in calls)
