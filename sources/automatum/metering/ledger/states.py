"""The states of a line and the transitions between them. Each transition is checked in SQL, so a lost race changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, select, update

from .tables import LINES

State = Literal["planned", "sending", "accepted", "rejected", "expired", "conflict", "unknown", "writeoff"]
STATES: tuple[State, ...] = ("planned", "sending", "accepted", "rejected", "expired", "conflict", "unknown", "writeoff")
UNRESOLVED: tuple[State, ...] = ("rejected", "expired", "conflict", "unknown")
"""States of lines that are not billed, or may not be, until a person or an event decides."""
BLOCKING: frozenset[State] = frozenset({"planned", "sending", "accepted", "conflict", "unknown", "writeoff"})
"""States in which an hour, or a day, blocks lines of the other grain with the same key and date."""


class Transition(Enum):
    """An allowed change of state (I5).

    No transition leads from `unknown` to `sending`. `accepted` is left only for a conflict or because of an event.

    Attributes:
        before: States in which a line may take it.
        after: State of the line afterwards.
    """

    CLAIM = "claim", ("planned",), "sending"
    # The API's answer to this very attempt is proof, even if another run has declared the process dead.
    ACCEPT = "accept", ("sending", "unknown"), "accepted"
    REJECT = "reject", ("sending", "unknown"), "rejected"
    CLASH = "clash", ("sending", "unknown"), "conflict"
    GIVE_BACK = "give back", ("sending", "unknown"), "planned"
    LOSE = "lose", ("sending",), "unknown"
    # The API refused a line with a status such as 404, and has accepted others since: the refusal is about this line.
    REFUSE = "refuse", ("planned",), "rejected"
    EXPIRE = "expire", ("planned",), "expired"
    DIFFER = "differ", ("accepted",), "conflict"
    RETRY = "retry", ("rejected",), "planned"
    RETRY_EXPIRED = "retry expired", ("expired",), "planned"
    ACCEPT_BY_HAND = "accepted, by hand", ("unknown", "conflict"), "accepted"
    NOT_SENT_BY_HAND = "not sent, by hand", ("unknown",), "planned"
    REJECT_BY_HAND = "rejected, by hand", ("unknown", "conflict", "writeoff"), "rejected"
    WRITE_OFF = "written off, by hand", ("rejected", "expired", "conflict", "unknown"), "writeoff"
    ACCEPT_BY_EVENT = "accepted, by event", ("unknown",), "accepted"
    # 2xx means queued: the marketplace may still refuse. If it does, a conflict about the line is not billed either.
    FAIL_BY_EVENT = "failed, by event", ("unknown", "accepted", "conflict"), "rejected"
    # Events say both confirmed and failed: only a person can decide, and until then nothing is sent.
    CONTRADICT = "contradicted", ("planned", "accepted", "rejected", "unknown"), "conflict"

    def __init__(self, label: str, before: tuple[State, ...], after: State) -> None:
        self.before = before
        self.after = after


CHUNK = 500
"""Ids in one statement. Older builds of SQLite take at most 999 parameters."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item], size: int = CHUNK) -> Iterator[Sequence[_Item]]:
    """Split items into slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def move(
    connection: Connection,
    transition: Transition,
    ids: Sequence[str],
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
) -> list[str]:
    """Apply a transition to the lines that may take it.

    Args:
        connection: A write transaction; there is only one at a time.
        transition: What to apply.
        ids: Ids of the lines.
        values: Columns to set besides the state.
        conditions: Further conditions, such as the attempt that sent the lines.

    Returns:
        Ids of the lines that changed, sorted.
    """
    moved: list[str] = []
    for chunk in chunks(sorted(set(ids))):
        allowed = (LINES.c.line_id.in_(chunk), LINES.c.state.in_(transition.before), *conditions)
        # Not RETURNING: SQLite before 3.35 does not have it.
        found = list(connection.scalars(select(LINES.c.line_id).where(*allowed).order_by(LINES.c.line_id)))
        if not found:
            continue
        changed = connection.execute(update(LINES).where(*allowed).values({**values, "state": transition.after}))
        if changed.rowcount != len(found):
            raise AssertionError(f"{transition.name}: {len(found)} lines matched, but {changed.rowcount} changed")
        moved += found
    return moved
