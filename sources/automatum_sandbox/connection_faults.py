"""Faults of the connection: reset it, or end it in the middle of a response."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_KEY = "automatum_sandbox.transport"


class SandboxProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol. It passes its transport to the application: ASGI cannot break a connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        inner: ASGIApp = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_KEY] = self.transport
            await inner(scope, receive, send)

        self.app = with_transport


def _transport(scope: Scope) -> asyncio.Transport:
    found = scope.get("extensions", {}).get(_KEY)
    if not isinstance(found, asyncio.Transport):
        raise RuntimeError(
            "Connection faults need the sandbox's own server. Start it with automatum_sandbox.serve or run."
        )
    return found


async def _until_gone(receive: Receive) -> None:
    # uvicorn logs an error if the application returns with an unfinished response.
    while (await receive())["type"] != "http.disconnect":
        continue


class Reset(Response):
    """No response: the client receives RST instead of an orderly end of the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection."""
        transport = _transport(scope)
        raw = transport.get_extra_info("socket")
        # A linger time of zero makes close() send RST.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _until_gone(receive)


class Truncated(Response):
    """A response that announces its whole length, sends half of it, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the body."""
        transport = _transport(scope)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        transport.close()
        await _until_gone(receive)
