"""A complete list, read page by page, that can prove it saw everything.

The API numbers its pages over rows that move while they are read, has no cursor and no promised order. So a sweep keeps
account of what it saw and holds it against what the list announces:

* `seen`: the distinct keys. On a quiet list they equal the announced total after the last page: proven, at no extra
  request.
* A total that falls between two pages, or a long pause between them, may have pulled rows over the border to a page
  that was read already. The sweep looks back: it reads the page before the border again. What went from there are
  `ghosts`, seen but deleted, and the sum becomes keys = total + ghosts.
* A repeated key says that rows moved back over the border: somewhere before, rows came in. If the sum does not add up
  at the end, the first page (new rows first), the last one (new rows last) and the pages at the borders are read
  again, and if that does not explain it, the whole list, as long as the extra requests allow.
* An empty or short page in the middle is asked for again.

What a single sweep cannot see (one row deleted on a page that was read, another appended in the same moment) is written
in `docs/completeness.md`, and what finds it then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from ..api.pages import Page
from ..core.clock import utc
from ..endpoints import PAGE_SIZE
from ..schema.arrow_tables import Record, Row, Table
from .results import DELETED, Counts, KnownRows, PageRecord, Verdict

EXTRA_REQUESTS = 25
"""How many pages a sweep may read beyond one each, to make its sum add up."""
LONG_PAUSE = 300.0
"""Seconds between two pages after which the sweep looks back, as if the total had fallen."""
_ASKED_AGAIN = 2
"""How often a page that is shorter than announced is asked for again."""
_LAST = 1 << 31
"""Stands for the last page, whichever that is when its turn comes."""


class Sweep:
    """One reading of one list.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the page of a number.
        known: What the destination holds; the sweep takes out what it meets, so that what is left was not listed.
        extra_requests: How many pages may be read again.
        newest_first: End at the first page without changes, as long as the pages come newest first. Only for a list
            whose order an earlier sweep has proven, and never when its rows do not add up to the announced total.
        wanted: Rows that are to be loaded; the others count as seen all the same. None for all.

    Attributes:
        verdict: None until it is reached.
        reason: Why it is what it is.
        drift: What moved while it read, in words.
        ghosts: Rows that were seen and then deleted.
        ordered: Whether all pages came newest first.
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
        self.ordered = True
        self.cut = False
        self._newest_first = newest_first
        self._live = sum(1 for held in known.hashes.values() if held != DELETED) if newest_first else 0
        self._oldest: datetime | None = None
        self._table = table
        self._fetch = fetch
        self._extra_requests = extra_requests
        self._wanted = wanted
        self._seen: dict[str, str] = {}
        self._contents: dict[int, list[str]] = {}
        self._records: dict[int, PageRecord] = {}
        self._again: list[int] = []
        self._looking_back: dict[int, int] = {}
        self._suspects: list[int] = [1, _LAST]
        self._doubt = False
        self._pass: _Pass | None = None
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

    def take_one(self, key: str, record: Record, read_at: float) -> Row | None:
        """A row that was met outside the list, alive; returns it if it has to be loaded."""
        hash_ = self._table.hash(record)
        changed, existed = self._first_seen(key, hash_) if key not in self._seen else (False, True)
        self._seen[key] = hash_
        return Row(key, hash_, record, utc(read_at), existed) if changed else None

    def distrust(self, event: str) -> None:
        """Take the verdict back: the list was read, but something shows that rows were missed."""
        self._note(event)
        self.verdict, self.reason, self._doubt = None, "", True

    @property
    def reread(self) -> bool:
        """Whether the verdict rests on a second reading of the whole list."""
        return self._pass is not None

    def listed_again(self, key: str) -> bool:
        """Whether the second reading met a row."""
        return self._pass is not None and self._pass.met(key)

    @property
    def some_key(self) -> str | None:
        """A key that was listed a moment ago; None if there is none."""
        return next(reversed(self._seen), None)

    def take_records(self) -> list[PageRecord]:
        """Pages read since this was last asked for, so that a later run can go on from there (`resume`)."""
        records, self._records = list(self._records.values()), {}
        return records

    def state(self) -> dict[str, Any]:
        """What `resume` needs besides the pages; JSON."""
        return {
            "next": self.next,
            "last": self.last,
            "total": self.total,
            "pages_read": self.pages_read,
            "extra": self.extra,
            "ghosts": self.ghosts,
            "keyless": self.keyless,
            "drift": self.drift,
            "counts": asdict(self.counts),
            "again": [] if self._pass else self._again,
            "looking_back": list(self._looking_back.items()),
            "suspects": self._suspects,
            "doubt": self._doubt or self._pass is not None,
            "ordered": self.ordered,
            "oldest": self._oldest.isoformat() if self._oldest else None,
        }

    def resume(self, records: Sequence[PageRecord], state: dict[str, Any]) -> bool:
        """Go on where an earlier run stopped.

        Only what can be shown counts: the pages must follow each other from the first, and each of their rows must be
        in the destination.

        Args:
            records: Its pages.
            state: Its state, as it was with the last of them.

        Returns:
            False if it does not hold together; then nothing has changed and the sweep starts with the first page.
        """
        by_page = {record.page: record for record in records}
        keys = [key for record in by_page.values() for key in record.keys]
        hashes = self.known.hashes
        # An empty hash is that of a row that has to be loaded again, which takes another look at its page.
        gone = any(hashes.get(key, DELETED) in (DELETED, "") for key in keys)
        if gone or sorted(by_page) != list(range(1, state["next"])):
            return False
        for page, record in sorted(by_page.items()):
            self._contents[page] = record.keys
        self._seen = {key: hashes[key] for key in keys}
        for key in self._seen:
            del hashes[key]
        self.next, self.last, self.total = state["next"], state["last"], state["total"]
        self.pages_read, self.extra = state["pages_read"], state["extra"]
        self.ghosts, self.keyless, self.drift = state["ghosts"], state["keyless"], state["drift"]
        self.counts = Counts(**state["counts"])
        self._again, self._looking_back = state["again"], dict(state["looking_back"])
        self._suspects, self._doubt = state["suspects"], state["doubt"]
        self.ordered = state["ordered"]
        self._oldest = datetime.fromisoformat(state["oldest"]) if state["oldest"] else None
        self._read_at = max((record.read_at for record in records), default=self._read_at)
        return True

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
        paused = page.read_at - self._read_at.timestamp() > LONG_PAUSE and page.number > 1 and bool(self._seen)
        # Strictly later than what was read before: the destination keeps the latest of two readings of one row.
        self._read_at = max(utc(page.read_at), self._read_at + timedelta(microseconds=1))
        rows: dict[str, Row] = {}
        repeated = 0
        for key, record in zip(keys, page.records, strict=True):
            if key is None:
                self.keyless += before is None
                continue
            hash_ = self._table.hash(record)
            if self._wanted and not self._wanted(record):
                repeated += before is None and key in self._seen
                self.known.hashes.pop(key, None)
                changed, existed = False, True
            elif key in self._seen:
                repeated += before is None
                changed, existed = self._seen[key] != hash_, True
                self.counts.updated += changed
            else:
                changed, existed = self._first_seen(key, hash_)
            self._seen[key] = hash_
            if changed:
                rows[key] = Row(key, hash_, record, self._read_at, existed)
        if repeated:
            self._note(f"page {page.number} repeats {repeated} rows")
            self._suspects += [page.number - 1, page.number]
        present = [key for key in keys if key is not None]
        self._contents[page.number] = present
        self._records[page.number] = PageRecord(page.number, present, page.total, self._read_at)
        if self._pass:
            self._pass.take(page, present)
        self._watch(page, before, present, paused)
        self._watch_order(page, before is None, bool(rows))
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

    def _watch(self, page: Page, before: list[str] | None, present: list[str], paused: bool) -> None:
        """Hold the announced total against the last one, and a page read again against what it held."""
        if before is not None and page.number in self._looking_back:
            self._explain(page.number, before, present, self._looking_back.pop(page.number))
        if page.total is None:
            # Nothing is announced: read on until a page brings nothing new.
            self.last = page.number + 1 if present and present != self._contents.get(page.number - 1) else page.number
            return
        fallen = 0
        if self.total is not None and page.total != self.total:
            self._note(f"the total went from {self.total} to {page.total} at page {page.number}")
            fallen = max(0, self.total - page.total)
            # It moved while we looked back: what is there now no longer explains what was there before.
            self._doubt = self._doubt or before is not None
        if before is None and (fallen or paused) and self._read_again(page.number - 1):
            self._looking_back[page.number - 1] = fallen
        self.total = page.total
        self.last = page.pages or ceil(page.total / PAGE_SIZE) or 1

    def _explain(self, number: int, before: list[str], present: list[str], fallen: int) -> None:
        """What happened to the page before the border while the one after it was read."""
        pulled = _pulled_over(before, present)
        if pulled is not None:
            self.ghosts += pulled
        elif fallen and not set(before) & set(present):
            # More rows went than a page holds: those that were pulled over the border reach further back.
            self.ghosts += fallen
            self._read_again(number - 1)
        else:
            self._doubt = True

    def _watch_order(self, page: Page, first_time: bool, changes: bool) -> None:
        """Whether the pages come newest first; and the early end, where that is known."""
        if not self._table.endpoint.newest_first or not first_time:
            return
        for moment in self._table.updated_at(page.records):
            if moment is None or (self._oldest is not None and moment > self._oldest):
                self.ordered = self._newest_first = False
                return
            self._oldest = moment
        at_rest = not (self.drift or self._doubt or self._again or self.keyless)
        whole = self.distinct == sum(len(keys) for keys in self._contents.values()) == PAGE_SIZE * (self.next - 1)
        accounted = self.total == self._live + self.counts.inserted
        if self._newest_first and not changes and at_rest and accounted and (whole or self.next > self.last):
            self.cut, self.last = True, self.next - 1
            self._end("complete", f"ended at page {page.number}: newest first, and nothing on it had changed")

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


def _pulled_over(before: list[str], present: list[str]) -> int | None:
    """How many rows went over the front border of a page, or from it; None if that cannot be told.

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

    def met(self, key: str) -> bool:
        return key in self._keys

    def proven(self, total: int) -> bool:
        return self._totals == {total} and len(self._keys) == self._rows == total
