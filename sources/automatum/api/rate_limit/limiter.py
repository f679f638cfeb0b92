"""The rate limiter. The client asks it for permission before it sends a request."""

from __future__ import annotations

import hashlib
import logging
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...config.base_url import host_key
from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings, Limits
from ...core.budget import Budget, wait_slice
from ...core.clock import Clock, instant
from ...core.errors import AutomatumError, ConfigurationError, QuotaExhausted
from ...core.file_system import user_folder
from .redis import SCHEMES, RedisStore
from .state import LimiterState
from .stores import SqliteStore, Store, Work
from .windows import Lane, Window, apply_report, finish, finish_together, full_lanes, keeps_up, read_headers

logger = logging.getLogger("automatum")
wait_logger = logging.getLogger("automatum.wait")
"""Waits of more than `LONG_WAIT`: the command line prints them with `--quiet`, too."""

_KEY = "sources.automatum.quota_url"
IN_FLIGHT = 60.0
"""Seconds, twice the default timeout, for which a request without a recorded response (a crash) counts as sent now."""
NO_WAIT = 1.0
"""Seconds that a run with `--max-wait 0` may wait, because a new run for a shorter wait is not worthwhile."""
LONG_WAIT = 60.0
"""Seconds; the longest wait for a minute's window. A quiet run that waits longer looks like a hang."""
POOL_RESERVE = 0.01
"""Share of the organization's limits that a pool leaves for a push: a tenth of what one application has."""
_LOG_FROM = 1.0
"""Seconds; the shortest wait that is logged."""
_LOG_AGAIN = 5.0
"""Seconds by which the end of a wait must move to be logged again. It moves a little with each response."""


