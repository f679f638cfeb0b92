"""The states of a line and the moves between them: one table, checked in SQL, so that a lost race changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, select, update

from .tables import LINES

State = Literal["planned", "sending", "accepted", "rejected", "expired", "conflict", "unknown"]
STATES: tuple[State, ...] = ("planned", "sending", "accepted", "rejected", "expired", "conflict", "unknown")
SETTLED: frozenset[State] = frozenset({"accepted", "expired"})
"""States of which nothing is owed by anybody. `expired` is final, and was said when it happened."""
BLOCKING: frozenset[State] = frozenset({"planned", "sending", "accepted", "conflict", "unknown"})
"""States in which an hour, or a day, keeps the other grain of its key and date from being sent."""


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed step.

    Attributes:
        before: States in which it may be taken.
        after: State that it leads to.
    """

    before: tuple[State, ...]
    after: State


MOVES: Mapping[str, Move] = MappingProxyType(
    {
        "claim": Move(("planned",), "sending"),
        # What the API answered to this very attempt is proof, even if others have given its process up for dead.
        "accept": Move(("sending", "unknown"), "accepted"),
        "reject": Move(("sending", "unknown"), "rejected"),
        "clash": Move(("sending", "unknown"), "conflict"),
        "give back": Move(("sending", "unknown"), "planned"),
        "lose": Move(("sending",), "unknown"),
        "expire": Move(("planned",), "expired"),
        "differ": Move(("accepted",), "conflict"),
        "retry": Move(("rejected",), "planned"),
        "retry expired": Move(("expired",), "planned"),
        "accepted, by hand": Move(("unknown", "conflict"), "accepted"),
        "not sent, by hand": Move(("unknown",), "planned"),
        "accepted, by event": Move(("unknown",), "accepted"),
        # 2xx means queued: the marketplace may still refuse. If it does, a conflict about it is not billed either.
        "failed, by event": Move(("unknown", "accepted", "conflict"), "rejected"),
        # Confirmed and failed at once: nobody but a human can tell, and until then nothing goes out.
        "contradicted": Move(("planned", "accepted", "rejected", "unknown"), "conflict"),
    }
)
"""All of them. `unknown` can be claimed by none, and `accepted` is left only by an event or for a conflict (I5)."""

CHUNK = 500
"""Ids in one statement; SQLite's older builds take 999 parameters."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item], size: int = CHUNK) -> Iterator[Sequence[_Item]]:
    """The items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def move(
    connection: Connection, name: str, ids: Sequence[str], values: Mapping[str, Any], *also: ColumnElement[bool]
) -> list[str]:
    """Take a step with those lines that may take it.

    Args:
        connection: In a transaction that writes; there is only one at a time.
        name: Key of `MOVES`.
        ids: Lines.
        values: Columns to set besides the state.
        also: Further conditions, such as whose attempt it is.

    Returns:
        Ids of the lines that moved, sorted.
    """
    step = MOVES[name]
    moved: list[str] = []
    for some in chunks(sorted(set(ids))):
        may = (LINES.c.line_id.in_(some), LINES.c.state.in_(step.before), *also)
        # Not RETURNING: SQLite before 3.35 has none.
        found = list(connection.scalars(select(LINES.c.line_id).where(*may).order_by(LINES.c.line_id)))
        if not found:
            continue
        changed = connection.execute(update(LINES).where(*may).values({**values, "state": step.after}))
        if changed.rowcount != len(found):
            raise AssertionError(f"{len(found)} lines were there for {name!r}, {changed.rowcount} moved")
        moved += found
    return moved
