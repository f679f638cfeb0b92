"""One writer (I7): an OS lock for each pipeline and each DuckDB file, and a look at who holds the file itself.

The lock is the operating system's, so that it goes when its holder goes, in whatever way. Who holds it is written down
beside it, for the message of those who wait. A notebook knows nothing of our locks; DuckDB itself then refuses, and
names the process.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from .budget import Budget
from .clock import Clock, instant
from .errors import Busy, ConfigurationError

WAIT = 60.0
"""Seconds that a run waits for another by default: longer than a notebook's query, shorter than a cron's patience."""
POLL = 0.25
_WAIT_LONGER = "Run again when it has ended, or wait longer (--lock-wait SECONDS)."


@contextlib.contextmanager
def exclusive_lock(path: Path, what: str, role: str, *, wait: float, clock: Clock, budget: Budget) -> Iterator[None]:
    """Hold a lock for as long as the block takes.

    Args:
        path: The lock's file; beside it lies who holds it.
        what: What is locked, for the message.
        role: What the holder does, for the message of those who wait.
        wait: Seconds to wait for it.
        clock: Time.
        budget: Bounds of the run, which also end the wait.

    Raises:
        Busy: Another holds it for longer than that.
        BudgetSpent: The run was told to stop, or its time is over.
        ConfigurationError: The folder cannot be written to.
    """
    lock = FileLock(path)
    deadline = clock.monotonic() + wait
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                if clock.monotonic() >= deadline:
                    raise Busy(f"{what} is in use by {_holder(path)}.", _WAIT_LONGER) from None
                budget.pause(min(POLL, max(0.001, deadline - clock.monotonic())))
    except OSError as error:
        raise ConfigurationError(
            str(path.parent), f"no lock can be made there: {error.strerror}.", "Name a folder that can be written to."
        ) from None
    note = _note(path)
    try:
        _write_down(note, role, clock)
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


def _write_down(note: Path, role: str, clock: Clock) -> None:
    holder = {"pid": os.getpid(), "host": platform.node(), "role": role, "since": instant(clock.time())}
    # Nobody needs it but for a message; a full disk shows elsewhere.
    with contextlib.suppress(OSError):
        note.write_bytes(orjson.dumps(holder))


def _holder(path: Path) -> str:
    try:
        one = orjson.loads(_note(path).read_bytes())
        return f"{one['role']}, process {one['pid']} on {one['host']}, since {one['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
