"""The result of a run in one line, for a log file, a mail from cron, or a chat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .clock import instant
from .errors import (
    EXIT_COMPLETE,
    AutomatumError,
    ConfigurationError,
    CredentialsRefused,
    MoreToDo,
    RequestError,
    ScopeMissing,
)
from .redaction import redact

_MOST_NAMED = 3
"""Number of further errors whose type is named, to keep the line short."""
_NO_STEP = "Run again; with --debug each request is shown."
_WORDS = {"more_to_do": "not finished"}
"""Verdicts whose words in the text differ from their value in the JSON."""
_SIGNS = (("inserted", "+"), ("updated", "~"), ("deleted", "-"))


def result_line(
    command: str,
    verdict: str,
    exit_code: int,
    *,
    changes: Iterable[str] = (),
    cost: str = "",
    reasons: Iterable[str] = (),
    errors: Iterable[tuple[str, AutomatumError]] = (),
    resume_at: float | None = None,
    brief: bool = False,
) -> str:
    """Format one line: command, verdict, changes and cost; then the first error and its next step.

    Args:
        command: Such as `sync`, or `sync emea`.
        verdict: Such as `complete`, `incomplete`, `more_to_do`, `dry_run`.
        exit_code: Exit code of the process.
        changes: Changed tables, such as `customers +3 ~2`.
        cost: Requests and time, such as `11 requests, 4.2 s`.
        reasons: Why the run is not complete; shown when there is no error.
        errors: Pairs of organization (or an empty text) and error, worst first.
        resume_at: Epoch seconds at which to run again.
        brief: Leave out the messages of servers and databases, which may repeat customers' data.
    """
    failed = list(errors)
    code = f" (exit {exit_code})" if exit_code != EXIT_COMPLETE else ""
    parts = [f"automatum {command}: {describe_verdict(verdict)}{code}", ", ".join(changes), cost]
    if failed:
        where, first = failed[0]
        parts.append(_named(where, without_server_text(first) if brief else first.message).rstrip("."))
        if len(failed) > 1:
            others = [_named(name, type(error).__name__) for name, error in failed[1 : 1 + _MOST_NAMED]]
            left = "" if len(failed) <= 1 + _MOST_NAMED else ", ..."
            parts.append(f"{len(failed) - 1} more ({', '.join(others)}{left})")
        parts.append(f"next: {(first.next_step or _NO_STEP).rstrip('.')}")
    elif not brief:
        parts += [reason.rstrip(".") for reason in reasons]
    if resume_at is not None:
        parts.append(f"run again at {instant(resume_at)}")
    elif verdict == "more_to_do" and not failed:
        parts.append("run again to go on")
    return redact(" ".join("; ".join(part for part in parts if part).split()))


def _named(organization: str, text: str) -> str:
    return f"{organization}: {text}" if organization else text


def format_changes(tables: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Format the changed tables by their counts, such as `customers +3 ~2 -1`. Unchanged tables are left out."""
    lines = []
    for table, figures in tables.items():
        counts = [f"{sign}{figures[name]}" for name, sign in _SIGNS if figures[name]]
        if counts:
            lines.append(" ".join([table, *counts]))
    return lines


def without_server_text(error: AutomatumError) -> str:
    """The message of an error without the text of a server or a database, which follows the first colon."""
    if isinstance(error, ScopeMissing):
        return error.message
    if isinstance(error, CredentialsRefused):
        return "The API refuses the credentials."
    if isinstance(error, RequestError):
        # The path may name a row, so keep `/api/v1/<list>` only.
        path = "/".join(error.path.split("/")[:4])
        return f"{error.method} {path} " + ("gave no answer" if error.status is None else f"answered {error.status}")
    if isinstance(error, ConfigurationError):
        return f"{error.key}: {error.message.removeprefix(f'{error.key}: ').partition(': ')[0]}"
    return error.message.partition(": ")[0]


def describe_verdict(verdict: str) -> str:
    """The words for a verdict of the JSON, such as `not finished` for `more_to_do`."""
    return _WORDS.get(verdict, verdict.replace("_", " "))


def verdict_for(error: AutomatumError) -> str:
    """The verdict of a run that this error ended before it had a verdict."""
    return "more_to_do" if isinstance(error, MoreToDo) else "incomplete"
