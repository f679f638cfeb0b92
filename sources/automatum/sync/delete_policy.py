"""Which rows are gone (I2).

A row that a proven sweep did not list is a candidate: a shift that leaves the total unchanged can hide a live row from
a proven sweep too. A few candidates are requested one by one. Many wait until the next proven sweep agrees, and so do a
few where rows turn out to have no URLs of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..schema.records import Record
from .facts import SweepFacts
from .prior_state import PastSweep
from .results import KnownRows

FEW = 20
"""Candidates that are requested one by one; each costs a request."""
SHARE = 0.2
"""Share of the rows beyond which a sweep deletes nothing by itself."""
AT_LEAST = 10
"""Rows up to which the share does not matter."""
AGREES_AFTER = timedelta(hours=1)
"""Age of an earlier sweep that misses the same rows, so that even a large share is believed."""


@dataclass
class Decision:
    """What became of the candidates.

    Attributes:
        candidates: Keys that were not listed.
        confirmed: Those of them that are gone.
        alive: Those that are there after all, with their record.
        off_list: Live rows that the API is known to keep off the list.
        refused: Why nothing was deleted though much is missing; empty if nothing was refused.
        waiting: Number of candidates that the next proven sweep decides about.
        own_urls: Whether rows are known to have URLs of their own: without them a 404 says nothing.
    """

    candidates: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    alive: dict[str, Record] = field(default_factory=dict)
    off_list: set[str] = field(default_factory=set)
    refused: str = ""
    waiting: int = 0
    own_urls: bool = False

    def add_to(self, facts: SweepFacts) -> SweepFacts:
        """The facts of the sweep, with what the next sweep has to know of this decision."""
        left = sorted(set(self.candidates) - set(self.confirmed) - set(self.alive))
        return replace(facts, candidates=tuple(left), off_list=tuple(sorted(self.off_list)), own_urls=self.own_urls)


def decide(
    known: KnownRows,
    listed: str | None,
    distinct: int,
    past: Sequence[PastSweep],
    ask: Callable[[str], Record | None],
    now: datetime,
    allow: bool,
    own_urls: bool,
) -> Decision:
    """Decide after a sweep that is proven complete.

    Args:
        known: What the destination has and the sweep did not list.
        listed: Key of a row that was listed; None if none was.
        distinct: Number of rows that were listed.
        past: Earlier sweeps of the table, the latest first.
        ask: The record at a row's own URL, None if the API answers 404.
        now: The present.
        allow: The user has said that a large share may go (`--allow-deletes`).
        own_urls: It is documented that rows have URLs of their own.

    Raises:
        RequestError: From `ask`.
        MoreToDo: From `ask`.
    """
    candidates = known.live
    last = next((one.facts for one in past if one.facts.full), SweepFacts())
    decision = Decision(candidates, off_list=set(last.off_list) & set(candidates))
    decision.own_urls = own_urls or last.own_urls
    count, live = len(candidates), len(candidates) + distinct
    if too_many(count, live) and not allow:
        agreed = missing_long_enough(candidates, past, now)
        decision.confirmed = [key for key in candidates if key in agreed]
        decision.waiting = count - len(agreed)
        if too_many(decision.waiting, live):
            decision.refused = (
                f"{decision.waiting} of {live} rows are not listed any more; they were not deleted. If they are really "
                "gone, run with --allow-deletes, or sync again in an hour or later: a second sweep that agrees deletes "
                "them"
            )
        return decision
    missing = candidates
    if count <= FEW:
        answers = {key: ask(key) for key in candidates}
        decision.alive = {key: record for key, record in answers.items() if record is not None}
        missing = [key for key, record in answers.items() if record is None]
        if missing and not decision.own_urls:
            # Only for customers it is documented that rows have URLs. A row that was just listed must be at its URL.
            decision.own_urls = bool(decision.alive) or (listed is not None and ask(listed) is not None)
        if decision.own_urls:
            decision.confirmed = missing
            return decision
    earlier = set(last.candidates)
    decision.confirmed = [key for key in missing if key in earlier]
    decision.waiting = len(missing) - len(decision.confirmed)
    return decision


def too_many(count: int, live: int) -> bool:
    """Whether so many of the live rows are missing that it takes more than one sweep to believe it."""
    return count > AT_LEAST and count > SHARE * live


def missing_long_enough(candidates: Sequence[str], past: Sequence[PastSweep], now: datetime) -> set[str]:
    """The candidates that every proven sweep of the last hour missed, and one before it."""
    agreed = set(candidates)
    for one in past:
        if not one.facts.full:
            continue
        agreed &= set(one.facts.candidates)
        if now - one.finished_at >= AGREES_AFTER:
            return agreed
    return set()
