"""Writes the descriptions of tables and columns as comments into DuckDB and Postgres.

dlt itself writes them to Snowflake and Databricks, and keeps them in its stored schema everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dlt

from ..core.redaction import redact
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
        "SELECT c.relname, '', obj_description(c.oid, 'pg_class') FROM pg_class c "
        "WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND c.relkind IN ('r', 'p') "
        "UNION ALL SELECT c.relname, a.attname, col_description(c.oid, a.attnum) "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND c.relkind IN ('r', 'p')"
    ),
}
"""Destination to the query for table, column (empty for the table itself) and comment."""


def write_comments(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Bring the comments of tables up to date. Destinations that take none, and tables that do not exist, are left out.

    A user without the right to comment is no error: the rows do not depend on it.

    Args:
        pipeline: The pipeline whose destination has the tables.
        tables: The tables.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    query = next((text for kind, text in _STORED.items() if isinstance(pipeline.destination, kind)), None)
    if query is None:
        return
    wanted = {table.name: {"": table.description, **_by_column(table)} for table in tables}
    try:
        with checked_sql_client(pipeline) as client:
            with client.execute_query(query, client.dataset_name, client.dataset_name) as cursor:
                stored = {(table, column): comment for table, column, comment in cursor.fetchall()}
            statements = [
                _statement(client, table, column, text)
                for table, texts in wanted.items()
                for column, text in texts.items()
                if (table, column) in stored and stored[table, column] != text
            ]
            if statements:
                with client.begin_transaction():
                    for statement in statements:
                        client.execute_sql(statement)
    except SQL_UNSUPPORTED as error:
        logger.debug("comments are not written: %s", redact(str(error)))


def _by_column(table: StoredTable) -> dict[str, str]:
    return {column.name: column.description for column in table.columns}


def _statement(client: Any, table: str, column: str, text: str) -> str:
    name = client.make_qualified_table_name(table)
    what = f"COLUMN {name}.{client.escape_column_name(column)}" if column else f"TABLE {name}"
    quoted = text.replace("'", "''")
    return f"COMMENT ON {what} IS '{quoted}'"
