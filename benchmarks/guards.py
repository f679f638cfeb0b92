"""Benefit and cost of the guard of a window: `python benchmarks/guards.py [REQUESTS]`, default 2500.

A request counts for the length of a window plus a guard (`Window.span` in `automatum/api/rate_limit/windows.py`). This
compares other guards, against a server with its own clock that counts at some moment between request and response.
Most runs are simulated, in windows of the vendor's length. The last part runs against the sandbox on a real socket, in
windows of a tenth of a second and 6 s. Prints one row for each setting and kind of window, and for each guard the
number of 429 and the ratio of the time to the optimum (`tests/support/quota_processes.py` derives it from the limits).
"""

import math
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clocks import FakeClock
from tests.support.quota_processes import optimum

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit import limiter as limiter_module
from automatum.api.rate_limit.windows import Window
from automatum.api.session import connect
from automatum.config.settings import APPLICATION_LIMITS, ORGANIZATION_LIMITS, resolve_settings
from automatum.core.budget import Budget
from automatum_sandbox import AppConfig, Limits, SandboxConfig, serve

SHIPPED = Window.span
GUARDS = {
    "none": lambda seconds: 0.0,
    "1 ms": lambda seconds: 0.001,
    "5 ms": lambda seconds: 0.005,
    "0.5 %": lambda seconds: 0.005 * seconds,
    "most 2 s": lambda seconds: min(2.0, max(0.005, 0.005 * seconds)),
    "2 %": lambda seconds: 0.02 * seconds,
    "shipped": None,
}
KINDS = ("sliding", "fixed")


@dataclass(frozen=True)
class Setting:
    """What the world is like.

    Attributes:
        name: For people.
        latency: Shortest and longest answer, in seconds.
        fast: Share by which the client's clock runs faster than the server's.
        tick: Seconds by which the client's clock moves.
        server_tick: Seconds by which the server's clock moves.
        end_counts: Whether a request that is exactly as old as a sliding window still counts.
    """

    name: str
    latency: tuple[float, float] = (0.005, 0.05)
    fast: float = 0.0
    tick: float = 0.0
    server_tick: float = 0.0
    end_counts: bool = False


SETTINGS = (
    Setting("answers at once", (0.0, 0.0)),
    Setting("answers in 5-50 ms"),
    Setting("answers in 0.1-1 s", (0.1, 1.0)),
    Setting("clock 20 ppm fast, at once", (0.0, 0.0), fast=20e-6),
    Setting("clock 100 ppm fast", fast=100e-6),
    Setting("clock 500 ppm fast", fast=500e-6),
    Setting("clock 500 ppm slow", fast=-500e-6),
    Setting("clock 0.4 % fast", fast=0.004),
    Setting("client ticks of 15.6 ms, at once", (0.0, 0.0), tick=1 / 64),
    Setting("server in whole seconds", server_tick=1.0),
    Setting("the same, end counts", server_tick=1.0, end_counts=True),
)


class TickingClock(FakeClock):
    """A clock that moves in ticks."""

    def __init__(self, tick):
        super().__init__()
        self._tick = tick

    def monotonic(self):
        now = super().monotonic()
        return math.floor(now / self._tick) * self._tick if self._tick else now


class Server:
    """Counts and refuses, as the sandbox does, at the time it is told."""

    def __init__(self, kind, limits, setting, phase):
        self._kind, self._setting, self._phase = kind, setting, phase
        self._windows = [(limit, seconds, deque()) for limit, seconds in limits]
        self.refused = 0

    def ask(self, moment):
        """Seconds to wait, or None if the request was counted."""
        now = self._phase + moment / (1 + self._setting.fast)
        if self._setting.server_tick:
            now = math.floor(now / self._setting.server_tick) * self._setting.server_tick
        delay = None
        for limit, seconds, times in self._windows:
            start = now - now % seconds if self._kind == "fixed" else now - seconds
            gone = self._kind == "sliding" and not self._setting.end_counts
            while times and (times[0] < start or (gone and times[0] == start)):
                times.popleft()
            if len(times) >= limit:
                delay = max(delay or 0.0, (start if self._kind == "fixed" else times[0]) + seconds - now)
        if delay is not None:
            self.refused += 1
            return max(1, math.ceil(delay))
        for _, _, times in self._windows:
            times.append(now)
        return None


