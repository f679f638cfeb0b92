"""What the catalogs of DuckDB and Postgres say besides tables: descriptions as comments, and views of the histories.

dlt itself writes comments to Snowflake and Databricks, and keeps descriptions in its stored schema everywhere. A view
`<table>_versions` gives each version the time at which it ended: a version is appended and never changed, so it ends
where the next version of its row begins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dlt

from ..core.redaction import redact
from ..schema.columns import VALID_FROM, VALID_TO, versions_view
from ..schema.stored import StoredTable
from .sql_client import SQL_UNSUPPORTED, checked_sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_STORED = {
    dlt.destinations.duckdb: (
        "SELECT table_name, '', comment FROM duckdb_tables() WHERE schema_name = %s UNION ALL "
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = %s AND NOT internal"
    ),
    dlt.destinations.postgres: (
        "SELECT c.relname, coalesce(a.attname, ''), CASE WHEN a.attnum IS NULL THEN obj_description(c.oid, 'pg_class') "
        "ELSE col_description(c.oid, a.attnum) END FROM pg_class c JOIN (SELECT attrelid, attnum, attname "
        "FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped UNION ALL SELECT oid, NULL, NULL FROM pg_class) a "
        "ON a.attrelid = c.oid WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN (%s, %s)) "
        "AND c.relkind IN ('r', 'p', 'v') ORDER BY a.attnum"
    ),
}
"""Destination to the query for table, column (empty for the table itself) and comment, the columns in their order."""


def update_catalog(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Bring comments and views up to date, of the tables that exist. Other destinations are left out.

    A user without the right to do so is no error: the rows do not depend on it.

    Args:
        pipeline: The pipeline whose destination has the tables.
        tables: The tables.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    query = next((text for kind, text in _STORED.items() if isinstance(pipeline.destination, kind)), None)
    if query is None:
        return
    tables = list(tables)
    try:
        with checked_sql_client(pipeline) as client:
            stored: dict[str, dict[str, str | None]] = {}
            with client.execute_query(query, client.dataset_name, client.dataset_name) as cursor:
                for table, column, comment in cursor.fetchall():
                    stored.setdefault(table, {})[column] = comment
            for make in (_views, _comments):
                if statements := list(make(client, tables, stored)):
                    with client.begin_transaction():
                        for statement in statements:
                            client.execute_sql(statement)
    except SQL_UNSUPPORTED as error:
        logger.debug("comments and views are not written: %s", redact(str(error)))


def write_views(pipeline: SupportsPipeline, views: Mapping[str, str], table: str) -> None:
    """Make or replace views of one table. Other destinations than DuckDB and Postgres are left out.

    Args:
        pipeline: The pipeline whose destination has the table.
        views: Name of a view to its query, in which `{lines}` is the table.
        table: Name of the table.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if not isinstance(pipeline.destination, tuple(_STORED)):
        return
    try:
        with checked_sql_client(pipeline) as client, client.begin_transaction():
            for view, query in views.items():
                name = client.make_qualified_table_name(view)
                client.execute_sql(f"DROP VIEW IF EXISTS {name}")
                text = query.replace("{lines}", client.make_qualified_table_name(table))
                client.execute_sql(f"CREATE VIEW {name} AS {text}")
    except SQL_UNSUPPORTED as error:
        logger.debug("views are not written: %s", redact(str(error)))


def drop_views(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Drop the views of histories that dlt is about to drop: Postgres drops no table that a view reads.

    Args:
        pipeline: The pipeline whose destination has the tables.
        tables: Tables; those that are no histories are left out.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    histories = _histories(tables)
    if histories and isinstance(pipeline.destination, tuple(_STORED)):
        try:
            with checked_sql_client(pipeline) as client:
                for _, view in histories:
                    client.execute_sql(f"DROP VIEW IF EXISTS {client.make_qualified_table_name(view)}")
        except SQL_UNSUPPORTED as error:
            logger.debug("views of the history are not dropped: %s", redact(str(error)))


def _histories(tables: Iterable[StoredTable]) -> list[tuple[StoredTable, str]]:
    """The histories, each with the name of its view."""
    return [(table, versions_view(table.parent)) for table in tables if table.kind == "history" and table.parent]


def _comments(client: Any, tables: Sequence[StoredTable], stored: dict[str, dict[str, str | None]]) -> Iterator[str]:
    for table in tables:
        there, name = stored.get(table.name, {}), client.make_qualified_table_name(table.name)
        for column, text in {"": table.description, **{one.name: one.description for one in table.columns}}.items():
            if column in there and there[column] != text:
                what = f"COLUMN {name}.{client.escape_column_name(column)}" if column else f"TABLE {name}"
                quoted = text.replace("'", "''")
                yield f"COMMENT ON {what} IS '{quoted}'"


def _views(client: Any, tables: Sequence[StoredTable], stored: dict[str, dict[str, str | None]]) -> Iterator[str]:
    """The views of histories that exist; views that have the right columns are left as they are."""
    begin, end = client.escape_column_name(VALID_FROM), client.escape_column_name(VALID_TO)
    for history, view in _histories(tables):
        names = [column.name for column in history.columns if column.name in stored.get(history.name, {})]
        if names and [one for one in stored.get(view, {}) if one] != [*names, VALID_TO]:
            key = ", ".join(client.escape_column_name(name) for name in history.key if name != VALID_FROM)
            name = client.make_qualified_table_name(view)
            yield f"DROP VIEW IF EXISTS {name}"
            yield (
                f"CREATE VIEW {name} AS SELECT {', '.join(map(client.escape_column_name, names))}, "
                f"LEAD({begin}) OVER (PARTITION BY {key} ORDER BY {begin}) AS {end} "
                f"FROM {client.make_qualified_table_name(history.name)}"
            )
