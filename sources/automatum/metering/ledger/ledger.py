"""The ledger: lines that were billed, may have been billed, or will be sent (I5).

Each line is recorded before it is sent, and no record is deleted. `sending` is on disk before the call, so a process
that dies leaves `unknown` lines, never unrecorded ones. Only one run can claim a line. A line that was accepted, or may
have been, is never claimed again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from ...core.clock import Clock
from ...core.errors import AutomatumError
from ..model import Line
from . import planning
from .attempts import accepted_once
from .database import LedgerDatabase
from .decision_log import NOBODY, Author, DecisionLog
from .entries import AttemptEntry, Comparison, Entry, to_attempt, to_entry
from .holds import BY_DECISION, count_on_hold, release
from .location import Owner
from .moves import move
from .process_lock import lock_process
from .runs import Run
from .states import STATES, UNRESOLVED, State, Transition
from .tables import ATTEMPTS, EVENTS, LINES, REFUSALS

_PAGE = 1000


class Ledger:
    """An open ledger. Use it as a context manager, or close it.

    Attributes:
        database: Its database.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self.database = database

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
            return planning.compare(connection, lines)

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

    def retry(
        self, line_ids: Collection[str] | None = None, *, expired: bool = False, author: Author = NOBODY
    ) -> tuple[str, ...]:
        """Plan rejected lines again, with the units in the ledger; never lines that may have been billed.

        A line stays as it is if lines of the other grain with the same key and date were sent meanwhile.

        Args:
            line_ids: Ids of the lines; None for all that the API never accepted.
            expired: Also plan expired lines.
            author: Who decides, and why.

        Returns:
            Ids of the lines that are `planned` now.
        """
        if not self.exists:
            return ()
        transitions: list[tuple[State, Transition]] = [("rejected", Transition.RETRY)]
        if expired:
            transitions.append(("expired", Transition.RETRY_EXPIRED))
        with self.database.write() as connection:
            log = DecisionLog(connection, self.database.now(), author)
            moved: list[str] = []
            for state, transition in transitions:
                wanted = list(connection.scalars(_ids_in(state)) if line_ids is None else line_ids)
                once = accepted_once(connection, wanted) if line_ids is None else set()
                entries = planning.fetch(connection, [id_ for id_ in wanted if id_ not in once]).values()
                free = planning.free_of_other_grain(connection, [entry for entry in entries if entry.state == state])
                values = {"planned_at": self.database.now(), "settled_at": None, "settled_by": None, "error": None}
                before = {line_id: log.snapshot(line_id) for line_id in free}
                for line_id in move(connection, transition, free, values):
                    log.record_line(before[line_id], "retry", transition.after)
                    moved.append(line_id)
            # The usage of the next push need not contain them: a person has decided.
            entries = planning.fetch(connection, moved).values()
            release(connection, entries, self.database.now(), author.by, BY_DECISION)
        return tuple(moved)

    def lines(
        self, states: Collection[State] | None = None, starts_in: tuple[datetime, datetime] | None = None
    ) -> Iterator[Entry]:
        """Entries in the order of their ids, read in pages.

        Args:
            states: States to include; None for all.
            starts_in: Earliest start of an hour or day, and the moment before which it must be; None for all.
        """
        condition: list[ColumnElement[bool]] = [] if states is None else [LINES.c.state.in_(list(states))]
        if starts_in is not None:
            condition += [LINES.c.starts_at >= starts_in[0], LINES.c.starts_at < starts_in[1]]
        for row in self._pages(LINES, ("line_id",), select(LINES).where(*condition)):
            yield to_entry(row)

    def line_ids(self, state: State) -> list[str]:
        """Ids of all lines in a state."""
        if not self.exists:
            return []
        with self.database.read() as connection:
            return list(connection.scalars(_ids_in(state)))

    def fetch(self, line_ids: Collection[str]) -> dict[str, Entry]:
        """Entries by id, without the ids that are not in the ledger."""
        if not self.exists:
            return {}
        with self.database.read() as connection:
            return planning.fetch(connection, list(line_ids))

    def attempts(self) -> Iterator[AttemptEntry]:
        """Each line of each call, in the order of the calls, read in pages."""
        for row in self._pages(ATTEMPTS, ("attempt_id", "line_id"), select(ATTEMPTS)):
            yield to_attempt(row)

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that have settled lines: one row for each event and line, read in pages."""
        for row in self._pages(EVENTS, ("event_key", "attempt_id", "line_id"), select(EVENTS)):
            yield dict(row)

    def counts(self) -> dict[State, int]:
        """Number of lines in each state, including states without lines."""
        counted: dict[State, int] = dict.fromkeys(STATES, 0)
        if self.exists:
            with self.database.read() as connection:
                found = connection.execute(select(LINES.c.state, func.count()).group_by(LINES.c.state)).all()
            counted |= {state: number for state, number in found}  # noqa: C416  a Row is no pair to mypy
        return counted

    def unresolved(self) -> dict[str, int]:
        """Number of lines in each state that waits for a decision, on hold, and of open refusals; only what there is.

        As long as this is not empty, money may be missing on an invoice, or be there twice.
        """
        counted = self.counts()
        found: dict[str, int] = {state: counted[state] for state in UNRESOLVED}
        if self.exists:
            with self.database.read() as connection:
                open_ = select(func.count()).select_from(REFUSALS).where(REFUSALS.c.closed_at.is_(None))
                found["on_hold"] = count_on_hold(connection)
                found["refused"] = connection.scalar(open_) or 0
        return {name: number for name, number in found.items() if number}

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _pages(self, table: Table, keys: tuple[str, ...], query: Select[Any]) -> Iterator[Any]:
        """Rows by key. Each page is a separate transaction, so that a slow reader does not block writers."""
        last: Any = None
        while self.exists:
            page = query.order_by(*(table.c[key] for key in keys)).limit(_PAGE)
            if last is not None:
                page = page.where(
                    or_(
                        *(
                            and_(
                                *(table.c[before] == last[before] for before in keys[:place]), table.c[key] > last[key]
                            )
                            for place, key in enumerate(keys)
                        )
                    )
                )
            with self.database.read() as connection:
                rows = connection.execute(page).mappings().all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]


def _ids_in(state: State) -> Select[Any]:
    return select(LINES.c.line_id).where(LINES.c.state == state)
