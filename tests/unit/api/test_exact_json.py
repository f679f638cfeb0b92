"""I8: no digit of a number is lost, and no page for a broken emoji."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.api.exact_json import parse_json
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.schema.json_text import parse_integer, parse_real


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 0.1}', 0.1),
        ('{"a": 1234567890123.5}', 1234567890123.5),
        ('{"a": 1234567890123456.78}', Decimal("1234567890123456.78")),
        ('{"a": -0.30000000000000004}', -0.30000000000000004),
        ('{"a":\n 123456789.123456789}', Decimal("123456789.123456789")),
        ('{"a": 123456789012345678901234567890}', Decimal("123456789012345678901234567890")),
        ('{"a": 18446744073709551615}', 2**64 - 1),
        ('{"a": 18446744073709551616}', Decimal(2**64)),
        ('{"a": 100000000000000000000}', 1e20),
        ('{"a": 12.50, "b": 1234567890123456.5}', 12.5),
        ('{"a": 1.25e1, "b": 9007199254740993}', 12.5),
        ('{"a": 1234567890123456.780}', Decimal("1234567890123456.78")),
        ('{"a": 1e99999999999999999999}', "1e99999999999999999999"),
        ('{"a": 0e99999999999999999999, "b": 1234567890123456.78}', 0.0),
        ('{"a": 0.00E-99999999999999999999}', 0.0),
        ('{"a": ' + "7" * 5000 + "}", Decimal("7" * 5000)),
        ('{"a": 9007199254740993}', 9007199254740993),
        ('{"a": 1e-400}', Decimal("1e-400")),
        ('{"a": 1e400}', Decimal("1e400")),
        ('{"a": "12345678901234567890.5"}', "12345678901234567890.5"),
        ('{"a": "\\ud83d\\ude00"}', "\N{GRINNING FACE}"),
        ('{"a": "half \\ud83d"}', "half \N{REPLACEMENT CHARACTER}"),
        ('{"a": "\\uDE00 half", "b": 1234567890123456.5}', "\N{REPLACEMENT CHARACTER} half"),
        ('{"a": "C:\\\\ud83d"}', "C:\\ud83d"),
        ('{"a": "a NUL, which Postgres refuses: \\u0000"}', "a NUL, which Postgres refuses: \N{REPLACEMENT CHARACTER}"),
        ('{"a": "C:\\\\u0000"}', "C:\\u0000"),
        ('\ufeff{"a": 1}', 1),
    ],
)
def test_no_digit_and_no_page_is_lost(text, value):
    found = parse_json(text.encode())["a"]
    assert found == value
    assert type(found) is type(value)


def test_long_numbers_are_found_wherever_they_stand():
    assert parse_json(b"[1,0.12345678901234567890]") == [1, Decimal("0.12345678901234567890")]
    assert parse_json(b"1234567890.12345678901") == Decimal("1234567890.12345678901")
    assert parse_json(b"-1234567890.12345678901") == Decimal("-1234567890.12345678901")


DIGITS = st.text("0123456789", min_size=1, max_size=20)
NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-"]),
        st.one_of(st.just("0"), DIGITS.map(lambda text: "7" + text)),
        st.one_of(st.just(""), DIGITS.map(lambda text: "." + text)),
        st.one_of(
            st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), DIGITS)
        ),
    ),
)
VALUES = st.one_of(NUMBERS, st.text("0123456789abcdef-.eE :,[", max_size=40).map(json.dumps))


@given(st.lists(VALUES, min_size=1, max_size=4), st.sampled_from(["", " ", "\n", "\t "]))
def test_each_number_becomes_what_the_exact_parser_says_i8(values, space):
    """The quick parser may only read what it reads exactly."""
    row = (space + "," + space).join(f'"{place}"{space}:{space}{value}' for place, value in enumerate(values))
    for text in (space + values[0] + space, f"[{(space + ',' + space).join(values)}]", f"{{{row}{space}}}"):
        exact = json.loads(text, parse_float=parse_real, parse_int=parse_integer)
        assert repr(parse_json(text.encode())) == repr(exact)


def nested(levels, inside="1"):
    return "[" * levels + inside + "]" * levels


@pytest.mark.parametrize("inside", ["1", "1234567890123456.5", '"[", {"a": [true, null, -2e3, "\\u00e9"]}, {}'])
@pytest.mark.parametrize("levels", [300, 5000])
def test_what_is_nested_too_deeply_costs_its_record_and_not_the_page_s13(levels, inside):
    text = f'{{"data": [{{"id": "a"}}, {{"id": "b", "x": {nested(levels, inside)}}}, {{"id": "]c"}}]}}'
    records = parse_json(text.encode())["data"]
    assert (records[0], records[1]["id"], records[2]) == ({"id": "a"}, "b", {"id": "]c"})
    # The parsers of some versions of Python read 5,000 levels. The canonical form of a record does not.
    assert list(Table(CUSTOMERS).identify(records).failed) == [1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_costs_its_record_and_not_the_page_s13(number):
    first, odd = parse_json(f'[{{"id": "a"}}, {{"id": "b", "x": {number}}}]'.encode())
    assert (first, odd["id"]) == ({"id": "a"}, "b")
    assert str(odd["x"]) == number, "a `Decimal`, which no JSON is written of"


def test_a_byte_that_is_not_utf_8_costs_its_character_and_not_the_page_i8():
    assert parse_json(b'{"a": "caf\xe9", "b": 1}') == {"a": "caf\N{REPLACEMENT CHARACTER}", "b": 1}


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"<p>", b"[" * 100_000, nested(2000).encode() + b"]", nested(2000)[:-1].encode() + b"}",
     "{}".encode("utf-16"),
     b"[1234567890123456789.5," + b"[" * 100_000],
)  # fmt: skip
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError):
        parse_json(text)
