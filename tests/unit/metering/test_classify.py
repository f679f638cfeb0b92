"""Rows become lines: what a refused row says of its line, and what a line says on the invoice."""

from automatum.metering.classify import classify
from tests.support.metering_rows import NOW, usage


def refused(grain="hour", **changes):
    """What is known of the usage of a row that is refused."""
    _, found = classify([(1, usage(**changes))], grain, NOW, lambda: NOW)
    return found.refused[0].usage


def test_i5_a_refused_row_with_a_date_names_its_day():
    row = {"usage_at": ..., "usage_date": "2026-11-23", "units": "x"}
    assert (refused(**row).starts_at, str(refused(**row).day)) == (None, "2026-11-23")
    assert refused(usage_at="yesterday").day is None


def test_texts_for_the_invoice_lose_their_control_characters():
    texts = {"title": "Calls\x00\x1b[2J", "description": "one\ntwo\x9b", "per": "\x07"}
    (line,), _ = classify([(1, usage(**texts))], "hour", NOW, lambda: NOW)
    assert (line.title, line.description, line.per) == ("Calls  [2J", "one\ntwo", None)
