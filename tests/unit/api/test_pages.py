"""I1: what one answer says of its list and of itself, and what makes no sense."""

import json
from dataclasses import replace

import pytest

from automatum.api.exact_json import parse_json
from automatum.api.http import ApiResponse
from automatum.api.pages import MOST_ANNOUNCED, MOST_RECORDS, read_page
from automatum.core.errors import ApiUnreachable, ConfigurationError
from automatum.endpoints import CUSTOMERS, Paging

ABSURD = [str(MOST_ANNOUNCED + 1), "1" + "0" * 18, "9" * 30, "9" * 5000, f'"{"9" * 5000}"', "1e300", "1" + "0" * 400]
NO_COUNTS = ("-5", "null", '"many"', '{"a":[]}', "true", "3.5", "NaN", "1e99999999999999999999", '"²"')
OFFSET = replace(CUSTOMERS, paging=Paging("offset"), parameters={"limit": "limit", "offset": "offset"})
CURSOR = replace(
    CUSTOMERS, paging=Paging("cursor", cursor_at="pagination.next"), parameters={"limit": "limit", "cursor": "c"}
)


class Answering:
    """A client that has one answer."""

    def __init__(self, text):
        self._answer = ApiResponse(parse_json(text.encode()), 200, 0.0)

    def get(self, *arguments):
        return self._answer


def read(pagination, endpoint=CUSTOMERS, number=1, data="[]"):
    text = pagination if isinstance(pagination, str) else json.dumps(pagination)
    return read_page(Answering(f'{{"data":{data},"pagination":{text}}}'), endpoint, number)


def refused(*arguments):
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments)
    return caught.value.key.removeprefix("sources.automatum.endpoints.customers.")


def test_a_page_names_its_number_and_the_total():
    page = read({"page": 2, "limit": 100, "total": 250, "pages": 3}, CUSTOMERS, 2)
    assert (page.number, page.named, page.total, page.next_at) == (2, 2, 250, None)
    page = read({"total": "250"})
    assert (page.named, page.total) == (None, 250)


def test_the_named_page_is_counted_from_1_whatever_the_api_counts_from():
    assert read({"page": 1, "total": 250}, replace(CUSTOMERS, paging=Paging(first=0)), 2).named == 2
    assert read({"page": 1, "total": 250}, OFFSET, 2).named is None


@pytest.mark.parametrize("number", [*NO_COUNTS, *ABSURD])
def test_a_total_that_is_missing_or_absurd_names_the_setting(number):
    assert refused(f'{{"total":{number}}}') == "total"


def test_a_list_that_announces_no_exact_total_has_none():
    assert read({"total": 3}, replace(CUSTOMERS, total="")).total is None
    assert read({"page": 7}, replace(CUSTOMERS, total=""), 7).named == 7


def test_another_size_of_a_page_than_asked_for_names_the_setting():
    assert refused({"limit": 20, "total": 250}) == "page_size"


@pytest.mark.parametrize(
    ("pagination", "after"),
    [({"next": "c2"}, "c2"), ({"next": 7}, "7"), ({"next": None}, ""), ({"next": ""}, ""), ({}, None)],
)
def test_a_cursor_leads_on_ends_the_list_or_is_not_there(pagination, after):
    assert read({"total": 250, **pagination}, CURSOR).next_at == after


@pytest.mark.parametrize("cursor", [True, ["a"], {"a": 1}, "c" * 9000])
def test_what_is_no_cursor_names_the_setting(cursor):
    assert refused({"total": 250, "next": cursor}, CURSOR) == "paginator.cursor_path"


def test_records_that_are_elsewhere_name_the_setting():
    assert refused({"total": 250}, CUSTOMERS, 1, '{"items":[]}') == "records"


def test_an_answer_with_too_many_records_is_refused():
    """It would take the memory of a small machine."""
    many = ",".join(["{}"] * (MOST_RECORDS + 1))
    with pytest.raises(ApiUnreachable, match="100,001 records in one answer"):
        read({"total": 1}, CUSTOMERS, 1, f"[{many}]")
