"""A run that sends lines: each step is on disk before its method returns (I5).

`sending` is on disk before the call, so a process that dies leaves `unknown` lines, never unrecorded ones. Only one run
can claim a line. A line that was accepted, or may have been, is never claimed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ..model import Line, Refusal, exact
from . import journal
from . import lines as rows
from .database import LedgerDatabase
from .entries import TAKEN, Attempt, Entry, Outcome
from .events import place_waiting
from .tables import ATTEMPTS, JOURNAL, batches, shorten

PROCESS_ENDED = "The process ended before it received the API's answer."
RUN_ENDED = "The run ended before it received the API's answer."


class Run:
    """A run of a push; `Ledger.run` creates it.

    Attributes:
        id: Id of the run.
        source: Name of its usage.
        by: User.
        ended: Whether `end` was called.
    """

    def __init__(
        self,
        database: LedgerDatabase,
        verify_lock: Callable[[], None],
        run_id: str,
        source: str,
        lines: Sequence[Line],
        by: str,
    ) -> None:
        self.id = run_id
        self.source = source
        self.by = by
        self._database = database
        self._verify_lock = verify_lock
        self.ended = False
        self._item: str | None = None
        if lines:
            with database.write() as connection:
                reason = "This push did not send all its lines: push the usage again."
                more: dict[str, Any] = {"source": source, "line_ids": [line.id for line in lines], "by": by}
                data = {"lines": len(lines)}
                self._item = journal.add(connection, "run", run_id, database.now(), reason, data, **more).id

    def recover(self) -> int:
        """Mark lines that dead runs left `sending` as `unknown`, because their calls may have been taken.

        Lines of runs whose process is alive stay as they are.

        Returns:
            The number of lines.
        """
        with self._database.read() as connection:
            query = select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending", ATTEMPTS.c.run_id != self.id)
            owners = connection.scalars(query.distinct().order_by(ATTEMPTS.c.run_id)).all()
        recovered = 0
        for owner in owners:
            with self._database.write() as connection:
                if not self._database.is_running(owner):
                    recovered += self._abandon(connection, owner, PROCESS_ENDED)
        return recovered

    def claim(self, body_id: str, lines: Iterable[Line], again: Collection[str] = ()) -> Attempt | None:
        """Claim lines for one call. They are `sending`, on disk, when this returns.

        A line is left out if it is in the ledger, unless it is unbilled, in no part carried, and named in `again`; or
        if an overlapping line may bill the same usage. A line that is carried from another is left out, too, if that
        line is not open, or has another price, or less is open than would be billed.

        Args:
            body_id: The caller's name for the body.
            lines: What will be sent.
            again: Ids of unbilled lines that may be sent.

        Returns:
            The claimed lines; None if there are none.

        Raises:
            DestinationError: The connection that holds this run's process lock is lost.
        """
        self._verify_lock()
        wanted, now = {line.id: line for line in lines}, self._database.now()
        attempt_id = journal.new_id(now)
        with self._database.write() as connection:
            parents = [line.carried_from for line in wanted.values() if line.carried_from]
            known = rows.fetch(connection, [*wanted, *parents])
            free = self._free(connection, wanted, known, again)
            if not free:
                return None
            attempt = Attempt(attempt_id, body_id, tuple(free))
            self._insert_attempt(connection, attempt, known, now)
            calls = rows.calls(connection, [line.id for line in free])
            claimed = [self._claimed(known.get(line.id), line, attempt_id, now) for line in free]
            claimed = [replace(entry, attempts=calls[entry.id][0]) for entry in claimed]
            rows.add(connection, [entry for entry in claimed if entry.id not in known])
            rows.save(connection, [entry for entry in claimed if entry.id in known])
            rows.refresh_parents(connection, free)
            journal.close_refusals(connection, [line.id for line in free], now)
        self._database.note.write(attempt_id)
        return attempt

    def answer(
        self,
        attempt: Attempt,
        outcomes: Mapping[str, Outcome],
        *,
        status_code: int | None = None,
        reference: str | None = None,
        response: str | None = None,
    ) -> None:
        """Record the API's answer, or that there was none.

        A line that an event or a person has settled meanwhile keeps its state.

        Args:
            attempt: From `claim`.
            outcomes: What became of the lines, by id. Others stay `sending`.
            status_code: HTTP status, if an answer came.
            reference: Id that the API gave to the call.
            response: Body of the answer; it is redacted and shortened.
        """
        now = self._database.now()
        common = {"status_code": status_code, "reference": reference, "response": shorten(response), "ended_at": now}

        def settle(entry: Entry) -> Entry:
            return _answered(entry, outcomes[entry.id], sent[entry.id], now)

        with self._database.write() as connection:
            sent = {line.id: line for line in attempt.lines}
            self._change(connection, attempt, list(outcomes), settle)
            for outcome in dict.fromkeys(outcomes.values()):
                ids = [line_id for line_id, one in outcomes.items() if one == outcome]
                values = {**common, "state": outcome.state, "error": shorten(outcome.error)}
                _end_attempt(connection, attempt.id, ids, values)
            if reference:
                place_waiting(connection, reference, now)

    def give_back(
        self, attempt: Attempt, lines: Iterable[Line] | None = None, *, error: str, status_code: int | None = None
    ) -> None:
        """Undo the claim of lines that the API certainly did not take (429, refused connection).

        A line that was new leaves the ledger again, and one that was unbilled is unbilled again. The call stays.

        Args:
            attempt: From `claim`.
            lines: Lines of the attempt; None for all.
            error: Why, for people.
            status_code: HTTP status, if an answer came.
        """
        now = self._database.now()
        ids = [line.id for line in (attempt.lines if lines is None else lines)]
        with self._database.write() as connection:
            columns = (ATTEMPTS.c.line_id, ATTEMPTS.c.before, ATTEMPTS.c.before_error)
            query = select(*columns).where(ATTEMPTS.c.attempt_id == attempt.id, ATTEMPTS.c.before.is_not(None))
            before = {row.line_id: row for row in connection.execute(query)}

            def undo(entry: Entry) -> Entry | None:
                if entry.id not in before:
                    return None
                why, text = before[entry.id].before, before[entry.id].before_error or ""
                return replace(entry, state="unbilled", why=why, error=text, settled_at=now, settled_by="api")

            self._change(connection, attempt, ids, undo)
            values = {"state": "not_taken", "ended_at": now, "status_code": status_code, "error": shorten(error)}
            _end_attempt(connection, attempt.id, ids, values)

    def record(
        self,
        *,
        expired: Sequence[tuple[Line, str]] = (),
        rejected: Sequence[tuple[Line, str]] = (),
        asked: Sequence[Line] = (),
        gone: Collection[str] = (),
        refusals: Sequence[Refusal] = (),
        sources: Sequence[tuple[Line, Entry]] = (),
        whole: bool = False,
    ) -> None:
        """Record what the comparison of usage with the ledger has found, in one transaction.

        Args:
            expired: Lines that are too late to be sent, and why.
            rejected: Lines that the API would certainly refuse, and why.
            asked: Lines of the usage that are in the ledger: what they ask for now; see `Entry.with_asked`.
            gone: Ids of lines that were taken, and that the usage does not contain any more.
            refusals: Refused rows.
            sources: Lines that another source has asked for, with their entries.
            whole: Whether the usage is a file that was read whole. Without a refusal it closes the earlier ones.
        """
        now = self._database.now()
        unsent = [(line, "expired", text) for line, text in expired]
        unsent += [(line, "rejected", text) for line, text in rejected]
        with self._database.write() as connection:
            self._record_unsent(connection, unsent, now)
            self._record_asked(connection, {line.id: line for line in asked})
            billed = [entry.line for entry in rows.fetch(connection, gone).values() if _is_billed(entry)]
            none = [replace(line, units=Decimal(0)).with_keys(line.id, line.date_key) for line in billed]
            self._record_asked(connection, {line.id: line for line in none})
            journal.note_refusals(connection, refusals, self.source, now, self.by)
            for line, entry in sources:
                journal.note_source(connection, line, entry, self.source, now, self.by)
            if whole and not refusals:
                journal.end_refusals(connection, self.source, now)

    def end(self, *, complete: bool, reason: str = "") -> None:
        """Close the journal's item of this run, and of earlier ones, if each line is in the ledger.

        What is still `sending` becomes `unknown`: nothing waits for its answer any more.

        Args:
            complete: Whether the run came to its end. Otherwise its item says why, if it stays open.
            reason: Why it ended early, for people.
        """
        now = self._database.now()
        self.ended = True
        with self._database.write() as connection:
            self._abandon(connection, self.id, RUN_ENDED)
            if self._item and not complete and reason:
                text = {"reason": shorten(f"This push ended early: {reason.rstrip('.')}. Push the usage again.")}
                connection.execute(update(JOURNAL).where(JOURNAL.c.item_id == self._item).values(text))
            journal.close_runs(connection, now)

    def _free(
        self, connection: Connection, wanted: Mapping[str, Line], known: Mapping[str, Entry], again: Collection[str]
    ) -> list[Line]:
        """The lines that may be claimed."""
        lines = [line for line_id, line in wanted.items() if _may_claim(known.get(line_id), line_id in again)]
        keys = {line.id: known[line.carried_from or ""].line for line in lines if line.carried_from in known}
        blocked = rows.overlapping(connection, [keys.get(line.id, line) for line in lines])
        free: list[Line] = []
        carried: dict[str, Decimal] = defaultdict(Decimal)
        by_key: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if line.carried_from:
                parent = known.get(line.carried_from)
                units = exact().add(carried[line.carried_from], line.units)
                if parent is None or parent.id in blocked or not _fits(parent, line, units):
                    continue
                carried[line.carried_from] = units
            elif line.id in blocked or any(rows.overlaps(line, other) for other in by_key[line.date_key]):
                continue
            else:
                by_key[line.date_key].append(line)
            free.append(line)
        return free

    def _claimed(self, entry: Entry | None, line: Line, attempt_id: str, now: datetime) -> Entry:
        return Entry(
            line=line,
            state="sending",
            why="",
            error="",
            accepted_units=None,
            accepted_price=None,
            carried_units=Decimal(0),
            source=self.source,
            attempts=entry.attempts + 1 if entry else 1,
            attempt_id=attempt_id,
            settled_by="",
            first_seen_at=entry.first_seen_at if entry else now,
            sent_at=now,
            settled_at=None,
        )

    def _insert_attempt(
        self, connection: Connection, attempt: Attempt, known: Mapping[str, Entry], now: datetime
    ) -> None:
        values = {"attempt_id": attempt.id, "body_id": attempt.body_id, "run_id": self.id, "started_at": now}
        values |= {"state": "sending"}
        for batch in batches(attempt.lines):
            found = [(line, known.get(line.id)) for line in batch]
            connection.execute(
                insert(ATTEMPTS),
                [
                    {
                        **values,
                        "line_id": line.id,
                        "units": line.units,
                        "price": line.price,
                        "before": entry.why if entry else None,
                        "before_error": entry.error if entry else None,
                    }
                    for line, entry in found
                ],
            )

    def _change(
        self, connection: Connection, attempt: Attempt, ids: Collection[str], change: Callable[[Entry], Entry | None]
    ) -> None:
        """Change the lines that still wait for the answer to this call; None removes a line."""
        entries = rows.fetch(connection, ids).values()
        waiting = [one for one in entries if one.attempt_id == attempt.id and one.state in ("sending", "unknown")]
        changed = [(entry, change(entry)) for entry in waiting]
        rows.save(connection, [after for _, after in changed if after])
        rows.remove(connection, [before for before, after in changed if after is None])

    def _record_unsent(self, connection: Connection, found: Sequence[tuple[Line, str, str]], now: datetime) -> None:
        known = rows.fetch(connection, [line.id for line, _, _ in found])
        calls = rows.calls(connection, [line.id for line, _, _ in found if line.id not in known])
        new: dict[str, Entry] = {}
        changed: dict[str, Entry] = {}
        for line, why, text in found:
            entry = known.get(line.id)
            by = "api" if why == "rejected" else "push"
            outcome: dict[str, Any] = {"state": "unbilled", "why": why, "error": shorten(text) or "", "settled_by": by}
            outcome |= {"settled_at": now}
            if entry is None:
                attempts, last = calls.get(line.id, (0, None))
                claimed = self._claimed(None, line, "", now)
                new[line.id] = replace(claimed, **outcome, attempts=attempts, attempt_id=last, sent_at=None)
            elif entry.state == "unbilled":
                same = (entry.line.units, entry.line.price, entry.why) == (line.units, line.price, why)
                changed[line.id] = entry if same else replace(entry, line=line, source=self.source, **outcome)
        rows.add(connection, list(new.values()))
        rows.save(connection, [entry for line_id, entry in changed.items() if entry != known[line_id]])

    def _record_asked(self, connection: Connection, asked: Mapping[str, Line]) -> None:
        # Another push sends what is `sending`. The next one compares it.
        entries = [entry for entry in rows.fetch(connection, asked).values() if entry.state != "sending"]
        billed, changed = rows.confirmed(connection, entries), []
        for entry in entries:
            after = entry.with_asked(asked[entry.id], self.source, entry.id in billed)
            changed += [after] if after != entry else []
        rows.save(connection, changed)

    def _abandon(self, connection: Connection, run_id: str, error: str) -> int:
        of_run = (ATTEMPTS.c.run_id == run_id, ATTEMPTS.c.state == "sending")
        found = connection.execute(select(ATTEMPTS.c.attempt_id, ATTEMPTS.c.line_id).where(*of_run)).all()
        calls = {(row.line_id, row.attempt_id) for row in found}
        entries = rows.fetch(connection, [row.line_id for row in found]).values()
        lost = [one for one in entries if one.state == "sending" and (one.id, one.attempt_id) in calls]
        rows.save(connection, [replace(entry, state="unknown", why="", error=error) for entry in lost])
        now = self._database.now()
        connection.execute(update(ATTEMPTS).where(*of_run).values(state="unknown", ended_at=now, error=error))
        return len(found)


def _may_claim(entry: Entry | None, again: bool) -> bool:
    return entry is None or (again and entry.state == "unbilled" and not entry.carried_units)


def _fits(parent: Entry, child: Line, units: Decimal) -> bool:
    """Whether a line may bill so many units in place of another."""
    is_open = parent.state in ("unbilled", "conflict") and parent.line.carried_from is None
    return is_open and parent.line.price == child.price and child.units > 0 and units <= parent.open_units


def _is_billed(entry: Entry) -> bool:
    """Whether an entry is of usage that was billed as asked, and of its own hour or day."""
    billed = entry.state in (*TAKEN, "conflict") or entry.why in ("billed", "carried")
    return billed and entry.line.carried_from is None


def _answered(entry: Entry, outcome: Outcome, sent: Line, now: datetime) -> Entry:
    settled = replace(entry, settled_at=now, settled_by="api", error=shorten(outcome.error) or "")
    if outcome.state == "accepted":
        taken = replace(settled, state="accepted", accepted_units=sent.units, accepted_price=sent.price)
        return taken.judged()
    if outcome.state == "unbilled":
        return replace(settled, state="unbilled", why="rejected")
    if outcome.state == "conflict":
        return replace(settled, state="conflict", why="refused by the marketplace")
    return replace(entry, state="unknown", why="", error=shorten(outcome.error) or "")


def _end_attempt(connection: Connection, attempt_id: str, line_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    for batch in batches(line_ids):
        of_call = (ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id.in_(batch))
        connection.execute(update(ATTEMPTS).where(*of_call).values(dict(values)))
