"""Every schedule of a small list: what happens before which read, run after run. In memory, and counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import orjson

from automatum.sync.results import KnownRows, Verdict
from automatum.sync.sweep import Sweep
from tests.support.moving_list import Event, MovingList, move, purge, put_in, wait

LONG = 3600.0
MOST_STEPS = 200


@dataclass
class Batch:
    """What happens between two reads.

    Attributes:
        events: In their order.
        pause: Much time passes.
        kill: The run ends before the read, and another one goes on from what was loaded.
    """

    events: list[Event] = field(default_factory=list)
    pause: bool = False
    kill: bool = False
    says: str = ""


@dataclass
class Outcome:
    """What one sweep, in as many runs as it took, came to."""

    verdict: Verdict
    reason: str
    hashes: dict[str, str]
    source: MovingList
    sweep: Sweep

    @property
    def loaded(self) -> set[str]:
        """Keys of the rows in the destination."""
        return set(self.hashes)


def swept(source: MovingList, batches: dict[int, Batch], reread_pages: int, before: Outcome | None = None) -> Outcome:
    """One sweep of a list while the batches happen.

    Args:
        source: The list.
        batches: Number of a read, from 0, to what happens before it.
        reread_pages: Bound of the sweep.
        before: The last sweep: what it loaded.
    """
    for at, batch in batches.items():
        source.events[at] = [*batch.events, wait(LONG)] if batch.pause else batch.events
    kills = {at for at, batch in batches.items() if batch.kill}
    loaded = dict(before.hashes) if before else {}

    def new() -> tuple[Any, Sweep]:
        pages, known = source.pages(), KnownRows(dict(loaded))
        options = {"by_number": source.by_number, "exact": source.totals}
        return pages, Sweep(source.table, pages.fetch, known, reread_pages, source.page_size, **options)

    (reader, sweep), pages = new(), {}
    for _ in range(MOST_STEPS):
        if len(source.reads) in kills:
            kills.discard(len(source.reads))
            pages.update({record.page: record for record in sweep.take_records()})
            saved = orjson.loads(orjson.dumps({**sweep.saved_state, "cursor": reader.cursors.get(sweep.state.page)}))
            reader, sweep = new()
            reader.cursors[saved["page"]] = cursor = saved.pop("cursor") or ""
            restored = saved["page"] and (cursor or saved["page"] == 1 or source.by_number)
            if not (restored and sweep.resume(list(pages.values()), saved)):
                pages = {}
        for rows in sweep.step():
            loaded.update(zip(rows.keys, rows.hashes, strict=True))
        if sweep.verdict:
            return Outcome(sweep.verdict, sweep.reason, loaded, source, sweep)
    raise AssertionError("the sweep does not end")


def one_kind(rows: int) -> Iterator[Batch]:
    """Rows come in, or rows go, but not both: what one sweep can see between two reads that follow each other."""
    for place in range(rows + 1):
        yield Batch([put_in(place)], says=f"insert {place}")
    for first, count in _spans(rows):
        yield Batch([purge(first, count)], says=f"purge {first}+{count}")


def mixed(rows: int) -> Iterator[Batch]:
    """Rows go and a row comes in while a run pauses: a look back shows it."""
    yield Batch(says="nothing")
    yield from one_kind(rows)
    for first, count in _spans(rows):
        for place in {0, (rows - count) // 2, rows - count}:
            yield Batch([purge(first, count), put_in(place)], says=f"purge {first}+{count}, insert {place}")


def births_and_moves(rows: int) -> Iterator[Batch]:
    """Rows come in and move, and none goes."""
    for place in range(rows + 1):
        yield Batch([put_in(place)], says=f"insert {place}")
    for place, to in product(range(rows), range(rows)):
        if place != to:
            yield Batch([move(place, to)], says=f"move {place} to {to}")


def _spans(rows: int) -> Iterator[tuple[int, int]]:
    """First place and number of rows that follow each other."""
    yield from ((first, count) for first in range(rows) for count in range(1, rows - first + 1))


def paused(batch: Batch, kill: bool) -> Batch:
    return Batch(batch.events, True, kill, f"{batch.says}, {'killed' if kill else 'paused'}")


def killed(batch: Batch) -> Batch:
    return Batch(batch.events, False, True, f"{batch.says}, killed")


def schedules(kinds, rows: int, reads: int, most: int) -> Iterator[dict[int, Batch]]:
    """All ways to put up to `most` of the batches before different reads."""
    found = list(kinds(rows))
    for count in range(1, most + 1):
        for places in combinations(range(1, reads + 1), count):
            for chosen in product(found, repeat=count):
                yield dict(zip(places, chosen, strict=True))
