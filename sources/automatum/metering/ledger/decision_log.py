"""Writes the decisions of people to the ledger, with what is needed to undo them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, Table, insert, select, update

from ...core.redaction import redact
from ..model import format_decimal
from . import line_rows
from .attempts import new_attempt_id
from .entries import Entry
from .tables import ATTEMPTS, DECISIONS, HOLDS, LINES, LONGEST, REFUSALS, Exact, Moment

Subject = Literal["line", "refusal", "silence"]
DecisionName = Literal[
    "accepted",
    "not_sent",
    "rejected",
    "written_off",
    "retry",
    "kept",
    "canceled",
    "carried",
    "dismissed",
    "undo",
]
UNDO: DecisionName = "undo"
KEPT: DecisionName = "kept"
"""The decision to send a line that is on hold."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who decides, and why.

    Attributes:
        by: User; "" if it is not known.
        reason: For people; the ledger keeps it, redacted.
    """

    by: str = ""
    reason: str = ""

    def note(self, decision: DecisionName) -> str:
        """The decision in a sentence, as the line shows it."""
        words = f"Resolved by hand: {decision.replace('_', ' ')}"
        return redact(f"{words}{f', by {self.by}' if self.by else ''}{f': {self.reason}' if self.reason else ''}.")[
            :LONGEST
        ]


NOBODY = Author()


class DecisionLog:
    """Records the decisions of one command, in its write transaction.

    Args:
        connection: The write transaction.
        now: Time to record.
        author: Who decides, and why.
    """

    def __init__(self, connection: Connection, now: datetime, author: Author) -> None:
        self._connection = connection
        self._now = now
        self._author = author
        self._id = new_attempt_id(now)

    def snapshot(self, line_id: str) -> dict[str, Any]:
        """A line and its last attempt as they are now; take it before the line changes."""
        line = self._connection.execute(select(LINES).where(LINES.c.line_id == line_id)).mappings().one()
        last = (ATTEMPTS.c.attempt_id == line["attempt_id"], ATTEMPTS.c.line_id == line_id)
        attempt = self._connection.execute(select(ATTEMPTS).where(*last)).mappings().one_or_none()
        return {"line": dict(line), "attempt": dict(attempt) if attempt else None}

    def record_line(self, snapshot: Mapping[str, Any], decision: DecisionName, after: str) -> None:
        """Record a decision about a line.

        Args:
            snapshot: From `snapshot`.
            decision: What was decided.
            after: State of the line afterwards.
        """
        line, text = snapshot["line"], json.dumps(_encode(snapshot))
        self._insert("line", line["line_id"], decision, line["state"], after, line["attempts"], text)

    def record(self, subject: Subject, subject_id: str, decision: DecisionName, before: str, after: str) -> None:
        """Record a decision about something that is no line."""
        self._insert(subject, subject_id, decision, before, after, None, None)

    def _insert(
        self,
        subject: Subject,
        subject_id: str,
        decision: DecisionName,
        before: str,
        after: str,
        attempts: int | None,
        snapshot: str | None,
    ) -> None:
        self._connection.execute(
            insert(DECISIONS).values(
                decision_id=self._id,
                subject_id=subject_id,
                subject=subject,
                decision=decision,
                before=before,
                after=after,
                reason=redact(self._author.reason)[:LONGEST],
                decided_by=self._author.by,
                decided_at=self._now,
                attempts=attempts,
                snapshot=snapshot,
            )
        )

    def undo(self, decision: RowMapping) -> str | None:
        """Undo a decision; returns why it stands, or None if it was undone.

        Args:
            decision: A row of `metering_decisions`.
        """
        undo = {"line": self._undo_line, "refusal": self._undo_refusal}.get(decision["subject"])
        problem = undo(decision) if undo else None
        if problem is None:
            row = (
                DECISIONS.c.decision_id == decision["decision_id"],
                DECISIONS.c.subject_id == decision["subject_id"],
            )
            stamp = {"undone_at": self._now, "undone_by": self._author.by}
            self._connection.execute(update(DECISIONS).where(*row).values(stamp))
            self.record(decision["subject"], decision["subject_id"], UNDO, decision["after"], decision["before"])
        return problem

    def _undo_line(self, decision: RowMapping) -> str | None:
        line_id = decision["subject_id"]
        columns = (LINES.c.state, LINES.c.attempts, LINES.c.carried_units)
        now = self._connection.execute(select(*columns).where(LINES.c.line_id == line_id)).one()
        if now.attempts != decision["attempts"]:
            return "it was sent since"
        # A planned line that became too late was not sent either.
        if now.state != decision["after"] and (decision["after"], now.state) != ("planned", "expired"):
            return f"it is {now.state} now, no longer {decision['after']}"
        before = json.loads(decision["snapshot"])
        if now.carried_units != _decode(LINES, before["line"]).get("carried_units"):
            return "another line bills its late usage since"
        if before["line"]["state"] == "planned" and (other := self._blocking_line(line_id)):
            return f"its usage was sent, or is planned, by the {other.grain}: the line {other.line_id}"
        self._connection.execute(update(LINES).where(LINES.c.line_id == line_id).values(_decode(LINES, before["line"])))
        if decision["decision"] == KEPT:
            reopened = update(HOLDS).where(HOLDS.c.line_id == line_id, HOLDS.c.released_at == decision["decided_at"])
            self._connection.execute(reopened.values(released_at=None, released_by=None))
        if attempt := before["attempt"]:
            last = (ATTEMPTS.c.attempt_id == attempt["attempt_id"], ATTEMPTS.c.line_id == line_id)
            self._connection.execute(update(ATTEMPTS).where(*last).values(_decode(ATTEMPTS, attempt)))
        return None

    def _blocking_line(self, line_id: str) -> Entry | None:
        """A line that bills the same usage as this one, or may; None if there is none."""
        blocked = line_rows.blocked_by(self._connection, line_rows.fetch(self._connection, [line_id]).values())
        other = blocked.get(line_id)
        return line_rows.fetch(self._connection, [other])[other] if other else None

    def _undo_refusal(self, decision: RowMapping) -> str | None:
        row = (REFUSALS.c.refusal_id == decision["subject_id"], REFUSALS.c.closed_by == "hand")
        changed = self._connection.execute(update(REFUSALS).where(*row).values(closed_at=None, closed_by=None))
        return None if changed.rowcount else "it is open, or a push has closed it since"


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encode(item) for name, item in value.items()}
    if value is None or isinstance(value, (str, int)):
        return value
    return value.isoformat() if isinstance(value, (date, datetime)) else format_decimal(value)


def _decode(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a snapshot as their types. Columns that a later version has added stay as they are."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        kind = table.c[name].type
        if value is None or not isinstance(value, str):
            found[name] = value
        elif isinstance(kind, Exact):
            found[name] = Decimal(value)
        elif isinstance(kind, Moment):
            found[name] = datetime.fromisoformat(value)
        else:
            found[name] = date.fromisoformat(value) if name == "day" else value
    return found
