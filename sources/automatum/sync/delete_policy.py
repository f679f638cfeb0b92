"""Which rows are gone (I2).

A row that a proven sweep did not list is a candidate: a shift that leaves the total unchanged can hide a live row from
a proven sweep too. A few candidates are requested one by one. Many wait until the next proven sweep agrees, and a
sample of them is requested before they are deleted. So do a few whose own URLs do not tell: the URLs are assumed.

Rows that turned out to be live although the API does not list them are no candidates. One or a few of them are
requested at each sweep, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from ..schema.records import Record
from .facts import PastSweep, SweepFacts
from .results import KnownRows

FEW = 20
"""Candidates that are requested one by one; each costs a request. Of more candidates, as many are sampled."""
SHARE = 0.2
"""Share of the rows beyond which a sweep deletes nothing by itself."""
AT_LEAST = 10
"""Rows up to which the share does not matter."""
AGREES_AFTER = timedelta(hours=1)
"""Age of an earlier sweep that misses the same rows, so that even a large share is believed."""
MOST_OFF_LIST = 1000
"""Rows off the list that are remembered: the facts of a sweep stay small. Others become candidates again."""
_TURNS = 50
"""Sweeps in which each row off the list is requested once."""
_PATIENCE = 2
"""Unclear answers after which no further row is requested."""


class Answer(Enum):
    """What the own URL of a row says if it has no record."""

    GONE = "gone"
    """404."""
    UNCLEAR = "unclear"
    """Anything else: it says nothing about the row."""


@dataclass(frozen=True)
class Missing:
    """What is known about the rows that a sweep did not list.

    Attributes:
        known: What the destination has and the sweep did not list.
        listed: Key of a row that was listed; None if none was.
        distinct: Number of rows that were listed.
        past: Earlier sweeps of the table, the latest first.
        ask: What the own URL of a row says.
        now: The present.
        allow: The user has said that a large share may go (`--allow-deletes`).
        own_urls: A row was found at its own URL.
        mixed: This sweep has found a live row among its candidates already.
        own_path: Where these URLs are.
    """

    known: KnownRows
    listed: str | None
    distinct: int
    past: Sequence[PastSweep]
    ask: Callable[[str], Record | Answer]
    now: datetime
    allow: bool = False
    own_urls: bool = False
    mixed: bool = False
    own_path: str = "{id}"


@dataclass
class Decision:
    """What became of the candidates.

    Attributes:
        candidates: Keys that were not listed, rows off the list apart.
        confirmed: Those that are gone.
        alive: Those that are there after all, with their record.
        off_list: Live rows that the API is known to keep off the list; the one that was requested last comes last.
        refused: Why nothing was deleted though much is missing; empty if nothing was refused.
        waiting: Number of candidates that the next proven sweep decides about.
        unclear: Number of them whose own URLs do not tell.
        own_urls: Path at which rows are known to have URLs of their own; empty if they are not: a 404 says nothing.
        mixed: Live rows are among the candidates, so only a 404 confirms that one of them is gone.
    """

    candidates: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    alive: dict[str, Record] = field(default_factory=dict)
    off_list: list[str] = field(default_factory=list)
    refused: str = ""
    waiting: int = 0
    unclear: int = 0
    own_urls: str = ""
    mixed: bool = False

    def add_to(self, facts: SweepFacts) -> SweepFacts:
        """The facts of the sweep, with what the next sweep has to know of this decision."""
        left = sorted(set(self.candidates) - set(self.confirmed) - set(self.alive))
        off_list = tuple(self.off_list[:MOST_OFF_LIST])
        mixed = self.mixed and bool(left)
        return replace(facts, candidates=tuple(left), off_list=off_list, own_urls=self.own_urls, mixed=mixed)


def decide(missing: Missing) -> Decision:
    """Decide after a sweep that is proven complete.

    Raises:
        RequestError: From `ask`.
        MoreToDo: From `ask`.
    """
    live = missing.known.live
    last = last_full(missing.past)
    present = set(live)
    off_list = [key for key in last.off_list if key in present]
    apart = set(off_list)
    decision = Decision([key for key in live if key not in apart], off_list=off_list)
    decision.own_urls = missing.own_path if missing.own_urls or last.own_urls == missing.own_path else ""
    decision.mixed = missing.mixed or last.mixed
    _recheck(missing, decision)
    ready = _ready(missing, decision, set(last.candidates))
    _confirm(missing, decision, ready, set(last.candidates))
    decision.waiting = len(set(decision.candidates) - set(decision.confirmed) - set(decision.alive))
    if decision.refused:
        decision.waiting = 0
    return decision


def last_full(past: Sequence[PastSweep]) -> SweepFacts:
    """What the last proven sweep of the whole list left."""
    return next((one.facts for one in past if one.facts.full), SweepFacts())


def _recheck(missing: Missing, decision: Decision) -> None:
    """Request some of the rows off the list: a 404 tells that one is gone, if rows have URLs there."""
    turn = decision.off_list[: min(FEW, ceil(len(decision.off_list) / _TURNS))]
    answers = _ask(missing, turn)
    _prove_urls(missing, decision, answers)
    for key, answer in answers.items():
        decision.off_list.remove(key)
        if answer is Answer.GONE and decision.own_urls:
            decision.confirmed.append(key)
            continue
        decision.off_list.append(key)
        if not isinstance(answer, Answer):
            decision.alive[key] = answer


def _ready(missing: Missing, decision: Decision, earlier: set[str]) -> list[str]:
    """The candidates that can be confirmed now."""
    candidates = decision.candidates
    live = len(candidates) + len(decision.off_list) + missing.distinct
    if not too_many(len(candidates), live) or missing.allow:
        return candidates if len(candidates) <= FEW else [key for key in candidates if key in earlier]
    agreed = missing_long_enough(candidates, missing.past, missing.now)
    left = len(candidates) - len(agreed)
    if too_many(left, live):
        what = "they were not deleted" if agreed else "nothing was deleted"
        decision.refused = (
            f"{left} of {live} rows are not listed any more; {what}. If they are really gone, run "
            "with --allow-deletes, or sync again in an hour or later: a second sweep that agrees deletes them"
        )
    return [key for key in candidates if key in agreed]


def too_many(count: int, live: int) -> bool:
    """Whether so many of the live rows are missing that it takes more than one sweep to believe it."""
    return count > AT_LEAST and count > SHARE * live


def _confirm(missing: Missing, decision: Decision, ready: list[str], earlier: set[str]) -> None:
    """Ask for a few rows, or for a sample of many, and confirm those that are gone."""
    answers = _ask(missing, ready if len(ready) <= FEW else _spread(ready, FEW))
    gone = [key for key, answer in answers.items() if answer is Answer.GONE]
    alive = {key: answer for key, answer in answers.items() if not isinstance(answer, Answer)}
    decision.alive.update(alive)
    decision.mixed = decision.mixed or bool(alive)
    decision.unclear = sum(answer is Answer.UNCLEAR for answer in answers.values())
    _prove_urls(missing, decision, answers)
    believed = set(gone) if decision.own_urls else set()
    if not decision.mixed:
        # Two proven sweeps agree about rows that were not requested, or whose URLs do not tell.
        believed |= {key for key in ready if key in earlier}
    decision.confirmed += [key for key in ready if key in believed]


def _prove_urls(missing: Missing, decision: Decision, answers: Mapping[str, Record | Answer]) -> None:
    """Find out whether rows have URLs, if a 404 would count.

    A row that was just listed must be at its URL. It is documented for customers, but a gateway may not let it through.
    """
    if decision.own_urls:
        return
    found = any(not isinstance(answer, Answer) for answer in answers.values())
    if not found and Answer.GONE in answers.values() and missing.listed is not None:
        found = not isinstance(missing.ask(missing.listed), Answer)
    decision.own_urls = missing.own_path if found else ""


def _ask(missing: Missing, keys: Sequence[str]) -> dict[str, Record | Answer]:
    """What the own URLs of rows say. Where they do not tell, no more of them are requested than needed to see it."""
    answers: dict[str, Record | Answer] = {}
    unclear = 0
    for key in keys:
        answers[key] = Answer.UNCLEAR if unclear >= _PATIENCE else missing.ask(key)
        unclear += answers[key] is Answer.UNCLEAR
    return answers


def _spread(keys: Sequence[str], count: int) -> list[str]:
    """As many of the keys, from the first to the last, with equal distances: hidden rows come in clusters."""
    return [keys[place * (len(keys) - 1) // (count - 1)] for place in range(count)]


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
