"""A run that sends lines: each step is on disk before its method returns."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal

from sqlalchemy import select

from ...core.redaction import redact
from ..model import Line
from . import line_rows
from .attempts import (
    PROCESS_ENDED,
    RUN_ENDED,
    Attempt,
    Doubt,
    abandon_attempts,
    accepted_as_sent,
    end_attempt,
    insert_attempt,
    latest_doubt,
    new_attempt_id,
    refused_before,
)
from .database import LedgerDatabase
from .entries import Planned, lines_by_id
from .holds import open_ids
from .plan_record import PlanRecord
from .process_lock import ProcessLock
from .states import Transition
from .tables import ATTEMPTS, LINES, LONGEST
from .transitions import apply_transition
from .wal import note_attempt

CallState = Literal["accepted", "rejected", "unknown", "conflict"]
"""State of a line after a call that the API answered, or may have taken."""
_TRANSITIONS: dict[CallState, Transition] = {
    "accepted": Transition.ACCEPT,
    "rejected": Transition.REJECT,
    "unknown": Transition.LOSE,
    "conflict": Transition.CLASH,
}


class Run:
    """A run of a push; `Ledger.run` creates it.

    Attributes:
        id: Id of the run.
    """

    def __init__(self, database: LedgerDatabase, process_lock: ProcessLock, run_id: str) -> None:
        self.id = run_id
        self._database = database
        self._process_lock = process_lock

    def recover(self) -> int:
        """Mark lines that dead runs left `sending` as `unknown`, because their calls may have been taken.

        Lines of runs whose process is alive stay as they are.

        Returns:
            The number of lines.
        """
        with self._database.read() as connection:
            owners = connection.scalars(
                select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending").distinct().order_by(ATTEMPTS.c.run_id)
            ).all()
        recovered = 0
        for owner in owners:
            if owner == self.id:
                continue
            with self._database.write() as connection:
                if self._process_lock.is_released(owner, connection):
                    recovered += abandon_attempts(connection, owner, self._database.now(), PROCESS_ENDED)
        return recovered

    def plan(self, lines: Iterable[Line], renew: Collection[str] = (), record: PlanRecord | None = None) -> Planned:
        """Record lines that will be sent. A line that is already planned gets the new units, price and texts.

        A line is not planned if lines of the other grain with the same key and date were sent, or are about to be.

        Args:
            lines: What will be sent.
            renew: Ids of those among them that will be sent although they were rejected, expired or canceled.
            record: Holds, digest and source of the plan; None to write none.

        Raises:
            ValueError: Two lines have one id, or lines of both grains have the same key and date.
        """
        with self._database.write() as connection:
            lines = list(lines)
            states = line_rows.fetch_states(connection, sorted(set(renew) & {line.id for line in lines}))
            renewed = line_rows.fetch(connection, [line_id for line_id, state in states.items() if state != "planned"])
            free = line_rows.unblocked(connection, list(renewed.values()))
            values = {"planned_at": self._database.now(), "settled_at": None, "settled_by": None, "error": None}
            for transition in (Transition.RETRY, Transition.RETRY_EXPIRED, Transition.PLAN_AGAIN):
                apply_transition(connection, transition, free, values)
            planned = line_rows.plan(connection, lines, self._database.now())
            if record is not None:
                record.write(connection, self._database.now())
            return planned

    def expire(self, lines: Iterable[Line], reason: str = "") -> tuple[str, ...]:
        """Record lines that are too late to be sent: new ones, planned ones, and those that have expired before.

        Returns:
            Ids of the lines that are `expired` now. A line in another state is not changed.
        """
        wanted, now = lines_by_id(lines), self._database.now()
        with self._database.write() as connection:
            entries = line_rows.fetch(connection, list(wanted))
            new = [line for line_id, line in wanted.items() if line_id not in entries]
            line_rows.write_new(connection, new, "expired", now, reason)
            values = {"settled_at": now, "error": reason or None}
            known = [line_id for line_id in wanted if line_id in entries]
            expired = apply_transition(connection, Transition.EXPIRE, known, values)
            expired += [line_id for line_id, entry in entries.items() if entry.state == "expired"]
            line_rows.refresh(connection, [wanted[line_id] for line_id in expired], "expired", now)
        return (*(line.id for line in new), *expired)

    def conflict(self, lines: Iterable[Line], reason: str = "") -> tuple[str, ...]:
        """Record lines that were accepted with other units, or another price, than this push asks for. For lines that
        are in conflict about this already, record what this push asks for.

        Returns:
            Ids of the lines that this call has changed.
        """
        wanted, now = lines_by_id(lines), self._database.now()
        with self._database.write() as connection:
            asked, differing = [], []
            for line_id, entry in line_rows.fetch(connection, list(wanted)).items():
                payload_hash = wanted[line_id].payload_hash
                if entry.state == "conflict" and entry.asked_hash not in (None, payload_hash):
                    asked.append(line_id)
                elif not entry.is_settled_for(payload_hash):
                    differing.append(line_id)
            moved = apply_transition(
                connection, Transition.DIFFER, differing, {"settled_at": now, "error": reason or None}
            )
            line_rows.write_asked(connection, [wanted[line_id] for line_id in (*asked, *moved)])
        return tuple(moved)

    def claim(self, body_id: str, lines: Iterable[Line]) -> Attempt | None:
        """Claim lines for one call. They are `sending`, on disk, when this returns.

        A line is left out if it is not planned, for instance because another push has claimed it; or if it is planned
        with other units or another price than given here; or if it is on hold.

        Args:
            body_id: The caller's name for the body.
            lines: What will be sent.

        Returns:
            The claimed lines; None if there are none.

        Raises:
            DestinationError: The connection that holds this run's process lock is lost.
        """
        self._process_lock.verify()
        wanted, now = lines_by_id(lines), self._database.now()
        attempt_id = new_attempt_id(now)
        with self._database.write() as connection:
            hashes = line_rows.fetch_hashes(connection, list(wanted))
            on_hold = open_ids(connection, wanted)
            unchanged = [
                id_ for id_, hash_ in hashes.items() if wanted[id_].payload_hash == hash_ and id_ not in on_hold
            ]
            values = {
                "body_id": body_id,
                "attempt_id": attempt_id,
                "attempts": LINES.c.attempts + 1,
                "sending_at": now,
                "settled_at": None,
                "settled_by": None,
                "response": None,
                "error": None,
            }
            moved = set(apply_transition(connection, Transition.CLAIM, unchanged, values))
            claimed = tuple(line for line_id, line in wanted.items() if line_id in moved)
            if not claimed:
                return None
            attempt = Attempt(attempt_id, body_id, self.id, now, claimed)
            insert_attempt(connection, attempt)
        if self._database.path:
            note_attempt(self._database.path, attempt_id)
        return attempt

    def settle(
        self,
        attempt: Attempt,
        state: CallState,
        lines: Iterable[Line] | None = None,
        *,
        status_code: int | None = None,
        reference: str | None = None,
        response: str | None = None,
        error: str | None = None,
    ) -> tuple[str, ...]:
        """Record the API's answer, or that there was none.

        Args:
            attempt: From `claim`.
            state: New state of the lines.
            lines: Lines of the attempt; None for all.
            status_code: HTTP status, if an answer came.
            reference: Id that the API gave to the call.
            response: Body of the answer; it is redacted and shortened.
            error: What went wrong, for people.

        Returns:
            Ids of the lines that changed. A line that an event or a person has settled meanwhile does not change.
        """
        values: dict[str, Any] = {"status_code": status_code, "reference": reference}
        return self._end(attempt, _TRANSITIONS[state], state, lines, response, error, values)

    def give_back(
        self,
        attempt: Attempt,
        lines: Iterable[Line] | None = None,
        *,
        status_code: int | None = None,
        response: str | None = None,
        error: str | None = None,
    ) -> tuple[str, ...]:
        """Plan lines again that the API certainly did not take (429, refused connection).

        Returns:
            Ids of the lines that changed.
        """
        values = {"status_code": status_code}
        return self._end(attempt, Transition.GIVE_BACK, "not_taken", lines, response, error, values)

    def refuse(self, attempt: Attempt, error: str) -> tuple[str, ...]:
        """Record that the API refused the lines of an attempt for good, after they were given back.

        Returns:
            Ids of the lines that are `rejected` now. A line that was claimed or replaced meanwhile does not change.
        """
        values = {"settled_at": self._database.now(), "settled_by": "api", "error": _shorten(error)}
        ids = [line.id for line in attempt.lines]
        with self._database.write() as connection:
            return tuple(apply_transition(connection, Transition.REFUSE, ids, values, LINES.c.attempt_id == attempt.id))

    def doubt(self) -> Doubt:
        """The unknown calls in a row, of this run and of earlier ones, that nobody has resolved."""
        with self._database.read() as connection:
            return latest_doubt(connection)

    def refused_before(self, about_the_body: Collection[int]) -> set[str]:
        """Ids of planned lines whose last call was refused with a status that is not about the body."""
        with self._database.read() as connection:
            return refused_before(connection, about_the_body)

    def end(self) -> None:
        """Mark what is still `sending` as `unknown`: nothing waits for its answer any more."""
        with self._database.write() as connection:
            abandon_attempts(connection, self.id, self._database.now(), RUN_ENDED)

    def _end(
        self,
        attempt: Attempt,
        transition: Transition,
        state: CallState | Literal["not_taken"],
        lines: Iterable[Line] | None,
        response: str | None,
        error: str | None,
        values: dict[str, Any],
    ) -> tuple[str, ...]:
        now = self._database.now()
        texts = {"response": _shorten(response), "error": _shorten(error)}
        ids = [line.id for line in (attempt.lines if lines is None else lines)]
        columns: dict[str, Any] = dict(texts)
        if state in ("accepted", "rejected", "conflict"):
            columns |= {"settled_at": now, "settled_by": "api"}
        if state == "accepted":
            columns |= accepted_as_sent()
        if state == "not_taken":
            columns |= {"planned_at": now}
        with self._database.write() as connection:
            moved = apply_transition(connection, transition, ids, columns, LINES.c.attempt_id == attempt.id)
            end_attempt(connection, attempt.id, moved, {**values, **texts, "state": state, "ended_at": now})
        return tuple(moved)


def _shorten(text: str | None) -> str | None:
    return redact(text)[:LONGEST] if text else None