class RateLimiter:
    """Counts requests before they are sent, so that the API's rate limits are never exceeded. Thread-safe.

    Args:
        application: Rate limits of the OAuth application: pairs of requests and seconds.
        organization: Rate limits of the organization.
        clock: Time.
        store: Keeps the state; None for a state of this process alone.
        in_flight: Seconds after which a request without a recorded response begins to age.
        shared: Counts the requests of all applications of a pool against the organization's limits, which are then
            none of this one's; None if this one counts them.

    Attributes:
        on_wait: Called with seconds and reason when a wait of more than a second begins, for progress displays.
        reserve: Share of each window that requests leave free for metering.
        pooled: The limiters of all applications whose requests a forecast counts on; empty for this one alone.
    """

    def __init__(
        self,
        application: Limits,
        organization: Limits,
        clock: Clock,
        store: Store | None = None,
        in_flight: float = IN_FLIGHT,
        shared: RateLimiter | None = None,
    ) -> None:
        self.on_wait: Callable[[float, str], None] | None = None
        self.reserve = 0.0
        self.pooled: Sequence[RateLimiter] = ()
        self._shared = shared
        self._clock = clock
        self._store = store or Store(clock)
        self._in_flight = in_flight
        self._long_until = -math.inf
        limits = [("application", *limit) for limit in application]
        limits += [("organization", *limit) for limit in organization]
        self._windows = tuple(Window(*limit) for limit in limits)
        # At the end of the process too: the end of the command line leaves files to their owners.
        weakref.finalize(self, self._store.close)

    def acquire(self, max_wait: float | None, budget: Budget, *, from_reserve: bool = False) -> int:
        """Wait until all windows allow one more request, and count it.

        Args:
            max_wait: Seconds to wait at most; None for no limit.
            budget: Limits of the run; a stop ends the wait.
            from_reserve: Whether the request may use the share that is reserved for metering.

        Returns:
            The number of the request, for `record_response` or `release`.

        Raises:
            QuotaExhausted: The wait would be longer than `max_wait`, or than the run has left.
            BudgetSpent: The run was told to stop.
            ServerUnreachable: The server that keeps the state does not answer.
        """
        return self.acquire_first((self,), max_wait, budget, from_reserve=from_reserve)[1]

    def acquire_first(
        self, limiters: Sequence[RateLimiter], max_wait: float | None, budget: Budget, *, from_reserve: bool = False
    ) -> tuple[RateLimiter, int]:
        """As `acquire`, by the first of these limiters that allows the request; returns it, too."""
        started = self._clock.monotonic()
        announced = ("", -math.inf)
        while True:
            budget.check()
            waits = []
            for limiter in limiters:
                answer = limiter._try_acquire(from_reserve)
                if isinstance(answer, int):
                    return limiter, answer
                waits.append(answer)
            wait, reason = min(waits)
            now = self._clock.monotonic()
            self._refuse_long_wait(wait, now - started, reason, max_wait, budget)
            if wait > _LOG_FROM and (reason != announced[0] or now + wait > announced[1] + _LOG_AGAIN):
                announced = (reason, now + wait)
                self._announce(wait, reason)
            self._clock.sleep(wait_slice(wait, budget))

    def record_response(
        self, number: int, headers: Mapping[str, str] | None = None, server_date: float | None = None
    ) -> None:
        """Record that the response to a request arrived, or never will. The request ages from now on.

        Args:
            number: The request.
            headers: Headers of the response. What they say can only lower the number of requests that are left.
            server_date: The response's `Date`, in epoch seconds.
        """
        reported = read_headers(headers or {}, self._clock.time() if server_date is None else server_date)

        def record(state: LimiterState, now: float) -> bool:
            recorded = state.record_response(number, now)
            for one in reported if recorded else ():
                apply_report(self._windows, state, now, one)
            return recorded

        self._try_change(record)
        if self._shared:
            self._shared.record_response(number, headers, server_date)

    def release(self, number: int) -> None:
        """Take back a request of which no byte was sent."""
        self._try_change(lambda state, now: state.pending.pop(number, None) is not None)
        if self._shared:
            self._shared.release(number)

    def block(self, seconds: float, reason: str, *, organization: bool = False) -> None:
        """Block all requests for a time, such as after a 429: each request counts in every window.

        Args:
            seconds: How long.
            reason: Why, for messages.
            organization: Whether the other applications of a pool are blocked, too.
        """
        if math.isfinite(seconds) and seconds > 0:
            self._try_change(lambda state, now: state.block(now + seconds, reason))
            if self._shared and organization:
                self._shared.block(seconds, reason)

    def wait_for(self, count: int, each: float = 0.0, *, alone: bool = False) -> float:
        """Forecast the seconds until so many further requests, of `each` seconds, have their responses.

        Args:
            count: Requests.
            each: Seconds of each.
            alone: Whether this application sends them all, although it is one of a pool.
        """
        if count <= 0:
            return 0.0
        if self._shared:
            limiters = (self,) if alone or not self.pooled else self.pooled
            return finish_together([one._ahead(count) for one in limiters], self._shared._ahead(count), count, each)

        def forecast(state: LimiterState, now: float) -> float:
            lanes = full_lanes(self._windows, state, now, count, self.reserve)
            return finish(lanes, max(now, state.blocked_until), count, each) - now

        return self._store.change(forecast)

    def keeps_up(self, count: int, each: float, every: float) -> bool:
        """Whether each run of so many requests, of `each` seconds, ends before the next one starts."""
        first, *others = self.pooled or (self,)
        lanes = first._lanes()
        for other in others:
            for lane, more in zip(lanes, other._lanes(), strict=True):
                lane.limit += more.limit
        return keeps_up([*lanes, *(self._shared._lanes() if self._shared else ())], count, each, every)

    def window_usage(self) -> list[dict[str, Any]]:
        """For each window: `window` (name), `scope`, `limit`, `seconds`, `used`, `reserved` and `free_in` (seconds)."""
        return [*self._window_usage(), *(self._shared._window_usage() if self._shared else ())]

    def _window_usage(self) -> list[dict[str, Any]]:

        def usage(state: LimiterState, now: float) -> list[dict[str, Any]]:
            return [
                {
                    "window": str(one),
                    "scope": one.scope,
                    "limit": one.limit,
                    "seconds": one.seconds,
                    "used": one.used(state, now),
                    "reserved": one.limit - one.unreserved(self.reserve, state),
                    "free_in": max(0.0, state.blocked_until - now, one.lane(state, now, one.limit).free_at() - now),
                }
                for one in self._windows
            ]

        return self._store.change(usage)

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def _try_change(self, work: Work[bool]) -> None:
        """Change the state; `work` says whether it did. A failure must not cost a response, so it is logged."""

        def change(state: LimiterState, now: float) -> None:
            state.changed |= work(state, now)

        try:
            self._store.change(change)
        except AutomatumError as error:
            logger.warning("%s", error)

    def _lanes(self) -> list[Lane]:
        """The limits without what is reserved, as if nothing were used."""

        def lanes(state: LimiterState, now: float) -> list[Lane]:
            return [Lane(window.unreserved(self.reserve, state), window.span) for window in self._windows]

        return self._store.change(lanes)

    def _ahead(self, count: int) -> tuple[float, list[Lane]]:
        """Seconds for which requests are blocked, and the limits that so many exceed, in seconds from now."""

        def ahead(state: LimiterState, now: float) -> tuple[float, list[Lane]]:
            lanes = full_lanes(self._windows, state, now, count, self.reserve)
            for lane in lanes:
                lane.expiries = [expiry - now for expiry in lane.expiries]
            return max(0.0, state.blocked_until - now), lanes

        return self._store.change(ahead)

    def _try_acquire(self, from_reserve: bool) -> int | tuple[float, str]:
        """As `_ask`, of the application and then of the organization, which knows the request by the same number."""
        answer = self._store.change(lambda state, now: self._ask(state, now, from_reserve))
        if self._shared is None or not isinstance(answer, int):
            return answer
        number, shared = answer, self._shared
        answer = shared._store.change(lambda state, now: shared._ask(state, now, from_reserve, number))
        if not isinstance(answer, int):
            self._try_change(lambda state, now: state.pending.pop(number, None) is not None)
        return answer

    def _ask(self, state: LimiterState, now: float, from_reserve: bool, number: int = 0) -> int | tuple[float, str]:
        """Allow a request and return its number; or the seconds that it has to wait, and the reason."""
        until, reason = state.blocked_until, state.block_reason
        for lane in full_lanes(self._windows, state, now, 1, 0.0 if from_reserve else self.reserve):
            if lane.free_at() > until:
                until, reason = lane.free_at(), lane.reason
        if until > now:
            return until - now, reason
        state.prune(now, max((window.span for window in self._windows), default=0.0))
        state.changed = True
        return state.add_request(now + self._in_flight, number)

    def _refuse_long_wait(
        self, wait: float, waited: float, reason: str, max_wait: float | None, budget: Budget
    ) -> None:
        left = budget.remaining_seconds()
        if max_wait is not None and waited + wait > max_wait:
            bound = "this run must not wait" if max_wait <= NO_WAIT else f"this run may wait {max_wait:g} s"
        elif left is not None and wait > left:
            bound = f"this run has {left:.0f} s left"
        else:
            return
        resume_at = self._clock.time() + wait
        raise QuotaExhausted(
            f"The next request has to wait {math.ceil(wait)} s, and {bound}: {reason}.",
            f"Run again after {instant(resume_at)}; it goes on from here.",
            resume_at,
        )

    def _announce(self, wait: float, reason: str) -> None:
        until, log = self._clock.time() + wait, logger
        if wait > LONG_WAIT and until > self._long_until + _LOG_AGAIN:
            # Once for all threads that wait for it.
            self._long_until, log = until, wait_logger
        log.info("waiting %d s, until %s: %s", math.ceil(wait), instant(until), reason)
        if self.on_wait is not None:
            self.on_wait(wait, reason)


