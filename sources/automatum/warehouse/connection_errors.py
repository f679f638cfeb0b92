"""Errors of a destination that a run cannot use: settings or a driver are missing, or it is down, or answers no SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    LookupTrace,
    LookupTraces,
)
from dlt.common.configuration.specs.exceptions import InvalidConnectionString
from dlt.common.exceptions import MissingDependencyException

from ..config.toml_files import settings_providers, toml_paths
from ..core.errors import AutomatumError, ConfigurationError, DestinationError
from ..core.redaction import first_line

_SECTION = "DESTINATION__"
_URLS = {
    "postgres": "postgresql://user:password@host:5432/database",
    "filesystem": "s3://bucket/folder",
    "motherduck": "md:database?motherduck_token=...",
}
"""Examples of the whole setting, by destination."""


def unreachable_error(error: Exception) -> AutomatumError:
    """The error for a destination that a run cannot connect to."""
    if isinstance(error, AutomatumError):
        return error
    if any(isinstance(cause, InvalidConnectionString) for cause in _causes(error)):
        return ConfigurationError(
            "destination credentials",
            "are not a URL of a database.",
            f"Write them like {_URLS['postgres']}, with special characters in the password URL-encoded.",
        )
    for cause in _causes(error):
        if isinstance(cause, ConfigFieldMissingException):
            return _not_set(cause)
        if isinstance(cause, ConfigurationException):
            return ConfigurationError("destination", f"{first_line(cause).rstrip('.')}.", "See docs/destinations.md.")
        if isinstance(cause, MissingDependencyException):
            names = " ".join(f"'{one}'" for one in cause.dependencies)
            return ConfigurationError(
                "--destination", f"needs a package that is not installed: {names}.", f"pip install {names}"
            )
    is_file = any(type(cause).__module__.partition(".")[0] in ("duckdb", "_duckdb") for cause in _causes(error))
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
    path = variables[0].lower().split("__")
    section, names = ".".join(path[:-1]), [variable.rpartition("__")[2].lower() for variable in variables]
    places = "; ".join(
        f"{file} ({f'has no {names[0]} in [{section}]' if file.is_file() else 'does not exist'})"
        for file in dict.fromkeys(toml_paths(settings_providers()))
    )
    verb = "is" if len(names) == 1 else "are"
    whole, example = variables[0].rpartition("__")[0], _URLS.get(path[1])
    step = f"Set {', '.join(variables)}"
    if path[-2:-1] == ["credentials"] and example:
        step += f", or {whole}={example}"
    elif example:
        step += f", such as {variables[0]}={example}"
    return ConfigurationError(
        section,
        f"{', '.join(names)} {verb} not set. Looked in the environment; {places}.",
        f"{step}, or write them to .dlt/secrets.toml under [{section}]."
        + (" An empty password is for a server that asks for none." if names == ["password"] else ""),
    )


def _variables(traces: dict[str, Any]) -> Iterator[str]:
    """The variable of each missing field: the first one without the name of the pipeline before it."""
    for tried in traces.values():
        for trace in tried:
            if isinstance(trace, LookupTraces):
                yield from _variables(trace.traces)
        keys = (trace.key for trace in tried if isinstance(trace, LookupTrace) and trace.key.startswith(_SECTION))
        if first := next(keys, None):
            yield first
