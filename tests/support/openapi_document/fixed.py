"""The parts of the OpenAPI document that no table has: tokens, applications, metering, errors, rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import orjson

from automatum.endpoints import (
    APPLICATIONS_PATH,
    METERING_SCOPE,
    REGENERATE,
    SCOPES,
    TOKEN_PATH,
)
from automatum.metering.model import Line
from automatum.metering.payloads import Body

from .marks import AUTHENTICATION, INTEGRATION, REFERENCE, USED, Json, assumed, documented, ref
from .records import envelope

_TEXT: Json = {"type": "string"}
_SCOPE_TABLE = f"{AUTHENTICATION}, table of scopes; the rest is assumed"
_LINE = Line(
    vendor="aws",
    listing_id="list_1",
    customer_id="cust_1",
    dimension="api_calls",
    grain="day",
    starts_at=datetime(2026, 1, 15, tzinfo=timezone.utc),
    units=Decimal(1000),
    price=Decimal("0.01"),
)
_FULL_LINE = replace(_LINE, title="API calls", description="Calls of the API", per="request")


def errors(*codes: int) -> Json:
    """The answers that refuse a request."""
    return {f"{code}": ref("responses", _ERRORS[code][0]) for code in codes}


def success(schema: Json, description: str, headers: bool = True) -> Json:
    """An answer with this schema, and the headers with the state of the rate limit."""
    answer: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    if headers:
        answer["headers"] = {name: ref("headers", name) for name in _HEADERS}
    return answer


def token_operation() -> Json:
    """`POST /oauth/token`."""
    mark = documented(AUTHENTICATION)
    form = {
        "grant_type": {"type": "string", "const": "client_credentials", **mark},
        "client_id": {**_TEXT, **mark},
        "client_secret": {**_TEXT, "format": "password", **mark},
    }
    answer = {
        "access_token": {**_TEXT, **mark},
        "token_type": {"type": "string", "const": "Bearer", **mark},
        "expires_in": {"type": "integer", "description": "Seconds; 3600 is documented.", **mark},
        "scope": {"type": "string", "description": "The granted scopes, separated by spaces.", **mark},
    }
    return {
        "operationId": "take_token",
        "summary": "Exchange the credentials of an application for a token. The answer has no envelope.",
        **mark,
        "security": [],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {"type": "object", "required": list(form), "properties": form}
                }
            },
        },
        "responses": {
            "200": success({"type": "object", "required": list(answer), "properties": answer}, "A token.", False),
            **errors(400, 401, 429),
        },
    }


def application_paths() -> Json:
    """`/oauth/applications`: paths and effects are documented, answers and the credential are not."""
    one = f"{APPLICATIONS_PATH}/{{id}}"
    application, mark = ref("schemas", "Application"), documented(AUTHENTICATION)
    many = {"type": "array", "items": application}
    changes = {name: {**_TEXT, **mark} for name in ("name", "description")}
    changes["scopes"] = {"type": "array", "items": {"type": "string", "enum": list(SCOPES)}, **mark}
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object", "properties": changes}}}}
    secret = {"clientId": {**_TEXT, **assumed()}, "clientSecret": {**_TEXT, "format": "password", **assumed()}}
    described: tuple[tuple[str, str, str, str, Json, Json], ...] = (
        (APPLICATIONS_PATH, "get", "list_applications", "List the applications.", many, {}),
        (one, "get", "read_application", "Read one application.", application, {}),
        (one, "put", "update_application", "Change an application.", application, {"requestBody": body}),
        (one, "delete", "delete_application", "Delete an application and its tokens.", {"type": "object"}, {}),
        (
            f"{one}/{REGENERATE}",
            "post",
            "regenerate_secret",
            "Make a new secret. The old one and its tokens end.",
            {"type": "object", "properties": secret},
            {},
        ),
    )
    paths: Json = {}
    for path, method, name, summary, data, extra in described:
        at = paths.setdefault(path, {"parameters": [path_id(mark)]} if "{" in path else {})
        at[method] = {
            "operationId": name,
            "summary": summary,
            **mark,
            "security": [{"oauth2": []}],
            **extra,
            "responses": {
                "200": success(envelope(data, False), "The answer; no page shows it."),
                **errors(*([400] if extra else []), 401, 403, *([404] if "{" in path else []), 429),
            },
        }
    return paths


def metering_operation() -> Json:
    """The operation that takes usage, with the names that a push writes."""
    full, least = (orjson.loads(Body((line,)).payload()) for line in (_FULL_LINE, _LINE))
    answer = {name: {"type": ["string", "null"], **assumed()} for name in ("id", "status", "vendor", "listingId")}
    answer["createdAt"] = {"type": ["string", "null"], "format": "date-time", **assumed()}
    return {
        "operationId": "send_usage",
        "summary": "Report usage of one customer. A success means that it is queued, and not that it is billed.",
        **documented(INTEGRATION),
        "security": [{"oauth2": [METERING_SCOPE]}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _shape(full, least)}}},
        "responses": {
            "2XX": success(
                {**envelope({"type": "object", "properties": answer}, False), **assumed()},
                "The usage is queued. Neither status nor body are documented.",
            ),
            **errors(400, 401, 403, 429),
        },
    }


def unused_operation(scope: str, method: str, table: str) -> Json:
    """An operation that the table of scopes documents, and that the connector does not use."""
    return {
        "operationId": f"{'create' if method == 'post' else 'update'}_{table}",
        "summary": "Named by the table of scopes. The connector does not use it, and its body is not known.",
        **documented(_SCOPE_TABLE),
        USED: False,
        "security": [{"oauth2": [scope]}],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {"2XX": success({"type": "object"}, "Not known."), **errors(400, 401, 403, 429)},
    }


def path_id(mark: Json, name: str = "id") -> Json:
    """The parameter of a path that names a record."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, **mark}


