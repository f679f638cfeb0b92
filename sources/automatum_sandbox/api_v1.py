"""The routes of `/api/v1/...`: lists, single rows, analytics and metering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from automatum.endpoints import (
    API_PREFIX,
    CUSTOMERS,
    ENTITLEMENTS,
    METERING_PATH,
    METERING_SCOPE,
    PRIVATE_OFFERS,
    REVENUE,
)

from .data.organization import Organization
from .data.timestamps import format_timestamp, parse_date, utc_date
from .metering import AcceptedCall
from .metering_body import find_errors, read_body
from .responses import ApiResponse, FieldError, failure, success
from .sandbox import Sandbox
from .tokens import Token

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
"""Documented in `api/reference`."""
_MAX_DIGITS = 15

_LISTS = {endpoint.path: endpoint for endpoint in (CUSTOMERS, ENTITLEMENTS, PRIVATE_OFFERS)}
_FILTERS = {
    "customers": ("status", "vendor", "search"),
    "entitlements": ("status", "vendor", "customerId"),
    "private_offers": ("status", "vendor", "customerId"),
}


@dataclass(frozen=True)
class ApiCall:
    """An authenticated request to `/api/v1/...`.

    Attributes:
        path: Path below `/api/v1/`.
        query: Query parameters.
        body: Request body.
    """

    sandbox: Sandbox
    organization: Organization
    token: Token
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


def page_of(query: Mapping[str, str]) -> int | None:
    """The page that a query requests, None if it is not a number, or one of more digits than JSON numbers keep."""
    return _whole(query.get("page", "1"))


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def respond_to_call(call: ApiCall) -> ApiResponse:
    """Check route and method (404, 405), then the scope (403), then respond."""
    route = _route(call.path)
    if route is None:
        return failure(404, f"Route not found: {API_PREFIX}{call.path}")
    method, scope, respond = route
    if call.method != method:
        refused = failure(405, "Method not allowed")
        refused.headers["Allow"] = method
        return refused
    if scope not in call.token.scopes:
        return failure(403, "Insufficient scope for this endpoint")
    return respond(call)


def _route(path: str) -> tuple[str, str, Callable[[ApiCall], ApiResponse]] | None:
    head, _, rest = path.partition("/")
    if path in _LISTS:
        return "GET", _LISTS[path].scope, _list
    if head in _LISTS and rest and "/" not in rest:
        return "GET", _LISTS[head].scope, _detail
    if path == REVENUE.path:
        return "GET", REVENUE.scope, _revenue
    return ("POST", METERING_SCOPE, _metering) if path == METERING_PATH else None


def _list(call: ApiCall) -> ApiResponse:
    page, errors = page_of(call.query), []
    if page is None or page < 1:
        errors.append(("page", "Must be an integer of at least 1"))
    limit = _whole(call.query.get("limit", str(DEFAULT_LIMIT))) or 0
    if not 1 <= limit <= MAX_LIMIT:
        errors.append(("limit", f"Must be an integer between 1 and {MAX_LIMIT}"))
    if errors or page is None:
        return failure(400, "Validation failed", errors)
    table = _LISTS[call.path].table
    filters = {name: call.query[name] for name in _FILTERS[table] if call.query.get(name)}
    rows, total = call.organization.tables[table].page(page, limit, filters)
    return success(rows, pagination={"page": page, "limit": limit, "total": total, "pages": -(-total // limit)})


def _detail(call: ApiCall) -> ApiResponse:
    path, _, id_ = call.path.partition("/")
    endpoint, tables = _LISTS[path], call.organization.tables
    row = tables[endpoint.table].get(id_)
    if row is None:
        return failure(404, f"{endpoint.table.removesuffix('s').replace('_', ' ').capitalize()} not found")
    if endpoint is CUSTOMERS:
        row = {**row, "entitlements": tables["entitlements"].of_customer(id_)}
    return success(row)


def _revenue(call: ApiCall) -> ApiResponse:
    today = utc_date(call.sandbox.calendar())
    errors: list[FieldError] = []
    # The last 30 days, today included.
    span: dict[str, date] = {"startDate": today - timedelta(days=29), "endDate": today}
    for name in span:
        if name in call.query:
            day = parse_date(call.query[name])
            if day is None:
                errors.append((name, "Must be a date in the form YYYY-MM-DD"))
            else:
                span[name] = day
    if not errors and span["startDate"] > span["endDate"]:
        errors.append(("startDate", "Must not be after endDate"))
    if errors:
        return failure(400, "Validation failed", errors)
    records = call.organization.revenue.between(span["startDate"], span["endDate"], today)
    if call.sandbox.config.analytics_shape == "array":
        return success(records)
    total = sum(round(float(record["revenue"] or 0) * 100) for record in records) / 100
    return success(
        {
            "startDate": span["startDate"].isoformat(),
            "endDate": span["endDate"].isoformat(),
            "totalRevenue": total,
            "currency": "USD",
            "series": records,
        }
    )


def _metering(call: ApiCall) -> ApiResponse:
    sandbox, config = call.sandbox, call.sandbox.config
    body = read_body(call.body)
    if body is None:
        return failure(400, "Validation failed", [("", "Body must be a JSON object")])
    calendar = sandbox.calendar()
    errors = find_errors(body, call.organization, utc_date(calendar), config.max_usages)
    if errors:
        return failure(400, "Validation failed", errors)
    id_ = f"meter_{call.organization.rng.getrandbits(32):08x}"
    sandbox.metering.accept(AcceptedCall(id_, call.organization.id, call.token.app.client_id, body, sandbox.time()))
    data: dict[str, Any] = {
        "id": id_,
        "status": "queued",
        "vendor": body["vendor"],
        "listingId": body["listingId"],
        "createdAt": format_timestamp(float(int(calendar))),
    }
    if config.metering_outcome != "manual":
        sandbox.metering.settle(id_, config.metering_outcome)
    return success(data, code=config.metering_status)
