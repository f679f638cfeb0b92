"""The tally in Redis or Valkey, for workers of several machines (extra `redis`).

One script does everything: it tells the server's time and what is stored, and stores something new if nobody else has
meanwhile. So the rules stand in one place, `windows`, for all stores; a change that comes second is done again.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit
from uuid import uuid4

from ...core.clock import Clock
from ...core.errors import ConfigurationError, QuotaUnreachable
from ...core.redaction import redact, register_secret
from .state import LimiterState
from .stores import Shared, T, Work

logger = logging.getLogger("automatum")

PATIENCE = 10.0
"""Seconds for which a server that does not answer is asked again."""
TIMEOUT = 5.0
_PAUSE = 0.25
_SWAP = """
local time = redis.call('TIME')
local held = redis.call('HGET', KEYS[1], 'version') or ''
if #ARGV > 1 and held == ARGV[1] then
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'body', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {1, time[1], time[2], ARGV[2]}
end
if held == '' or held == ARGV[1] then
  return {0, time[1], time[2], held}
end
return {0, time[1], time[2], held, redis.call('HGET', KEYS[1], 'body')}
"""
_FORM = "Write redis://user:password@host:6379/0; in the password, / is %2F, # is %23, ? is %3F, @ is %40, [ is %5B."
SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")


class RedisStore(Shared):
    """A key of a Redis or Valkey server. Safe to share between threads and processes, also over a fork.

    Times are the server's. If it loses the key, each process brings back what it knows.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`; `valkey://` and `valkeys://` mean the same.
        name: Of the application's tally.
        clock: Time, for pauses.

    Raises:
        ConfigurationError: The extra is not installed, or the URL makes no sense.
    """

    def __init__(self, url: str, name: str, clock: Clock) -> None:
        try:
            import redis
        except ModuleNotFoundError:
            raise ConfigurationError(
                "extra redis", "sources.automatum.quota_url names a Redis server, and the package for it is not there.",
                "pip install 'dlt-source-automatum[redis]'",
            ) from None  # fmt: skip
        parts = _parts(url)
        for secret in (parts.password, *parse_qs(parts.query).get("password", ())):
            register_secret(secret)
            register_secret(unquote(secret or ""))
        self._where = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._key = f"automatum:quota:{name}"
        self._clock = clock
        super().__init__()
        self._tally, self._version, self._body = LimiterState(), "", b""
        self._stored = False
        self._lost: LimiterState | None = None
        try:
            self._client: Any = redis.Redis.from_url(
                _without_brand(url), socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
            )
        except ValueError as error:
            raise ConfigurationError("sources.automatum.quota_url", redact(str(error)), _FORM) from None
        self._script = self._client.register_script(_SWAP)

    def change(self, work: Work[T]) -> T:
        """See `Store.change`."""
        with self._lock:
            while True:
                self._read()
                self._tally.changed = self._lost is not None
                result = work(self._tally, self._now)
                if not self._tally.changed or self._swapped():
                    return result

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self) -> None:
        answer = self._call(self._version)
        version = answer[3].decode()
        if version and version != self._version:
            try:
                known, self._tally = self._tally, LimiterState.loads(answer[4])
                self._version, self._body = version, answer[4]
            except ValueError as error:
                raise QuotaUnreachable(
                    f"The key {self._key} at {self._where} cannot be read: {error}.",
                    "Use the same version on all machines, or delete the key.",
                ) from None
            if self._stored and known.born != self._tally.born:
                self._lost = known  # until what it knows is stored again
            self._stored = True
            if self._lost:
                self._tally.join(self._lost)
        elif not version:
            # One who brings the key back begins a new tally: others that know more have to see that it was lost.
            self._version, self._tally.born = "", LimiterState().born
        self._now = self._tally.now(int(answer[1]) + int(answer[2]) / 1e6)

    def _swapped(self) -> bool:
        following, body = uuid4().hex, self._tally.dumps()
        # What is said for longer than the windows are: a server that takes no bursts, a gate.
        ahead = max(self._tally.smooth_until, self._tally.gate) - self._now
        life = int(1000 * max(120.0, 2 * self._tally.longest, ahead))
        try:
            answer = self._call(self._version, following, body, life)
        except BaseException:
            self._forget()
            raise
        if answer[0] == 1 or answer[3].decode() == following:  # stored, though the first answer may have been lost
            self._version, self._body, self._stored, self._lost = following, body, True, None
            return True
        self._forget()
        return False

    def _forget(self) -> None:
        """What is in memory was not stored: read it anew. A version that nobody has makes the server send it."""
        self._tally, self._version = LimiterState.loads(self._body) if self._body else LimiterState(), "-"

    def _call(self, *arguments: Any) -> Any:
        end = self._clock.monotonic() + PATIENCE
        while True:
            try:
                return self._script(keys=[self._key], args=arguments)
            except self._errors as error:
                if self._clock.monotonic() >= end:
                    raise QuotaUnreachable(
                        f"The quota's server at {self._where} does not answer: {redact(str(error))}.",
                        "Without it, machines would exceed the limits together. Start it, or correct "
                        "sources.automatum.quota_url.",
                    ) from None
                logger.debug("the quota's server does not answer: %s", redact(str(error)))
                self._clock.sleep(_PAUSE)


def _parts(url: str) -> SplitResult:
    """The parts of a URL. Whatever is wrong with it, no part is shown: it may be one of the password's."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        # With a bare / # ? in the password, host and port end there, and the rest of it passes for a path.
        sound = "@" not in parts.path + parts.query + parts.fragment
    except ValueError:
        sound = False
    if not sound:
        raise ConfigurationError("sources.automatum.quota_url", "not the URL of a server.", _FORM)
    return parts


def _without_brand(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return {"valkey": "redis", "valkeys": "rediss"}.get(scheme, scheme) + mark + rest
