"""Spans of time as text, and text as spans of time."""

import pytest

from automatum.core.clock import format_age, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30min", 1800), ("30 min", 1800), ("1h", 3600), ("1.5H", 5400), ("2d", 172_800)]
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0s", "1w", "1h30"])
def test_what_is_none_is_not(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "age", "duration"),
    [
        (-1, "0 s", "0:00"),
        (59, "59 s", "0:59"),
        (3599, "59 min", "59:59"),
        (7322, "2 h", "2:02:02"),
        (90_000, "25 h", "25:00:00"),
        (200_000, "2 d", "55:33:20"),
    ],
)
def test_an_age_and_a_duration(seconds, age, duration):
    assert (format_age(seconds), format_duration(max(0, seconds))) == (age, duration)
