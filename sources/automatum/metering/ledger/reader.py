"""Reads the ledger: its lines, calls and events, and how many lines wait for a decision."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from . import line_rows
from .database import LedgerDatabase
from .entries import AttemptEntry, Entry, to_attempt, to_entry
from .holds import count_on_hold
from .states import STATES, UNRESOLVED, State
from .tables import ATTEMPTS, EVENTS, LINES, REFUSALS

_PAGE = 1000


class LedgerReader:
    """Reads a ledger; one that has not been created is empty. It changes nothing.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database

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
        if not self._database.exists:
            return []
        with self._database.read() as connection:
            return list(connection.scalars(select(LINES.c.line_id).where(LINES.c.state == state)))

    def fetch(self, line_ids: Collection[str]) -> dict[str, Entry]:
        """Entries by id, without the ids that are not in the ledger."""
        if not self._database.exists:
            return {}
        with self._database.read() as connection:
            return line_rows.fetch(connection, list(line_ids))

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
        if self._database.exists:
            with self._database.read() as connection:
                found = connection.execute(select(LINES.c.state, func.count()).group_by(LINES.c.state)).all()
            counted |= {state: number for state, number in found}  # noqa: C416  a Row is no pair to mypy
        return counted

    def unresolved(self) -> dict[str, int]:
        """Number of lines in each state that waits for a decision, on hold, and of open refusals; only what there is.

        As long as this is not empty, money may be missing on an invoice, or be there twice.
        """
        counted = self.counts()
        found: dict[str, int] = {state: counted[state] for state in UNRESOLVED}
        if self._database.exists:
            with self._database.read() as connection:
                open_ = select(func.count()).select_from(REFUSALS).where(REFUSALS.c.closed_at.is_(None))
                found["on_hold"] = count_on_hold(connection)
                found["refused"] = connection.scalar(open_) or 0
        return {name: number for name, number in found.items() if number}

    def _pages(self, table: Table, keys: tuple[str, ...], query: Select[Any]) -> Iterator[Any]:
        """Rows by key. Each page is a separate transaction, so that a slow reader does not block writers."""
        last: Any = None
        while self._database.exists:
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
            with self._database.read() as connection:
                rows = connection.execute(page).mappings().all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]
