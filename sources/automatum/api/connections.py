"""Connections to servers, kept open for the next request, through the proxies and with the certificates of the user.

It is a thin layer on urllib3. `requests` takes three times as long for a request on an open connection, because it
reads the environment and looks for the certificates each time (`docs/internals/decisions.md`).

The timeout of a socket bounds the silence between two bytes. A server that sends a header, or a `100 Continue`, every
few seconds would keep a request for ever, and so a run that was told to stop. So responses are read in slices.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url
from urllib3.util.ssl_ import create_urllib3_context

from ..core.errors import ConfigurationError
from ..core.network import is_loopback
from ..core.redaction import register_url

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name trusted certificates: a file or a folder. The first that is set counts; else those of certifi."""
_NO_RETRY = Retry(False)
_KEPT = 10
"""Connections to a host that are kept: one for each thread that reads at the same time."""
GRACE = 2.0
"""Seconds that a request may go on after the run was told to stop: most answers come in that time."""
_SLICE = 0.2
"""Seconds; the longest wait for a byte before the reading looks at its deadline."""
_local = threading.local()


@dataclass
class Exchange:
    """A request that this thread sends, and its end.

    Attributes:
        deadline: Reading of `time.monotonic` at which it ends.
        stopping: Whether the run was told to stop.
        connected: Whether the connection was ready to send the request: to the server and not just to a proxy, and
            after the handshake of TLS. If not, no byte of the request was sent.
        cut: Why its response was not read to the end; empty if it was.
        stop_at: Reading of `time.monotonic` at which it ends after the run was told to stop.
    """

    deadline: float
    stopping: Callable[[], bool]
    connected: bool = False
    cut: str = ""
    stop_at: float = float("inf")

    def check(self, now: float) -> None:
        """Raise `TimeoutError` if it is time to end."""
        if self.stop_at == float("inf") and self.stopping():
            self.stop_at = now + GRACE
        if now >= min(self.deadline, self.stop_at):
            self.cut = "the answer did not end in time" if now >= self.deadline else "the run was told to stop"
            raise TimeoutError(self.cut)


@contextlib.contextmanager
def exchange(seconds: float, stopping: Callable[[], bool]) -> Iterator[Exchange]:
    """Bound the request that this thread sends in the block: by real seconds, and soon after the run is to stop."""
    _local.exchange = Exchange(time.monotonic() + seconds, stopping)
    try:
        yield _local.exchange
    finally:
        _local.exchange = None


class _Reader(io.RawIOBase):
    """Reads a response in slices. It keeps the file of the socket, which keeps the socket open."""

    def __init__(self, sock: socket.socket, file: io.BufferedIOBase) -> None:
        self._sock, self._file, self._timeout = sock, file, sock.gettimeout() or float("inf")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began, current = time.monotonic(), _local.exchange
        while True:
            now = time.monotonic()
            current.check(now)
            left = began + self._timeout - now
            if self._sock.gettimeout() != min(_SLICE, left):
                self._sock.settimeout(max(0.001, min(_SLICE, left)))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                if left <= _SLICE:
                    raise

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Reader(sock, self.fp))


class _HttpConnection(HTTPConnection):
    response_class = _Response

    def connect(self) -> None:
        _local.exchange.connected = False
        super().connect()
        _local.exchange.connected = True

    def request(self, *args: Any, **options: Any) -> None:
        _local.exchange.connected = self.sock is not None
        super().request(*args, **options)
        _local.exchange.connected = True


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    """The same over TLS: `super()` in `_HttpConnection` is then `HTTPSConnection`."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class Connections(contextlib.AbstractContextManager["Connections"]):
    """Sends requests on connections that it keeps open. Thread-safe.

    The environment names proxies for https (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) and trusted certificates
    (`BUNDLES`). Certificates are always verified. It reads no `.netrc`, keeps no cookies, follows no redirect and
    repeats nothing.
    """

    def __init__(self) -> None:
        self._context = cache(_load_certificates)
        self._pools: dict[str, HTTPConnectionPool] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def fresh(self) -> Connections:
        """Others, of which none is open yet, with the same certificates."""
        others = Connections()
        others._context = self._context
        return others

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: Timeout
    ) -> BaseHTTPResponse:
        """Send a request and return the response when its headers are here. The caller reads and closes it.

        Raises:
            ConfigurationError: The environment names a proxy or certificates that cannot be used.
            urllib3.exceptions.HTTPError: There is no connection, or no response.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._open_pool(parse_url(origin))
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return pool.urlopen(
            method, target, headers=headers, body=body, timeout=timeout, retries=_NO_RETRY, redirect=False,
            assert_same_host=False, preload_content=False,
        )  # fmt: skip

    def close(self) -> None:
        """Close the open connections."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _open_pool(self, origin: Url) -> HTTPConnectionPool:
        # Plain HTTP is for this machine: a proxy would get the secret in the clear.
        secure = origin.scheme == "https"
        proxy = proxy_for((origin.host or "").strip("[]"), origin.port) if secure else None
        context = self._context() if secure else None
        manager: PoolManager
        if proxy is None:
            manager = PoolManager(maxsize=_KEPT, ssl_context=context)
        else:
            manager = ProxyManager(
                proxy._replace(auth=None).url, proxy_headers=_authorization(proxy), proxy_ssl_context=context,
                maxsize=_KEPT, ssl_context=context,
            )  # fmt: skip
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager.connection_from_host(origin.host, origin.port, origin.scheme)


def proxy_for(host: str, port: int | None) -> Url | None:
    """The proxy of a host (without brackets) and port; None to connect to the host itself.

    A host on loopback has no proxy, whatever the environment says: a proxy's loopback is another machine, which would
    get the secret.

    Raises:
        ConfigurationError: A variable names a proxy that cannot be used.
    """
    proxies = getproxies()
    name = "https" if proxies.get("https") else "all"
    named = proxies.get(name)
    if not named or is_loopback(host) or proxy_bypass(f"{host}:{port}" if port and ":" not in host else host):
        return None
    url = named if "://" in named else f"http://{named}"
    register_url(url)
    try:
        proxy = parse_url(url)
    except ValueError:
        proxy = Url()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise ConfigurationError(
            f"{name}_proxy".upper(),
            f"names a proxy that cannot be used: {proxy.scheme or 'it is not a URL'}.",
            f"Name an HTTP proxy (http://proxy.example.com:3128), or list {host} in NO_PROXY.",
        )
    return proxy


def _authorization(proxy: Url) -> dict[str, str] | None:
    if not proxy.auth:
        return None
    user, _, password = proxy.auth.partition(":")
    return make_headers(proxy_basic_auth=f"{unquote(user)}:{unquote(password)}")


def _load_certificates() -> ssl.SSLContext:
    context = create_urllib3_context()
    name = next((name for name in BUNDLES if os.environ.get(name)), "")
    path = Path(os.environ[name] if name else certifi.where())
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except OSError as error:
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigurationError(
            name or "certifi",
            f"trusted certificates cannot be read from {path}: {reason}.",
            "Name a file with certificates in PEM form, or unset the variable.",
        ) from None
    return context
