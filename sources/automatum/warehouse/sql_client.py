"""Dlt's SQL client of a pipeline's dataset: opens it, shares it, and translates its errors.

An error says what a run lacks: settings or a driver, a destination that is up, or one that answers SQL. A destination
that answers none is refused: nothing could be compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    LookupTrace,
    LookupTraces,
)
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation, DestinationConnectionError

from ..config.plaintext import refuse_plaintext_postgres
from ..core.errors import AutomatumError, ConfigurationError, DestinationError
from ..core.redaction import first_line
from .dlt_internals import destination_client, shared_clients
from .lake_files import open_lake_files, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

TABLE_MISSING = (DatabaseUndefinedRelation, DestinationUndefinedEntity)
"""Errors for a table that does not exist."""
SQL_UNSUPPORTED = (DatabaseException,)
"""Errors of a destination that does not answer a query."""
_SECTION = "DESTINATION__"
_URLS = {
    "postgres": "postgresql://user:password@host:5432/database",
    "filesystem": "s3://bucket/folder",
    "motherduck": "md:database?motherduck_token=...",
}
"""Examples of the whole setting, by destination."""


@contextmanager
def one_client(pipeline: SupportsPipeline) -> Iterator[None]:
    """Let all queries of a block use one client and its connection; otherwise each opens its own. Can be nested.

    dlt resolves its configuration for each client, which takes longer than most queries.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    with ExitStack() as stack:
        if pipeline not in shared_clients:
            with _reaching():
                client = stack.enter_context(destination_client(pipeline))
                _read_as_stored(client)
            shared_clients[pipeline] = client
            stack.callback(shared_clients.pop, pipeline)
        yield


@contextmanager
def checked_sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """Dlt's SQL client of a pipeline's dataset; for files, `LakeFiles`, which has the same methods.

    It lets a `DatabaseException` of a query through.

    Raises:
        ConfigurationError: The destination is not configured, or answers no SQL.
        DestinationError: It cannot be reached.
    """
    with ExitStack() as stack:
        with _reaching():
            if writes_lake_files(pipeline):
                client = stack.enter_context(open_lake_files(pipeline))
            else:
                opened = stack.enter_context(destination_client(pipeline))
                if pipeline not in shared_clients:
                    _read_as_stored(opened)
                client = opened.sql_client
        try:
            yield client
        except DestinationConnectionError as error:
            raise unreachable_error(error) from None


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # dlt lets errors of drivers through, which have no common base class.
        raise unreachable_error(error) from None


def _read_as_stored(opened: Any) -> None:
    """Let JSON columns come as text, and moments in UTC.

    psycopg2 would parse numbers of JSON as floats, and a row that is marked deleted would be written back with fewer
    digits. In another time zone the last hours of the year 9999 are in the year 10000, which Python cannot represent.
    """
    client = getattr(opened, "sql_client", None)
    if client is None:
        raise ConfigurationError(
            "--destination",
            "answers no SQL, and a sync compares its rows with what the destination has.",
            "Load to a database or to filesystem, and from there to where you need the rows.",
        )
    connection = client.native_connection
    if type(connection).__module__.startswith("psycopg2"):
        from psycopg2 import extras  # type: ignore[import-untyped]

        refuse_plaintext_postgres(connection, "destination.postgres.credentials")

        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=lambda text: text)
        client.execute_sql("SET TIME ZONE 'UTC'")


@contextmanager
def reading_sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """The same client; raises `DestinationError` also if the destination does not answer a query of the block."""
    try:
        with checked_sql_client(pipeline) as client:
            yield client
    except DatabaseException as error:
        raise unreadable_error(error) from None


def unreachable_error(error: Exception) -> AutomatumError:
    """The error for a destination that a run cannot connect to."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, AutomatumError):
            return cause
        if isinstance(cause, ConfigFieldMissingException):
            return _not_set(cause)
        if isinstance(cause, MissingDependencyException):
            names = " ".join(f"'{one}'" for one in cause.dependencies)
            return ConfigurationError(
                "--destination", f"needs a package that is not installed: {names}.", f"pip install {names}"
            )
        if isinstance(cause, ConfigurationException):
            return ConfigurationError("destination", f"{first_line(cause).rstrip('.')}.", "See docs/destinations.md.")
    is_file = any(type(cause).__module__.partition(".")[0] in ("duckdb", "_duckdb") for cause in causes)
    return DestinationError(
        f"The destination cannot be reached: {first_line(error).rstrip('.')}",
        "Check that no other program holds the file, and that this user may write to it."
        if is_file
        else "Check that it runs and can be reached from here, and its credentials (docs/destinations.md).",
    )


def unreadable_error(error: Exception) -> DestinationError:
    """The error for a destination that can be reached and does not answer a query."""
    return DestinationError(
        f"The destination cannot be read: {first_line(error)}", "This needs a destination that answers SQL."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _not_set(error: ConfigFieldMissingException) -> ConfigurationError:
    """Name each missing field by its variable: dlt lists a dozen keys for each field."""
    variables = list(dict.fromkeys(_variables(error.traces)))
    if not variables:
        return ConfigurationError("destination", f"{', '.join(error.fields)} is not set.", "See docs/destinations.md.")
    whole = variables[0].rpartition("__")[0]
    section, example = whole.lower().replace("__", "."), _URLS.get(whole.lower().split("__")[1])
    names = ", ".join(variable.rpartition("__")[2].lower() for variable in variables)
    step = f"Set {', '.join(variables)}, or write it to .dlt/secrets.toml under [{section}]."
    if example:
        step += f" For example: {whole if whole.endswith('CREDENTIALS') else variables[0]}={example}"
    if names == "password":
        step += " An empty password is for a server that asks for none."
    return ConfigurationError(section, f"{names} is not set.", step)


def _variables(traces: dict[str, Any]) -> Iterator[str]:
    """The variable of each missing field: the first one without the name of the pipeline before it."""
    for tried in traces.values():
        for trace in tried:
            if isinstance(trace, LookupTraces):
                yield from _variables(trace.traces)
        keys = (trace.key for trace in tried if isinstance(trace, LookupTrace) and trace.key.startswith(_SECTION))
        if first := next(keys, None):
            yield first
