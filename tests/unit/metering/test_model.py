"""I5: the same usage has the same id and the same hash for ever; money is exact."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal, Inexact
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering import model
from automatum.metering.model import amounts, bucket_start, format_decimal, format_money
from tests.support.examples import examples
from tests.support.metering_lines import make_line

UTC = timezone.utc


def test_an_id_is_the_same_for_ever():
    # Written down: an id that changes with a version is a line that is billed twice.
    assert make_line().id == "0288d5ea-3408-5ddc-8495-277588b30047"
    assert make_line(grain="day").id == "b2cad3ec-b85e-58e0-96bf-2d605f355989"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=7))
@settings(max_examples=examples(200))
def test_ids_are_those_of_the_standard_library(parts):
    assert model._uuid(parts) == str(uuid.uuid5(model.NAMESPACE, "\x1f".join(parts)))


def test_an_id_tells_keys_apart_and_nothing_else():
    line = make_line()
    others = [
        replace(line, vendor="azure"),
        replace(line, listing_id="lst_2"),
        replace(line, customer_id="cust_2"),
        replace(line, dimension="seats"),
        replace(line, grain="day"),
        replace(line, starts_at=line.starts_at + timedelta(hours=1)),
        # What moves from one part to the next is not the same key.
        replace(line, listing_id="lst_1cust", customer_id="_1"),
    ]
    assert len({line.id, *(other.id for other in others)}) == len(others) + 1
    assert replace(line, units=Decimal(9), price=Decimal(1), title="x", rows=2).id == line.id


def test_charged_is_exact_beyond_what_python_keeps_by_itself():
    # 40 digits; Python's own context would round at 28. The expected number is integer arithmetic.
    line = make_line(units="2147483647.999999", price="1234567890.123456789012")
    digits = str(2147483647999999 * 1234567890123456789012)
    assert format_decimal(line.charged) == f"{digits[:-18]}.{digits[-18:]}".rstrip("0")


def test_an_hour_and_a_day_end_where_they_end():
    hour, day = make_line(hour=23), make_line(hour=23, grain="day")
    assert (hour.ends_at - hour.starts_at, day.ends_at - day.starts_at) == (timedelta(hours=1), timedelta(days=1))
    assert hour.day == day.day == datetime(2026, 11, 20).date()


def test_buckets_are_of_utc():
    moment = datetime(2026, 11, 20, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert bucket_start(moment, "hour") == datetime(2026, 11, 19, 20, tzinfo=UTC)
    assert bucket_start(moment, "day") == datetime(2026, 11, 19, tzinfo=UTC)


def test_the_hour_that_a_clock_shows_twice_is_two_hours_i5():
    """Python takes both for equal, and so does a cache."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert bucket_start(first, "hour") == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert bucket_start(first.replace(fold=1), "hour") == datetime(2026, 10, 25, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("15.00", "15"),
        ("0.10", "0.1"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("0", "0"),
        ("0.000", "0"),
        ("-0", "0"),
    ],
)
def test_plain_numbers(number, text):
    assert format_decimal(Decimal(number)) == text


@settings(derandomize=True)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=12))
def test_plain_loses_nothing(number):
    text = format_decimal(number)
    assert Decimal(text) == number
    assert "E" not in text
    assert "." not in text or text[-1] not in "0."


def test_a_sum_that_would_round_is_an_error():
    line = make_line(units="1" + "0" * 150 + ".1", price="0." + "1" * 80)
    with pytest.raises(Inexact):
        _ = line.charged


def test_amounts_are_summed_exactly_by_currency():
    lines = [make_line(units="1" + "0" * 40, price="0.01", currency="USD"), make_line(units="1", currency="EUR")]
    lines += [make_line(units="1", price="0.0000000001", currency="USD"), make_line(units="3", price="1")]
    found = {currency: format_decimal(amount) for currency, amount in amounts(lines).items()}
    assert found == {"EUR": "0.01", "USD": "1" + "0" * 38 + ".0000000001", "unknown": "3"}
    assert format_money(amounts(lines)["unknown"], "unknown") == "3 of unknown currency"


def test_an_entitlement_and_the_line_that_a_line_is_carried_from_are_parts_of_its_id():
    plain = make_line()
    lines = [
        plain,
        make_line(entitlement_id="ent_1"),
        make_line(entitlement_id="ent_2"),
        make_line(carried_from=plain.id, carry_number=1),
        make_line(carried_from=plain.id, carry_number=2),
        make_line(carried_from=plain.id, carry_number=1, entitlement_id="ent_1"),
    ]
    assert len({line.id for line in lines}) == len(lines)
    # Pinned: with other ids, lines in the ledgers of users would be billed again.
    assert plain.id == "0288d5ea-3408-5ddc-8495-277588b30047"
    assert lines[1].id == "51d69c17-df0f-553b-bea5-c3154f9996f6"
    assert lines[3].id == "6607e232-ffdc-51ee-8921-d432d1ff2e8f"
