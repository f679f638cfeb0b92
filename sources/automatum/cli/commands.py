"""The group of all commands: errors of its arguments as JSON, and what the help says below the options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from ..core.redaction import redact
from .console import say

SYNC, LOOK, PUSH, SET_UP, TRY = TASKS = ("Sync", "Look", "Push usage", "Set up", "Try it without an account")
"""Tasks, under which the help lists the commands."""
EXIT_USAGE = 2
"""Exit code of wrong arguments, as in most command lines."""
_JSON = "--json"
_AS_JSON = "automatum.as_json"


class Commands(TyperGroup):
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
