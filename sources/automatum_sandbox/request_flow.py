"""What happens to a request: credentials, rate limits, faults, response, log."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from automatum.endpoints import API_PREFIX, APPLICATIONS_PATH, METERING_PATH

from .api_v1 import ApiCall, page_of, respond_to_call
from .connection_faults import Reset, Truncated
from .faults import PROCESSED, Fault
from .oauth_applications import respond_to_application_call
from .request_log import LoggedRequest, fingerprint
from .responses import ApiResponse, failure
from .sandbox import Sandbox
from .tokens import App, Token

_HTML = "<!doctype html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>"

Admission = ApiResponse | dict[str, str]
"""The response that refuses a request, or the rate limit headers of an admitted one."""


@dataclass
class ApiRequest(ABC):
    """A request with the state of its processing.

    Attributes:
        app: The application that sends it, None until it is known.
        fault: The fault that applies to it.
    """

    sandbox: Sandbox
    request: Request
    body: bytes
    app: App | None = None
    fault: Fault | None = None

    @abstractmethod
    def admit(self) -> Admission:
        """Check the credentials, then the limits."""

    @abstractmethod
    def respond(self) -> ApiResponse:
        """Carry out the admitted request."""

    @property
    def path(self) -> str:
        """URL path."""
        return self.request.url.path

    @property
    def page(self) -> int | None:
        """Requested page; None outside `/api/v1/`."""
        return page_of(self.request.query_params) if self.path.startswith(API_PREFIX) else None

    def count(self, app: App) -> Admission:
        """Count the request against the limits of an application; the 429, or the rate limit headers."""
        limits = self.sandbox.config.limits
        if limits is None:
            return {}
        return self.sandbox.limiter.admit(
            (app.client_id, app.organization_id),
            self.sandbox.organizations[app.organization_id].own_limits or limits,
            self.sandbox.config,
            self.sandbox.time(),
        )

    def log(self, status: int) -> None:
        """Append the request to the request log."""
        self.sandbox.requests.add(
            LoggedRequest(
                self.request.method,
                self.path,
                dict(self.request.query_params),
                status,
                self.sandbox.time(),
                fingerprint(self.request.headers.get("authorization")),
                self.page,
                self.fault.kind if self.fault else None,
                self.body.decode(errors="replace") if self.path == API_PREFIX + METERING_PATH else None,
                self.app.client_id if self.app else None,
            )
        )


@dataclass
class TokenRequest(ApiRequest):
    """A request for a token."""

    def admit(self) -> Admission:
        """Check the form and its credentials (400, 401), then the limits."""
        checked = self._check_form()
        if isinstance(checked, ApiResponse):
            return checked
        self.app = checked
        admitted = self.count(checked) if self.sandbox.config.count_token_calls else {}
        # The documented token response shows no rate limit headers.
        return admitted if isinstance(admitted, ApiResponse) else {}

    def respond(self) -> ApiResponse:
        """Issue a token."""
        sandbox, app = self.sandbox, self.app
        assert app is not None
        seconds = sandbox.config.token_seconds
        app.last_used = sandbox.calendar()
        payload = {
            "access_token": sandbox.tokens.issue(app, seconds, sandbox.time()),
            "token_type": "Bearer",
            "expires_in": int(seconds),
            "scope": " ".join(app.scopes),
        }
        return ApiResponse(200, payload, {"Cache-Control": "no-store"})

    def _check_form(self) -> App | ApiResponse:
        if self.request.method != "POST":
            return failure(405, "Method not allowed")
        content_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/x-www-form-urlencoded":
            return failure(400, "Invalid request", [("Content-Type", "Must be application/x-www-form-urlencoded")])
        form = {name: values[0] for name, values in parse_qs(self.body.decode(errors="replace")).items()}
        granted = form.get("grant_type") == "client_credentials"
        errors = [] if granted else [("grant_type", "Must be client_credentials")]
        errors += [(name, "Required") for name in ("client_id", "client_secret") if not form.get(name)]
        if errors:
            return failure(400, "Invalid request", errors)
        app = self.sandbox.tokens.authenticate(form["client_id"], form["client_secret"])
        return app or failure(401, "Invalid client credentials")


@dataclass
class BearerRequest(ApiRequest):
    """A request with a token.

    Attributes:
        token: The token, None until it is checked.
    """

    token: Token | None = None

    def admit(self) -> Admission:
        """Check the token (401), then the limits."""
        sandbox = self.sandbox
        checked = sandbox.tokens.check(self.request.headers, sandbox.time(), sandbox.config.revoked_message)
        if isinstance(checked, ApiResponse):
            return checked
        self.token, self.app = checked, checked.app
        return self.count(checked.app)

    def respond(self) -> ApiResponse:
        """Respond as the route does."""
        sandbox, token, method = self.sandbox, self.token, self.request.method
        assert token is not None
        if not self.path.startswith(API_PREFIX):
            rest = self.path.removeprefix(APPLICATIONS_PATH).strip("/")
            return respond_to_application_call(sandbox, token, method, rest, self.body)
        organization = sandbox.organizations[token.app.organization_id]
        path = self.path.removeprefix(API_PREFIX)
        return respond_to_call(
            ApiCall(sandbox, organization, token, method, path, self.request.query_params, self.body)
        )


async def token_endpoint(request: Request, sandbox: Sandbox) -> Response:
    """`POST /oauth/token`: client credentials for a token (documented in `api/authentication`)."""
    return await _process(TokenRequest(sandbox, request, await request.body()))


async def api_endpoint(request: Request, sandbox: Sandbox) -> Response:
    """A path below `/api/v1/` or `/oauth/applications`: check the token, then the limits, then respond."""
    return await _process(BearerRequest(sandbox, request, await request.body()))


async def _process(api_request: ApiRequest) -> Response:
    sandbox = api_request.sandbox
    with sandbox.lock:
        admitted = api_request.admit()
        if isinstance(admitted, ApiResponse):
            api_request.log(admitted.status)
            return _to_starlette(admitted)
        fault = sandbox.faults.take(api_request.request.method, api_request.path, api_request.page)
        api_request.fault = fault
    seconds = sandbox.config.latency + (fault.seconds if fault is not None else 0)
    if seconds > 0:
        # Without the lock, so that other requests are served meanwhile.
        await _wait(seconds, sandbox)
    with sandbox.lock:
        carried_out = fault is None or fault.kind in PROCESSED
        response = api_request.respond() if carried_out else None
        response = _apply_fault(api_request, fault, response) if fault else response
        api_request.log(response.status if response else 0)
        if api_request.path.startswith(API_PREFIX) and api_request.request.method == "GET":
            sandbox.schedule.count(api_request.path)
    if response is None:
        return Reset()
    response.headers = {**admitted, **response.headers}
    return _to_starlette(response, Truncated if fault is not None and fault.kind == "truncate" else Response)


async def _wait(seconds: float, sandbox: Sandbox) -> None:
    # In slices, so that a stop does not wait for a slow response.
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not sandbox.closing and loop.time() < end:
        await asyncio.sleep(min(end - loop.time(), 0.05))


def _apply_fault(api_request: ApiRequest, fault: Fault, response: ApiResponse | None) -> ApiResponse | None:
    """The response after a fault; None if the connection is reset."""
    if fault.kind in ("reset", "lost_answer"):
        return None
    if fault.kind in ("status", "error_after"):
        response = failure(fault.status, fault.message)
    elif fault.kind == "html":
        response = ApiResponse(200, None, text=_HTML)
    elif fault.kind == "code":
        response = failure(fault.status, fault.message)
        response.status = 200
    elif fault.kind == "redirect":
        response = ApiResponse(fault.status, None, {"Location": fault.location}, text="")
    elif fault.kind == "revoke":
        api_request.sandbox.tokens.revoke(api_request.app.client_id if api_request.app else None)
        response = failure(401, api_request.sandbox.config.revoked_message)
    assert response is not None
    if fault.kind in ("empty_page", "short_page") and isinstance(response.payload.get("data"), list):
        response.payload["data"] = [] if fault.kind == "empty_page" else response.payload["data"][:-1]
    response.headers.update(fault.headers)
    return response


def _to_starlette(response: ApiResponse, response_class: type[Response] = Response) -> Response:
    return response_class(response.body, response.status, response.headers, response.content_type)
