"""Translates a 4xx response into the error that the user sees."""

from __future__ import annotations

from ..core.errors import AccessError, AutomatumError, NotThere, RequestRefused
from .http import HttpResponse, shorten

DASHBOARD = "Settings > Integrations > API Access in the Automatum dashboard"


def error_for(method: str, path: str, response: HttpResponse) -> AutomatumError:
    """The error for a 4xx response that no retry can change.

    Args:
        method: HTTP method.
        path: Path below the host, without the query.
        response: The response.
    """
    status, detail = response.status, response.detail
    if status == 403:
        return AccessError(
            f"{method} {path} answered 403: {detail}.",
            f"Add the scope under {DASHBOARD}; the next run takes a new token, which carries it. API access belongs "
            "to the Professional plan and above.",
        )
    fields = _fields(response)
    if fields:
        details = "; ".join(f"{name}: {message}" for name, message in fields)
        detail = shorten(f"{detail} ({details})")
    if status == 404:
        return NotThere(
            method,
            path,
            status,
            detail,
            f"The path is {path}; if assumed, override sources.automatum.endpoints.<table>.path (for a further "
            "report: its path in sources.automatum.reports).",
            fields,
        )
    return RequestRefused(method, path, status, detail, "", fields)


def _fields(response: HttpResponse) -> tuple[tuple[str, str], ...]:
    errors = (response.body or {}).get("errors")
    return tuple(
        (shorten(str(error.get("field", ""))), shorten(str(error.get("message", ""))))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    )
