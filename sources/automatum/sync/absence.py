"""Which rows are gone (I2): rows that a complete sweep did not list, and whose own URL answers 404.

Each row is asked for by itself. Rows that the bound on such requests leaves out wait for the next sync. Where rows have
no URLs of their own, a row is gone if a second complete sync does not list it either. A sync deletes no large share of
a table by itself.

A row that is live at its own URL and not on the list is kept off the list by the API, or was missed: the list is read
again to find out. Rows that are known to be kept off are asked for in turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import ceil

import orjson

from ..core.errors import (
    AccessError,
    ApiUnreachable,
    CredentialsRefused,
    RequestRefused,
    ScopeMissing,
    VaultDenied,
)
from ..schema.arrow_tables import Table
from ..schema.records import Record
from .facts import SweepFacts

logger = logging.getLogger("automatum")

SHARE = 0.2
"""Share of the live rows beyond which a sync deletes nothing by itself."""
AT_LEAST = 10
"""Rows up to which the share does not matter, where each of them answers 404 at its own URL and others are listed."""
MOST_OFF_LIST = 1_000
"""Rows off the list that are remembered: the facts of a sweep stay small. Others become candidates again."""
_TURNS = 24
"""Syncs in which each row off the list is asked for once."""
_MOST_UNCLEAR = 3
"""Rows one after another whose URLs do not tell, after which no other row is asked for: each may cost retries."""


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
            answer, known = ask(key), key in apart
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
    return decision


def too_many(count: int, live: int, at_least: int = AT_LEAST) -> bool:
    """Whether so many of the live rows are missing that only the user can say that they are gone.

    Args:
        count: Number of missing rows.
        live: Number of live rows, with these.
        at_least: Number of rows up to which the share does not matter.
    """
    return count > at_least and count > SHARE * live


class DetailUrls:
    """Asks the API for single rows at their own URLs.

    A 404 counts only if a row that was just listed is found at its own URL. Where nothing is listed, the user must have
    said that the rows may go.

    Args:
        table: The table of the rows.
        request: Asks for the row with an id; None if the API has no such row.
        some_key: Tells the key of a row that was listed a moment ago; None if there is none.
        may_ask: Whether the run may send another such request; counts it.
        allow: The user has said that a large share of the rows may go.

    Attributes:
        unclear: Why an answer said nothing about its row, the last time that one did not.
    """

    def __init__(
        self,
        table: Table,
        request: Callable[[str], Record | None],
        some_key: Callable[[], str | None],
        may_ask: Callable[[], bool],
        allow: bool = False,
    ) -> None:
        self.unclear = ""
        self._table, self._request = table, request
        self._some_key, self._may_ask, self._allow = some_key, may_ask, allow
        self._answers: dict[str, Record | Answer] = {}
        self._proven: bool | None = None
        self._unclear_in_a_row = 0

    @property
    def gone(self) -> list[str]:
        """Keys of the rows whose URL answered 404, if a 404 counts."""
        return [key for key, answer in self._answers.items() if answer is Answer.GONE] if self._proven else []

    def ask(self, key: str) -> Record | Answer:
        """What the own URL of a row says. Each row is asked for once.

        Args:
            key: The row's key.

        Raises:
            AccessError: The credentials are refused.
            MoreToDo: A limit of the run, or the rate limit.
            DestinationError: The destination cannot be reached.
        """
        if key not in self._answers:
            if self._proven is False or self._unclear_in_a_row >= _MOST_UNCLEAR:
                return Answer.UNCLEAR
            if not self._may_ask():
                return Answer.WAIT
            self._answers[key] = self._ask(key)
            self._unclear_in_a_row = self._unclear_in_a_row + 1 if self._answers[key] is Answer.UNCLEAR else 0
        answer = self._answers[key]
        if not isinstance(answer, Answer):
            self._proven = True
        elif answer is Answer.GONE and not self._is_proven():
            return Answer.UNCLEAR
        return answer

    def _is_proven(self) -> bool:
        """Whether rows have URLs: a row that was listed must be at its own."""
        if self._proven is None:
            listed = self._some_key()
            self._proven = self._allow if listed is None else not isinstance(self._ask(listed), Answer)
            if not self._proven:
                self.unclear = self.unclear or "a row that is listed is not at its own URL"
        return self._proven

    def _ask(self, key: str) -> Record | Answer:
        endpoint = self._table.endpoint
        values = [key] if len(endpoint.key) == 1 else orjson.loads(key)
        own_id = str(values[endpoint.key.index(endpoint.own_column)])
        if own_id.strip(".") == "":  # Of `..` the URL would be that of something else.
            self.unclear = "the id in the row's own URL is not one that a URL can have"
            return Answer.UNCLEAR
        try:
            record = self._request(own_id)
        except (CredentialsRefused, VaultDenied, ScopeMissing):
            raise  # The next request would be refused as well.
        except (RequestRefused, ApiUnreachable, AccessError) as error:
            self.unclear = f"a row at its own URL: {error.message}"
            logger.warning("%s: %s", endpoint.table, self.unclear)
            return Answer.UNCLEAR
        if record is None:
            return Answer.GONE
        if self._table.identify([record]).keys != [key]:
            self.unclear = "what answers at a row's own URL is another record"
            return Answer.UNCLEAR
        return record
