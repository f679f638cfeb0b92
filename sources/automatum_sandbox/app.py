"""The ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from automatum.endpoints import API_PREFIX, APPLICATIONS_PATH, TOKEN_PATH

from .assumptions import front_page
from .control_plane import control_routes
from .local_requests import LocalRequests
from .request_flow import api_endpoint, token_endpoint
from .responses import failure
from .sandbox import Sandbox

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_Endpoint = Callable[[Request, Sandbox], Awaitable[Response]]


def build_app(sandbox: Sandbox) -> Starlette:
    """The application of a sandbox. Connection faults need the sandbox's own server (`serve`, `run`)."""

    def bound(endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            return await endpoint(request, sandbox)

        return respond

    async def front(_request: Request) -> Response:
        return HTMLResponse(front_page())

    async def not_found(_request: Request, _error: Exception) -> Response:
        response = failure(404, "Not found")
        return Response(response.body, response.status, media_type=response.content_type)

    api = bound(api_endpoint)
    routes = [
        Route("/", front),
        Route(TOKEN_PATH, bound(token_endpoint), methods=_METHODS),
        Route(APPLICATIONS_PATH, api, methods=_METHODS),
        Route(APPLICATIONS_PATH + "/{rest:path}", api, methods=_METHODS),
        Route(API_PREFIX + "{rest:path}", api, methods=_METHODS),
        *control_routes(sandbox),
    ]
    guard = [Middleware(LocalRequests)]
    app = Starlette(routes=routes, middleware=guard, exception_handlers={404: not_found})
    # The vendor documents no redirect to the same path with a slash.
    app.router.redirect_slashes = False
    return app
