"""The ledger: lines that were billed, may have been billed, or cannot be sent any more (I5).

`run` has what a push does with it, `events` and `transfer` the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any

from ...core.clock import Clock
from ...core.errors import AutomatumError, ConfigurationError
from ...core.redaction import redact
from ..model import Line, format_decimal
from . import journal
from . import lines as line_rows
from .database import LedgerDatabase
from .entries import Change, Entry
from .identity import confirm_identity, problem_of, read_meta
from .location import KEY, Owner, refuse_network
from .missing import OPTION, advice, found_instead, noted_ledger, other_ledgers
from .process_lock import lock_process
from .reader import LedgerReader
from .run import Run
from .tables import LONGEST


class Ledger(LedgerReader):
    """An open ledger. Use it as a context manager, or close it."""

    def __init__(self, database: LedgerDatabase, owner: Owner | None = None, *, begin: bool = False) -> None:
        super().__init__(database)
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
                more = {"source": entry.source, "by": by, "closed_by": by or "hand"}
                journal.add(connection, "decision", entry.id, now, reason, data, **more)
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
