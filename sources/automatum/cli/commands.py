"""What all commands are made of: errors of arguments as JSON, what the help says below the options, plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from ..core.redaction import redact
from .console import say

F = TypeVar("F", bound=Callable[..., Any])
SYNC, LOOK, PUSH, SET_UP, TRY = TASKS = ("Sync", "Look", "Push usage", "Set up", "Try it without an account")
"""Tasks, under which the help lists the commands."""
EXIT_USAGE = 2
"""Exit code of wrong arguments, as in most command lines."""
_JSON = "--json"
_AS_JSON = "automatum.as_json"


class PlainValues:
    """Takes defaults, texts and paths as they are. Numbers, dates and what is missing are left to typer.

    typer would import pydantic for each of them, which takes as long as the rest of typer and of the commands together.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:  # type: ignore[attr-defined]
            _keep_plain_values(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        """See `click.Command.get_help_option`."""
        found = super().get_help_option(ctx)  # type: ignore[misc]
        _keep_plain_values(found)
        return found


class Command(PlainValues, TyperCommand):
    """A command."""


class Group(PlainValues, TyperGroup):
    """A group of commands, which has options of its own."""


class CommandApp(typer.Typer):
    """typer's application, of these commands and groups. A defect is reported by `guarded`, not by typer."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group, "pretty_exceptions_enable": False, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """See `typer.Typer.command`."""
        return super().command(name, **{"cls": Command, **settings})


class Commands(Group):
    """The commands. With `--json`, wrong arguments are reported as one JSON object on stdout, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        ctx.meta[_AS_JSON] = _JSON in args
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            _say_usage_error(ctx, error)
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands by task, in the order of `TASKS`."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: TASKS.index(getattr(self.commands[name], "rich_help_panel", TASKS[-1])))

    def invoke(self, ctx: Any) -> Any:
        """See `click.Command.invoke`."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            _say_usage_error(ctx, error)
            raise


def _keep_plain_values(parameter: Any) -> None:
    described = getattr(parameter, "type_descriptor", None)
    if described is None or "process_value" in vars(parameter):
        return  # An older typer converts by itself; or this is done.
    wanted, several = described.annotation, parameter.multiple or parameter.nargs == -1
    convert = parameter.process_value

    def process_value(context: Any, value: Any) -> Any:
        if not value and parameter.required:
            return convert(context, value)
        if value is None:
            value = () if several else None
        elif several and wanted == list[str] and all(map(_is_text, value)):
            value = list(value)
        elif wanted is Path and _is_text(value):
            value = Path(value)
        elif several or not (value is parameter.default or (wanted is str and _is_text(value))):
            return convert(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)

    parameter.process_value = process_value


def _is_text(value: Any) -> bool:
    """Whether it is a text that typer refuses for no type: without NUL and without bytes that are not UTF-8."""
    return isinstance(value, str) and "\0" not in value and value.encode(errors="ignore").decode() == value


def lines(*texts: str) -> str:
    """Lines below the options of a help text, which joins lines that no empty line separates."""
    return "\n".join(texts)


def examples(*commands: str) -> str:
    """The examples below the options of a help text, and where the exit codes are."""
    return lines("Examples:", *(f"  {command}" for command in commands))


EXIT_CODES = (
    "Exit codes: 0 complete, 2 wrong arguments, 65 incomplete or a line needs a decision, 69 API or destination "
    "unreachable, 70 a defect, 75 not finished: run again, 77 credentials or scope, 78 configuration, 130 interrupted."
)


def _say_usage_error(ctx: Any, error: Exception) -> None:
    message = getattr(error, "format_message", None)  # What all errors of click have.
    if message is None or getattr(error, "exit_code", None) != EXIT_USAGE or not ctx.meta[_AS_JSON]:
        return
    about = getattr(error, "ctx", None) or ctx
    path: Sequence[str] = about.command_path.split()
    fault = {
        "type": "UsageError",
        "message": redact(message()),
        "next_step": f"{' '.join(path)} --help lists commands and options.",
        "exit_code": EXIT_USAGE,
    }
    say({"verdict": "incomplete", "resume_at": None, "errors": [fault]}, True, lambda: None)
