"""Applies transitions. Each is checked in SQL, so a lost race changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from .batches import batches
from .states import Transition
from .tables import LINES


def apply_transition(
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
    for batch in batches(sorted(set(ids))):
        allowed = (LINES.c.line_id.in_(batch), LINES.c.state.in_(transition.before), *conditions)
        # Not RETURNING: SQLite before 3.35 does not have it.
        found = list(connection.scalars(select(LINES.c.line_id).where(*allowed).order_by(LINES.c.line_id)))
        if not found:
            continue
        changed = connection.execute(update(LINES).where(*allowed).values({**values, "state": transition.after}))
        if changed.rowcount != len(found):
            raise AssertionError(f"{transition.name}: {len(found)} lines matched, but {changed.rowcount} changed")
        moved += found
    return moved
