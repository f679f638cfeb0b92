"""Any ASGI application on a real socket, such as a sandbox behind a gateway."""

import socket
import threading

import uvicorn

from automatum_sandbox import Sandbox, SandboxConfig, build_app


class _Server(uvicorn.Server):
    def __init__(self, config):
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.ready.set()


class Front:
    """Serves an application from a thread; a context manager.

    Args:
        app: The ASGI application.

    Attributes:
        base_url: Where.
    """

    def __init__(self, app):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                app,
                interface="asgi3",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._server.ready.wait(10), "the server did not start"
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"


class Gateway(Front):
    """A sandbox below a path of a host that serves other things, too.

    Args:
        path: Such as `/automatum`.
        options: Of the sandbox; it has no limits unless they are given.

    Attributes:
        sandbox: What is behind.
        elsewhere: Paths of the requests that were not below the path.
    """

    def __init__(self, path, **options):
        self.sandbox = Sandbox(SandboxConfig(**{"limits": None, **options}))
        self.elsewhere = []
        self._path, self._behind = path, build_app(self.sandbox)
        super().__init__(self._route)
        self.base_url += path

    async def _route(self, scope, receive, send):
        if scope["path"].startswith(f"{self._path}/"):
            below = scope["path"].removeprefix(self._path)
            await self._behind({**scope, "path": below, "raw_path": below.encode()}, receive, send)
            return
        self.elsewhere.append(scope["path"])
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
