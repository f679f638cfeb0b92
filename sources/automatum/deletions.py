"""Which rows are gone (I2).

A row that a proven sweep did not list is a candidate, no more: a shift that leaves the total unchanged can hide a live
row even there. Few candidates are asked for one by one; many wait for the next proven sweep to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .account import DELETED, Known
from .destination import PastSweep
from .records import Record

FEW = 20
"""Candidates that are asked for one by one; each costs a request."""
SHARE = 0.2
"""Share of the rows beyond which a sweep deletes nothing by itself."""
AT_LEAST = 10
"""Rows up to which the share does not matter."""
AGREES_AFTER = timedelta(hours=1)
"""Age of an earlier sweep that misses the same rows, so that even a large share is believed."""

CANDIDATES = "candidates"
FULL = "full"
"""Marks a sweep that read the whole list and proved it."""


@dataclass
class Decision:
    """What became of the candidates.

    Attributes:
        candidates: Keys that were not listed.
        confirmed: Those of them that are gone.
        alive: Those that are there after all, with their record.
        refused: Why nothing was deleted though much is missing; empty if that is not so.
        waiting: Candidates that the next proven sweep decides.
    """

    candidates: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    alive: dict[str, Record] = field(default_factory=dict)
    refused: str = ""
    waiting: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What the next sweep has to know."""
        left = sorted(set(self.candidates) - set(self.confirmed) - set(self.alive))
        return {CANDIDATES: left} if left else {}


def decide(
    known: Known,
    distinct: int,
    past: Sequence[PastSweep],
    ask: Callable[[str], Record | None],
    now: datetime,
    allow: bool,
) -> Decision:
    """Decide after a sweep that is proven complete.

    Args:
        known: What the destination holds and the sweep did not list.
        distinct: Number of rows that were listed.
        past: Earlier sweeps of the table, the latest first.
        ask: The record at a row's own URL, None if the API answers 404.
        now: The present.
        allow: The user has said that a large share may go (`--allow-deletes`).

    Raises:
        RequestError: From `ask`.
        MoreToDo: From `ask`.
    """
    candidates = [key for key, held in known.hashes.items() if held != DELETED]
    decision = Decision(candidates)
    count, live = len(candidates), len(candidates) + distinct
    if count > AT_LEAST and count > SHARE * live and not allow:
        if _agreed_long_enough(candidates, past, now):
            decision.confirmed = candidates
        else:
            decision.refused = (
                f"{count} of {live} rows are not listed any more; nothing was deleted. If they are gone indeed, run "
                "with --allow-deletes, or let a sweep at least an hour from now agree"
            )
    elif count <= FEW:
        for key in candidates:
            record = ask(key)
            if record is None:
                decision.confirmed.append(key)
            else:
                decision.alive[key] = record
    else:
        earlier = _missed_before(past)
        decision.confirmed = [key for key in candidates if key in earlier]
        decision.waiting = count - len(decision.confirmed)
    return decision


def _missed_before(past: Sequence[PastSweep]) -> set[str]:
    """What the latest proven sweep did not list either."""
    return next((set(one.facts.get(CANDIDATES, ())) for one in past if one.facts.get(FULL)), set())


def _agreed_long_enough(candidates: Sequence[str], past: Sequence[PastSweep], now: datetime) -> bool:
    """Whether every proven sweep of the last hour, and one before it, missed the same rows."""
    for one in past:
        if not one.facts.get(FULL):
            continue
        if not set(candidates) <= set(one.facts.get(CANDIDATES, ())):
            return False
        if now - one.finished_at >= AGREES_AFTER:
            return True
    return False
