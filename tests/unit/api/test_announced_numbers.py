"""I1: the numbers of rows and of pages that an answer announces or has, and those that make no sense."""

import pytest

from automatum.api.client import ApiResponse
from automatum.api.exact_json import parse_json
from automatum.api.pages import MOST_RECORDS, read_page
from automatum.api.paging import MOST_ANNOUNCED, announced_number
from automatum.core.errors import ApiUnreachable, ConfigurationError
from automatum.endpoints import CUSTOMERS

ABSURD = [str(MOST_ANNOUNCED + 1), "1" + "0" * 18, "9" * 30, "9" * 5000, f'"{"9" * 5000}"', "1e300", "1" + "0" * 400]


def answered(text):
    return ApiResponse(parse_json(text.encode()), 200, 0.0, None)


class Answering:
    """A client that has one answer."""

    base_url = "https://api.example.com"

    def __init__(self, text):
        self._answer = answered(text)

    def get(self, *arguments):
        return self._answer


@pytest.mark.parametrize("number", ["-5", "null", '"many"', '{"a":[]}', "true", "3.5", "1e99999999999999999999", '"²"'])
def test_what_is_no_count_is_none(number):
    assert announced_number(answered(f'{{"total":{number}}}'), "total") is None


@pytest.mark.parametrize("number", [0, 250, MOST_ANNOUNCED])
def test_a_count_is_taken_also_from_a_text(number):
    assert announced_number(answered(f'{{"total":{number}}}'), "total") == number
    assert announced_number(answered(f'{{"total":"{number}"}}'), "total") == number


@pytest.mark.parametrize("name", ["total", "pages"])
@pytest.mark.parametrize("number", ABSURD)
def test_a_number_beyond_all_lists_is_refused(number, name):
    client = Answering(f'{{"data":[{{"id":"c1"}}],"pagination":{{"total":1,"{name}":{number}}}}}')
    with pytest.raises(ConfigurationError, match="more than 1,000,000,000") as refused:
        read_page(client, CUSTOMERS, 1, {})
    assert refused.value.key == f"sources.automatum.endpoints.customers.{name}"


def test_an_answer_with_too_many_records_is_refused():
    """It would take the memory of a small machine."""
    many = ",".join(["{}"] * (MOST_RECORDS + 1))
    with pytest.raises(ApiUnreachable, match="100,001 records in one answer"):
        read_page(Answering(f'{{"data":[{many}]}}'), CUSTOMERS, 1, {})
