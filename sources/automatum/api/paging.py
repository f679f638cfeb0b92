"""How each page of a list is asked for, and where its answer has what leads to the next page."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..config.base_url import is_below
from ..core.errors import ConfigurationError
from ..endpoints import API_PREFIX, Endpoint
from ..schema.records import dig
from .page_signs import link_in

if TYPE_CHECKING:
    from .client import ApiResponse

HEADER = "header:"
"""Begins the setting of an announced number that is in a header."""
MOST_ANNOUNCED = 10**9
"""Rows, or pages, above which an announced number makes no sense: they would take more than 40 days to read."""
_LONGEST_COUNT = 20
_PATHS = {"cursor": "cursor_path", "header_cursor": "cursor_key", "json_link": "next_url_path"}
_LONGEST_CURSOR = 8192


def page_parameters(endpoint: Endpoint, number: int, after: str = "") -> dict[str, str]:
    """The query parameters that ask for a page.

    Args:
        endpoint: Endpoint of a list.
        number: Number of the page, from 1 whatever the API counts from.
        after: The cursor that leads to it; empty for the first page.
    """
    paging, words = endpoint.paging, endpoint.parameters
    limit = {words.get("limit", "limit"): str(paging.size)}
    if paging.kind == "page_number":
        return {words.get("page", "page"): str(number - 1 + paging.first), **limit}
    if paging.kind == "offset":
        return {words["offset"]: str((number - 1) * paging.size), **limit}
    if paging.kind == "single_page" and not paging.sized:
        return {}
    return {words["cursor"]: after, **limit} if after and "cursor" in words else limit


def announced_number(response: ApiResponse, where: str) -> int | None:
    """A number that an answer announces; None if it does not.

    Args:
        response: The answer.
        where: Dotted path in the body, or `header:` and the name of a header.

    Returns:
        The number; `MOST_ANNOUNCED + 1` for any that is larger.
    """
    if where.startswith(HEADER):
        return _count(response.headers.get(where.removeprefix(HEADER).strip(), "").strip())
    return _count(dig(response.body, where))


def next_place(response: ApiResponse, endpoint: Endpoint, asked: str, base_url: str) -> str | None:
    """What leads to the next page: a cursor, or the URL of a link.

    Args:
        response: Answer to a page of a list whose pages lead from each to the next one.
        endpoint: Endpoint of the list.
        asked: URL that was asked. A link may be relative to it.
        base_url: Root of the API.

    Returns:
        Empty if the answer says that no page follows; None if it does not say.

    Raises:
        ConfigurationError: A link leaves the API, or what is there is no cursor and no link.
    """
    paging, headers = endpoint.paging, response.headers
    found: Any
    if paging.kind == "single_page":
        return ""
    if paging.kind == "header_link":
        if "Link" not in headers:
            return None
        found = link_in(headers, paging.next_at)
    elif paging.kind == "header_cursor":
        found = headers.get(paging.next_at)
    elif _present(response.body, paging.next_at):
        found = dig(response.body, paging.next_at) or ""
    else:
        return None
    if found is None:
        return None
    if found == "":
        return ""
    if not isinstance(found, (str, int)) or isinstance(found, bool) or len(str(found)) > _LONGEST_CURSOR:
        raise ConfigurationError(
            paginator_key(endpoint, _PATHS.get(paging.kind, "links_next_key")),
            f"GET {endpoint.path} has no {'link' if paging.by_link else 'cursor'} at {paging.next_at}, but "
            f"{type(found).__name__}.",
            "Set it to where the answer has what leads to the next page.",
        )
    return _checked(str(found), endpoint, asked, base_url) if paging.by_link else str(found)


def list_url(endpoint: Endpoint, base_url: str) -> str:
    """URL of a list, without a query."""
    return base_url + API_PREFIX + endpoint.path


def paginator_key(endpoint: Endpoint, name: str = "") -> str:
    """Dotted name of the setting `paginator` of a list, or of a key in it."""
    return f"sources.automatum.endpoints.{endpoint.table}.paginator" + (f".{name}" if name else "")


def _present(body: Any, path: str) -> bool:
    above, _, name = path.rpartition(".")
    inside = dig(body, above) if above else body
    return isinstance(inside, Mapping) and name in inside


def _checked(link: str, endpoint: Endpoint, asked: str, base_url: str) -> str:
    """The URL of a link, if it stays below the root of the API: each request carries the token."""
    try:
        url = urljoin(asked, link)
        parts = urlsplit(url)
        inside = is_below(url, base_url) and not (parts.username or parts.password)
    except ValueError:
        url, parts, inside = "", urlsplit(""), False
    if inside:
        return url
    where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "no valid URL"
    raise ConfigurationError(
        paginator_key(endpoint),
        f"the link to the next page of {endpoint.path} leads to {where}, and not below {base_url}. It is not followed, "
        "because that host would be given the token.",
        "Set sources.automatum.base_url to the address in the links. If the links have a cursor or an offset in their "
        "query, another paginator does without them.",
    )


def _count(value: Any) -> int | None:
    """A count, also from a text; None for any other value. What exceeds the bound counts as one more than that."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        # Python refuses to parse 5,000 digits.
        value = int(value) if len(value) <= _LONGEST_COUNT else MOST_ANNOUNCED + 1
    elif isinstance(value, (float, Decimal)) and float(value) > MOST_ANNOUNCED:
        return MOST_ANNOUNCED + 1
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return min(value, MOST_ANNOUNCED + 1)
