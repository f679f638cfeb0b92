"""The store in Redis or Valkey, for workers on several machines (extra `redis`).

One script reads the server's time and the stored state, and stores a new state if no other process has changed it
meanwhile. The rules stay in `windows`, as for every store. A change that lost the race is applied again.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ...config.plaintext import refuse_plaintext
from ...core.clock import Clock
from ...core.errors import ConfigurationError, ServerUnreachable
from ...core.extras import install_command
from ...core.redaction import redact, register_url
from .state import LimiterState
from .stores import Store

logger = logging.getLogger("automatum")

RETRY_SECONDS = 10.0
"""Seconds for which a server that does not answer is retried."""
TIMEOUT = 5.0
_PAUSE = 0.25
_SWAP = """
local time = redis.call('TIME')
local stored = redis.call('HGET', KEYS[1], 'version') or ''
if #ARGV > 1 and stored == ARGV[1] then
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'body', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {1, time[1], time[2], ARGV[2]}
end
if stored == '' or stored == ARGV[1] then
  return {0, time[1], time[2], stored}
end
return {0, time[1], time[2], stored, redis.call('HGET', KEYS[1], 'body')}
"""
_FORM = "Write redis://user:password@host:6379/0; in the password, / is %2F, # is %23, ? is %3F, @ is %40, [ is %5B."
SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")


class RedisStore(Store):
    """A store in a key of a Redis or Valkey server. Safe for threads and processes.

    The times are those of the server. If the server loses the key, the next change stores what its process knows.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`; `valkey://` and `valkeys://` mean the same.
        name: Name of the application.
        clock: Time, for pauses.

    Raises:
        ConfigurationError: The extra is not installed, or the URL is not valid.
    """

    def __init__(self, url: str, name: str, clock: Clock) -> None:
        try:
            import redis
        except ModuleNotFoundError:
            raise ConfigurationError(
                "sources.automatum.quota_url", "names a Redis server, and the package redis is not installed.",
                install_command("redis"),
            ) from None  # fmt: skip
        register_url(url)
        parts = _parts(url)
        if parts.scheme in ("redis", "valkey"):
            refuse_plaintext(parts.hostname, "sources.automatum.quota_url", "Use rediss:// (or valkeys://).")
        self._where = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._key = f"automatum:quota:{name}"
        super().__init__(clock)
        named = url.replace("valkey", "redis", 1) if parts.scheme.startswith("valkey") else url
        try:
            self._client: Any = redis.Redis.from_url(named, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        except ValueError as error:
            raise ConfigurationError("sources.automatum.quota_url", redact(str(error)), _FORM) from None
        self._script = self._client.register_script(_SWAP)

    def _disconnect(self) -> None:
        self._client.close()

    def _read(self, known: str) -> tuple[float, str, bytes | None]:
        _, seconds, micros, version, *body = self._call(known)
        return int(seconds) + int(micros) / 1e6, version.decode(), body[0] if body else None

    def _parse(self, body: bytes) -> LimiterState:
        try:
            return super()._parse(body)
        except ValueError as error:
            raise ServerUnreachable(
                f"The key {self._key} at {self._where} cannot be read: {error}.",
                "Use the same version on all machines, or delete the key.",
            ) from None

    def _swap(self, known: str, version: str, body: bytes) -> bool:
        # A block may outlast the longest window.
        ahead = self._state.blocked_until - self._state.last
        answer = self._call(known, version, body, int(1000 * max(120.0, 2 * self._state.longest, ahead)))
        # If it is stored in any case, the first response was lost.
        return bool(answer[0] == 1) or answer[3].decode() == version

    def _call(self, *arguments: Any) -> Any:
        end = self._clock.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._script(keys=[self._key], args=arguments)
            except self._errors as error:
                if self._clock.monotonic() >= end:
                    raise ServerUnreachable(
                        f"The Redis server at {self._where} (quota_url) does not answer: {redact(str(error))}.",
                        "No request is sent, as machines could exceed the rate limits together. Start the server, or "
                        "correct sources.automatum.quota_url.",
                    ) from None
                logger.debug("the Redis server does not answer: %s", redact(str(error)))
                self._clock.sleep(_PAUSE)


def _parts(url: str) -> SplitResult:
    """The parts of the URL. An error shows no part of it, because any part may belong to the password."""
    with suppress(ValueError):
        parts = urlsplit(url)
        _ = parts.port
        # A plain / # ? in the password ends host and port, and the rest of the password looks like a path.
        if "@" not in parts.path + parts.query + parts.fragment:
            return parts
    raise ConfigurationError("sources.automatum.quota_url", "not the URL of a server.", _FORM)
