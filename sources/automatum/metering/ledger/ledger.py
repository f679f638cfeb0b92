"""The ledger: lines that were billed, may have been billed, or cannot be sent any more (I5).

`run` has what a push does with it, `events` and `transfer` the rest.
"""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, and_, func, or_, select

from ...core.clock import Clock
from ...core.errors import AutomatumError, ConfigurationError
from ...core.redaction import redact
from ..model import Line, format_decimal
from . import journal
from . import lines as line_rows
from .database import LedgerDatabase
from .entries import STATES, Change, Entry, Item, Kind, State
from .identity import confirm_identity, problem_of, read_meta
from .location import KEY, Owner, refuse_network
from .missing import OPTION, advice, found_instead, noted_ledger, other_ledgers
from .process_lock import lock_process
from .run import PROCESS_ENDED, RUN_ENDED, Run
from .tables import ATTEMPTS, JOURNAL, LINES, LONGEST, batches

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


class Ledger:
    """An open ledger; one that does not exist reads as empty. Use it as a context manager, or close it.

    Attributes:
        database: Its database.
    """

    def __init__(self, database: LedgerDatabase, owner: Owner | None = None, *, begin: bool = False) -> None:
        self.database = database
        self._owner = owner
        self._begin = begin

    @classmethod
    def open(
        cls, url: str, clock: Clock, owner: Owner | None = None, *, begin: bool = False, write: bool = False
    ) -> Ledger:
        """Open a ledger. One of an earlier version is upgraded.

        Args:
            url: `sqlite:////path/to/file` or `postgresql://user:password@host/database`.
            clock: Clock of the times that it records.
            owner: Whose ledger it must be; None to check nothing.
            begin: Nothing was ever pushed: a ledger that does not exist, or is empty, is a new one (`--new-ledger`).
            write: The ledger is about to be changed. Only then a new one is created.

        Raises:
            ConfigurationError: The database is of another kind, damaged, not a ledger, or of a later version; or it was
                moved, is a copy or an older state, or belongs to another owner; or one shall begin where, or beside
                where, one was. It is never replaced by an empty ledger.
            DestinationError: The database cannot be reached.
        """
        if write or begin:
            refuse_network(url)
        database = LedgerDatabase(url, clock)
        try:
            ledger = cls(database, owner, begin=begin)
            if owner and database.exists:
                ledger._check_identity(owner, write)
            if begin:
                ledger._check_beginning()
            if begin and write and not database.exists:
                database.create()
                if owner:
                    ledger._check_identity(owner, write)
        except BaseException:
            database.close()
            raise
        return ledger

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

    def require(self) -> None:
        """Check that this ledger knows what was billed, or that nothing was, because the user says so.

        Raises:
            ConfigurationError: It does not exist, or is empty, and was not opened to begin.
        """
        if self._begin:
            return
        if self.exists:
            with self.database.read() as connection:
                if self.database.is_used(connection):
                    return
        if problem := noted_ledger(self.location, self.database.path):
            raise problem
        others = other_ledgers(self._owner, self.location) if self._owner else []
        there = "the ledger at {} is empty" if self.exists else "there is no ledger at {}"
        raise ConfigurationError(
            KEY,
            f"{there.format(self.location)}, so this push cannot know what was billed before.{found_instead(others)}",
            advice(others),
        )

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
            of_page = LINES.c.carried_from.between(page[0]["line_id"], page[-1]["line_id"])
            yield from list(line_rows.to_entries(connection, page, of_page))

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
            yield from map(dict, page)

    def items(
        self,
        kinds: Collection[Kind] | None = None,
        open_only: bool = False,
        subjects: Collection[str] | None = None,
    ) -> Iterator[Item]:
        """Journal items in the order of time.

        Args:
            kinds: Kinds to include; None for all.
            open_only: Leave out those that are closed.
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
            yield from map(journal.to_item, page)

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

    @contextmanager
    def run(self, source: str, lines: Sequence[Line], by: str = "") -> Iterator[Run]:
        """A run that can send lines. Its process lock lasts until the block, or the process, ends.

        The block calls `Run.end`. Without that, the run's journal item stays open; lines that are still `sending`
        become `unknown`.

        Args:
            source: Name of the usage.
            lines: What it has to send.
            by: User.

        Raises:
            ConfigurationError: The ledger does not exist, or is empty and was not opened to begin.
        """
        self.database.require_tables()
        self.require()
        run_id = str(uuid.uuid4())
        with lock_process(self.database, run_id) as process_lock:
            run = Run(self.database, process_lock, run_id, source, lines, by)
            try:
                yield run
            except BaseException as problem:
                # The first error is raised. If this write fails too, the next run recovers the lines.
                with suppress(AutomatumError):
                    run.end(complete=False, reason=str(problem) or type(problem).__name__)
                raise
            if not run.ended:
                run.end(complete=False)

    def settle(self, changes: Sequence[Change], by: str, reason: str) -> list[str]:
        """Apply what a person has decided, and record it.

        Args:
            changes: One for each line.
            by: User.
            reason: For people.

        Returns:
            Ids of the lines. Those that have changed since, or have no room for the child, are not among them.
        """
        now, settled = self.now(), []
        with self.database.write() as connection:
            entries = line_rows.fetch(connection, [change.line_id for change in changes])
            for change in changes:
                entry = entries.get(change.line_id)
                if entry is None or entry != change.expected:
                    continue
                after = _carried(entry) if change.child else _changed(entry, change, now)
                if after.state == "accepted" and line_rows.is_confirmed(connection, after):
                    after = replace(after, state="confirmed")
                line_rows.save(connection, [after])
                data: dict[str, Any] = {"before": _facts(entry), "after": _facts(after)}
                data |= {"child": change.child.id} if change.child else {}
                journal.add(
                    connection,
                    "decision",
                    entry.id,
                    now,
                    reason=reason,
                    source=entry.source,
                    data=data,
                    by=by,
                    closed_by=by or "hand",
                )
                settled.append(entry.id)
        return settled

    def close_items(self, ids: Collection[str], by: str, reason: str) -> list[str]:
        """Close open journal items.

        Args:
            ids: Ids of items.
            by: User.
            reason: For people.

        Returns:
            Ids of those that were open.
        """
        with self.database.write() as connection:
            return journal.close(connection, ids, self.now(), by or "hand", reason)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_identity(self, owner: Owner, write: bool) -> None:
        """Check whose ledger this is, and that no older state is in its place."""
        database = self.database
        with database.read() as connection:
            meta = read_meta(connection)
            problem = problem_of(connection, meta, self.location, database.path, owner)
        if problem:
            raise problem
        noted = database.note.read()
        if noted and not self.has_call(noted):
            raise ConfigurationError(
                KEY,
                f"{self.location} is older than the ledger that was here: it lacks the call {noted}, and maybe others "
                f"(the note is {database.note.file}).",
                "Put the newer one back. If it is lost: `automatum push ledger restore`, then "
                "`automatum push ledger adopt --confirm`.",
            )
        if write:
            with database.write() as connection:
                confirm_identity(connection, meta, database.path, owner)

    def _check_beginning(self) -> None:
        """Check that nothing was ever pushed from here."""
        if any(self.counts().values()):
            raise ConfigurationError(
                OPTION,
                f"there is a ledger at {self.location} already.",
                f"Leave out {OPTION}: it is for the first push only. A command that always has it would begin a new "
                "ledger where the old one is lost, and bill everything again.",
            )
        if not self.exists and (problem := noted_ledger(self.location, self.database.path)):
            raise problem
        others = other_ledgers(self._owner, self.location) if self._owner else []
        if others and not self.exists:
            raise ConfigurationError(
                OPTION,
                f"a new ledger at {self.location} would bill again what another has billed.{found_instead(others)}",
                advice(others),
            )

    def _pages(
        self, table: Table, keys: tuple[str, ...], query: Select[Any]
    ) -> Iterator[tuple[Connection, Sequence[RowMapping]]]:
        """Rows by key. Each page is a separate transaction, so that a slow reader does not block writers."""
        last: RowMapping | None = None
        while self.exists:
            page = query.order_by(*(table.c[key] for key in keys)).limit(_PAGE)
            if last is not None:
                page = page.where(
                    or_(
                        *(
                            and_(*(table.c[one] == last[one] for one in keys[:place]), table.c[key] > last[key])
                            for place, key in enumerate(keys)
                        )
                    )
                )
            with self.database.read() as connection:
                rows = connection.execute(page).mappings().all()
                if rows:
                    yield connection, rows
            if len(rows) < _PAGE:
                return
            last = rows[-1]


def _changed(entry: Entry, change: Change, now: datetime) -> Entry:
    line = entry.line
    if change.why == "never" and line.carried_from and not change.accepted_units:
        # The line that it is carried from has the usage, and is open again.
        line = replace(line, units=Decimal(0))
    return replace(
        entry,
        line=line,
        state=change.state,
        why=change.why,
        error=redact(change.error)[:LONGEST],
        accepted_units=change.accepted_units,
        accepted_price=change.accepted_price,
        settled_by="hand",
        settled_at=now,
    )


def _carried(entry: Entry) -> Entry:
    price = entry.line.price if entry.accepted_units is None else entry.accepted_price
    return replace(entry, settled_by="hand", accepted_price=price)


def _facts(entry: Entry) -> dict[str, Any]:
    """What a decision changes of a line, as JSON types."""
    numbers = {"asked_units": entry.line.units, "accepted_units": entry.accepted_units}
    numbers |= {"accepted_price": entry.accepted_price, "carried_units": entry.carried_units}
    found: dict[str, Any] = {"state": entry.state, "why": entry.why, "error": entry.error}
    return found | {name: None if one is None else format_decimal(one) for name, one in numbers.items()}
