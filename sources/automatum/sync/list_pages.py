"""The pages of a list by their numbers, also where a cursor leads from each page to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..api.client import ApiClient
from ..api.pages import Page, read_page
from ..core.redaction import redact
from ..endpoints import Endpoint


class ListPages:
    """Reads the pages of one list.

    Args:
        client: Sends the requests.
        endpoint: Endpoint of a list.
    """

    def __init__(self, client: ApiClient, endpoint: Endpoint) -> None:
        self._client, self._endpoint = client, endpoint
        self._cursors: dict[int, str] = {1: ""}

    def fetch(self, number: int) -> Page:
        """Read a page.

        Args:
            number: Number of the page, from 1. Where a cursor leads on, the first page, or one that was led to.

        Raises:
            RequestError: See `ApiClient.get`.
            ConfigurationError: The answer is not as documented.
        """
        if self._endpoint.paging.any_page:
            return read_page(self._client, self._endpoint, number)
        page = read_page(self._client, self._endpoint, number, self._cursors[number])
        if page.next_at and page.next_at == self._cursors[number]:
            page = replace(page, next_at=None)  # A cursor that leads to its own page leads nowhere.
        self._cursors = {one: at for one, at in self._cursors.items() if one in (1, number)}
        if page.next_at:
            self._cursors[number + 1] = page.next_at
        return page

    def saved(self, number: int) -> dict[str, Any]:
        """What a later run needs to read a page again, as JSON.

        Args:
            number: The last page that was read.
        """
        place = "" if self._endpoint.paging.any_page else self._cursors.get(number, "")
        # A cursor with a secret stays out of the destination: the sweep then starts anew.
        return {"cursor": place} if place and redact(place) == place else {}

    def restore(self, saved: Mapping[str, Any], number: int) -> bool:
        """Go on where an earlier run stopped.

        Args:
            saved: What `saved` gave.
            number: The last page that was read.

        Returns:
            False if the page cannot be asked for.
        """
        if self._endpoint.paging.any_page or number == 1:
            return True
        if not isinstance(saved.get("cursor"), str):
            return False
        self._cursors[number] = saved["cursor"]
        return True
