"""What all commands print with: consoles, JSON, errors and the log. `tables` prints tables."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import IO, Any

import orjson
from rich.console import Console

from ..core.clock import instant
from ..core.errors import AutomatumError, ConfigurationError
from ..core.json_rows import write_json
from ..core.redaction import redact
from ..core.text import escape_json, printable


class PipeConsole(Console):
    """A console whose reader may leave, as `| head` does. The command goes on, and keeps its exit code."""

    def on_broken_pipe(self) -> None:
        _discard(self.file)


# No markup, no emoji codes: what comes from outside, such as `[/gcp]` or `:100:`, is printed as it is.
out = PipeConsole(markup=False, highlight=False, emoji=False)
err = PipeConsole(stderr=True, markup=False, highlight=False, emoji=False)


def log_to_stderr(debug: bool, quiet: bool = False, as_json: bool = False, waits_on_stdout: bool = False) -> None:
    """Print the connector's log on stderr: waits and their reasons.

    Args:
        debug: Print each request, too.
        quiet: Print only warnings and long waits.
        as_json: Print each record as one JSON object.
        waits_on_stdout: With `quiet`, print long waits on stdout, because they are no trouble.
    """
    logger, waits = logging.getLogger("automatum"), logging.getLogger("automatum.wait")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
    handler = _Stderr()
    handler.setFormatter(_JsonLines() if as_json else _Lines("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
    waits.handlers, waits.propagate = [], True
    waits.setLevel(logging.INFO if quiet else logging.NOTSET)
    if quiet and waits_on_stdout:
        waits.handlers, waits.propagate = [_Waits()], False


class _Stderr(logging.Handler):
    """Prints a record on stderr, above the progress bars of a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(self.format(record), soft_wrap=True)


class _Waits(logging.Handler):
    """Prints a wait in one line on stdout, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        say_line(f"automatum: {record.getMessage()}")
        out.file.flush()


class _Lines(logging.Formatter):
    """Indents all lines of a record but the first, so that no text from outside looks like a record of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\n    ")


class _JsonLines(logging.Formatter):
    """A JSON object in each line: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": instant(record.created), "level": record.levelname, "message": super().format(record)}
        return escape_json(orjson.dumps(line).decode())


def say(figures: Mapping[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """Print one JSON object, or call `show`.

    Raises:
        ConfigurationError: stdout cannot be written to, such as a file on a full disk.
    """
    try:
        if as_json:
            for text in write_json(figures, _exact_number):
                sys.stdout.write(escape_json(text))
            sys.stdout.write("\n")
        else:
            show()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise ConfigurationError(
            "stdout",
            f"the result cannot be written: {error.strerror}.",
            "What the command did stays done. Write the output to another place and run it again.",
        ) from None


def _discard(stream: IO[str]) -> None:
    """Let a stream lead nowhere, so that what it still buffers raises no further error at the end of the process."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _exact_number(value: Any) -> Any:
    """A decimal as a JSON number with all its digits, which a float would lose."""
    from ..metering.model import format_decimal

    if isinstance(value, Decimal):
        return orjson.Fragment(format_decimal(value))
    raise TypeError(type(value).__name__)


def show_error(error: AutomatumError, about: str = "") -> None:
    """Print an error and its next step on stderr, after the organization that it is about if there are several."""
    _print_labelled("error:", "bold red", f"{about}: {error.message}" if about else error.message)
    if error.next_step:
        _print_labelled("next: ", "bold", error.next_step)


def show_warning(text: str) -> None:
    """Print a warning on stderr."""
    _print_labelled("warning:", "bold yellow", text)


def show_fault(error: Exception) -> None:
    """Print an unexpected error on stderr."""
    _print_labelled("fault:", "bold red", f"{type(error).__name__}: {str(error)[:1000]}")
    _print_labelled(
        "next: ", "bold", "This is a defect of the connector. Run again with --debug and report what it says."
    )


def say_line(text: str, trouble: bool = False) -> None:
    """Print one line without wrapping: on stdout, or on stderr in trouble. In a file it begins with the time."""
    console = err if trouble else out
    stamp = "" if console.is_terminal else f"{instant(time.time())} "
    console.print(stamp + printable(redact(text)), soft_wrap=True)


def say_text(text: str, style: str | None = None) -> None:
    """Print text for a person on stdout. Only a terminal wraps it: programs read a file line by line.

    Args:
        text: The text. It may come from outside: it is no markup, and control characters are shown as escapes.
        style: Style of the whole text.
    """
    out.print(printable(text), style=style, soft_wrap=not out.is_terminal)


def say_command(command: str) -> None:
    """Print the next command to type, without line breaks, so that it can be copied."""
    out.print(f"Next: {printable(command)}", soft_wrap=True)


def _print_labelled(label: str, style: str, text: str) -> None:
    err.print(label, style=style, end=" ")
    # Only a terminal wraps: programs read a log file line by line.
    err.print(printable(redact(text)), soft_wrap=not err.is_terminal)
