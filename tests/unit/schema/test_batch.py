"""I8 and I1: a batch of records becomes what its records become one by one, with less work."""

import random
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.endpoints import CUSTOMERS, ENDPOINTS, ENTITLEMENTS, PRIVATE_OFFERS, Column, FieldPath
from automatum.schema.arrow_tables import Table
from automatum.schema.coerce import convert
from automatum.schema.columns import DELETED_AT, DLT_LOAD_ID, ROW_HASH, SYNCED_AT
from automatum.schema.records import Rows
from tests.support.counted import count_calls
from tests.support.row_by_row import expected_row

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
OWN = {ROW_HASH, SYNCED_AT, DELETED_AT, DLT_LOAD_ID, "_removed", "_row_key"}

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 9), st.floats(allow_nan=False, allow_infinity=False))
LEAVES = [
    *(
        None,
        None,
        True,
        False,
        0,
        7,
        -3,
        2**63,
        Decimal(-(2**70)),
        0.1,
        2.5,
        1e300,
        1e-7,
        Decimal("0.1234567890123456789"),
    ),
    *("", "aws", "aws", "azure", "a", "1.50", "1e3", "1e0003", " 1", "true", "now", "2026-01-15"),
    *("2026-01-15T10:00:00Z", "2026-01-15T10:00:00.1234567Z", 1768471200, {}, [], [1], {"name": "x"}),
]
ODD_NAMES = ("x", "details.company.name", "pricing.duration", "extra")


def record_with(paths, lists, rng):
    """A record with some of the paths and of the lists, other names, and names that look like paths.

    Most values of a path are of one kind, so that batches are made whose columns fit.
    """
    record = {}
    for path in rng.sample(paths, rng.randint(0, len(paths))):
        inside, (*above, name) = record, path.split(".")
        for step in above:
            inside = inside.setdefault(step, {} if rng.random() < 0.95 else rng.choice(LEAVES))
            if not isinstance(inside, dict):
                break
        else:
            value = rng.choice(LEAVES) if rng.random() < 0.2 else LEAVES[len(path) % len(LEAVES)]
            if path in lists and rng.random() < 0.8:
                value = [record_with(lists[path], {}, rng) if rng.random() < 0.8 else rng.choice(LEAVES) for _ in "abc"]
            inside[name] = value
    return record | {name: rng.choice(LEAVES) for name in ODD_NAMES if rng.random() < 0.1}


def batches(endpoint, count, seed):
    lists = {
        path: [place.path for column in child.columns for place in column.places]
        for child in endpoint.children
        for path in child.places
    }
    paths = sorted({place.path for column in endpoint.columns for place in column.places} | lists.keys())
    rng = random.Random(seed)
    for _ in range(count):
        some = rng.sample(paths, rng.randint(1, len(paths)))
        yield [deepcopy(record_with(some, lists, rng)) for _ in range(rng.randint(1, 6))]


def converted(table, found):
    return {name: arrow.to_pylist() for name, arrow in table.arrow(pages_of(found))}


def pages_of(found):
    """The records in pages of seven."""
    keys = [f"k{i}" for i in range(len(found))]
    starts = range(0, len(found), 7)
    return [Rows(keys[at : at + 7], keys[at : at + 7], found[at : at + 7], NOW) for at in starts]


def own(row, *more):
    return {name: value for name, value in row.items() if name not in OWN.union(more)}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
