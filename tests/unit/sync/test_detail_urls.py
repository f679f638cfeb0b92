"""I2: an id whose URL would lead elsewhere is never asked for, so that no 404 of another place deletes its row."""

import pytest

from automatum.core.errors import ApiUnreachable
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.absence import Answer, DetailUrls


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_an_id_of_dots_has_no_url_of_its_own_i2(id_):
    asked = []

    def request(own_id):
        asked.append(own_id)
        return {"id": own_id} if own_id == "listed" else None

    urls = DetailUrls(Table(CUSTOMERS), request, lambda: "listed", lambda: True)
    assert urls.ask(id_) is Answer.UNCLEAR
    assert urls.ask("gone") is Answer.GONE
    assert asked == ["gone", "listed"]


def test_urls_that_do_not_tell_are_not_all_asked_i3():
    """Each costs its retries. One that tells lets the others be asked again."""
    asked = []

    def request(own_id):
        asked.append(own_id)
        if own_id in ("listed", "alive"):
            return {"id": own_id}
        raise ApiUnreachable("GET", own_id, 503, "busy")

    urls = DetailUrls(Table(CUSTOMERS), request, lambda: "listed", lambda: True)
    ids = ["a", "b", "alive", "c", "d", "e", "f", "g"]
    assert [urls.ask(one) for one in ids if one != "alive"] == [Answer.UNCLEAR] * 7
    assert asked == ["a", "b", "c"]
    asked.clear()
    urls = DetailUrls(Table(CUSTOMERS), request, lambda: "listed", lambda: True)
    for one in ids:
        urls.ask(one)
    assert asked == ids[:6]


def test_no_row_is_asked_for_after_a_listed_one_was_not_at_its_url_i2_i3():
    asked = []
    urls = DetailUrls(Table(CUSTOMERS), asked.append, lambda: "listed", lambda: True)
    assert [urls.ask(one) for one in "abc"] == [Answer.UNCLEAR] * 3
    assert asked == ["a", "listed"]


@pytest.mark.parametrize(("allow", "answer"), [(False, Answer.UNCLEAR), (True, Answer.GONE)])
def test_where_nothing_is_listed_a_404_counts_if_the_user_allows_it_i2(allow, answer):
    urls = DetailUrls(Table(CUSTOMERS), lambda own_id: None, lambda: None, lambda: True, allow)
    assert urls.ask("gone") is answer
