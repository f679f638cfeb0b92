"""The views `<table>_versions` of the histories, in DuckDB and Postgres: each version with the time at which it ended.

A version is appended and never changed, so it ends where the next version of its row begins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dlt

from ..core.redaction import redact
from ..schema.columns import VALID_FROM, VALID_TO, versions_view
from ..schema.stored import StoredTable
from .sql_client import SQL_UNSUPPORTED, checked_sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_WITH_VIEWS = (dlt.destinations.duckdb, dlt.destinations.postgres)
_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s "
    "ORDER BY table_name, ordinal_position"
)


def create_views(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Create the views of histories that exist; views that have the right columns are left as they are.

    Args:
        pipeline: The pipeline whose destination has the tables.
        tables: Tables; those that are no histories are left out.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    histories = [table for table in tables if table.kind == "history" and table.parent]
    if not histories or not isinstance(pipeline.destination, _WITH_VIEWS):
        return
    try:
        with checked_sql_client(pipeline) as client:
            stored: dict[str, list[str]] = {}
            with client.execute_query(_COLUMNS, client.dataset_name) as cursor:
                for table, column in cursor.fetchall():
                    stored.setdefault(table, []).append(column)
            for history in histories:
                names = [column.name for column in history.columns if column.name in stored.get(history.name, ())]
                if names and stored.get(versions_view(str(history.parent))) != [*names, VALID_TO]:
                    with client.begin_transaction():
                        _drop(client, str(history.parent))
                        client.execute_sql(_statement(client, history, names))
    except SQL_UNSUPPORTED as error:
        logger.debug("views of the history are not created: %s", redact(str(error)))


def drop_views(pipeline: SupportsPipeline, tables: Iterable[StoredTable]) -> None:
    """Drop the views of histories that dlt is about to drop: Postgres drops no table that a view reads.

    Args:
        pipeline: The pipeline whose destination has the tables.
        tables: Tables; those that are no histories are left out.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    parents = [table.parent for table in tables if table.kind == "history" and table.parent]
    if parents and isinstance(pipeline.destination, _WITH_VIEWS):
        try:
            with checked_sql_client(pipeline) as client:
                for parent in parents:
                    _drop(client, parent)
        except SQL_UNSUPPORTED as error:
            logger.debug("views of the history are not dropped: %s", redact(str(error)))


def _drop(client: Any, parent: str) -> None:
    client.execute_sql(f"DROP VIEW IF EXISTS {client.make_qualified_table_name(versions_view(parent))}")


def _statement(client: Any, history: StoredTable, columns: list[str]) -> str:
    begin, end = client.escape_column_name(VALID_FROM), client.escape_column_name(VALID_TO)
    key = ", ".join(client.escape_column_name(name) for name in history.key if name != VALID_FROM)
    listed = ", ".join(map(client.escape_column_name, columns))
    return (
        f"CREATE VIEW {client.make_qualified_table_name(versions_view(str(history.parent)))} AS SELECT {listed}, "
        f"LEAD({begin}) OVER (PARTITION BY {key} ORDER BY {begin}) AS {end} "
        f"FROM {client.make_qualified_table_name(history.name)}"
    )
