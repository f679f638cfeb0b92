"""Whether an answer of a report has all the days that were asked for.

An API may cut a long range or a long answer, or ignore the range. Nobody announces that. What shows it is a part of the
range that is asked for by itself: if it brings rows that the answer to the whole did not have, the answer was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from .report_days import Window

SHORT = 31
"""Days of a window whose empty answer is believed, and of the part that is asked for if a longer one has no rows."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Uncut:
    """Answers that were found not to be cut: no shorter one is doubted for its days, and no smaller one for its rows.

    Attributes:
        days: Days of the longest range.
        rows: Rows of the largest answer.
    """

    days: int = 0
    rows: int = 0

    def with_others(self, others: Iterable[tuple[int, ...]]) -> Uncut:
        """The largest numbers of this and of others, as they are stored: days and rows."""
        pairs = [(self.days, self.rows), *(tuple(one) for one in others if len(one) == 2)]
        return Uncut(max(pair[0] for pair in pairs), max(pair[1] for pair in pairs))


@dataclass(frozen=True)
class Answer:
    """What came for a window.

    Attributes:
        window: First and last day that were asked for.
        days: The days of its rows, in their order.
        rows: Number of its rows.
        in_order: The days of its rows rise, or they fall.
    """

    window: Window
    days: tuple[date, ...]
    rows: int
    in_order: bool = True


@dataclass(frozen=True)
class Part:
    """A part of a window that is to be asked for by itself.

    Attributes:
        window: First and last day of the part.
        whole: First and last day of the window.
        answered: First and last day in the answer to the whole; the whole's own if it had no rows.
        rows: Number of rows of that answer.
        proves: The answer to the whole is known not to be cut if this part brings nothing further.
    """

    window: Window
    whole: Window
    answered: Window
    rows: int
    proves: bool = True

    def as_json(self) -> list[Any]:
        """The part as JSON."""
        days = (*self.window, *self.whole, *self.answered)
        return [*(day.isoformat() for day in days), self.rows]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Part:
        """The part that `as_json` gave.

        Raises:
            ValueError: It is none.
            TypeError: It is none.
        """
        *days, rows = stored
        one, two, three, four, five, six = (date.fromisoformat(day) for day in days)
        # The rows of the whole are not known any more.
        return cls((one, two), (three, four), (five, six), int(rows), proves=False)

    def is_whole(self, days: Sequence[date]) -> bool:
        """Whether an answer with these days is as good as the one to the whole: then the API ignores the range."""
        if not days or not self.rows:
            return False
        outside = days[0] < self.window[0] or days[-1] > self.window[1]
        return outside and days[0] <= self.answered[0] and days[-1] >= self.answered[1]

    def at_the_edge(self, days: Iterable[date]) -> bool:
        """Whether all these days are the first or the last of the whole: the API leaves that day out of a range."""
        return set(days) <= set(self.whole)

    def narrower(self) -> int:
        """Days of the windows to read in place of the whole, which was cut."""
        days = (self.answered[1] - self.answered[0]).days + 1
        return max(1, min(days, length(self.whole) // 2))


def length(window: Window) -> int:
    """Number of its days."""
    return (window[1] - window[0]).days + 1


def parts_to_ask(
    answer: Answer, uncut: Uncut, need: Window, head_read: bool = False, tail_read: bool = False
) -> list[Part]:
    """The parts of a window without which its answer is not believed; none if it is.

    Args:
        answer: What came for the window.
        uncut: Answers that were found not to be cut.
        need: First and last day of the window that matter.
        head_read: The first day is the last of the window before: an API may leave the first day out of a range.
        tail_read: The last day is today, or the first of the next window: or it may leave out the last one.
    """
    start, end = answer.window
    whole = length(answer.window)
    if whole == 1 or (answer.rows and not answer.days):
        return []  # There is no part, or the rows do not say of which day they are.
    long = length(need) > uncut.days
    if not answer.rows:
        late = (max(start, end - timedelta(days=SHORT - 1)), end)
        return _parts(answer, [late]) if long and whole > SHORT else []
    first, final = min(answer.days[0], end), max(answer.days[-1], start)
    asked: list[Window] = []
    head, tail = first - need[0] > _DAY * head_read, need[1] - final > _DAY * tail_read
    if long:
        if head:
            asked.append(_shorter([(start - _DAY, first), (start, first)], (start, first - _DAY), whole))
        if gap := max(pairwise(answer.days), key=lambda pair: pair[1] - pair[0], default=None):
            asked += [gap] if gap[1] - gap[0] > _DAY else []
        if tail:
            after = end if tail_read else end + _DAY
            asked.append(_shorter([(final, after), (final, end)], (final + _DAY, end), whole))
    if answer.rows > uncut.rows and _round(answer.rows):
        asked += _under_a_limit(answer, head, tail)
    return _parts(answer, [window for window in asked if window != answer.window])


def _under_a_limit(answer: Answer, head: bool, tail: bool) -> list[Window]:
    """Parts that have all their rows, if the rows of the answer are as many as a limit allows."""
    start, end = answer.window
    first, final = max(answer.days[0], start), min(answer.days[-1], end)
    if answer.in_order:
        return [*([] if head else [(first, first)]), *([] if tail or first == final else [(final, final)])]
    middle = start + (end - start) // 2
    return [(start, middle), (middle + _DAY, end)]


def in_order(days: Sequence[date]) -> bool:
    """Whether days rise, or fall."""
    pairs = list(pairwise(days))
    return all(one <= two for one, two in pairs) or all(one >= two for one, two in pairs)


def _parts(answer: Answer, windows: Iterable[Window]) -> list[Part]:
    answered = (answer.days[0], answer.days[-1]) if answer.days else answer.window
    return [Part(window, answer.window, answered, answer.rows) for window in windows]


def _shorter(windows: Sequence[Window], otherwise: Window, days: int) -> Window:
    """The first that has fewer days."""
    return next((window for window in windows if length(window) < days), otherwise)


def _round(rows: int) -> bool:
    """Whether a limit is likely to have this number of rows: 10, 20, 25, 50, 100, 128, 150, 200, 250, 256 and so on."""
    return rows in (10, 20, 25, 30, 40) or (rows >= 50 and (rows % 50 == 0 or rows & (rows - 1) == 0))
