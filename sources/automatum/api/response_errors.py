"""Translates a 4xx response into the error that the user sees."""

from __future__ import annotations

from ..core.errors import AccessError, AutomatumError, NotThere, RequestRefused
from ..endpoints import API_PREFIX
from .http import HttpResponse, shorten

DASHBOARD = "Settings > Integrations > API Access in the Automatum dashboard"


def error_for(
    method: str, path: str, response: HttpResponse, scope: str = "", granted: frozenset[str] | None = None
) -> AutomatumError:
    """The error for a 4xx response that no retry can change.

    Args:
        method: HTTP method.
        path: Path below the host, without the query.
        response: The response.
        scope: OAuth scope that the path needs; empty if it is not known.
        granted: Scopes of the token; None if they are not known.
    """
    status, detail = response.status, response.detail
    if status == 403:
        return AccessError(f"{method} {path} answered 403: {detail}.", _access_hint(scope, granted))
    fields = _fields(response)
    if fields:
        details = "; ".join(f"{name}: {message}" for name, message in fields)
        detail = shorten(f"{detail} ({details})")
    if status == 404:
        usage = method == "POST" and path.startswith(API_PREFIX)
        step = (
            "If the API takes usage at another path, set sources.automatum.metering.path."
            if usage
            else f"The path is {path}; if assumed, override sources.automatum.endpoints.<table>.path (for a further "
            "report: its path in sources.automatum.reports)."
        )
        return NotThere(method, path, status, detail, step, fields)
    return RequestRefused(method, path, status, detail, "", fields)


def _access_hint(scope: str, granted: frozenset[str] | None) -> str:
    plan = "API access belongs to the Professional plan and above."
    if scope and granted is not None and scope in granted:
        return f"The token grants {scope}, which this path needs, so the plan or the path is the cause. {plan}"
    named = f"the scope {scope}" if scope else "the scope"
    return f"Add {named} under {DASHBOARD}; the next run takes a new token, which carries it. {plan}"


def _fields(response: HttpResponse) -> tuple[tuple[str, str], ...]:
    errors = (response.body or {}).get("errors")
    return tuple(
        (shorten(str(error.get("field", ""))), shorten(str(error.get("message", ""))))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    )
