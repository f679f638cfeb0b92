"""A dated report, read window by window.

The last loaded date is the cursor. A stretch before it is read again each time, because revenue is restated. A row
counts as gone only if neither this reading nor a second one reports it, and if they report an earlier and a later day:
an API may leave out the last day of a range, or return less than it was asked for, and cut an answer within a day.

An answer that has not all days is believed only after a part of its window was asked for by itself (`report_proof`). If
that brings further rows, the window and all later ones are read in narrower windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from ..api.pages import Page
from ..api.report_pages import rows_follow
from ..core.clock import utc
from ..schema.arrow_tables import Table
from ..schema.records import Row
from .absence import too_many
from .facts import PastSweep
from .report_days import Window, day_of, windows
from .report_proof import Answer, Part, Uncut, in_order, length, parts_to_ask
from .results import DELETED, Counts, KnownRows


@dataclass
class Report:
    """One reading of one report.

    Args:
        table: Keys and hashes of its records.
        fetch: Reads the report of a first and a last day.
        known: What the destination has.
        todo: Windows to read.
        first: First day whose rows are compared and loaded. The windows may begin earlier, for the sake of `gone`.
        today: The present day. Its rows may be reported tomorrow.

    Attributes:
        missing: Keys that are not reported any more, and whether the days around them are.
        replaced: Number of those for which their day has a new row instead.
        windows_read: Number of windows and parts of windows that were read, those of earlier runs included.
        compared: Number of rows of the destination that lie within the days that were read.
        ambiguous: Records that have no key of their own.
        refused: Why rows were not deleted though many are missing; empty if nothing was refused.
        uncut: Answers that are known not to be cut.
        proven: Those that this reading has found not to be cut.
        limit: Days of the windows that are read because longer ones are cut; None if none is.
        ignored: First and last day that the API answers whatever it is asked for; None if it does not.
        short: A day with fewer rows than announced, what was announced, and the number of rows; None if there is none.
    """

    table: Table
    fetch: Callable[[date, date], Page]
    known: KnownRows
    todo: list[Window]
    first: date | None = None
    counts: Counts = field(default_factory=Counts)
    distinct: int = 0
    windows_read: int = 0
    ambiguous: int = 0
    missing: dict[str, bool] = field(default_factory=dict)
    replaced: int = 0
    compared: int = 0
    refused: str = ""
    uncut: Uncut = field(default_factory=Uncut)
    proven: Uncut = field(default_factory=Uncut)
    today: date = date.max
    limit: int | None = None
    ignored: Window | None = None
    short: tuple[date, str, int] | None = None
    _parts: list[Part] = field(default_factory=list)
    _answered: Collection[str] | None = None
    _lost: frozenset[str] = frozenset()
    _seen: dict[str, str] = field(default_factory=dict)
    _doubtful: dict[Window, int] = field(default_factory=dict)
    _again: set[Window] = field(default_factory=set)
    _read_to: date = date.min

    @classmethod
    def resumed(
        cls,
        table: Table,
        fetch: Callable[[date, date], Page],
        known: KnownRows,
        state: dict[str, Any],
        last: date,
        days: int | None,
    ) -> Report | None:
        """The reading that an earlier run was interrupted in.

        Args:
            table: Keys and hashes of its records.
            fetch: Reads the report of a first and a last day.
            known: What the destination has.
            state: What the reading knew, as `saved_state` gave it.
            last: Last day to read.
            days: Length of each window; None for a single window.

        Returns:
            The reading. At its end it reads each window in which rows were missing once more, as they may have come
            back. None if the state is none of a report.
        """
        try:
            first, start = (date.fromisoformat(state[name]) for name in ("first", "next"))
            missing = {str(key): bool(reached) for key, reached in dict(state["missing"]).items()}
            again = [_window(one) for one in state["again"]]
            read, compared, ambiguous = (int(state[name]) for name in ("windows_read", "compared", "ambiguous"))
            parts = [Part.from_json(one) for one in state.get("parts", ())]
            proven, limit = Uncut(*map(int, state.get("proven", ()))), state.get("limit")
            ignored = _window(state["ignored"]) if state.get("ignored") else None
        except (KeyError, TypeError, ValueError):
            return None  # Another version of the connector saved it.
        days = limit if days is None or (limit and limit < days) else days
        main = [] if state.get("main_read") and start >= last else windows(start, last, days)
        return cls(
            table, fetch, known, [*main, *again], first,
            windows_read=read, compared=compared, ambiguous=ambiguous, missing=missing,
            proven=proven, limit=limit, ignored=ignored,
            _parts=parts, _lost=frozenset(state.get("lost", ())), _again=set(again), _read_to=start,
        )  # fmt: skip

    @property
    def saved_state(self) -> dict[str, Any]:
        """What a later run has to know to go on with the next window."""
        main = [window for window in self.todo if window not in self._again]
        again = [*(window for window in self.todo if window in self._again), *self._doubtful]
        doubtful = {key for key in self.missing if any(self._lies_in(key, window) for window in self._doubtful)}
        return {
            "first": self.first.isoformat() if self.first else None,
            "next": (main[0][0] if main else self._read_to).isoformat(),
            "main_read": not main,
            "again": [[one.isoformat() for one in window] for window in again],
            "missing": {key: reached for key, reached in self.missing.items() if key not in doubtful},
            "windows_read": self.windows_read,
            "compared": self.compared - sum(self._doubtful.values()),
            "ambiguous": self.ambiguous,
            "parts": [part.as_json() for part in self._parts],
            "lost": [key for key in self.missing if any(self._lies_in(key, part.whole) for part in self._parts[:1])],
            "proven": [self.proven.days, self.proven.rows],
            "limit": self.limit,
            "ignored": [day.isoformat() for day in self.ignored] if self.ignored else None,
        }

    @property
    def finished(self) -> bool:
        """Whether all windows are read, and all parts of windows that had to be asked for."""
        return not self.todo and not self._parts

    def step(self) -> list[Row]:
        """Read the next window, or a part of the last one; returns rows to load."""
        if self._parts:
            return self._ask_part()
        start, end = window = self.todo[0]
        page = self._read(start, end)
        rows, seen, days = self._rows(page)
        begin = max(start, self.first or start)
        within = {key: day for key in self.known.live if (day := day_of(key, self.table)) and begin <= day <= end}
        lost = {key: day for key, day in within.items() if key not in seen}
        # Days that the answer does not reach are another window's, or cannot be decided. An empty answer reaches none.
        # A window that an earlier run has read twice is read once more, and only once.
        if lost and window not in self._again and (not days or _reached(days, lost)):
            again, seen_again, days_again = self._rows(self._read(start, end))
            rows.update(again)
            seen.update(seen_again)
            days |= days_again
        reached = _reached(days, lost)
        compared = len(within.keys() - self.missing.keys())
        self.compared += compared
        self.missing.update({key: key in reached for key in lost if not self.missing.get(key)})
        self._count_replaced(seen.keys() - self._seen.keys(), {key: lost[key] for key in reached - seen.keys()})
        self._take(rows, seen)
        if lost.keys() - seen.keys() and window not in self._again:
            self._doubtful[window] = compared
        self.todo.pop(0)
        if window not in self._again:
            self._answered = seen.keys()
            self._doubt(window, page, days)
        self._read_to = max(self._read_to, end)
        return list(rows.values())

    def _take(self, rows: Mapping[str, Row], seen: Mapping[str, str]) -> None:
        """Count the rows of an answer, and those that it has to load."""
        for key in seen:
            self.missing.pop(key, None)
            if key in self._seen:
                continue  # The window before ended with the same day.
            new = self.known.hashes.pop(key, None) in (None, DELETED)
            self.counts.unchanged += key not in rows
            self.counts.inserted += key in rows and new
            self.counts.updated += key in rows and not new
        self._seen.update(seen)
        self.distinct = len(self._seen)
        self.windows_read += 1

    def _doubt(self, window: Window, page: Page, days: set[date]) -> None:
        """Find out which parts of a window to ask for before its answer is believed."""
        reported, rows = tuple(sorted(days)), len(page.records)
        if rows_follow(page):
            if length(window) > 1:
                self._narrow(Part(window, window, (reported[0], reported[-1]) if days else window, rows))
            else:
                announced = f"{page.total} rows" if page.total is not None else f"{page.pages or 'further'} pages"
                self.short = window[0], announced, rows
                self.todo.clear()
            return
        if days and length(window) == 1 and window[0] not in days:
            self._ignore(days)
            return
        ordered = in_order([day for key in self.table.keys(page.records) if key and (day := day_of(key, self.table))])
        head_read, tail_read = self._read_to == window[0], window[1] >= self.today
        tail_read = tail_read or any(other[0] == window[1] for other in self.todo)
        uncut = self.uncut.with_others([(self.proven.days, self.proven.rows)])
        answer = Answer(window, reported, rows, ordered)
        self._parts = parts_to_ask(answer, uncut, self._needed(window), head_read, tail_read)
        if not self._parts:
            self._prove(window, rows)

    def _ask_part(self) -> list[Row]:
        part = self._parts[0]
        rows, seen, days = self._rows(self._read(*part.window))
        found = {day for key in seen if not self._was_answered(key) and (day := day_of(key, self.table))}
        found = {day for day in found if part.whole[0] <= day <= part.whole[1]}
        self._take(rows, seen)
        self._parts.pop(0)
        if part.is_whole(sorted(days)):
            self._parts.clear()
            if part.answered[0] > part.whole[0] or part.answered[1] < part.whole[1]:
                self._ignore(days)
        elif found and not part.at_the_edge(found):
            self._narrow(part)
        elif found:
            # A limit on rows may leave that day out, too: longer ranges are not proven by this window.
            self._parts = [replace(other, proves=False) for other in self._parts]
        elif not self._parts and part.proves:
            self._prove(part.whole, part.rows)
        return list(rows.values())

    def _ignore(self, days: Collection[date]) -> None:
        self.ignored = min(days), max(days)
        self.todo.clear()  # The other windows would have the same answer.

    def _narrow(self, part: Part) -> None:
        """Read a window that was cut, and all later ones, in narrower windows."""
        self.limit = min(part.narrower(), self.limit or part.narrower())
        main = [window for window in self.todo if window not in self._again]
        again = [window for window in self.todo if window in self._again and window != part.whole]
        last = max((window[1] for window in main), default=part.whole[1])
        self.todo = [*windows(part.whole[0], last, self.limit), *again]
        self._parts.clear()
        # The rows that it did not have are looked for in the narrower windows.
        self._doubtful.pop(part.whole, None)
        for key in [key for key in self.missing if self._lies_in(key, part.whole)]:
            del self.missing[key]
            self.compared -= 1

    def _prove(self, window: Window, rows: int) -> None:
        self.proven = self.proven.with_others([(length(self._needed(window)), rows)])

    def _needed(self, window: Window) -> Window:
        """The days of a window whose rows are loaded."""
        return max(window[0], self.first or window[0]), window[1]

    def _was_answered(self, key: str) -> bool:
        """Whether the answer to the whole of a part had a row.

        If an earlier run has read it, all that is known is which rows are loaded.
        """
        if self._answered is not None:
            return key in self._answered
        return key not in self.missing and key not in self._lost and self.known.hashes.get(key, DELETED) != DELETED

    def gone(self, past: Sequence[PastSweep], now: datetime, allow_deletes: bool) -> list[str]:
        """Keys of the rows to delete. If many are missing and were not replaced, only those that stayed missing.

        Args:
            past: Earlier readings of the report, the latest first.
            now: The present.
            allow_deletes: Delete however many they are, and whatever days are reported.
        """
        if allow_deletes:
            return list(self.missing)
        gone = [key for key, reached in self.missing.items() if reached]
        if too_many(len(self.missing) - self.replaced, self.compared):
            agreed = missing_long_enough(gone, past, now)
            left = len(self.missing) - len(agreed)
            if too_many(left, self.compared):
                self.refused = (
                    f"{left} of {self.compared} rows are not reported any more; they were not deleted. If they are "
                    "really gone, run with --allow-deletes, or sync again in an hour or later: a second reading that "
                    "agrees deletes those whose days are reported"
                )
            return [key for key in gone if key in agreed]
        return gone

    def why_not(self) -> str:
        """Why it is not complete; empty if it is."""
        endpoint = self.table.endpoint
        if self.ambiguous:
            return (
                f"{self.ambiguous} records share or lack their key ({', '.join(endpoint.key)}); set a unique key in "
                f"sources.automatum.endpoints.{endpoint.table}.key"
            )
        if self.ignored:
            first, last = self.ignored
            words = endpoint.parameters
            return (
                f"the API answers {first} to {last}, whatever days are asked for: it does not know the parameters "
                f"{words['start']} and {words['end']}. Set the vendor's names of them in "
                f'sources.automatum.endpoints.{endpoint.table}.parameters, such as {{ start = "from", end = "to" }}'
            )
        if self.short:
            day, announced, rows = self.short
            return (
                f"the API announces {announced} of {day} in its pagination and answers {rows} rows, also as page 2; "
                f"set sources.automatum.endpoints.{endpoint.table}.parameters to the vendor's names of page and limit, "
                'such as { page = "pageNumber" }'
            )
        return self.refused

    @property
    def unproven(self) -> bool:
        """Whether days or rows are known to be missing in the answers."""
        return self.ignored is not None or self.short is not None

    def _lies_in(self, key: str, window: Window) -> bool:
        day = day_of(key, self.table)
        return day is not None and window[0] <= day <= window[1]

    def _count_replaced(self, seen: Iterable[str], lost: Mapping[str, date]) -> None:
        """Count the lost rows for which their day has a new row: a restated report changes the parts of its keys."""
        hashes = self.known.hashes
        new = Counter(day_of(key, self.table) for key in seen if hashes.get(key, DELETED) == DELETED)
        self.replaced += sum(min(count, new[day]) for day, count in Counter(lost.values()).items())

    def _read(self, start: date, end: date) -> Page:
        return self.fetch(start, end)

    def _rows(self, page: Page) -> tuple[dict[str, Row], dict[str, str], set[date]]:
        """The rows to load, key to hash of all rows, and their days."""
        rows: dict[str, Row] = {}
        seen: dict[str, str] = {}
        days: set[date] = set()
        ambiguous = 0
        keys, hashes = self.table.keys(page.records), self.table.hashes(page.records)
        for key, record, (hash_, size) in zip(keys, page.records, hashes, strict=True):
            if key is None or key in seen:
                ambiguous += 1
                continue
            if day := day_of(key, self.table):
                days.add(day)
                if self.first and day < self.first:
                    continue
            seen[key] = hash_
            known = self.known.hashes.get(key, self._seen.get(key))
            if known != hash_:
                existed = known is not None or not self.known.readable
                rows[key] = Row(key, hash_, record, utc(page.read_at), existed, size)
        self.ambiguous = max(self.ambiguous, ambiguous)
        return rows, seen, days


def _window(stored: Sequence[str]) -> Window:
    first, last = stored
    return date.fromisoformat(first), date.fromisoformat(last)


def _reached(days: set[date], lost: Mapping[str, date]) -> set[str]:
    """The lost rows whose day lies between the first and the last of the reported days."""
    return {key for key, day in lost.items() if days and min(days) < day < max(days)}


def missing_long_enough(candidates: Sequence[str], past: Sequence[PastSweep], now: datetime) -> set[str]:
    """The candidates that every proven sweep of the last hour missed, and one before it."""
    agreed = set(candidates)
    for one in past:
        if not one.facts.full:
            continue
        agreed &= set(one.facts.candidates)
        if now - one.finished_at >= timedelta(hours=1):
            return agreed
    return set()
