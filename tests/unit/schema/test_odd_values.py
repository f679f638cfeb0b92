"""I8 and I1: whatever JSON a record holds, it is converted exactly or kept in `extra`, and nothing is raised.

Records are generated as JSON text, because a value may be lost while it is parsed, too.
"""

import json
from datetime import date, datetime, timezone
from decimal import Decimal

import duckdb
import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from automatum.api.exact_json import parse_json
from automatum.endpoints import ENDPOINTS, REVENUE
from automatum.schema.arrow_tables import Table
from automatum.schema.json_text import dumps
from automatum.schema.records import Rows, dig

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
LONG = '{"id": "long", "n": 1234567890123456.5}'
"""A record with a number that needs the exact parser."""


def nested(levels):
    return '{"a":[' * levels + "1" + "]}" * levels


NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(-(10**12), 10**12, places=2).map(str),
    st.tuples(st.integers(1, 9), st.integers(1, 99), st.integers(-320, 320)).map(lambda n: f"{n[0]}.{n[1]}e{n[2]}"),
    st.sampled_from(["1e20", "12.50", "1.25e1", "-0.0", "1e400", "1e-400", "1e99999999999999999999", "9" * 4400]),
)
TEXTS = st.one_of(
    st.text(max_size=6).map(json.dumps),
    st.sampled_from(["", "0000-01-01", "9999-12-31T23:59:59-05:00", "2026-01-15T10:00:00", "now"]).map(json.dumps),
    st.sampled_from(["12:30:00", "2026-01-15T10:00:00.1234567Z", "10000-01-01", "NaN", "2026-02-31"]).map(json.dumps),
    st.sampled_from(['"\\ud83d"', '"\\u0000"']),
)
DEEP = st.just(100).map(nested)
LEAVES = st.one_of(st.sampled_from(["null", "true", "false", "{}", "[]"]), NUMBERS, TEXTS)
VALUES = st.one_of(
    st.recursive(
        LEAVES,
        lambda inside: st.one_of(
            st.lists(inside, max_size=3).map(lambda ones: f"[{','.join(ones)}]"),
            st.dictionaries(st.sampled_from(["a", "b", "name", "amount"]), inside, max_size=3).map(
                lambda ones: "{" + ",".join(f'"{key}":{one}' for key, one in ones.items()) + "}"
            ),
        ),
        max_leaves=5,
    ),
    DEEP,
)


def record_texts(endpoint):
    """Records of an endpoint as JSON text, each as its fields in some order."""
    paths = [place.path for column in endpoint.columns for place in column.places]
    paths += [path for child in endpoint.children for path in child.places]
    names = sorted({path.split(".")[0] for path in paths} | {"other", "details.company.name"} - {"id"})
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=5)


def as_json(fields):
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in fields.items()) + "}"


def read(*texts):
    return parse_json(f"[{','.join(texts)}]".encode("utf-8", "surrogatepass"))


def rows_of(table, records):
    hashes = table.identify(records).hashes
    return dict(table.arrow([Rows([f"k{i}" for i in range(len(records))], hashes, records, NOW)]))


def exact(value, column):
    """Whether a column's value is this JSON value and no other."""
    if isinstance(column, datetime):
        return isinstance(value, (int, float, Decimal)) or str(value)[:4].isdigit()
    if isinstance(column, date):
        return str(value)[:4].isdigit()
    if isinstance(value, (str, bool)):
        return str(value).lower() == str(column).lower() or Decimal(value) == column
    return Decimal(repr(value) if isinstance(value, float) else value) == Decimal(column)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
