"""Notices that a list has no end: page after page brings nothing new, or far more rows than the list announces."""

from __future__ import annotations

from ..api.paging import paginator_key
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint

MOST_IDLE = 25
"""Pages in a row without a new row after which no further page is read. Where pages have numbers, as many more may
repeat as the rows so far have: rows came in before them, such as while an interrupted sweep waited for its next run."""
MOST_TIMES = 1_000
"""Times the announced total, or the rows of a page, that a list may have. Some APIs announce at most 10,000 rows."""


class EndlessList:
    """Bounds the reading of one list, whichever way it is paged.

    A list that announces no total and has new rows on each page is bounded by the limits of the run alone.

    Args:
        endpoint: Endpoint of the list.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle = 0

    def check(self, new: int, distinct: int, announced: int | None) -> None:
        """Judge a page that was read for the first time.

        Args:
            new: Number of its rows that were on no page before.
            distinct: Number of different rows on all pages.
            announced: Number of rows that the list announces; None if it announces none.

        Raises:
            ConfigurationError: The list has no end.
        """
        self._idle = 0 if new else self._idle + 1
        path, where = f"GET {self._endpoint.path}", f"sources.automatum.endpoints.{self._endpoint.table}"
        number = self._endpoint.paging.any_page
        if self._idle >= MOST_IDLE + (distinct // self._endpoint.paging.size if number else 0):
            raise ConfigurationError(
                f"{where}.parameters" if number else paginator_key(self._endpoint),
                f"{path} answered {self._idle} pages in a row without a new row, and has more.",
                "Check the vendor's names of the page and of the limit, and where the total is announced (total, "
                "pages). If the API pages in another way, set paginator. If all is right, report this to the vendor."
                if number
                else "Check what leads to the next page. If it is right, report this to the vendor.",
            )
        most = MOST_TIMES * max(announced or 0, self._endpoint.paging.size)
        if announced is not None and distinct > most:
            raise ConfigurationError(
                f"{where}.total",
                f"{path} announces {announced:,} rows, has listed {distinct:,}, and goes on.",
                "Set it to where the answer announces the number of rows. If the list is that long, set it to a path "
                "that no answer has, and exact_total to false.",
            )
