"""A run that sends: every step is on disk before the call returns."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from ...core.redaction import redact
from ..model import Line
from . import planning
from .database import LedgerDatabase
from .entries import Planned, by_line, knows
from .process_lock import Life
from .states import chunks, move
from .tables import ATTEMPTS, LINES, LONGEST

Outcome = Literal["accepted", "rejected", "unknown", "conflict"]
_MOVES: dict[Outcome, str] = {"accepted": "accept", "rejected": "reject", "unknown": "lose", "conflict": "clash"}
_NUMBERS = itertools.count()
_DEAD = "The process ended before it knew what the API had answered."
_LEFT = "The run ended before it knew what the API had answered."


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right, and the duty, to send these lines in one call.

    Attributes:
        id: Identifies it for ever.
        body_id: The caller's name for the body.
        run_id: The run that sends it.
        started_at: When it was written down as `sending`.
        lines: What was claimed, in the order that it was asked for. Nothing else may be in the call.
    """

    id: str
    body_id: str
    run_id: str
    started_at: datetime
    lines: tuple[Line, ...]


class Run:
    """Made by `Ledger.run`.

    Attributes:
        id: Of this run.
    """

    def __init__(self, store: LedgerDatabase, life: Life, run_id: str) -> None:
        self.id = run_id
        self._store = store
        self._life = life

    def recover(self) -> int:
        """Lines that dead runs left `sending` become `unknown`: their call may have been taken.

        Returns:
            The number of lines. Those of living runs stay as they are.
        """
        with self._store.reading() as connection:
            owners = connection.scalars(
                select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending").distinct().order_by(ATTEMPTS.c.run_id)
            ).all()
        recovered = 0
        for owner in owners:
            if owner == self.id:
                continue
            with self._store.writing() as connection:
                if self._life.gone(owner, connection):
                    recovered += self._lose(connection, owner, _DEAD)
        return recovered

    def plan(self, lines: Iterable[Line], renew: Collection[str] = ()) -> Planned:
        """Write lines down as to be sent. A line that is planned already gets the units of today.

        Nothing is planned whose key and date have gone out, or are about to, in the other grain.

        Args:
            lines: What is to be sent.
            renew: Ids of those among them that are to be sent although they were rejected, or too late.

        Raises:
            ValueError: Two lines have one id, or both grains of one key and date are asked for at once.
        """
        with self._store.writing() as connection:
            lines = list(lines)
            asked = set(renew) & {line.id for line in lines}
            free = planning.free_of_other_grain(connection, planning.fetch(connection, sorted(asked)).values())
            values = {"planned_at": self._store.now(), "settled_at": None, "settled_by": None, "error": None}
            for name in ("retry", "retry expired"):
                move(connection, name, free, values)
            return planning.plan(connection, lines, self._store.now())

    def expire(self, lines: Iterable[Line], reason: str = "") -> tuple[str, ...]:
        """Write lines down as too late to be sent: new ones, planned ones, and again those that are expired.

        Returns:
            Ids of the lines that are `expired` now; a line in another state is left alone.
        """
        wanted, now = by_line(lines), self._store.now()
        with self._store.writing() as connection:
            held = planning.fetch(connection, list(wanted))
            fresh = [line for line_id, line in wanted.items() if line_id not in held]
            planning.write_new(connection, fresh, "expired", now, reason)
            values = {"settled_at": now, "error": reason or None}
            expired = move(connection, "expire", [line_id for line_id in wanted if line_id in held], values)
            expired += [line_id for line_id, entry in held.items() if entry.state == "expired"]
            planning.refresh(connection, [wanted[line_id] for line_id in expired], "expired", now)
        return (*(line.id for line in fresh), *expired)

    def conflict(self, lines: Iterable[Line], reason: str = "") -> tuple[str, ...]:
        """Lines that were accepted with other units, or another price, than is asked for now.

        Returns:
            Ids of the lines that are in conflict by this call.
        """
        wanted, now = by_line(lines), self._store.now()
        moved: list[str] = []
        with self._store.writing() as connection:
            for line_id, entry in planning.fetch(connection, list(wanted)).items():
                line = wanted[line_id]
                if knows(entry, line.payload_hash):
                    continue
                values = {
                    "asked_units": line.units,
                    "asked_price": line.price,
                    "asked_hash": line.payload_hash,
                    "settled_at": now,
                    "error": reason or None,
                }
                moved += move(connection, "differ", [line_id], values)
        return tuple(moved)

    def claim(self, body_id: str, lines: Iterable[Line]) -> Attempt | None:
        """Take lines to send them in one call: they are `sending`, on disk, when this returns.

        A line is left out if it is not planned, for instance because another push has taken it; or if it is planned
        with other units or another price than given here.

        Args:
            body_id: The caller's name for the body, to find it again.
            lines: What is to be sent.

        Returns:
            What was claimed; None if nothing was.

        Raises:
            DestinationError: The connection is lost by which other processes see that this run lives.
        """
        self._life.check()
        wanted, now = by_line(lines), self._store.now()
        # Sorts by time, and within this process by number.
        attempt_id = f"{int(now.timestamp() * 1e6):014x}{next(_NUMBERS):06x}{secrets.token_hex(8)}"
        with self._store.writing() as connection:
            held = planning.fetch(connection, list(wanted))
            fit = [one for one, entry in held.items() if wanted[one].payload_hash == entry.payload_hash]
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
            mine = set(move(connection, "claim", fit, values))
            claimed = tuple(line for line_id, line in wanted.items() if line_id in mine)
            if not claimed:
                return None
            connection.execute(
                insert(ATTEMPTS),
                [
                    {
                        "attempt_id": attempt_id,
                        "line_id": line.id,
                        "body_id": body_id,
                        "run_id": self.id,
                        "started_at": now,
                        "state": "sending",
                        "units": line.units,
                        "price": line.price,
                        "charged": line.charged,
                    }
                    for line in claimed
                ],
            )
        return Attempt(attempt_id, body_id, self.id, now, claimed)

    def settle(
        self,
        attempt: Attempt,
        state: Outcome,
        lines: Iterable[Line] | None = None,
        *,
        status_code: int | None = None,
        reference: str | None = None,
        response: str | None = None,
        error: str | None = None,
    ) -> tuple[str, ...]:
        """Write down what the API said, or that it cannot be known.

        Args:
            attempt: From `claim`.
            state: What became of the lines.
            lines: Those of the attempt that this is about; None for all.
            status_code: HTTP status, if an answer came.
            reference: The id that the API gave to the call.
            response: The answer's body; it is redacted and shortened.
            error: What went wrong, for people.

        Returns:
            Ids of the lines that moved. A line that has been settled otherwise meanwhile, by hand or by an event, does
            not.
        """
        values: dict[str, object] = {"status_code": status_code, "reference": reference}
        return self._end(attempt, _MOVES[state], state, lines, response, error, values)

    def give_back(
        self,
        attempt: Attempt,
        lines: Iterable[Line] | None = None,
        *,
        status_code: int | None = None,
        response: str | None = None,
        error: str | None = None,
    ) -> tuple[str, ...]:
        """Lines of which it is certain that the API took nothing (429, refused connection) are planned again.

        Returns:
            Ids of the lines that moved.
        """
        return self._end(attempt, "give back", "not_taken", lines, response, error, {"status_code": status_code})

    def end(self) -> None:
        """Nobody will hear what became of what is still `sending`: it is `unknown`."""
        with self._store.writing() as connection:
            self._lose(connection, self.id, _LEFT)

    def _end(
        self,
        attempt: Attempt,
        name: str,
        state: str,
        lines: Iterable[Line] | None,
        response: str | None,
        error: str | None,
        values: dict[str, object],
    ) -> tuple[str, ...]:
        now = self._store.now()
        said = {"response": _short(response), "error": _short(error)}
        mine = [line.id for line in (attempt.lines if lines is None else lines)]
        of_line: dict[str, object] = dict(said)
        if state in ("accepted", "rejected", "conflict"):
            of_line |= {"settled_at": now, "settled_by": "api"}
        if state == "accepted":
            of_line |= {
                "accepted_units": LINES.c.units,
                "accepted_price": LINES.c.price,
                "accepted_hash": LINES.c.payload_hash,
            }
        if state == "not_taken":
            of_line |= {"planned_at": now}
        with self._store.writing() as connection:
            moved = move(connection, name, mine, of_line, LINES.c.attempt_id == attempt.id)
            for some in chunks(moved):
                connection.execute(
                    update(ATTEMPTS)
                    .where(ATTEMPTS.c.attempt_id == attempt.id, ATTEMPTS.c.line_id.in_(some))
                    .values({**values, **said, "state": state, "ended_at": now})
                )
        return tuple(moved)

    def _lose(self, connection: Connection, run_id: str, error: str) -> int:
        now = self._store.now()
        of_run = (ATTEMPTS.c.run_id == run_id, ATTEMPTS.c.state == "sending")
        left = connection.execute(select(ATTEMPTS.c.attempt_id, ATTEMPTS.c.line_id).where(*of_run)).all()
        for attempt_id in sorted({one.attempt_id for one in left}):
            ids = [one.line_id for one in left if one.attempt_id == attempt_id]
            move(connection, "lose", ids, {"error": error}, LINES.c.attempt_id == attempt_id)
        connection.execute(update(ATTEMPTS).where(*of_run).values(state="unknown", ended_at=now, error=error))
        return len(left)


def _short(text: str | None) -> str | None:
    return redact(text)[:LONGEST] if text else None
