"""The least that a program can do for rows with types: keep-alive HTTP, orjson, Arrow."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from suite.rows import DIMENSION_FIELDS, FIELDS, PAGE

BATCH = 10_000
"""Rows of an Arrow table."""
_TYPES = {
    "text": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "decimal": pa.decimal128(38, 9),
    "bool": pa.bool_(),
}
CHILD = "entitlement_dimensions"
CHILD_KEY = ("entitlement_id", "position")
Batch = dict[str, pa.Table]
"""The table and, if its records have a list, the child table: Arrow by name."""


def snake(name: str) -> str:
    """A field's name as a column name."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def read_pages(url: str, path: str) -> Iterator[list[dict[str, Any]]]:
    """The records of a list, page by page, over one connection."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))

    def ask(method: str, target: str, body: str | None = None) -> Any:
        connection.request(method, target, body, headers)
        return orjson.loads(connection.getresponse().read())

    headers: dict[str, str] = {}
    headers["Authorization"] = f"Bearer {ask('POST', '/oauth/token', '{}')['access_token']}"
    page, pages = 1, 1
    while page <= pages:
        answer = ask("GET", f"/api/v1/{path}?page={page}&limit={PAGE}")
        yield answer["data"]
        page, pages = page + 1, answer["pagination"]["pages"]
    connection.close()


def read_batches(url: str, path: str) -> Iterator[Batch]:
    """The records of a list as Arrow tables with types."""
    records: list[dict[str, Any]] = []
    for page in read_pages(url, path):
        records += page
        if len(records) >= BATCH:
            yield _batch(path, records)
            records = []
    if records:
        yield _batch(path, records)


def _batch(path: str, records: list[dict[str, Any]]) -> Batch:
    batch = {path: _table(records, FIELDS[path])}
    if path == "entitlements":
        entries = [
            {"entitlement_id": record["id"], "position": position, **entry}
            for record in records
            for position, entry in enumerate(record["dimensions"])
        ]
        keys = {"entitlement_id": pa.string(), "position": pa.int64()}
        batch[CHILD] = _table(entries, DIMENSION_FIELDS, keys)
    return batch


def _table(
    records: list[dict[str, Any]], fields: dict[str, str], keys: dict[str, pa.DataType] | None = None
) -> pa.Table:
    types = {**(keys or {}), **{name: _TYPES[type_] for name, type_ in fields.items()}}
    columns = {snake(name): _column([record.get(name) for record in records], type_) for name, type_ in types.items()}
    return pa.table(columns)


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    """Arrow reads times from texts, and decimals from whatever JSON has, a column at a time."""
    if pa.types.is_decimal(type_):
        return pa.array(values).cast(type_)
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return pa.array(values, pa.string()).cast(type_)
    return pa.array(values, type_)
