"""Defaults that commands show in their help, and how a dataclass declares an option: they import nothing that works."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

DEFAULT_DATABASE = Path("marketplace.duckdb")
DEFAULT_DATASET = "automatum"
DUCKDB = "duckdb"
"""Destination that needs no configuration."""
LOCK_WAIT = 60.0
"""Seconds that a run waits for a lock by default: longer than a query of a notebook, shorter than a cron interval."""


def option(default: Any, text: str, kind: Any = str | None, name: str = "", **settings: Any) -> Any:
    """A field of a dataclass that is an option of the command, too (`cli.declared`).

    Args:
        default: Of the field and of the option.
        text: Help of the option.
        kind: Type of the option.
        name: Name of the option, where it is not that of the field.
        settings: More for typer, such as `min`.
    """
    return field(default=default, metadata={"help": text, "type": kind, "name": name, "settings": settings})
