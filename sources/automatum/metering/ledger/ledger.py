"""The ledger: lines that were billed, may have been billed, or will be sent (I5).

Each line is recorded before it is sent, and no record is deleted. `sending` is on disk before the call, so a process
that dies leaves `unknown` lines, never unrecorded ones. Only one run can claim a line. A line that was accepted, or may
have been, is never claimed again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from ...core.clock import Clock
from ...core.errors import AutomatumError
from ..model import Line
from . import line_rows
from .database import LedgerDatabase
from .entries import Comparison
from .location import Owner
from .process_lock import lock_process
from .reader import LedgerReader
from .runs import Run


class Ledger:
    """An open ledger. Use it as a context manager, or close it.

    Attributes:
        database: Its database.
        reader: Reads what it holds.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self.database = database
        self.reader = LedgerReader(database)

    @classmethod
    def open(cls, url: str, clock: Clock, *, create: bool, owner: Owner | None = None) -> Ledger:
        """Open a ledger.

        Args:
            url: `sqlite:////path/to/file` or `postgresql://user:password@host/database`.
            clock: Clock of the times that it records.
            create: Create the file and the tables if they are missing. Without it a missing ledger reads as empty, and
                nothing is created.
            owner: Whose ledger it must be; None to check nothing.

        Raises:
            ConfigurationError: The database is of another kind, damaged, not a ledger, or of a later version; or it was
                moved, is a copy, or belongs to another owner. It is never replaced by an empty ledger.
            DestinationError: The database cannot be reached.
        """
        database = LedgerDatabase(url, clock, create=create)
        try:
            if owner:
                database.check_identity(owner)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def location(self) -> str:
        """Its file, or host and database; never with a password."""
        return self.database.location

    @property
    def exists(self) -> bool:
        """Whether it has been created."""
        return self.database.exists

    def compare(self, lines: Iterable[Line]) -> Comparison:
        """Compare lines with the ledger, without changing it.

        Raises:
            ValueError: Two of the lines have one id.
        """
        if not self.exists:
            return Comparison(new=tuple(lines))
        with self.database.read() as connection:
            return line_rows.compare(connection, lines)

    @contextmanager
    def run(self) -> Iterator[Run]:
        """A run that can send lines. Its process lock lasts until the block, or the process, ends.

        Lines that are still `sending` when the block ends become `unknown`.

        Raises:
            ConfigurationError: The ledger has not been created.
        """
        self.database.require_tables()
        run_id = str(uuid.uuid4())
        with lock_process(self.database, run_id) as process_lock:
            run = Run(self.database, process_lock, run_id)
            try:
                yield run
            except BaseException:
                # The first error is raised. If this write fails too, the next run recovers the lines.
                with suppress(AutomatumError):
                    run.end()
                raise
            run.end()

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
