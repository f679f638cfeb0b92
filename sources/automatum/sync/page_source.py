"""The pages of a list by their numbers, also where the API leads from each page to the next one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..api.client import ApiClient
from ..api.page_repeats import RepeatedCursors, RepeatedPages
from ..api.pages import Page, counts_page, read_page
from ..config.base_url import is_below
from ..core.errors import RequestRefused
from ..core.paging import Paging
from ..core.redaction import redact
from ..endpoints import Endpoint

logger = logging.getLogger("automatum")


class PageSource:
    """Reads the pages of one list.

    Where a cursor or a link leads from each page to the next one, page n + 1 can be asked for only after page n. A
    second reading begins with page 1, and follows what it finds.

    Args:
        client: Sends the requests.
        endpoint: Endpoint of a list.
        filters: Values for the endpoint's filters.
    """

    def __init__(
        self,
        client: ApiClient,
        endpoint: Endpoint,
        filters: Mapping[str, str],
    ) -> None:
        self._client, self._endpoint, self._filters = client, endpoint, filters
        self._repeats, self._cursors = RepeatedPages(endpoint), RepeatedCursors(endpoint)
        self._places: dict[int, str] = {1: ""}
        self._ready: Page | None = None
        self._last: Page | None = None
        self._counts_page = False

    def fetch(self, number: int) -> Page:
        """Read a page.

        Args:
            number: Number of the page, from 1.

        Raises:
            RequestError: See `ApiClient.get`.
            ConfigurationError: The API does not page as the settings say.
        """
        return self._by_number(number) if self._endpoint.paging.any_page else self._in_order(number)

    def saved(self, number: int) -> dict[str, Any]:
        """What a later run needs to go on with a page, as JSON.

        Args:
            number: The next page.
        """
        if self._described == _described(Paging(), {}):
            return {}
        place = self._places.get(number, "")
        # A link with a secret in its query stays out of the destination: the sweep then starts anew.
        return {"paging": self._described, "next_at": place if redact(place) == place else None}

    def restore(self, saved: Mapping[str, Any], number: int, last: int) -> bool:
        """Go on where an earlier run stopped. Where a cursor leads on, the page is read, to see whether it still does.

        Args:
            saved: What `saved` gave.
            number: The next page.
            last: The last page, as far as it was known.

        Returns:
            False if the pages of the earlier run were others, or its cursor is not accepted any more.

        Raises:
            RequestError: Other than a refusal of the cursor.
        """
        if saved.get("paging", _described(Paging(), {})) != self._described:
            return False
        if self._endpoint.paging.any_page or number > last:
            return True
        if not saved.get("next_at"):
            return False
        place = str(saved["next_at"])
        if self._endpoint.paging.by_link and not is_below(place, self._client.base_url):
            return False
        self._places[number] = place
        try:
            self._ready = self._in_order(number)
        except RequestRefused as error:
            logger.info("%s starts anew: %s", self._endpoint.table, error.message)
            self._places = {1: ""}
            return False
        return True

    @property
    def _described(self) -> str:
        return _described(self._endpoint.paging, self._endpoint.params)

    def _by_number(self, number: int) -> Page:
        client, endpoint, filters = self._client, self._endpoint, self._filters
        page = self._repeats.check(read_page(client, endpoint, number, filters))
        if self._repeats.doubtful():
            half = read_page(client, endpoint, 2, filters, size=len(page.records) // 2)
            if self._repeats.ignores_number(half):
                raise self._repeats.error(page)
        if page.blank and self._last and number > 1:
            page = replace(page, total=self._last.total, pages=self._last.pages)
        self._counts_page = self._counts_page or counts_page(page)
        if self._counts_page and not endpoint.exact_total:
            page = replace(page, total=None, pages=None)
        self._last = page
        return page

    def _in_order(self, number: int) -> Page:
        ready, self._ready = self._ready, None
        if ready and ready.number == number:
            return ready
        if number not in self._places:
            # An earlier reading found more pages: the list has become shorter.
            total, read_at = (self._last.total, self._last.read_at) if self._last else (None, 0.0)
            return Page(number, [], total, None, read_at, next_at="")
        page = read_page(self._client, self._endpoint, number, self._filters, self._places[number])
        self._cursors.check(page)
        self._last = page
        if page.next_at:
            self._places[number + 1] = page.next_at
        else:
            self._places = {place: at for place, at in self._places.items() if place <= number}
        return page


def _described(paging: Paging, params: Mapping[str, str]) -> str:
    """What the pages of a list are: pages of another description cannot be gone on with."""
    words = [paging.kind, str(paging.first), str(paging.size), paging.next_at]
    return " ".join([*words, *(f"{name}={value}" for name, value in sorted(params.items()))]).strip()
