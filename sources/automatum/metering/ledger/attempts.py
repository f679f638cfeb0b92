"""The rows of `metering_attempts`: written before a call, and updated when its outcome is known."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ..model import Line
from .states import Transition, chunks, move
from .tables import ATTEMPTS, LINES

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
    for chunk in chunks(line_ids):
        connection.execute(
            update(ATTEMPTS)
            .where(ATTEMPTS.c.attempt_id == attempt_id, ATTEMPTS.c.line_id.in_(chunk))
            .values(dict(values))
        )


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
        move(connection, Transition.LOSE, ids, {"error": error}, LINES.c.attempt_id == attempt_id)
    connection.execute(update(ATTEMPTS).where(*of_run).values(state="unknown", ended_at=now, error=error))
    return len(rows)
