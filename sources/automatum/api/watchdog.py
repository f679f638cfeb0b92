"""Ends a request that hangs, by closing its connection: at its deadline, or soon after the run was told to stop.

A socket's timeout bounds the silence between two bytes. A server that sends a header, or a `100 Continue`, every few
seconds would keep a request for ever, and so a run that was told to stop.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

GRACE = 2.0
"""Seconds that a request may go on after the run was told to stop: most answers come in that time."""
_POLL = 0.2

_local = threading.local()


@dataclass(eq=False)
class Watch:
    """One request under watch.

    Attributes:
        deadline: Reading of `time.monotonic` at which it ends.
        stopping: Whether the run was told to stop.
        connection: The connection that it uses, once there is one.
        sock: Its socket, which a connection that will be closed leaves to the response.
        connected: Whether the connection was ready to send the request: to the server and not just to a proxy, and
            after the handshake of TLS. If not, no byte of the request was sent.
        cut: Why it was ended; empty if it was not.
        stop_at: Reading of `time.monotonic` at which it ends after the run was told to stop.
    """

    deadline: float
    stopping: Callable[[], bool]
    connection: Any = None
    sock: Any = None
    connected: bool = False
    cut: str = ""
    stop_at: float = field(default=float("inf"))

    def look(self, now: float) -> None:
        """End the request if it is time; again at each look, because it may have opened another connection."""
        if self.stop_at == float("inf") and self.stopping():
            self.stop_at = now + GRACE
        if now >= min(self.deadline, self.stop_at):
            late = now >= self.deadline
            self.cut = self.cut or ("the answer did not end in time" if late else "the run was told to stop")
            self.sock = getattr(self.connection, "sock", None) or self.sock
            if self.sock is not None:
                with contextlib.suppress(OSError, ValueError):
                    self.sock.shutdown(socket.SHUT_RDWR)  # Unlike close(), this wakes the thread that reads.


class Watcher:
    """The thread that looks at all requests of the process; it sleeps while there are none."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin again, without a thread. After a fork, threads are gone, and one of them may have held the lock."""
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = False
        self._over = False

    def end(self) -> None:
        """End the thread: one that is alive at the end of the process keeps DuckDB from freeing what it holds."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(1.0)
        self._thread = None

    def add(self, watch: Watch) -> None:
        """Look at a request from now on."""
        with self._changed:
            if self._thread is None:
                self._over = False
                self._thread = threading.Thread(target=self._run, name="automatum-watchdog", daemon=True)
                self._thread.start()
            self._watches.add(watch)
            # While there are requests, the thread looks for new ones by itself. To wake it for each one would cost
            # more than the rest of a request: it takes the interpreter's lock.
            if self._idle:
                self._changed.notify()

    def remove(self, watch: Watch) -> None:
        """Look at a request no longer."""
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._watches and not self._over:
                    self._idle = True
                    self._changed.wait()
                self._idle = False
                if self._over:
                    return
                watches = tuple(self._watches)
            now = time.monotonic()
            for one in watches:
                one.look(now)
            with self._changed:
                if not self._over:
                    self._changed.wait(_POLL)


_watcher = Watcher()
atexit.register(_watcher.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watcher.begin)


@contextlib.contextmanager
def watched(seconds: float, stopping: Callable[[], bool]) -> Iterator[Watch]:
    """Watch the request that this thread sends in the block.

    Args:
        seconds: Real seconds after which it is ended.
        stopping: Whether the run was told to stop.
    """
    watch = Watch(time.monotonic() + seconds, stopping)
    _local.watch = watch
    _watcher.add(watch)
    try:
        yield watch
    finally:
        _watcher.remove(watch)
        _local.watch = None


def _note(connection: Any, connected: bool) -> None:
    watch = getattr(_local, "watch", None)
    if watch is not None:
        watch.connection, watch.sock, watch.connected = connection, connection.sock, connected


class _HttpConnection(HTTPConnection):
    def connect(self) -> None:
        _note(self, connected=False)
        super().connect()
        _note(self, connected=True)

    def request(self, *args: Any, **options: Any) -> None:
        _note(self, connected=self.sock is not None)
        super().request(*args, **options)
        _note(self, connected=True)


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    """The same over TLS: `super()` in `_HttpConnection` is then `HTTPSConnection`."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


WATCHED_POOLS = {"http": _HttpPool, "https": _HttpsPool}
"""Classes of urllib3's pools, by scheme, whose connections a `watched` block can end."""
