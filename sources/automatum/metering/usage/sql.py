"""Reads usage from the destination: a table, a view, or a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation, DestinationConnectionError

from ...core.clock import Clock
from ...core.errors import AutomatumError, ConfigurationError, DestinationError
from ...core.redaction import redact
from ...warehouse.lake_files import LakeFiles
from ...warehouse.sql_client import sql_client
from .files import complete_file
from .query_check import check_query

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

SQL = "sql:"
_BATCH = 20_000
_NAME = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*){0,2}")
_ABSENT = (DatabaseUndefinedRelation, DestinationUndefinedEntity)

NamedRows = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Names of the columns, and rows."""


def read_relation_or_query(pipeline: SupportsPipeline, source: str, forms: str, clock: Clock) -> Iterator[NamedRows]:
    """The rows of a table, a view, or a query after `sql:`, in batches; the first may have no rows.

    Args:
        pipeline: Pipeline of the destination.
        source: Its name, which without a schema is looked up in the pipeline's dataset; or `sql:SELECT ...`.
        forms: Next step of the error message if the name is malformed.
        clock: Time, to wait for files that a query names and that are being written.

    Raises:
        ConfigurationError: There is no such table or view; or it is not one query that only reads, or the destination
            refuses it.
        DestinationError: The destination cannot be reached, or the connection is lost.
    """
    if source[: len(SQL)].lower() == SQL:
        return _read_query(pipeline, source[len(SQL) :], clock)
    return _read_relation(pipeline, source.strip(), forms)


def _read_relation(pipeline: SupportsPipeline, name: str, forms: str) -> Iterator[NamedRows]:
    if not _NAME.fullmatch(name):
        raise ConfigurationError("usage", f"{name!r} is not the name of a table or view.", forms)

    def text(client: Any) -> str:
        parts = name.split(".")
        if len(parts) == 1:
            return f"SELECT * FROM {client.make_qualified_table_name(name)}"  # noqa: S608  escaped
        return f"SELECT * FROM {'.'.join(client.escape_column_name(part) for part in parts)}"  # noqa: S608  escaped

    yield from _read(pipeline, text, name)


def _read_query(pipeline: SupportsPipeline, query: str, clock: Clock) -> Iterator[NamedRows]:
    """The rows of the user's query, which can only read. Names without a schema are looked up in the pipeline's
    dataset, where the destination has a search path.
    """
    dialect = pipeline.destination.capabilities().sqlglot_dialect if pipeline.destination else None
    checked = check_query(query, dialect)

    def text(client: Any) -> str:
        if isinstance(client, LakeFiles):
            return check_query(query, dialect, client.formats()).text
        _read_only(client, checked.files)
        return checked.text

    with ExitStack() as stack:
        for file in checked.files:
            stack.enter_context(complete_file(Path(file), clock))
        yield from _read(pipeline, text, None)


def _read_only(client: Any, files: Sequence[str]) -> None:
    """Let a connection write nothing and, in DuckDB, reach nothing but the database, its lakes and these files."""
    connection = client.native_connection
    module = type(connection).__module__
    if module.startswith("psycopg2"):
        connection.rollback()
        connection.set_session(readonly=True)
    elif "duckdb" in module:
        client.execute_sql(f"SET allowed_paths = [{_quoted(files)}]")
        client.execute_sql(f"SET allowed_directories = [{_quoted(_lake_folders(client))}]")
        client.execute_sql("SET enable_external_access = false")


def _lake_folders(client: Any) -> list[str]:
    """Where the tables of attached DuckLakes are: their files are no part of the database."""
    lakes = client.execute_sql("SELECT database_name FROM duckdb_databases() WHERE type = 'ducklake'")
    path = "SELECT value FROM ducklake_options(%s) WHERE option_name = 'data_path'"
    return [folder for (lake,) in lakes for (folder,) in client.execute_sql(path, lake)]


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def _read(pipeline: SupportsPipeline, text: Callable[[Any], str], name: str | None) -> Iterator[NamedRows]:
    try:
        with sql_client(pipeline) as client, client.execute_query(text(client)) as cursor:
            names = [str(column[0]) for column in cursor.description or ()]
            yield names, ()
            while batch := cursor.fetchmany(_BATCH):
                yield names, batch
    except (DestinationConnectionError, SqlClientNotAvailable) as error:
        raise DestinationError(
            f"The destination cannot be reached: {_line(error)}", "Check its credentials; usage needs one with SQL."
        ) from None
    except _ABSENT as error:
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
