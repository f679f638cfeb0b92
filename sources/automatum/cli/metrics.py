"""The result of a run as Prometheus reads it from a file (textfile collector): numbers alone, no row and no text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

_HELP = {
    "exit_code": "Exit code of the last run.",
    "run_timestamp_seconds": "When the last run ended.",
    "run_seconds": "How long the last run took.",
    "requests": "API requests of the last run.",
    "rows": "Rows of a table in the last run, by what became of them.",
    "complete_timestamp_seconds": "When the last complete sweep of a table ended.",
    "open_items": "What waits for a person in the ledger of the push.",
}
_CHANGES = ("inserted", "updated", "deleted", "unchanged", "rejected")


def format_metrics(command: str, exit_code: int, figures: Mapping[str, Any]) -> str:
    """The text of the file, of the result as one JSON object."""
    text = ""
    samples = sorted(_samples(exit_code, figures), key=lambda one: list(_HELP).index(one[0]))
    for number, (name, labels, value) in enumerate(samples):
        if number == 0 or samples[number - 1][0] != name:
            text += f"# HELP automatum_{name} {_HELP[name]}\n# TYPE automatum_{name} gauge\n"
        named = {"command": command, **labels}
        text += f"automatum_{name}{{{','.join(f'{key}={_quote(one)}' for key, one in named.items())}}} {value}\n"
    return text


def _samples(exit_code: int, figures: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    yield "exit_code", {}, exit_code
    yield "run_timestamp_seconds", {}, round(time.time(), 3)
    for key, name in (("seconds", "run_seconds"), ("requests", "requests")):
        if isinstance(figures.get(key), (int, float)):
            yield name, {}, figures[key]
    parts = figures.get("organizations", {"": figures})
    for organization, part in parts.items():
        label = {"organization": organization} if organization else {}
        for table, row in (part.get("tables") or {}).items():
            for change in _CHANGES:
                if isinstance(row.get(change), int):
                    yield "rows", {**label, "table": table, "change": change}, row[change]
            if isinstance(row.get("complete_at"), datetime):
                yield "complete_timestamp_seconds", {**label, "table": table}, row["complete_at"].timestamp()
    for ledger in figures.get("ledgers", ()):
        label = {"organization": ledger["organization"]} if ledger["organization"] else {}
        yield "open_items", label, sum(ledger["unresolved"].values())


def _quote(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
