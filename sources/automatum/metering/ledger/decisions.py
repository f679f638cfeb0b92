"""Reads the decisions of people about lines and refusals, and undoes them (I5)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, select

from .batches import batches
from .decision_log import UNDO, Author, DecisionLog, DecisionName, Subject
from .ledger import Ledger
from .tables import DECISIONS, LINES


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """A decision about one subject, in the ledger.

    Attributes:
        decision_id: Id of the command; the ids sort by time.
        subject_id: Id of the line, of the refusal, or of the silent key.
        subject: What it is about.
        decision: What was decided.
        before: State before it.
        after: State after it.
        reason: Why; "" if nobody said.
        decided_by: User; "" if it is not known.
        decided_at: Time.
        undone_at: Time at which it was undone; None if it stands.
        undone_by: User who has undone it.
    """

    decision_id: str
    subject_id: str
    subject: Subject
    decision: DecisionName
    before: str
    after: str
    reason: str
    decided_by: str
    decided_at: datetime
    undone_at: datetime | None
    undone_by: str | None


@dataclass(frozen=True, slots=True)
class Undone:
    """Result of `undo`.

    Attributes:
        undone: The decisions that were undone.
        refused: Ids of the subjects whose decision stands, with the reason.
    """

    undone: tuple[DecisionEntry, ...]
    refused: tuple[tuple[str, str], ...]


def undo(ledger: Ledger, subject_ids: Collection[str], author: Author) -> Undone:
    """Undo the last decision about each subject that stands, until the line is sent.

    Args:
        ledger: The ledger of the decisions.
        subject_ids: Ids of lines, refusals or silent keys.
        author: Who undoes, and why.

    Raises:
        ConfigurationError: There is no ledger.
    """
    undone: list[DecisionEntry] = []
    refused: list[tuple[str, str]] = []
    with ledger.database.write() as connection:
        log = DecisionLog(connection, ledger.database.now(), author)
        for subject_id in dict.fromkeys(subject_ids):
            last = connection.execute(
                select(DECISIONS)
                .where(DECISIONS.c.subject_id == subject_id, DECISIONS.c.undone_at.is_(None))
                .where(DECISIONS.c.decision != UNDO)
                .order_by(DECISIONS.c.decision_id.desc())
                .limit(1)
            ).mappings()
            row = last.one_or_none()
            problem = "nobody has decided about it" if row is None else log.undo(row)
            if row is None or problem:
                refused.append((subject_id, problem or ""))
            else:
                undone.append(_entry(row))
    return Undone(tuple(undone), tuple(refused))


def read_decisions(ledger: Ledger, subject_ids: Collection[str] | None = None) -> Iterator[DecisionEntry]:
    """Decisions in the order of time.

    Args:
        ledger: The ledger.
        subject_ids: Ids of lines, refusals or silent keys; None for all.
    """
    if not ledger.exists:
        return
    query = select(DECISIONS).order_by(DECISIONS.c.decision_id, DECISIONS.c.subject_id)
    wanted = [None] if subject_ids is None else list(batches(sorted(subject_ids)))
    rows: list[RowMapping] = []
    with ledger.database.read() as connection:
        for batch in wanted:
            selected = query if batch is None else query.where(DECISIONS.c.subject_id.in_(batch))
            rows += connection.execute(selected).mappings().all()
    yield from map(_entry, sorted(rows, key=lambda row: (row["decision_id"], row["subject_id"])))


def retried_ids(ledger: Ledger) -> list[str]:
    """Ids of lines that a person has retried, and that were not sent since, in any state."""
    query = (
        select(DECISIONS.c.subject_id)
        .join(LINES, LINES.c.line_id == DECISIONS.c.subject_id)
        .where(DECISIONS.c.decision == "retry", DECISIONS.c.undone_at.is_(None))
        .where(LINES.c.attempts == DECISIONS.c.attempts)
    )
    with ledger.database.read() as connection:
        return sorted(set(connection.scalars(query)))


def last_of(ledger: Ledger, decision_id: str | None = None) -> list[str]:
    """Ids of the subjects of one command: of the latest that stands, or of the one with this id."""
    query = select(DECISIONS.c.decision_id, DECISIONS.c.subject_id).where(DECISIONS.c.decision != UNDO)
    if decision_id is None:
        query = query.where(DECISIONS.c.undone_at.is_(None))
    else:
        query = query.where(DECISIONS.c.decision_id == decision_id)
    with ledger.database.read() as connection:
        rows = connection.execute(query.order_by(DECISIONS.c.decision_id.desc())).all()
    return sorted(row.subject_id for row in rows if row.decision_id == rows[0].decision_id)


def _entry(row: RowMapping) -> DecisionEntry:
    return DecisionEntry(
        **{name: row[name] for name in DecisionEntry.__slots__ if name not in ("reason", "decided_by")},
        reason=row["reason"] or "",
        decided_by=row["decided_by"] or "",
    )
