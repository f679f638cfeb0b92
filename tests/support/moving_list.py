"""A list that moves while it is read: the model that sweeps are held against. Knows nothing of the connector's code."""

from collections.abc import Callable
from math import ceil

from automatum.api.pages import Page

Event = Callable[["MovingList"], None]


class MovingList:
    """Rows in the server's order; events happen before the n-th read (0-based)."""

    def __init__(self, rows: int, page_size: int = 100, events: dict[int, list[Event]] | None = None) -> None:
        self.rows: list[tuple[str, int]] = [(f"row_{i:05d}", 0) for i in range(rows)]
        self.page_size = page_size
        self.events = events or {}
        self.reads: list[int] = []
        self.born = rows
        self.stable = {key for key, _ in self.rows}
        self.odd_answers: dict[int, int] = {}

    def fetch(self, number: int) -> Page:
        for event in self.events.get(len(self.reads), []):
            event(self)
        length = self.odd_answers.pop(len(self.reads), self.page_size)
        self.reads.append(number)
        start = (number - 1) * self.page_size
        found = self.rows[start : start + min(length, self.page_size)]
        records = [{"id": key, "version": version} for key, version in found]
        return Page(number, records, len(self.rows), ceil(len(self.rows) / self.page_size), float(len(self.reads)))


def insert(at: float) -> Event:
    """A new row at a place between 0 (front) and 1 (back)."""

    def event(target: MovingList) -> None:
        target.rows.insert(round(at * len(target.rows)), (f"row_{target.born:05d}", 0))
        target.born += 1

    return event


def delete(at: float) -> Event:
    def event(target: MovingList) -> None:
        if target.rows:
            key, _ = target.rows.pop(min(int(at * len(target.rows)), len(target.rows) - 1))
            target.stable.discard(key)

    return event


def change(at: float, to: float | None = None) -> Event:
    """A row's content changes; with `to` it also moves there, as in a list ordered by `updatedAt`."""

    def event(target: MovingList) -> None:
        if not target.rows:
            return
        place = min(int(at * len(target.rows)), len(target.rows) - 1)
        key, version = target.rows[place]
        if to is None:
            target.rows[place] = (key, version + 1)
        else:
            del target.rows[place]
            target.rows.insert(round(to * len(target.rows)), (key, version + 1))

    return event
