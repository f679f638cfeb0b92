"""The ledger: lines that were billed, may have been billed, or cannot be sent any more (I5).

`run` has what a push does with it, `events` and `transfer` the rest.
"""

from __future__ import annotations

import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, Table, and_, func, or_, select, tuple_, update

from ...core.clock import Clock
from ...core.errors import AutomatumError, ConfigurationError
from ..model import Line, format_decimal
from . import rows
from .database import LedgerDatabase
from .entries import STATES, Change, Entry, Item, Kind, State
from .identity import confirm_identity, problem_of, read_meta
from .location import KEY, OPTION, Owner, problem_of_missing, refuse_network
from .run import LOST, PROCESS_ENDED, RUN_ENDED, Run
from .tables import ATTEMPTS, JOURNAL, LINES, batches, shorten

_PAGE = 1000
_MOST_ROWS = 400
"""Rows of attempts that are read to find the latest ones: each call has at most 25."""
_Item = TypeVar("_Item")


class Ledger(LedgerDatabase):
    """An open ledger. Use it as a context manager, or close it. One that does not exist reads as empty."""

    def __init__(self, url: str, clock: Clock, owner: Owner | None, *, begin: bool) -> None:
        super().__init__(url, clock)
        self._owner = owner
        self._begin = begin

    @classmethod
    def open(
        cls, url: str, clock: Clock, owner: Owner | None = None, *, begin: bool = False, write: bool = False
    ) -> Ledger:
        """Open a ledger.

        Args:
            url: `sqlite:////path/to/file` or `postgresql://user:password@host/database`.
            clock: Clock of the times that it records.
            owner: Whose ledger it must be; None to check nothing.
            begin: Nothing was ever pushed: a ledger that does not exist, or is empty, is a new one (`--new-ledger`).
            write: The ledger is about to be changed. Only then a new one is created.

        Raises:
            ConfigurationError: The database is of another kind, damaged, not a ledger, or of another version; or it was
                moved, is a copy or an older state, or belongs to another owner; or one shall begin where, or beside
                where, one was. It is never replaced by an empty ledger.
            DestinationError: The database cannot be reached.
        """
        if write or begin:
            refuse_network(url)
        ledger = cls(url, clock, owner, begin=begin)
        try:
            ledger._check_identity(write)
            if begin:
                ledger._check_beginning()
            if begin and write and not ledger.exists:
                ledger.create()
                ledger._check_identity(write)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def require(self) -> None:
        """Check that this ledger knows what was billed, or that nothing was, because the user says so.

        Raises:
            ConfigurationError: It does not exist, or is empty, and was not opened to begin.
        """
        if not self._begin:
            self._require_content()

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
        self.require_tables()
        self.require()
        run_id = str(uuid.uuid4())
        with self.lock_run(run_id) as verify_lock:
            run = Run(self, verify_lock, run_id, source, lines, by)
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
        with self.write() as connection:
            entries = rows.fetch(connection, [change.line_id for change in changes])
            for change in changes:
                entry = change.expected
                if entries.get(entry.id) != entry:
                    continue
                after = _decided(change, now)
                if after.state == "accepted" and rows.confirmed(connection, [after]):
                    after = replace(after, state="confirmed")
                rows.save(connection, [after])
                if after.state == "unbilled":
                    # If an event says that this call was taken after all, it is news.
                    call = (ATTEMPTS.c.attempt_id == entry.attempt_id, ATTEMPTS.c.line_id == entry.id)
                    taken = (*call, ATTEMPTS.c.state == "accepted")
                    connection.execute(update(ATTEMPTS).where(*taken).values(state="unbilled"))
                data: dict[str, Any] = {"before": _facts(entry), "after": _facts(after)}
                data |= {"child": change.child.id} if change.child else {}
                more = {"source": entry.source, "by": by, "closed_by": by or "hand"}
                rows.add_item(connection, rows.new_item("decision", entry.id, now, reason, data, **more))
                settled.append(entry.id)
        return settled

    def close_items(self, ids: Collection[str], by: str, reason: str) -> list[str]:
        """Close open journal items; returns the ids of those that were open.

        Args:
            ids: Ids of items.
            by: User.
            reason: For people.
        """
        with self.write() as connection:
            return rows.close(connection, ids, self.now(), by or "hand", reason)

    def entries(
        self,
        states: Collection[State] | None = None,
        starts_in: tuple[datetime, datetime] | None = None,
        source: str | None = None,
    ) -> Iterator[Entry]:
        """Entries in the order of their ids, read in pages.

        Args:
            states: States to include; None for all.
            starts_in: Earliest start of an hour or day, and the moment before which it must be; None for all.
            source: Name of the usage that asked for them last; None for all.
        """
        query = select(LINES)
        if states is not None:
            query = query.where(LINES.c.state.in_(list(states)))
        if starts_in is not None:
            query = query.where(LINES.c.starts_at >= starts_in[0], LINES.c.starts_at < starts_in[1])
        if source is not None:
            query = query.where(LINES.c.source == source)
        return self._pages(LINES, ("line_id",), query, rows.to_entries)

    def fetch(self, ids: Iterable[str]) -> dict[str, Entry]:
        """Entries by id, without the ids that are not in the ledger."""
        with self.read() as connection:
            return rows.fetch(connection, ids)

    def overlapping(self, lines: Iterable[Line]) -> dict[str, Entry]:
        """Ids of lines that must not be sent to an entry of another id that bills, or may bill, the same usage."""
        with self.read() as connection:
            return rows.overlapping(connection, lines)

    def children(self, ids: Iterable[str]) -> dict[str, list[Entry]]:
        """Lines that bill what is open of these lines, by the ids of these, in the order in which they were carried."""
        found: dict[str, list[Entry]] = defaultdict(list)
        with self.read() as connection:
            for batch in batches(list(ids)):
                query = select(LINES).where(LINES.c.carried_from.in_(batch)).order_by(LINES.c.carry_number)
                for entry in rows.to_entries(connection, connection.execute(query).all()):
                    found[entry.line.carried_from or ""].append(entry)
        return found

    def last_call(self, entry: Entry) -> tuple[Decimal, Decimal] | None:
        """Units and price of a line in the last call that contained it; None if it was never sent."""
        call = (ATTEMPTS.c.attempt_id == entry.attempt_id, ATTEMPTS.c.line_id == entry.id)
        with self.read() as connection:
            row = connection.execute(select(ATTEMPTS.c.units, ATTEMPTS.c.price).where(*call)).first()
        return (row.units, row.price) if row else None

    def has_call(self, attempt_id: str) -> bool:
        """Whether a call is in the ledger. Calls never leave it."""
        query = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == attempt_id).limit(1)
        with self.read() as connection:
            return connection.scalar(query) is not None

    def meta(self) -> dict[str, Any]:
        """Where and whose it is, as the row of `metering_schema`."""
        with self.read() as connection:
            return read_meta(connection)

    def attempts(self) -> Iterator[dict[str, Any]]:
        """Each line of each call, as rows of `metering_attempts`, in the order of the calls."""
        for row in self._pages(ATTEMPTS, ("attempt_id", "line_id"), select(ATTEMPTS), lambda _, page: page):
            yield dict(zip(row._fields, row, strict=True))

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
        for item in self._pages(JOURNAL, ("item_id",), query, lambda _, page: map(rows.to_item, page)):
            if not (open_only and item.kind == "run" and self.is_running(item.subject)):
                yield item

    def counts(self) -> dict[State, int]:
        """Number of lines in each state, including states without lines."""
        query = select(LINES.c.state, func.count().label("number")).group_by(LINES.c.state)
        with self.read() as connection:
            return dict.fromkeys(STATES, 0) | {row.state: row.number for row in connection.execute(query)}

    def unknown_calls(self) -> list[tuple[datetime, str]]:
        """End and error of the calls after the last one with a known outcome, the latest first.

        Calls of processes that died, and of restored ledgers, are left out: they blame no API.
        """
        last = and_(LINES.c.line_id == ATTEMPTS.c.line_id, LINES.c.attempt_id == ATTEMPTS.c.attempt_id)
        columns = (ATTEMPTS.c.attempt_id, ATTEMPTS.c.state, ATTEMPTS.c.ended_at, ATTEMPTS.c.error)
        answered = ATTEMPTS.c.state.in_(("accepted", "unbilled", "conflict", "unknown"))
        alive = or_(ATTEMPTS.c.error.is_(None), ATTEMPTS.c.error.not_in((PROCESS_ENDED, RUN_ENDED, LOST)))
        query = select(*columns, LINES.c.state.label("now")).join(LINES, last).where(answered, alive)
        with self.read() as connection:
            latest = connection.execute(query.order_by(ATTEMPTS.c.attempt_id.desc()).limit(_MOST_ROWS)).all()
        known = {row.attempt_id for row in latest if row.state != "unknown" or row.now != "unknown"}
        unknown = itertools.takewhile(lambda row: row.attempt_id not in known, latest)
        return list({row.attempt_id: (row.ended_at, row.error or "") for row in unknown}.values())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _pages(
        self,
        table: Table,
        keys: tuple[str, ...],
        query: Select[Any],
        convert: Callable[[Connection, Sequence[Row[Any]]], Iterable[_Item]],
    ) -> Iterator[_Item]:
        """Rows by key. Each page is a separate transaction, so that a slow reader does not block writers."""
        last: Row[Any] | None = None
        columns = [table.c[key] for key in keys]
        while True:
            page = query.order_by(*columns).limit(_PAGE)
            if last is not None:
                page = page.where(tuple_(*columns) > tuple_(*(getattr(last, key) for key in keys)))
            with self.read() as connection:
                found = connection.execute(page).all()
                converted = list(convert(connection, found)) if found else []
            yield from converted
            if len(found) < _PAGE:
                return
            last = found[-1]

    def _check_identity(self, write: bool) -> None:
        """Check whose ledger this is, and that no older state is in its place."""
        if not self._owner or not self.exists:
            return
        with self.read() as connection:
            meta = read_meta(connection)
            problem = problem_of(connection, meta, self.location, self.path, self._owner)
        if problem:
            raise problem
        noted = self.note.read()
        if noted and not self.has_call(noted):
            raise ConfigurationError(
                KEY,
                f"{self.location} is older than the ledger that was here: it lacks the call {noted}, and maybe others "
                f"(the note is {self.note.file}).",
                "Put the newer one back. If it is lost: `automatum push ledger restore --from FILE`, then "
                "`automatum push ledger adopt --confirm`.",
            )
        if write:
            with self.write() as connection:
                confirm_identity(connection, meta, self.path, self._owner)

    def _check_beginning(self) -> None:
        """Check that nothing was ever pushed from here."""
        if any(self.counts().values()):
            raise ConfigurationError(
                OPTION,
                f"there is a ledger at {self.location} already.",
                f"Leave out {OPTION}: it is for the first push only. A command that always has it would begin a new "
                "ledger where the old one is lost, and bill everything again.",
            )
        self._require_content()

    def _require_content(self) -> None:
        if self.exists:
            with self.read() as connection:
                if self.is_used(connection):
                    return
        empty = self.exists
        if problem := problem_of_missing(self.location, self.path, begin=self._begin, empty=empty):
            raise problem


def _decided(change: Change, now: datetime) -> Entry:
    entry, after = change.expected, change.after
    if change.child:  # The line changes when the child is claimed.
        price = entry.line.price if entry.accepted_units is None else entry.accepted_price
        return replace(entry, settled_by="hand", accepted_price=price)
    line = after.line
    if after.why == "never" and line.carried_from and not after.accepted_units:
        # The line that it is carried from has the usage, and is open again.
        line = replace(line, units=Decimal(0))
    return replace(after, line=line, error=shorten(after.error) or "", settled_by="hand", settled_at=now)


def _facts(entry: Entry) -> dict[str, Any]:
    """What a decision changes of a line, as JSON types."""
    numbers = {"asked_units": entry.line.units, "accepted_units": entry.accepted_units}
    numbers |= {"accepted_price": entry.accepted_price, "carried_units": entry.carried_units}
    found: dict[str, Any] = {"state": entry.state, "why": entry.why, "error": entry.error}
    return found | {name: None if one is None else format_decimal(one) for name, one in numbers.items()}
