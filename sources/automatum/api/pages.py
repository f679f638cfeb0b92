"""Reads one page of a list, one report, or one row, and finds the records in the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core.errors import ApiUnreachable, ConfigurationError, NotThere
from ..endpoints import Endpoint
from ..schema.records import Record, dig, pick, with_value

if TYPE_CHECKING:
    from .http import ApiResponse
    from .session import ApiClient

MOST_RECORDS = 100_000
"""Records in one answer. A page has 100, but a report may have many days."""
MOST_ANNOUNCED = 10**9
"""Rows above which an announced number makes no sense: they would take more than 40 days to read."""
_LONGEST_COUNT = 20
_LONGEST_CURSOR = 8192


@dataclass(frozen=True, slots=True)
class Page:
    """One page of records.

    Attributes:
        number: 1-based.
        records: The records, in the order of the server.
        total: Number of records of the list that the response announces; None if the endpoint has no exact total.
        read_at: Epoch seconds at which the response arrived.
        named: Number of the page that the response itself names, counted from 1; None if it names none.
        next_at: Cursor of the next page, for a list that is paged by cursor. Empty: the response says that no page
            follows. None: it does not say.
    """

    number: int
    records: list[Record]
    total: int | None
    read_at: float
    named: int | None = None
    next_at: str | None = None


def read_page(client: ApiClient, endpoint: Endpoint, number: int, after: str = "") -> Page:
    """Read one page of a list.

    Args:
        client: Sends the request.
        endpoint: Endpoint of a list.
        number: Number of the page, from 1 whatever the API counts from.
        after: The cursor that leads to the page, where it cannot be asked for by its number.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list, no total or no cursor where the settings say, or another number
            of rows a page than was asked for.
    """
    paging = endpoint.paging
    response = _get(client, endpoint, page_parameters(endpoint, number, after), number)
    named, size = (_beside_total(response, endpoint, name) for name in ("page", "limit"))
    if size is not None and size != paging.size:
        raise ConfigurationError(
            f"sources.automatum.endpoints.{endpoint.table}.page_size",
            f"GET {endpoint.path} was asked for {paging.size} rows a page, and answers that a page has {size}.",
            f"Set it to {size}, or parameters to the API's name of the limit.",
        )
    return Page(
        number=number,
        records=_records(response, endpoint),
        total=_announced_total(response, endpoint) if endpoint.exact_total else None,
        read_at=response.received_at,
        named=None if named is None or paging.kind != "page_number" else named - paging.first + 1,
        next_at=_cursor(response, endpoint) if paging.kind == "cursor" else None,
    )


def read_report(client: ApiClient, endpoint: Endpoint, start: date, end: date) -> Page:
    """Read one report over whole days (UTC), both ends included.

    Raises:
        RequestError: See `ApiClient.get`.
        ConfigurationError: The response has no list at the configured path.
    """
    words = endpoint.parameters
    response = _get(client, endpoint, {words["start"]: start.isoformat(), words["end"]: end.isoformat()})
    total = _count(dig(response.body, endpoint.total)) if endpoint.total else None
    return Page(1, _records(response, endpoint), total, response.received_at)


def read_one(client: ApiClient, endpoint: Endpoint, own_id: str) -> Record | None:
    """Read a record at its own URL, in the form of the list; None if the API answers 404.

    `own_id` is the record's value of `endpoint.own_column`.

    Raises:
        RequestError: See `ApiClient.get`. Only a 404 means that the record does not exist.
    """
    name = endpoint.own_column
    path = endpoint.own_path.replace(f"{{{name}}}", quote(own_id, safe=""))
    try:
        response = client.get(path, scope=endpoint.scope)
    except NotThere:
        return None
    record = response.body.get("data")
    if not isinstance(record, dict):
        raise ApiUnreachable("GET", path, response.status, "the record is not a JSON object at data")
    found = {name: value for name, value in record.items() if name not in endpoint.only_in_detail}
    column = next(column for column in endpoint.columns if column.name == name)
    value, place = pick(found, column)
    if value is None:
        return with_value(found, place, own_id)  # The record is known by its URL.
    if str(value) != own_id:
        raise ApiUnreachable("GET", path, response.status, f"the record has another {place}")
    return found


def page_parameters(endpoint: Endpoint, number: int, after: str = "") -> dict[str, str]:
    """The query parameters that ask for a page, as for `read_page`."""
    paging, words = endpoint.paging, endpoint.parameters
    limit = {words["limit"]: str(paging.size)}
    if paging.kind == "page_number":
        return {words["page"]: str(number - 1 + paging.first), **limit}
    if paging.kind == "offset":
        return {words["offset"]: str((number - 1) * paging.size), **limit}
    return {words["cursor"]: after, **limit} if after else limit


def _get(client: ApiClient, endpoint: Endpoint, parameters: Mapping[str, str], number: int = 1) -> ApiResponse:
    try:
        return client.get(endpoint.path, parameters, endpoint.scope)
    except NotThere as error:
        origin = "documented" if endpoint.documented else "assumed, not documented"
        step = (
            f"The path is {origin}. If the vendor has another, set sources.automatum.endpoints.{endpoint.table}.path "
            "(or, for a further report, its path in sources.automatum.reports)."
            if number == 1
            else "The pages before it were there, so the list ends earlier than announced, or its total is not exact: "
            f'then set sources.automatum.endpoints.{endpoint.table}.total = "".'
        )
        detail = error.detail if number == 1 else f"{error.detail} (page {number})"
        raise NotThere(error.method, error.path, error.status, detail, step) from None


def _announced_total(response: ApiResponse, endpoint: Endpoint) -> int:
    number = _count(dig(response.body, endpoint.total))
    if number is not None and number <= MOST_ANNOUNCED:
        return number
    what = "no number of rows" if number is None else f"more than {MOST_ANNOUNCED:,} rows, which makes no sense,"
    raise ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.total",
        f"GET {endpoint.path} announces {what} at {endpoint.total}.",
        "Set it to the dotted path of the number of rows in the answer. If the API announces no exact number, set it "
        'to "": then each list is read twice.',
    )


def _beside_total(response: ApiResponse, endpoint: Endpoint, name: str) -> int | None:
    """What the answer says of the page itself, beside the total: `page` or `limit` (`api/reference`)."""
    above = (endpoint.total or "pagination.total").rpartition(".")[0]
    found = _count(dig(response.body, f"{above}.{name}")) if above else None
    return found if found or name == "page" else None


def _cursor(response: ApiResponse, endpoint: Endpoint) -> str | None:
    """The cursor of the next page; empty if the answer says that none follows; None if it does not say."""
    above, _, name = endpoint.paging.cursor_at.rpartition(".")
    inside = dig(response.body, above) if above else response.body
    if not isinstance(inside, Mapping) or name not in inside:
        return None
    found = inside[name]
    if found is None or found == "":
        return ""
    if not isinstance(found, (str, int)) or isinstance(found, bool) or len(str(found)) > _LONGEST_CURSOR:
        raise ConfigurationError(
            f"sources.automatum.endpoints.{endpoint.table}.paginator.cursor_path",
            f"GET {endpoint.path} has no cursor at {endpoint.paging.cursor_at}, but {type(found).__name__}.",
            "Set it to where the answer has the cursor of the next page.",
        )
    return str(found)


def _records(response: ApiResponse, endpoint: Endpoint) -> list[Record]:
    for path in endpoint.records:
        found = dig(response.body, path)
        if isinstance(found, list):
            if len(found) > MOST_RECORDS:
                raise ApiUnreachable(
                    "GET",
                    endpoint.path,
                    response.status,
                    f"{len(found):,} records in one answer, of which {MOST_RECORDS:,} are read at most",
                    "For a report, set sources.automatum.report_window_days, so that each answer holds fewer days.",
                )
            # What is not an object has no key. It is rejected like any other record without one, and not the page.
            return [one if isinstance(one, dict) else {"value": one} for one in found]
    raise ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.records",
        f"GET {endpoint.path} has no list at {' or '.join(endpoint.records)}; "
        f"its top level has {', '.join(sorted(response.body)) or 'nothing'}.",
        "Set it to the dotted path of the records in the response.",
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
