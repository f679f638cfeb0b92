"""Rows at their own URLs, and what these say."""

from __future__ import annotations

import logging
from collections.abc import Callable

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
from .absence import Answer

logger = logging.getLogger("automatum")

MOST_UNCLEAR = 3
"""Rows one after another whose URLs do not tell, after which no other row is asked for: each may cost retries."""


class DetailUrls:
    """Asks the API for single rows.

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
            if self._proven is False or self._unclear_in_a_row >= MOST_UNCLEAR:
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
