"""PyAirbyte with a declarative manifest, into its DuckDB cache."""

from __future__ import annotations

import sys
from typing import Any

import airbyte
from airbyte.caches import DuckDBCache
from airbyte.strategies import WriteStrategy

from suite.rows import DIMENSION_FIELDS, FIELDS, PAGE, Fields

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "timestamp": {"type": ["string", "null"], "format": "date-time"},
    "date": {"type": ["string", "null"], "format": "date"},
    "decimal": {"type": ["number", "null"]},
    "bool": {"type": ["boolean", "null"]},
}


def json_schema(fields: Fields) -> dict[str, Any]:
    """The fields as JSON schema."""
    return {"type": "object", "properties": {name: _TYPES[type_] for name, type_ in fields.items()}}


def manifest(url: str, table: str) -> dict[str, Any]:
    """The source, as the connector builder writes it."""
    schema = json_schema(FIELDS[table])
    if table == "entitlements":
        entry = json_schema({**DIMENSION_FIELDS, "price": "text"})
        schema["properties"]["dimensions"] = {"type": ["array", "null"], "items": entry}
    stream = {
        "type": "DeclarativeStream",
        "name": table,
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": schema},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": f"{url}/api/v1/",
                "path": table,
                "http_method": "GET",
                "authenticator": {"type": "BearerAuthenticator", "api_token": "t"},
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "page",
                },
                "page_size_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "limit",
                },
                "pagination_strategy": {
                    "type": "PageIncrement",
                    "start_from_page": 1,
                    "page_size": PAGE,
                    "inject_on_first_request": True,
                },
            },
        },
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [table]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def main() -> None:
    """Merge a list by its key."""
    url, table, database = sys.argv[1:]
    source = airbyte.get_source("source-bench", config={}, source_manifest=manifest(url, table), streams=[table])
    cache = DuckDBCache(db_path=database, schema_name="bench", cache_dir="cache")
    source.read(cache=cache, write_strategy=WriteStrategy.MERGE)


if __name__ == "__main__":
    main()
