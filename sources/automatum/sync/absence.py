"""Which rows are gone (I2): rows that a complete sweep did not list, and whose own URL answers 404.

Each row is asked for by itself. Rows that the bound on such requests leaves out wait for the next sync. Where rows have
no URLs of their own, a row is gone if a second complete sync does not list it either. A sync deletes no large share of
a table by itself.

A row that is live at its own URL and not on the list is kept off the list by the API, or was missed: the list is read
again to find out. Rows that are known to be kept off are asked for in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import ceil

from ..schema.records import Record
from .facts import SweepFacts

SHARE = 0.2
"""Share of the live rows beyond which a sync deletes nothing by itself."""
AT_LEAST = 10
"""Rows up to which the share does not matter, where each of them answers 404 at its own URL and others are listed."""
MOST_OFF_LIST = 1_000
"""Rows off the list that are remembered: the facts of a sweep stay small. Others become candidates again."""
_TURNS = 24
"""Syncs in which each row off the list is asked for once."""


class Answer(Enum):
    """What the own URL of a row says if it has no record."""

    GONE = "gone"
    """404."""
    UNCLEAR = "unclear"
    """Anything else: it says nothing about the row."""
    WAIT = "wait"
    """The bound on such requests is reached."""


@dataclass
class Decision:
    """What became of the rows that were not listed.

    Attributes:
        gone: Keys of the rows that are gone.
        alive: Those that are there after all, with their record.
        off_list: Live rows that the API keeps off the list; the one that was asked for last comes last.
        waiting: Rows that a later sync decides about.
        refused: Why nothing was deleted; empty if nothing was refused.
    """

    gone: list[str] = field(default_factory=list)
    alive: dict[str, Record] = field(default_factory=dict)
    off_list: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: str = ""

    def add_to(self, facts: SweepFacts) -> SweepFacts:
        """The facts of the sweep, with what the next one has to know of this decision."""
        off_list = tuple([*self.off_list, *(key for key in self.alive if key not in self.off_list)][:MOST_OFF_LIST])
        return replace(facts, candidates=tuple(sorted(self.waiting)), off_list=off_list)


def decide(
    missing: Sequence[str],
    listed: int,
    last: SweepFacts,
    ask: Callable[[str], Record | Answer] | None,
    allow: bool = False,
) -> Decision:
    """Decide about the rows that a complete sweep did not list.

    Args:
        missing: Keys of live rows of the destination that were not listed.
        listed: Number of rows that were listed.
        last: What the last complete sweep left.
        ask: What the own URL of a row says; None if rows have none.
        allow: The user has said that a large share may go (`--allow-deletes`).

    Raises:
        RequestError: From `ask`.
        MoreToDo: From `ask`.
    """
    present = set(missing)
    decision = Decision(off_list=[key for key in last.off_list if ask and key in present])
    apart = set(decision.off_list)
    candidates = [key for key in missing if key not in apart]
    live = len(missing) + listed
    # Where nothing is listed, no row can show that rows have URLs of their own.
    if too_many(len(candidates), live, at_least=AT_LEAST if ask and listed else 0) and not allow:
        decision.waiting = candidates
        decision.refused = (
            f"{len(candidates)} of {live} rows are not listed any more; nothing was deleted. If they are really gone, "
            "run with --allow-deletes"
        )
    elif ask is None:
        agreed = set(candidates) if allow else set(last.candidates)
        decision.gone = [key for key in candidates if key in agreed]
        decision.waiting = [key for key in candidates if key not in agreed]
    else:
        turn = ceil(len(decision.off_list) / _TURNS)
        for key in (*candidates, *decision.off_list[:turn]):
            _sort(decision, key, ask(key), known=key in apart)
    return decision


def too_many(count: int, live: int, at_least: int = AT_LEAST) -> bool:
    """Whether so many of the live rows are missing that only the user can say that they are gone.

    Args:
        count: Number of missing rows.
        live: Number of live rows, with these.
        at_least: Number of rows up to which the share does not matter.
    """
    return count > at_least and count > SHARE * live


def _sort(decision: Decision, key: str, answer: Record | Answer, known: bool) -> None:
    """Note what the own URL of a row says."""
    if known:
        decision.off_list.remove(key)
    if answer is Answer.GONE:
        decision.gone.append(key)
    elif not isinstance(answer, Answer):
        decision.alive[key] = answer
    elif not known:
        decision.waiting.append(key)
    if known and answer is not Answer.GONE:
        decision.off_list.append(key)
