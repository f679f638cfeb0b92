"""A complete list, read page by page, that can prove it saw everything.

The API numbers its pages over rows that move while they are read, has no cursor and no promised order. So a sweep keeps
account of what it saw and holds it against what the list announces:

* `seen`: the distinct keys. On a quiet list they equal the announced total after the last page: proven, at no extra
  request.
* A total that falls between two pages may have pulled rows over the border to a page that was read already. The page
  before is read again. If it changed, the deleted rows are among those seen: they are `ghosts`, and the sum becomes
  keys = total + ghosts.
* A repeated key says that rows moved back over the border: somewhere before, rows came in. If the sum does not add up
  at the end, the first page (new rows first), the last one (new rows last) and the pages at the borders are read
  again, and if that does not explain it, the whole list, as long as the extra requests allow.
* An empty or short page in the middle is asked for again.

What a single sweep cannot see (one row deleted on a page that was read, another appended in the same moment) is written
in `docs/completeness.md`, and what finds it then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Literal

from .endpoints import PAGE_SIZE
from .pages import Page
from .records import Row, Table, utc

Verdict = Literal["complete", "incomplete", "more_to_do"]

EXTRA_REQUESTS = 25
"""How many pages a sweep may read beyond one each, to make its sum add up."""
_ASKED_AGAIN = 2
"""How often a page that is shorter than announced is asked for again."""
_LAST = 1 << 31
"""Stands for the last page, whichever that is when its turn comes."""
DELETED = "deleted"
"""In place of a hash: the destination holds the row as deleted."""


@dataclass
class Counts:
    """What became of the rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass
