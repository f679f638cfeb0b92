"""I8: each way of paging is one setting away, in the words of dlt's `rest_api`, and a wrong setting is named."""

import pytest
from dlt.sources.rest_api.typing import PaginatorType

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.api.paging import page_parameters
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.core.paging import Paging, PagingKind


def customers(**changes):
    settings = {"client_id": "app_1", "client_secret": "secret_123456", "endpoints": {"customers": changes}}
    return next(one for one in resolve_endpoints(resolve_settings(settings)) if one.table == "customers")


def asked(number=1, after="", **changes):
    return page_parameters(customers(**changes), number, after)


def test_the_kinds_are_those_of_dlt():
    """But for `auto`, which guesses, and the name of `json_link` that dlt has given up."""
    assert set(PagingKind.__args__) == set(PaginatorType.__args__) - {"auto", "json_response"}


@pytest.mark.parametrize(
    ("changes", "number", "after", "parameters"),
    [
        ({}, 3, "", {"page": "3", "limit": "100"}),
        ({"first_page": 0}, 3, "", {"page": "2", "limit": "100"}),
        ({"page_size": 20}, 3, "", {"page": "3", "limit": "20"}),
        ({"page_size": 20, "parameters": {"limit": "size"}}, 1, "", {"page": "1", "size": "20"}),
        ({"paginator": {"type": "page_number", "base_page": 0, "page_param": "p"}}, 2, "", {"p": "1", "limit": "100"}),
        ({"paginator": "offset"}, 3, "", {"offset": "200", "limit": "100"}),
        ({"paginator": {"type": "offset", "limit": 50, "offset_param": "skip", "limit_param": "take"}}, 3, "",
         {"skip": "100", "take": "50"}),
        ({"parameters": {"offset": "skip"}, "paginator": "offset"}, 2, "", {"skip": "100", "limit": "100"}),
        ({"paginator": "cursor"}, 1, "", {"limit": "100"}),
        ({"paginator": "cursor"}, 2, "c100", {"cursor": "c100", "limit": "100"}),
        ({"paginator": {"type": "cursor", "cursor_param": "after"}}, 2, "c100", {"after": "c100", "limit": "100"}),
        ({"paginator": {"type": "header_cursor", "cursor_key": "X-Next"}}, 2, "c", {"cursor": "c", "limit": "100"}),
        ({"paginator": "json_link"}, 1, "", {"limit": "100"}),
        ({"paginator": "header_link", "page_size": 10}, 1, "", {"limit": "10"}),
        ({"paginator": "single_page"}, 1, "", {}),
        ({"paginator": "single_page", "page_size": 1000}, 1, "", {"limit": "1000"}),
    ],
)  # fmt: skip
def test_what_a_page_is_asked_for_with(changes, number, after, parameters):
    assert asked(number, after, **changes) == parameters


@pytest.mark.parametrize(
    ("paginator", "attribute", "value"),
    [
        ({"type": "offset", "total_path": "$.meta.count"}, "total", "meta.count"),
        ({"type": "page_number", "total_path": "meta.pages"}, "pages", "meta.pages"),
        ({"type": "cursor", "total_path": "header:X-Total-Count"}, "total", "header:X-Total-Count"),
        ({"type": "cursor", "cursor_path": "$.meta.next"}, "paging", Paging("cursor", next_at="meta.next")),
        ({"type": "json_link", "next_url_path": "links.next"}, "paging", Paging("json_link", next_at="links.next")),
        ("json_link", "paging", Paging("json_link", next_at="next")),
        ("header_link", "paging", Paging("header_link", next_at="next")),
        ("cursor", "paging", Paging("cursor", next_at="cursors.next")),
    ],
)
def test_the_places_have_the_names_and_defaults_of_dlt(paginator, attribute, value):
    assert getattr(customers(paginator=paginator), attribute) == value


def test_further_parameters_are_texts():
    assert customers(params={"sort": "id", "deep": True, "depth": 2}).params == {
        "sort": "id",
        "deep": "true",
        "depth": "2",
    }


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"paginator": "ofset"}, "paginator.type", "offset"),
        ({"paginator": 5}, "paginator", "not a table"),
        ({"paginator": {"limit": 5}}, "paginator", "needs a type"),
        ({"paginator": {"type": "cursor", "cursor_pth": "x"}}, "paginator.cursor_pth", "cursor_path"),
        ({"paginator": {"type": "offset", "base_page": 0}}, "paginator.base_page", "Keys are"),
        ({"paginator": {"type": "offset", "limit": "many"}}, "paginator.limit", "whole number"),
        ({"paginator": {"type": "page_number", "base_page": 2}}, "paginator.base_page", "1 (the default) or 0"),
        ({"paginator": {"type": "cursor", "cursor_path": "a[0].b"}}, "paginator.cursor_path", "dotted path"),
        ({"page_size": 0}, "page_size", "from 1"),
        ({"page_size": True}, "page_size", "from 1"),
        ({"page_size": 100_000}, "page_size", "10000"),
        ({"first_page": 2}, "first_page", "1 (the default) or 0"),
        ({"first_page": 0, "paginator": "offset"}, "first_page", "no page numbers"),
        ({"total": "header:"}, "total", "no name"),
        ({"parameters": {"page": "p"}, "paginator": "cursor"}, "parameters", "cursor, limit"),
        ({"params": {"limit": 5}}, "params.limit", "page_size"),
        ({"params": {"p": 5}, "parameters": {"page": "p"}}, "params.p", "with each request"),
        ({"params": {"sort": ["a"]}}, "params.sort", "not a text"),
        ({"params": "sort=a"}, "params", "not a table"),
        # Twice the same.
        ({"paginator": {"type": "offset", "limit": 5}, "page_size": 5}, "page_size", "Keep one"),
        ({"paginator": {"type": "page_number", "base_page": 0}, "first_page": 1}, "first_page", "Keep one"),
        ({"paginator": {"type": "offset", "total_path": "a"}, "total": "b"}, "total", "Keep one"),
        ({"paginator": {"type": "page_number", "total_path": "a"}, "pages": "b"}, "pages", "Keep one"),
        ({"paginator": {"type": "cursor", "cursor_param": "a"}, "parameters": {"cursor": "b"}}, "parameters.cursor",
         "Keep one"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_is_right(changes, key, says):
    with pytest.raises(ConfigurationError) as caught:
        customers(**changes)
    assert caught.value.key == f"sources.automatum.endpoints.customers.{key}"
    assert says in str(caught.value)
