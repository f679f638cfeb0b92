"""Suggestions for misspelt names."""

import pytest

from automatum.core.suggest import nearest, spelt_otherwise, suggestion

KNOWN = ("client_id", "client_secret", "history", "tables")


@pytest.mark.parametrize(
    ("name", "found"),
    [("histroy", "history"), ("Tables", "tables"), ("client-id", "client_id"), ("zzz", None), ("", None)],
)
def test_the_nearest_name(name, found):
    assert nearest(name, KNOWN) == found
    assert suggestion(name, KNOWN, "none") == (f"Did you mean {found}?" if found else "none")


@pytest.mark.parametrize(
    ("name", "found"), [("clientSecret", "client_secret"), ("CLIENT-ID", "client_id"), ("client", None)]
)
def test_another_spelling_is_not_another_word(name, found):
    assert spelt_otherwise(name, KNOWN) == found
    assert spelt_otherwise("history", KNOWN) is None
