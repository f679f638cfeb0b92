"""A real server on a real socket: uvicorn, in a thread for tests and notebooks, or blocking for the command line."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

import uvicorn

from .app import build_app
from .config import SandboxConfig
from .connection import SandboxProtocol
from .sandbox import Sandbox

_START_SECONDS, _STOP_SECONDS = 10.0, 10.0


class _Server(uvicorn.Server):
    """uvicorn that tells when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell."""
        await super().startup(sockets)
        self.ready.set()


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
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


def _bind(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only for sockets that name TCP; without it every answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


class Serving:
    """A sandbox that is being served; a context manager that stops it at the end.

    Attributes:
        sandbox: State and control plane.
        base_url: Such as `http://127.0.0.1:54321`, without a slash at the end.
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
            raise RuntimeError(f"the sandbox did not start within {_START_SECONDS:.0f} s")

    @property
    def client_id(self) -> str:
        """Client id of the first application."""
        return self.sandbox.client_id

    @property
    def client_secret(self) -> str:
        """Current client secret of the first application."""
        return self.sandbox.client_secret

    def stop(self) -> None:
        """Stop serving; open connections are closed. May be called again."""
        self.sandbox.closing = True
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"the sandbox did not stop within {_STOP_SECONDS:.0f} s")

    def __enter__(self) -> Serving:
        """Already serving."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def serve(sandbox: Sandbox | SandboxConfig | None = None, port: int = 0) -> Serving:
    """Serve a sandbox from a background thread on 127.0.0.1.

    Args:
        sandbox: A sandbox, or options for one.
        port: Port; 0 takes a free one.

    Returns:
        A handle, ready to take requests; use it as a context manager, or call `stop`.
    """
    return Serving(sandbox if isinstance(sandbox, Sandbox) else Sandbox(sandbox), port)


def run(port: int = 8700, sandbox: Sandbox | SandboxConfig | None = None) -> None:
    """Serve a sandbox on 127.0.0.1 until SIGINT or SIGTERM; prints nothing.

    Raises:
        OSError: The port is taken.
    """
    made = sandbox if isinstance(sandbox, Sandbox) else Sandbox(sandbox)
    listener = _bind(port)
    # uvicorn stops in good order on Ctrl-C and then raises it again; here it is the ordinary end.
    with contextlib.suppress(KeyboardInterrupt):
        _make_server(made).run(sockets=[listener])
