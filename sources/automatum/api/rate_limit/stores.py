"""Where a tally lives: what every store does, and the one in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar
from weakref import WeakSet

from ...core.clock import Clock
from .state import LimiterState

T = TypeVar("T")
Work = Callable[[LimiterState, float], T]
"""Something done to a tally at a time of its clock. It may be done again on a newer tally, so it does nothing else."""


class Shared:
    """What a store does when its process forks: it waits for the change at hand, and lets go of its file.

    In the child, nobody would ever open a lock that a thread of the parent holds. And a child of SQLite's takes its
    parent's locks on the file for its own, so that what it writes is lost when the parent closes the file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _shared.add(self)

    def let_go(self) -> None:
        """Close what must not be open in two processes; called with the lock held."""


_shared: WeakSet[Shared] = WeakSet()
_forking = threading.Lock()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    _forking.acquire()
    for one in list(_shared):
        one._lock.acquire()
        _held.append(one._lock)
        one.let_go()


def _after_fork() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class Store(Protocol):
    """Keeps one tally for all that share an application."""

    def change(self, work: Work[T]) -> T:
        """Do something to the tally, as if nobody else were there.

        Raises:
            QuotaUnreachable: The tally can neither be had nor done without.
        """

    def close(self) -> None:
        """Let go of files and connections."""


class MemoryStore(Shared):
    """For one process. Safe to share between threads.

    Args:
        clock: Time; readings are monotonic, so that setting the machine's clock changes nothing.
        tally: What is known already.
    """

    def __init__(self, clock: Clock, tally: LimiterState | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._tally = tally or LimiterState()

    def change(self, work: Work[T]) -> T:
        """See `Store.change`."""
        with self._lock:
            return work(self._tally, self._tally.now(self._clock.monotonic()))

    def close(self) -> None:
        """Nothing to let go of."""
