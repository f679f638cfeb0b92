"""A shared server (`client`) for tests that change no rows, and a new one (`fresh`) for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import pytest
import requests

from automatum_sandbox import Sandbox, SandboxConfig, Serving, serve

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=timezone.utc)


class Clock:
    """A clock that advances only when a test sets `now`."""

    def __init__(self, now: float = NOW.timestamp()) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Client:
    """A client with one session and one token, without retries."""

    def __init__(self, served: Serving) -> None:
        self.served = served
        self.sandbox = served.sandbox
        self.session = requests.Session()

    def token_response(self, app: int = 0, **form: str) -> requests.Response:
        known = self.sandbox.apps[app]
        sent = {"grant_type": "client_credentials", "client_id": known.client_id, "client_secret": known.secret, **form}
        return self.session.post(f"{self.served.base_url}/oauth/token", data=sent, timeout=5)

    def log_in(self, app: int = 0) -> Client:
        self.session.headers["Authorization"] = f"Bearer {self.token_response(app).json()['access_token']}"
        return self

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(f"{self.served.base_url}{path}", params=query, timeout=5, allow_redirects=False)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.served.base_url}{path}", timeout=5, **options)


Fresh = Callable[..., Client]


@pytest.fixture(scope="session")
def _shared() -> Iterator[Serving]:
    with serve(SandboxConfig(now=NOW, traps=True, days=90)) as served:
        yield served


@pytest.fixture
def client(_shared: Serving) -> Iterator[Client]:
    """A client of the shared server with empty log, limits and faults, logged in."""
    before = _shared.sandbox.config
    made = Client(_shared).log_in()
    _shared.sandbox.reset()
    with made.session:
        yield made
    _shared.sandbox.config = before


@pytest.fixture
def fresh() -> Iterator[Fresh]:
    """Start a server with these options and clock; returns a client, logged in."""
    with ExitStack() as stack:

        def start(clock: Clock | None = None, **options: Any) -> Client:
            volume = {"customers": 60, "entitlements": 80, "private_offers": 30, "days": 90}
            config = SandboxConfig(**{"now": NOW, "traps": True, **volume, **options})
            made = Client(stack.enter_context(serve(Sandbox(config, time=clock) if clock else config)))
            stack.enter_context(made.session)
            return made.log_in()

        yield start
