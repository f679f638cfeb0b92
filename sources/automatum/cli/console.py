"""What all commands print with: consoles, JSON, errors, the log, and plain tables."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table as Grid

from ..core.clock import instant
from ..core.errors import AutomatumError
from ..core.redaction import redact
from ..core.text import printable
from ..metering.model import format_decimal

out = Console()
err = Console(stderr=True)

_SHORT = {"distinct": "rows", "inserted": "new", "updated": "changed", "unchanged": "same"}
"""Headings that fit on a terminal of 80 columns."""


def log_to_stderr(debug: bool, quiet: bool = False) -> None:
    """Print the connector's log on stderr: waits and their reasons.

    Args:
        debug: Print each request, too.
        quiet: Print only warnings.
    """
    logger = logging.getLogger("automatum")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
    handler: logging.Handler
    if err.is_terminal:
        handler = RichHandler(console=err, show_path=False, markup=False, rich_tracebacks=False)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False


def say(figures: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """Print one JSON object, or call `show`."""
    if as_json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(figures, default=_exact_number, option=option).decode() + "\n")
    else:
        show()


def _exact_number(value: Any) -> Any:
    """A decimal as a JSON number with all its digits, which a float would lose."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format_decimal(value))
    raise TypeError(type(value).__name__)


def show_error(error: AutomatumError, about: str = "") -> None:
    """Print an error and its next step on stderr.

    Args:
        error: The error.
        about: Organization that it is about, if there are several.
    """
    _print_labelled("error:", "bold red", f"{about}: {error.message}" if about else error.message)
    if error.next_step:
        _print_labelled("next: ", "bold", error.next_step)


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
    console.print(stamp + redact(text), markup=False, highlight=False, soft_wrap=True)


def say_text(text: str, style: str | None = None) -> None:
    """Print text for a person on stdout. Only a terminal wraps it: programs read a file line by line.

    Args:
        text: The text. It may come from outside: it is no markup, and control characters are shown as escapes.
        style: Style of the whole text.
    """
    out.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=not out.is_terminal)


def _print_labelled(label: str, style: str, text: str) -> None:
    err.print(label, style=style, end=" ")
    # Only a terminal wraps: programs read a log file line by line.
    err.print(redact(text), markup=False, highlight=False, soft_wrap=not err.is_terminal)


def grid_of(first: str, *numbers: str) -> Grid:
    """A plain table: a column of words, then columns of numbers."""
    grid = Grid(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    grid.add_column(first, no_wrap=True)
    for heading in numbers:
        grid.add_column(
            _SHORT.get(heading, heading), justify="left" if heading in ("verdict", "state", "note") else "right"
        )
    return grid