def components() -> Json:
    """Errors, headers and the security scheme."""
    mark = documented(AUTHENTICATION)
    return {
        "securitySchemes": {
            "oauth2": {
                "type": "oauth2",
                "description": "Client credentials only. A change of scopes needs a new token.",
                **mark,
                "flows": {"clientCredentials": {"tokenUrl": TOKEN_PATH, "scopes": dict.fromkeys(SCOPES, "")}},
            }
        },
        "headers": {
            name: {"schema": {"type": "integer"}, "description": text, **mark} for name, text in _HEADERS.items()
        },
        "responses": {
            name: {
                "description": text,
                **marks,
                "content": {"application/json": {"schema": ref("schemas", "Error")}},
            }
            for name, text, marks in _ERRORS.values()
        },
        "schemas": {"Error": _error(), "Application": _application()},
    }


def _error() -> Json:
    mark = documented(REFERENCE)
    entry = {"field": {**_TEXT, **mark}, "message": {**_TEXT, **mark}}
    return {
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "integer", **mark},
            "message": {**_TEXT, **mark},
            "errors": {"type": "array", "items": {"type": "object", "properties": entry}, **mark},
            "retryAfter": {"type": "integer", "description": "Seconds; of a 429.", **documented(AUTHENTICATION)},
        },
    }


def _application() -> Json:
    texts = {name: {"type": ["string", "null"]} for name in ("id", "clientId", "name", "description")}
    times = {
        name: {"type": ["string", "null"], "format": "date-time"} for name in ("createdAt", "updatedAt", "lastUsedAt")
    }
    fields: Json = {**texts, "scopes": {"type": "array", "items": _TEXT}, **times}
    return {"type": "object", "properties": {name: {**one, **assumed()} for name, one in fields.items()}}


def _shape(full: Any, least: Any) -> Json:
    """The schema of a body, from one with all fields and one with those that are always sent."""
    mark = documented(INTEGRATION)
    if isinstance(full, Mapping):
        fields = {name: _shape(inner, least.get(name)) for name, inner in full.items()}
        return {"type": "object", "required": list(least), "properties": fields, **mark}
    if isinstance(full, list):
        return {"type": "array", "minItems": 1, "items": _shape(full[0], least[0]), **mark}
    return {"type": "string" if isinstance(full, str) else "number", "examples": [full], **mark}


_HEADERS = {
    "X-RateLimit-Limit": "Requests of an application in the window; the sample's number is that of the hour.",
    "X-RateLimit-Remaining": "What is left of them.",
    "X-RateLimit-Reset": "End of the window, in epoch seconds.",
    "X-RateLimit-Organization-Limit": "Requests of all applications of the organization.",
    "X-RateLimit-Organization-Remaining": "What is left of them.",
}
_ERRORS: dict[int, tuple[str, str, Json]] = {
    400: ("BadRequest", "Refused; `errors` names the fields.", documented(REFERENCE)),
    401: (
        "Unauthorized",
        "The token has expired or is not known; or the credentials are wrong.",
        documented(AUTHENTICATION),
    ),
    403: ("Forbidden", "The token lacks the scope of the endpoint.", documented(AUTHENTICATION)),
    404: ("NotFound", "No such row.", assumed()),
    429: ("TooManyRequests", "The rate limit is spent; `retryAfter` says for how long.", documented(AUTHENTICATION)),
}
