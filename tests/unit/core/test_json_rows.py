"""JSON that is written in pieces is the JSON that is written at once, whatever it contains and however long it is."""

import tracemalloc

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.json_rows import JsonRows, whole, write_json
from tests.support.examples import examples

OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=3), PLAIN, max_size=3), max_size=3)


def at_once(figures):
    return orjson.dumps(whole(figures), option=OPTIONS).decode()


@given(st.dictionaries(st.text(max_size=3), PLAIN | ROWS.map(lambda rows: JsonRows(rows, dict)), max_size=4))
@settings(max_examples=examples(300))
def test_pieces_are_the_whole(figures):
    assert "".join(write_json(figures, str)) == at_once(figures)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2001])
def test_batches_are_joined(count):
    rows = JsonRows(range(count), lambda number: {"number": number, "]": "\n  ]", "inner": [1, {}]})
    figures = {"before": [], "rows": rows, "after": {"a": None}}
    assert len(rows) == count
    assert "".join(write_json(figures, str)) == at_once(figures)


def test_memory_does_not_grow_with_the_rows():
    def peak(count):
        rows = JsonRows(range(count), lambda number: {"id": f"{number:0100}"})
        tracemalloc.start()
        try:
            assert sum(map(len, write_json({"rows": rows}, str))) > 100 * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(30_000) < 1.2 * peak(3_000)
