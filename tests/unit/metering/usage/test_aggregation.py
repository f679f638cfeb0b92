"""I5: every closed row is in one line or refused, every sum is exact, and the open hour waits."""

import random
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.model import exact, format_decimal
from automatum.metering.payloads import bodies
from tests.support.examples import examples
from tests.support.metering_rows import NOW, UTC, read, usage

AT = datetime(2026, 11, 24, 10, 15, tzinfo=UTC)
SEED = 20261124


def at(moment, units="5", price="0.01", **changes):
    return usage(usage_at=moment, units=units, price=price, **changes)


@pytest.mark.slow
def test_ten_thousand_rows_come_to_the_sum_of_their_cents():
    """Totals equal sums of integers (millionths of a unit, billionths of a dollar) that share no code with ours."""
    print("seed", SEED)
    chance = random.Random(SEED)
    prices = {f"dim_{number}": chance.randrange(1, 10**10) for number in range(40)}
    raw, millionths, charged = [], defaultdict(int), 0
    for _ in range(10_000):
        dimension = chance.choice(list(prices))
        vendor = chance.choice(["aws", "azure"])
        units = chance.randrange(1, 10**10)
        moment = AT.replace(minute=0) - timedelta(seconds=chance.randrange(1, 5 * 86_400))
        customer = f"cust_{chance.randrange(30)}"
        text = f"{units // 10**6}.{units % 10**6:06d}"
        price = f"{prices[dimension] // 10**9}.{prices[dimension] % 10**9:09d}"
        form = chance.choice([str, Decimal])
        raw.append(at(moment, form(text), form(price), vendor=vendor, customer_id=customer, dimension=dimension))
        millionths[vendor, customer, dimension, moment.replace(minute=0, second=0, microsecond=0)] += units
        charged += units * prices[dimension]
    found = read(raw)
    assert not found.refusals and not found.open_rows
    keys = {(line.vendor, line.customer_id, line.dimension, line.starts_at): line for line in found.lines}
    assert len(keys) == len(found.lines) == len(millionths)
    for key, sum_ in millionths.items():
        assert Fraction(keys[key].units) == Fraction(sum_, 10**6)
    assert sum((Fraction(line.charged) for line in found.lines), Fraction()) == Fraction(charged, 10**15)
    made = bodies(found.lines)
    sent = (Fraction(line.charged) for body in made for line in body.lines)
    assert sum(sent, Fraction()) == Fraction(charged, 10**15)
    assert sum(line.rows for line in found.lines) == 10_000
    by_day = read(raw, "day")
    assert by_day.open_rows == sum(row["usage_at"].date() == NOW.date() for row in raw) > 0


def test_an_hour_is_summed_with_what_lies_in_it():
    rows = [
        at(AT.replace(minute=0)),
        at(AT.replace(minute=59, second=59, microsecond=999_999), "0.5"),
        at("2026-11-24T10:59:59.999999999Z", "0.25"),
        at(AT.replace(hour=11, minute=0), "7"),
    ]
    first, second = read(rows).lines
    assert (first.starts_at, first.units, first.rows) == (AT.replace(minute=0), Decimal("5.75"), 3)
    assert (second.starts_at, second.units, second.rows) == (AT.replace(hour=11, minute=0), Decimal(7), 1)
    assert format_decimal(first.charged) == "0.0575"


def test_the_open_hour_and_the_open_day_wait():
    rows = [at(NOW.replace(minute=0)), at(NOW - timedelta(hours=1)), at(NOW - timedelta(days=1))]
    hours, days = read(rows), read(rows, "day")
    assert (hours.open_rows, [line.starts_at.hour for line in hours.lines]) == (1, [12, 11])
    assert (days.open_rows, [line.starts_at.day for line in days.lines]) == (2, [23])
    # The hour is over at the very moment at which the next begins.
    over = NOW.replace(hour=13, minute=0)
    assert read(rows[:1], until=over).open_rows == 0
    assert read(rows[:1], until=over - timedelta(seconds=1)).open_rows == 1


def test_two_prices_for_one_hour_refuse_all_its_rows():
    rows = [at(AT), at(AT, price="0.02"), at(AT, price="0.010"), at(AT, price="0.02", customer_id="cust_2")]
    found = read(rows)
    (refusal,) = found.refusals
    assert refusal.reason == "price: both 0.01 and 0.02 for one dimension and hour"
    assert (refusal.rows, refusal.count) == ((1, 2, 3), 3)
    assert refusal.subject == refusal.line_id
    assert [line.customer_id for line in found.lines] == ["cust_2"]


def test_equal_prices_in_other_digits_are_one_price():
    (line,) = read([at(AT, price="0.010"), at(AT, price="0.01")]).lines
    assert (str(line.price), line.units) == ("0.01", 10)


def test_a_sum_beyond_what_the_marketplace_takes_is_refused():
    rows = [at(AT, "2147483647"), at(AT, "1"), at(AT, "1", dimension="seats")]
    found = read(rows)
    (refusal,) = found.refusals
    assert refusal.rows == (1, 2)
    assert refusal.reason == "units: the sum of the hour, 2147483648, is more than the 2147483647 that aws takes"
    assert (refusal.count, refusal.about["units"]) == (2, "2147483648")
    assert [line.dimension for line in found.lines] == ["seats"]


def test_rows_without_an_entitlement_beside_rows_with_one_are_refused():
    found = read([at(AT), at(AT, entitlement_id="ent_1"), at(AT, entitlement_id=""), at(AT, dimension="seats")])
    without, named = found.refusals
    assert (without.rows, without.count, named.rows, named.count) == ((1, 3), 2, (2,), 1)
    # They may be a part of it.
    reason = "entitlement_id: is missing in row 1, and given in row 2, for the same dimension and hour"
    assert without.reason == named.reason == reason
    (seats,) = found.lines
    assert (seats.dimension, seats.entitlement_id) == ("seats", None)


