"""What commands open, and the signals that end them."""

from __future__ import annotations

import _thread
import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.defaults import DUCKDB, LOCK_WAIT
from ..core.errors import Busy
from . import console

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..api.session import ApiSession
    from ..config.settings import AutomatumSettings
    from ..warehouse.duckdb_file import KeepOpen
    from ..warehouse.target import Target

READ_WAIT = 10.0
"""Seconds that a status waits for a program that writes to the DuckDB file: longer than a sync keeps it for a chunk."""

LOOK_WAIT = 90.0
"""Seconds that a check and `apps` wait for the rate limit: its minute may be full, and a person looks on."""
_READ_MEANWHILE = "Close it there, or let each sync make a copy (--read-copy FILE), which a status then reads."


def target_of(given: Mapping[str, Any]) -> Target:
    """The destination of the options `--destination`, `--dataset` and `--database`."""
    from ..warehouse.target import Target

    return Target(given["destination"], given["dataset"], given["database"])


def settings_of(given: Mapping[str, Any], with_credentials: bool = False) -> AutomatumSettings:
    """The settings, of the organization that the option `--organization` names."""
    from ..config.settings import resolve_settings

    return resolve_settings(with_credentials=with_credentials, organization=given.get("organization"))


def connect(given: Mapping[str, Any]) -> ApiSession:
    """A session for a command that a person looks on."""
    from ..api.session import connect

    settings = settings_of(given, with_credentials=True)
    return connect(settings, stop=stop_on_signals(), max_wait=LOOK_WAIT)


def open_existing(target: Target, lock_wait: float, stop: threading.Event | None = None) -> SupportsPipeline:
    """A pipeline for queries on the destination; `stop` ends a wait for the DuckDB file. See `Target.existing`."""
    clock = SystemClock(stop)
    return target.existing(clock, Budget(clock, stop=stop), lock_wait, read_only=True)


def prepare_for_rows(target: Target) -> None:
    """Keep packages out of this process that Arrow and dlt would import although no command uses them."""
    from ..core.process import arrow_without_pandas
    from ..warehouse.dlt_internals import print_paths_without_sqlalchemy

    arrow_without_pandas()
    if target.destination == DUCKDB:
        print_paths_without_sqlalchemy()


@contextlib.contextmanager
def read_existing(target: Target) -> Iterator[tuple[SupportsPipeline, Path | None]]:
    """A pipeline for queries on a dataset that exists, all by one connection.

    While another program writes to the DuckDB file, its read copy is used, if a sync has made one.

    Yields:
        The pipeline, and the copy that it reads; None for the destination itself.

    Raises:
        Busy: Another program has the DuckDB file open for longer than `READ_WAIT`.
        ConfigurationError: The file or the dataset does not exist.
        DestinationError: The destination cannot be reached.
    """
    from ..warehouse.dataset import check_dataset
    from ..warehouse.duckdb_file import find_copy, open_when_free
    from ..warehouse.sql_client import one_client

    clock, copy = SystemClock(), None
    with contextlib.ExitStack() as stack:

        def keep_open(file: Path, wait: float) -> None:
            # Until the end: a sync that is under way would take the file again before the first query.
            opened = open_when_free(file, wait=wait, clock=clock, budget=Budget(clock), read_only=True)
            stack.enter_context(contextlib.closing(opened))

        file = None if target.missing else target.file
        if file:
            try:
                keep_open(file, 0.0)
            except Busy:
                if copy := find_copy(file):
                    target = dataclasses.replace(target, database=copy)
                try:
                    keep_open(copy or file, READ_WAIT)
                except Busy as error:
                    raise Busy(error.message, _READ_MEANWHILE) from None
        pipeline = open_existing(target, 0.0)
        stack.enter_context(one_client(pipeline))
        check_dataset(pipeline)
        yield pipeline, copy


@contextlib.contextmanager
def write_existing(target: Target, role: str) -> Iterator[tuple[SupportsPipeline, KeepOpen]]:
    """A pipeline for a dataset that exists, while no other run writes to it.

    Args:
        target: The destination.
        role: What others are told that has it.

    Raises:
        Busy: Another program has the DuckDB file open for longer than `LOCK_WAIT`.
        ConfigurationError: The dataset does not exist.
        DestinationError: The destination cannot be reached.
    """
    from ..warehouse.dataset import check_dataset
    from ..warehouse.sql_client import one_client

    clock = SystemClock()
    with target.exclusive_writer(role, clock, Budget(clock), LOCK_WAIT) as keep_open:
        pipeline = target.existing(clock, Budget(clock), LOCK_WAIT)
        with one_client(pipeline):
            check_dataset(pipeline)
            yield pipeline, keep_open


def stop_on_signals(announce: bool = True) -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets: the run ends at the next page, loads its rows and exits 75.

    Use it only where something looks at the event. The second signal interrupts at once.

    Args:
        announce: Say so in a terminal, where somebody has pressed Ctrl-C.
    """
    stop = threading.Event()
    received = False

    def end() -> None:
        stop.set()
        if announce and console.err.is_terminal:
            console.say_line("Ending cleanly, and keeping what was done. Ctrl-C again ends at once.", trouble=True)

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            raise KeyboardInterrupt
        received = True
        # The signal may have interrupted `stop.wait()` in this thread while it had the lock of the event. To set the
        # event here would then wait for that lock forever.
        _thread.start_new_thread(end, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, receive)
    return stop
