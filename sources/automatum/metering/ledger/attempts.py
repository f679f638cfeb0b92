"""The rows of `metering_attempts`: written before a call, and updated when its outcome is known."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update

from ..model import Line
from .batches import batches
from .entries import Entry
from .states import Transition
from .tables import ATTEMPTS, EVENTS, LINES
from .transitions import apply_transition

PROCESS_ENDED = "The process ended before it received the API's answer."
RUN_ENDED = "The run ended before it received the API's answer."
_ANSWERED = ("accepted", "rejected", "conflict", "unknown")
_MOST_ROWS = 400
"""Rows of attempts that are read to find the latest ones: each has at most 25."""
_OF_LAST_CALL = and_(LINES.c.line_id == ATTEMPTS.c.line_id, LINES.c.attempt_id == ATTEMPTS.c.attempt_id)
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Lines that a run has claimed, to send them in one call.

    Attributes:
        id: Unique id. The ids sort by time, and by order within a process.
        body_id: The caller's name for the body.
        run_id: The run that sends it.
        started_at: Time at which the lines became `sending`.
        lines: The claimed lines, in the order of the request. The call must contain no others.
    """

    id: str
    body_id: str
    run_id: str
    started_at: datetime
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """The latest calls whose outcome is not known, and that nobody has resolved.

    Attributes:
        in_a_row: Number of such calls without another outcome between or after them.
        latest: Time at which the latest of them ended; None if there is none.
        error: What happened to it, for people.
    """

    in_a_row: int = 0
    latest: datetime | None = None
    error: str = ""


def new_attempt_id(now: datetime) -> str:
    """An id that sorts by time, and within this process by number."""
    return f"{int(now.timestamp() * 1e6):014x}{next(_NUMBERS):06x}{secrets.token_hex(8)}"


def insert_attempt(connection: Connection, attempt: Attempt) -> None:
    """Write one `sending` row for each line."""
    connection.execute(
        insert(ATTEMPTS),
        [
            {
                "attempt_id": attempt.id,
                "line_id": line.id,
                "body_id": attempt.body_id,
                "run_id": attempt.run_id,
                "started_at": attempt.started_at,
                "state": "sending",
                "units": line.units,
                "price": line.price,
                "charged": line.charged,
            }
            for line in attempt.lines
        ],
    )


def end_attempt(connection: Connection, attempt_id: str, line_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    """Write the outcome of an attempt for some of its lines."""
    for batch in batches(line_ids):
        connection.execute(
            update(ATTEMPTS)
            .where(ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id.in_(batch))
            .values(dict(values))
        )


def latest_doubt(connection: Connection) -> Doubt:
    """Count the unknown calls in a row, of all runs. Calls of processes that died do not count: they blame no API."""
    columns = (ATTEMPTS.c.attempt_id, ATTEMPTS.c.state, ATTEMPTS.c.ended_at, ATTEMPTS.c.error)
    latest = connection.execute(
        select(*columns, LINES.c.state.label("now"))
        .join(LINES, _OF_LAST_CALL)
        .where(ATTEMPTS.c.state.in_(_ANSWERED))
        .order_by(ATTEMPTS.c.attempt_id.desc())
        .limit(_MOST_ROWS)
    )
    found = Doubt()
    for _, lines in itertools.groupby(latest, key=lambda row: row.attempt_id):
        rows = list(lines)
        if rows[0].error in (PROCESS_ENDED, RUN_ENDED):
            continue
        if any(row.state != "unknown" or row.now != "unknown" for row in rows):
            break
        found = Doubt(found.in_a_row + 1, found.latest or rows[0].ended_at, found.error or rows[0].error or "")
    return found


def refused_before(connection: Connection, statuses: Collection[int]) -> set[str]:
    """Ids of planned lines whose last call was refused with a status that is none of these."""
    return set(
        connection.scalars(
            select(LINES.c.line_id)
            .join(ATTEMPTS, _OF_LAST_CALL)
            .where(LINES.c.state == "planned", ATTEMPTS.c.state == "not_taken", ATTEMPTS.c.status_code >= 400)
            .where(ATTEMPTS.c.status_code.not_in(list(statuses)))
        )
    )


def accepted_once(connection: Connection, line_ids: Sequence[str]) -> set[str]:
    """Ids of the lines that the API has, or had, accepted: by its answer, by an event, or by a person's word."""
    found: set[str] = set()
    for batch in batches(sorted(line_ids)):
        accepted = or_(LINES.c.accepted_hash.is_not(None), LINES.c.settled_by == "event")
        queries = (
            select(LINES.c.line_id).where(LINES.c.line_id.in_(batch), accepted),
            select(ATTEMPTS.c.line_id).where(ATTEMPTS.c.line_id.in_(batch), ATTEMPTS.c.state == "accepted"),
            select(EVENTS.c.line_id).where(EVENTS.c.line_id.in_(batch)),
        )
        for query in queries:
            found |= set(connection.scalars(query))
    return found


def was_confirmed(connection: Connection, entry: Entry) -> bool:
    """Whether the events about the last call of a line say that it was billed, and none that it was not."""
    of_call = (EVENTS.c.line_id == entry.line_id, EVENTS.c.attempt_id == entry.attempt_id)
    kinds = set(connection.scalars(select(EVENTS.c.event).where(*of_call)))
    return "confirmed" in kinds and "failed" not in kinds


def accepted_as_sent() -> dict[str, Any]:
    """Columns of a line that was accepted with the units and the price of the ledger."""
    return {
        "accepted_units": LINES.c.units,
        "accepted_price": LINES.c.price,
        "accepted_hash": LINES.c.payload_hash,
    }


def abandon_attempts(connection: Connection, run_id: str, now: datetime, error: str) -> int:
    """Mark everything that a run left `sending` as `unknown`; returns the number of lines."""
    of_run = (ATTEMPTS.c.run_id == run_id, ATTEMPTS.c.state == "sending")
    rows = connection.execute(select(ATTEMPTS.c.attempt_id, ATTEMPTS.c.line_id).where(*of_run)).all()
    for attempt_id in sorted({row.attempt_id for row in rows}):
        ids = [row.line_id for row in rows if row.attempt_id == attempt_id]
        apply_transition(connection, Transition.LOSE, ids, {"error": error}, LINES.c.attempt_id == attempt_id)
    connection.execute(update(ATTEMPTS).where(*of_run).values(state="unknown", ended_at=now, error=error))
    return len(rows)