def open_rate_limiters(settings: AutomatumSettings, clock: Clock) -> tuple[RateLimiter, ...]:
    """Open the rate limiter of each OAuth application, which all its processes share; first that of `client_id`.

    The applications of a pool share a further one, which counts for the organization.

    Args:
        settings: Resolved settings; `quota_url` names the store.
        clock: Time.

    Raises:
        ConfigurationError: `quota_url` is not valid, or names a file on a network file system.
    """
    application, organization = settings.app_limits(), settings.org_limits()
    # After a crash, a request counts as pending for as long as its response could take.
    in_flight = 2 * settings.request_timeout
    names = [settings.client_id, *(name for name, _ in settings.pool())]
    if len(names) == 1:
        return (RateLimiter(application, organization, clock, _store(settings, clock, names[0]), in_flight),)
    shared = RateLimiter((), organization, clock, _store(settings, clock, " ".join(sorted(names))), in_flight)
    shared.reserve = POOL_RESERVE
    stores = [_store(settings, clock, name) for name in names]
    return tuple(RateLimiter(application, (), clock, store, in_flight, shared) for store in stores)


def state_name(settings: AutomatumSettings, client_id: str = "") -> str:
    """Name of an application in the store: a hash of host, path and client id."""
    named = f"{host_key(settings.base_url)}\n{client_id or settings.client_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _store(settings: AutomatumSettings, clock: Clock, client_id: str) -> Store:
    """The store of an application; of the client ids of a pool, in their order, for that of the organization."""
    url, name = settings.quota_url.reveal() if settings.quota_url else "", state_name(settings, client_id)
    if not url:
        try:
            return SqliteStore(user_folder("state") / f"quota-{name}.sqlite", clock)
        except ConfigurationError as error:
            # The user did not choose this file, so warn and continue.
            logger.warning("%s Until then this process counts its requests alone.", error)
            return Store(clock)
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return Store(clock)
    if scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        # A file holds the state of one application; Redis has a key for each.
        url = insert_organization(_KEY, url, settings.organization)
        path = Path(url.removeprefix("sqlite:///"))
        own = client_id == settings.client_id
        return SqliteStore(path if own else path.with_name(f"{path.stem}-{name}{path.suffix}"), clock)
    if scheme in SCHEMES:
        return RedisStore(url, name, clock)
    raise ConfigurationError(
        _KEY,
        "not the URL of a store for request counts.",
        "Write sqlite:////absolute/path.sqlite, redis://host:6379/0 (rediss:// for TLS) or memory://; leave it out for "
        "a file in your state folder.",
    )
