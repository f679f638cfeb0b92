"""What the catalogs of DuckDB and Postgres say besides tables: descriptions as comments, and views of the histories.

dlt itself writes comments to Snowflake and Databricks, and keeps descriptions in its stored schema everywhere. A view
`<table>_versions` gives each version the time at which it ended: a version is appended and never changed, so it ends
where the next version of its row begins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dlt
from dlt.destinations.exceptions import DatabaseException

from ..core.redaction import redact
from ..schema.columns import VALID_FROM, VALID_TO, versions_view
from ..schema.stored import StoredTable
from .sql_client import open_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

MODELS_MARK = "[automatum models of "
"""In the comment of each view that `automatum models` makes, before the name of the dataset that it reads."""
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
    """Bring comments and the views of histories up to date, of the tables that exist; see `_change`."""
    tables = list(tables)

    def statements(client: Any) -> Iterator[str]:
        query = next(text for kind, text in _STORED.items() if isinstance(pipeline.destination, kind))
        stored: dict[str, dict[str, str | None]] = {}
        for table, column, comment in client.execute_sql(query, client.dataset_name, client.dataset_name):
            stored.setdefault(table, {})[column] = comment
        yield from _views(client, tables, stored)
        yield from _comments(client, tables, stored)

    _change(pipeline, statements)


def write_views(pipeline: SupportsPipeline, views: Mapping[str, str], table: str) -> None:
    """Make or replace views of one table, from queries in which `{lines}` is the table; see `_change`."""

    def statements(client: Any) -> Iterator[str]:
        for view, query in views.items():
            text = query.replace("{lines}", client.make_qualified_table_name(table))
            yield from _view(client, view, text)

    _change(pipeline, statements)


def drop_views(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Drop the views of tables that dlt is about to drop: Postgres drops no table that a view reads."""
    tables = list(tables)

    def statements(client: Any) -> Iterator[str]:
        yield from (_view(client, view)[0] for _, view in _histories(tables))
        if isinstance(pipeline.destination, dlt.destinations.postgres):
            yield from _drop_models(client)

    if tables:
        _change(pipeline, statements)


def _drop_models(client: Any) -> Iterator[str]:
    """The statement that drops the views of `automatum models`, which may be in a dataset of their own."""
    query = (
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND position(%s IN obj_description(c.oid, 'pg_class')) > 0"
    )
    if found := [name for (name,) in client.execute_sql(query, f"{MODELS_MARK}{client.dataset_name}, ")]:
        logger.warning(
            "The views of `automatum models` are dropped, because this load drops tables that they read. "
            "Make them again: automatum models create"
        )
        yield f"DROP VIEW IF EXISTS {', '.join(found)}"


def _change(pipeline: SupportsPipeline, statements: Callable[[Any], Iterable[str]]) -> None:
    """Change the catalog of DuckDB or Postgres in one transaction. Other destinations are left out.

    A user without the right to do so is no error: the rows do not depend on it.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if not isinstance(pipeline.destination, tuple(_STORED)):
        return
    try:
        with open_client(pipeline) as opened:
            client = opened.sql_client
            if made := list(statements(client)):
                with client.begin_transaction():
                    for statement in made:
                        client.execute_sql(statement)
    except DatabaseException as error:
        logger.debug("comments and views are not written: %s", redact(str(error)))


def _histories(tables: Iterable[StoredTable]) -> list[tuple[StoredTable, str]]:
    """The histories, each with the name of its view."""
    return [(table, versions_view(table.parent)) for table in tables if table.kind == "history" and table.parent]


def _view(client: Any, view: str, query: str = "") -> tuple[str, str]:
    name = client.make_qualified_table_name(view)
    return f"DROP VIEW IF EXISTS {name}", f"CREATE VIEW {name} AS {query}"


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
            text = (
                f"SELECT {', '.join(map(client.escape_column_name, names))}, "
                f"LEAD({begin}) OVER (PARTITION BY {key} ORDER BY {begin}) AS {end} "
                f"FROM {client.make_qualified_table_name(history.name)}"
            )
            yield from _view(client, view, text)
