"""Options of commands that the fields of a dataclass declare, so that each is described once."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])


def declared(options: Any, *names: str) -> Callable[[F], F]:
    """Give a command the options that fields of a dataclass declare, in place of its `**parameter`.

    Args:
        options: The dataclass. An option is a field with `help` in its metadata, `type` and, if it differs, `name`.
        *names: Fields; none for all that are options.
    """
    found = {one.name: one for one in fields(options) if "help" in one.metadata}

    def decorate(command: F) -> F:
        signature, hints = inspect.signature(command), typing.get_type_hints(command, include_extras=True)
        parameters = []
        for parameter in signature.parameters.values():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                parameters.append(parameter.replace(annotation=hints[parameter.name]))
                continue
            for name in names or found:
                one = found[name]
                flags = [one.metadata["name"]] if one.metadata["name"] else []
                kind: Any = Annotated[one.metadata["type"], typer.Option(*flags, help=one.metadata["help"])]
                default = None if one.default is MISSING else one.default
                parameters.append(
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
                )
        # typer reads the signature and the annotations.
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
        return command

    return decorate
