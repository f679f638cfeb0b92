"""Notices that an API does not page as it is asked to: it would be asked for page after page without end."""

from __future__ import annotations

from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from .pages import Page, announced_pages
from .paging import paginator_key

_REPEATED, _REREAD = 2, 4
"""Pages, and readings of one page, with the records of the first page, after which no further page is asked for."""


class RepeatedPages:
    """Notices that an API ignores the number of the page: three pages with the same records.

    A list whose rows move may show the same rows on two pages, but not all rows of a page on three.

    Args:
        endpoint: Endpoint of a list.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._first: Page | None = None
        self._same: list[int] = []

    def check(self, page: Page) -> Page:
        """Return the page.

        Raises:
            ConfigurationError: It and another page have the records of the first page that was read; or it is the only
                other page, and had them at each of several readings.
        """
        first = self._first
        if first is None or page.number == first.number:
            self._first = page
        elif page.records and _equal(page.records, first.records):
            self._same.append(page.number)
        else:
            self._same.clear()
        if len(set(self._same)) >= _REPEATED or len(self._same) >= _REREAD:
            raise self.error(page)
        return page

    def doubtful(self) -> bool:
        """Whether the last page, behind the end of a list of one page, had the records of that page.

        The API may ignore the number of the page, or answer each number behind the end with the last page.
        """
        first = self._first
        one_page = first is not None and announced_pages(first, self._endpoint.paging.size) == 1
        return bool(self._same) and first is not None and len(first.records) > 1 and one_page

    def ignores_number(self, half: Page) -> bool:
        """Whether the second page, asked for with half as many rows, begins with the first rows of the list."""
        first = self._first.records if self._first else []
        return bool(half.records) and _equal(half.records[0], first[0])

    def error(self, page: Page) -> ConfigurationError:
        """The error that names the setting.

        Args:
            page: The page that has the records of the first page.
        """
        numbers = ", ".join(map(str, sorted({self._first.number if self._first else 1, *self._same})))
        endpoint = self._endpoint
        key = "offset" if endpoint.paging.kind == "offset" else "page"
        word = endpoint.parameters[key]
        what = (
            f"GET {endpoint.path} answered the pages {numbers} with the same {len(page.records)} records, so the API "
            f"ignores the parameter {word!r}"
        )
        if page.sign and page.sign.paginator:
            return ConfigurationError(
                paginator_key(endpoint),
                f"{what}. It has what leads to the next page at {page.sign.at}.",
                f"Set paginator = {page.sign.setting}"
                + (", with the vendor's name of the parameter." if "cursor_param" in page.sign.paginator else "."),
            )
        if len(page.records) > endpoint.paging.size:
            return ConfigurationError(
                paginator_key(endpoint),
                f"{what}. Those are more than the {endpoint.paging.size} that were asked for.",
                'If the API answers with all rows at once, set paginator = "single_page".',
            )
        return ConfigurationError(
            f"sources.automatum.endpoints.{endpoint.table}.parameters",
            f"{what}.",
            f'Set the vendor\'s name of it, such as parameters = {{ {key} = "pageNumber" }}. If the API pages in '
            'another way, set paginator to "offset", "cursor" or "json_link"; if it has no pages, to "single_page".',
        )


class RepeatedCursors:
    """Notices that a list whose pages lead from each to the next one leads back to a page that it led to before.

    Args:
        endpoint: Endpoint of a list.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._cursors: set[str] = set()

    def check(self, page: Page) -> Page:
        """Return the page.

        Args:
            page: The page after the one of the last call, or the first page.

        Raises:
            ConfigurationError: It leads to a page that was read already.
        """
        if page.number == 1:
            self._cursors.clear()
        if not page.next_at:
            return page
        path = f"GET {self._endpoint.path}"
        parameter = "cursor" in self._endpoint.parameters
        if page.next_at in self._cursors:
            raise ConfigurationError(
                paginator_key(self._endpoint, "cursor_param" if parameter else ""),
                f"{path} leads from page {page.number} to a page that it led to before, so the list has no end.",
                f"If the API ignores the parameter {self._endpoint.parameters['cursor']!r}, set the vendor's name."
                if parameter
                else "Set the paginator that the API has, or report this to the vendor.",
            )
        self._cursors.add(page.next_at)
        return page


def _equal(one: object, other: object) -> bool:
    try:
        return one == other
    except RecursionError:  # Python compares no more than about 1,000 levels.
        return False
