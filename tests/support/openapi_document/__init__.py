"""Describes the API as an OpenAPI 3.1 document: what the vendor documents, and what the connector assumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from automatum.endpoints import (
    API_PREFIX,
    ENDPOINTS,
    METERING_PATH,
    PAGE_SIZE,
    SCOPES,
    TOKEN_PATH,
    UNSENT_PARAMETERS,
    Endpoint,
)

from .fixed import (
    application_paths,
    components,
    errors,
    metering_operation,
    path_id,
    success,
    token_operation,
    unused_operation,
)
from .marks import (
    AUTHENTICATION,
    CONFIGURED,
    DOCUMENTED,
    REFERENCE,
    SOURCE,
    TABLE,
    USED,
    Json,
    assumed,
    configured,
    documented,
    origin,
)
from .records import answer_schema, detail_schema, record_schema, schema_name

_DESCRIPTION = f"""\
What dlt-source-automatum knows of the API. This is not the vendor's document.

- `{DOCUMENTED}: true`: a page of the vendor shows it; `{SOURCE}` names the page.
- `{DOCUMENTED}: false`: the connector assumes it. With `{CONFIGURED}: true`, the configuration sets it.
- `{USED}: false`: the vendor documents it, and the connector does not use it.

Fields that are not named here are allowed everywhere.
"""
_DEFAULTS = {endpoint.table: endpoint for endpoint in ENDPOINTS}
_SCOPE_TABLE = f"{AUTHENTICATION} names the scope and the path; parameters and fields are assumed"
_DEFAULT_LIMIT = 20


def describe_openapi(endpoints: Sequence[Endpoint], base_url: str) -> Json:
    """The OpenAPI document.

    Args:
        endpoints: Endpoints to describe, with overrides applied.
        base_url: Root of the API.
    """
    paths: Json = {TOKEN_PATH: {"post": token_operation()}, **application_paths()}
    parts = components()
    for endpoint in endpoints:
        default = _DEFAULTS.get(endpoint.table)
        parts["schemas"][schema_name(endpoint.table)] = record_schema(endpoint, default)
        for path, operations in _paths(endpoint, default):
            paths.setdefault(path, {}).update(operations)
    paths[f"{API_PREFIX}{METERING_PATH}"] = {"post": metering_operation()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Automatum API: documented and assumed", "version": "v1", "description": _DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{"oauth2": []}],
        "paths": paths,
        "components": parts,
    }


def _paths(endpoint: Endpoint, default: Endpoint | None) -> Iterator[tuple[str, Json]]:
    path, _, query = (API_PREFIX + endpoint.path).partition("?")
    write = endpoint.scope.replace("read:", "write:", 1)
    if write not in SCOPES or default is None or endpoint.path != default.path:
        write = ""
    get = _operation(endpoint, default, f"list_{endpoint.table}", f"List {_words(endpoint)}.")
    get["parameters"] = _parameters(endpoint, default, query)
    get["responses"] = {
        "200": success(answer_schema(endpoint, default), "One page of records."),
        **errors(400, 401, 403, 429),
    }
    yield path, {"get": get, **({"post": unused_operation(write, "post", endpoint.table)} if write else {})}
    if endpoint.kind == "list" and endpoint.own_path:
        mark = configured() if endpoint.detail_path else _mark(endpoint, default)
        get = _operation(endpoint, default, f"read_{endpoint.table}", f"Read one of the {_words(endpoint)} by its URL.")
        get["responses"] = {"200": success(detail_schema(endpoint), "The record."), **errors(401, 403, 404, 429)}
        operations: Json = {"parameters": [path_id(mark, endpoint.own_column)], "get": {**get, **mark}}
        if write:
            operations["put"] = unused_operation(write, "put", endpoint.table)
        yield f"{API_PREFIX}{endpoint.own_path}", operations


def _operation(endpoint: Endpoint, default: Endpoint | None, name: str, summary: str) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        TABLE: endpoint.table,
        **_mark(endpoint, default),
        "security": [{"oauth2": [endpoint.scope]}],
    }


def _mark(endpoint: Endpoint, default: Endpoint | None) -> Json:
    if default is None or endpoint.path != default.path:
        return configured()
    return documented(REFERENCE) if endpoint.documented else assumed(_SCOPE_TABLE)


def _parameters(endpoint: Endpoint, default: Endpoint | None, query: str) -> list[Json]:
    """The query parameters, by the vendor's names."""
    paging, usual = endpoint.paging, default.parameters if default else {}
    day: Json = {"type": "string", "format": "date"}
    schemas: dict[str, Json] = {
        "page": {"type": "integer", "minimum": paging.first, "default": paging.first},
        "offset": {"type": "integer", "minimum": 0, "default": 0},
        "cursor": {"type": "string"},
        "limit": {"type": "integer", "minimum": 1, "maximum": max(PAGE_SIZE, paging.size), "default": _DEFAULT_LIMIT},
        "start": day,
        "end": day,
    }
    found = [
        _parameter(
            name,
            schemas[word],
            origin(endpoint.documented, REFERENCE, name != usual.get(word) or (word == "page" and paging.first == 0)),
        )
        for word, name in endpoint.parameters.items()
    ]
    for name, value in parse_qsl(query):
        found.append(_parameter(name, {"type": "string", "const": value}, configured()))
    for name, values in UNSENT_PARAMETERS.get(endpoint.table, {}).items():
        schema: Json = {"type": "string", **({"enum": list(values)} if values else {})}
        found.append(_parameter(name, schema, {**origin(endpoint.documented, REFERENCE), USED: False}))
    return found


def _parameter(name: str, schema: Json, mark: Json) -> Json:
    return {"name": name, "in": "query", "schema": schema, **mark}


def _words(endpoint: Endpoint) -> str:
    return endpoint.table.replace("_", " ")
