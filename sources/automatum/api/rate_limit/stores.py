"""The store of the limiter's state, in memory; the base class of those in a file and in Redis."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from secrets import randbits
from typing import TypeVar
from weakref import WeakSet

from ...core.clock import Clock
from .state import LimiterState

T = TypeVar("T")
Work = Callable[[LimiterState, float], T]
"""Changes the state at a time. It is called again if another process was faster, so it has no other effect."""
_UNKNOWN = "-"
"""A version that is never stored."""


class Store:
    """Keeps one state, here for the threads of this process. Subclasses share it with other processes.

    The state is read, changed, and stored if nobody else has changed it meanwhile; else this begins again.

    It makes a fork of the process safe: the fork waits for a running change, and the store disconnects before it. A
    lock that another thread holds at the fork stays locked in the child for ever. And a SQLite connection must not
    cross a fork: the child would share the parent's file locks, and its writes would be lost.

    Args:
        clock: Time. Here and in files it is the monotonic clock, which does not change when the machine's clock is set.
        state: Initial state.
    """

    def __init__(self, clock: Clock, state: LimiterState | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._state, self._version, self._body = state or LimiterState(), "", b""
        _instances.add(self)

    def change(self, work: Work[T]) -> T:
        """Change the state atomically and return the result of `work`, which sets `changed` if it is to be stored.

        Raises:
            QuotaUnreachable: The server that keeps the state does not answer.
        """
        with self._lock:
            while True:
                known = False
                try:
                    now = self._refresh()
                    self._state.changed = False
                    result = work(self._state, now)
                    known = not self._state.changed or self._save()
                    if known:
                        return result
                finally:
                    if not known:  # What is in memory may be half changed.
                        self._state = LimiterState.loads(self._body) if self._body else LimiterState()
                        self._version = _UNKNOWN

    def close(self) -> None:
        """Close files and connections."""
        with self._lock:
            self.disconnect()

    def disconnect(self) -> None:
        """Close what two processes must not share. The caller holds the lock."""

    def _refresh(self) -> float:
        reading, version, body = self._read(self._version)
        if body is not None:
            self._state, self._version, self._body = self._parse(body), version, body
        elif not version:
            self._version = ""  # It was lost: what this process knows is stored with the next change.
        return self._state.now(reading)

    def _save(self) -> bool:
        version, body = str(randbits(62)), self._state.dumps()
        stored = self._swap(self._version, version, body)
        if stored:
            self._version, self._body = version, body
        return stored

    def _parse(self, body: bytes) -> LimiterState:
        return LimiterState.loads(body)

    def _read(self, known: str) -> tuple[float, str, bytes | None]:
        """A reading of the clock, the stored version (empty for none), and the body if the version is not known."""
        return self._clock.monotonic(), known, None

    def _swap(self, known: str, version: str, body: bytes) -> bool:
        """Store a version in place of the one that is known; False if another one is stored."""
        return True


_instances: WeakSet[Store] = WeakSet()
_forking = threading.Lock()
_locks: list[threading.Lock] = []


def _before_fork() -> None:
    _forking.acquire()
    for one in list(_instances):
        one._lock.acquire()
        _locks.append(one._lock)
        one.disconnect()


def _after_fork() -> None:
    while _locks:
        _locks.pop().release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
