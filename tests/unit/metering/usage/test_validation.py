"""I5: a row that cannot be billed is named with its number and the reason; a good row is never touched."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.text import printable
from automatum.metering.model import Line, format_decimal
from tests.support.examples import examples
from tests.support.metering_rows import NOW, UTC, read, usage

LATER = NOW + timedelta(days=400)
NO_NUMBER = (
    "is not a plain number: write it with a decimal point, without separators or an exponent, with at most 20 digits "
    "before and 12 after the point"
)


def line(grain="hour", now=NOW, **changes):
    """The line of one good row, also of an hour that is not over."""
    found = read([usage(**changes)], grain, now, until=LATER)
    assert not found.refusals, found.refusals
    (one,) = found.lines
    return one


def reason(grain="hour", now=NOW, **changes):
    found = read([usage(**changes)], grain, now)
    assert not found.lines
    (one,) = found.refusals
    assert (one.rows, one.count) == ((1,), 1)
    return one.reason


def test_a_good_row():
    assert line(title=" API calls ", description="", per="request") == Line(
        vendor="aws",
        listing_id="lst_1",
        customer_id="cust_1",
        dimension="api_calls",
        grain="hour",
        starts_at=datetime(2026, 11, 24, 10, tzinfo=UTC),
        units=Decimal(5),
        price=Decimal("0.01"),
        title="API calls",
        per="request",
        rows=1,
    )


@pytest.mark.parametrize("value", [..., None, "", "  ", "\u2003\t", pd.NaT, pd.NA])
def test_what_is_missing_is_named(value):
    names = ["vendor", "listing_id", "customer_id", "dimension", "units", "price"]
    found = read([usage(**{"dimension": f"for {name}", name: value}) for name in names])
    assert [one.reason for one in found.refusals] == [f"{name} is missing" for name in names]


def test_all_that_is_wrong_is_named_at_once():
    assert reason(customer_id=None, units="abc", price="-1", usage_at="soon") == (
        f"customer_id is missing; units: 'abc' {NO_NUMBER}; price: '-1' is negative; "
        "usage_at: 'soon' is not a date; write it as 2026-01-15T10:00:00Z or, for a whole day, as 2026-01-15"
    )


IDS = [
    ("001234567890", "001234567890"),
    (123456789012, "123456789012"),
    (Decimal(12), "12"),
    (np.str_("a"), "a"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (" lst 1 ", "lst 1"),
    ("Ünï-客户", "Ünï-客户"),
]


def test_ids_are_text():
    for name in ("customer_id", "entitlement_id"):
        found = read([usage(**{name: value}) for value, _ in IDS])
        assert not found.refusals
        assert {getattr(one, name) for one in found.lines} == {text for _, text in IDS}


def test_ids_that_may_have_lost_digits_are_refused():
    values = [True, 12.0, b"x", Decimal("1.0"), Decimal("1E+2"), Decimal("Infinity"), ["x"], date(2026, 1, 1)]
    found = read([usage(customer_id=value, dimension=f"d{n}") for n, value in enumerate(values)])
    assert len(found.refusals) == len(values)
    for one in found.refusals:
        assert one.reason.startswith("customer_id: ")
    assert found.refusals[1].reason == (
        "customer_id: 12.0 is a float; read the column as text, so that no digit is lost"
    )


def test_ids_that_cannot_be_seen_are_refused():
    values = ["a\x1fb", "a\nb", "a\ud83d", "a\x00", "a\u202eb", "a\u2028b"]
    for name in ("customer_id", "entitlement_id"):
        found = read([usage(**{name: value}, dimension=f"d{n}") for n, value in enumerate(values)])
        assert len(found.refusals) == len(values) and not found.lines
        for one in found.refusals:
            assert "has characters that cannot be seen" in one.reason and one.reason.isprintable()


def test_a_vendor_is_lower_case_and_may_be_unknown():
    assert line(vendor=" AWS ").vendor == "aws"
    found = read([usage(vendor="gcp"), usage(vendor="Other"), usage()])
    assert found.unknown_vendors == ("gcp", "other")


def test_a_dimension_has_a_length():
    assert line(dimension="d" * 255).dimension == "d" * 255
    assert reason(dimension="d" * 256) == "dimension: has more than 255 characters"


AMOUNTS = [
    ("17", "17"),
    ("+17.50", "17.5"),
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
    ("000123.4500", "123.45"),
    ("2147483647", "2147483647"),
    ("0.000001", "0.000001"),
]


def test_units():
    found = read([usage(units=value, dimension=f"d{n:02}") for n, (value, _) in enumerate(AMOUNTS)])
    assert not found.refusals
    assert [str(one.units) for one in found.lines] == [units for _, units in AMOUNTS]


OF_SUM = "units: the sum of the hour,"
TEXTS = ["abc", "NaN", "inf", "1e3", "1,000", "1.000,5", "1,5", "١٢", "0x10", "5 calls", "1_000", ".", "9" * 21]
NO_AMOUNTS = [
    *((text, f"units: '{text}' {NO_NUMBER}") for text in TEXTS),
    (float("nan"), "units: NaN is not a number"),
    (np.float64("nan"), "units: NaN is not a number"),
    (float("inf"), "units: Infinity is not a number"),
    (Decimal("NaN"), "units: NaN is not a number"),
    (Decimal("sNaN"), "units: sNaN is not a number"),
    (Decimal("-Infinity"), "units: -Infinity is not a number"),
    (True, "units: a bool cannot be read"),
    ([5], "units: a list cannot be read"),
    (-1, "units: '-1' is negative"),
    ("-0.5", "units: '-0.5' is negative"),
    (-0.5, "units: '-0.5' is negative"),
    (0.1 + 0.2, "units: 0.30000000000000004 is a float without exact digits; use a DECIMAL or text column, or"),
    (Decimal("1E+999999999"), "units: a number with too many digits"),
    (Decimal("1E-999999"), "units: a number with too many digits"),
    (10**70, "units: a number with too many digits"),
    ("9" * 70, f"units: '{'9' * 60}... {NO_NUMBER}"),
    ("0.0000000000000001", f"units: '0.0000000000000001' {NO_NUMBER}"),
    ("2147483648", f"{OF_SUM} 2147483648, is more than the 2147483647 that aws takes"),
    ("9" * 20, f"{OF_SUM} {'9' * 20}, is more than"),
    ("0.0000001", f"{OF_SUM} 0.0000001, has more than 6 digits after the decimal point, and is not rounded"),
    (1e-7, f"{OF_SUM} 0.0000001, has more than 6 digits after the decimal point, and is not rounded"),
]


def test_units_that_are_none():
    found = read([usage(units=value, dimension=f"d{n:02}") for n, (value, _) in enumerate(NO_AMOUNTS)])
    assert not found.lines
    for refusal, (value, why) in zip(found.refusals, NO_AMOUNTS, strict=True):
        assert refusal.reason.startswith(why), value


def test_units_have_the_domain_of_the_marketplace():
    fits = {
        "aws": ["2147483647", "0", "0.000001", "0.0000010"],
        "azure": ["999999999.999999"],
        "gcp": ["999999999.999999"],
    }
    too_much = {
        "aws": ["2147483647.000001", "0.0000001"],
        "azure": ["1000000000", "1999999999"],
        "gcp": ["1000000000", "1999999999"],
    }
    rows = [(vendor, units) for table in (fits, too_much) for vendor, found in table.items() for units in found]
    found = read([usage(vendor=vendor, units=units, dimension=f"d{n:02}") for n, (vendor, units) in enumerate(rows, 1)])
    good = sum(map(len, fits.values()))
    assert sorted(one.dimension for one in found.lines) == [f"d{n:02}" for n in range(1, good + 1)]
    assert sorted(row for one in found.refusals for row in one.rows) == list(range(good + 1, len(rows) + 1))
    assert "azure takes" in reason(vendor="azure", units="1999999999")
    assert "any marketplace takes" in reason(vendor="gcp", units="1999999999")


def test_a_price_keeps_its_value():
    assert str(line(price="0.10").price) == "0.1"
    assert format_decimal(line(price="0.000000000001").price) == "0.000000000001"
    assert reason(price="0.0000000000001") == f"price: '0.0000000000001' {NO_NUMBER}"
    assert reason(price="12345678901").startswith("price: 12345678901 has more than 10 digits before")
    assert reason(price=float("nan")) == "price: NaN is not a number"
    assert line(price="0").price == 0


MOMENTS = [
    "2026-11-24T10:15:00Z",
    "2026-11-24 10:15:00",
    "2026-11-24T10:15",
    "2026-11-24T10:15:00.000",
    "2026-11-24t10:15:00.123456789z",
    "2026-11-24 12:15:00+02",
    "2026-11-24T15:45:00+05:30",
    "2026-11-24T05:15:00-0500",
    "2026-11-24 10:15:00 UTC",
    datetime(2026, 11, 24, 10, 15),
    datetime(2026, 11, 24, 12, 15, tzinfo=timezone(timedelta(hours=2))),
    pd.Timestamp("2026-11-24 10:15:00"),
    pd.Timestamp("2026-11-24 12:15:00", tz="Europe/Berlin") - pd.Timedelta(hours=1),
]


def test_moments():
    found = read([usage(usage_at=value) for value in MOMENTS])
    assert not found.refusals
    (one,) = found.lines
    assert (one.starts_at, one.rows) == (datetime(2026, 11, 24, 10, tzinfo=UTC), len(MOMENTS))


@pytest.mark.slow
@settings(derandomize=True, max_examples=examples(20), deadline=None)
@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2026, 11, 24, 12)), min_size=1, max_size=20), st.data())
def test_a_moment_of_any_zone_is_the_moment_that_python_reads(moments, data):
    texts = []
    for moment in moments:
        offset = data.draw(st.integers(-23 * 60 - 59, 23 * 60 + 59))
        texts.append(moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset))).isoformat())
    found = read([usage(usage_at=text, dimension=f"d{n}") for n, text in enumerate(texts)])
    assert not found.refusals
    starts = {one.dimension: one.starts_at for one in found.lines}
    for n, moment in enumerate(moments):
        assert starts[f"d{n}"] == moment.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)


NO_MOMENTS = [
    ("24.11.2026", "usage_at: '24.11.2026' is not a date"),
    ("11/24/2026 10:00", "usage_at: '11/24/2026 10:00' is not a date"),
    ("2026-02-31T10:00:00Z", "usage_at: '2026-02-31T10:00:00Z' is not a date"),
    ("2026-02-31", "usage_at: '2026-02-31' is not a date"),
    ("2026-11-24T24:00:00Z", "usage_at: '2026-11-24T24:00:00Z' is not a date"),
    ("2026-11-24T10:00:60Z", "usage_at: '2026-11-24T10:00:60Z' is not a date"),
    ("2026-11-24T10:00:00+99:00", "usage_at: '2026-11-24T10:00:00+99:00' is not a date"),
    ("0001-01-01T00:00:00+10:00", "usage_at: '0001-01-01T00:00:00+10:00' is not a date"),
    ("0000-01-01", "usage_at: '0000-01-01' is not a date"),
    ("1795516500", "usage_at: '1795516500' is not a date"),
    (1795516500, "usage_at: '1795516500' is not a date"),
    (1795516500.5, "usage_at: '1795516500.5' is not a date"),
    (True, "usage_at: a bool cannot be read"),
    (time(10), "usage_at: a time cannot be read"),
    (None, "usage_at is missing"),
    (pd.NaT, "usage_at is missing"),
    (float("nan"), "usage_at is missing"),
]


def test_moments_that_are_none():
    found = read([usage(usage_at=value, dimension=f"d{n:02}") for n, (value, _) in enumerate(NO_MOMENTS)])
    for one, (_, why) in zip(found.refusals, NO_MOMENTS, strict=True):
        assert one.reason.startswith(why)
        assert one.reason.count("usage_at") == 1


def test_a_date_alone_is_for_days():
    values = ("2026-11-23", date(2026, 11, 23), datetime(2026, 11, 23), pd.Timestamp("2026-11-23"))
    (one,) = read([usage(usage_at=value) for value in values], "day").lines
    assert (one.starts_at, one.rows) == (datetime(2026, 11, 23, tzinfo=UTC), 4)
    assert reason(usage_at="2026-11-23") == "usage has a date only; use --grain day"


def test_the_future_cannot_be_billed():
    assert reason(usage_at="2026-11-24T14:30:00Z") == "usage is in the future (2026-11-24 14:30:00 UTC)"
    assert reason(usage_at="2026-11-24T12:30:01Z").startswith("usage is in the future")
    assert read([usage(usage_at="2026-11-24T12:30:00Z")]).open_rows == 1
    assert reason("day", usage_at="2026-11-25").startswith("usage is in the future (2026-11-25")


def test_texts_are_cleaned():
    one = line(title="a\x1b[2Jb\r", description="x\ny", per=5)
    assert (one.title, one.description, one.per) == ("a [2Jb", "x\ny", "5")
    assert reason(title=1.5).startswith("title: 1.5 is a float")
    assert "has characters that cannot be seen" in reason(title="a\ud83d")


ANYTHING = st.one_of(
    st.none(), st.text(max_size=8), st.integers(), st.floats(), st.decimals(), st.datetimes(), st.dates(),
    st.booleans(), st.binary(max_size=3),
    st.sampled_from(["5", "0.01", "aws", "2026-11-24T10:15:00Z", "2026-11-24", "1e3", "\x00x"]),
)  # fmt: skip
NAMES = [*usage(), "entitlement_id", "title", "description", "per"]


@settings(derandomize=True, max_examples=examples(20), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING), max_size=20), st.sampled_from(["hour", "day"]))
def test_whatever_rows_hold_each_is_judged_once(changes, grain):
    """Nothing silently unbilled: every row is in a line, open, or refused, and a line is fit to be sent."""
    found = read([{**usage(), **one} for one in changes], grain)
    assert found.rows == len(changes)
    in_lines = sum(one.rows for one in (*found.lines, *found.zeros))
    assert in_lines + found.open_rows + sum(one.count for one in found.refusals) == found.rows
    for one in found.lines:
        assert one.units.is_finite() and one.units >= 0 and one.price.is_finite() and one.price >= 0
        assert all((one.vendor, one.listing_id, one.customer_id, one.dimension)) and one.ends_at <= NOW
    assert all(one.reason == printable(one.reason) != "" for one in found.refusals)


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({"units": "abc"}, True),
        ({"price": ...}, True),
        ({"units": "abc", "title": 1.5}, True),
        ({"customer_id": ...}, False),
        ({"dimension": "a\x1b[2Jb"}, False),
        ({"entitlement_id": "a\x1b[2Jb"}, False),
        ({"usage_at": "yesterday"}, False),
        ({"usage_at": "2026-11-24"}, False),
    ],
)
def test_a_refusal_knows_the_line_that_its_row_belongs_to(changes, is_known):
    """I5. A line with a refused row is found, whatever is wrong with the row, if its key can be read."""
    (refusal,) = read([usage(**{"units": "-1", **changes})]).refusals
    assert refusal.line_id == (line().id if is_known else None)
    assert refusal.subject == refusal.line_id or not is_known
