"""The pages of a list whose pages lead from each to the next one, by a cursor or a link, and of a list of one page."""

from __future__ import annotations

from collections.abc import Callable

from ..api.pages import Page
from ..api.paging import paginator_key
from ..endpoints import Endpoint
from .contents import Contents
from .key_map import PackedKeys
from .list_shape import USUAL_SIZES, ListShape
from .readings import ListDigest


class ChainShape(ListShape):
    """The pages of one list whose pages lead from each to the next one, or that has one page only.

    The pages have no size, and the list says itself where it ends.
    """

    any_page = False

    def __init__(self, endpoint: Endpoint, page_size: int, earlier: ListDigest | None) -> None:
        super().__init__(endpoint, page_size, earlier)
        self._said = False

    def take(self, page: Page, keys: PackedKeys, fresh: int | None = None) -> None:
        """Add a page, or replace it."""
        super().take(page, keys, fresh)
        self._said = self._said or page.next_at is not None

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

    def unproven(self) -> str:
        """Why nothing proves the list, if that does not depend on the rows; otherwise empty."""
        paging = self._endpoint.paging
        if self.sign:
            return f"the last answer says at {self.sign.at} that rows follow.{self.hint()}"
        if paging.kind == "single_page":
            full = paging.sized and self.rows >= paging.size
            return f"the answer has all of the {paging.size} rows that were asked for: raise page_size" if full else ""
        if self._said or len(self.contents) > 1 or self.rows == self.total:
            return ""
        looks_full = self.rows >= self._page_size or (self._exact and self.rows in USUAL_SIZES)
        if self.total is None and not looks_full:
            return ""
        key = paginator_key(self._endpoint)
        return (
            f"the answer has nothing at {paging.next_at}, so nothing shows that the list ends here. Set {key} to where "
            "the answer has what leads to the next page"
        )

    def proven_alone(self) -> bool:
        """A list without a total that fits on one page stood still while that page was read."""
        return self.total is None and len(self.contents) == 1

    def proven_by_two(self, contents: Contents) -> bool:
        """Whether two equal readings prove a list with these pages: not if it announces more rows than it has."""
        rows = sum(map(len, contents.values()))
        return not self._exact or self.total is None or rows >= self.total

    def counts_from_zero(self, fetch: Callable[[int], Page], keys: Callable[[Page], list[str]]) -> bool:
        """No page comes before the first."""
        return False

    def hint(self) -> str:
        """What to set, where the last answer leads on in another way."""
        return "" if self.sign is None or not self.sign.paginator else f" Set paginator = {self.sign.paginator}"


def shape_of(endpoint: Endpoint, page_size: int, earlier: ListDigest | None) -> ListShape:
    """The pages of a list, in the way that it is paged.

    Args:
        endpoint: Endpoint of the list.
        page_size: Rows of a full page.
        earlier: What the list was like at the last sweep, if its rows did not add up to the announced total.
    """
    return (ListShape if endpoint.paging.any_page else ChainShape)(endpoint, page_size, earlier)
