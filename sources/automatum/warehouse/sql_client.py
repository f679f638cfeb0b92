"""Dlt's SQL client of a pipeline's dataset: opens it, shares it, and translates its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation, DestinationConnectionError

from ..config.plaintext import refuse_plaintext_postgres
from .connection_errors import unreachable_error, unreadable_error
from .dlt_internals import destination_client, shared_clients
from .lake_files import open_lake_files, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

TABLE_MISSING = (DatabaseUndefinedRelation, DestinationUndefinedEntity)
"""Errors for a table that does not exist."""
SQL_UNSUPPORTED = (SqlClientNotAvailable, DatabaseException, NotImplementedError)
"""Errors of a destination that answers no SQL, or not this query."""
_MOMENTS = {1082: "PYDATE", 1184: "PYDATETIMETZ"}
"""Postgres's ids of the types of dates and of moments, and psycopg2's names of what parses them."""


@contextmanager
def sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """Dlt's SQL client of a pipeline's dataset; for files, `LakeFiles`, which has the same methods."""
    if writes_lake_files(pipeline):
        with open_lake_files(pipeline) as files:
            yield files
        return
    if shared := getattr(shared_clients.get(pipeline), "sql_client", None):
        yield shared
        return
    with pipeline.sql_client() as client:  # type: ignore[attr-defined]
        _read_as_stored(client)
        yield client


def _read_as_stored(client: Any) -> None:
    """Let JSON columns come as text, and moments in UTC.

    psycopg2 would parse numbers of JSON as floats, and a row that is marked deleted would be written back with fewer
    digits. In another time zone the last hours of the year 9999 are in the year 10000, which Python cannot represent.
    """
    connection = client.native_connection
    if type(connection).__module__.startswith("psycopg2"):
        from psycopg2 import extensions, extras  # type: ignore[import-untyped]

        refuse_plaintext_postgres(connection, "destination.postgres.credentials")

        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=lambda text: text)
        for oid, name in _MOMENTS.items():
            extensions.register_type(extensions.new_type((oid,), name, _or_text(getattr(extensions, name))), connection)
        client.execute_sql("SET TIME ZONE 'UTC'")


def _or_text(parse: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same parser, but what Python cannot represent (the year 10000, a year before Christ) stays text."""

    def parse_or_keep(value: Any, cursor: Any) -> Any:
        try:
            return parse(value, cursor)
        except (ValueError, OverflowError):
            return value

    return parse_or_keep


@contextmanager
def checked_sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """The same client; raises `DestinationError` if it cannot connect, but what is in `SQL_UNSUPPORTED` as it is."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(sql_client(pipeline))
        except SQL_UNSUPPORTED:
            raise
        except Exception as error:
            # dlt lets errors of drivers through, such as psycopg2's. They have no common base class.
            raise unreachable_error(error) from None
        try:
            yield client
        except DestinationConnectionError as error:
            raise unreachable_error(error) from None


@contextmanager
def reading_sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """The same client; raises `DestinationError` also if the destination does not answer a query of the block."""
    try:
        with checked_sql_client(pipeline) as client:
            yield client
    except SQL_UNSUPPORTED as error:
        raise unreadable_error(error) from None


@contextmanager
def one_client(pipeline: SupportsPipeline) -> Iterator[None]:
    """Let all queries of a block use one client and its connection; otherwise each opens its own. Can be nested.

    dlt resolves its configuration for each client, which takes longer than most queries.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    with ExitStack() as stack:
        if pipeline not in shared_clients:
            try:
                client = stack.enter_context(destination_client(pipeline))
                if (opened := getattr(client, "sql_client", None)) is not None:
                    _read_as_stored(opened)
            except Exception as error:
                raise unreachable_error(error) from None
            shared_clients[pipeline] = client
            stack.callback(shared_clients.pop, pipeline)
        yield
