"""One writer (I7): an exclusive lock of the operating system for each pipeline and each DuckDB file.

The operating system releases the lock when the process ends, however it ends. A file beside the lock names its owner,
for the message of the processes that wait. A notebook takes no such lock: DuckDB itself refuses a second program and
names the process (see `warehouse.duckdb_file`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from .budget import Budget
from .clock import Clock, instant
from .errors import Busy
from .private_files import writing

logger = logging.getLogger("automatum")

POLL = 0.25
WAIT_LONGER = "Run again when it has ended. A sync or push can wait longer (--lock-wait SECONDS)."


class Waiting:
    """A bounded wait for what another process uses. It is logged when it begins, so that nobody takes it for a hang.

    Args:
        what: What the wait is for, such as `The DuckDB file x.duckdb`.
        wait: Seconds to wait at most.
        clock: Time.
        budget: Limits of the run; they also end the wait.
    """

    def __init__(self, what: str, wait: float, clock: Clock, budget: Budget) -> None:
        self._what, self._wait, self._clock, self._budget = what, wait, clock, budget
        self._deadline = clock.monotonic() + wait
        self._logged = False

    def pause(self, in_use: str, next_step: str = WAIT_LONGER) -> None:
        """Sleep until the next attempt. The first pause logs the wait.

        Args:
            in_use: Who uses it, such as `is open in process 7`.
            next_step: What to do when the wait is over, for the error message.

        Raises:
            Busy: The time to wait is over.
            BudgetSpent: The run was told to stop, or its time is over.
        """
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise Busy(f"{self._what} {in_use}.", next_step)
        if not self._logged:
            self._logged = True
            until = instant(self._clock.time() + left)
            logger.info("%s %s. Waiting for it until %s (--lock-wait %g).", self._what, in_use, until, self._wait)
        self._budget.pause(min(POLL, left))


@contextlib.contextmanager
def exclusive_lock(
    path: Path,
    what: str,
    role: str,
    *,
    wait: float,
    clock: Clock,
    budget: Budget,
    next_step: str = WAIT_LONGER,
) -> Iterator[None]:
    """Hold an exclusive lock while the block runs.

    Args:
        path: The lock file. The file `<path>.holder` names the process that holds it.
        what: What is locked, for the error message.
        role: What this process does, for the error message of other processes.
        wait: Seconds to wait for the lock.
        clock: Time.
        budget: Limits of the run; they also end the wait.
        next_step: What to do when the wait is over, for the error message.

    Raises:
        Busy: Another process held the lock for longer than `wait`.
        BudgetSpent: The run was told to stop, or its time is over.
        ConfigurationError, DiskFull: The folder cannot be written.
    """
    lock = FileLock(path)
    waiting = Waiting(what, wait, clock, budget)
    with writing(str(path.parent), "the lock file cannot be created", "Name a folder that is writable."):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                waiting.pause(f"is in use by {_owner(path)}", next_step)
    note = _note(path)
    owner = {"pid": os.getpid(), "host": platform.node(), "role": role, "since": instant(clock.time())}
    try:
        # The file only serves a message, and a full disk is reported elsewhere. It is deleted and created again: in a
        # shared folder, another user may have put a link at its name.
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
            with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
                file.write(orjson.dumps(owner))
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


def _owner(path: Path) -> str:
    try:
        owner = orjson.loads(_note(path).read_bytes())
        return f"{owner['role']}, process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
