"""`/oauth/applications`: paths and effects documented in `api/authentication`; bodies and authorization assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from automatum.endpoints import SCOPES

from .data.timestamps import format_timestamp
from .responses import ApiResponse, FieldError, failure, success
from .sandbox import Sandbox
from .tokens import App, Token


def respond_to_application_call(sandbox: Sandbox, token: Token, method: str, path: str, body: bytes) -> ApiResponse:
    """The response to a request below `/oauth/applications`.

    Args:
        sandbox: State.
        token: Any valid token of the organization is accepted (assumed).
        method: HTTP method.
        path: Path below `/oauth/applications/`.
        body: Request body.
    """
    own = [app for app in sandbox.tokens.apps.values() if app.organization_id == token.app.organization_id]
    id_, _, action = path.partition("/")
    if not id_:
        return (
            success([_application_json(app) for app in own]) if method == "GET" else failure(405, "Method not allowed")
        )
    app = next((entry for entry in own if entry.client_id == id_), None)
    if app is None or action not in ("", "regenerate-secret"):
        return failure(404, "Application not found")
    actions: dict[tuple[str, str], Callable[[], ApiResponse]] = {
        ("GET", ""): lambda: success(_application_json(app)),
        ("PUT", ""): lambda: _update(sandbox, app, body),
        ("DELETE", ""): lambda: _delete(sandbox, app),
        ("POST", "regenerate-secret"): lambda: _regenerate(sandbox, app),
    }
    respond = actions.get((method, action))
    return respond() if respond else failure(405, "Method not allowed")


def _application_json(app: App) -> dict[str, Any]:
    # Without the secret: the vendor shows it "only once".
    return {
        "id": app.client_id,
        "clientId": app.client_id,
        "name": app.name,
        "description": app.description,
        "scopes": list(app.scopes),
        "createdAt": format_timestamp(float(int(app.created))),
        "updatedAt": format_timestamp(float(int(app.updated))),
        "lastUsedAt": None if app.last_used is None else format_timestamp(float(int(app.last_used))),
    }


def _update(sandbox: Sandbox, app: App, body: bytes) -> ApiResponse:
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError:
        wanted = None
    if not isinstance(wanted, dict):
        return failure(400, "Validation failed", [("", "Body must be a JSON object")])
    errors: list[FieldError] = [
        (name, "Must be a string")
        for name in ("name", "description")
        if name in wanted and not isinstance(wanted[name], str)
    ]
    scopes = wanted.get("scopes", list(app.scopes))
    if not isinstance(scopes, list):
        errors.append(("scopes", "Must be an array"))
    else:
        errors += [(f"scopes[{at}]", "Unknown scope") for at, scope in enumerate(scopes) if scope not in SCOPES]
    if errors:
        return failure(400, "Validation failed", errors)
    app.name = wanted.get("name", app.name)
    app.description = wanted.get("description", app.description)
    app.scopes, app.updated = tuple(scopes), sandbox.calendar()
    return success(_application_json(app))


def _regenerate(sandbox: Sandbox, app: App) -> ApiResponse:
    secret = sandbox.tokens.new_secret(app, sandbox.calendar())
    return success({"clientId": app.client_id, "clientSecret": secret})


def _delete(sandbox: Sandbox, app: App) -> ApiResponse:
    sandbox.tokens.delete_app(app)
    return success({"id": app.client_id, "deleted": True})
