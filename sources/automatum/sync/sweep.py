"""A list, read page by page until it is proven that every row was seen, or that this cannot be proven.

A clean reading proves the list (`reading.py`). What is not clean is read again, whole, if it has at most `REREAD_PAGES`
pages. A longer list that changes while it is read is proven by looking back: when the announced total falls by n,
exactly n rows that no page had must be on the pages before, because n rows that were seen are gone. In the end the rows
that were seen, less those that are gone, must be as many as announced.

`docs/internals/completeness.md` states the rule, and what it cannot see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import chain
from typing import Any

from ..api.pages import Page
from ..core.clock import utc
from ..core.errors import BudgetSpent, NotThere, RequestRefused
from ..core.text import plural
from ..schema.arrow_tables import Table
from ..schema.records import Identified, Rows, is_unkeyed
from .changes import Changes
from .reading import Reading, SweepState
from .rejections import Rejections
from .results import Counts, KnownRows, PageRecord, Verdict

REREAD_PAGES = 100
"""Pages that a sweep may read again. A list of 10,000 rows costs two minutes of the rate limit for another reading; a
longer one would hardly be at rest for a whole reading, and is proven by looking back."""
LONG_PAUSE = 300.0
"""Seconds between two pages after which the page before is read again: it must be as it was."""
MOST_READINGS = 4
"""Readings of a short list that changes all the time."""
MOST_LOOKS = 100
"""Pages that a sweep of a long list looks back at."""
_SHORT_PAGE_READS = 2
"""How often a page that is shorter than announced, or another page than the one asked for, is asked for again."""

Looked = list[tuple[Page, Identified]]


class Sweep:
    """Reads one list until it has a verdict.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the page of a number, from 1.
        known: What the destination holds; the hashes of rows that are loaded are put in.
        reread_pages: How many pages may be read again.
        page_size: Rows of a full page.
        by_number: Any page can be asked for; otherwise each page leads to the next one.
        exact: The API announces an exact total.
        rejections: Takes the records that cannot be loaded. They count as listed.

    Attributes:
        state: What it knows so far.
        changes: What was listed, and what differs from the destination.
        verdict: None until it is reached.
        reason: Why.
    """

    def __init__(
        self,
        table: Table,
        fetch: Callable[[int], Page],
        known: KnownRows,
        reread_pages: int,
        page_size: int,
        by_number: bool = True,
        exact: bool = True,
        rejections: Rejections | None = None,
    ) -> None:
        self.state = SweepState()
        self.changes = Changes(table, known, self.state.counts, rejections or Rejections(table))
        self.verdict: Verdict | None = None
        self.reason = ""
        self._table, self._fetch = table, fetch
        self._reread_pages, self._size, self._by_number, self._exact = reread_pages, page_size, by_number, exact
        self._reading = Reading(page_size, exact)
        self._ends_read = self._resumed = False
        self._shared = 0
        self._latest: Page | None = None
        self._records: dict[int, PageRecord] = {}
        self._read_at = utc(0)
        self._expected: tuple[Sequence[str], int | None] | None = None

    def step(self) -> list[Rows]:
        """Read one more page, or reach the verdict.

        Returns:
            The rows of that page, and of those that were looked back at, that are new to the destination or changed.

        Raises:
            RequestError: From `fetch`; the sweep stands where it was and `step` can be called again.
            MoreToDo: The same.
        """
        reading, state, number = self._reading, self.state, self._reading.number + 1
        if reading.ended:
            return self._conclude()
        try:
            page, found = self._read(number)
        except RequestRefused:
            if not self._resumed:
                raise
            self._start_again(0)  # The API has no such page any more, or does not take an old cursor.
            return []
        looked = self._look_back(page, found)
        counted = self._reading.keys.union(self._expected[0]) if self._expected else self._reading.keys
        self._expected, self._resumed = None, False
        if page.named not in (None, number) and self._by_number:
            reading.doubt = reading.doubt or f"the API answered page {page.named} when page {number} was asked for"
        if number > 1 and page.total != reading.total:
            state.drift.append(f"the total went from {reading.total} to {page.total} at page {number}")
        rows = [self._take(*one, counted) for one in (*looked, (page, found))]
        new = reading.add(found.keys, page.total)
        if new < len(found.keys):
            state.drift.append(f"page {number} repeats {len(found.keys) - new} rows")
        reading.finish(page, self._by_number)
        state.page, state.total, state.doubt = number, page.total, reading.doubt
        state.since = float(page.read_at) if number == 1 else state.since
        state.extra += bool(state.readings)
        self._records[number] = PageRecord(number, found.keys, page.total, self._read_at)
        return rows

    def read_again(self, event: str) -> bool:
        """Take the verdict back, because a live row was not listed, and read the list once more.

        Args:
            event: What happened, in words.

        Returns:
            False, and the verdict stands, if the list was read again already or is too long.
        """
        self.state.drift.append(event)
        if self.state.readings or not self._may_read_again():
            return False
        self.verdict, self.reason = None, ""
        self._start_again()
        return True

    def distrust(self, event: str) -> None:
        """Let the present reading prove nothing.

        Args:
            event: What happened, in words.
        """
        self._reading.doubt = self.state.doubt = event

    @property
    def some_key(self) -> str | None:
        """A key that was listed a moment ago: of the last page, if it has any. None if there is none."""
        keys = chain(self._reading.last_keys, self._reading.keys)
        return next((key for key in keys if not is_unkeyed(key)), None)

    @property
    def keys(self) -> set[str]:
        """Keys of the rows that the last reading of the list had, and ids of records without a key."""
        return self._reading.keys

    def take_records(self) -> list[PageRecord]:
        """Pages read since the last call. A later run resumes from them, and from `saved_state`."""
        records, self._records = list(self._records.values()), {}
        return records

    @property
    def saved_state(self) -> dict[str, Any]:
        """The state as JSON."""
        return asdict(self.state)

    def resume(self, records: Sequence[PageRecord], saved_state: dict[str, Any]) -> bool:
        """Go on where an earlier run stopped.

        Its last page is read again, and shows whether the list has moved meanwhile.

        Args:
            records: Pages of the earlier run.
            saved_state: Its state, as it was with the last of them.

        Returns:
            False if it does not hold together; then nothing has changed and the sweep starts with the first page.
        """
        if saved_state.keys() != asdict(self.state).keys():
            return False  # Another version of the connector saved it.
        state = SweepState(**{**saved_state, "counts": Counts(**saved_state["counts"])})
        # The pages of a reading before have the same numbers, or higher ones.
        latest = {one.page: one for one in sorted(records, key=lambda one: one.read_at)}
        pages = [latest[number] for number in range(1, state.page + 1) if number in latest]
        if len(pages) < state.page or not all(self.changes.are_loaded(one.keys) for one in pages):
            return False
        self.state, self.changes.counts, self._resumed = state, state.counts, bool(pages)
        if not pages:
            return True  # The run ended before the first page of another reading.
        for one in pages[:-1]:
            self._reading.add(one.keys, one.total)
        self._reading.doubt = state.doubt
        self._expected = pages[-1].keys, pages[-1].total
        self._read_at = max(one.read_at for one in pages)
        state.page = self._reading.number
        state.extra += 1
        return True

    def _read(self, number: int) -> tuple[Page, Identified]:
        """A page, asked for again if it is short or another one, and the keys of its records."""
        state = self.state
        page = self._fetch_page(number)
        again = self._expected is not None and len(page.records) == len(self._expected[0])  # As the run before got it.
        known = again or self._reading.short is not None or self._reading.empty > 0 or self._reading.doubt
        for _ in range(_SHORT_PAGE_READS if self._by_number else 0):
            missing = self._missing(page)
            if known or (not missing and (page.named in (None, number) or self._is_behind(page))):
                break
            state.drift.append(f"page {number} came {missing} rows short" if missing else f"page {number} is another")
            state.extra += 1
            try:
                page = self._fetch_page(number)
            except BudgetSpent:
                break  # With few requests a run, each run would only ask for this page.
        found = self._table.identify(page.records)
        last = self._is_behind(page) and page.named == number - 1 and self._reading.keys.issuperset(found.keys)
        if last:  # Some servers answer a number behind the last page with that page, and say so.
            page = replace(page, records=[], named=None)
            found = Identified()
        return page, found

    def _fetch_page(self, number: int) -> Page:
        try:
            page = self._fetch(number)
        except NotThere:
            total = self._reading.total
            if not (self._by_number and self._latest) or (total is not None and (number - 1) * self._size < total):
                raise
            # Some servers answer a number behind the last page with 404.
            page = replace(self._latest, number=number, named=None, records=[])
        self.state.pages_read += 1
        self._latest = replace(page, records=[])
        return page

    def _is_behind(self, page: Page) -> bool:
        return page.total is not None and page.number > 1 and (page.number - 1) * self._size >= page.total

    def _missing(self, page: Page) -> int:
        """How many rows a page has less than announced."""
        if page.total is None:
            return 0
        return max(0, min(self._size, page.total - (page.number - 1) * self._size) - len(page.records))

    def _look_back(self, page: Page, found: Identified) -> Looked:
        """The pages before the border that are read again, because rows may have moved over it.

        After a long pause under one total, the page before must be as it was. In a list that is too long to be read
        again, a total that has fallen by n must be explained by n rows on the pages before that no page had.
        """
        reading, looked = self._reading, Looked()
        if not reading.number or (self._expected and self._expected == (found.keys, page.total)):
            return looked
        long = not self._may_read_again()
        paused = self._resumed or page.read_at - self._read_at.timestamp() > LONG_PAUSE
        fallen = max(0, (reading.total or 0) - (page.total or 0))
        if not ((fallen and long) or (paused and (long or page.total == reading.total))):
            return looked
        if not self._by_number or self.state.extra > max(MOST_LOOKS, self._reread_pages):
            reading.doubt = reading.doubt or "the list changed, and no more of its pages can be read again"
            return looked
        fresh: set[str] = set()
        for back in range(reading.number, 0, -1):
            try:
                before = self._fetch_page(back)
            except BudgetSpent:
                if not self._resumed:
                    raise  # The next run looks back with its first requests.
                reading.doubt = reading.doubt or "the list changed, and a run may not send enough requests to look back"
                break
            self.state.extra += 1
            looked.append((before, self._table.identify(before.records)))
            keys = looked[-1][1].keys
            new = {key for key in keys if key not in reading.keys}.difference(found.keys, fresh)
            fresh |= new
            if before.total != page.total or before.read_at - page.read_at > LONG_PAUSE:
                reading.doubt = reading.doubt or f"the list may have changed again before page {back} was read again"
            if len(new) < len(keys):
                break  # A row is here that was in front of the border before: what came over it follows.
        same = page.total != reading.total or not looked or looked[0][1].keys == list(reading.last_keys)
        if len(fresh) != fallen or not same:
            reading.doubt = reading.doubt or (
                f"the total fell by {fallen} before page {page.number}, and {plural(len(fresh), 'row')} moved to the "
                "pages before"
            )
        reading.keys |= fresh
        self.state.gone += fallen
        return looked

    def _take(self, page: Page, found: Identified, counted: Set[str]) -> Rows:
        # Strictly later than what was read before: the destination keeps the latest of two readings of one row.
        self._read_at = max(utc(page.read_at), self._read_at + timedelta(microseconds=1))
        rows = self.changes.take(found, page.records, self._read_at, None if self.state.readings else counted)
        self._shared += len(self._reading.keys.intersection(rows.keys))
        return rows

    def _conclude(self) -> list[Rows]:
        """After the last page: the verdict, or what to read next; returns rows of pages that were read for it."""
        state, reading = self.state, self._reading
        if reading.clean and (self._exact or state.order == reading.order):
            self.verdict = Verdict.COMPLETE
            self.reason = "proven by reading the list again" if self._exact and state.readings else ""
            return []
        may_end = reading.short is None and not reading.endless
        if may_end and self._may_read_again():
            state.order = reading.order if reading.clean else ""
            self._start_again()
            return []
        explained = may_end and self._exact and not reading.doubt
        if explained and self._unsettled() and self._by_number and not self._ends_read:
            return self._read_ends()
        proven = explained and not self._unsettled()
        self.verdict = Verdict.COMPLETE if proven else Verdict.INCOMPLETE
        self.reason = "each change of the total is explained by rows that were seen" if proven else self._why()
        return []

    def _unsettled(self) -> bool:
        """Whether the rows of a list that moved do not add up to the announced total, or a move is not explained."""
        reading = self._reading
        return len(reading.keys) - self.state.gone != reading.total or reading.unexplained > 0

    def _read_ends(self) -> list[Rows]:
        """Read the first page and the last one again: that is where rows come in, and where they move to."""
        reading, rows = self._reading, list[Rows]()
        for number in dict.fromkeys((1, reading.pages)):
            page = self._fetch_page(number)
            self.state.extra += 1
            found = self._table.identify(page.records)
            if page.total != reading.total:
                reading.doubt = f"the total went from {reading.total} to {page.total} after the last page"
            rows.append(self._take(page, found, reading.keys))
            before = len(reading.keys)
            reading.keys.update(found.keys)
            reading.unexplained -= len(reading.keys) - before
        self._ends_read = True
        return rows

    def _may_read_again(self) -> bool:
        """Whether the whole list may be read once more. Without an exact total, the second reading is always due."""
        state, pages = self.state, max(self._reading.pages, self._reading.number)
        if not self._exact and not state.readings:
            return True
        return state.readings + 1 < MOST_READINGS and state.extra + pages <= self._reread_pages

    def _start_again(self, readings: int = 1) -> None:
        """Begin with the first page, after so many whole readings."""
        state = self.state
        state.readings, state.page, state.gone, state.doubt = state.readings + readings, 0, 0, ""
        self._reading, self._shared = Reading(self._size, self._exact), 0
        self._ends_read, self._resumed, self._expected = False, False, None

    def _why(self) -> str:
        """Why the list is not proven, and the setting that may be wrong."""
        state, reading, endpoint = self.state, self._reading, self._table.endpoint
        where = f"sources.automatum.endpoints.{endpoint.table}"
        if reading.short is not None:
            return (
                f"the first page has {reading.short} rows where {self._size} were asked for and {reading.total} are "
                f"announced: set {where}.page_size to the rows of a page or, if the API counts other rows than it "
                f'lists, {where}.total to ""'
            )
        if self._exact:
            why = f"{len(reading.keys)} distinct rows do not add up to the announced {reading.total}"
        else:
            why = "the API announces no exact total, and no two readings of the list were equal"
        if reading.repeated:
            why += f"; {plural(reading.repeated, 'row')} repeated in place of others"
        if self._shared and not reading.changed:
            why += f"; rows that differ share a key: set {where}.key to the columns that identify a row"
        if said := reading.doubt or (state.drift[-1] if reading.changed else ""):
            why += f"; {said}"
        if self._exact and max(reading.pages, reading.number) > self._reread_pages and not reading.endless:
            why += f". The list has {reading.pages} pages, which is too long to read it again; the next sync does"
        elif self._exact and not (reading.changed or reading.repeated or reading.doubt):
            why += f'. If the API counts other rows than it lists, set {where}.total to ""'
        return why
