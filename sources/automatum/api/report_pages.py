"""Reads a report over a range of days, with all pages that the answer announces.

No pages are documented for reports, so the first request names none. If the answer announces further rows, the range is
read page by page, as a list is.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from ..endpoints import Endpoint
from ..schema.json_text import dumps
from .pages import Page, read_report

if TYPE_CHECKING:
    from .client import ApiClient


def rows_follow(page: Page) -> bool:
    """Whether an answer announces more rows than it has, and its number is not the last one."""
    if page.total is not None:
        return page.total > len(page.records)
    return page.number < page.pages if page.pages else page.sign is not None


class ReportPages:
    """Reads the ranges of one report.

    Args:
        client: Sends the requests.
        endpoint: Endpoint of a report.
        paged: The report is known to have pages: the first request asks for the first one.

    Attributes:
        paged: Whether it has.
        requests: Answers so far.
    """

    def __init__(self, client: ApiClient, endpoint: Endpoint, paged: bool = False) -> None:
        self.paged, self.requests = paged, 0
        self._client, self._endpoint = client, endpoint
        self._follow = True

    def read(self, start: date, end: date) -> Page:
        """All records of whole days (UTC), both ends included, in one page.

        Returns:
            A page with the records, each once, and the numbers that were announced last. `rows_follow` is true for it
            if they could not all be read.

        Raises:
            RequestError: See `ApiClient.get`.
            ConfigurationError: The response has no list at the configured path.
        """
        page = self._page(start, end, 1 if self.paged else 0)
        if not rows_follow(page) or not self._follow:
            return page
        found = self._all(start, end, page if self.paged else self._page(start, end, 1))
        if found.number == 1:
            # The second page brought nothing new: the API ignores the parameter.
            self.paged, self._follow = False, not rows_follow(found)
            return found
        self.paged = True
        # Rows may have moved between the pages. A second reading has them all, unless they move again.
        return self._all(start, end, self._page(start, end, 1)) if rows_follow(found) else found

    def _all(self, start: date, end: date, page: Page) -> Page:
        """The records of a first page and of those that follow it."""
        records = {dumps(record): record for record in page.records}
        found = page
        while rows_follow(found):
            page = self._page(start, end, found.number + 1)
            further = {text: record for record in page.records if (text := dumps(record)) not in records}
            if not further:
                break
            records.update(further)
            found = replace(page, records=list(records.values()))
        return found

    def _page(self, start: date, end: date, number: int) -> Page:
        page = read_report(self._client, self._endpoint, start, end, number)
        self.requests += 1
        return page
