"""The API session: the settings, endpoints, budget and client of one OAuth application."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigurationError, ScopeMissing
from ..core.redaction import redact_logging
from ..core.suggest import suggestion
from ..endpoints import METERING, Endpoint, MeteringForm
from .client import ApiClient
from .overrides import resolve_endpoints, resolve_metering
from .rate_limit import open_rate_limiter


@dataclass
class ApiSession:
    """The API as one OAuth application sees it.

    Attributes:
        settings: Resolved settings.
        endpoints: The endpoints that can be read, with overrides applied.
        clock: Time.
        budget: Limits of the run, and its request counts.
        client: Sends the requests.
        metering: How the API takes usage, with overrides applied.
        checks: Requests for single rows that the run may still send, to find out whether they are deleted.
    """

    settings: AutomatumSettings
    endpoints: tuple[Endpoint, ...]
    clock: Clock
    budget: Budget
    client: ApiClient
    metering: MeteringForm = METERING
    checks: int = 0

    def may_check(self) -> bool:
        """Whether the run may ask for another single row; counts it."""
        self.checks -= 1
        return self.checks >= 0

    def select(self, tables: tuple[str, ...] = ()) -> tuple[Endpoint, ...]:
        """Select endpoints, in their order: those that are named, else those of the settings, else all.

        Args:
            tables: Groups (`analytics`) or tables (`analytics_revenue`) that the user names.

        Raises:
            ConfigurationError: A name is unknown.
        """
        names = tables or tuple(self.settings.tables or ())
        known = {name for endpoint in self.endpoints for name in (endpoint.group, endpoint.table)}
        for name in names:
            if name not in known:
                groups = dict.fromkeys(endpoint.group for endpoint in self.endpoints)
                step = f"{suggestion(name, sorted(known))} Tables are {', '.join(groups)}.".lstrip()
                raise ConfigurationError(
                    "argument TABLE" if tables else "sources.automatum.tables", f"no table {name!r}.", step
                )
        return tuple(one for one in self.endpoints if not names or one.group in names or one.table in names)

    def missing_scopes(self, endpoints: tuple[Endpoint, ...]) -> dict[str, str]:
        """Map the groups that the token does not grant to the scope that each needs.

        If the token response does not list scopes, none is missing.

        Raises:
            AccessError: The credentials are refused.
            ApiUnreachable: No token could be fetched.
        """
        granted = self.client.tokens.scopes()
        return {} if granted is None else {one.group: one.scope for one in endpoints if one.scope not in granted}

    def require_scopes(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Raise one `ScopeMissing` for all scopes that these endpoints lack."""
        missing = self.missing_scopes(endpoints)
        if missing:
            raise ScopeMissing(missing, self.client.tokens.scopes() or frozenset())


def connect(
    settings: AutomatumSettings,
    *,
    clock: Clock | None = None,
    budget: Budget | None = None,
    max_wait: float | None = None,
    stop: threading.Event | None = None,
) -> ApiSession:
    """Open a session. Sends no request.

    Args:
        settings: Resolved settings.
        clock: Time; None for the machine's clock.
        budget: Limits of the run; None for no limits.
        max_wait: Seconds that a request may wait for the rate limit; None for no limit.
        stop: Set this event to end the run, if `clock` and `budget` are None.

    Raises:
        ConfigurationError: An override of an endpoint is not valid.
    """
    redact_logging()
    clock = clock or SystemClock(stop)
    budget = budget or Budget(clock, stop=stop)
    client = ApiClient(settings, clock, open_rate_limiter(settings, clock), budget)
    client.tokens.max_wait = max_wait
    endpoints, metering = resolve_endpoints(settings), resolve_metering(settings)
    return ApiSession(settings, endpoints, clock, budget, client, metering, settings.max_delete_checks)
