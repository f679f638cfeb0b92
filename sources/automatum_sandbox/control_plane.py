"""The control plane over HTTP, below `/_sandbox`: no token, no limits, loopback only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .assumptions import BEHAVIOUR
from .config import Limits
from .responses import failure, write_json
from .sandbox import Sandbox

Body = dict[str, Any]
Action = Callable[[Sandbox, Request, Body], object]


def _credentials(sandbox: Sandbox, _request: Request, _body: Body) -> object:
    return [
        {
            "clientId": app.client_id,
            "clientSecret": app.secret,
            "scopes": app.scopes,
            "organizationId": app.organization_id,
        }
        for app in sandbox.tokens.apps.values()
    ]


def _change_rows(sandbox: Sandbox, _request: Request, body: Body) -> object:
    """`{op, table, id | ids, record, count, touch, organization, after, path}`."""
    requests = int(body.pop("after", 0))
    path = str(body.pop("path", ""))
    if requests:
        sandbox.schedule.after(requests, lambda: _apply(sandbox, body), path=path)
        return {"scheduled": True}
    return _apply(sandbox, body)


def _apply(sandbox: Sandbox, body: Body) -> object:
    operation, table, organization = body["op"], body["table"], body.get("organization")
    record, ids = body.get("record") or {}, body.get("ids") or [body.get("id")]
    if operation == "insert":
        return {"ids": sandbox.rows.insert(table, record, count=body.get("count", 1), organization=organization)}
    if operation == "put":
        sandbox.rows.put(table, record, organization=organization)
        return {"ids": [record["id"]]}
    if operation == "delete":
        sandbox.rows.delete(table, ids, organization=organization)
    elif operation == "change":
        for id_ in ids:
            sandbox.rows.change(table, id_, record, touch=body.get("touch", True), organization=organization)
    else:
        raise ValueError(f"unknown op {operation!r}; known: insert, put, change, delete")
    return {"ids": ids}


def _restate(sandbox: Sandbox, _request: Request, body: Body) -> object:
    sandbox.rows.restate(body["date"], body["vendor"], body["record"], organization=body.get("organization"))
    return {"restated": True}


def _faults(sandbox: Sandbox, _request: Request, _body: Body) -> object:
    return [asdict(fault) for fault in sandbox.faults.all()]


def _clear_faults(sandbox: Sandbox, request: Request, _body: Body) -> object:
    number = request.query_params.get("number")
    sandbox.faults.clear(None if number is None else int(number))
    return _faults(sandbox, request, {})


def _clear_requests(sandbox: Sandbox, _request: Request, _body: Body) -> object:
    sandbox.requests.clear()
    return []


def _settle(sandbox: Sandbox, request: Request, body: Body) -> object:
    sandbox.metering.settle(request.path_params["id"], body["outcome"])
    return sandbox.metering.events[-1]


def _configure(sandbox: Sandbox, _request: Request, body: Body) -> object:
    if isinstance(body.get("limits"), dict):
        body["limits"] = Limits(**body["limits"])
    sandbox.configure(**body)
    return {"changed": sorted(body)}


def _reset(sandbox: Sandbox, _request: Request, _body: Body) -> object:
    sandbox.reset()
    return {"reset": True}


ROUTES: dict[tuple[str, str], Action] = {
    ("GET", "/_sandbox"): lambda _s, _r, _b: {
        "routes": [f"{method} {path}" for method, path in ROUTES],
        "behaviour": [asdict(entry) for entry in BEHAVIOUR],
    },
    ("GET", "/_sandbox/credentials"): _credentials,
    ("PATCH", "/_sandbox/config"): _configure,
    ("POST", "/_sandbox/reset"): _reset,
    ("GET", "/_sandbox/listings"): lambda sandbox, _r, _b: {
        id_: [asdict(listing) for listing in organization.listings]
        for id_, organization in sandbox.organizations.items()
    },
    ("GET", "/_sandbox/billable"): lambda sandbox, request, _b: [
        asdict(entry) for entry in sandbox.metering.billable(request.query_params.get("organization"))
    ],
    ("GET", "/_sandbox/rows/{table}"): lambda sandbox, request, _b: sandbox.rows.all(
        request.path_params["table"], request.query_params.get("organization")
    ),
    ("POST", "/_sandbox/rows"): _change_rows,
    ("POST", "/_sandbox/revenue"): _restate,
    ("GET", "/_sandbox/faults"): _faults,
    ("POST", "/_sandbox/faults"): lambda sandbox, _r, body: asdict(sandbox.faults.add(**body)),
    ("DELETE", "/_sandbox/faults"): _clear_faults,
    ("GET", "/_sandbox/requests"): lambda sandbox, request, _b: [
        asdict(entry) for entry in sandbox.requests.to(request.query_params.get("path", ""))
    ],
    ("DELETE", "/_sandbox/requests"): _clear_requests,
    ("GET", "/_sandbox/stats"): lambda sandbox, _r, _b: sandbox.requests.stats(),
    ("GET", "/_sandbox/metering"): lambda sandbox, _r, _b: [asdict(call) for call in sandbox.metering.accepted],
    ("POST", "/_sandbox/metering/{id}"): _settle,
    ("GET", "/_sandbox/events"): lambda sandbox, _r, _b: sandbox.metering.events,
    ("POST", "/_sandbox/tokens/revoke"): lambda sandbox, _r, body: {
        "revoked": sandbox.tokens.revoke(body.get("clientId"))
    },
}
"""The action of each method and path."""


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of the control plane."""
    return [Route(path, _endpoint(sandbox, action), methods=[method]) for (method, path), action in ROUTES.items()]


def _endpoint(sandbox: Sandbox, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        if request.client is None or not ip_address(request.client.host).is_loopback:
            return _json(failure(403, "The control plane serves loopback clients only").payload, 403)
        sent = await request.body()
        try:
            body = orjson.loads(sent) if sent else {}
            if not isinstance(body, dict):
                raise ValueError("the body must be a JSON object")
            with sandbox.lock:
                return _json(action(sandbox, request, body))
        except (KeyError, TypeError, ValueError) as error:
            # A wrong call of the control plane: report what is wrong with it.
            return _json(failure(400, f"{type(error).__name__}: {error}").payload, 400)

    return respond


def _json(value: object, status: int = 200) -> Response:
    return Response(write_json(value), status, media_type="application/json")
