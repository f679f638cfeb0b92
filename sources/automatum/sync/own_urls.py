"""Rows at their own URLs: the id in such a URL, which need not be the key of the table, and what the URL says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..core.errors import (
    AccessError,
    ApiUnreachable,
    CredentialsRefused,
    RequestRefused,
    ScopeMissing,
    VaultDenied,
)
from ..schema.arrow_tables import Table
from ..schema.records import Record, pick
from .delete_policy import Answer

logger = logging.getLogger("automatum")


class OwnUrls:
    """Asks the API for single rows.

    Args:
        table: The table of the rows.
        stored: Rows of the destination by their keys.
        request: Asks for the row with an id; None if the API has no such row.
        some_key: Tells the key of a row that was listed a moment ago; None if there is none.
        known: An earlier sweep has found a row at its own URL.

    Attributes:
        known: Rows are known to have URLs of their own. Otherwise a 404 says nothing.
        unclear: Why an answer said nothing about its row, the last time that one did not.
    """

    def __init__(
        self,
        table: Table,
        stored: Callable[[Sequence[str]], list[dict[str, Any]]],
        request: Callable[[str], Record | None],
        some_key: Callable[[], str | None],
        known: bool,
    ) -> None:
        self.unclear = ""
        self._table, self._stored, self._request, self._some_key = table, stored, request, some_key
        self.known = known and table.endpoint.own_path != ""
        endpoint = table.endpoint
        self._column = endpoint.find_column(endpoint.own_column)
        self._is_key = endpoint.key == (endpoint.own_column,)
        self._noted: tuple[str, str | None] | None = None
        self._answers: dict[str, Record | Answer] = {}

    @property
    def listed(self) -> str | None:
        """Key of a row that was listed lately, if possible one whose id is known; None if there is none."""
        return self._noted[0] if self._noted else self._some_key()

    @property
    def gone(self) -> list[str]:
        """Keys of the rows whose URL answered 404."""
        return [key for key, answer in self._answers.items() if answer is Answer.GONE]

    def note(self, records: Sequence[Record]) -> None:
        """Remember the last row of a page, to find out whether listed rows have URLs."""
        if self._column is None or not records:
            return
        record = records[-1]
        (key,), (own_id,) = self._table.keys([record]), pick([record], self._column)[0]
        if key is not None:
            self._noted = key, self._usable(own_id, key)

    def ask(self, key: str) -> Record | Answer:
        """What the own URL of a row says. Each row is asked for once.

        It is assumed that rows have such URLs, so only a 404 and a record say something.

        Args:
            key: The row's key, of the row that was noted or of one in the destination.

        Raises:
            AccessError: The credentials are refused.
            MoreToDo: A limit of the run, or the rate limit.
            DestinationError: The destination cannot be reached.
        """
        if key not in self._answers:
            answer = self._answers[key] = self._ask(key)
            self.known = self.known or not isinstance(answer, Answer)
            if answer is Answer.GONE and self.listed not in (None, key) and not self.known:
                # Before the other candidates: if a bound ends the run among them, their 404s count.
                self.ask(self.listed)
        return self._answers[key]

    def _ask(self, key: str) -> Record | Answer:
        own_id = self._id_of(key)
        if own_id is None:
            self.unclear = "rows have no URL of their own that is known; see detail_path in docs/configuration.md"
            return Answer.UNCLEAR
        try:
            record = self._request(own_id)
        except (CredentialsRefused, VaultDenied, ScopeMissing):
            raise  # The next request would be refused as well.
        except (RequestRefused, ApiUnreachable, AccessError) as error:
            self.unclear = f"a row at its own URL: {error.message}"
            logger.warning("%s: %s", self._table.endpoint.table, self.unclear)
            return Answer.UNCLEAR
        if record is None:
            return Answer.GONE
        if self._table.keys([record]) != [key]:
            self.unclear = "what answers at a row's own URL is another record"
            return Answer.UNCLEAR
        return record

    def _id_of(self, key: str) -> str | None:
        """The id in a row's URL; None if it has no such URL, or its id is not known."""
        if self._column is None:
            return None
        if self._is_key:
            return key
        if self._noted and key == self._noted[0]:
            return self._noted[1]
        rows = self._stored([key])
        return self._usable(rows[0].get(self._column.name) if rows else None, key)

    def _usable(self, own_id: Any, key: str) -> str | None:
        """The id, or the key where records have no id: then the key may be what their URLs have."""
        if own_id is None or own_id == "":
            return key if len(self._table.endpoint.key) == 1 else None
        return str(own_id)
