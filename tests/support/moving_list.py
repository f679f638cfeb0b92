"""A list that moves while it is read: the model that sweeps are held against. Knows nothing of the connector's code."""

from collections.abc import Callable

from automatum.api.pages import Page
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table

Event = Callable[["MovingList"], None]


class MovingList:
    """Rows in the server's order; events happen before the n-th read (0-based).

    Attributes:
        cap: The announced total is at most this, and further pages have rows all the same; None for no cap.
        offset: What the announced total has too much.
        late: Seconds of all pauses so far.
    """

    def __init__(self, rows: int, page_size: int = 100, events: dict[int, list[Event]] | None = None) -> None:
        self.rows: list[tuple[str, int]] = [(f"row_{i:05d}", 0) for i in range(rows)]
        self.page_size = page_size
        self.events = events or {}
        self.reads: list[int] = []
        self.born = rows
        self.stable = {key for key, _ in self.rows}
        self.odd_answers: dict[int, int] = {}
        self.cap: int | None = None
        self.offset = 0
        self.late = 0.0
        self.cursors: dict[int, str] = {}

    table = Table(CUSTOMERS)
    by_number = totals = True

    def pages(self) -> "MovingList":
        """The pages, as a run reads them."""
        return self

    def fetch(self, number: int) -> Page:
        for event in self.events.get(len(self.reads), []):
            event(self)
        length = self.odd_answers.pop(len(self.reads), self.page_size)
        self.reads.append(number)
        start = (number - 1) * self.page_size
        found = self.rows[start : start + min(length, self.page_size)]
        records = [{"id": key, "version": version} for key, version in found]
        total = max(0, len(self.rows) + self.offset)
        total = total if self.cap is None else min(total, self.cap)
        return Page(number=number, records=records, total=total, read_at=self.late + len(self.reads))


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


def purge(first: int, count: int) -> Event:
    """Rows that follow each other are deleted at once.

    Args:
        first: Place of the first of them, from 0.
        count: How many.
    """

    def event(target: MovingList) -> None:
        target.stable -= {key for key, _ in target.rows[first : first + count]}
        del target.rows[first : first + count]

    return event


def put_in(place: int) -> Event:
    """A new row at a place, from 0."""

    def event(target: MovingList) -> None:
        target.rows.insert(place, (f"row_{target.born:05d}", 0))
        target.born += 1

    return event


def move(place: int, to: int) -> Event:
    """A row changes, and moves."""

    def event(target: MovingList) -> None:
        if place < len(target.rows):
            key, version = target.rows.pop(place)
            target.rows.insert(to, (key, version + 1))

    return event


def wait(seconds: float) -> Event:
    """Time passes."""

    def event(target: MovingList) -> None:
        target.late += seconds

    return event
