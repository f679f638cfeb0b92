"""A rate limiter that is not ours (package `limits`), in front of a sandbox, on a real socket."""

import asyncio
import json
import math
import socket
import threading
import time

import uvicorn
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from automatum_sandbox import Sandbox, SandboxConfig, build_app

STRATEGIES = {
    "fixed": FixedWindowRateLimiter,
    "moving": MovingWindowRateLimiter,
    "counter": SlidingWindowCounterRateLimiter,
}
"""What the package calls them; `counter` estimates a sliding window from the counts of two fixed ones."""


class Limiter:
    """ASGI middleware that counts every request, token calls included, and refuses as the vendor does.

    Args:
        app: What is behind.
        strategy: A key of `STRATEGIES`.
        limits: Pairs of requests and whole seconds.

    Attributes:
        admitted: When each request was let through, in epoch seconds.
        refused: When each was refused.
    """

    def __init__(self, app, strategy, limits):
        self._app = app
        self._strategy = STRATEGIES[strategy](MemoryStorage())
        self._items = [RateLimitItemPerSecond(requests, seconds) for requests, seconds in limits]
        self._turn = asyncio.Lock()
        self.admitted, self.refused = [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            async with self._turn:
                wait = await self._wait()
                (self.admitted if wait is None else self.refused).append(time.time())
            if wait is not None:
                await self._refuse(send, wait)
                return
        await self._app(scope, receive, send)

    async def _wait(self):
        """Whole seconds until there may be room again; None if the request was counted."""
        # Ask all before counting in any: a refused request must not use up a window that had room.
        full = [item for item in self._items if not await self._strategy.test(item, "application")]
        if not full and all([await self._strategy.hit(item, "application") for item in self._items]):
            return None
        resets = [(await self._strategy.get_window_stats(item, "application")).reset_time for item in full]
        return max(1, math.ceil(max(resets, default=0) - time.time()))

    async def _refuse(self, send, wait):
        body = json.dumps({"code": 429, "message": "Rate limit exceeded", "retryAfter": wait}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    def __init__(self, config):
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.ready.set()


class Limited:
    """A sandbox without limits of its own behind a `Limiter`; a context manager.

    Args:
        strategy: A key of `STRATEGIES`.
        limits: Pairs of requests and whole seconds.
        options: Of the sandbox.

    Attributes:
        sandbox: What is behind.
        limiter: What is in front.
        base_url: Where.
    """

    def __init__(self, strategy, limits, **options):
        self.sandbox = Sandbox(SandboxConfig(**{"limits": None, **options}))
        self.limiter = Limiter(build_app(self.sandbox), strategy, limits)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                self.limiter, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._server.ready.wait(10), "the limiter did not start"
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the limiter did not stop"
