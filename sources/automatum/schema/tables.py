"""The tables that an endpoint fills, as they are stored: its own, those of the lists in its records, and their history.

A key of several columns, or of one that may be null, is condensed to `_row_key`. Where a table holds several
organizations, `organization_id` is part of every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..endpoints import ORGANIZATION, Child, Column, Endpoint
from .columns import DELETED_AT, DLT_LOAD_ID, POSITION, VALID_FROM, history_table, versions_view
from .stored import Reference, StoredColumn, StoredTable, read_columns

_CONFIGURED = "A column that the settings add; read from {}."
OWNER, EXTRA_COLUMN, _HASH, SYNCED, _DELETED, LOAD, _ROW, _POSITION, _REMOVED = read_columns("""
organization_id text! The organization that the row belongs to: the vendor's id, or the name in the settings if the id
    is not known.
extra json JSON object of all fields of the record that have no column, and of values that their column cannot hold
    exactly. Null if there are none.
_row_hash text! Hash of the record. A sync compares it to find rows that have changed.
_synced_at timestamp! When the row was read from the API, by the clock of the connector.
_deleted_at timestamp When a sync found that the API no longer lists the row. Null in current rows; null again if the
    row comes back.
_dlt_load_id text The load that wrote the row, as in `_dlt_loads`. Null in rows that an earlier version of the connector
    loaded.
_row_key text! Identifies the row: a JSON array of {}, because some of them may be null.
position bigint! Place of the entry in the list, from 0.
_removed bool Set in a load to remove the entries that a list has lost. Null in every row.
""")
SYNCED, _REMOVED = replace(SYNCED, latest_first=True), replace(_REMOVED, hard_delete=True)
_VERSIONS = read_columns("""
deleted bool! Whether the row was gone from the API in this version.
_version text! What tells versions apart: the row hash, and whether the row is gone.
valid_from timestamp! When the version was first read.
""")


def owned(table: StoredTable) -> StoredTable:
    """The table for a dataset of several organizations: `organization_id` comes first, and is part of the key."""
    merge_key = (ORGANIZATION, *table.merge_key) if table.merge_key else ()
    return replace(table, key=(ORGANIZATION, *table.key), columns=(OWNER, *table.columns), merge_key=merge_key)


def own_table(endpoint: Endpoint, hard: bool = False) -> StoredTable:
    """The table of an endpoint.

    Args:
        endpoint: The endpoint, with the types that the destination has.
        hard: Rows that are gone are removed, not marked.
    """
    keys = endpoint.key_with(*(endpoint.key if len(endpoint.key) == 1 else ()))
    columns = [_stored(column, keys) for column in endpoint.columns]
    if len(endpoint.key) > 1:
        parts = ", ".join(f"`{name}`" for name in endpoint.key)
        columns.insert(0, replace(_ROW, description=_ROW.description.format(parts)))
    # Said in both directions: dlt keeps what an earlier run said in the schema that it stores.
    deleted = replace(_DELETED, hard_delete=hard)
    return StoredTable(
        endpoint.table,
        endpoint.kind,
        endpoint.description or f"Rows of the {endpoint.kind} `{endpoint.path}`, which the settings add.",
        endpoint.key_with(endpoint.row_key),
        (*columns, EXTRA_COLUMN, _HASH, SYNCED, deleted, LOAD),
    )


def child_table_of(endpoint: Endpoint, child: Child) -> StoredTable:
    """The table of a list inside the records of an endpoint."""
    parent = StoredColumn(
        child.parent_key,
        "text",
        f"The row of `{endpoint.table}` whose list the entry is in.",
        nullable=False,
        reference=Reference(endpoint.table, endpoint.row_key),
    )
    columns = [_stored(column, ()) for column in child.columns]
    table = StoredTable(
        child.table,
        "child",
        child.description or f"Entries of the list {_named(child.places)} in each row of `{endpoint.table}`.",
        (child.parent_key, POSITION),
        (parent, _POSITION, *columns, EXTRA_COLUMN, SYNCED, _DELETED, _REMOVED, LOAD),
        # All entries of a parent are replaced together. If a load has one parent twice, the key and `_removed` keep the
        # entries of the later reading.
        (child.parent_key,),
        endpoint.table,
    )
    return owned(table) if endpoint.by_organization else table


def history_table_of(endpoint: Endpoint) -> StoredTable:
    """The table that keeps every version of the rows of an endpoint."""
    own = own_table(endpoint)
    kept = [column for column in own.columns if column.name not in (DELETED_AT, DLT_LOAD_ID)]
    return StoredTable(
        history_table(endpoint),
        "history",
        f"Every version of every row of `{endpoint.table}`, with the time at which it was first read. In DuckDB and "
        f"Postgres the view `{versions_view(endpoint.table)}` adds `valid_to`: when the next version was first read.",
        endpoint.key_with(endpoint.row_key, VALID_FROM),
        (*kept, *_VERSIONS, LOAD),
        parent=endpoint.table,
    )


def tables_of(endpoint: Endpoint, *, hard: bool = False, history: bool = False) -> tuple[StoredTable, ...]:
    """All tables that an endpoint fills, its own first.

    Args:
        endpoint: The endpoint, with the types that the destination has.
        hard: Rows that are gone are removed, not marked.
        history: Every version of every row is kept.
    """
    children = (child_table_of(endpoint, child) for child in endpoint.children)
    versions = (history_table_of(endpoint),) if history else ()
    return (own_table(endpoint, hard), *children, *versions)


def _stored(column: Column, keys: Sequence[str]) -> StoredColumn:
    places = tuple(dict.fromkeys(place.path for place in column.places))
    return StoredColumn(
        column.name,
        column.type,
        column.description or _CONFIGURED.format(_named(places)),
        nullable=column.name not in keys,
        origin="documented" if column.documented else "assumed",
        places=places,
        reference=Reference(column.references, "id") if column.references else None,
    )


def _named(places: Sequence[str]) -> str:
    return " or ".join(f"`{path}`" for path in places)
