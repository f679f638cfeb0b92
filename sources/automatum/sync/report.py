"""A dated report, read window by window, and the proof that no answer was cut (`docs/internals/completeness.md`).

An API may limit the rows of an answer, in any order of the rows, or the days of a range, and say nothing. Two answers
to ranges that overlap show it:

- A window is asked for again without its first days. If this part brings fewer rows than the whole, the API gives more
  rows than the part has, so no limit has cut the part. Its rows must all be in the answer to the whole.
- A part with as many rows as any answer before is doubted. It is asked for in two parts, which must have its rows.
- A range that ends with a day that has rows, and one that begins with it, show that ranges of that length are answered
  to their ends. Most windows show it; else one range is asked for, once for the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeVar

from .absence import too_many

WINDOW_DAYS = 90
"""Days of a window where `report_window_days` is not set."""
DAY = timedelta(days=1)
Judged = TypeVar("Judged")


class Window(NamedTuple):
    """Days that are asked for at once, both ends included.

    Attributes:
        early: First day that is asked for. The days before `first` are evidence, and other windows' to prove.
        first: First day that the window is read for.
        last: Last day.
    """

    early: date
    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of the days that the window is read for."""
        return (self.last - self.first).days + 1


def windows(first: date, last: date, days: int | None = None) -> list[Window]:
    """The windows of a range of days.

    A quarter of each window lies before the days that it is read for (see `report`). An API may leave the first or the
    last day out of a range. So these days overlap by two between windows, if the windows have six days or more.

    Args:
        first: First day.
        last: Last day.
        days: Days of the longest window; None for `WINDOW_DAYS`.
    """
    if first > last:
        return []
    days = days or WINDOW_DAYS
    early, overlap = max(1, days // 4) if days > 1 else 0, min(2, days // 3)
    start, found = first - (DAY if overlap else timedelta(0)), []
    while True:
        end = min(last, start + (days - early - 1) * DAY)
        found.append(Window(start - early * DAY, start, end))
        if end == last:
            return found
        start = end + (1 - overlap) * DAY


Ask = tuple[date, date]
"""First and last day of a request."""


class Answer(NamedTuple):
    """What came for a range of days.

    Attributes:
        first: First day that was asked for.
        last: Last day that was asked for.
        rows: Number of its records.
        keys: Their keys.
        days: The days that they name, in order.
    """

    first: date
    last: date
    rows: int
    keys: frozenset[str]
    days: tuple[date, ...]


Asking = Generator[Ask, Answer | None, Judged]
"""Asks for ranges, and returns what their answers show."""


@dataclass
class Report:
    """One reading of one report. `read` says what to ask for.

    Args:
        table: Name of its table.
        first: First day.
        last: Last day.
        days: Days of the longest window; None for the default.
        stored: Day to the keys of its live rows in the destination.
        today: The present day.
        deletes: Rows that are missing may be deleted.
        allow_deletes: Delete however many they are.
        may_check: Whether another day may be asked for alone because of missing rows; called before each.

    Attributes:
        seen: Keys of all rows that were read.
        gone: Keys of the rows that their own days lack, too.
        fresh: Day to the number of its rows that are new to the destination.
        waiting: Number of rows that are missing and could not be decided about.
        why: Why it is not complete; empty if it is.
    """

    table: str
    first: date
    last: date
    days: int | None
    stored: Mapping[date, Collection[str]]
    today: date
    deletes: bool = True
    allow_deletes: bool = False
    may_check: Callable[[], bool] = lambda: True
    seen: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    fresh: Counter[date] = field(default_factory=Counter)
    waiting: int = 0
    why: str = ""

    def __post_init__(self) -> None:
        self.windows = windows(self.first, self.last, self.days)
        self._missing: dict[str, date] = {}
        self._most = 0  # Rows of the longest answer.
        self._to_end = self._from_start = 0  # Days of the longest range that was answered to its end, or start.
        self._row_days: tuple[date, date] | None = None
        self._ignored = False

    def read(self, known: Mapping[Ask, list[Answer]] | None = None) -> Generator[Ask, Answer, None]:
        """Ask for ranges of days, and judge their answers.

        Args:
            known: Answers of an earlier run of the same reading, in their order. Each stands for one request.
        """
        asks, ask, answer, asked = self._read(), None, None, False
        with suppress(StopIteration):
            while True:
                ask = asks.send(answer)
                earlier = (known or {}).get(ask)
                asked = asked or not earlier
                answer = earlier.pop(0) if earlier else (yield ask)
        if ask and answer and not asked:  # A run that asks nothing proves nothing.
            again = yield ask
            self.why = self.why or ("" if again.keys == answer.keys else "the report changed between two runs")

    def _read(self) -> Asking[None]:
        for window in self.windows:
            if not self._ignored:
                yield from self._window(window)
                self._note_missing(window)
        if not self.why:
            yield from self._reach()
        if not self.why and self.deletes and self._missing:
            yield from self._absent()

    def _ask(self, first: date, last: date) -> Asking[Answer]:
        answer = yield first, last
        assert answer
        self.seen |= answer.keys
        self._most = max(self._most, answer.rows)
        if days := answer.days:
            seen = *(self._row_days or ()), days[0], days[-1]
            self._row_days = min(seen), max(seen)
            self._to_end = max(self._to_end, (days[-1] - first).days + 1)
            self._from_start = max(self._from_start, (last - days[0]).days + 1)
            if days[0] < first - DAY or days[-1] > last + DAY:
                self._ignored = True
                self.why = (
                    f"the API answers {days[0]} to {days[-1]} where {first} to {last} is asked for: it does not know "
                    "the parameters of the range. Set the vendor's names of them in "
                    f'sources.automatum.endpoints.{self.table}.parameters, such as {{ start = "from", end = "to" }}'
                )
        return answer

    def _window(self, window: Window) -> Asking[None]:
        before, days = self._most, self._row_days
        whole = yield from self._ask(window.early, window.last)
        if self.why:
            return  # It is not complete any more; its rows are loaded all the same.
        part = whole
        if window.early < window.first:
            part = yield from self._ask(window.first, window.last)
        if part.keys - whole.keys:
            # A row may have come between the two.
            whole = yield from self._ask(window.early, window.last)
        if part.keys - whole.keys:
            self._cut(whole)
        elif part.days and part.rows >= self._most:
            yield from self._parts(part)
            if len(part.days) == 1 and part.rows == before and days and days[1] < part.days[0]:
                # Two days with as many rows as a limit may allow. An answer to both has more, if there is no limit.
                if self.days is None or (part.days[0] - days[1]).days < self.days:
                    yield from self._ask(days[1], part.days[0])
                if self._most == part.rows:
                    self._cut(part)

    def _parts(self, part: Answer) -> Asking[None]:
        """Prove an answer that has as many rows as any: each of its parts must have fewer, and together all."""
        first, last = part.days[0], part.days[-1]
        if last - first >= 4 * DAY:
            # An API may leave out the ends of a range, so the halves overlap where both still have fewer rows.
            middle = first + (last - first) // 2
            ranges = [(part.first, middle + DAY), (middle - DAY, part.last)]
        elif first < last:
            # Each of the days between which it is split has rows, so that an end that is left out shows.
            one, two = min(pairwise(part.days), key=lambda pair: pair[1] - pair[0])
            ranges = [(part.first, one), (one + DAY, two - DAY), (two, part.last)]
        else:
            ranges = [(part.first, first - DAY), (first, first), (first + DAY, part.last)]
        found: set[str] = set()
        for start, end in ranges:
            if start <= end:
                answer = yield from self._ask(start, end)
                found |= answer.keys
                if answer.rows >= part.rows and first < last:
                    self._cut(part)
        if found != part.keys:
            self._cut(part)

    def _cut(self, answer: Answer) -> None:
        days = (answer.last - answer.first).days + 1
        self.why = self.why or (
            f"the API may have cut its answer of {answer.first} to {answer.last} at {answer.rows} rows; set "
            "sources.automatum.report_window_days to another number of days, "
            f"such as {max(2, days // 2)}"
        )

    def _reach(self) -> Asking[None]:
        """Prove that ranges as long as the windows are answered from their first to their last day."""
        longest = max((window.days for window in self.windows), default=0)
        if not self._row_days:
            return
        first, last = self._row_days
        if self._to_end < longest:
            # A day more, because the API may leave out the last one.
            answer = yield from self._ask(last - (longest - 1) * DAY, min(last + DAY, self.today))
            if self._to_end < longest:
                self._cut(answer)
        if self._from_start < longest:
            begin, end = self.windows[0].early, first + (longest - 1) * DAY
            if end <= self.today:
                answer = yield from self._ask(first - DAY, end)
                if self._from_start < longest:
                    self._cut(answer)
            elif begin < first:
                answer = yield from self._ask(max(begin, first - longest * DAY), first - DAY)
                if answer.rows:
                    self._cut(answer)

    def _note_missing(self, window: Window) -> None:
        missing = self._missing
        for day, keys in self.stored.items():
            if max(window.first, self.first) <= day <= window.last:
                missing.update((key, day) for key in keys if key not in self.seen)
        for key in missing.keys() & self.seen:
            del missing[key]

    def _absent(self) -> Asking[None]:
        """Ask for the days of missing rows alone: only what such an answer lacks is gone."""
        most, lost = self._most, Counter(self._missing.values())
        compared = sum(len(keys) for day, keys in self.stored.items() if self.first <= day <= self.last)
        # A restated report may have other keys: each lost row has a new one on its day.
        left = len(self._missing) - sum((lost & self.fresh).values())
        if too_many(left, compared) and not self.allow_deletes:
            self.why = (
                f"{left} of {compared} rows are not reported any more; they were not deleted. If they are really gone, "
                "run with --allow-deletes"
            )
            return
        around = yield from self._day_alone()
        for day in sorted(lost):
            keys = [key for key, of in self._missing.items() if of == day]
            margin = (around or 0) * DAY
            if day + margin > self.today or (around is None and not self.allow_deletes):
                continue
            if not self.may_check():
                break
            answer = yield from self._ask(day - margin, day + margin)
            absent = [key for key in keys if key not in answer.keys]
            others = set(self.stored.get(day, ())) - set(keys)
            if len(absent) < len(keys):
                self.why = f"rows of {day} are in the answer for that day, and not in that for the days around it"
                return
            if self.allow_deletes or (answer.rows < most and others <= answer.keys):
                self.gone += absent
            else:
                self.waiting += len(absent)
            self._missing = {key: of for key, of in self._missing.items() if of != day}
        self.waiting += len(self._missing)

    def _day_alone(self) -> Asking[int | None]:
        """Days around a day that an answer needs to have that day's rows; None if no answer has them."""
        if not self._row_days:
            return None
        day = self._row_days[0]
        for around in (0, 1):  # An API may leave out the first or the last day of a range.
            answer = yield from self._ask(day - around * DAY, min(day + around * DAY, self.today))
            if day in answer.days:
                return around
        return None
