"""The pages of a list as a sweep has read them: how long they are, how long they should be, and where the list ends."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from ..api.page_signs import Sign
from ..api.pages import Page, announced_pages, counts_page
from ..endpoints import Endpoint
from .contents import Contents
from .key_map import PackedKeys
from .readings import ListDigest

USUAL_SIZES = frozenset({10, 15, 20, 25, 30, 40, 50, 100})
"""Rows that a page has where the API decides."""


class ListShape:
    """The pages of one list that can be asked for by their numbers.

    Args:
        endpoint: Endpoint of the list.
        page_size: Rows of a full page, as asked for.
        earlier: What the list was like at the last sweep, if its rows did not add up to the announced total.

    Attributes:
        any_page: Each page can be asked for by itself.
        endpoint: Endpoint of the list.
        page_size: Rows of a full page, as asked for.
        earlier: What the list was like at the last sweep, if its rows did not add up to the announced total.
        contents: Page number to the keys of its rows, at the last reading of the page.
        total: Number of rows that the list announced last; None if it announces none.
        pages: Number of pages that it announced last.
        full: Rows of a full page. A server may have smaller pages than asked for.
        latest: The page of the highest number, without its records; None before the first.
        counts_page: A total counted the rows of its page, and not those of the list.
        leads_on: A page had what leads to the next one.
    """

    any_page = True

    def __init__(self, endpoint: Endpoint, page_size: int, earlier: ListDigest | None) -> None:
        self.endpoint, self.page_size, self.earlier = endpoint, page_size, earlier
        self.contents = Contents()
        self.total: int | None = None
        self.pages = 1
        self.full = page_size
        self.latest: Page | None = None
        self.counts_page = self.leads_on = False
        self._sizes_named = False

    @property
    def rows(self) -> int:
        """Number of rows on the pages."""
        return self.contents.rows

    @property
    def sign(self) -> Sign | None:
        """What says, at the last page, that rows follow."""
        return self.latest.sign if self.latest else None

    def take(self, page: Page, keys: PackedKeys, fresh: int | None = None) -> None:
        """Add a page, or replace it.

        Args:
            page: The page.
            keys: Keys of its rows.
            fresh: Number of them that no page had before, if that is known.
        """
        self.full, self.pages, self.total = self._size(page), self._announced(page), page.total
        self.contents.put(page.number, keys, fresh)
        self._sizes_named = self._sizes_named or page.size is not None
        self.counts_page = self.counts_page or counts_page(page)
        self.leads_on = self.leads_on or page.next_at is not None
        if self.latest is None or page.number >= self.latest.number:
            self.latest = replace(page, records=[])

    def missing(self, page: Page) -> int:
        """How many rows a page has less than announced."""
        if page.total is None:
            return 0
        size, announced = self._size(page), self._announced(page)
        if page.number < announced:
            return max(0, size - len(page.records))
        exact = announced == ceil(page.total / size)
        return max(0, page.total - (page.number - 1) * size - len(page.records)) if exact else 0

    def as_short_before(self, page: Page) -> bool:
        """Whether the page was as short in this sweep, or is known to be the end of a list that does not add up."""
        before = self.contents.get(page.number)
        if before is not None and len(before) == len(page.records):
            return True
        end = page.number >= self._announced(page)
        return self._like_earlier(page.total) and (end or not self.endpoint.exact_total)

    def behind_the_end(self, page: Page) -> bool:
        """Whether the page is new, and not one of those that the list announces."""
        if page.total is None or page.number in self.contents:
            return False
        return page.number > self._announced(page)

    def repeats_last(self, page: Page, keys: list[str]) -> bool:
        """Whether a list without a total answers a number behind its end with its last page."""
        new = page.number not in self.contents or not self.contents[page.number]
        return page.total is None and new and bool(keys) and keys == self.contents.get(page.number - 1)

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
        return page.number > 1 and not page.records and (before_empty or self._like_earlier(page.total))

    def may_go_on_at(self, number: int) -> bool:
        """Whether a further page may follow the last one: it is full, or its answer says so.

        A list of one page that is not full is taken for a full one if it has as many rows as APIs like to have on a
        page, and no answer says how many that are: the API may ignore the limit, and its total may count the page.
        """
        rows = len(self.contents.get(number, ()))
        usual = number == 1 and not self._sizes_named and rows in USUAL_SIZES
        return rows >= self.full or usual or bool(rows and self.sign)

    def _like_earlier(self, total: int | None) -> bool:
        """Whether the last sweep read a list with this total whose rows did not add up to it."""
        return self.earlier is not None and self.earlier.total == total

    def _announced(self, page: Page) -> int:
        return announced_pages(page, self._asked_size(page))

    def _asked_size(self, page: Page) -> int:
        """Rows of a full page: fewer than asked for, if the answer says so."""
        by_number = self.endpoint.paging.kind == "page_number"
        named = page.size if by_number and page.size and page.size >= len(page.records) else self.page_size
        return min(named, self.page_size)

    def _size(self, page: Page) -> int:
        asked = self._asked_size(page)
        if not page.total or not page.pages or page.pages == ceil(page.total / asked):
            return asked
        return max(ceil(page.total / page.pages), len(page.records), self.contents.longest)


class ChainShape(ListShape):
    """The pages of one list whose pages lead from each to the next one, by a cursor or a link, or that has one page.

    The pages have no size, and the list says itself where it ends.
    """

    any_page = False

    def missing(self, page: Page) -> int:
        """No page is too short."""
        return 0

    def behind_the_end(self, page: Page) -> bool:
        """No page is asked for that the list does not lead to."""
        return False

    def repeats_last(self, page: Page, keys: list[str]) -> bool:
        """A page is what the list leads to."""
        return False

    def unannounced(self, number: int) -> bool:
        """A page that the list leads to must be there."""
        return False

    def last(self, page: Page) -> int:
        """The page that this one leads to, or this one."""
        return page.number + bool(page.next_at)

    def ends_with(self, page: Page) -> bool:
        """A list does not end with an empty page, but where it says so."""
        return False

    def may_go_on_at(self, number: int) -> bool:
        """Nothing can be asked for behind the end."""
        return False


def shape_of(endpoint: Endpoint, page_size: int, earlier: ListDigest | None) -> ListShape:
    """The pages of a list, in the way that it is paged. See `ListShape` for the arguments."""
    return (ListShape if endpoint.paging.any_page else ChainShape)(endpoint, page_size, earlier)
