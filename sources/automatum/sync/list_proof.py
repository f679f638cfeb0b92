"""What proves a list whose pages a sweep has read, and what to set where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..api.pages import Page
from ..api.paging import paginator_key
from ..core.errors import RequestRefused
from .contents import Contents
from .list_shape import USUAL_SIZES, ListShape
from .readings import ListDigest, adds_up, digest_of, well_formed


class ListProof:
    """What proves a list whose pages can be asked for by their numbers.

    Args:
        shape: Its pages, as they have been read.
    """

    def __init__(self, shape: ListShape) -> None:
        self._shape = shape

    def unproven(self) -> str:
        """Why nothing proves the list, if that does not depend on the rows; otherwise empty."""
        shape = self._shape
        if shape.counts_page and shape.endpoint.exact_total:
            return f"the announced total counts the rows of the page, and not of the list. {self._total_setting()}"
        if shape.total is not None or not shape.endpoint.exact_total:
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
        shape = self._shape
        exact = shape.endpoint.exact_total
        if exact or shape.endpoint.paging.kind == "offset":
            proven = shape.total is not None or not exact
            return proven and well_formed(contents, shape.full, announced=shape.pages if exact else 0)
        return shape.total is not None or not contents[max(contents)]

    def counts_from_zero(self, fetch: Callable[[int], Page], keys: Callable[[Page], list[str]]) -> bool:
        """Whether the first page is not the first: the page before it has other rows.

        Only a list with more rows than announced is asked, or without a total: of others, no page is missing.

        Args:
            fetch: Reads a page.
            keys: Tells the keys of its rows.
        """
        shape = self._shape
        paging = shape.endpoint.paging
        whole = shape.endpoint.exact_total and shape.total is not None and shape.rows <= shape.total
        known = whole or (shape.earlier and shape.earlier.proven)
        if paging.kind != "page_number" or paging.first < 1 or known:
            return False
        try:
            found = keys(fetch(0))
        except RequestRefused:
            return False
        listed = shape.contents.listed(found)
        return sum(key not in listed for key in found) * 2 > len(found)

    def like_the_last_sweep(self) -> bool:
        """Whether the last sweep read the same rows under the same total."""
        shape = self._shape
        return (
            shape.earlier is not None
            and self.proven_by_two(shape.contents)
            and shape.earlier.agrees(digest_of(shape.total, shape.contents))
        )

    def digest(self, contents: Contents, proven: bool, doubt: bool = False) -> ListDigest | None:
        """What the list is like; None if its rows add up, and prove it.

        Args:
            contents: Page number to the keys of its rows.
            proven: Two readings have agreed.
            doubt: Rows may have moved unseen. Two sweeps that list the same rows end that where pages lead on.
        """
        shape = self._shape
        if not contents or (adds_up(shape.total, contents) and (shape.any_page or not doubt)):
            return None
        return replace(digest_of(shape.total, contents), proven=proven)

    def hint(self) -> str:
        """What to set, where the pages look like those of an API of another shape; otherwise empty."""
        shape = self._shape
        lengths = [len(keys) for _, keys in sorted(shape.contents.items())]
        filled = [length for length in lengths if length]
        if shape.sign and shape.sign.paginator:
            return f". The answers have {shape.sign.at}, which leads on: set paginator = {shape.sign.setting}"
        if shape.total is not None and sum(lengths) >= shape.total:
            return ""
        same = set(filled[:-1] or filled)
        if len(same) == 1 and max(filled) < shape.page_size and (len(filled) > 1 or shape.total is not None):
            return (
                f". The pages have {max(filled)} rows, where {shape.page_size} were asked for: set "
                f"sources.automatum.endpoints.{shape.endpoint.table}.page_size to {max(filled)}, or parameters to the "
                "vendor's name of the limit"
            )
        if shape.total is not None and (len(lengths) > len(filled) or not filled):
            return f". If the API counts its pages from 0, {self.first_page_setting()}"
        return ""

    def first_page_setting(self) -> str:
        """What to set if the API counts its pages from 0."""
        return (
            f"set sources.automatum.endpoints.{self._shape.endpoint.table}.first_page (base_page of a paginator) to 0"
        )

    def _total_setting(self) -> str:
        shape = self._shape
        where = f"sources.automatum.endpoints.{shape.endpoint.table}"
        if shape.latest and shape.latest.total_at:
            return (
                f'The answer seems to have it at {shape.latest.total_at}: set {where}.total = "{shape.latest.total_at}"'
            )
        return (
            f"Set {where}.total to where it is announced; if it is announced nowhere, set {where}.exact_total to false"
        )


class ChainProof(ListProof):
    """What proves a list whose pages lead from each to the next one, or that has one page."""

    def unproven(self) -> str:
        """Why nothing proves the list, if that does not depend on the rows; otherwise empty."""
        shape = self._shape
        paging = shape.endpoint.paging
        if shape.sign:
            return f"the last answer says at {shape.sign.at} that rows follow.{self.hint()}"
        if paging.kind == "single_page":
            full = paging.sized and shape.rows >= paging.size
            return f"the answer has all of the {paging.size} rows that were asked for: raise page_size" if full else ""
        if shape.leads_on or len(shape.contents) > 1 or shape.rows == shape.total:
            return ""
        looks_full = shape.rows >= shape.page_size or (shape.endpoint.exact_total and shape.rows in USUAL_SIZES)
        if shape.total is None and not looks_full:
            return ""
        key = paginator_key(shape.endpoint)
        return (
            f"the answer has nothing at {paging.next_at}, so nothing shows that the list ends here. Set {key} to where "
            "the answer has what leads to the next page"
        )

    def proven_alone(self) -> bool:
        """A list without a total that fits on one page stood still while that page was read."""
        shape = self._shape
        return shape.total is None and len(shape.contents) == 1

    def proven_by_two(self, contents: Contents) -> bool:
        """Whether two equal readings prove a list with these pages: not if it announces more rows than it has."""
        shape = self._shape
        rows = sum(map(len, contents.values()))
        return not shape.endpoint.exact_total or shape.total is None or rows >= shape.total

    def counts_from_zero(self, fetch: Callable[[int], Page], keys: Callable[[Page], list[str]]) -> bool:
        """No page comes before the first."""
        return False

    def hint(self) -> str:
        """What to set, where the last answer leads on in another way."""
        shape = self._shape
        return "" if shape.sign is None or not shape.sign.paginator else f" Set paginator = {shape.sign.setting}"


def proof_of(shape: ListShape) -> ListProof:
    """What proves a list, in the way that it is paged.

    Args:
        shape: Its pages, as they have been read.
    """
    return (ListProof if shape.any_page else ChainProof)(shape)
