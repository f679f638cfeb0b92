"""The pages of a list as a sweep has read them: how long they are, how long they should be, and where the list ends."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from ..api.pages import Page, announced_pages
from .readings import ListDigest, adds_up, digest_of, unlike, well_formed


class ListShape:
    """The pages of one list.

    Args:
        page_size: Rows of a full page.
        exact: The announced total is the number of rows that the list lists.
        earlier: What the list was like at the last sweep, if its rows did not add up to the announced total.

    Attributes:
        contents: Page number to the keys of its rows, at the last reading of the page.
        total: Number of rows that the list announced last; None if it announces none.
        pages: Number of pages that it announced last.
        full: Rows of a full page. A server may have smaller pages than asked for.
    """

    def __init__(self, page_size: int, exact: bool, earlier: ListDigest | None) -> None:
        self.contents: dict[int, list[str]] = {}
        self.total: int | None = None
        self.pages = 1
        self.full = page_size
        self._page_size = page_size
        self._exact = exact
        self._earlier = earlier

    @property
    def rows(self) -> int:
        """Number of rows on the pages."""
        return sum(map(len, self.contents.values()))

    def take(self, page: Page, keys: list[str]) -> None:
        """Add a page, or replace it.

        Args:
            page: The page.
            keys: Keys of its rows.
        """
        self.full, self.pages, self.total = self._size(page), announced_pages(page, self._page_size), page.total
        self.contents[page.number] = keys

    def missing(self, page: Page) -> int:
        """How many rows a page has less than announced."""
        if page.total is None:
            return 0
        size, announced = self._size(page), announced_pages(page, self._page_size)
        if page.number < announced:
            return max(0, size - len(page.records))
        exact = announced == ceil(page.total / size)
        return max(0, page.total - (page.number - 1) * size - len(page.records)) if exact else 0

    def as_short_before(self, page: Page) -> bool:
        """Whether the page was as short in this sweep, or is known to be the end of a list that does not add up."""
        before = self.contents.get(page.number)
        if before is not None and len(before) == len(page.records):
            return True
        end = page.number >= announced_pages(page, self._page_size)
        return self.like_earlier(page.total) and (end or not self._exact)

    def like_earlier(self, total: int | None) -> bool:
        """Whether the last sweep read a list with this total whose rows did not add up to it."""
        return self._earlier is not None and self._earlier.total == total

    def behind_the_end(self, page: Page) -> bool:
        """Whether the page is new, and not one of those that the list announces."""
        if page.total is None or page.number in self.contents:
            return False
        return page.number > announced_pages(page, self._page_size)

    def unannounced(self, number: int) -> bool:
        """Whether the list was read, and announces no page of this number."""
        return bool(self.contents) and (self.total is None or number > self.pages)

    def empty_page(self, number: int, read_at: float) -> Page:
        """A page behind the end of the list."""
        return Page(number, [], self.total, self.pages, read_at)

    def last(self, page: Page) -> int:
        """The last page to read, as far as the page tells that was taken last."""
        if page.records and page.number > self.pages:
            # More rows than announced: the total is capped.
            return page.number + (len(page.records) >= self.full)
        return self.pages

    def ends_with(self, page: Page) -> bool:
        """Whether nothing is to be read behind this page, whatever is announced: it and the page before are empty."""
        before_empty = self.contents.get(page.number - 1) == []
        return page.number > 1 and not page.records and (before_empty or self.like_earlier(page.total))

    def full_at(self, number: int) -> bool:
        """Whether a page is full."""
        return len(self.contents.get(number, ())) >= self.full

    def proven_by_two(self, contents: dict[int, list[str]]) -> bool:
        """Whether two equal readings prove a list with these pages.

        If the total is exact, a list that lacks whole pages, or rows in the middle, is not proven by that: the server
        may have a fault that lasts.
        """
        if self._exact:
            return self.total is not None and well_formed(contents, self.full, self.pages)
        return self.total is not None or not contents[max(contents)]

    def like_the_last_sweep(self) -> bool:
        """Whether the last sweep read the same rows under the same total."""
        return (
            self._earlier is not None
            and self.proven_by_two(self.contents)
            and self._earlier.agrees(digest_of(self.total, self.contents))
        )

    def digest(self, contents: dict[int, list[str]], proven: bool) -> ListDigest | None:
        """What the list is like; None if its rows add up."""
        if not contents or adds_up(self.total, contents):
            return None
        return replace(digest_of(self.total, contents), proven=proven)

    def difference(self, contents: dict[int, list[str]]) -> str:
        """What does not add up, in words."""
        return unlike(self.total, contents)

    def _size(self, page: Page) -> int:
        if not page.total or not page.pages or page.pages == ceil(page.total / self._page_size):
            return self._page_size
        return max(ceil(page.total / page.pages), len(page.records), *map(len, self.contents.values()))
