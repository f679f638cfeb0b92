"""What `check --explain` prints: a table for each table of the API, the doubts, and the proposal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..core.text import plural
from ..operations.explained import Explanation
from .console import out, say, say_text, show_error
from .tables import TextTable

_LABELS = {
    "rows": "rows of the page",
    "unique_fields": "fields that differ in every record",
    "null_columns": "columns that are null",
    "misfits": "values that do not fit",
    "unknown_fields": "fields without a column",
    "unknown_lists": "lists without a table",
    "own_url": "own URL",
}


def say_explanation(explanation: Explanation, as_json: bool, only_toml: bool) -> int:
    """Print an explanation; returns the exit code.

    Args:
        explanation: The explanation.
        as_json: Print one JSON object.
        only_toml: Print the proposal alone.
    """
    toml = explanation.as_toml()
    say(explanation.as_json(), as_json, lambda: _write(toml) if only_toml else _show(explanation, toml))
    for one in explanation.tables:
        if one.error:
            show_error(one.error, one.table)
    return explanation.exit_code


def _write(text: str) -> None:
    sys.stdout.write(text)


def _show(explanation: Explanation, toml: str) -> None:
    for one in explanation.tables:
        table = TextTable("what", words=("found",), title=one.table)
        for name, value in one.facts.items():
            table.add(_LABELS.get(name, name.replace("_", " ")), _words(value))
        if len(table):
            table.show()
        for doubt in one.doubts:
            say_text(doubt)
    for name, scope in explanation.skipped.items():
        say_text(f"{name}: the token does not grant {scope}.")
    say_text(f"{plural(explanation.requests, 'request')}. Nothing is applied or stored.")
    if explanation.proposes:
        # Not wrapped: it is to be pasted.
        out.print(f"\n{toml.rstrip()}", soft_wrap=True)
    elif explanation.tables and not any(one.error for one in explanation.tables):
        say_text("Nothing is proposed: the API answers as the settings say.")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_words(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
