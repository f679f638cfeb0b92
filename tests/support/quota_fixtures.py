"""One quota, kept in each of the three places, on a clock that the test moves."""

import itertools
import logging

import pytest

from automatum.api.rate_limit import RateLimiter
from automatum.api.rate_limit.redis import RedisStore
from automatum.api.rate_limit.stores import SqliteStore, Store
from automatum.core.budget import Budget
from tests.support.quota_stage import Stage
from tests.support.valkey import valkey, valkey_server  # noqa: F401  fixtures

WIDE = ((100_000, 60.0),)
KINDS = ("memory", "sqlite", "redis")
_NAMES = itertools.count()


class ClockedRedis(RedisStore):
    """The store, with a server whose clock is the test's. All else is the server's own."""

    def __init__(self, url, name, clock, server_time=None):
        super().__init__(url, name, clock)
        self._server_time = server_time or clock.time

    def _call(self, *arguments):
        answer = super()._call(*arguments)
        seconds, micros = divmod(round(self._server_time() * 1e6), 1_000_000)
        return [answer[0], b"%d" % seconds, b"%d" % micros, *answer[3:]]


class Shop:
    """Makes limiters that share a state. Each stands for a process of its own (memory: a thread).

    Attributes:
        kind: `memory`, `sqlite` or `redis`.
    """

    def __init__(self, kind, clock, folder, server):
        self.kind, self.clock, self._folder, self._server = kind, clock, folder, server
        self._open = []
        self.fresh()

    def fresh(self):
        """Start with a new, empty state."""
        self._name = f"t{next(_NAMES)}"
        self._memory = Store(self.clock)

    def store(self):
        if self.kind == "memory":
            return self._memory
        if self.kind == "sqlite":
            return SqliteStore(self._folder / f"{self._name}.sqlite", self.clock)
        return ClockedRedis(self._server.url, self._name, self.clock)

    def limiter(self, application=((3, 60.0),), organization=WIDE, clock=None, **more):
        made = RateLimiter(tuple(application), tuple(organization), clock or self.clock, self.store(), **more)
        self._open.append(made)
        return made

    def close(self):
        while self._open:
            self._open.pop().close()


def spend(limiter, budget, count=1, **more):
    """So many requests whose answers come at once."""
    for _ in range(count):
        limiter.record_response(limiter.acquire(None, budget, **more))


def used(limiter):
    """Requests that count, for each window."""
    return [window["used"] for window in limiter.window_usage()]


@pytest.fixture
def clock():
    return Stage()


@pytest.fixture
def budget(clock):
    return Budget(clock)


@pytest.fixture(params=KINDS)
def shop(request, clock, tmp_path):
    """The same for each store."""
    server = request.getfixturevalue("valkey") if request.param == "redis" else None
    made = Shop(request.param, clock, tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path):
    """Where a file of a test may lie; its folder is not there yet."""
    return tmp_path / "state" / "quota.sqlite"


@pytest.fixture
def open_one(path, clock):
    """Makes limiters on that file, one for each process, and closes them."""
    made = []

    def one(application=((5, 60.0),), clock=clock, boot="first", **more):
        made.append(RateLimiter(tuple(application), WIDE, clock, SqliteStore(path, clock, boot), **more))
        return made[-1]

    yield one
    for limiter in made:
        limiter.close()


def warnings(caplog):
    """What the log warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