def test_no_progress_bar_is_printed_between_the_json_of_a_script():
    """`python -c` counts as interactive for DuckDB, which then prints a bar on stdout after two seconds."""
    code = """from automatum.metering.usage.query import connect
print(connect().sql("SELECT current_setting('enable_progress_bar')").fetchall()[0][0])"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]


def test_texts_are_those_of_the_first_row_that_has_them():
    rows = [at(AT), at(AT, title="second", description="text"), at(AT, title="third", per="request")]
    (line,) = read(rows).lines
    assert (line.title, line.description, line.per) == ("second", "text", "request")


def test_a_sum_of_zero_is_a_line_where_the_marketplace_takes_it():
    rows = [at(AT, "0"), at(AT, "0.000")]
    (line,) = read(rows).lines
    assert (format_decimal(line.units), format_decimal(line.charged)) == ("0", "0")
    azure = read([{**row, "vendor": "azure"} for row in rows])
    assert (azure.lines, len(azure.zeros)) == ((), 1)


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({}, ["hour 10"]),
        # Where a part of the key cannot be read, it may be a part of any line of its customer.
        ({"vendor": None}, ["hour 10", "hour 11", "seats", "day before"]),
        ({"dimension": None}, ["hour 10", "hour 11", "seats", "day before"]),
        ({"usage_at": "soon"}, ["hour 10", "hour 11", "seats", "day before"]),
        ({"usage_at": "2026-11-24"}, ["hour 10", "hour 11", "seats", "day before"]),
        ({"customer_id": None}, []),
        ({"customer_id": "cust_2"}, []),
        ({"entitlement_id": "ent_1"}, []),
    ],
)
def test_a_refused_row_stops_each_line_that_it_may_be_a_part_of(changes, stops):
    """M7: what was accepted cannot be raised later, so a sum that may lack a row is not sent."""
    good = {
        "hour 10": at(AT),
        "hour 11": at(AT.replace(hour=11)),
        "seats": at(AT, dimension="seats"),
        "day before": at(AT - timedelta(days=1)),
    }
    found = read([*good.values(), at(AT, "x") | changes])
    times = {(10, 24): "hour 10", (11, 24): "hour 11", (10, 23): "day before"}
    sent = {
        "seats" if line.dimension == "seats" else times[line.starts_at.hour, line.starts_at.day] for line in found.lines
    }
    assert sorted(set(good) - sent) == sorted(stops)
    # The row itself is named where it is not the only one, and no row is missing.
    assert all(5 in one.rows or "row 5" in one.reason for one in found.refusals)
    assert sum(one.count for one in found.refusals) == 1 + len(stops)


def test_refusals_have_the_same_subject_in_every_push():
    wrong = [at(AT, "x"), at("soon"), at(AT, customer_id=None), {}]
    first, later = read(wrong), read([at(AT, customer_id="new"), *reversed(wrong)])
    assert len({one.subject for one in first.refusals}) == 4
    assert {one.subject for one in first.refusals} == {one.subject for one in later.refusals}
    assert {one.subject for one in read(wrong, named="other").refusals} != {one.subject for one in first.refusals}


def test_the_refused_rows_of_a_line_are_one_refusal():
    found = read([at(AT, "x"), *[at(AT, "y")] * 12, at(AT, "z"), at(AT, "-1")])
    (refusal,) = found.refusals
    assert (refusal.rows, refusal.count) == (tuple(range(1, 11)), 15)
    named = [part.split()[:2] for part in refusal.reason.split("; ")]
    # The reasons of the first rows; of the others, their number.
    assert named == [["units:", "'x'"], ["units:", "'y'"], ["and", "2"]]
    assert refusal.about["customer_id"] == "cust_1"


ROWS = st.lists(
    st.tuples(
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
@settings(derandomize=True, max_examples=examples(30), deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from(["hour", "day"]))
def test_sums_are_those_of_python_and_the_order_of_the_rows_does_not_matter(specs, chance, grain):
    rows = [
        at(NOW - timedelta(hours=hours), units, price, dimension=dimension, customer_id=customer, title=title)
        for hours, units, price, dimension, customer, title in specs
    ]
    found = read(rows, grain)
    sums, prices, context = defaultdict(Decimal), defaultdict(set), exact()
    hour = 0 if grain == "day" else None
    for row in rows:
        start = row["usage_at"].replace(minute=0, second=0, **({} if hour is None else {"hour": hour}))
        key = (row["customer_id"], row["dimension"], start)
        sums[key] = context.add(sums[key], row["units"])
        prices[key].add(Decimal(row["price"]))
    closed = {key for key in sums if key[2] + timedelta(hours=1 if grain == "hour" else 24) <= NOW}
    expected = {key: sums[key] for key in closed if len(prices[key]) == 1}
    assert {(line.customer_id, line.dimension, line.starts_at): line.units for line in found.lines} == expected
    assert sum(one.count for one in found.refusals) + found.open_rows + sum(line.rows for line in found.lines) == len(
        rows
    )
    shuffled = list(rows)
    chance.shuffle(shuffled)
    again = read(shuffled, grain)
    amounts = [[(line.id, str(line.units), str(line.price)) for line in one.lines] for one in (found, again)]
    assert amounts[0] == amounts[1]
    assert {one.subject for one in found.refusals} == {one.subject for one in again.refusals}
    assert found.digest == again.digest
