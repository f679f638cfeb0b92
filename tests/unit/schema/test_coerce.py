"""I8: a value that its column cannot hold exactly is a misfit, never an error and never silently another value."""

from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.schema.coerce import convert

UTC = timezone.utc


@pytest.mark.parametrize(
    ("type_", "value", "expected", "exact"),
    [
        ("text", "001234567890", "001234567890", True),
        ("text", 123456789012, "123456789012", True),
        ("text", True, "true", True),
        ("text", {"a": 1}, None, False),
        ("text", "\ud83d", "?", False),
        ("timestamp", "2026-01-15T10:00:00Z", datetime(2026, 1, 15, 10, tzinfo=UTC), True),
        ("timestamp", "2026-01-15T10:00:00.123456+02:00", datetime(2026, 1, 15, 8, 0, 0, 123456, tzinfo=UTC), True),
        ("timestamp", "2026-01-15T10:00:00", datetime(2026, 1, 15, 10, tzinfo=UTC), True),
        ("timestamp", "2026-01-15", datetime(2026, 1, 15, tzinfo=UTC), True),
        # A number is no time, whatever it may mean: seconds, milliseconds, a date in digits, days.
        ("timestamp", 1768471200, None, False),
        ("timestamp", 1768471200000, None, False),
        ("timestamp", "1768471200", None, False),
        ("timestamp", 1768471200.5, None, False),
        ("date", 1768435200, None, False),
        ("timestamp", 20260115, None, False),
        ("timestamp", 0, None, False),
        ("timestamp", 46037, None, False),
        ("timestamp", -1768471200, None, False),
        ("date", 20260115, None, False),
        # The basic form of ISO 8601 could be a number, too.
        ("timestamp", "20260115", None, False),
        ("timestamp", "15/01/2026", None, False),
        ("timestamp", "soon", None, False),
        ("timestamp", "P1D", None, False),
        ("timestamp", "2026-01-15/P1D", None, False),
        ("timestamp", "2026-01-15T10:00:00Z/P1D", None, False),
        ("date", "2026-01-15/2026-01-16", None, False),
        ("timestamp", True, None, False),
        ("timestamp", "now", None, False),
        ("timestamp", "12:30:00", None, False),
        ("timestamp", "9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), True),
        ("timestamp", "9999-12-31T23:59:59-05:00", None, False),
        ("timestamp", "0001-01-01T00:00:00+05:00", None, False),
        ("timestamp", "0000-01-01", None, False),
        ("timestamp", "2026-01-15T10:00:00.123456000Z", datetime(2026, 1, 15, 10, 0, 0, 123456, tzinfo=UTC), True),
        ("timestamp", "2026-01-15T10:00:00.123456789Z", datetime(2026, 1, 15, 10, 0, 0, 123456, tzinfo=UTC), False),
        ("timestamp", 10**18, None, False),
        ("timestamp", Decimal("1e999999999999999"), None, False),
        ("decimal", "0.0000000025", Decimal("0.000000002"), False),
        ("decimal", "0.0000000035", Decimal("0.000000004"), False),
        ("date", "0000-01-01", None, False),
        ("date", "9999-12-31", date(9999, 12, 31), True),
        ("text", 1e20, "100000000000000000000", True),
        ("text", Decimal("1e400"), "1E+400", True),
        ("text", 12.5, "12.5", True),
        ("decimal", Decimal("1e999999999999999"), None, False),
        ("bigint", Decimal(10**20), None, False),
        ("date", "2026-01-15", date(2026, 1, 15), True),
        ("date", "2026-01-15T00:00:00Z", date(2026, 1, 15), True),
        ("date", "2026-01-15T10:00:00Z", date(2026, 1, 15), False),
        # The day as it is written: in UTC, midnight with an offset is on the day before.
        ("date", "2026-01-15T00:00:00+02:00", date(2026, 1, 15), False),
        ("date", "2026-01-15T23:30:00-02:00", date(2026, 1, 15), False),
        ("date", "2026-01", None, False),
        ("date", "2026-02-31", None, False),
        ("decimal", 0.1, Decimal("0.1"), True),
        ("decimal", "0.1", Decimal("0.1"), True),
        ("decimal", 7, Decimal(7), True),
        ("decimal", "1e3", Decimal(1000), True),
        ("decimal", "-.5", Decimal("-0.5"), True),
        ("decimal", Decimal("12345678901234567890.123456789"), Decimal("12345678901234567890.123456789"), True),
        ("decimal", "0.0000000014", Decimal("0.000000001"), False),
        ("decimal", "1,234.50", None, False),
        ("decimal", "NaN", None, False),
        ("decimal", True, None, False),
        ("decimal", 10**29, None, False),
        # Arrow (26) casts these to other numbers, without an error.
        ("decimal", "4E29", None, False),
        ("decimal", "30E30", None, False),
        ("decimal", 4e29, None, False),
        ("decimal", 1.4446562425709372e-224, Decimal(0), False),
        ("decimal", -9e28, Decimal("-9e28"), True),
        ("bigint", 3, 3, True),
        ("bigint", "3", 3, True),
        ("bigint", 2.5, None, False),
        # As a decimal of nine places, both would be whole.
        ("bigint", 1.1e-10, None, False),
        ("bigint", Decimal("3.00000000001"), None, False),
        ("bigint", True, None, False),
        ("bigint", 2**63, None, False),
        ("bool", False, False, True),
        ("bool", "true", True, True),
        ("bool", 1, None, False),
    ],
)
def test_one_value(type_, value, expected, exact):
    # Beside an odd value, so that the column as a whole takes the slow path too.
    for values in ([value], [value, None, ["odd"]]):
        array, misfits = convert(values, type_)
        assert array[0].as_py() == expected
        assert (0 not in misfits) is exact


@given(st.lists(st.one_of(st.none(), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))))
def test_fast_and_slow_path_of_timestamps_agree(moments):
    texts = [None if one is None else one.isoformat().replace("+00:00", "Z") for one in moments]
    fast, misfits = convert(texts, "timestamp")
    slow, _ = convert([*texts, 0], "timestamp")
    assert not misfits
    assert fast.to_pylist() == moments == slow.to_pylist()[:-1]


@given(st.lists(st.decimals(-(10**28), 10**28, places=9)))
def test_money_is_exact_however_it_was_written(amounts):
    assert convert([str(one) for one in amounts], "decimal")[0].to_pylist() == amounts
    assert convert(amounts, "decimal")[0].to_pylist() == amounts


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))))
def test_any_json_fits_any_column_or_is_a_misfit(values):
    for type_ in ("text", "timestamp", "date", "decimal", "bigint", "bool"):
        array, misfits = convert(values, type_)
        assert len(array) == len(values)
        for position, value in enumerate(values):
            if value is not None and array[position].as_py() is None:
                assert position in misfits, (type_, value)
