"""A rate limiter that is not ours (package `limits`), in front of a sandbox, on a real socket."""

import asyncio
import json
import math
import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from automatum_sandbox import Sandbox, SandboxConfig, build_app
from tests.support.front import Front

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


class Limited(Front):
    """A sandbox without limits of its own behind a `Limiter`; a context manager.

    Args:
        strategy: A key of `STRATEGIES`.
        limits: Pairs of requests and whole seconds.
        options: Of the sandbox.

    Attributes:
        sandbox: What is behind.
        limiter: What is in front.
    """

    def __init__(self, strategy, limits, **options):
        self.sandbox = Sandbox(SandboxConfig(**{"limits": None, "traps": True, **options}))
        self.limiter = Limiter(build_app(self.sandbox), strategy, limits)
        super().__init__(self.limiter)
