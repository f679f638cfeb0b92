"""Opens the rate limiter of an application, with the store that `quota_url` names."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import platformdirs

from ...config.base_url import host_key
from ...config.organizations import insert_organization
from ...config.settings import AutomatumSettings
from ...core.clock import Clock
from ...core.errors import ConfigurationError
from .limiter import RateLimiter
from .redis import SCHEMES, RedisStore
from .sqlite import SqliteStore
from .stores import MemoryStore, Store

logger = logging.getLogger("automatum")

_KEY = "sources.automatum.quota_url"


def open_rate_limiter(settings: AutomatumSettings, clock: Clock) -> RateLimiter:
    """Open the rate limiter that all processes of the OAuth application share.

    Args:
        settings: Resolved settings; `quota_url` names the store.
        clock: Time.

    Raises:
        ConfigurationError: `quota_url` is not valid, or names a file on a network file system.
    """
    store = _store(settings, clock)
    # After a crash, a request counts as pending for as long as its response could take.
    return RateLimiter(settings.app_limits(), settings.org_limits(), clock, store, 2 * settings.request_timeout)


def learned_limits(settings: AutomatumSettings, clock: Clock) -> list[dict[str, Any]]:
    """What was learned about the server's limits (see `learned.learned_rows`), without making a file.

    Args:
        settings: Resolved settings, with the client id.
        clock: Time.

    Raises:
        ConfigurationError: `quota_url` is not valid.
        QuotaUnreachable: The server that keeps the state does not answer.
    """
    limiter = open_rate_limiter(settings, clock)
    try:
        return limiter.learned() if limiter.has_state() else []
    finally:
        limiter.close()


def state_name(settings: AutomatumSettings) -> str:
    """Name of the application in the store: a hash of host, path and client id."""
    named = f"{host_key(settings.base_url)}\n{settings.client_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _store(settings: AutomatumSettings, clock: Clock) -> Store:
    url, name = settings.quota_url, state_name(settings)
    if not url:
        path = platformdirs.user_state_path("automatum", appauthor=False) / f"quota-{name}.sqlite"
        try:
            return SqliteStore(path, clock)
        except ConfigurationError as error:
            # The user did not choose this file, so warn and continue.
            logger.warning("%s Until then this process counts its requests alone.", error)
            return MemoryStore(clock)
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryStore(clock)
    if scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        # A file holds the state of one application; Redis has a key for each.
        url = insert_organization(_KEY, url, settings.organization)
        return SqliteStore(Path(url.removeprefix("sqlite:///")), clock)
    if scheme in SCHEMES:
        return RedisStore(url, name, clock)
    raise ConfigurationError(
        _KEY,
        "not the URL of a store for request counts.",
        "Write sqlite:////absolute/path.sqlite, redis://host:6379/0 (rediss:// for TLS) or memory://; leave it out for "
        "a file in your state folder.",
    )
