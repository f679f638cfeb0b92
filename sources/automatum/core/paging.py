"""How the pages of a list are asked for: the part of an endpoint that the settings `paginator` and `page_size` set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PagingKind = Literal["page_number", "offset", "cursor", "header_cursor", "json_link", "header_link", "single_page"]
PAGE_SIZE = 100
"""Rows a page: the documented maximum of `limit` (`api/reference`). Fewer rows would cost more requests."""


@dataclass(frozen=True)
class Paging:
    """How the pages of a list are asked for. The kinds have the names of dlt's paginators (`rest_api`).

    Attributes:
        kind: `page_number` and `offset` ask for any page; a cursor or a link leads from each page to the next one;
            `single_page` has all rows.
        first: Number of the first page: 1 is documented (`api/reference`), 0 is possible.
        size: Rows to ask for with each page.
        next_at: Where an answer has what leads to the next page: the dotted path of a cursor or a link in the body, the
            name of a header, or the relation in the header `Link`.
        sized: The user has set the size.
    """

    kind: PagingKind = "page_number"
    first: int = 1
    size: int = PAGE_SIZE
    next_at: str = ""
    sized: bool = False

    @property
    def any_page(self) -> bool:
        """Whether each page can be asked for by itself, in any order."""
        return self.kind in ("page_number", "offset")

    @property
    def by_link(self) -> bool:
        """Whether each page leads to the next one by a URL, and not by a cursor."""
        return self.kind in ("json_link", "header_link")