def simulate(kind, setting, count, seed):
    """A backfill, one request at a time; returns refusals and seconds."""
    clock, rng = TickingClock(setting.tick), random.Random(seed)
    limiter, budget = RateLimiter(APPLICATION_LIMITS, ORGANIZATION_LIMITS, clock), Budget(clock)
    server = Server(kind, APPLICATION_LIMITS, setting, 3600 * rng.random())
    moment = super(TickingClock, clock).monotonic
    started, done = moment(), 0
    while done < count:
        ticket = limiter.acquire(None, budget)
        latency = rng.uniform(*setting.latency)
        before = rng.random() * latency
        clock.advance(before)
        wait = server.ask(moment())
        clock.advance(latency - before)
        limiter.record_response(ticket)
        if wait is None:
            done += 1
        else:
            # As the transport does.
            jitter = min(3.0, 0.05 * wait) * rng.random()
            limiter.block(wait + jitter, "429")
    return server.refused, moment() - started


def on_a_socket(kind, folder, count=160):
    """The same against the sandbox, in windows of 0.1 s and 6 s."""
    limits, scale = [(10, 0.1), (100, 6.0)], 1 / 600
    config = SandboxConfig(
        customers=4, limits=Limits(10, 100, 10**6, 10**6), window_kind=kind, window_scale=scale, limit_headers=False,
        apps=(AppConfig(scopes=("read:customers",)),),
    )  # fmt: skip
    with serve(config) as served:
        session = connect(
            resolve_settings(
                {
                    "base_url": served.base_url,
                    "client_id": served.client_id,
                    "client_secret": served.client_secret,
                    "application_limits": [list(limit) for limit in limits],
                    "quota_url": f"sqlite:///{folder}/{kind}-{time.monotonic_ns()}.sqlite",
                }
            )
        )
        started = time.monotonic()
        for _ in range(count):
            session.client.get("customers", {"limit": "1"})
        seconds = time.monotonic() - started
        session.client.limiter.close()
        return served.sandbox.requests.stats()["rate_limited"], seconds / optimum(limits, [0.0] * (count + 1))


def use(guard):
    """Put a guard in place of the shipped one, which None brings back."""
    Window.span = SHIPPED if guard is None else property(lambda window: window.seconds + guard(window.seconds))


def row(name, cells):
    print(f"{name:45}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2500
    # Under a clock that jumps, a wait need not be cut into seconds.
    sliced, limiter_module.wait_slice = limiter_module.wait_slice, lambda wait, budget: max(0.001, wait)
    best = optimum(APPLICATION_LIMITS, [0.0] * count)
    print(f"{count} requests under {APPLICATION_LIMITS}: number of 429 / time over optimum ({best:.0f} s), by guard")
    row("simulated", GUARDS)
    for setting in SETTINGS:
        for kind in KINDS:
            cells = []
            for guard in GUARDS.values():
                use(guard)
                refused, seconds = simulate(kind, setting, count, seed=1)
                cells.append(f"{refused} / {seconds / best:.4f}")
            row(f"{setting.name}, {kind}", cells)
    limiter_module.wait_slice = sliced
    with tempfile.TemporaryDirectory() as folder:
        row("on a socket, windows of 0.1 s and 6 s", GUARDS)
        for kind in KINDS:
            cells = []
            for guard in GUARDS.values():
                use(guard)
                refused, ratio = on_a_socket(kind, folder)
                cells.append(f"{refused} / {ratio:.4f}")
            row(f"sandbox, {kind}", cells)
    use(None)


if __name__ == "__main__":
    main()
