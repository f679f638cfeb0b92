"""One reading of a list, from its first page to its last, and whether it is clean; and what a sweep saves of it.

A clean reading proves by itself that every row was seen: one total on all pages, as many rows as that total, no key
twice, each page the one that was asked for, and a last page that is not full. `docs/internals/completeness.md` has the
rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ..api.pages import Page
from .results import Counts

MOST_IDLE = 25
"""Pages in a row without a new row after which a reading ends."""
MOST_REPEATED = 3
"""Equal pages in a row after which a reading ends: the API ignores which page is asked for."""
MOST_TIMES = 1_000
"""Times the announced total, or the rows of a page, after which a reading ends: the list has no end."""


class Reading:
    """One reading of one list.

    Args:
        size: Rows of a full page.
        exact: The API announces an exact total.

    Attributes:
        number: The page that was read last; 0 before the first.
        total: The total that was announced last; None if none was.
        rows: Number of rows on the pages.
        keys: Their keys.
        last_keys: Keys of the last page.
        repeated: Number of rows whose key was on a page before.
        unexplained: Number of those for which the total did not rise: a row has moved to the front.
        changed: The total changed.
        doubt: What else shows that a page was not as it should be; empty if nothing does.
        ended: The list ends at the last page.
        short: Rows of the first page, if it has fewer than asked for and announced.
        endless: It ended though the API has further pages, which bring nothing new. Another reading would not end.
        empty: Number of pages without rows, up to the last one.
    """

    def __init__(self, size: int, exact: bool = True) -> None:
        self.size, self.exact = size, exact
        self.number = self.rows = self.repeated = self.unexplained = self.empty = 0
        self.total: int | None = None
        self.keys: set[str] = set()
        self.last_keys: Sequence[str] = ()
        self.changed = self.ended = self.endless = False
        self.doubt = ""
        self.short: int | None = None
        self._idle = self._partial = 0
        self._same = 1
        self._order: Any = hashlib.blake2b(digest_size=16)

    @property
    def pages(self) -> int:
        """Number of pages that the announced total needs, at least 1."""
        return max(1, ceil((self.total or 0) / self.size))

    @property
    def order(self) -> str:
        """A digest of the keys, page by page and in their order."""
        return str(self._order.copy().hexdigest())

    @property
    def clean(self) -> bool:
        """Whether this reading proves the list by itself; without an exact total, two equal ones do."""
        alone = self.rows == self.total if self.exact else True
        return self.ended and alone and not (self.changed or self.doubt or self.repeated)

    def add(self, keys: Sequence[str], total: int | None) -> int:
        """Add the rows of the next page; returns how many of them no page had before.

        Args:
            keys: Keys of the rows, in the server's order.
            total: The announced total.
        """
        before, risen, self.empty = len(self.keys), 0, self.empty + 1 if not keys else 0
        if self.number and total != self.total:
            self.changed, risen = True, max(0, (total or 0) - (self.total or 0))
        self.keys.update(keys)
        new = len(self.keys) - before
        self._same = self._same + 1 if keys and (keys, total) == (self.last_keys, self.total) else 1
        self.number, self.total, self.last_keys = self.number + 1, total, keys
        self.rows += len(keys)
        self.repeated += len(keys) - new
        self.unexplained += max(0, len(keys) - new - risen)
        self._idle = 0 if new else self._idle + 1
        self._order.update(("\0".join(keys) + "\1").encode("utf-8", "surrogatepass"))
        return new

    def finish(self, page: Page, by_number: bool) -> None:
        """Find out whether the list ends at the page that was added last.

        Args:
            page: The page.
            by_number: Pages are asked for by number; otherwise each page leads to the next one.
        """
        count = len(page.records)
        if self.number == 1 and by_number and self.total is not None and count < min(self.size, self.total):
            self.short = count
        if self._same >= MOST_REPEATED and by_number:
            self.ended = self.endless = True
            self.doubt = f"pages {self.number - self._same + 1} to {self.number} are one page; check parameters"
        elif self._idle >= MOST_IDLE or self.rows > MOST_TIMES * max(self.total or 0, self.size):
            self.ended = self.endless = True
            self.doubt = self.doubt or f"the list goes on behind page {self.number}, and has no end"
        elif self.empty > 1:
            self.ended = True
            self.doubt = self.doubt or f"page {self.number} and the page before it are empty"
        elif not by_number:
            self.ended = not page.next_at
            if page.next_at is None and count >= self.size and self.rows != self.total:
                self.doubt = self.doubt or "the last answer does not say that no page follows; check paginator"
        elif self.total is None:
            self.ended = not count or bool(self._idle)
            if self._partial and count and not self._idle:
                self.doubt = self.doubt or f"page {self._partial} has fewer rows than asked for; check page_size"
            self._partial = self._partial or (self.number if count < self.size else 0)
        else:
            self.ended = self.number >= self.pages and (count < self.size or bool(self._idle))


@dataclass
class SweepState:
    """What a sweep knows, apart from the rows of its pages. The field names are the keys of the saved JSON.

    Attributes:
        page: Last page of the present reading that was read.
        since: Epoch seconds at which its first page was read.
        total: The total that was announced last.
        readings: Number of whole readings before the present one.
        order: Digest of the reading before (`Reading.order`), if the present one may be compared with it.
        pages_read: Pages read, repetitions included.
        extra: Pages read beyond one each.
        gone: Rows that were seen, and deleted while the list was read.
        alive: Keys of live rows that the list does not have (`Absence.alive`).
        doubt: `Reading.doubt`.
        drift: What moved, in words.
        counts: What became of the rows.
    """

    page: int = 0
    since: float = 0.0
    total: int | None = None
    readings: int = 0
    order: str = ""
    pages_read: int = 0
    extra: int = 0
    gone: int = 0
    alive: list[str] = field(default_factory=list)
    doubt: str = ""
    drift: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
