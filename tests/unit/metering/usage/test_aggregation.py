"""I5: every closed row is in one line or refused, every sum is exact, and the open hour waits."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.model import Refusal, UsageRow, format_decimal
from automatum.metering.payloads import bodies
from automatum.metering.usage.aggregation import aggregate
from automatum.metering.usage.validation import validate
from tests.support.examples import examples
from tests.support.metering_rows import NOW, UTC, used

AT = datetime(2026, 11, 24, 10, 15, tzinfo=UTC)
SEED = 20261124


@pytest.mark.slow
def test_ten_thousand_rows_come_to_the_sum_of_their_cents():
    """Totals equal sums of integers (millionths of a unit, billionths of a dollar) that share no code with ours."""
    print("seed", SEED)
    chance = random.Random(SEED)
    prices = {f"dim_{number}": chance.randrange(1, 10**10) for number in range(40)}
    raw, millionths, charged = [], defaultdict(int), 0
    for position in range(1, 10_001):
        dimension = chance.choice(list(prices))
        vendor = chance.choice(["aws", "azure"])
        units = chance.randrange(0, 10**10)
        at = AT.replace(minute=0) - timedelta(seconds=chance.randrange(1, 5 * 86_400))
        customer = f"cust_{chance.randrange(30)}"
        text = f"{units // 10**6}.{units % 10**6:06d}"
        price = f"{prices[dimension] // 10**9}.{prices[dimension] % 10**9:09d}"
        form = chance.choice([str, Decimal])
        values = {"vendor": vendor, "listing_id": "lst_1", "customer_id": customer, "dimension": dimension}
        raw.append((position, {**values, "units": form(text), "price": form(price), "usage_at": at}))
        millionths[vendor, customer, dimension, at.replace(minute=0, second=0, microsecond=0)] += units
        charged += units * prices[dimension]
    rows = list(validate(raw, "hour", lambda: NOW))
    assert all(isinstance(row, UsageRow) for row in rows)
    found = aggregate(rows, "hour", NOW)
    assert not found.refusals and not found.open_rows
    keys = {(line.vendor, line.customer_id, line.dimension, line.starts_at): line for line in found.lines}
    assert len(keys) == len(found.lines) == len(millionths)
    for key, sum_ in millionths.items():
        assert Fraction(keys[key].units) == Fraction(sum_, 10**6)
    assert sum((Fraction(line.charged) for line in found.lines), Fraction()) == Fraction(charged, 10**15)
    made = bodies(found.lines)
    assert sum((Fraction(body.charged) for body in made), Fraction()) == Fraction(charged, 10**15)
    assert sorted(row for line in found.lines for row in line.rows) == list(range(1, 10_001))
    by_day = aggregate(rows, "day", NOW)
    assert by_day.open_rows == sum(row.day == NOW.date() for row in rows) > 0


def test_an_hour_is_summed_with_what_lies_in_it():
    rows = [
        used(1, AT.replace(minute=0)),
        used(2, AT.replace(minute=59, second=59, microsecond=999_999), "0.5"),
        used(3, AT.replace(hour=11, minute=0), "7"),
    ]
    first, second = aggregate(rows, "hour", NOW).lines
    assert (first.starts_at, first.units, first.rows) == (AT.replace(minute=0), Decimal("5.5"), (1, 2))
    assert (second.starts_at, second.units, second.rows) == (AT.replace(hour=11, minute=0), Decimal(7), (3,))
    assert format_decimal(first.charged) == "0.055"


def test_the_open_hour_and_the_open_day_wait():
    rows = [used(1, NOW.replace(minute=0)), used(2, NOW - timedelta(hours=1)), used(3, NOW - timedelta(days=1))]
    hours, days = aggregate(rows, "hour", NOW), aggregate(rows, "day", NOW)
    assert (hours.open_rows, [line.rows for line in hours.lines]) == (1, [(3,), (2,)])
    assert (days.open_rows, [line.rows for line in days.lines]) == (2, [(3,)])
    # The hour is over at the very moment at which the next begins.
    closed = aggregate(rows[:1], "hour", NOW.replace(hour=13, minute=0))
    assert (closed.open_rows, len(closed.lines)) == (0, 1)
    assert aggregate(rows[:1], "hour", NOW.replace(minute=59, second=59)).open_rows == 1


def test_two_prices_for_one_hour_refuse_all_its_rows():
    rows = [used(1), used(2, price="0.02"), used(3, price="0.010"), used(4, customer_id="cust_2", price="0.02")]
    found = aggregate(rows, "hour", NOW)
    what = "both for api_calls of cust_1 on 2026-11-24 10:00 UTC"
    assert found.refusals == (
        Refusal(1, f"price: 0.01 here and 0.02 in row 2, {what}"),
        Refusal(2, f"price: 0.02 here and 0.01 in row 1, {what}"),
        Refusal(3, f"price: 0.01 here and 0.02 in row 2, {what}"),
    )
    assert [line.customer_id for line in found.lines] == ["cust_2"]


def test_equal_prices_in_other_digits_are_one_price():
    (line,) = aggregate([used(2, price="0.010"), used(1, price="0.01")], "hour", NOW).lines
    assert (str(line.price), line.units) == ("0.01", 10)


def test_a_sum_beyond_what_the_marketplace_takes_is_refused():
    rows = [used(1, units="2147483647"), used(2, units="1"), used(3, units="1", dimension="seats")]
    found = aggregate(rows, "hour", NOW)
    assert [one.row for one in found.refusals] == [1, 2]
    assert "the sum of 2 rows" in found.refusals[0].reason
    assert "2147483648 is more than the 2147483647" in found.refusals[0].reason
    assert [line.dimension for line in found.lines] == ["seats"]


def test_texts_are_those_of_the_first_row_that_has_them():
    rows = [used(3, title="third", per="request"), used(1), used(2, title="second", description="text")]
    (line,) = aggregate(rows, "hour", NOW).lines
    assert (line.title, line.description, line.per) == ("second", "text", "request")


def test_a_sum_of_zero_stays_a_line():
    (line,) = aggregate([used(1, units="0"), used(2, units="0.000")], "hour", NOW).lines
    assert (format_decimal(line.units), format_decimal(line.charged)) == ("0", "0")


def test_a_date_alone_is_no_hour():
    row = used(4, AT - timedelta(days=1), used_at=None)
    assert aggregate([row], "hour", NOW).refusals == (Refusal(4, "has a date only; use --grain day"),)
    assert aggregate([row], "day", NOW).lines[0].rows == (4,)


ROWS = st.lists(
    st.builds(
        lambda hours, units, price, dimension, customer, title: (hours, units, price, dimension, customer, title),
        st.integers(0, 30),
        st.decimals(0, 10_000, places=6),
        st.sampled_from(["0.01", "0.010", "0.02"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["cust_1", "cust_2"]),
        st.sampled_from([None, "x", "y"]),
    ),
    max_size=30,
)


@pytest.mark.slow
@settings(derandomize=True, max_examples=examples(200), deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from(["hour", "day"]))
def test_order_changes_nothing_and_no_row_is_lost(specs, chance, grain):
    rows = [
        used(n, NOW - timedelta(hours=hours), units, price, dimension=dimension, customer_id=customer, title=title)
        for n, (hours, units, price, dimension, customer, title) in enumerate(specs, 1)
    ]
    found = aggregate(rows, grain, NOW)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    again = aggregate(shuffled, grain, NOW)
    assert repr(again) == repr(found)  # repr: 0.01 and 0.010 are equal, and must be the same digits too.
    counted = [row for line in found.lines for row in line.rows] + [one.row for one in found.refusals]
    assert len(counted) == len(set(counted))
    assert len(counted) + found.open_rows == len(rows)
    units = {row.row: row.units for row in rows}
    for line in found.lines:
        assert Fraction(line.units) == sum(Fraction(units[row]) for row in line.rows)
        assert line.ends_at <= NOW
