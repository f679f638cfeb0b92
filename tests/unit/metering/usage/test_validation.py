"""I5: a row that cannot be billed is named with its number and the reason; a good row is never touched."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.model import Line, Refusal, UsageRow
from automatum.metering.usage.readers import UnreadableRow
from automatum.metering.usage.validation import validate
from tests.support.examples import examples
from tests.support.metering_rows import NOW, UTC, usage


def check(grain="hour", now=NOW, **changes):
    (one,) = validate([(7, usage(**changes))], grain, lambda: now)
    assert one.row == 7
    return one


def reason(*arguments, **changes):
    one = check(*arguments, **changes)
    assert isinstance(one, Refusal), one
    return one.reason


def test_a_good_row():
    assert check(title=" API calls ", description="", per="request") == UsageRow(
        row=7,
        vendor="aws",
        listing_id="lst_1",
        customer_id="cust_1a2b3c4d",
        dimension="api_calls",
        units=Decimal(5),
        price=Decimal("0.01"),
        used_at=datetime(2026, 11, 24, 10, 15, tzinfo=UTC),
        day=date(2026, 11, 24),
        title="API calls",
        description=None,
        per="request",
    )


@pytest.mark.parametrize("name", ["customer_id", "listing_id", "vendor", "dimension", "units", "price"])
@pytest.mark.parametrize("value", [..., None, "", "  ", pd.NaT])
def test_what_is_missing_is_named(name, value):
    assert reason(**{name: value}) == f"{name} is missing"


def test_all_that_is_wrong_is_named_at_once():
    assert reason(customer_id=None, units="abc", price="-1", usage_at="soon") == (
        "customer_id is missing; units: 'abc' is not a number; price: '-1' is negative; "
        "usage_at: 'soon' is not a date; write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"
    )


def test_a_row_that_is_none():
    assert list(validate([(3, UnreadableRow("has 9 fields where the header has 7"))], "hour", lambda: NOW)) == [
        Refusal(3, "has 9 fields where the header has 7")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("001234567890", "001234567890"),
        (123456789012, "123456789012"),
        (Decimal(12), "12"),
        (np.str_("a"), "a"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (" lst 1 ", "lst 1"),
        ("Ünï-客户", "Ünï-客户"),
    ],
)
def test_ids_are_text(value, text):
    assert check(customer_id=value).customer_id == text


@pytest.mark.parametrize("value", [True, 12.0, b"x", Decimal("1.0"), Decimal("Infinity"), ["x"], date(2026, 1, 1)])
def test_ids_that_may_have_lost_digits_are_refused(value):
    assert "customer_id: " in reason(customer_id=value)


@pytest.mark.parametrize("value", ["a\x1fb", "a\nb", "a\ud83d", "a\x00"])
def test_ids_that_cannot_be_seen_are_refused(value):
    assert "cannot be seen" in reason(customer_id=value)


def test_a_vendor_is_lower_case_and_may_be_unknown():
    assert check(vendor=" AWS ").vendor == "aws"
    assert check(vendor="gcp").vendor == "gcp"


def test_a_dimension_has_a_length():
    assert check(dimension="d" * 255).dimension == "d" * 255
    assert reason(dimension="d" * 256) == "dimension: has more than 255 characters"


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("17", "17"),
        ("+17.50", "17.50"),
        (" 17. ", "17"),
        (".5", "0.5"),
        (17, "17"),
        (17.25, "17.25"),
        (0.1, "0.1"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5).item(), "0.5"),
        (1e3, "1000"),
        (Decimal("17.000000000"), "17"),
        (Decimal("1.7E+1"), "17"),
        (Decimal("-0.0"), "0"),
        ("-0", "0"),
        (0, "0"),
        (0.0, "0"),
        ("2147483647", "2147483647"),
        ("0.000001", "0.000001"),
    ],
)
def test_units(value, units):
    row = check(units=value)
    assert isinstance(row, UsageRow), row
    assert row.units == Decimal(units)
    assert "E" not in str(row.units)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("abc", "units: 'abc' is not a number"),
        ("NaN", "units: 'NaN' is not a number"),
        ("inf", "units: 'inf' is not a number"),
        (float("nan"), "units: NaN is not a number"),
        (np.float64("nan"), "units: NaN is not a number"),
        (float("inf"), "units: Infinity is not a number"),
        (Decimal("NaN"), "units: NaN is not a number"),
        (Decimal("sNaN"), "units: sNaN is not a number"),
        (Decimal("-Infinity"), "units: -Infinity is not a number"),
        (True, "units: True is not a number"),
        ([5], "units: [5] is not a number"),
        (-1, "units: -1 is negative"),
        ("-0.5", "units: '-0.5' is negative"),
        (-0.5, "units: -0.5 is negative"),
        ("1e3", "units: '1e3' has an exponent; write it out in plain digits"),
        ("1,000", "units: '1,000' is not a number; write it with a decimal point and without separators"),
        ("1.000,5", "units: '1.000,5' is not a number; write it with a decimal point and without separators"),
        ("1,5", "units: '1,5' is not a number; write it with a decimal point and without separators"),
        ("١٢", "units: '١٢' is not a number"),
        ("0x10", "units: '0x10' is not a number"),
        ("5 calls", "units: '5 calls' is not a number"),
        ("1_000", "units: '1_000' is not a number; write it with a decimal point and without separators"),
        (0.1 + 0.2, "units: 0.30000000000000004 is a float without exact digits; use a DECIMAL or text column, or"),
        (Decimal("1E+999999999"), "units: 1E+999999999 has too many digits"),
        (Decimal("1E-999999"), "units: 1E-999999 has too many digits"),
        (10**70, "units: has too many digits"),
        ("2147483648", "units: 2147483648 is more than the 2147483647 that aws takes"),
        ("0.0000001", "units: 0.0000001 has more than 6 digits after the decimal point, and is not rounded"),
        (1e-7, "units: 0.0000001 has more than 6 digits after the decimal point, and is not rounded"),
    ],
)
def test_units_that_are_none(value, why):
    assert reason(units=value).startswith(why)


def test_units_have_the_domain_of_the_marketplace():
    assert check(units="1999999999").units == 1999999999
    assert "azure takes" in reason(vendor="azure", units="1999999999")
    assert "any marketplace takes" in reason(vendor="gcp", units="1999999999")


def test_a_price_keeps_its_digits():
    assert str(check(price="0.10").price) == "0.10"
    assert reason(price="0.0000000000001").startswith("price: 0.0000000000001 has more than 12 digits after")
    assert reason(price=float("nan")) == "price: NaN is not a number"
    assert check(price="0").price == 0


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24T10:15:00Z",
        "2026-11-24 10:15:00",
        "2026-11-24T10:15",
        "2026-11-24T10:15:00.000",
        "2026-11-24 12:15:00+02",
        "2026-11-24T15:45:00+05:30",
        "2026-11-24T05:15:00-0500",
        "2026-11-24 10:15:00 UTC",
        datetime(2026, 11, 24, 10, 15),
        datetime(2026, 11, 24, 12, 15, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2026-11-24 10:15:00"),
        pd.Timestamp("2026-11-24 12:15:00", tz="Europe/Berlin") - pd.Timedelta(hours=1),
    ],
)
def test_moments(value):
    row = check(usage_at=value)
    assert isinstance(row, UsageRow), row
    assert row.used_at == datetime(2026, 11, 24, 10, 15, tzinfo=UTC)
    assert type(row.used_at) is datetime
    assert row.used_at.tzinfo is UTC
    assert row.day == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("24.11.2026", "usage_at: '24.11.2026' is not a date"),
        ("11/24/2026 10:00", "usage_at: '11/24/2026 10:00' is not a date"),
        ("2026-02-31T10:00:00Z", "usage_at: '2026-02-31T10:00:00Z' is not a date: day"),
        ("2026-11-24T25:00:00Z", "usage_at: '2026-11-24T25:00:00Z' is not a date: hour"),
        ("2026-11-24T10:00:00+99:00", "usage_at: '2026-11-24T10:00:00+99:00' is not a date"),
        ("0001-01-01T00:00:00+10:00", "usage_at: '0001-01-01T00:00:00+10:00' is not a date"),
        ("1795516500", "usage_at: '1795516500' is a number, not a date"),
        (1795516500, "usage_at: 1795516500 is a number, not a date"),
        (1795516500.5, "usage_at: 1795516500.5 is a number, not a date"),
        (True, "usage_at: True (bool) is not a date"),
        (time(10), "usage_at: 10:00:00 (time) is not a date"),
        (None, "usage_at (or usage_date) is missing"),
        (pd.NaT, "usage_at (or usage_date) is missing"),
        (float("nan"), "usage_at (or usage_date) is missing"),
    ],
)
def test_moments_that_are_none(value, why):
    found = reason(usage_at=value)
    assert found.startswith(why)
    assert ";" not in found or found.count("usage_at") == 1


def test_a_date_alone_is_for_days():
    for value in ("2026-11-23", date(2026, 11, 23), datetime(2026, 11, 23), pd.Timestamp("2026-11-23")):
        row = check("day", usage_at=..., usage_date=value)
        assert (row.used_at, row.day) == (None, date(2026, 11, 23))
    assert check("day", usage_at="2026-11-23").day == date(2026, 11, 23)
    assert reason(usage_at=..., usage_date="2026-11-23") == "usage_date: has a date only; use --grain day"
    assert reason(usage_at="2026-11-23") == "usage_at: has a date only; use --grain day"
    assert "has a time of day" in reason("day", usage_at=..., usage_date="2026-11-23T10:00:00Z")
    assert "has a time of day" in reason("day", usage_at=..., usage_date="2026-11-23T00:00:00+02:00")


def test_a_moment_has_to_lie_on_the_date_beside_it():
    assert check(usage_date="2026-11-24").used_at is not None
    assert reason(usage_date="2026-11-23") == "usage_at lies on 2026-11-24 (UTC), usage_date is 2026-11-23"
    assert reason("day", usage_at="2026-11-22", usage_date="2026-11-23").startswith("usage_at lies on 2026-11-22")
    # 01:30 in Berlin on the 24th is the 23rd in UTC.
    assert reason(usage_at="2026-11-24T00:30:00+01:00", usage_date="2026-11-24").startswith("usage_at lies on")


def test_the_future_cannot_be_billed():
    assert reason(usage_at="2026-11-24T14:30:00Z") == "usage_at is 2 h in the future (2026-11-24T14:30:00+00:00)"
    assert reason(usage_at="2026-11-24T12:30:01Z").startswith("usage_at is 1 s in the future")
    assert reason(usage_at="2027-11-24T12:30:00Z").startswith("usage_at is 365 days in the future")
    assert isinstance(check(usage_at="2026-11-24T12:30:00Z"), UsageRow)
    assert reason("day", usage_at=..., usage_date="2026-11-25") == "usage_date is in the future (2026-11-25)"
    assert isinstance(check("day", usage_at=..., usage_date="2026-11-24"), UsageRow)


def test_texts():
    assert check(title=5).title == "5"
    assert check(title="two\nlines").title == "two\nlines"
    assert reason(title="\ud83d").startswith("title: ")
    assert reason(per=["x"]) == "per: ['x'] is not text"
    assert reason(per=True) == "per: True is not text"


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(max_size=20), st.binary(max_size=4),
    st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.lists(st.integers(), max_size=2), st.just(pd.NaT),
    st.uuids(), st.datetimes(timezones=st.timezones()),
)  # fmt: skip


@pytest.mark.slow
@settings(derandomize=True, max_examples=examples(400), deadline=None)
@given(st.dictionaries(st.sampled_from([*usage(), "usage_date", "title", "description", "per"]), ANYTHING))
def test_whatever_a_row_holds_it_is_judged(values):
    """Nothing silently unbilled: every row comes out once, and one that passes is fit to be sent."""
    for grain in ("hour", "day"):
        (one,) = validate([(1, {**usage(), **values})], grain, lambda: NOW)
        if isinstance(one, Refusal):
            assert one.reason
        else:
            assert one.units.is_finite() and one.units >= 0
            assert one.price.is_finite() and one.price >= 0
            assert all((one.vendor, one.listing_id, one.customer_id, one.dimension))
            assert one.used_at is None or one.used_at <= NOW
            assert grain == "day" or one.used_at is not None


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({"units": "abc"}, True),
        ({"price": ...}, True),
        ({"units": "abc", "title": 1.5}, True),
        ({"customer_id": ...}, False),
        ({"dimension": "a\x1b[2Jb"}, False),
        ({"usage_at": "yesterday"}, False),
        ({"usage_at": "2026-11-24"}, False),
    ],
)
def test_a_refusal_knows_the_line_that_its_row_belongs_to(changes, is_known):
    """I5. A line with a refused row is found, whatever is wrong with the row, if its key can be read."""
    refusal = check(**{"units": "-1", **changes})
    assert isinstance(refusal, Refusal)
    line = Line(
        "aws",
        "lst_1",
        "cust_1a2b3c4d",
        "api_calls",
        "hour",
        datetime(2026, 11, 24, 10, tzinfo=UTC),
        Decimal(5),
        Decimal(1),
    )
    assert refusal.usage.line_id == (line.id if is_known else None)
