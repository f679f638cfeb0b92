"""Everything that one connection to the API shares: settings, endpoints, budget, client."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigurationError, ScopeMissing
from ..core.redaction import redact_logging
from ..endpoints import Endpoint
from .client import ApiClient
from .endpoint_overrides import resolve_endpoints
from .rate_limit import open_rate_limiter

if TYPE_CHECKING:
    pass


@dataclass
class ApiSession:
    """One OAuth application at work.

    Attributes:
        settings: Resolved settings.
        endpoints: What can be read, overrides applied.
        clock: Time.
        budget: The run's own bounds and its request counts.
        client: Sends the requests.
    """

    settings: AutomatumSettings
    endpoints: tuple[Endpoint, ...]
    clock: Clock
    budget: Budget
    client: ApiClient

    def set_max_wait(self, seconds: float | None) -> None:
        """Bound the wait for quota from here on; None for as long as it takes."""
        self.client.max_wait = seconds

    def groups(self) -> tuple[str, ...]:
        """Names that can be asked for on the command line, in their order."""
        return tuple(dict.fromkeys(endpoint.group for endpoint in self.endpoints))

    def select(self, names: tuple[str, ...], key: str = "sources.automatum.tables") -> tuple[Endpoint, ...]:
        """Endpoints of these groups or tables, in their order; all for no names.

        Args:
            names: Groups (`analytics`) or tables (`analytics_revenue`).
            key: The setting or argument to blame.

        Raises:
            ConfigurationError: An unknown name.
        """
        known = {name for endpoint in self.endpoints for name in (endpoint.group, endpoint.table)}
        for name in names:
            if name not in known:
                raise ConfigurationError(key, f"no table {name!r}.", f"Tables are {', '.join(self.groups())}.")
        return tuple(one for one in self.endpoints if not names or one.group in names or one.table in names)

    def missing_scopes(self, endpoints: tuple[Endpoint, ...]) -> dict[str, str]:
        """Group to scope, for what the token does not grant. A token that does not say what it grants lacks nothing.

        Raises:
            AccessError: The credentials are refused.
            ApiUnreachable: No token to be had.
        """
        granted = self.client.tokens.scopes()
        return {} if granted is None else {one.group: one.scope for one in endpoints if one.scope not in granted}

    def require_scopes(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Raise `ScopeMissing` for all that these endpoints lack at once."""
        missing = self.missing_scopes(endpoints)
        if missing:
            raise ScopeMissing(missing, self.client.tokens.scopes() or frozenset())


def connect(
    settings: AutomatumSettings,
    *,
    clock: Clock | None = None,
    budget: Budget | None = None,
    max_wait: float | None = None,
) -> ApiSession:
    """Open a connection; no request is sent.

    Args:
        settings: Resolved settings.
        clock: Time; None for the machine's.
        budget: Bounds of the run; None for none.
        max_wait: Seconds that a request may wait for quota; None for as long as it takes.

    Raises:
        ConfigurationError: An override makes no sense.
    """
    redact_logging()
    clock = clock or SystemClock()
    budget = budget or Budget(clock)
    client = ApiClient(settings, clock, open_rate_limiter(settings, clock), budget)
    client.max_wait = max_wait
    return ApiSession(settings, resolve_endpoints(settings), clock, budget, client)


def open_session(
    settings: AutomatumSettings,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    max_requests: int | None = None,
    max_minutes: float | None = None,
    max_wait: float | None = None,
) -> ApiSession:
    """The API, with the run's bounds; no request is sent.

    Raises:
        ConfigurationError: A setting makes no sense.
    """
    clock = clock or SystemClock(stop)
    seconds = None if max_minutes is None else max_minutes * 60
    return connect(settings, clock=clock, budget=Budget(clock, max_requests, seconds, stop), max_wait=max_wait)
