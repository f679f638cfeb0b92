"""Which rows are gone (I2): rows that a complete sweep did not list, and whose own URL answers 404.

Each row is asked for by itself. Rows that the bound on such requests leaves out wait for the next sync. Where rows have
no URLs of their own, a row is gone if a second complete sync does not list it either. A sync deletes no large share of
a table by itself.

A row that is live at its own URL and not on the list is kept off the list by the API, or was missed: the list is read
again to find out. Rows that are known to be kept off are asked for in turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
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


class _Answer(Enum):
    """What the own URL of a row says if it has no record."""

    GONE = "gone"
    """404."""
    UNCLEAR = "unclear"
    """Anything else, or the bound on such requests is reached: it says nothing about the row."""


class Absence:
    """Decides about the rows that a complete sweep did not list: `start`, then `step` until it is `decided`.

    A 404 counts only if a row that was just listed is found at its own URL. Where nothing is listed, the user must have
    said that the rows may go.

    Args:
        table: The table of the rows.
        request: Asks for the row with an id; None if the API has no such row. None if rows have no URLs.
        may_ask: Whether the run may send another such request; counts it.
        last: What the last complete sweep left.
        allow: The user has said that a large share may go (`--allow-deletes`).

    Attributes:
        gone: Keys of the rows that are gone.
        alive: Keys of rows that this sweep found at their own URLs alone.
        waiting: Keys of rows that a later sync decides about.
        refused: Why nothing was deleted; empty if nothing was refused.
        unclear: Why an answer said nothing about its row, the last time that one did not.
    """

    def __init__(
        self,
        table: Table,
        request: Callable[[str], Record | None] | None,
        may_ask: Callable[[], bool],
        last: SweepFacts,
        allow: bool = False,
    ) -> None:
        self.gone: list[str] = []
        self.alive: list[str] = []
        self.waiting: list[str] = []
        self.refused = self.unclear = ""
        self._table, self._request, self._may_ask, self._last, self._allow = table, request, may_ask, last, allow
        self._off_list = list(last.off_list) if request else []
        self._queue: deque[str] | None = None
        self._asked: set[str] = set()
        self._listed: str | None = None
        self._proven: bool | None = None
        self._unclear_in_a_row = 0

    @property
    def started(self) -> bool:
        """Whether `start` was called for the latest reading of the list."""
        return self._queue is not None

    @property
    def decided(self) -> bool:
        """Whether no row is left to ask for."""
        return self._queue is not None and not self._queue

    def start(self, missing: Sequence[str], count: int, listed: str | None) -> None:
        """Choose the rows to ask for.

        Args:
            missing: Keys of live rows of the destination that were not listed.
            count: Number of rows that were listed.
            listed: Key of one that was listed a moment ago; None if there is none.
        """
        present, live, self._listed, self._queue = set(missing), len(missing) + count, listed, deque()
        self._off_list = [key for key in self._off_list if key in present]
        self.alive[:] = [key for key in self.alive if key in present]
        self.waiting = [key for key in self.waiting if key in present]
        apart = {*self._off_list, *self.alive, *self.waiting, *self.gone}
        candidates = [key for key in missing if key not in apart]
        # Where nothing is listed, no row can show that rows have URLs of their own.
        if too_many(len(candidates), live, at_least=AT_LEAST if self._request and count else 0) and not self._allow:
            self.waiting += candidates
            self.refused = (
                f"{len(candidates)} of {live} rows are not listed any more; nothing was deleted. If they are really "
                "gone, run with --allow-deletes"
            )
        elif self._request is None:
            agreed = set(candidates) if self._allow else set(self._last.candidates)
            self.gone += [key for key in candidates if key in agreed]
            self.waiting += [key for key in candidates if key not in agreed]
        else:
            turn = self._off_list[: ceil(len(self._off_list) / _TURNS)]
            self._queue.extend([*candidates, *(key for key in turn if key not in self._asked)])

    def restart(self) -> None:
        """Let `start` be called again: the list is read once more."""
        self._queue = None

    def step(self) -> Record | None:
        """Ask for the next row; returns its record if it is live.

        Raises:
            AccessError: The credentials are refused.
            MoreToDo: A limit of the run, or the rate limit. The same row is next.
            DestinationError: The destination cannot be reached.
        """
        assert self._queue
        key = self._queue[0]
        answer = self._answer(key)
        self._queue.popleft()
        self._asked.add(key)
        if known := key in self._off_list:
            self._off_list.remove(key)
        if answer is _Answer.GONE:
            self.gone.append(key)
        elif known:
            self._off_list.append(key)
        else:
            (self.waiting if isinstance(answer, _Answer) else self.alive).append(key)
        return None if isinstance(answer, _Answer) else answer

    def add_to(self, facts: SweepFacts) -> SweepFacts:
        """The facts of the sweep, with what the next one has to know of the rows."""
        off_list = tuple([*self._off_list, *self.alive][:MOST_OFF_LIST])
        return replace(facts, candidates=tuple(sorted(self.waiting)), off_list=off_list)

    def _answer(self, key: str) -> Record | _Answer:
        if self._proven is False or self._unclear_in_a_row >= _MOST_UNCLEAR or not self._may_ask():
            return _Answer.UNCLEAR
        answer = self._ask(key)
        self._unclear_in_a_row = self._unclear_in_a_row + 1 if answer is _Answer.UNCLEAR else 0
        if not isinstance(answer, _Answer):
            self._proven = True
        elif answer is _Answer.GONE and self._proven is None:
            self._proven = self._allow if self._listed is None else not isinstance(self._ask(self._listed), _Answer)
            if not self._proven:
                self.unclear = self.unclear or "a row that is listed is not at its own URL"
        return answer if self._proven else _Answer.UNCLEAR

    def _ask(self, key: str) -> Record | _Answer:
        assert self._request
        endpoint = self._table.endpoint
        values = [key] if len(endpoint.key) == 1 else orjson.loads(key)
        own_id = str(values[endpoint.key.index(endpoint.own_column)])
        if own_id.strip(".") == "":  # Of `..` the URL would be that of something else.
            self.unclear = "the id in the row's own URL is not one that a URL can have"
            return _Answer.UNCLEAR
        try:
            record = self._request(own_id)
        except (CredentialsRefused, VaultDenied, ScopeMissing):
            raise  # The next request would be refused as well.
        except (RequestRefused, ApiUnreachable, AccessError) as error:
            self.unclear = f"a row at its own URL: {error.message}"
            logger.warning("%s: %s", endpoint.table, self.unclear)
            return _Answer.UNCLEAR
        if record is None:
            return _Answer.GONE
        if self._table.identify([record]).keys != [key]:
            self.unclear = "what answers at a row's own URL is another record"
            return _Answer.UNCLEAR
        return record


def too_many(count: int, live: int, at_least: int = AT_LEAST) -> bool:
    """Whether so many of the live rows are missing that only the user can say that they are gone.

    Args:
        count: Number of missing rows.
        live: Number of live rows, with these.
        at_least: Number of rows up to which the share does not matter.
    """
    return count > at_least and count > SHARE * live
