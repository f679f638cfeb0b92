"""I1: what an answer says about further rows and numbers, in places that the settings do not name."""

import pytest

from automatum.api.page_signs import announced_size, link_in, more_rows, total_elsewhere


@pytest.mark.parametrize(
    ("body", "at", "paginator"),
    [
        ({"nextCursor": "abc"}, "nextCursor", "cursor"),
        ({"meta": {"next_cursor": "abc"}}, "meta.next_cursor", "cursor"),
        ({"cursors": {"next": 5}}, "cursors.next", ""),
        ({"nextPageToken": "abc"}, "nextPageToken", "cursor"),
        ({"links": {"next": "https://api.example.com/x?after=1"}}, "links.next", "json_link"),
        ({"_links": {"next": {"href": "/x?after=1"}}}, "_links.next.href", "json_link"),
        ({"next": "?page=2"}, "next", "json_link"),
        ({"pagination": {"has_more": True}}, "pagination.has_more", ""),
        ({"pagination": {"nextPage": 2}}, "pagination.nextPage", ""),
        ({"hasMore": True, "next_cursor": "abc"}, "next_cursor", "cursor"),
    ],
)
def test_signs_that_rows_follow(body, at, paginator):
    sign = more_rows({}, {"data": [{"nextCursor": "of a record"}], **body})
    assert sign.at == at
    assert sign.kind == paginator
    assert bool(sign.paginator) is bool(paginator)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pagination": {"page": 1, "limit": 100, "total": 250, "pages": 3}},
        {"nextCursor": None, "links": {"next": None, "self": "/x?page=1", "last": "/x?page=3"}},
        {"next": "", "hasMore": False},
        {"hasMore": False, "endCursor": "abc", "nextCursor": "abc"},
        {"data": [{"next": "/x"}]},
        {"message": "next"},
    ],
)
def test_what_is_no_sign(body):
    """What the vendor documents, the end of a list, and what records say."""
    assert more_rows({}, body) is None


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ('<https://api.example.com/x?page=2>; rel="next"', "https://api.example.com/x?page=2"),
        ('<https://api.example.com/x?a=1,2>; rel="prev", </x?page=3>; rel="last next"', "/x?page=3"),
        ('<https://api.example.com/x>; rel="prev"', ""),
        ('</x;v=1?page=2>; title="a=b"; Rel=next', "/x;v=1?page=2"),
        ("/x?page=2; rel='next'", "/x?page=2"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_the_link_of_a_header(link, found):
    assert link_in({"Link": link}, "next") == found
    assert bool(more_rows({"Link": link}, {})) is bool(found)


def test_a_cursor_in_a_header():
    sign = more_rows({"X-Next-Cursor": "abc"}, {})
    assert sign.setting == '{ type = "header_cursor", cursor_key = "X-Next-Cursor", cursor_param = "cursor" }'
    assert more_rows({"Link": '</x?page=2>; rel="next"'}, {}).setting == '"header_link"'


def test_a_cursor_is_likelier_than_a_link_and_a_link_than_a_mark():
    link, cursor = {"links": {"next": "/x?after=1"}}, {"nextCursor": "abc"}
    assert more_rows({}, {**cursor, **link, "hasMore": True}).kind == "cursor"
    assert more_rows({}, {"pagination": {"results": {"has_more": True}}, **link}).kind == "json_link"


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"X-Total-Count": "250"}, {}, "header:X-Total-Count"),
        ({}, {"meta": {"totalCount": 250}}, "meta.totalCount"),
        ({}, {"count": 250}, "count"),
        ({"X-Total-Count": "many"}, {"count": "many"}, ""),
        ({}, {"total": True}, ""),
    ],
)
def test_a_total_in_another_place(headers, body, found):
    assert total_elsewhere(headers, body) == found


def test_the_size_of_a_page_beside_the_total():
    assert announced_size({"pagination": {"limit": 50, "total": 5}}, "pagination.total") == 50
    assert announced_size({"per_page": 20, "total": 5}, "total") == 20
    assert announced_size({"pagination": {"limit": "50"}}, "pagination.total") is None
    assert announced_size({"limit": 50}, "pagination.total") is None
    assert announced_size({"pagination": 5}, "pagination.total") is None
