"""The interface of the stores of the limiter's state, and the store in memory."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from ...core.clock import Clock
from .state import LimiterState

T = TypeVar("T")
Work = Callable[[LimiterState, float], T]
"""Changes the state at a time. A store may call it again on a newer state, so it has no other effect."""


class Store(ABC):
    """Keeps one state for all processes of an OAuth application.

    It makes a fork of the process safe: the fork waits for a running change, and the store disconnects before it. A
    lock that another thread holds at the fork stays locked in the child for ever. And a SQLite connection must not
    cross a fork: the child would share the parent's file locks, and its writes would be lost.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        _instances.add(self)

    @abstractmethod
    def change(self, work: Work[T]) -> T:
        """Apply `work` to the state, atomically, and store the state if it has `changed`.

        Raises:
            QuotaUnreachable: The server that keeps the state does not answer.
        """

    def close(self) -> None:
        """Close files and connections."""
        with self._lock:
            self.disconnect()

    def disconnect(self) -> None:  # noqa: B027  most stores have nothing to close
        """Close what two processes must not share. The caller holds the lock."""


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


class MemoryStore(Store):
    """A store for one process. Thread-safe.

    Args:
        clock: Time. The store uses the monotonic clock, which does not change when the machine's clock is set.
        state: Initial state.
    """

    def __init__(self, clock: Clock, state: LimiterState | None = None) -> None:
        super().__init__(clock)
        self._state = state or LimiterState()

    def change(self, work: Work[T]) -> T:
        """See `Store.change`."""
        with self._lock:
            return work(self._state, self._state.now(self._clock.monotonic()))
