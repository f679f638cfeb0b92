"""Dlt's clients of a pipeline's dataset: opened, shared, and their errors translated.

An error says what a run lacks: settings or a driver, or a destination that is up. A destination that answers no SQL, or
cannot replace rows, is refused: nothing could be compared with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.exceptions import MissingDependencyException
from dlt.common.pipeline import SupportsPipeline
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation, DestinationConnectionError

from ..config.plaintext import refuse_plaintext_postgres
from ..core.errors import AutomatumError, ConfigurationError, DestinationError
from ..core.redaction import first_line
from ..schema.columns import normalize_identifier

TABLE_MISSING = (DatabaseUndefinedRelation, DestinationUndefinedEntity)
"""Errors for a table that does not exist."""
_VARIABLE = re.compile(r"\bDESTINATION__\w+")
_STAGING = re.compile(r"(.+)_staging(?:_.*)?")
"""Names of the datasets in which dlt, and each organization, merges the rows of a dataset (`target._staging`)."""
_URLS = {
    "postgres": "postgresql://user:password@host:5432/database",
    "motherduck": "md:database?motherduck_token=...",
}
"""Examples of the whole setting, by destination."""
_shared: WeakKeyDictionary[SupportsPipeline, Any] = WeakKeyDictionary()
"""Pipeline to the client that `one_client` shares."""


def check_destination(pipeline: SupportsPipeline) -> None:
    """Check that the destination of a pipeline replaces rows by key, in a dataset of its own; opens no connection.

    Raises:
        ConfigurationError: It does not, or the dataset has the name of a staging dataset.
    """
    name = pipeline.dataset_name or ""
    if staged := name and _STAGING.fullmatch(normalize_identifier(name).lower()):
        raise ConfigurationError(
            "--dataset",
            f"{name!r} is the name of a staging dataset of {staged[1]}, which a load to {staged[1]} empties.",
            "Name another one. If it has rows, rename it in the destination first.",
        )
    able: Any = pipeline.destination.capabilities()
    strategies = list(able.supported_merge_strategies or ())
    if able.merge_strategies_selector:
        strategies = list(able.merge_strategies_selector(strategies, table_schema={"name": ""}))
    if strategies[:1] != ["delete-insert"]:  # dlt uses the first one.
        raise ConfigurationError(
            "--destination",
            f"{pipeline.destination.destination_name} does not replace rows in SQL, and a sync compares its rows with "
            "what the destination has.",
            "Load to a database or to ducklake, and from there to where you need the rows (docs/destinations.md).",
        )


@contextmanager
def open_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """Dlt's client of a pipeline's destination, connected: the shared one, or else a new one.

    It lets errors of queries through.

    Raises:
        ConfigurationError: The destination is not configured, or does not replace rows in SQL.
        DestinationError: It cannot be reached.
    """
    if pipeline in _shared:
        yield _shared[pipeline]
        return
    with ExitStack() as stack:
        try:
            check_destination(pipeline)
            opened: Any = pipeline.destination_client()
            client = stack.enter_context(opened)
            _read_as_stored(client.sql_client)
        except Exception as error:  # dlt lets errors of drivers through, which have no common base class.
            raise unreachable_error(error) from None
        yield client


@contextmanager
def one_client(pipeline: SupportsPipeline) -> Iterator[None]:
    """Let all queries of a block use one client and its connection; otherwise each opens its own. Can be nested.

    dlt resolves its configuration for each client, which takes longer than most queries.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if pipeline in _shared:
        yield
        return
    with open_client(pipeline) as client:
        _shared[pipeline] = client
        try:
            yield
        finally:
            del _shared[pipeline]


@contextmanager
def sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """Dlt's SQL client of a pipeline's dataset.

    Raises:
        ConfigurationError: The destination is not configured, or does not replace rows in SQL.
        DestinationError: It cannot be reached, or does not answer a query of the block.
    """
    with open_client(pipeline) as client:
        try:
            yield client.sql_client
        except DestinationConnectionError as error:
            raise unreachable_error(error) from None
        except DatabaseException as error:
            raise DestinationError(
                f"The destination cannot be read: {first_line(error)}", "This needs a destination that answers SQL."
            ) from None


def _read_as_stored(client: Any) -> None:
    """Let JSON columns come as text, and moments in UTC.

    psycopg2 would parse numbers of JSON as floats, and a row that is marked deleted would be written back with fewer
    digits. In another time zone the last hours of the year 9999 are in the year 10000, which Python cannot represent.
    """
    connection = client.native_connection
    if type(connection).__module__.startswith("psycopg2"):
        from psycopg2 import extras  # type: ignore[import-untyped]

        refuse_plaintext_postgres(connection, "destination.postgres.credentials")
        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=lambda text: text)
        client.execute_sql("SET TIME ZONE 'UTC'")


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


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _not_set(error: ConfigFieldMissingException) -> ConfigurationError:
    """Name each missing field by its variable: dlt lists a dozen keys for each field."""
    first = {name.rpartition("__")[2]: name for name in reversed(_VARIABLE.findall(str(error)))}
    variables = list(reversed(first.values()))
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