class Known:
    """What the destination holds of a table, by key.

    Attributes:
        hashes: Key to row hash, or to `deleted` for a row that is marked so. Empty if nothing is known.
        readable: False if the destination could not be read: then any row may exist there already.
        why: Why it could not.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    readable: bool = True
    why: str = ""


class Sweep:
    """One reading of one list.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the page of a number.
        known: What the destination holds; the sweep takes out what it meets, so that what is left was not listed.
        extra_requests: How many pages may be read again.
    """

    def __init__(
        self, table: Table, fetch: Callable[[int], Page], known: Known, extra_requests: int = EXTRA_REQUESTS
    ) -> None:
        self.known = known
        self.counts = Counts()
        self.total: int | None = None
        self.last = 1
        self.next = 1
        self.pages_read = 0
        self.extra = 0
        self.ghosts = 0
        self.keyless = 0
        self.drift: list[str] = []
        self.verdict: Verdict | None = None
        self.reason = ""
        self._table = table
        self._fetch = fetch
        self._extra_requests = extra_requests
        self._seen: dict[str, str] = {}
        self._contents: dict[int, list[str]] = {}
        self._again: list[int] = []
        self._fallen: dict[int, int] = {}
        self._suspects: list[int] = [1, _LAST]
        self._doubt = False
        self._pass: _Pass | None = None
        self._page_size = PAGE_SIZE
        self._clock = utc(0)

    @property
    def distinct(self) -> int:
        """Number of distinct keys seen."""
        return len(self._seen)

    def step(self) -> list[Row]:
        """Read one more page, or reach the verdict.

        Returns:
            Rows of that page that are new to the destination or changed, each key at most once.

        Raises:
            RequestError: From `fetch`; the sweep stands where it was and `step` can be called again.
            MoreToDo: The same.
        """
        if self._again:
            rows = self._take(self._read(self._again[0]))
            self._again.pop(0)
            self.extra += 1
            return rows
        if self.next <= self.last:
            page = self._read(self.next)
            self.next += 1
            return self._take(page)
        self._settle()
        return []

    def _read(self, number: int) -> Page:
        """A page that is as long as announced, if the server can be brought to send it."""
        page = self._fetch(number)
        for _ in range(_ASKED_AGAIN):
            missing = self._missing(page)
            if not missing or self.extra >= self._extra_requests:
                break
            self._note(f"page {number} came {missing} rows short")
            self.extra += 1
            self.pages_read += 1
            page = self._fetch(number)
        self.pages_read += 1
        return page

    def _missing(self, page: Page) -> int:
        if page.total is None:
            return 0
        announced = page.pages or ceil(page.total / PAGE_SIZE)
        exact = announced == ceil(page.total / PAGE_SIZE)
        # A server that cuts its pages smaller than asked for says so by announcing more of them.
        size = PAGE_SIZE if exact else ceil(page.total / announced)
        if page.number < announced:
            return max(0, size - len(page.records))
        return max(0, page.total - (page.number - 1) * size - len(page.records)) if exact else 0

    def _take(self, page: Page) -> list[Row]:
        before = self._contents.get(page.number)
        keys = self._table.keys(page.records)
        # Strictly later than what was read before: the destination keeps the latest of two readings of one row.
        self._clock = max(utc(page.read_at), self._clock + timedelta(microseconds=1))
        rows: dict[str, Row] = {}
        repeated = 0
        for key, record in zip(keys, page.records, strict=True):
            if key is None:
                self.keyless += before is None
                continue
            hash_ = self._table.hash(record)
            if key in self._seen:
                repeated += before is None
                changed, existed = self._seen[key] != hash_, True
                self.counts.updated += changed
            else:
                changed, existed = self._first_seen(key, hash_)
            self._seen[key] = hash_
            if changed:
                rows[key] = Row(key, hash_, record, self._clock, existed)
        if repeated:
            self._note(f"page {page.number} repeats {repeated} rows")
            self._suspects += [page.number - 1, page.number]
        present = [key for key in keys if key is not None]
        self._contents[page.number] = present
        if self._pass:
            self._pass.take(page, present)
        self._watch(page, before, present)
        return list(rows.values())

    def _first_seen(self, key: str, hash_: str) -> tuple[bool, bool]:
        """Whether the row has to be loaded, and whether the destination may hold it already."""
        held = self.known.hashes.pop(key, None)
        if held == hash_:
            self.counts.unchanged += 1
            return False, True
        if held is None or held == DELETED:
            self.counts.inserted += 1
            return True, held is not None or not self.known.readable
        self.counts.updated += 1
        return True, True

    def _watch(self, page: Page, before: list[str] | None, present: list[str]) -> None:
        """Hold the announced total against the last one, and a page read again against what it held."""
        fallen = self._fallen.pop(page.number, 0)
        if fallen and before is not None and present != before:
            self.ghosts += fallen
            if not set(before) & set(present):
                # More rows went than a page holds: those that were pulled over the border reach further back.
                self._read_again(page.number - 1)
        if page.total is None:
            # Nothing is announced: read on until a page brings nothing new.
            self.last = page.number + 1 if present and present != self._contents.get(page.number - 1) else page.number
            return
        if self.total is not None and page.total != self.total:
            self._note(f"the total went from {self.total} to {page.total} at page {page.number}")
            if before is not None:
                # It moved while we looked back: what we see there now no longer explains what we saw before.
                self._doubt = True
            elif page.total < self.total and self._read_again(page.number - 1):
                self._fallen[page.number - 1] = self.total - page.total
        self.total = page.total
        self.last = page.pages or ceil(page.total / PAGE_SIZE) or 1

    def _read_again(self, *numbers: int) -> bool:
        """Put pages down to be read again, if there are such pages and the extra requests allow."""
        if min(numbers) < 1 or self.extra + len(self._again) + len(numbers) > self._extra_requests:
            return False
        self._again += numbers
        return True

    def _settle(self) -> None:
        """After the last page: the verdict, or what to read again."""
        if self.total is None:
            self._end("incomplete", "the API announced no total, so nothing proves that this was all")
        elif self.keyless:
            self._end("incomplete", f"{self.keyless} rows have no {'/'.join(self._table.endpoint.key)}")
        elif self._pass and self._pass.proven(self.total):
            self.ghosts = len(self._seen) - self.total
            self._end("complete", "proven by reading the list again")
        elif not self._doubt and len(self._seen) == self.total + self.ghosts:
            self._end("complete", "")
        elif not self._doubt and self._suspects:
            self._read_again(min(self._suspects.pop(0), self.last))
        elif self._read_again(*range(1, self.last + 1)):
            self._pass, self._doubt = _Pass(), True
        else:
            self._end("incomplete", f"{len(self._seen)} distinct rows do not add up to the announced {self.total}")

    def _end(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason

    def _note(self, event: str) -> None:
        self.drift.append(event)


class _Pass:
    """A second reading of the whole list, held against itself alone."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._totals: set[int | None] = set()
        self._rows = 0

    def take(self, page: Page, keys: Iterable[str]) -> None:
        self._keys.update(keys)
        self._rows += len(page.records)
        self._totals.add(page.total)

    def proven(self, total: int) -> bool:
        return self._totals == {total} and len(self._keys) == self._rows == total
