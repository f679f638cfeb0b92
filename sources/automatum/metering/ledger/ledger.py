"""The ledger: what was billed, what may have been, and what is to be (I5).

Nothing is sent that is not written down first, and what was written down is never forgotten: `sending` is on disk
before the call, so a process that dies leaves a question (`unknown`), never a gap. One line is claimed by one run only;
what was accepted, or may have been, is never claimed again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from sqlalchemy import Select, Table, and_, func, or_, select

from ...core.clock import Clock
from ...core.errors import AutomatumError
from ..model import Line
from . import planning
from .database import LedgerDatabase
from .entries import AttemptEntry, Comparison, Entry, to_attempt, to_entry
from .process_lock import living
from .runs import Run
from .states import STATES, State, move
from .tables import ATTEMPTS, LINES

_PAGE = 1000


class Ledger:
    """An open ledger; use it as a context, or close it.

    Attributes:
        store: Its database.
    """

    def __init__(self, store: LedgerDatabase) -> None:
        self.store = store

    @classmethod
    def open(cls, url: str, clock: Clock, *, create: bool) -> Ledger:
        """Open a ledger.

        Args:
            url: `sqlite:////path/to/file` or `postgresql://user:password@host/database`.
            clock: What the times in it are read from.
            create: Make what is missing. Without it a ledger that is not there reads as empty, and nothing is made, no
                file and no table.

        Raises:
            ConfigurationError: Another kind of database, a damaged file, a file of something else, or tables of a later
                version. It is never replaced by an empty ledger.
            DestinationError: The database cannot be reached.
        """
        return cls(LedgerDatabase(url, clock, create=create))

    @property
    def place(self) -> str:
        """Its file, or host and database; never with a password."""
        return self.store.place

    @property
    def exists(self) -> bool:
        """Whether it has been made yet."""
        return self.store.exists

    def compare(self, lines: Iterable[Line]) -> Comparison:
        """What the ledger knows of these lines. Changes nothing.

        Raises:
            ValueError: Two of the lines have one id.
        """
        if not self.exists:
            return Comparison(new=tuple(lines))
        with self.store.reading() as connection:
            return planning.compare(connection, lines)

    @contextmanager
    def run(self) -> Iterator[Run]:
        """Send: others see that this process lives until the block, or the process, ends.

        What is still `sending` when the block ends becomes `unknown`.

        Raises:
            ConfigurationError: The ledger has not been made.
        """
        self.store.need()
        run_id = str(uuid.uuid4())
        with living(self.store, run_id) as life:
            run = Run(self.store, life, run_id)
            try:
                yield run
            except BaseException:
                # The first error is the one to be told; the next run finds what this one could not write.
                with suppress(AutomatumError):
                    run.end()
                raise
            run.end()

    def retry(self, line_ids: Collection[str] | None = None, *, expired: bool = False) -> tuple[str, ...]:
        """Let rejected lines be sent again, with the units that the ledger holds; never what may have been taken.

        A line whose key and date have gone out in the other grain meanwhile is left alone.

        Args:
            line_ids: Lines; None for all.
            expired: Those that were too late, too.

        Returns:
            Ids of the lines that are `planned` by this.
        """
        if not self.exists:
            return ()
        moves: list[tuple[State, str]] = [("rejected", "retry")]
        if expired:
            moves.append(("expired", "retry expired"))
        with self.store.writing() as connection:
            moved: list[str] = []
            for state, name in moves:
                wanted = list(connection.scalars(_ids_in(state)) if line_ids is None else line_ids)
                held = planning.fetch(connection, wanted).values()
                free = planning.free_of_other_grain(connection, [one for one in held if one.state == state])
                values = {"planned_at": self.store.now(), "settled_at": None, "settled_by": None, "error": None}
                moved += move(connection, name, free, values)
        return tuple(moved)

    def lines(self, states: Collection[State] | None = None) -> Iterator[Entry]:
        """Lines in the order of their ids, read a page at a time.

        Args:
            states: Only these; None for all.
        """
        condition = [] if states is None else [LINES.c.state.in_(list(states))]
        for row in self._pages(LINES, ("line_id",), select(LINES).where(*condition)):
            yield to_entry(row)

    def fetch(self, line_ids: Collection[str]) -> dict[str, Entry]:
        """Lines by id; those that are not there are left out."""
        if not self.exists:
            return {}
        with self.store.reading() as connection:
            return planning.fetch(connection, list(line_ids))

    def attempts(self) -> Iterator[AttemptEntry]:
        """Every line of every call, in the order of the calls, read a page at a time."""
        for row in self._pages(ATTEMPTS, ("attempt_id", "line_id"), select(ATTEMPTS)):
            yield to_attempt(row)

    def counts(self) -> dict[State, int]:
        """Number of lines in each state, all states named."""
        counted: dict[State, int] = dict.fromkeys(STATES, 0)
        if self.exists:
            with self.store.reading() as connection:
                found = connection.execute(select(LINES.c.state, func.count()).group_by(LINES.c.state)).all()
            counted |= {state: number for state, number in found}  # noqa: C416  a Row is no pair to mypy
        return counted

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _pages(self, table: Table, keys: tuple[str, ...], query: Select[Any]) -> Iterator[Any]:
        """Rows by key; each page is a transaction of its own, so that a slow reader holds nothing up."""
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
            with self.store.reading() as connection:
                rows = connection.execute(page).mappings().all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]


def _ids_in(state: State) -> Select[Any]:
    return select(LINES.c.line_id).where(LINES.c.state == state)
