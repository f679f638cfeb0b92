"""I8: each way of paging is one setting away, in the words of dlt's `rest_api`, and a wrong setting is named."""

import pytest
from dlt.sources.rest_api.typing import PaginatorType

from automatum.api.overrides import resolve_endpoints
from automatum.api.pages import page_parameters
from automatum.config.settings import resolve_settings
from automatum.core.endpoint import PagingKind
from automatum.core.errors import ConfigurationError


def customers(**changes):
    settings = {"client_id": "app_1", "client_secret": "secret_123456", "endpoints": {"customers": changes}}
    return next(one for one in resolve_endpoints(resolve_settings(settings)) if one.table == "customers")


def asked(number=1, after="", **changes):
    return page_parameters(customers(**changes), number, after)


def test_the_kinds_are_named_as_in_dlt():
    assert set(PagingKind.__args__) <= set(PaginatorType.__args__)


@pytest.mark.parametrize(
    ("changes", "number", "after", "parameters"),
    [
        ({}, 3, "", {"page": "3", "limit": "100"}),
        ({"paginator": {"type": "page_number", "base_page": 0}}, 3, "", {"page": "2", "limit": "100"}),
        ({"page_size": 20}, 3, "", {"page": "3", "limit": "20"}),
        ({"page_size": 20, "parameters": {"limit": "size"}}, 1, "", {"page": "1", "size": "20"}),
        ({"paginator": {"type": "page_number", "base_page": 0, "page_param": "p"}}, 2, "", {"p": "1", "limit": "100"}),
        ({"paginator": "offset"}, 3, "", {"offset": "200", "limit": "100"}),
        ({"paginator": {"type": "offset", "offset_param": "skip", "limit_param": "take"}, "page_size": 50}, 3, "",
         {"skip": "100", "take": "50"}),
        ({"parameters": {"offset": "skip"}, "paginator": "offset"}, 2, "", {"skip": "100", "limit": "100"}),
        ({"paginator": "cursor"}, 1, "", {"limit": "100"}),
        ({"paginator": "cursor"}, 2, "c100", {"cursor": "c100", "limit": "100"}),
        ({"paginator": {"type": "cursor", "cursor_param": "after"}}, 2, "c100", {"after": "c100", "limit": "100"}),
    ],
)  # fmt: skip
def test_what_a_page_is_asked_for_with(changes, number, after, parameters):
    assert asked(number, after, **changes) == parameters


@pytest.mark.parametrize(
    ("paginator", "path"),
    [("cursor", "cursors.next"), ({"type": "cursor", "cursor_path": "$.meta.next"}, "meta.next")],
)
def test_the_place_of_a_cursor_has_the_name_and_the_default_of_dlt(paginator, path):
    assert customers(paginator=paginator).paging.cursor_at == path


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"paginator": "ofset"}, "paginator.type", "offset"),
        ({"paginator": "json_link"}, "paginator.type", "page_number, offset, cursor"),
        ({"paginator": 5}, "paginator", "not a table"),
        ({"paginator": {"base_page": 0}}, "paginator.type", "Types are"),
        ({"paginator": {"type": "cursor", "cursor_pth": "x"}}, "paginator.cursor_pth", "cursor_path"),
        ({"paginator": {"type": "offset", "base_page": 0}}, "paginator.base_page", "Keys are"),
        ({"paginator": {"type": "page_number", "base_page": 2}}, "paginator.base_page", "1 or 0"),
        ({"paginator": {"type": "cursor", "cursor_path": "a[0].b"}}, "paginator.cursor_path", "dotted path"),
        ({"page_size": 0}, "page_size", "from 1"),
        ({"page_size": True}, "page_size", "from 1"),
        ({"page_size": 100_000}, "page_size", "10000"),
        ({"total": "header:X-Total Count"}, "total", "dotted path"),
        ({"parameters": {"page": "p"}, "paginator": "cursor"}, "parameters.page", "cursor, limit"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_is_right(changes, key, says):
    with pytest.raises(ConfigurationError) as caught:
        customers(**changes)
    assert caught.value.key == f"sources.automatum.endpoints.customers.{key}"
    assert says in str(caught.value)
