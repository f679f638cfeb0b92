"""SQL about a pipeline's dataset: the one way in which its tables are asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)

from ..core.errors import DestinationError
from ..core.redaction import redact
from ..endpoints import ORGANIZATION
from .lake_files import open_lake_files, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

SWEEPS_TABLE = "_automatum_sweeps"
PAGES_TABLE = "_automatum_pages"
LOADS_TABLE = "_dlt_loads"
_BATCH = 10_000
TABLE_MISSING = (DatabaseUndefinedRelation, DestinationUndefinedEntity)
"""What is raised where there is no such table."""
SQL_UNSUPPORTED = (SqlClientNotAvailable, DatabaseException, NotImplementedError)
"""What is raised where the destination answers no SQL, or not this."""


@contextmanager
def sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """What answers SQL about a pipeline's dataset: dlt's client; for files, ours."""
    if writes_lake_files(pipeline):
        with open_lake_files(pipeline) as lake:
            yield lake
        return
    with pipeline.sql_client() as client:  # type: ignore[attr-defined]
        _leave_json(client)
        yield client


def _leave_json(client: Any) -> None:
    """Have JSON columns come as text.

    Parsed by psycopg2, their numbers are floats: a row that is marked deleted would be written back with fewer digits.
    """
    connection = client.native_connection
    if type(connection).__module__.startswith("psycopg2"):
        from psycopg2 import extras  # type: ignore[import-untyped]

        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=lambda text: text)


@contextmanager
def checked_sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """The same; what keeps it from being used is a `DestinationError`, but for what is in `SQL_UNSUPPORTED`."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(sql_client(pipeline))
        except SQL_UNSUPPORTED:
            raise
        except Exception as error:
            # dlt lets a driver's own error through, as psycopg2's: they have no ancestor in common.
            raise unreachable(error) from None
        try:
            yield client
        except DestinationConnectionError as error:
            raise unreachable(error) from None


def unreadable(error: Exception) -> DestinationError:
    """The destination is there, and does not answer what it is asked."""
    return DestinationError(
        f"The destination cannot be read: {redact(str(error)).splitlines()[0]}",
        "This needs a destination that answers SQL.",
    )


def unreachable(error: Exception) -> DestinationError:
    """The destination is not there, or not for us."""
    return DestinationError(
        f"The destination cannot be reached: {redact(str(error)).splitlines()[0] or type(error).__name__}",
        "Check its credentials and that no other program holds the file.",
    )


def organization_filter(organization_id: str | None) -> dict[str, Any]:
    """Column to value, of the rows that are an organization's; of all rows where there is but one."""
    return {} if organization_id is None else {ORGANIZATION: organization_id}


def condition(client: Any, values: Mapping[str, Any], word: str = "WHERE") -> str:
    """A condition on columns of ours, for their values as parameters; empty for none."""
    text = " AND ".join(f"{client.escape_column_name(name)} = %s" for name in values)
    return f" {word} {text}" if text else ""


def select(
    client: Any, table: str, columns: Sequence[str], where: Mapping[str, Any] | None = None, order_by: str = ""
) -> Iterator[Any]:
    """Rows of a table, by the values of columns; none if there is no such table."""
    names, where = ", ".join(client.escape_column_name(name) for name in columns), where or {}
    text = f"SELECT {names} FROM {client.make_qualified_table_name(table)}{condition(client, where)}"
    if order_by:
        text += f" ORDER BY {client.escape_column_name(order_by)} DESC"
    try:
        with client.execute_query(text, *where.values()) as cursor:
            while batch := cursor.fetchmany(_BATCH):
                yield from batch
    except TABLE_MISSING:
        return


def complete_load_ids(client: Any) -> set[str]:
    """Load packages that are in whole. One that was killed may have brought its records and not its rows."""
    return {load_id for load_id, status in select(client, LOADS_TABLE, ("load_id", "status")) if status == 0}


def as_utc(value: Any) -> datetime:
    """A destination's timestamp, aware. Some give it without a zone; what we write is UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def json_object(value: Any) -> dict[str, Any]:
    """A JSON column: some destinations give it parsed, some as text."""
    parsed = orjson.loads(value) if isinstance(value, (str, bytes)) else value
    return parsed if isinstance(parsed, dict) else {}
