"""The id by which a row is asked for at its own URL. It need not be the key of its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..schema.arrow_tables import Table
from ..schema.records import Record, pick


class OwnUrls:
    """Finds the ids that are in the URLs of rows.

    Args:
        table: The table of the rows.
        stored: Rows of the destination by their keys.

    Attributes:
        listed: Key of a row that was listed lately, whose id is known; None if there is none.
    """

    def __init__(self, table: Table, stored: Callable[[Sequence[str]], list[dict[str, Any]]]) -> None:
        self.listed: str | None = None
        self._table, self._stored = table, stored
        endpoint = table.endpoint
        self._column = endpoint.find_column(endpoint.own_column)
        self._is_key = endpoint.key == (endpoint.own_column,)
        self._listed_id: str | None = None

    def note(self, records: Sequence[Record]) -> None:
        """Remember the last row of a page, to find out whether listed rows have URLs."""
        if self._column is None or not records:
            return
        record = records[-1]
        (key,), (own_id,) = self._table.keys([record]), pick([record], self._column)[0]
        if key is not None:
            self.listed, self._listed_id = key, self._usable(own_id, key)

    def id_of(self, key: str) -> str | None:
        """The id in a row's URL; None if it has no such URL, or its id is not known.

        Args:
            key: The row's key, of the row that was noted or of one in the destination.

        Raises:
            DestinationError: The destination cannot be reached.
        """
        if self._column is None:
            return None
        if self._is_key:
            return key
        if key == self.listed:
            return self._listed_id
        rows = self._stored([key])
        return self._usable(rows[0].get(self._column.name) if rows else None, key)

    def _usable(self, own_id: Any, key: str) -> str | None:
        """The id, or the key where records have no id: then the key may be what their URLs have."""
        if own_id is None or own_id == "":
            return key if len(self._table.endpoint.key) == 1 else None
        return str(own_id)
