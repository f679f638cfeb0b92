"""A complete list, read page by page, that can prove it saw everything.

The API numbers its pages over rows that move while they are read, has no cursor and no promised order. So a sweep
records what it saw and compares it with what the list announces:

* `seen`: the distinct keys. On a quiet list they equal the announced total after the last page: the list is proven, at
  no extra request.
* A total that falls between two pages, or a long pause between them, may have pulled rows over the border to a page
  that was read already. The sweep looks back: it reads the page before the border again. Rows that went from there are
  `ghosts`, seen but deleted, and the sum becomes keys = total + ghosts.
* A repeated key says that rows moved back over the border: somewhere before, rows came in. If the sum does not add up
  at the end, the sweep reads its suspects again: the first page (new rows first), the last one (new rows last) and the
  pages at the borders. If that does not explain the sum, it reads the whole list a second time, as long as the extra
  requests allow.
* An empty or short page in the middle is read again.

`docs/completeness.md` describes what a single sweep cannot see (a row deleted on a page that was read while another is
appended), and what finds it later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any

from ..api.pages import Page
from ..core.clock import utc
from ..endpoints import PAGE_SIZE
from ..schema.arrow_tables import Table
from ..schema.records import Record, Row
from .results import DELETED, LOAD_AGAIN, KnownRows, PageRecord, Verdict
from .sweep_state import SecondReading, SweepState

EXTRA_REQUESTS = 25
"""How many pages a sweep may read beyond one each, to make its sum add up."""
LONG_PAUSE = 300.0
"""Seconds between two pages after which the sweep looks back, as if the total had fallen."""
_SHORT_PAGE_READS = 2
"""How often a page that is shorter than announced is read again."""


class Sweep:
    """One reading of one list.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the page of a number.
        known: What the destination holds. The sweep removes each row that it meets: what is left was not listed.
        extra_requests: How many pages may be read again.
        newest_first: End at the first page without changes, as long as the pages come newest first. Only for a list
            whose order an earlier sweep has proven, and never when its rows do not add up to the announced total.
        wanted: Tells which rows are to be loaded; the others count as seen all the same. None to load all.

    Attributes:
        state: What it knows so far.
        verdict: None until it is reached.
        reason: Why it is what it is.
        cut: True if it ended early, at a page without changes.
    """

    def __init__(
        self,
        table: Table,
        fetch: Callable[[int], Page],
        known: KnownRows,
        extra_requests: int = EXTRA_REQUESTS,
        newest_first: bool = False,
        wanted: Callable[[Record], bool] | None = None,
    ) -> None:
        self.state = SweepState()
        self.known = known
        self.verdict: Verdict | None = None
        self.reason = ""
        self.cut = False
        self._newest_first = newest_first
        self._live = len(known.live) if newest_first else 0
        self._table = table
        self._fetch = fetch
        self._extra_requests = extra_requests
        self._wanted = wanted
        self._seen: dict[str, str] = {}
        self._contents: dict[int, list[str]] = {}
        self._records: dict[int, PageRecord] = {}
        self._second: SecondReading | None = None
        self._read_at = utc(0)

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
        state = self.state
        if state.again:
            rows = self._take(self._read(state.again[0]))
            state.again.pop(0)
            state.extra += 1
            return rows
        if state.next <= state.last:
            page = self._read(state.next)
            state.next += 1
            return self._take(page)
        self._conclude()
        return []

    def take_one(self, key: str, record: Record, read_at: float) -> Row | None:
        """Take a live row that was met outside the list; returns it if it has to be loaded."""
        hash_ = self._table.hash(record)
        changed, existed = self._first_seen(key, hash_) if key not in self._seen else (False, True)
        self._seen[key] = hash_
        return Row(key, hash_, record, utc(read_at), existed) if changed else None

    def distrust(self, event: str) -> None:
        """Take the verdict back: the list was read, but something shows that rows were missed."""
        self._note(event)
        self.verdict, self.reason, self.state.doubt = None, "", True

    @property
    def reread(self) -> bool:
        """Whether the verdict rests on a second reading of the whole list."""
        return self._second is not None

    def listed_again(self, key: str) -> bool:
        """Whether the second reading met a row."""
        return self._second is not None and key in self._second

    @property
    def some_key(self) -> str | None:
        """A key that was listed a moment ago; None if there is none."""
        return next(reversed(self._seen), None)

    def take_records(self) -> list[PageRecord]:
        """Pages read since the last call. A later run resumes from them, and from `saved_state`."""
        records, self._records = list(self._records.values()), {}
        return records

    @property
    def saved_state(self) -> dict[str, Any]:
        """The state as JSON. A second reading is not saved: it starts again after the sweep has been resumed."""
        return (replace(self.state, again=[]) if self._second else self.state).as_json()

    def resume(self, records: Sequence[PageRecord], saved_state: dict[str, Any]) -> bool:
        """Go on where an earlier run stopped.

        Only what can be shown counts: the pages must follow each other from the first, and each of their rows must be
        in the destination.

        Args:
            records: Its pages.
            saved_state: Its state, as it was with the last of them.

        Returns:
            False if it does not hold together; then nothing has changed and the sweep starts with the first page.
        """
        hashes = self.known.hashes
        try:
            state = SweepState.from_json(saved_state)
        except (KeyError, TypeError, ValueError):
            return False  # Another version of the connector saved it.
        contents = {record.page: record.keys for record in sorted(records, key=lambda one: one.page)}
        keys = [key for page in contents.values() for key in page]
        # A row that has to be loaded again takes another look at its page.
        gone = any(hashes.get(key, DELETED) in (DELETED, LOAD_AGAIN) for key in keys)
        if gone or list(contents) != list(range(1, state.next)):
            return False
        self.state, self._contents = state, contents
        self._seen = {key: hashes[key] for key in keys}
        for key in self._seen:
            del hashes[key]
        self._read_at = max((record.read_at for record in records), default=self._read_at)
        return True

    def _read(self, number: int) -> Page:
        """A page, read again if it is shorter than announced."""
        state = self.state
        page = self._fetch(number)
        for _ in range(_SHORT_PAGE_READS):
            missing = self._missing(page)
            if not missing or state.extra >= self._extra_requests:
                break
            self._note(f"page {number} came {missing} rows short")
            state.extra += 1
            state.pages_read += 1
            page = self._fetch(number)
        state.pages_read += 1
        return page

    def _missing(self, page: Page) -> int:
        if page.total is None:
            return 0
        announced = page.pages or ceil(page.total / PAGE_SIZE)
        exact = announced == ceil(page.total / PAGE_SIZE)
        # A server with smaller pages than asked for announces more of them.
        size = PAGE_SIZE if exact else ceil(page.total / announced)
        if page.number < announced:
            return max(0, size - len(page.records))
        return max(0, page.total - (page.number - 1) * size - len(page.records)) if exact else 0

    def _take(self, page: Page) -> list[Row]:
        state = self.state
        before = self._contents.get(page.number)
        keys = self._table.keys(page.records)
        paused = page.read_at - self._read_at.timestamp() > LONG_PAUSE and page.number > 1 and bool(self._seen)
        # Strictly later than what was read before: the destination keeps the latest of two readings of one row.
        self._read_at = max(utc(page.read_at), self._read_at + timedelta(microseconds=1))
        rows: dict[str, Row] = {}
        repeated = 0
        for key, record in zip(keys, page.records, strict=True):
            if key is None:
                state.keyless += before is None
                continue
            hash_ = self._table.hash(record)
            if self._wanted and not self._wanted(record):
                repeated += before is None and key in self._seen
                self.known.hashes.pop(key, None)
                changed, existed = False, True
            elif key in self._seen:
                repeated += before is None
                changed, existed = self._seen[key] != hash_, True
                state.counts.updated += changed
            else:
                changed, existed = self._first_seen(key, hash_)
            self._seen[key] = hash_
            if changed:
                rows[key] = Row(key, hash_, record, self._read_at, existed)
        if repeated:
            self._note(f"page {page.number} repeats {repeated} rows")
            state.suspects += [page.number - 1, page.number]
        present = [key for key in keys if key is not None]
        self._contents[page.number] = present
        self._records[page.number] = PageRecord(page.number, present, page.total, self._read_at)
        if self._second:
            self._second.take(page, present)
        self._watch(page, before, present, paused)
        self._watch_order(page, before is None, bool(rows))
        return list(rows.values())

    def _first_seen(self, key: str, hash_: str) -> tuple[bool, bool]:
        """Whether the row has to be loaded, and whether the destination may have it already."""
        state = self.state
        known = self.known.hashes.pop(key, None)
        if known == hash_:
            state.counts.unchanged += 1
            return False, True
        if known is None or known == DELETED:
            state.counts.inserted += 1
            return True, known is not None or not self.known.readable
        state.counts.updated += 1
        return True, True

    def _watch(self, page: Page, before: list[str] | None, present: list[str], paused: bool) -> None:
        """Compare the announced total with the last one, and a page that is read again with its first reading."""
        state = self.state
        if before is not None and page.number in state.looking_back:
            self._explain(page.number, before, present, state.looking_back.pop(page.number))
        if page.total is None:
            # Nothing is announced: read on until a page brings nothing new.
            state.last = page.number + 1 if present and present != self._contents.get(page.number - 1) else page.number
            return
        fallen = 0
        if state.total is not None and page.total != state.total:
            self._note(f"the total went from {state.total} to {page.total} at page {page.number}")
            fallen = max(0, state.total - page.total)
            # The list moved while the sweep looked back: the page does not explain any more what happened before.
            state.doubt = state.doubt or before is not None
        if before is None and (fallen or paused) and self._read_again(page.number - 1):
            state.looking_back[page.number - 1] = fallen
        state.total = page.total
        state.last = page.pages or ceil(page.total / PAGE_SIZE) or 1

    def _explain(self, number: int, before: list[str], present: list[str], fallen: int) -> None:
        """What happened to the page before the border while the page after it was read."""
        state = self.state
        pulled = _pulled_over(before, present)
        if pulled is not None:
            state.ghosts += pulled
        elif fallen and not set(before) & set(present):
            # More rows went than a page has: the rows that were pulled over the border reach further back.
            state.ghosts += fallen
            self._read_again(number - 1)
        else:
            state.doubt = True

    def _watch_order(self, page: Page, first_time: bool, changes: bool) -> None:
        """Whether the pages come newest first; and the early end, where that is known."""
        state = self.state
        if not self._table.endpoint.newest_first or not first_time:
            return
        for moment in self._table.updated_at(page.records):
            if moment is None or (state.oldest is not None and moment > state.oldest):
                state.ordered = self._newest_first = False
                return
            state.oldest = moment
        at_rest = not (state.drift or state.doubt or state.again or state.keyless)
        whole = self.distinct == sum(len(keys) for keys in self._contents.values()) == PAGE_SIZE * (state.next - 1)
        adds_up = state.total == self._live + state.counts.inserted
        if self._newest_first and not changes and at_rest and adds_up and (whole or state.next > state.last):
            self.cut, state.last = True, state.next - 1
            self._end(Verdict.COMPLETE, f"ended at page {page.number}: newest first, and nothing on it had changed")

    def _read_again(self, *numbers: int) -> bool:
        """Queue pages to be read again, if there are such pages and the extra requests allow it."""
        state = self.state
        if min(numbers) < 1 or state.extra + len(state.again) + len(numbers) > self._extra_requests:
            return False
        state.again += numbers
        return True

    def _conclude(self) -> None:
        """After the last page: the verdict, or what to read again."""
        state = self.state
        if state.total is None:
            self._end(Verdict.INCOMPLETE, "the API announced no total, so nothing proves that this was all")
        elif state.keyless:
            self._end(Verdict.INCOMPLETE, f"{state.keyless} rows have no {'/'.join(self._table.endpoint.key)}")
        elif self._second and self._second.proves(state.total):
            self._end(Verdict.COMPLETE, "proven by reading the list again")
        elif not state.doubt and len(self._seen) == state.total + state.ghosts:
            self._end(Verdict.COMPLETE, "")
        elif not state.doubt and state.suspects:
            self._read_again(min(state.suspects.pop(0), state.last))
        elif self._read_again(*range(1, state.last + 1)):
            self._second, state.doubt = SecondReading(), True
        else:
            self._end(
                Verdict.INCOMPLETE, f"{len(self._seen)} distinct rows do not add up to the announced {state.total}"
            )

    def _end(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason

    def _note(self, event: str) -> None:
        self.state.drift.append(event)


def _pulled_over(before: list[str], present: list[str]) -> int | None:
    """How many rows went over the front border of a page, or from it; None if the two readings do not show it.

    Rows that came in at the page's end took the place of as many that went. Rows that came in at its front pushed
    others back: none went.
    """
    old, new = set(before), set(present)
    gone = len(old - new)
    came = [key for key in present if key not in old]
    if not came:
        return gone
    if old & new and present[-len(came) :] == came:
        return gone
    return 0 if old & new and present[: len(came)] == came else None
