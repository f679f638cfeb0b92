"""The ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from automatum.endpoints import API_PREFIX, TOKEN_PATH

from .answers import failure
from .behaviour import behaviour_page
from .control import control_routes
from .exchange import exchange_api, exchange_token
from .sandbox import Sandbox

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_Exchange = Callable[[Request, Sandbox], Awaitable[Response]]


def build_app(sandbox: Sandbox) -> Starlette:
    """The application over a sandbox; connection faults need the sandbox's own server (`serve`, `run`)."""

    def endpoint(exchange: _Exchange) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            return await exchange(request, sandbox)

        return respond

    async def front(_request: Request) -> Response:
        return HTMLResponse(behaviour_page())

    async def not_found(_request: Request, _error: Exception) -> Response:
        answer = failure(404, "Not found")
        return Response(answer.body, answer.status, media_type=answer.content_type)

    api = endpoint(exchange_api)
    routes = [
        Route("/", front),
        Route(TOKEN_PATH, endpoint(exchange_token), methods=_METHODS),
        Route("/oauth/applications", api, methods=_METHODS),
        Route("/oauth/applications/{rest:path}", api, methods=_METHODS),
        Route(API_PREFIX + "{rest:path}", api, methods=_METHODS),
        *control_routes(sandbox),
    ]
    app = Starlette(routes=routes, exception_handlers={404: not_found})
    # A redirect to the same path with a slash would look like behaviour of the vendor.
    app.router.redirect_slashes = False
    return app
