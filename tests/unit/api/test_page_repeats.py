"""I8: pages that are compared may hold anything."""

import pytest

from automatum.api.exact_json import parse_json
from automatum.api.page_repeats import RepeatedPages
from automatum.api.pages import Page
from automatum.core.errors import ConfigurationError
from automatum.endpoints import CUSTOMERS


def page(number, levels, inside="1"):
    record = f'{{"id":"a","x":{"[" * levels}{inside}{"]" * levels}}}'
    return Page(number, [parse_json(record.encode())], 250, 3, 0.0)


@pytest.mark.parametrize("levels", [1, 200])
def test_pages_of_any_depth_are_compared(levels):
    repeats = RepeatedPages(CUSTOMERS)
    for number in (1, 2):
        repeats.check(page(number, levels))
    with pytest.raises(ConfigurationError, match="with the same 1 records"):
        repeats.check(page(3, levels))


def test_pages_that_differ_in_the_depth_do_not_repeat():
    repeats = RepeatedPages(CUSTOMERS)
    for number in (1, 2, 3, 4):
        repeats.check(page(number, 5000, str(number)))
