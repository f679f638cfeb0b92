"""Reads the ledger: its lines, calls and journal. A ledger that does not exist reads as empty."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, func, select, tuple_

from ..model import Line
from . import journal
from . import lines as line_rows
from .database import LedgerDatabase
from .entries import STATES, Entry, Item, Kind, State
from .identity import read_meta
from .process_lock import is_running
from .run import PROCESS_ENDED, RUN_ENDED
from .tables import ATTEMPTS, JOURNAL, LINES, batches

_PAGE = 1000
_MOST_ROWS = 400
"""Rows of attempts that are read to find the latest ones: each call has at most 25."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The latest calls whose outcome is not known, and that nobody has settled.

    Attributes:
        in_a_row: Number of such calls without another outcome between or after them.
        latest: Time at which the latest of them ended; None if there is none.
        error: What happened to it, for people.
    """

    in_a_row: int = 0
    latest: datetime | None = None
    error: str = ""


class LedgerReader:
    """What can be read of a ledger.

    Attributes:
        database: Its database.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self.database = database

    @property
    def location(self) -> str:
        """Its file, or host, port and database; never with a password."""
        return self.database.location

    @property
    def exists(self) -> bool:
        """Whether it has been created."""
        return self.database.exists

    def now(self) -> datetime:
        """The clock's time, in UTC."""
        return self.database.now()

    def entries(
        self,
        ids: Collection[str] | None = None,
        states: Collection[State] | None = None,
        starts_in: tuple[datetime, datetime] | None = None,
        source: str | None = None,
    ) -> Iterator[Entry]:
        """Entries in the order of their ids, read in pages.

        Args:
            ids: Ids of lines; None for all.
            states: States to include; None for all.
            starts_in: Earliest start of an hour or day, and the moment before which it must be; None for all.
            source: Name of the usage that asked for them last; None for all.
        """
        if ids is not None:
            found = self.fetch(ids)
            yield from (found[line_id] for line_id in sorted(found) if states is None or found[line_id].state in states)
            return
        query = select(LINES)
        if states is not None:
            query = query.where(LINES.c.state.in_(list(states)))
        if starts_in is not None:
            query = query.where(LINES.c.starts_at >= starts_in[0], LINES.c.starts_at < starts_in[1])
        if source is not None:
            query = query.where(LINES.c.source == source)
        for connection, page in self._pages(LINES, ("line_id",), query):
            of_page = LINES.c.carried_from.between(page[0].line_id, page[-1].line_id)
            yield from list(line_rows.to_entries(connection, page, of_page))

    def abandoned(self) -> set[str]:
        """Ids of lines that are still `sending` although the process of their push has ended."""
        if not self.exists:
            return set()
        call = and_(LINES.c.attempt_id == ATTEMPTS.c.attempt_id, LINES.c.line_id == ATTEMPTS.c.line_id)
        query = select(LINES.c.line_id, ATTEMPTS.c.run_id).join(ATTEMPTS, call).where(LINES.c.state == "sending")
        with self.database.read() as connection:
            found = connection.execute(query).all()
        ended = {run_id for run_id in {row.run_id for row in found} if not is_running(self.database, run_id)}
        return {row.line_id for row in found if row.run_id in ended}

    def fetch(self, ids: Iterable[str]) -> dict[str, Entry]:
        """Entries by id, without the ids that are not in the ledger."""
        if not self.exists:
            return {}
        with self.database.read() as connection:
            return line_rows.fetch(connection, ids)

    def overlapping(self, lines: Iterable[Line]) -> dict[str, Entry]:
        """Ids of lines that must not be sent to an entry of another id that bills, or may bill, the same usage."""
        if not self.exists:
            return {}
        with self.database.read() as connection:
            return line_rows.overlapping(connection, lines)

    def children(self, ids: Iterable[str]) -> dict[str, list[Entry]]:
        """Lines that bill what is open of these lines, by the ids of these, in the order in which they were carried."""
        found: dict[str, list[Entry]] = defaultdict(list)
        if self.exists:
            with self.database.read() as connection:
                for batch in batches(list(ids)):
                    query = (
                        select(LINES.c.line_id).where(LINES.c.carried_from.in_(batch)).order_by(LINES.c.carry_number)
                    )
                    for entry in line_rows.fetch(connection, connection.scalars(query)).values():
                        found[entry.line.carried_from or ""].append(entry)
        return {parent: sorted(of, key=lambda one: one.line.carry_number) for parent, of in found.items()}

    def last_call(self, entry: Entry) -> tuple[Decimal, Decimal] | None:
        """Units and price of a line in the last call that contained it; None if it was never sent."""
        call = (ATTEMPTS.c.attempt_id == entry.attempt_id, ATTEMPTS.c.line_id == entry.id)
        with self.database.read() as connection:
            row = connection.execute(select(ATTEMPTS.c.units, ATTEMPTS.c.price).where(*call)).first()
        return (row.units, row.price) if row else None

    def has_call(self, attempt_id: str) -> bool:
        """Whether a call is in the ledger. Calls never leave it."""
        if not self.exists:
            return False
        with self.database.read() as connection:
            return (
                connection.scalar(select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == attempt_id).limit(1))
                is not None
            )

    def meta(self) -> dict[str, Any]:
        """Where and whose it is, as the row of `metering_schema`."""
        with self.database.read() as connection:
            return read_meta(connection)

    def attempts(self) -> Iterator[dict[str, Any]]:
        """Each line of each call, as rows of `metering_attempts`, in the order of the calls."""
        for _, page in self._pages(ATTEMPTS, ("attempt_id", "line_id"), select(ATTEMPTS)):
            yield from (dict(zip(row._fields, row, strict=True)) for row in page)

    def items(
        self,
        kinds: Collection[Kind] | None = None,
        open_only: bool = False,
        subjects: Collection[str] | None = None,
    ) -> Iterator[Item]:
        """Journal items in the order of time.

        Args:
            kinds: Kinds to include; None for all.
            open_only: Leave out those that are closed, and the runs of pushes that are under way.
            subjects: At most 500 subjects; None for all.
        """
        query = select(JOURNAL)
        if kinds is not None:
            query = query.where(JOURNAL.c.kind.in_(list(kinds)))
        if open_only:
            query = query.where(JOURNAL.c.closed_at.is_(None))
        if subjects is not None:
            query = query.where(JOURNAL.c.subject.in_(list(subjects)))
        for _, page in self._pages(JOURNAL, ("item_id",), query):
            for item in map(journal.to_item, page):
                if not (open_only and item.kind == "run" and is_running(self.database, item.subject)):
                    yield item

    def missing(self, item_id: str) -> list[str]:
        """Ids of the lines of a run, by its journal item, that are not in the ledger."""
        with self.database.read() as connection:
            text = connection.scalar(select(JOURNAL.c.line_ids).where(JOURNAL.c.item_id == item_id))
            return journal.missing_of(connection, journal.unpack(text))

    def counts(self) -> dict[State, int]:
        """Number of lines in each state, including states without lines."""
        counted: dict[State, int] = dict.fromkeys(STATES, 0)
        if self.exists:
            with self.database.read() as connection:
                query = select(LINES.c.state, func.count().label("number")).group_by(LINES.c.state)
                counted |= {row.state: row.number for row in connection.execute(query)}
        return counted

    def doubt(self) -> Doubt:
        """Count the unknown calls in a row. Calls of processes that died do not count: they blame no API."""
        if not self.exists:
            return Doubt()
        last = and_(LINES.c.line_id == ATTEMPTS.c.line_id, LINES.c.attempt_id == ATTEMPTS.c.attempt_id)
        columns = (ATTEMPTS.c.attempt_id, ATTEMPTS.c.state, ATTEMPTS.c.ended_at, ATTEMPTS.c.error)
        answered = ATTEMPTS.c.state.in_(("accepted", "unbilled", "conflict", "unknown"))
        query = select(*columns, LINES.c.state.label("now")).join(LINES, last).where(answered)
        with self.database.read() as connection:
            latest = connection.execute(query.order_by(ATTEMPTS.c.attempt_id.desc()).limit(_MOST_ROWS)).all()
        found = Doubt()
        for _, lines in itertools.groupby(latest, key=lambda row: row.attempt_id):
            rows = list(lines)
            if rows[0].error in (PROCESS_ENDED, RUN_ENDED):
                continue
            if any(row.state != "unknown" or row.now != "unknown" for row in rows):
                break
            found = Doubt(found.in_a_row + 1, found.latest or rows[0].ended_at, found.error or rows[0].error or "")
        return found

    def _pages(
        self, table: Table, keys: tuple[str, ...], query: Select[Any]
    ) -> Iterator[tuple[Connection, Sequence[Row[Any]]]]:
        """Rows by key. Each page is a separate transaction, so that a slow reader does not block writers."""
        last: Row[Any] | None = None
        columns = [table.c[key] for key in keys]
        while self.exists:
            page = query.order_by(*columns).limit(_PAGE)
            if last is not None:
                page = page.where(tuple_(*columns) > tuple_(*(getattr(last, key) for key in keys)))
            with self.database.read() as connection:
                rows = connection.execute(page).all()
                if rows:
                    yield connection, rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]
