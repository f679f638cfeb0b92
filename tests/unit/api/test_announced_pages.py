"""I3: how many pages a list announces, which the forecast and the sweep go by."""

import pytest

from automatum.api.pages import Page, announced_pages


@pytest.mark.parametrize(
    ("total", "pages", "expected"),
    [(230, 5, 5), (230, 3, 3), (230, None, 3), (200, None, 2), (0, 0, 1), (0, None, 1), (None, 4, 4), (None, None, 1)],
)
def test_a_server_with_smaller_pages_is_believed(total, pages, expected):
    assert announced_pages(Page(1, [], total, pages, 0.0)) == expected