@settings(deadline=None, max_examples=25, print_blob=True)
@given(data=st.data())
def test_any_value_in_any_field_is_exact_in_its_column_or_is_in_extra(endpoint, data):
    fields = [{"id": '"x"', **one} for one in data.draw(st.lists(record_texts(endpoint), min_size=1, max_size=3))]
    records = read(*map(as_json, fields))
    table = Table(endpoint)
    note(f"keys {table.keys(records)}")
    tables = rows_of(table, records)
    with duckdb.connect(":memory:") as connection:
        for name, arrow in tables.items():
            connection.register("arrow", arrow)
            # What dlt does with a JSON column, which arrives as text.
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * REPLACE (extra::JSON AS extra) FROM arrow')
            assert connection.execute(f'SELECT count(*) FROM "{name}"').fetchall() == [(len(arrow),)]
    for record, row in zip(records, tables[endpoint.table].to_pylist(), strict=True):
        extra = parse_json((row["extra"] or "{}").encode())
        for column in endpoint.columns:
            found, place = row[column.name], column.places[0]
            value = dig(record, place.path)
            if value is None or place.vendor or dig(extra, place.path) is not None or value == {}:
                continue
            lists = any(path == place.path or path.startswith(place.path + ".") for path in child_paths(endpoint))
            assert lists or (found is not None and exact(value, found)), (column.name, value, found)
        for key, value in record.items():
            if not any(path.split(".")[0] == key for path in known_paths(endpoint)) and value is not None:
                assert dumps({key: extra[key]}) == dumps({key: value})


def child_paths(endpoint):
    return [path for child in endpoint.children for path in child.places]


def known_paths(endpoint):
    return [place.path for column in endpoint.columns for place in column.places] + child_paths(endpoint)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
@settings(deadline=None, max_examples=15, print_blob=True)
@given(data=st.data())
def test_the_hash_is_of_the_record_alone_i3(endpoint, data):
    """The same record has the same hash, on any page, beside any other record, with its fields in any order."""
    fields = data.draw(record_texts(endpoint))
    neighbour = as_json(data.draw(record_texts(endpoint)))
    order = data.draw(st.permutations(list(fields)))
    table = Table(endpoint)
    (alone,) = read(as_json(fields))
    hashes = set(table.identify([alone]).hashes)
    for page in ([LONG], [neighbour], [neighbour, LONG], [nested(600)]):
        hashes.update(table.identify(read(*page, as_json({key: fields[key] for key in order}))[-1:]).hashes)
    assert len(hashes) == 1
    assert rows_of(table, [alone])[endpoint.table] == rows_of(table, read(LONG, as_json(fields))[1:])[endpoint.table]


@given(st.decimals(-(10**12), 10**12, places=2).filter(lambda one: one != one.to_integral_value()), st.integers(0, 5))
@example(Decimal("12.5"), 0)
def test_a_number_has_one_hash_however_it_is_written_i3(number, zeros):
    forms = [str(number), f"{number}{'0' * zeros}", f"{number:e}", f"{number:E}"]
    pages = [read(f'{{"n": {form}}}') for form in forms] + [read(f'{{"n": {form}}}', LONG) for form in forms]
    assert len({Table(ENDPOINTS[0]).identify(page[:1]).hashes[0] for page in pages}) == 1


def test_a_deep_value_is_kept():
    (record,) = read(f'{{"id": "x", "deep": {nested(120)}, "n": 100000000000000000000000}}')
    (row,) = rows_of(Table(ENDPOINTS[0]), [record])["customers"].to_pylist()
    assert parse_json(row["extra"].encode()) == {"deep": record["deep"], "n": record["n"]}


@pytest.mark.parametrize("odd", [Decimal("NaN"), Decimal("-Infinity"), json.loads(nested(200)), [Decimal("sNaN")]])
def test_a_record_that_has_no_json_costs_itself_i1(odd):
    records = [{"id": "a"}, {"id": "b", "x": odd}, {"id": "c"}, {"x": odd}, {"y": 1}, {"y": 1}]
    found = Table(ENDPOINTS[0]).identify(records)
    assert list(found.failed) == [1, 3]
    assert found.keys[:3] == ["a", "b", "c"]
    assert all(key.startswith("\x00") for key in found.keys[3:])
    assert len(set(found.keys)) == 6
    assert [len(hash_) for hash_ in found.hashes] == [16, 0, 16, 0, 16, 16]
    in_key = Table(REVENUE).identify([{"date": odd, "vendor": "aws"}, {"date": "2026-01-01", "vendor": "aws"}])
    assert (list(in_key.failed), len(set(in_key.keys))) == ([0], 2)
