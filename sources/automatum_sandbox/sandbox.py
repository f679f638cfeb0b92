"""The state of the sandbox, and its control plane for tests and demos."""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .config import CHANGEABLE, SandboxConfig
from .data.organization import Organization
from .faults import Faults
from .metering import Metering
from .rate_limiter import RateLimiter
from .request_log import RequestLog
from .rows import Rows
from .schedule import Schedule
from .tokens import App, Tokens


class Sandbox:
    """The state behind the API, and the control plane. Not the vendor's API.

    Each attribute is a part of the control plane. Every method of every part can be called from any thread while the
    server runs.

    Args:
        config: Options; default `SandboxConfig()`.
        time: Clock of tokens, rate limits and timestamps, seconds since 1970.

    Attributes:
        config: The options, as `configure` has changed them.
        lock: Held while a request changes state, and by every method.
        closing: The server stops: slow responses end early.
        organizations: Organizations with their tables, by id.
        apps: The configured OAuth applications.
        rows: Read, insert, change and delete rows.
        schedule: Actions after a number of requests.
        faults: Errors and broken connections on request.
        requests: Log of the requests.
        metering: Accepted metering calls, their events, and the usage that is accepted.
        tokens: OAuth applications and tokens.
        limiter: Rate limits.
    """

    def __init__(self, config: SandboxConfig | None = None, *, time: Callable[[], float] = real_time.time) -> None:
        self.config = config or SandboxConfig()
        self.time = time
        self.lock = threading.RLock()
        self.closing = False
        self._offset = self.config.now.timestamp() - time() if self.config.now else 0.0
        organizations = [
            Organization(position, own, self.config, float(int(self.calendar())))
            for position, own in enumerate(self.config.organizations)
        ]
        self.organizations: dict[str, Organization] = {organization.id: organization for organization in organizations}
        self.rows = Rows(self.organizations, self.lock, self.calendar)
        self.schedule = Schedule(self.lock)
        self.faults = Faults(self.lock)
        self.requests = RequestLog(self.lock)
        self.metering = Metering(self.organizations, self.lock, self.calendar)
        self.limiter = RateLimiter(self.lock)
        self.tokens = Tokens(self.config.seed, self.lock)
        self.apps: tuple[App, ...] = tuple(
            self.tokens.add_app(app, organizations[app.organization].id, self.calendar()) for app in self.config.apps
        )

    @property
    def client_id(self) -> str:
        """Client id of the first application."""
        return self.apps[0].client_id

    @property
    def client_secret(self) -> str:
        """Current client secret of the first application."""
        return self.apps[0].secret

    @property
    def organization_id(self) -> str:
        """Id of the first organization."""
        return next(iter(self.organizations))

    def calendar(self) -> float:
        """The sandbox's date and time in seconds since 1970: starts at `config.now` and advances with the clock."""
        return self.time() + self._offset

    def configure(self, **changes: Any) -> None:
        """Change options while it runs: limits, tokens, responses (`config.CHANGEABLE`).

        Raises:
            ValueError: An option is unknown, or the rows depend on it.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise ValueError(f"Not a changeable option: {', '.join(unknown)}. Known: {', '.join(sorted(CHANGEABLE))}.")
        with self.lock:
            self.config = replace(self.config, **changes)

    def reset(self) -> None:
        """Remove faults, scheduled actions, counted requests, log and metering. Rows, tokens and options stay."""
        with self.lock:
            self.faults.clear()
            self.schedule.clear()
            self.limiter.clear()
            self.requests.clear()
            self.metering.clear()
