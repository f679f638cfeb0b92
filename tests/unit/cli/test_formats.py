"""Spans of time as text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.cli.formats import format_age, format_duration, format_interval
from automatum.operations.plan import read_duration
from tests.support.examples import examples


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 10**9))
def test_an_interval_that_is_shown_can_be_typed(seconds):
    assert read_duration(format_interval(seconds), "--every") == seconds


@pytest.mark.parametrize(
    ("seconds", "age", "duration"),
    [
        (-1, "0 s", "0:00"),
        (59, "59 s", "0:59"),
        (3599, "59 min", "59:59"),
        (7322, "2 h", "2:02:02"),
        (90_000, "1 d", "25:00:00"),
    ],
)
def test_an_age_and_a_duration(seconds, age, duration):
    assert (format_age(seconds), format_duration(max(0, seconds))) == (age, duration)
