"""I1: what a sweep remembers of its rows is exact where keys differ, and loses no row where two keys share a hash."""

import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st

from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.contents import Contents
from automatum.sync.key_map import KeyMap, PackedKeys, RowHashes
from automatum.sync.results import DELETED, LOAD_AGAIN, KnownRows, Verdict
from automatum.sync.sweep import Sweep
from tests.support.examples import examples
from tests.support.moving_list import MovingList

KEYS = st.one_of(st.text(max_size=3), st.integers(0, 300).map(str), st.just("\ud83d"), st.just("\x00a:1"))
HASHES = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2**16)).map("{:016x}".format)
VALUES = st.one_of(HASHES, st.sampled_from([DELETED, LOAD_AGAIN, "not wanted", "0123456789ABCDEg"]))
ROWS = st.lists(st.tuples(KEYS, VALUES), max_size=60)
PAGES = st.lists(st.lists(st.tuples(KEYS, HASHES), max_size=40), max_size=4)


@settings(max_examples=examples(30))
@example([("a", "f" * 16)], [[("a", "f" * 16)]], ["a"], [])
@given(ROWS, PAGES, st.lists(KEYS, max_size=5), ROWS)
def test_the_hashes_of_rows_are_those_that_two_dicts_would_have(rows, pages, removed, later):
    known, met = dict(rows), {}
    hashes = RowHashes()
    hashes.add([key for key, _ in rows], [value for _, value in rows])
    for key in removed:
        assert hashes.pop(key, None) == known.pop(key, None)
    for page in pages:
        expected = []
        for key, value in page:
            expected.append((met.get(key, known.pop(key, None)), key in met))
            met[key] = value
        meeting = hashes.meet([key for key, _ in page], [value for _, value in page])
        assert list(meeting) == expected
        assert meeting.all_new == all(before is None for before, _ in expected)
        assert meeting.all_known == (expected == [(value, False) for _, value in page])
    for key, value in later:
        if key not in met:
            hashes[key] = known[key] = value
    assert list(hashes.items()) == sorted(known.items(), key=lambda row: list(hashes).index(row[0]))
    assert (len(hashes), len(hashes.met)) == (len(known), len(met))
    assert all(hashes.count(value) == list(known.values()).count(value) for value in (DELETED, LOAD_AGAIN, "never"))
    assert all((key in hashes, key in hashes.met) == (key in known, key in met) for key, _ in rows)


@given(ROWS, st.lists(KEYS, max_size=200))
def test_a_resumed_row_keeps_its_value_and_another_one_gets_that_of_an_absent_row_i3(rows, listed):
    known, met = dict(rows), {}
    hashes = RowHashes(known)
    for key in listed:
        met.setdefault(key, known.pop(key, DELETED))
        hashes.meet_as_known(key, DELETED)
    assert dict(hashes) == known
    keys = list(met)
    assert list(hashes.meet(keys, ["f" * 16] * len(keys))) == [(met[key], True) for key in keys]


@given(st.lists(KEYS, max_size=100))
def test_packed_keys_are_the_keys(keys):
    packed = PackedKeys(keys)
    assert (list(packed), len(packed), packed == keys, packed == PackedKeys(list(keys))) == (
        keys,
        len(keys),
        True,
        True,
    )
    assert packed != [*keys, "another"] and packed != PackedKeys([*keys, "another"])


@given(st.lists(st.tuples(st.integers(1, 4), st.lists(KEYS, max_size=5)), max_size=8))
def test_the_contents_count_what_the_pages_have_now(pages):
    contents, expected, before = Contents(), {}, set()
    for number, keys in pages:
        contents.put(number, PackedKeys(keys), len(set(keys) - before))
        expected[number], before = keys, before | set(keys)
    listed = [key for keys in expected.values() for key in keys]
    assert {number: list(keys) for number, keys in contents.items()} == expected
    assert (contents.rows, contents.distinct) == (len(listed), len(set(listed)))
    assert contents.longest == max(map(len, expected.values()), default=0)
    assert contents.listed(["a", "1", *listed[:2]]) == {"a", "1", *listed[:2]} & set(listed)


class Colliding(str):
    """A key that has its hash in common with the others of its length."""

    def __hash__(self):
        return len(self)


class CollidingList(MovingList):
    """A list in which three keys have the same hash."""

    def fetch(self, number):
        page = super().fetch(number)
        for record in page.records:
            if record["id"] in ("row_00000", "row_00001", "row_00150"):
                record["id"] = Colliding(record["id"])
        return page


def test_keys_with_the_same_hash_cost_requests_but_no_row_i1():
    source = CollidingList(250)
    known, loaded = KnownRows(), {}
    sweep = Sweep(Table(CUSTOMERS), source.fetch, known)
    while sweep.verdict is None:
        loaded.update({str(row.key): row.hash for row in sweep.step()})
    assert set(loaded) == {key for key, _ in source.rows}
    assert (sweep.verdict, sweep.reason) == (Verdict.COMPLETE, "proven by reading the list again")
    assert len(source.reads) > 3


def test_keys_with_the_same_hash_delete_no_row_i2():
    source = CollidingList(250)
    table = Table(CUSTOMERS)
    keys = [Colliding(key) if key in ("row_00000", "row_00001", "row_00150") else key for key, _ in source.rows]
    known = KnownRows({key: table.hash({"id": key, "version": 0}) for key in keys})
    sweep = Sweep(table, source.fetch, known)
    while sweep.verdict is None:
        sweep.step()
    assert known.live == []


def test_a_row_takes_few_bytes():
    """The dicts of texts that this replaced took 240."""
    keys = [f"{i:032x}" for i in range(10_000)]
    values = [f"{i + 2**60:016x}" for i in range(10_000)]
    hashes = RowHashes()
    hashes.add(keys, values)
    assert sys.getsizeof(hashes) < 70 * len(keys)
    before = sys.getsizeof(hashes)
    for start in range(0, len(keys), 100):
        hashes.meet(keys[start : start + 100], values[start : start + 100])
    assert sys.getsizeof(hashes) == before  # A row that is met takes the place that it had.
    counts = KeyMap()
    counts.set_all(keys, [3] * len(keys), 1)
    assert sys.getsizeof(counts) < 50 * len(keys)
    assert sys.getsizeof(PackedKeys(keys[:100])) < 25 * 100
