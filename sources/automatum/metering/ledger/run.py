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
from . import rows
from .database import LedgerDatabase
from .entries import TAKEN, Attempt, Entry, Outcome
from .events import answer_late, place_waiting
from .tables import ATTEMPTS, JOURNAL, batches, shorten

PROCESS_ENDED = "The process ended before it received the API's answer."
RUN_ENDED = "The run ended before it received the API's answer."
LOST = "It was being sent when the ledger was copied; nobody knows whether it was billed."


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
        self.id, self.source, self.by = run_id, source, by
        self._database, self._verify_lock = database, verify_lock
        self.ended = False
        if lines:
            reason = "This push did not send all its lines: push the usage again."
            data, ids = {"lines": len(lines)}, [line.id for line in lines]
            with database.write() as connection:
                item = rows.new_item("run", run_id, database.now(), reason, data, source=source, line_ids=ids, by=by)
                rows.add_item(connection, item)

    def recover(self) -> int:
        """Mark lines that dead runs left `sending` as `unknown`, because their calls may have been taken.

        Lines of runs whose process is alive stay as they are.

        Returns:
            The number of lines.
        """
        query = select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending", ATTEMPTS.c.run_id != self.id)
        with self._database.read() as connection:
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
        with self._database.write() as connection:
            parents = [line.carried_from for line in wanted.values() if line.carried_from]
            known = rows.fetch(connection, [*wanted, *parents])
            free = _free(connection, wanted, known, again)
            if not free:
                return None
            attempt = Attempt(rows.new_id(now), body_id, tuple(free))
            self._insert_calls(connection, attempt, known, now)
            calls = rows.calls(connection, [line.id for line in free])
            sent: dict[str, Any] = {"state": "sending", "attempt_id": attempt.id, "sent_at": now}
            claimed = [replace(self._new(line, now), **sent, attempts=calls[line.id][0]) for line in free]
            rows.add(connection, [entry for entry in claimed if entry.id not in known])
            old = [entry for entry in claimed if entry.id in known]
            rows.save(connection, [replace(entry, first_seen_at=known[entry.id].first_seen_at) for entry in old])
            rows.close_sent(connection, [line.id for line in free], now)
        self._database.note.write(attempt.id)
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

        A line that an event or a person has settled meanwhile keeps its state, unless the API took what is held not to
        be billed: that is a conflict.

        Args:
            attempt: From `claim`.
            outcomes: What became of the lines, by id. Others stay `sending`.
            status_code: HTTP status, if an answer came.
            reference: Id that the API gave to the call.
            response: Body of the answer; it is redacted and shortened.
        """
        now = self._database.now()
        common = {"status_code": status_code, "reference": reference, "response": shorten(response), "ended_at": now}
        sent = {line.id: line for line in attempt.lines}
        with self._database.write() as connection:
            waiting = _waiting(connection, attempt, outcomes)
            rows.save(connection, [_answered(entry, outcomes[entry.id], sent[entry.id], now) for entry in waiting])
            taken = {line_id for line_id, outcome in outcomes.items() if outcome.state == "accepted"}
            answer_late(connection, attempt.id, taken - {entry.id for entry in waiting}, now)
            for outcome in dict.fromkeys(outcomes.values()):
                ids = [line_id for line_id, one in outcomes.items() if one == outcome]
                values = {**common, "state": outcome.state, "error": shorten(outcome.error)}
                _end_calls(connection, attempt.id, ids, values)
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
        query = select(ATTEMPTS.c.line_id, ATTEMPTS.c.before, ATTEMPTS.c.before_error)
        query = query.where(ATTEMPTS.c.attempt_id == attempt.id, ATTEMPTS.c.before.is_not(None))
        with self._database.write() as connection:
            before = {row.line_id: (row.before, row.before_error or "") for row in connection.execute(query)}
            waiting = _waiting(connection, attempt, ids)
            rows.remove(connection, [entry for entry in waiting if entry.id not in before])
            unbilled = [(entry, *before[entry.id]) for entry in waiting if entry.id in before]
            same: dict[str, Any] = {"state": "unbilled", "settled_at": now, "settled_by": "api"}
            rows.save(connection, [replace(entry, why=why, error=text, **same) for entry, why, text in unbilled])
            values = {"state": "not_taken", "ended_at": now, "status_code": status_code, "error": shorten(error)}
            _end_calls(connection, attempt.id, ids, values)

    def record(
        self,
        *,
        expired: Sequence[tuple[Line, str]] = (),
        rejected: Sequence[tuple[Line, str]] = (),
        asked: Sequence[Line] = (),
        gone: Collection[str] = (),
        refusals: Sequence[Refusal] = (),
        sources: Sequence[tuple[Line, Entry]] = (),
        whole: Line | None = None,
    ) -> None:
        """Record what the comparison of usage with the ledger has found, in one transaction.

        Args:
            expired: Lines that are too late to be sent, and why.
            rejected: Lines that the API would certainly refuse, and why.
            asked: Lines of the usage that are in the ledger: what they ask for now; see `Entry.with_asked`.
            gone: Ids of lines that were taken, and that the usage does not contain any more.
            refusals: Refused rows.
            sources: Lines that another source has asked for, with their entries.
            whole: The earliest line of a file that was read whole. Without a refusal the file closes those of its time.
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
            for refusal in refusals:
                rows.note(connection, rows.refusal_item(refusal, now, self.source, self.by))
            for line, entry in sources:
                rows.note(connection, rows.source_item(line, entry, now, self.source, self.by))
            if whole and not refusals:
                rows.close_whole(connection, self.source, whole, now)

    def end(self, *, complete: bool, reason: str = "") -> None:
        """Close the journal's item of this run, and of earlier ones, if each line is in the ledger.

        What is still `sending` becomes `unknown`: nothing waits for its answer any more.

        Args:
            complete: Whether the run came to its end. Otherwise its item says why, if it stays open.
            reason: Why it ended early, for people.
        """
        self.ended = True
        with self._database.write() as connection:
            self._abandon(connection, self.id, RUN_ENDED)
            if not complete and reason:
                text = {"reason": shorten(f"This push ended early: {reason.rstrip('.')}. Push the usage again.")}
                own = (JOURNAL.c.kind == "run", JOURNAL.c.subject == self.id)
                connection.execute(update(JOURNAL).where(*own).values(text))
            rows.close_runs(connection, self._database.now())

    def _new(self, line: Line, now: datetime) -> Entry:
        """A line as it enters the ledger."""
        nothing: dict[str, Any] = {"accepted_units": None, "accepted_price": None, "carried_units": Decimal(0)}
        nothing |= {"attempts": 0, "attempt_id": None, "settled_by": "", "sent_at": None, "settled_at": None}
        return Entry(line, "unbilled", "", "", source=self.source, first_seen_at=now, **nothing)

    def _insert_calls(
        self, connection: Connection, attempt: Attempt, known: Mapping[str, Entry], now: datetime
    ) -> None:
        values = {"attempt_id": attempt.id, "body_id": attempt.body_id, "run_id": self.id, "started_at": now}
        new = [{**values, "state": "sending", "before": None, "before_error": None} for _ in attempt.lines]
        for row, line in zip(new, attempt.lines, strict=True):
            row |= {"line_id": line.id, "units": line.units, "price": line.price}
            if entry := known.get(line.id):
                row |= {"before": entry.why, "before_error": entry.error}
        for batch in batches(new):
            connection.execute(insert(ATTEMPTS), list(batch))

    def _record_unsent(self, connection: Connection, found: Sequence[tuple[Line, str, str]], now: datetime) -> None:
        known = rows.fetch(connection, [line.id for line, _, _ in found])
        calls = rows.calls(connection, [line.id for line, _, _ in found if line.id not in known])
        new, changed = dict[str, Entry](), dict[str, Entry]()
        for line, why, text in found:
            by = "api" if why == "rejected" else "push"
            outcome: dict[str, Any] = {"why": why, "error": shorten(text) or "", "settled_by": by, "settled_at": now}
            if (entry := known.get(line.id)) is None:
                attempts, last = calls.get(line.id, (0, None))
                new[line.id] = replace(self._new(line, now), **outcome, attempts=attempts, attempt_id=last)
            elif entry.state == "unbilled":
                same = (entry.line.units, entry.line.price, entry.why) == (line.units, line.price, why)
                changed[line.id] = entry if same else replace(entry, line=line, source=self.source, **outcome)
        rows.add(connection, list(new.values()))
        rows.save(connection, [entry for line_id, entry in changed.items() if entry != known[line_id]])

    def _record_asked(self, connection: Connection, asked: Mapping[str, Line]) -> None:
        # Another push sends what is `sending`. The next one compares it.
        entries = [entry for entry in rows.fetch(connection, asked).values() if entry.state != "sending"]
        billed = rows.confirmed(connection, entries)
        compared = [(entry, entry.with_asked(asked[entry.id], self.source, entry.id in billed)) for entry in entries]
        rows.save(connection, [after for before, after in compared if after != before])

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


def _free(
    connection: Connection, wanted: Mapping[str, Line], known: Mapping[str, Entry], again: Collection[str]
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


def _waiting(connection: Connection, attempt: Attempt, ids: Iterable[str]) -> list[Entry]:
    """The lines of a call that still wait for its answer."""
    entries = rows.fetch(connection, ids).values()
    return [one for one in entries if one.attempt_id == attempt.id and one.state in ("sending", "unknown")]


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


def _end_calls(connection: Connection, attempt_id: str, line_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    for batch in batches(line_ids):
        of_call = (ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id.in_(batch))
        connection.execute(update(ATTEMPTS).where(*of_call).values(dict(values)))
