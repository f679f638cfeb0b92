"""Which store keeps the quota of an application."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

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
    """The quota of the application that the settings name, shared with all processes that use it.

    Args:
        settings: Resolved settings; `quota_url` says where it is kept.
        clock: Time.

    Raises:
        ConfigurationError: `quota_url` makes no sense, or names a file on a network file system.
    """
    store = _store(settings, clock)
    # After a crash, a request counts as under way for as long as it might have been.
    return RateLimiter(settings.app_limits(), settings.org_limits(), clock, store, 2 * settings.request_timeout)


def state_name(settings: AutomatumSettings) -> str:
    """What an application is called where its quota is kept: a hash of host and client id."""
    parts = urlsplit(settings.base_url)
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = (parts.hostname or "") + ("" if parts.port in (None, usual) else f":{parts.port}")
    named = f"{host}\n{settings.client_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _store(settings: AutomatumSettings, clock: Clock) -> Store:
    url, name = settings.quota_url, state_name(settings)
    if not url:
        path = platformdirs.user_state_path("automatum", appauthor=False) / f"quota-{name}.sqlite"
        try:
            return SqliteStore(path, clock)
        except ConfigurationError as error:
            # Nobody chose this file: say what is lacking, and go on.
            logger.warning("%s Until then this process counts its requests alone.", error)
            return MemoryStore(clock)
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        return MemoryStore(clock)
    if scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        # Redis keeps each application's tally under its name; a file holds one.
        url = insert_organization(_KEY, url, settings.organization)
        return SqliteStore(Path(url.removeprefix("sqlite:///")), clock)
    if scheme in SCHEMES:
        return RedisStore(url, name, clock)
    raise ConfigurationError(
        _KEY,
        "not a URL that can keep a quota.",
        "Write sqlite:////absolute/path.sqlite, redis://host:6379/0 (rediss:// for TLS) or memory://; leave it out for "
        "a file in your state folder.",
    )
