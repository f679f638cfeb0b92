"""One page of a list, one answer of a report: where the records are, and what was announced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core.errors import ApiUnreachable, ConfigurationError, NotThere
from ..endpoints import PAGE_SIZE, Endpoint
from ..schema.arrow_tables import Record, dig

if TYPE_CHECKING:
    from .client import ApiClient, ApiResponse


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was read.

    Attributes:
        number: 1-based.
        records: Its records, in the server's order.
        total: Number of records that the list announced with this page; None if it announced none.
        pages: Number of pages announced.
        read_at: Epoch seconds at which it arrived.
    """

    number: int
    records: list[Record]
    total: int | None
    pages: int | None
    read_at: float


def read_page(client: ApiClient, endpoint: Endpoint, number: int, filters: Mapping[str, str]) -> Page:
    """Ask for one page of a list.

    Args:
        client: Sends the request.
        endpoint: A list.
        number: 1-based page number.
        filters: Values for the endpoint's filters.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The answer has no list where the records should be.
    """
    words = endpoint.parameters
    parameters = {words["page"]: str(number), words["limit"]: str(PAGE_SIZE), **filters}
    answer = _ask(client, endpoint, parameters)
    return Page(
        number=number,
        records=_records(answer, endpoint),
        total=_count(dig(answer.body, endpoint.total)),
        pages=_count(dig(answer.body, endpoint.pages)),
        read_at=answer.received_at,
    )


def read_report(client: ApiClient, endpoint: Endpoint, start: date, end: date) -> Page:
    """Ask for one report over whole days (UTC), both ends included.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The answer has no list where the records should be.
    """
    words = endpoint.parameters
    answer = _ask(client, endpoint, {words["start"]: start.isoformat(), words["end"]: end.isoformat()})
    return Page(1, _records(answer, endpoint), None, None, answer.received_at)


def read_one(client: ApiClient, endpoint: Endpoint, key: str) -> Record | None:
    """A row at its own URL, as the list would show it; None if the API answers 404.

    Raises:
        RequestError: See `ApiClient.get`; anything but a 404 tells nothing about the row.
    """
    try:
        answer = client.get(f"{endpoint.path}/{quote(key, safe='')}")
    except NotThere:
        return None
    record = answer.body.get("data")
    if not isinstance(record, dict):
        raise ApiUnreachable("GET", f"{endpoint.path}/{key}", answer.status, "the record is not a JSON object")
    return {name: value for name, value in record.items() if name not in endpoint.only_in_detail}


def _ask(client: ApiClient, endpoint: Endpoint, parameters: Mapping[str, str]) -> ApiResponse:
    try:
        return client.get(endpoint.path, parameters)
    except NotThere as error:
        standing = "documented" if endpoint.documented else "assumed, not documented"
        raise NotThere(
            error.method,
            error.path,
            error.status,
            error.detail,
            f"The path is {standing}. If the vendor has another, set sources.automatum.endpoints.{endpoint.table}.path "
            "(or, for a further report, its path in sources.automatum.reports).",
        ) from None


def _records(answer: ApiResponse, endpoint: Endpoint) -> list[Record]:
    for path in endpoint.records:
        found = dig(answer.body, path)
        if isinstance(found, list):
            strangers = sum(1 for one in found if not isinstance(one, dict))
            if strangers:
                raise ApiUnreachable(
                    "GET", endpoint.path, answer.status, f"{strangers} of {len(found)} records are not JSON objects"
                )
            return found
    raise ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.records",
        f"GET {endpoint.path} has no list at {' or '.join(endpoint.records)}; "
        f"its top level has {', '.join(sorted(answer.body)) or 'nothing'}.",
        "Name the dotted path at which the answer holds its records.",
    )


def _count(value: Any) -> int | None:
    """A count, if that is what it is; some servers send it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
