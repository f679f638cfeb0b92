"""What a person names: each row once, and nothing that a selector does not name."""

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.selectors import find_ids, parse_filter

ROWS = {
    "id_1": {"customer_id": "cust_1", "dimension": "api"},
    "id_2": {"customer_id": "cust_1", "dimension": "storage"},
    "id_3": {"customer_id": "cust_2", "dimension": "api"},
}


def find(*selectors):
    return find_ids(selectors, ROWS, ("customer_id", "dimension"), "--which", "names nothing.", "Name a row.")


@pytest.mark.parametrize(
    ("selectors", "found"),
    [
        (["id_2"], ["id_2"]),
        (["all"], ["id_1", "id_2", "id_3"]),
        (["dimension=api"], ["id_1", "id_3"]),
        (["customer_id=cust_1, dimension=api"], ["id_1"]),
        (["id_3", "dimension=api"], ["id_3", "id_1"]),
    ],
)
def test_selectors_name_rows_once(selectors, found):
    assert find(*selectors) == found


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ("id_4", "'id_4' names nothing"),
        ("customer_id=cust_3", "names nothing"),
        ("dimension=api,dimension=storage", "names nothing"),
        ("units=5", "'units=5' is not a filter"),
        ("customer_id=cust_1,,", "is not a filter"),
    ],
)
def test_a_selector_that_names_no_row_is_an_error(selector, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        find("id_1", selector)
    assert caught.value.key == "--which" and caught.value.next_step


def test_an_id_is_no_filter():
    assert parse_filter("id_1", ("customer_id",), "--which") is None
