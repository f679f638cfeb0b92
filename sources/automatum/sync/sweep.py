"""A complete list, read page by page, that can prove it saw everything.

The API numbers its pages over rows that move while they are read, has no cursor and no promised order. So a sweep
records what it saw and compares it with what the list announces:

* `seen`: the distinct keys. On a quiet list they equal the announced total after the last page: the list is proven, at
  no extra request. A full last page is followed by one request more, unless the end was seen lately: a total can be
  capped.
* A total that falls between two pages, or a long pause between them, may have pulled rows over the border to a page
  that was read already. The sweep looks back (`look_back.py`). Rows that went from there are `ghosts`, seen but
  deleted, and the sum becomes keys = total + ghosts.
* A repeated key says that rows moved back over the border: somewhere before, rows came in. If the sum does not add up
  at the end, the sweep reads its suspects again: the first page (new rows first), the last one (new rows last) and the
  pages at the borders. If that does not explain the sum, it reads the whole list a second time.
* Two readings that list the same rows on the same pages prove the list, whatever it announces (`readings.py`).
* What the sweep cannot look at, because the extra requests are spent, is doubt.

`docs/completeness.md` describes what a single sweep cannot see (a row deleted on a page that was read while another is
appended), and what finds it later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..api.pages import Page
from ..core.clock import utc
from ..core.errors import RequestRefused
from ..endpoints import PAGE_SIZE
from ..schema.arrow_tables import Table
from ..schema.records import Record, Row
from .changes import Changes
from .contents import Contents
from .key_map import Met, PackedKeys
from .list_proof import proof_of
from .list_shape import shape_of
from .look_back import LookBack
from .readings import Earlier, ListDigest, SecondReading, unlike
from .rejections import Rejections, identify, is_unkeyed
from .results import KnownRows, PageRecord, Verdict
from .sweep_state import FIRST_SUSPECTS, SweepState, why_shared, why_unproven

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
        earlier: What earlier sweeps know of the list.
        page_size: Rows of a full page.
        rejections: Takes the records that have no key. They count as listed.

    Attributes:
        state: What it knows so far.
        verdict: None until it is reached.
        reason: Why.
        cut: It ended early, at a page without changes.
    """

    def __init__(
        self,
        table: Table,
        fetch: Callable[[int], Page],
        known: KnownRows,
        extra_requests: int = EXTRA_REQUESTS,
        newest_first: bool = False,
        wanted: Callable[[Record], bool] | None = None,
        earlier: Earlier | None = None,
        page_size: int = PAGE_SIZE,
        rejections: Rejections | None = None,
    ) -> None:
        self.state = SweepState()
        self.known = known
        self.verdict: Verdict | None = None
        self.reason, self.cut = "", False
        self._earlier = earlier or Earlier()
        self._newest_first = newest_first
        self._live = known.live_count - self._earlier.unlisted if newest_first else 0
        self._table, self._fetch = table, fetch
        self._extra_requests = extra_requests
        self._page_size = page_size
        self._changes = Changes(table, known, wanted, rejections or Rejections())
        self._seen = self._changes.seen
        self._records: dict[int, PageRecord] = {}
        self._shape = shape_of(table.endpoint, page_size, self._earlier.digest)
        self._proof = proof_of(self._shape)
        if not self._shape.any_page:
            self.state.suspects = []
        self._look_back: LookBack | None = None
        self._second: SecondReading | None = None
        self._read_at = utc(0)

    @property
    def listed(self) -> Met:
        """Keys that were listed, and ids of records without a key."""
        return self._seen

    @property
    def unkeyed(self) -> int:
        """Number of records that were listed and have no key."""
        return self._changes.unkeyed

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
            rows = self._take(*self._read(state.again[0]))
            state.again.pop(0)
            state.extra += 1
            return rows
        if state.next <= state.last:
            page, keys = self._read(state.next)
            state.next += 1
            return self._take(page, keys)
        self._conclude()
        return []

    def take_one(self, key: str, record: Record, read_at: float) -> Row | None:
        """Take a live row that was met outside the list; returns it if it has to be loaded."""
        return self._changes.take_one(key, record, read_at, self.state.counts)

    def distrust(self, event: str) -> None:
        """Take the verdict back: the list was read, but something shows that rows were missed."""
        self.state.drift.append(event)
        self.verdict, self.reason, self.state.doubt = None, "", True

    @property
    def reread(self) -> bool:
        """Whether the verdict rests on a second reading of the whole list."""
        return self._second is not None

    def listed_again(self, keys: Collection[str]) -> set[str]:
        """Those of some keys that the second reading met."""
        return self._second.contents.listed(keys) if self._second else set()

    @property
    def some_key(self) -> str | None:
        """A key that was listed a moment ago; None if there is none."""
        pages = reversed(list(self._shape.contents.values()))
        return next((key for page in pages for key in reversed(list(page)) if not is_unkeyed(key)), None)

    def take_records(self) -> list[PageRecord]:
        """Pages read since the last call. A later run resumes from them, and from `saved_state`."""
        records, self._records = list(self._records.values()), {}
        return records

    @property
    def saved_state(self) -> dict[str, Any]:
        """The state as JSON. A second reading is not saved: it starts again after the sweep has been resumed."""
        state = replace(self.state, again=[]) if self._second else self.state
        if self._look_back and self._look_back.pages:  # The pages before it are not saved either.
            state = replace(state, again=[], looking_back={}, doubt=True)
        return state.as_json()

    @property
    def digest(self) -> ListDigest | None:
        """What the list is like, if it stood still and its rows do not add up to the announced total."""
        if self.state.moved:
            return None
        proven = self.verdict is Verdict.COMPLETE
        contents = (self._second or self._shape).contents
        return self._proof.digest(contents, proven, doubt=self.state.doubt and not proven)

    @property
    def end_at(self) -> int | None:
        """The announced total, if its last page was full and the page after it was empty."""
        number = self.state.next - 1
        shape = self._shape
        return shape.total if number > shape.pages and shape.contents.get(number) == [] else None

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
        try:
            state = SweepState.from_json(saved_state)
        except (KeyError, TypeError, ValueError):
            return False  # Another version of the connector saved it.
        contents = Contents((one.page, one.keys) for one in sorted(records, key=lambda one: one.page))
        if list(contents) != list(range(1, state.next)) or not self._changes.resume(contents):
            return False
        self.state, self._shape.contents, self._shape.total = state, contents, state.total
        self._read_at = max((record.read_at for record in records), default=self._read_at)
        return True

    def _read(self, number: int) -> tuple[Page, list[str]]:
        """A page, read again if it is shorter than announced, and the keys of its records."""
        state, shape = self.state, self._shape
        page = self._fetch_page(number)
        for _ in range(_SHORT_PAGE_READS):
            missing = shape.missing(page)
            if not missing or shape.as_short_before(page) or state.extra + len(state.again) >= self._extra_requests:
                break
            self.state.drift.append(f"page {number} came {missing} rows short")
            state.extra += 1
            state.pages_read += 1
            page = self._fetch_page(number)
        state.pages_read += 1
        keys = identify(self._table, page.records)
        behind = shape.behind_the_end(page) and all(key in self._seen for key in keys)
        if behind or shape.repeats_last(page, keys):
            # Some servers answer a number behind the last page with a page that they have.
            return replace(page, records=[]), []
        return page, keys

    def _fetch_page(self, number: int) -> Page:
        try:
            return self._fetch(number)
        except RequestRefused:
            if not self._shape.unannounced(number):
                raise
            # Some servers refuse a number behind the last page.
            return self._shape.empty_page(number, self._read_at.timestamp())

    def _take(self, page: Page, keys: list[str]) -> list[Row]:
        state = self.state
        before, packed = self._shape.contents.get(page.number), PackedKeys(keys)
        paused = bool(self._shape.contents) and page.read_at - self._read_at.timestamp() > LONG_PAUSE
        # Strictly later than what was read before: the destination keeps the latest of two readings of one row.
        self._read_at = max(utc(page.read_at), self._read_at + timedelta(microseconds=1))
        rows, fresh = self._changes.take(keys, page.records, self._read_at, state.counts, again=before is not None)
        if repeated := 0 if before is not None else len(keys) - len(fresh):
            self.state.drift.append(f"page {page.number} repeats {repeated} rows")
            state.suspects += [page.number - 1, page.number] if self._shape.any_page else []
        self._shape.take(page, packed, None if self._changes.outside else len(fresh))
        self._records[page.number] = PageRecord(page.number, packed, page.total, self._read_at)
        if self._second:
            self._second.take(page.number, -1 if paused else page.total, packed, before)
        self._watch(page, before, fresh, paused)
        self._watch_order(page, before is None, bool(rows))
        return rows

    def _watch(self, page: Page, before: PackedKeys | None, fresh: set[str], paused: bool) -> None:
        """Compare the announced total with the last one, and a page that is read again with its first reading."""
        state = self.state
        if not self._shape.any_page:
            self._watch_chain(page, before is None, paused)
            return
        if page.total is None:
            # Nothing is announced: read on until a page brings nothing new.
            state.total = state.total if self._table.endpoint.exact_total else None
            if before is None:
                state.last = page.number + 1 if fresh else page.number
            return
        fallen = 0
        if state.total is not None and page.total != state.total:
            self.state.drift.append(f"the total went from {state.total} to {page.total} at page {page.number}")
            fallen, state.moved = max(0, state.total - page.total), True
        if before is not None:
            # The list moved while the sweep looked back: the page does not explain any more what happened before.
            state.doubt = state.doubt or paused or (state.total is not None and page.total != state.total)
            if state.looking_back.pop(page.number, None) is not None:
                self._explain(page, before, fresh)
        elif (fallen or paused) and page.number > 1:
            self._look_back = LookBack()
            self._look_at(page.number - 1, fallen)
        state.total = page.total
        if self._shape.ends_with(page):
            state.ends_at = page.number
        elif page.records and page.number >= state.ends_at - 1:
            state.ends_at = 0
        last = self._shape.last(page)
        state.last = min(last, state.ends_at) if state.ends_at else last

    def _watch_chain(self, page: Page, first_time: bool, paused: bool) -> None:
        """The same where pages lead on: no page tells what happened before it, only a second reading of the list."""
        state, total = self.state, page.total
        changed = state.total is not None and total != state.total
        if changed:
            state.drift.append(f"the total went from {state.total} to {total} at page {page.number}")
            state.moved = True
        state.doubt = state.doubt or (changed and (total or 0) < (state.total or 0)) or (paused and first_time)
        state.total, state.last = total, self._shape.last(page)

    def _look_at(self, number: int, fallen: int = 0) -> None:
        """Read a page again to see what happened to it. If that is not possible, nothing explains it."""
        if self._read_again([number]):
            self.state.looking_back[number] = fallen
        else:
            self.state.doubt = True

    def _explain(self, page: Page, before: PackedKeys, fresh: set[str]) -> None:
        """What happened to the pages before the border while the page after it was read."""
        state, number = self.state, page.number
        look_back = self._look_back = self._look_back or LookBack()
        look_back.add(before, self._shape.contents[number], fresh)
        behind = set(self._shape.contents.get(state.next - 1, ()))
        if number > 1 and not look_back.reaches(behind):
            # More rows went than a page has: the rows that were pulled over the border reach further to the front.
            self._look_at(number - 1)
            return
        pulled = look_back.pulled_over(behind, whole=number == 1)
        self._look_back = None
        if pulled is None or self._shape.missing(page):
            state.doubt = True
        else:
            state.ghosts += pulled

    def _watch_order(self, page: Page, first_time: bool, changes: bool) -> None:
        """Whether the pages come newest first; and the early end, where that is known."""
        state = self.state
        if not self._table.endpoint.newest_first or not first_time:
            return
        if not state.keeps_order(self._table.updated_at(page.records)):
            self._newest_first = False
            return
        at_rest = not (state.drift or state.doubt or state.again)
        whole = len(self._seen) == self._shape.rows == self._page_size * (state.next - 1)
        adds_up = state.total == self._live + state.counts.inserted
        if self._newest_first and not changes and at_rest and adds_up and (whole or state.next > state.last):
            self.cut, state.last = True, state.next - 1
            self._end(Verdict.COMPLETE, f"ended at page {page.number}: newest first, and nothing on it had changed")

    def _read_again(self, numbers: Sequence[int]) -> bool:
        """Queue pages to be read again, if there are such pages and the extra requests allow it."""
        state = self.state
        if state.extra + len(state.again) + len(numbers) > self._extra_requests or min(numbers) < 1:
            return False
        state.again += numbers
        return True

    def _conclude(self) -> None:
        """After the last page: the verdict, or what to read next."""
        state, shape, proof, second = self.state, self._shape, self._proof, self._second
        if why := proof.unproven():
            self._end(Verdict.INCOMPLETE, why)
        elif self._end_unseen():
            state.last = state.next
        elif proof.proven_alone():
            self._end_by_two("")
        elif second and state.total is not None and second.proves(state.total):
            self._end(Verdict.COMPLETE, "proven by reading the list again")
        elif second and second.repeats(state.total) and proof.proven_by_two(second.contents):
            self._end_by_two(f"{unlike(shape.total, second.contents)}; two readings list the same rows")
        elif not state.doubt and state.total is not None and len(self._seen) == state.total + state.ghosts:
            self._end(Verdict.COMPLETE, "")
        elif not ((state.doubt and shape.any_page) or state.moved or second) and proof.like_the_last_sweep():
            known = self._earlier.digest and self._earlier.digest.proven
            self._end_by_two("" if known else f"{unlike(shape.total, shape.contents)}, as at the last sync")
        elif not state.doubt and state.suspects and (state.moved or state.suspects != list(FIRST_SUSPECTS)):
            self._read_again([min(state.suspects.pop(0), state.last)])
        elif not (second and second.repeats(state.total)) and self._read_again(range(1, state.whole + 1)):
            self._second, state.doubt = SecondReading(), True
        else:
            long = second is None and state.whole > self._extra_requests
            why = why_unproven(state, len(self._seen), self._table.endpoint.table, too_long=long)
            self._end(Verdict.INCOMPLETE, why + proof.hint())

    def _end_by_two(self, reason: str) -> None:
        """The end of a list that two readings prove, unless both began with the second page, or rows share a key."""
        proof, shared = self._proof, self._changes.shared
        why = why_shared(len(shared), self._table.endpoint) if shared else ""
        if not why and proof.counts_from_zero(self._fetch, lambda page: identify(self._table, page.records)):
            why = f"page 0 has other rows than the pages from 1 on: {proof.first_page_setting()}"
        self._end(Verdict.INCOMPLETE if why else Verdict.COMPLETE, why or reason)

    def _end_unseen(self) -> bool:
        """Whether a further page may follow: a full last page ends the list only if the total is not capped."""
        state, number = self.state, self.state.next - 1
        if number != state.last or not self._shape.may_go_on_at(number):
            return False
        return bool(state.total not in self._earlier.end_at or state.counts.inserted or self.known.live)

    def _end(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason
