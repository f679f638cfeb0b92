"""Reads one page of a list, one report, or one row, and finds the records in the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..core.errors import ApiUnreachable, ConfigurationError, NotThere
from ..endpoints import PAGE_SIZE, WHOLE, Endpoint
from ..schema.records import Record, dig, pick, with_value
from .page_signs import Sign, announced_size, more_rows, total_elsewhere
from .paging import MOST_ANNOUNCED, announced_number, list_url, next_place, page_parameters

if TYPE_CHECKING:
    from .client import ApiClient, ApiResponse

MOST_RECORDS = 100_000
"""Records in one answer. A page has 100, but an API may answer with all rows at once, and a report with many days."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of records.

    Attributes:
        number: 1-based.
        records: The records, in the order of the server.
        total: Total number of records that the response announces; None if it announces none.
        pages: Number of pages that the response announces; None if it announces none.
        read_at: Epoch seconds at which the response arrived.
        next_at: The cursor or the link that leads to the next page, where the endpoint has such; empty if none follows;
            None if the response does not say.
        sign: What says that rows follow, apart from what the settings name.
        size: Rows of a full page, where the response announces it.
        total_at: Where the response seems to announce the total, if it does not where the settings say.
        blank: The response is a 204: it has no body. As the first page, it says that the list is empty.
        named: Number of the page that the response itself names, counted from 1; None if it names none.
    """

    number: int
    records: list[Record]
    total: int | None
    pages: int | None
    read_at: float
    next_at: str | None = None
    sign: Sign | None = None
    size: int | None = None
    total_at: str = ""
    blank: bool = False
    named: int | None = None


def announced_pages(page: Page, size: int = PAGE_SIZE) -> int:
    """Number of pages that a list announces, at least 1.

    Args:
        page: Any page of the list.
        size: Rows of a full page, where the response names no number of pages.
    """
    return page.pages or ceil((page.total or 0) / size) or 1


def counts_page(page: Page) -> bool:
    """Whether the announced total counts the rows of the page: behind a page before it, the list has more rows."""
    return page.number > 1 and bool(page.records) and page.total == len(page.records)


def read_page(
    client: ApiClient, endpoint: Endpoint, number: int, filters: Mapping[str, str], after: str = "", size: int = 0
) -> Page:
    """Read one page of a list.

    Args:
        client: Sends the request.
        endpoint: Endpoint of a list.
        number: Number of the page, from 1 whatever the API counts from.
        filters: Column to the value that its rows must have. Filters that the endpoint does not have are not sent.
        after: The cursor or the link that leads to the page, where it cannot be asked for by its number.
        size: Rows to ask for; 0 for as many as the endpoint says.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list at the configured path, or its next page is on another host.
    """
    if size:
        endpoint = replace(endpoint, paging=replace(endpoint.paging, size=size))
    url = after if after and endpoint.paging.by_link else None
    asked_for = {endpoint.filters[name]: value for name, value in filters.items() if name in endpoint.filters}
    parameters = {} if url else {**endpoint.params, **page_parameters(endpoint, number, after), **asked_for}
    response = _get(client, endpoint, parameters, number, url)
    if response.status == 204:
        return Page(number, [], 0 if number == 1 else None, None, response.received_at, next_at="", blank=True)
    total = _announced_total(response, endpoint)
    asked = url or list_url(endpoint, client.base_url)
    return Page(
        number=number,
        records=_records(response, endpoint),
        total=total,
        pages=_announced_pages(response, endpoint),
        read_at=response.received_at,
        next_at=None if endpoint.paging.any_page else next_place(response, endpoint, asked, client.base_url),
        sign=more_rows(response.headers, response.body),
        size=announced_size(response.body, endpoint.total),
        total_at="" if total is not None else total_elsewhere(response.headers, response.body),
        named=_named_page(response, endpoint),
    )


def read_report(client: ApiClient, endpoint: Endpoint, start: date, end: date, number: int = 0) -> Page:
    """Read one report over whole days (UTC), both ends included.

    Args:
        client: Sends the request.
        endpoint: Endpoint of a report.
        start: First day.
        end: Last day.
        number: Page to ask for; 0 to name none.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list at the configured path.
    """
    words, form = endpoint.parameters, endpoint.date_format
    parameters = {**endpoint.params, words["start"]: start.strftime(form), words["end"]: end.strftime(form)}
    if number:
        parameters.update({words["page"]: str(number), words["limit"]: str(PAGE_SIZE)})
    response = _get(client, endpoint, parameters, number or 1)
    return Page(
        number=number or 1,
        records=_records(response, endpoint),
        total=_announced_total(response, endpoint),
        pages=_announced_pages(response, endpoint),
        read_at=response.received_at,
        sign=more_rows(response.headers, response.body),
    )


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


def _get(
    client: ApiClient, endpoint: Endpoint, parameters: Mapping[str, str], number: int = 1, url: str | None = None
) -> ApiResponse:
    try:
        return client.get(endpoint.path, parameters, endpoint.scope, *([url] if url else []))
    except NotThere as error:
        if number > 1:
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


def _announced_total(response: ApiResponse, endpoint: Endpoint) -> int | None:
    number = announced_number(response, endpoint.total)
    if number is not None and number > MOST_ANNOUNCED:
        raise _absurd_number(endpoint, "total", endpoint.total, "rows", ", and exact_total to false")
    return number


def _announced_pages(response: ApiResponse, endpoint: Endpoint) -> int | None:
    number = announced_number(response, endpoint.pages)
    if number is not None and number > MOST_ANNOUNCED:
        raise _absurd_number(endpoint, "pages", endpoint.pages, "pages")
    return number


def _named_page(response: ApiResponse, endpoint: Endpoint) -> int | None:
    """The number of the page that an answer repeats beside the total, counted from 1."""
    if endpoint.paging.kind != "page_number":
        return None
    above = endpoint.total.rpartition(".")[0] if endpoint.total else "pagination"
    number = announced_number(response, f"{above}.page".lstrip("."))
    return None if number is None else number - endpoint.paging.first + 1


def _absurd_number(endpoint: Endpoint, key: str, where: str, what: str, further: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.{key}",
        f"GET {endpoint.path} announces more than {MOST_ANNOUNCED:,} {what} at {where}, which makes no sense.",
        f"Set it to where the answer announces the number of {what}. If it announces that nowhere, set it to a path "
        f"that no answer has{further}.",
    )


def _records(response: ApiResponse, endpoint: Endpoint) -> list[Record]:
    if response.status == 204:
        return []
    for path in endpoint.records:
        found = dig(response.body, path)
        if isinstance(found, list):
            if len(found) > MOST_RECORDS:
                raise ApiUnreachable(
                    "GET",
                    endpoint.path,
                    response.status,
                    f"{len(found):,} records in one answer, of which {MOST_RECORDS:,} are read at most",
                    "Set the vendor's name of the limit, or a paginator, in "
                    f"sources.automatum.endpoints.{endpoint.table}; for a report, set "
                    "sources.automatum.report_window_days, so that each answer holds fewer days.",
                )
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
