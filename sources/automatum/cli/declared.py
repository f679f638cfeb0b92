"""Options of commands by their names: those that `PushOptions` declares, and those that many commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, TypeVar

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..metering.options import PushOptions
from . import options as shared

F = TypeVar("F", bound=Callable[..., Any])

PLACE = ("destination", "database", "dataset")
END = ("organization", "as_json", "debug")
REPORT = ("quiet", "notify", "notify_on")
WAITS = ("no_wait", "max_wait", "lock_wait")
_DECLARED = {one.name: one for one in fields(PushOptions) if "help" in one.metadata}
OWN = tuple(_DECLARED)
"""Options that a push has of its own, besides `--usage`."""
_SHARED: Mapping[str, tuple[Any, Any]] = {
    "destination": (shared.DestinationName, DUCKDB),
    "database": (shared.Database, DEFAULT_DATABASE),
    "dataset": (shared.Dataset, DEFAULT_DATASET),
    "organization": (shared.OrganizationName, None),
    "pipelines_dir": (shared.PipelinesDir, None),
    "no_wait": (shared.NoWait, False),
    "max_wait": (shared.MaxWait, None),
    "lock_wait": (shared.LockWait, LOCK_WAIT),
    "quiet": (shared.Quiet, False),
    "notify": (shared.Notify, None),
    "notify_on": (shared.NotifyOn, "change"),
    "as_json": (shared.Json, False),
    "debug": (shared.Debug, False),
}


def declared(*names: str) -> Callable[[F], F]:
    """Give a command options in place of its `**given`.

    Args:
        *names: Of `OWN` and `_SHARED`, in the order of the help.
    """

    def decorate(command: F) -> F:
        # Not by `typing.get_type_hints`: on Python 3.10 it hides the option of a parameter whose default is None.
        signature = inspect.signature(command, eval_str=True)
        parameters = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        for name in names:
            kind, default = _SHARED[name] if name in _SHARED else _option(name)
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
        # typer reads the signature and the annotations.
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
        return command

    return decorate


def _option(name: str) -> tuple[Any, Any]:
    field, flag = _DECLARED[name], _DECLARED[name].metadata["name"]
    option = typer.Option(*([flag] if flag else []), help=field.metadata["help"])
    return Annotated[field.metadata["type"], option], field.default


def push_options(given: Mapping[str, Any]) -> PushOptions:
    """The options of a command that pushes, settles or reads events.

    Args:
        given: Values of its options by their names.

    Raises:
        ConfigurationError: See `PushOptions`.
    """
    own = {name: given[name] for name in (*OWN, "organization") if name in given}
    return PushOptions(
        **own,
        target=shared.target_of(given["destination"], given["dataset"], given["database"]),
        max_wait=shared.longest_wait(given.get("no_wait", False), given.get("max_wait")),
        lock_wait=given["lock_wait"],
    )
