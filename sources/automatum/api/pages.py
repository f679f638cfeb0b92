"""Reads one page of a list, one report, or one row, and finds the records in the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core.errors import ApiUnreachable, ConfigurationError, NotThere
from ..endpoints import PAGE_SIZE, WHOLE, Endpoint
from ..schema.records import Record, dig, pick, with_value

if TYPE_CHECKING:
    from .client import ApiClient, ApiResponse


_REPEATED, _REREAD = 2, 4
"""Pages, and readings of one page, with the records of the first page, after which no further page is asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of records.

    Attributes:
        number: 1-based.
        records: The records, in the order of the server.
        total: Total number of records that the response announces; None if it announces none.
        pages: Number of pages that the response announces; None if it announces none.
        read_at: Epoch seconds at which the response arrived.
    """

    number: int
    records: list[Record]
    total: int | None
    pages: int | None
    read_at: float


def announced_pages(page: Page, size: int = PAGE_SIZE) -> int:
    """Number of pages that a list announces, at least 1.

    Args:
        page: Any page of the list.
        size: Rows of a full page, where the response names no number of pages.
    """
    return page.pages or ceil((page.total or 0) / size) or 1


class RepeatedPages:
    """Notices that an API ignores the number of the page: three pages with the same records.

    A list whose rows move may show the same rows on two pages, but not all rows of a page on three.

    Args:
        endpoint: Endpoint of a list.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._first: Page | None = None
        self._same: list[int] = []

    def check(self, page: Page) -> Page:
        """Return the page.

        Raises:
            ConfigurationError: It and another page have the records of the first page that was read; or it is the only
                other page, and had them at each of several readings.
        """
        first = self._first
        if first is None or page.number == first.number:
            self._first = page
        elif page.records and page.records == first.records:
            self._same.append(page.number)
        else:
            self._same.clear()
        if len(set(self._same)) >= _REPEATED or len(self._same) >= _REREAD:
            raise self._error(page)
        return page

    def _error(self, page: Page) -> ConfigurationError:
        numbers = ", ".join(map(str, sorted({self._first.number if self._first else 1, *self._same})))
        endpoint, word = self._endpoint, self._endpoint.parameters["page"]
        return ConfigurationError(
            f"sources.automatum.endpoints.{endpoint.table}.parameters",
            f"GET {endpoint.path} answered the pages {numbers} with the same {len(page.records)} records, so the API "
            f"ignores the parameter {word!r}.",
            'Set the vendor\'s name of it, such as parameters = { page = "pageNumber" }.',
        )


def read_page(client: ApiClient, endpoint: Endpoint, number: int, filters: Mapping[str, str]) -> Page:
    """Read one page of a list.

    Args:
        client: Sends the request.
        endpoint: Endpoint of a list.
        number: 1-based page number.
        filters: Values for the endpoint's filters.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list at the configured path.
    """
    words = endpoint.parameters
    parameters = {words["page"]: str(number), words["limit"]: str(PAGE_SIZE), **filters}
    response = _get(client, endpoint, parameters)
    return Page(
        number=number,
        records=_records(response, endpoint),
        total=_count(dig(response.body, endpoint.total)),
        pages=_count(dig(response.body, endpoint.pages)),
        read_at=response.received_at,
    )


def read_report(client: ApiClient, endpoint: Endpoint, start: date, end: date) -> Page:
    """Read one report over whole days (UTC), both ends included.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list at the configured path.
    """
    words = endpoint.parameters
    response = _get(client, endpoint, {words["start"]: start.isoformat(), words["end"]: end.isoformat()})
    return Page(1, _records(response, endpoint), None, None, response.received_at)


def read_one(client: ApiClient, endpoint: Endpoint, own_id: str) -> Record | None:
    """Read a record at its own URL, in the form of the list; None if the API answers 404.

    Args:
        client: Sends the request.
        endpoint: Endpoint of a list whose records have URLs of their own.
        own_id: The record's value of `endpoint.own_column`.

    Raises:
        RequestError: See `ApiClient.get`. Only a 404 means that the record does not exist.
    """
    name = endpoint.own_column
    path = endpoint.own_path.replace(f"{{{name}}}", quote(own_id, safe=""))
    try:
        response = client.get(path, scope=endpoint.scope)
    except NotThere:
        return None
    record = response.body if endpoint.detail == WHOLE else dig(response.body, endpoint.detail)
    if not isinstance(record, dict):
        raise ApiUnreachable(
            "GET",
            path,
            response.status,
            f"the record is not a JSON object at {endpoint.detail}",
            f"Set sources.automatum.endpoints.{endpoint.table}.detail to the dotted path of the record in the answer.",
        )
    found = {name: value for name, value in record.items() if name not in endpoint.only_in_detail}
    column = next(column for column in endpoint.columns if column.name == name)
    (value,), (place,) = pick([found], column)
    if value is None:
        return with_value(found, place, own_id) if name in endpoint.key else found  # The record is known by its URL.
    if str(value) != own_id:
        raise ApiUnreachable("GET", path, response.status, f"the record has another {place}")
    return found


def _get(client: ApiClient, endpoint: Endpoint, parameters: Mapping[str, str]) -> ApiResponse:
    try:
        return client.get(endpoint.path, parameters, endpoint.scope)
    except NotThere as error:
        number = parameters.get(endpoint.parameters.get("page", ""), "1")
        if number != "1":
            raise NotThere(
                error.method,
                error.path,
                error.status,
                f"{error.detail} (page {number})",
                "The pages before it were there, so the list ends earlier than announced, or it announces no total. "
                f"Set sources.automatum.endpoints.{endpoint.table}.total or .pages to the dotted path of the announced "
                "number; then no page after the last is asked for.",
            ) from None
        origin = "documented" if endpoint.documented else "assumed, not documented"
        raise NotThere(
            error.method,
            error.path,
            error.status,
            error.detail,
            f"The path is {origin}. If the vendor has another, set sources.automatum.endpoints.{endpoint.table}.path "
            "(or, for a further report, its path in sources.automatum.reports).",
        ) from None


def _records(response: ApiResponse, endpoint: Endpoint) -> list[Record]:
    for path in endpoint.records:
        found = dig(response.body, path)
        if isinstance(found, list):
            # What is not an object has no key. It is rejected like any other record without one, and not the page.
            return [one if isinstance(one, dict) else {"value": one} for one in found]
    if isinstance(response.body.get(WHOLE), list):
        raise ConfigurationError(
            f"sources.automatum.endpoints.{endpoint.table}.records",
            f"GET {endpoint.path} answered a JSON array, and not an object with the records.",
            f'If the array holds the records, set it to "{WHOLE}".',
        )
    raise ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.records",
        f"GET {endpoint.path} has no list at {' or '.join(endpoint.records)}; "
        f"its top level has {', '.join(sorted(response.body)) or 'nothing'}.",
        "Set it to the dotted path of the records in the response.",
    )


def _count(value: Any) -> int | None:
    """A count, also from a text; None for any other value."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
