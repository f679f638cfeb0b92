"""What the API answered lately, and the age of the secret, as lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.text import plural

_ANSWERS = {"http_401": "401", "http_403": "403", "http_429": "429", "http_5xx": "5xx", "network_errors": "no answer"}


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
