"""Reads usage from the destination: a table, a view, or a query that only reads."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlglot
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation, DestinationConnectionError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ...core.errors import AutomatumError, ConfigurationError, DestinationError
from ...core.redaction import redact
from ...warehouse.sql_client import open_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

SQL = "sql:"
_BATCH = 20_000
_NAME = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*){0,2}")
_WRITES = (exp.DML, exp.DDL, exp.Drop, exp.Copy, exp.Into, exp.Command, exp.Set, exp.Attach, exp.Alter)
_ONE_SELECT = "Write one SELECT after `sql:`, or make a view and name it."

NamedRows = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Names of the columns, and rows."""


def read_relation_or_query(pipeline: SupportsPipeline, source: str, forms: str) -> Iterator[NamedRows]:
    """The rows of a table, a view, or a query after `sql:`, in batches; the first may have no rows.

    Args:
        pipeline: Pipeline of the destination.
        source: Its name, which without a schema is looked up in the pipeline's dataset; or `sql:SELECT ...`.
        forms: Next step of the error message if the name is malformed.

    Raises:
        ConfigurationError: There is no such table or view; or it is not one query that only reads, or the destination
            refuses it.
        DestinationError: The destination cannot be reached, or the connection is lost.
    """
    name = None if source[: len(SQL)].lower() == SQL else source.strip()
    text = source[len(SQL) :].strip().rstrip(";")
    if name is None:
        _check_query(text, pipeline)
    elif not _NAME.fullmatch(name):
        raise ConfigurationError("usage", f"{name!r} is not the name of a table or view.", forms)
    try:
        with open_client(pipeline) as opened:
            client = opened.sql_client
            if name is None:
                _read_only(client)
            with client.execute_query(text if name is None else _select_all(client, name)) as cursor:
                names = [str(column[0]) for column in cursor.description or ()]
                yield names, ()
                while batch := cursor.fetchmany(_BATCH):
                    yield names, batch
    except (DestinationConnectionError, SqlClientNotAvailable) as error:
        raise DestinationError(
            f"The destination cannot be reached: {_line(error)}", "Check its credentials; usage needs one with SQL."
        ) from None
    except (DatabaseUndefinedRelation, DestinationUndefinedEntity) as error:
        raise _absent(pipeline, name, error) from None
    except DatabaseException as error:
        step = "Correct the query, or make a view and name it."
        raise ConfigurationError("usage", f"the destination refuses the query: {_line(error)}", step) from None
    except AutomatumError:
        raise
    except Exception as error:
        # dlt lets some drivers' own errors through, such as when it connects to Postgres or fetches rows. These errors
        # have no common base class.
        raise DestinationError(f"The destination cannot be reached or broke off: {_line(error)}") from None


def _select_all(client: Any, name: str) -> str:
    parts = name.split(".")
    if len(parts) == 1:
        return f"SELECT * FROM {client.make_qualified_table_name(name)}"  # noqa: S608  escaped
    return f"SELECT * FROM {'.'.join(client.escape_column_name(part) for part in parts)}"  # noqa: S608  escaped


def _check_query(text: str, pipeline: SupportsPipeline) -> None:
    """Refuse what is not one query, or holds a statement that writes, by sqlglot's parser.

    A parser cannot know what a function of the database does: see `_read_only`.
    """
    dialect = pipeline.destination.capabilities().sqlglot_dialect if pipeline.destination else None
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # It warns of what is refused below.
    try:
        statements = [statement for statement in sqlglot.parse(text, dialect=dialect) if statement is not None]
    except (SqlglotError, RecursionError) as error:
        said = str(error).splitlines()[0][:200] if isinstance(error, SqlglotError) else "it is nested too deeply"
        raise ConfigurationError("usage", f"the query cannot be read: {said}.", _ONE_SELECT) from None
    if len(statements) != 1:
        why = f"only one query can be read, and there are {len(statements)} statements."
        raise ConfigurationError("usage", why, _ONE_SELECT)
    query = statements[0]
    writes = next((part for part in query.walk() if isinstance(part, _WRITES)), None)
    if writes is not None or not isinstance(query, (exp.Query, exp.Values)):
        why = f"only a query can be read, and this holds {(writes or query).key.upper()}."
        raise ConfigurationError("usage", why, _ONE_SELECT)


def _read_only(client: Any) -> None:
    """Let a connection write nothing and, in DuckDB, reach nothing but the database.

    Raises:
        ConfigurationError: The tables are files, which DuckDB cannot read without access to all other files.
    """
    connection: Any = client.native_connection
    module = type(connection).__module__
    if module.startswith("psycopg2"):
        connection.rollback()
        connection.set_session(readonly=True)
    elif "duckdb" in module and _lakes(client):
        why = "a query cannot be read where the tables are files: it could read any other file, too."
        raise ConfigurationError("usage", why, "Load the usage to a table, and name the table.")
    elif "duckdb" in module:
        client.execute_sql("SET enable_external_access = false")


def _lakes(client: Any) -> Sequence[Any]:
    rows: Sequence[Any] = client.execute_sql("SELECT 1 FROM duckdb_databases() WHERE type = 'ducklake'")
    return rows


def _absent(pipeline: SupportsPipeline, name: str | None, error: Exception) -> ConfigurationError:
    if name is None:
        step = f"Without a schema, names are looked up in the dataset {pipeline.dataset_name}."
        return ConfigurationError("usage", f"the query names something that is not there: {_line(error)}", step)
    return ConfigurationError(
        "usage",
        f"there is no table or view {name} in the destination.",
        f"Without a schema it is looked up in the dataset {pipeline.dataset_name}; write schema.{name} for another, or "
        "`sql:SELECT ...`.",
    )


def _line(error: Exception) -> str:
    return redact(str(error)).splitlines()[0][:300] if str(error) else type(error).__name__
