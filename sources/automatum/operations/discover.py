"""Describe the tables, columns, keys and scopes as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..endpoints import API_PREFIX, Child, Column, Endpoint
from ..schema.arrow_tables import Table
from ..schema.child_tables import child_schema
from ..schema.columns import POSITION


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Tables with their columns, types, key, path, scope, and whether each is documented or assumed.

    Args:
        endpoints: Endpoints to describe, with overrides applied.
    """
    tables: dict[str, Any] = {}
    for one in endpoints:
        tables[one.table] = {
            "group": one.group,
            "kind": one.kind,
            "path": API_PREFIX + one.path,
            "scope": one.scope,
            "key": list(one.key),
            "parent": None,
            "documented": one.documented,
            "columns": _columns(Table(one).schema, one.columns),
        }
        for child in one.children:
            tables[child.table] = _child(one, child)
    return {"tables": tables}


def _child(parent: Endpoint, child: Child) -> dict[str, Any]:
    return {
        "group": parent.group,
        "kind": "child",
        "path": API_PREFIX + parent.path,
        "scope": parent.scope,
        "key": [child.parent_key, POSITION],
        "parent": parent.table,
        "documented": False,
        "columns": _columns(child_schema(child), child.columns),
    }


def _columns(schema: pa.Schema, columns: Sequence[Column]) -> dict[str, Any]:
    named = {column.name: column for column in columns}
    described: dict[str, Any] = {}
    for one in schema:
        column = named.get(one.name)
        described[one.name] = {
            "type": column.type if column else _type_name(one),
            "nullable": one.nullable,
            # The connector's own columns are neither documented nor assumed.
            "origin": ("documented" if column.documented else "assumed") if column else "connector",
            "from": [place.path for place in column.places] if column else [],
        }
    return described


def _type_name(one: pa.Field) -> str:
    if one.name == "extra":
        return "json"
    if pa.types.is_timestamp(one.type):
        return "timestamp"
    return {"string": "text", "int64": "bigint", "bool": "bool"}[str(one.type)]
