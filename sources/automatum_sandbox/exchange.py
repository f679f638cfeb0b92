"""The way of a request: credentials, rate limits, faults, answer, log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from automatum.endpoints import API_PREFIX

from .answers import Answer, failure
from .applications import answer_application
from .connection import Reset, Truncated
from .faults import PROCESSED, Fault
from .journal import Entry, fingerprint
from .resources import Call, answer_call, page_of
from .sandbox import Sandbox
from .tokens import App, Token

_HTML = "<!doctype html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>"


@dataclass
class Exchange:
    """One request on its way.

    Attributes:
        app: The application that asks, None as long as it is not known.
        fault: What goes wrong with it.
        limit_headers: Rate limit headers of its answer.
    """

    sandbox: Sandbox
    request: Request
    body: bytes
    app: App | None = None
    fault: Fault | None = None

    @property
    def path(self) -> str:
        """URL path."""
        return self.request.url.path

    @property
    def page(self) -> int | None:
        """Page asked for; None outside `/api/v1/`."""
        return page_of(self.request.query_params) if self.path.startswith(API_PREFIX) else None

    def admit(self, app: App) -> Answer | dict[str, str]:
        """Count the request against the limits of an application; the 429, or the headers that tell what is left."""
        self.app = app
        organization = self.sandbox.organizations[app.organization_id]
        limits = self.sandbox.config.limits
        if limits is None:
            return {}
        return self.sandbox.limiter.admit(
            (app.client_id, app.organization_id),
            organization.own_limits or limits,
            self.sandbox.config,
            self.sandbox.time(),
        )

    def log(self, status: int) -> None:
        """Write the request down."""
        sent = self.request.headers.get("authorization")
        self.sandbox.journal.add(
            Entry(
                self.request.method,
                self.path,
                dict(self.request.query_params),
                status,
                self.sandbox.time(),
                fingerprint(sent),
                self.page,
                self.fault.kind if self.fault else None,
                self.body.decode(errors="replace") if self.path.endswith("/metering") else None,
                self.app.client_id if self.app else None,
            )
        )


async def exchange_token(request: Request, sandbox: Sandbox) -> Response:
    """`POST /oauth/token`: client credentials for a token (documented in `api/authentication`)."""
    exchange = Exchange(sandbox, request, await request.body())

    def admit() -> Answer | dict[str, str]:
        checked = _check_form(exchange)
        if isinstance(checked, Answer):
            return checked
        exchange.app = checked
        admitted = exchange.admit(checked) if sandbox.config.count_token_calls else {}
        # The documented token answer shows no rate limit headers.
        return admitted if isinstance(admitted, Answer) else {}

    def respond() -> Answer:
        app, seconds = exchange.app, sandbox.config.token_seconds
        assert app is not None
        app.last_used = sandbox.calendar()
        payload = {
            "access_token": sandbox.tokens.give(app, seconds, sandbox.time()),
            "token_type": "Bearer",
            "expires_in": int(seconds),
            "scope": " ".join(app.scopes),
        }
        return Answer(200, payload, {"Cache-Control": "no-store"})

    return await _run(exchange, admit, respond)


async def exchange_api(request: Request, sandbox: Sandbox) -> Response:
    """Everything below `/api/v1/` and `/oauth/applications`: a token, the limits, then the resource."""
    exchange = Exchange(sandbox, request, await request.body())
    token: list[Token] = []

    def admit() -> Answer | dict[str, str]:
        checked = sandbox.tokens.check(request.headers, sandbox.time(), sandbox.config.revoked_message)
        if isinstance(checked, Answer):
            return checked
        token.append(checked)
        return exchange.admit(checked.app)

    def respond() -> Answer:
        path = request.url.path
        if not path.startswith(API_PREFIX):
            rest = path.removeprefix("/oauth/applications").strip("/")
            return answer_application(sandbox, token[0], request.method, rest, exchange.body)
        call = Call(
            sandbox,
            sandbox.organizations[token[0].app.organization_id],
            token[0],
            request.method,
            path.removeprefix(API_PREFIX),
            request.query_params,
            exchange.body,
        )
        return answer_call(call)

    return await _run(exchange, admit, respond)


def _check_form(exchange: Exchange) -> App | Answer:
    if exchange.request.method != "POST":
        return failure(405, "Method not allowed")
    kind = exchange.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return failure(400, "Invalid request", [("Content-Type", "Must be application/x-www-form-urlencoded")])
    form = {name: values[0] for name, values in parse_qs(exchange.body.decode(errors="replace")).items()}
    errors = [] if form.get("grant_type") == "client_credentials" else [("grant_type", "Must be client_credentials")]
    errors += [(name, "Required") for name in ("client_id", "client_secret") if not form.get(name)]
    if errors:
        return failure(400, "Invalid request", errors)
    app = exchange.sandbox.tokens.authenticate(form["client_id"], form["client_secret"])
    return app or failure(401, "Invalid client credentials")


async def _run(
    exchange: Exchange, admit: Callable[[], Answer | dict[str, str]], respond: Callable[[], Answer]
) -> Response:
    sandbox = exchange.sandbox
    with sandbox.lock:
        admitted = admit()
        if isinstance(admitted, Answer):
            exchange.log(admitted.status)
            return _response(admitted)
        fault = sandbox.faults.take(exchange.request.method, exchange.path, exchange.page)
        exchange.fault = fault
    if fault is not None and fault.seconds > 0:
        # Not under the lock: others are served meanwhile.
        await _wait(fault.seconds, sandbox)
    with sandbox.lock:
        carried_out = fault is None or fault.kind in PROCESSED
        answer = respond() if carried_out else None
        answer = _spoil(exchange, fault, answer) if fault else answer
        exchange.log(answer.status if answer else 0)
        if exchange.path.startswith(API_PREFIX) and exchange.request.method == "GET":
            sandbox.count_request(exchange.path)
    if answer is None:
        return Reset()
    answer.headers = {**admitted, **answer.headers}
    return _response(answer, Truncated if fault is not None and fault.kind == "truncate" else Response)


async def _wait(seconds: float, sandbox: Sandbox) -> None:
    # In slices, so that a stop does not have to wait for the slowest answer.
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not sandbox.closing and loop.time() < end:
        await asyncio.sleep(min(end - loop.time(), 0.05))


def _spoil(exchange: Exchange, fault: Fault, answer: Answer | None) -> Answer | None:
    """The answer after a fault; None if the connection is reset."""
    if fault.kind in ("reset", "lost_answer"):
        return None
    if fault.kind in ("status", "error_after"):
        answer = failure(fault.status, fault.message)
    elif fault.kind == "html":
        answer = Answer(200, None, text=_HTML)
    elif fault.kind == "code":
        answer = failure(fault.status, fault.message)
        answer.status = 200
    elif fault.kind == "redirect":
        answer = Answer(fault.status, None, {"Location": fault.location}, text="")
    elif fault.kind == "revoke":
        exchange.sandbox.tokens.revoke(exchange.app.client_id if exchange.app else None)
        answer = failure(401, exchange.sandbox.config.revoked_message)
    assert answer is not None
    if fault.kind in ("empty_page", "short_page") and isinstance(answer.payload.get("data"), list):
        answer.payload["data"] = [] if fault.kind == "empty_page" else answer.payload["data"][:-1]
    answer.headers.update(fault.headers)
    return answer


def _response(answer: Answer, kind: type[Response] = Response) -> Response:
    return kind(answer.body, answer.status, answer.headers, answer.content_type)
