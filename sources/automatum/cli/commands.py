"""What all commands are made of: plain help, errors of arguments as JSON, and the names of commands that went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from ..core.redaction import redact
from ..core.text import is_utf8, printable
from .console import say

REMOVED = {
    "plan": "sync --dry-run",
    "verify": "status --verify",
    "packages": "sync, which drops what it did not make",
    "push plan": "push, which is dry without --confirm",
    "push cancel": "push settle --never",
    "push undo": "push settle, which corrects an earlier decision",
    "push decisions": "push export, and read metering_journal",
    "push carry": "push settle --carry",
    "push retry": "push settle --not-billed --send",
    "push resolve": "push settle --billed, or --not-billed",
    "push dismiss": "push settle --never",
    "push ledger info": "push ledger show",
    "push ledger copy": "push ledger backup",
    "push ledger move": "push ledger backup, and push ledger restore",
}
"""Commands of earlier versions, and what to run in place of each. Refused by name for two releases."""
REMOVED_OPTIONS = (
    ("sync", "--max-age", "Set sources.automatum.max_age, such as 26h."),
    ("sync", "--metering", "Use push export."),
    ("sync, push export", "--pipelines-dir", "Set dlt's variable DLT_DATA_DIR."),
    ("sync, push", "--no-wait", "Use --max-wait 0."),
    ("check, apps", "--no-wait --max-wait", "Remove it: the command waits for 90 seconds at most."),
    ("check", "--destination --database --dataset", "Remove it: a check reads no destination."),
    ("discover", "--openapi", "Remove it: docs/internals/openapi.yaml in the repository has the document."),
    ("sync, status, push", "--notify", "Set sources.automatum.notify_url."),
    ("status", "--lock-wait", "Remove it: a status reads the copy of sync --read-copy, or waits ten seconds."),
    (
        "forget, models create, models drop, push settle, push events, push statement, push export",
        "--lock-wait",
        "Remove it: the command waits for 60 seconds at most.",
    ),
    ("push", "--ledger-url", "Set sources.automatum.ledger_url."),
    ("push", "--max-amount --max-lines", "Set sources.automatum.metering_max_amount."),
    ("push", "--allow", "Remove it: a line with a refused row, or in two sources, is not sent."),
    ("push", "--send-partial", "Remove it: a line with a refused row is not sent."),
    ("push", "--within", "Remove it: an unusual amount is a warning."),
    ("push settle", "--no-wait --max-wait", "Remove it: what is sent waits for the rate limit."),
    (
        "push status",
        "--notify --notify-on --metrics --quiet",
        "Remove it: status reports what is open in the ledger, too.",
    ),
    ("push statement", "--csv", "Query the view metering_statement, which `push export` makes."),
    ("apps update", "--add-scope --remove-scope", "Use --scope, which names all scopes that it has then."),
    ("apps update", "--description", "Change it in the dashboard."),
    ("apps delete", "--in-use", "Delete the application that you sync with in the dashboard."),
    (
        "sandbox",
        "--days --seed --entitlements --private-offers --traps --latency",
        "Use `python -m automatum_sandbox`, which has it.",
    ),
)
"""Commands (with those below them), options that they had, and what to do. Refused by name for two releases."""
EXIT_USAGE = 2
"""Exit code of wrong arguments, as in most command lines."""
_JSON = "--json"
_AS_JSON = "automatum.as_json"


class CommandApp(typer.Typer):
    """typer's application with plain help. A defect is reported by `guarded`, not by typer."""

    def __init__(self, **settings: Any) -> None:
        plain = {"pretty_exceptions_enable": False, "rich_markup_mode": None, "cls": Group}
        context = {"max_content_width": 100}  # Not beyond the terminal.
        super().__init__(**{**plain, "context_settings": context, **settings})


class Group(TyperGroup):
    """A group of commands, in the order in which they are declared. Refuses those that went by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """See `click.Group.list_commands`."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See `click.Group.resolve_command`."""
        path, above = args[:1], ctx
        while above.parent:
            path, above = [above.info_name, *path], above.parent
        if instead := REMOVED.get(" ".join(path)):
            ctx.fail(f"'{' '.join(path)}' was removed. Use: automatum {instead}.")
        return super().resolve_command(ctx, args)


class Commands(Group):
    """The commands. With `--json`, wrong arguments are reported as one JSON object on stdout, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        ctx.meta[_AS_JSON] = _JSON in args
        try:
            for one in args:
                if not is_utf8(one):
                    ctx.fail(f"'{printable(one)}' is not UTF-8.")
            return super().parse_args(ctx, args)
        except Exception as error:
            _say_usage_error(ctx, error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """See `click.Command.invoke`."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            _say_usage_error(ctx, error)
            raise


def lines(*texts: str) -> str:
    """Lines below the options of a help text, which are not joined."""
    return "\b\n" + "\n".join(texts)


def examples(*commands: str) -> str:
    """The examples below the options of a help text."""
    return lines("Examples:", *(f"  {command}" for command in commands))


EXIT_CODES = (
    "Exit codes: 0 complete, 2 wrong arguments, 65 incomplete, old, or a line needs",
    "a decision, 69 API or destination unreachable, 70 a defect, 75 not finished:",
    "run again, 77 credentials or scope, 78 configuration, 130 interrupted.",
)


def _say_usage_error(ctx: Any, error: Exception) -> None:
    option: Any = error
    if hasattr(option, "option_name") and getattr(option, "ctx", None):
        command = option.ctx.command_path.removeprefix(ctx.command_path).strip()
        if instead := _instead(command, option.option_name):
            option.message, option.possibilities = f"{option.option_name} was removed. {instead}", None
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


def _instead(command: str, option: str) -> str:
    """What to do in place of an option that went; empty if there was none. The longest name of a command counts."""
    found = [
        (one, step)
        for commands, options, step in REMOVED_OPTIONS
        for one in commands.split(", ")
        if option in options.split() and f"{command} ".startswith(f"{one} ")
    ]
    return max(found, key=lambda pair: len(pair[0]), default=("", ""))[1]
