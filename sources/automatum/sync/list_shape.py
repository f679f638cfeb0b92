"""The pages of a list as a sweep has read them: how long they are, how long they should be, and where the list ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from ..api.page_signs import Sign
from ..api.pages import Page, announced_pages, counts_page
from ..core.errors import RequestRefused
from ..endpoints import Endpoint
from .contents import Contents
from .key_map import PackedKeys
from .readings import ListDigest, adds_up, digest_of, unlike, well_formed

USUAL_SIZES = frozenset({10, 15, 20, 25, 30, 40, 50, 100})
"""Rows that a page has where the API decides."""


class ListShape:
    """The pages of one list that can be asked for by their numbers.

    Args:
        endpoint: Endpoint of the list.
        page_size: Rows of a full page.
        earlier: What the list was like at the last sweep, if its rows did not add up to the announced total.

    Attributes:
        contents: Page number to the keys of its rows, at the last reading of the page.
        total: Number of rows that the list announced last; None if it announces none.
        pages: Number of pages that it announced last.
        full: Rows of a full page. A server may have smaller pages than asked for.
        any_page: Each page can be asked for by itself.
    """

    any_page = True

    def __init__(self, endpoint: Endpoint, page_size: int, earlier: ListDigest | None) -> None:
        self.contents = Contents()
        self.total: int | None = None
        self.pages = 1
        self.full = page_size
        self._endpoint = endpoint
        self._page_size = page_size
        self._exact = endpoint.exact_total
        self._earlier = earlier
        self._latest: Page | None = None
        self._sizes_named = self._counts_page = False

    @property
    def rows(self) -> int:
        """Number of rows on the pages."""
        return self.contents.rows

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
        self._counts_page = self._counts_page or counts_page(page)
        if self._latest is None or page.number >= self._latest.number:
            self._latest = replace(page, records=[])

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
        return self.like_earlier(page.total) and (end or not self._exact)

    def like_earlier(self, total: int | None) -> bool:
        """Whether the last sweep read a list with this total whose rows did not add up to it."""
        return self._earlier is not None and self._earlier.total == total

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
        return page.number > 1 and not page.records and (before_empty or self.like_earlier(page.total))

    def may_go_on_at(self, number: int) -> bool:
        """Whether a further page may follow the last one: it is full, or its answer says so.

        A list of one page that is not full is taken for a full one if it has as many rows as APIs like to have on a
        page, and no answer says how many that are: the API may ignore the limit, and its total may count the page.
        """
        rows = len(self.contents.get(number, ()))
        usual = number == 1 and not self._sizes_named and rows in USUAL_SIZES
        return rows >= self.full or usual or bool(rows and self.sign)

    @property
    def sign(self) -> Sign | None:
        """What says, at the last page, that rows follow."""
        return self._latest.sign if self._latest else None

    def unproven(self) -> str:
        """Why nothing proves the list, if that does not depend on the rows; otherwise empty."""
        if self._counts_page and self._exact:
            return f"the announced total counts the rows of the page, and not of the list. {self._total_setting()}"
        if self.total is not None or not self._exact:
            return ""
        why = "the API announced no total, so nothing proves that this was all"
        return f"{why}. {self._total_setting()}{self.hint()}"

    def proven_alone(self) -> bool:
        """Whether one reading proves the list, though it announces no total."""
        return False

    def proven_by_two(self, contents: Contents) -> bool:
        """Whether two equal readings prove a list with these pages.

        If the total is exact, a list that lacks whole pages, or rows in the middle, is not proven by that: the server
        may have a fault that lasts. The same holds for offsets: behind a page that is too short, rows are left out.
        """
        if self._exact or self._endpoint.paging.kind == "offset":
            announced = self.pages if self._exact else 0
            return (self.total is not None or not self._exact) and well_formed(contents, self.full, announced)
        return self.total is not None or not contents[max(contents)]

    def counts_from_zero(self, fetch: Callable[[int], Page], keys: Callable[[Page], list[str]]) -> bool:
        """Whether the first page is not the first: the page before it has other rows.

        Only a list with more rows than announced is asked, or without a total: of others, no page is missing.

        Args:
            fetch: Reads a page.
            keys: Tells the keys of its rows.
        """
        paging = self._endpoint.paging
        whole = self._exact and self.total is not None and self.rows <= self.total
        known = whole or (self._earlier and self._earlier.proven)
        if paging.kind != "page_number" or paging.first < 1 or known:
            return False
        try:
            found = keys(fetch(0))
        except RequestRefused:
            return False
        listed = self.contents.listed(found)
        return sum(key not in listed for key in found) * 2 > len(found)

    def first_page_setting(self) -> str:
        """What to set if the API counts its pages from 0."""
        return f"set sources.automatum.endpoints.{self._endpoint.table}.first_page (base_page of a paginator) to 0"

    def hint(self) -> str:
        """What to set, where the pages look like those of an API of another shape; otherwise empty."""
        lengths = [len(keys) for _, keys in sorted(self.contents.items())]
        filled = [length for length in lengths if length]
        if self.sign and self.sign.paginator:
            return f". The answers have {self.sign.at}, which leads on: set paginator = {self.sign.paginator}"
        if self.total is not None and sum(lengths) >= self.total:
            return ""
        same = set(filled[:-1] or filled)
        if len(same) == 1 and max(filled) < self._page_size and (len(filled) > 1 or self.total is not None):
            return (
                f". The pages have {max(filled)} rows, where {self._page_size} were asked for: set "
                f"sources.automatum.endpoints.{self._endpoint.table}.page_size to {max(filled)}, or parameters to the "
                "vendor's name of the limit"
            )
        if self.total is not None and (len(lengths) > len(filled) or not filled):
            return f". If the API counts its pages from 0, {self.first_page_setting()}"
        return ""

    def like_the_last_sweep(self) -> bool:
        """Whether the last sweep read the same rows under the same total."""
        return (
            self._earlier is not None
            and self.proven_by_two(self.contents)
            and self._earlier.agrees(digest_of(self.total, self.contents))
        )

    def digest(self, contents: Contents, proven: bool, doubt: bool = False) -> ListDigest | None:
        """What the list is like; None if its rows add up, and prove it.

        Args:
            contents: Page number to the keys of its rows.
            proven: Two readings have agreed.
            doubt: Rows may have moved unseen. Two sweeps that list the same rows end that where pages lead on.
        """
        if not contents or (adds_up(self.total, contents) and (self.any_page or not doubt)):
            return None
        return replace(digest_of(self.total, contents), proven=proven)

    def difference(self, contents: Contents) -> str:
        """What does not add up, in words."""
        return unlike(self.total, contents)

    def _total_setting(self) -> str:
        where = f"sources.automatum.endpoints.{self._endpoint.table}"
        if self._latest and self._latest.total_at:
            return (
                f'The answer seems to have it at {self._latest.total_at}: set {where}.total = "{self._latest.total_at}"'
            )
        return (
            f"Set {where}.total to where it is announced; if it is announced nowhere, set {where}.exact_total to false"
        )

    def _announced(self, page: Page) -> int:
        return announced_pages(page, self._asked_size(page))

    def _asked_size(self, page: Page) -> int:
        """Rows of a full page: fewer than asked for, if the answer says so."""
        by_number = self._endpoint.paging.kind == "page_number"
        named = page.size if by_number and page.size and page.size >= len(page.records) else self._page_size
        return min(named, self._page_size)

    def _size(self, page: Page) -> int:
        asked = self._asked_size(page)
        if not page.total or not page.pages or page.pages == ceil(page.total / asked):
            return asked
        return max(ceil(page.total / page.pages), len(page.records), self.contents.longest)
