"""A real server on a real socket: uvicorn, in a thread for tests and notebooks, or blocking for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import uvicorn

from .app import build_app
from .config import SandboxConfig
from .connection_faults import SandboxProtocol
from .sandbox import Sandbox

_START_SECONDS, _STOP_SECONDS = 10.0, 10.0
_TICK_SECONDS = 0.1
"""uvicorn's own: every tenth tick updates the `Date` header, and a tick notices a signal."""
_GRACE_SECONDS = 1.0
"""Time for running requests to end before they are cancelled."""


class _Server(uvicorn.Server):
    """uvicorn with a ready event and a stop that takes milliseconds.

    uvicorn's own main loop and shutdown sleep for 0.1 s each, and a test suite stops hundreds of sandboxes.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then set `ready`."""
        await super().startup(sockets)
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()

    def stop(self) -> None:
        """Stop from another thread."""
        self.should_exit = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped already
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        """Wait for `stop` or a signal."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners and idle connections, wait for running requests, then cancel those that are left."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        end = self._loop.time() + _GRACE_SECONDS
        while (state.connections or state.tasks) and not self.force_exit and self._loop.time() < end:
            await asyncio.sleep(0.001)
        for task in state.tasks:
            task.cancel()


def _make_server(sandbox: Sandbox) -> _Server:
    config = uvicorn.Config(
        build_app(sandbox),
        http=SandboxProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=sandbox.config.keep_alive_seconds,
    )
    return _Server(config)


def _bind(port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only for sockets that name TCP; otherwise a response takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


class Serving:
    """A running server of a sandbox. As a context manager it stops at the end.

    Attributes:
        sandbox: State and control plane.
        base_url: Such as `http://127.0.0.1:54321`, without a trailing slash.
    """

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        sandbox.closing = False
        listener = _bind(port)
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = _make_server(sandbox)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="automatum-sandbox", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS):
            listener.close()
            raise RuntimeError(f"The sandbox did not start within {_START_SECONDS:.0f} s.")

    @property
    def client_id(self) -> str:
        """Client id of the first application."""
        return self.sandbox.client_id

    @property
    def client_secret(self) -> str:
        """Current client secret of the first application."""
        return self.sandbox.client_secret

    def stop(self) -> None:
        """Stop serving and close open connections. A second call does nothing."""
        self.sandbox.closing = True
        self._server.stop()
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"The sandbox did not stop within {_STOP_SECONDS:.0f} s.")

    def __enter__(self) -> Serving:
        """Return the server, which is already running."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop serving."""
        self.stop()


def serve(sandbox: Sandbox | SandboxConfig | None = None, port: int = 0) -> Serving:
    """Serve a sandbox from a background thread on 127.0.0.1.

    Args:
        sandbox: A sandbox, or options for one.
        port: Port; 0 for a free port.

    Returns:
        The running server. Use it as a context manager, or call `stop`.
    """
    return Serving(sandbox if isinstance(sandbox, Sandbox) else Sandbox(sandbox), port)


def run(port: int = 8700, sandbox: Sandbox | SandboxConfig | None = None) -> None:
    """Serve a sandbox on 127.0.0.1 until SIGINT or SIGTERM. Prints nothing.

    Raises:
        OSError: The port is taken.
    """
    state = sandbox if isinstance(sandbox, Sandbox) else Sandbox(sandbox)
    listener = _bind(port)
    # uvicorn shuts down on Ctrl-C and then raises it again; it is the usual way to end this function.
    with contextlib.suppress(KeyboardInterrupt):
        _make_server(state).run(sockets=[listener])
