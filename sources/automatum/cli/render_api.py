"""What was learned about the API as lines: its rate limits, what it answered lately, and the age of the secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.text import plural

_ANSWERS = {"http_401": "401", "http_403": "403", "http_429": "429", "http_5xx": "5xx", "network_errors": "no answer"}


def limit_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The limits that differ from the settings, and what to set.

    Args:
        rows: See `api.rate_limit.learned`; with `organization` if several are configured.
    """
    return [_line(row) for row in rows if row["limit"] != row["configured"]]


def _line(row: Mapping[str, Any]) -> str:
    whose = f"the {row['scope']}" + (f" of {row['organization']}" if row.get("organization") else "")
    origin = f"{row['source']}, {row['learned_at']}"
    configured = "none is configured" if row["configured"] is None else f"{row['configured']:,} are configured"
    if row["evidence"] == "guess":
        return (
            f"The API reports a limit of {row['limit']:,} for {whose} ({origin}), probably per {row['period']}; "
            f"{configured}."
        )
    verb = "refuses more than about" if row["evidence"] == "refusal" else "allows"
    line = f"The API {verb} {row['limit']:,} requests per {row['period']} for {whose} ({origin}); {configured}."
    if row["applies"]:
        line += " The connector keeps to the lower limit."
    if row["set"]:
        line += f" Set {row['setting']} = {row['set']}."
    return line


def request_errors(recent: Mapping[str, Any] | None) -> str:
    """What the API refused in the latest sweeps of a table, in one line; empty if there was nothing.

    Args:
        recent: See `operations.status.status`.
    """
    if not recent:
        return ""
    answers = [f"{recent[name]:,} × {text}" for name, text in _ANSWERS.items() if recent[name]]
    if not answers:
        return ""
    return (
        f"of {plural(recent['requests'], 'request')} in {plural(recent['sweeps'], 'sweep')}, {', '.join(answers)}; "
        f"{plural(recent['retries'], 'retry', 'retries')}; slowest answer {recent['latency_max_ms'] or 0:,} ms"
    )


def secret_line(secret: Mapping[str, Any]) -> str:
    """Since when the client secret is in use, or the advice to rotate it.

    Args:
        secret: See `operations.status.status`.
    """
    since = f"{secret['in_use_since']:%Y-%m-%d}"
    return secret["advice"] or f"The client secret has been in use since {since} or longer."
