"""Keeps web pages away from a sandbox: a browser on this machine may be made to send requests to loopback."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .responses import failure

_LOOPBACK = ("localhost", "::1")


class LocalRequests:
    """Refuses requests by another name than that of loopback, and those that a page of another origin sends.

    A page can let its own name resolve to 127.0.0.1. Then the browser takes the sandbox for that page's server, but
    `Host` still holds the name.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        host, origin = f"//{headers.get('host', 'localhost')}", headers.get("origin", "//localhost")
        if scope["type"] == "http" and not (_is_local(host) and _is_local(origin)):
            refused = failure(403, "The sandbox serves this machine only")
            await Response(refused.body, refused.status, media_type=refused.content_type)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_local(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return name in _LOOPBACK or (name.startswith("127.") and name.replace(".", "").isdigit())
