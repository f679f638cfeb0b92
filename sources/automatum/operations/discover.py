"""Describe every table and column as JSON: what it says, where it comes from, and what it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..endpoints import API_PREFIX, Endpoint
from ..schema.log_tables import log_tables
from ..schema.metering_tables import METERING_TABLES
from ..schema.stored import StoredColumn, StoredTable
from ..schema.tables import owned, tables_of


def stored_tables(
    endpoints: Sequence[Endpoint], history: bool = False
) -> Iterator[tuple[StoredTable, Endpoint | None]]:
    """Every table that a sync or an export of the ledger fills, with the endpoint that it is read from, if any.

    Args:
        endpoints: The endpoints, with overrides applied.
        history: Every version of every row is kept.
    """
    for endpoint in endpoints:
        yield from ((table, endpoint) for table in tables_of(endpoint, history=history))
    several = any(endpoint.by_organization for endpoint in endpoints)
    yield from ((table, None) for table in log_tables(several))
    yield from ((owned(table) if several else table, None) for table in METERING_TABLES)


def describe(endpoints: Sequence[Endpoint], history: bool = False) -> dict[str, Any]:
    """Tables with their columns, types, key, references and descriptions; path and scope of those of the API.

    Args:
        endpoints: Endpoints to describe, with overrides applied.
        history: Every version of every row is kept.
    """
    return {"tables": {table.name: _table(table, endpoint) for table, endpoint in stored_tables(endpoints, history)}}


def _table(table: StoredTable, endpoint: Endpoint | None) -> dict[str, Any]:
    return {
        "group": endpoint.group if endpoint else None,
        "kind": table.kind,
        "path": API_PREFIX + endpoint.path if endpoint else None,
        "scope": endpoint.scope if endpoint else None,
        "key": list(table.key),
        "parent": table.parent,
        # The connector's own tables are neither documented nor assumed; the vendor documents no list inside a record.
        "documented": endpoint.documented and table.kind != "child" if endpoint else None,
        "description": table.description,
        "columns": {column.name: _column(column) for column in table.columns},
    }


def _column(column: StoredColumn) -> dict[str, Any]:
    to = column.reference
    return {
        "type": column.type,
        "scale": column.scale if column.type == "decimal" else None,
        "nullable": column.nullable,
        "origin": column.origin,
        "from": list(column.places),
        "references": {"table": to.table, "column": to.column} if to else None,
        "description": column.description,
    }