def test_a_batch_becomes_what_its_records_become_one_by_one(endpoint):
    seed = random.randrange(2**32)
    for number, found in enumerate(batches(endpoint, 40, seed)):
        table, unread = Table(endpoint), Counter()
        made = converted(table, found)
        children = {child.table: [] for child in endpoint.children}
        for i, (record, row) in enumerate(zip(found, made.pop(endpoint.table), strict=True)):
            expected, lists = expected_row(endpoint, record, unread)
            assert own(row) == expected, (seed, number)
            for name, entries in lists.items():
                children[name] += [{**entry, "parent": f"k{i}"} for entry in entries]
        for child in endpoint.children:
            rows = [
                {**own(row, child.parent_key), "parent": row[child.parent_key]} for row in made.get(child.table, [])
            ]
            assert rows == children[child.table], (seed, number)
        assert table.unread == unread, (seed, number)


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["text", "timestamp", "date", "decimal", "bigint", "bool"])
@settings(deadline=None)
@given(
    st.one_of(
        st.lists(st.one_of(st.none(), st.integers(-(2**70), 2**70))),
        st.lists(st.one_of(st.none(), NUMBERS)),
        st.lists(st.one_of(st.none(), st.from_regex(r"\A[+-]?[0-9]{0,3}\.?[0-9]{0,12}([eE][+-]?[0-9]{1,4})?\Z"))),
        st.lists(st.one_of(st.none(), st.text(max_size=3))),
        st.lists(st.one_of(st.none(), st.booleans())),
    )
)
def test_values_of_one_type_are_converted_together_as_one_by_one(type_, values):
    array, misfits = convert(values, type_)
    slow, unfit = convert([*values, ["odd"]], type_)
    assert array.to_pylist() == slow.to_pylist()[:-1]
    assert misfits == unfit - {len(values)}


def test_a_value_that_is_for_another_marketplace_is_kept_i8():
    """I8: it was dropped if the column had no other place."""
    column = Column("account", "text", (FieldPath("account", vendor="aws"),))
    table = Table(replace(CUSTOMERS, columns=(*CUSTOMERS.columns, column)))
    found = [{"id": "a", "vendor": "azure", "account": "1"}, {"id": "b", "vendor": "aws", "account": "2"}]
    rows = converted(table, found)["customers"]
    assert [(row["account"], row["extra"]) for row in rows] == [(None, '{"account":"1"}'), ("2", None)]


def test_a_name_with_points_is_no_path_i8():
    """I8: its values were dropped if the record had the path too."""
    record = {"id": "a", "details": {"contact": {"email": "b"}}, "details.contact": {"email": "c"}}
    (row,) = converted(Table(CUSTOMERS), [record])["customers"]
    assert (row["email"], row["extra"]) == ("b", '{"details.contact":{"email":"c"}}')


def test_many_sets_of_names_do_not_fill_the_memory_and_change_nothing():
    found = [{"id": "a", f"name {i}": i} for i in range(3000)]
    rows = converted(Table(CUSTOMERS), found)["customers"]
    assert [row["extra"] for row in rows] == [f'{{"name {i}":{i}}}' for i in range(3000)]


def entitlement(i):
    return {
        "id": f"e{i}",
        "vendor": "aws" if i % 2 else "azure",
        "cloudIdentifier": f"{i}",
        "startDate": "2026-01-15",
        "autoRenew": i % 3 == 0,
        "value": i / 4,
        "createdAt": "2026-01-15T10:00:00.000Z",
        "plan": None if i % 5 else "gold",
        "dimensions": [{"name": f"d{k}", "units": k, "price": f"{i}.5{k}"} for k in range(i % 4)],
    }


def offer(i):
    return {
        "id": f"o{i}",
        "pricing": {"totalContractValue": i, "currency": "EUR", "paymentSchedule": [{"amount": i + 0.25}]},
    }


@pytest.mark.parametrize(("endpoint", "make"), [(ENTITLEMENTS, entitlement), (PRIVATE_OFFERS, offer)])
def test_values_that_fit_are_not_converted_one_by_one(endpoint, make):
    """Only what is done with a record as a whole depends on the number of rows."""

    def calls(count):
        rows = Rows([f"k{i}" for i in range(count)], ["hash"] * count, [make(i) for i in range(count)], NOW)
        table = Table(endpoint)
        counted = count_calls(lambda: table.arrow([rows]))
        return Counter({name: times for name, times in counted.items() if name.startswith("schema.")})

    more = calls(800) - calls(400)
    assert not {name for name in more if name.startswith(("schema.coerce.", "schema.json_text."))}
    assert not more


def test_each_row_is_serialized_once_for_its_hash_and_its_size():
    table = Table(ENTITLEMENTS)
    calls = count_calls(lambda: table.identify([entitlement(i) for i in range(100)]))
    assert calls["schema.json_text.dumps"] == calls["orjson.dumps"] == 100
